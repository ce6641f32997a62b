//! Which videos need no work: by what the journals and the files themselves say.

use std::collections::HashMap;
use std::path::PathBuf;

use oppose::batch::Job;
use oppose::batch::existing::{self, Existing};
use oppose::batch::journal::{Recorded, VideoState};

use super::terminal::printable;

/// Videos, by what stands at the places of their outputs.
#[derive(Debug, Default)]
pub struct Sorted {
    /// To be worked on, in the order of the jobs.
    pub left: Vec<Job>,
    /// Done, and what is there.
    pub done: Vec<(Job, String)>,
    /// Outputs of those that are in the way, and what they are.
    pub in_the_way: Vec<(PathBuf, String)>,
    /// Of which it is not known, and why.
    pub unknown: Vec<(Job, String)>,
}

/// Looks at the outputs of all jobs; `recorded` is what the journals know of them.
pub fn sort(jobs: Vec<Job>, recorded: &HashMap<PathBuf, Recorded>) -> Sorted {
    let mut sorted = Sorted::default();
    for job in jobs {
        let output = std::path::absolute(&job.output).ok();
        let known = output.and_then(|output| recorded.get(&output));
        // Not asked where nobody knows what it was: on network file systems that takes long.
        let video = known.and_then(|known| known.source).and_then(|_| VideoState::of(&job.video));
        match existing::look(&job.output, known, video.as_ref()) {
            Existing::Nothing => sorted.left.push(job),
            Existing::Complete { frames } => {
                let found = printable(&job.output);
                let found = format!("{found} exists, with {frames} frames; --overwrite makes it again");
                sorted.done.push((job, found));
            }
            Existing::Other(reason) => {
                sorted.in_the_way.push((job.output.clone(), reason));
                sorted.left.push(job);
            }
            Existing::Unknown(error) => sorted.unknown.push((job, error.to_string())),
        }
    }
    sorted
}

impl Sorted {
    /// Moves aside what is in the way, which `note` is told; what cannot be moved joins the unknown ones.
    pub fn set_aside(&mut self, note: &dyn Fn(&str)) {
        for (output, reason) in self.in_the_way.drain(..) {
            match existing::set_aside(&output) {
                Ok(aside) => {
                    note(&format!(
                        "{} {reason}; renamed to {} and will be made again",
                        printable(&output),
                        printable(&aside)
                    ));
                }
                Err(error) => {
                    let reason = format!("{} {reason}, and cannot be moved: {error}", printable(&output));
                    let stuck = self.left.extract_if(.., |job| job.output == output);
                    self.unknown.extend(stuck.map(|job| (job, reason.clone())));
                }
            }
        }
    }
}
