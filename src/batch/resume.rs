//! Which videos of a batch are left to do, according to the journals and the files themselves.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Job;
use super::existing::{self, Existing};
use super::journal::{Recorded, RecordedCrash, VideoState};
use crate::engine::EngineInfo;
use crate::pose::{Pose, PoseError};

/// The number of existing files without an entry in the journal whose skeletons are checked: more would take long.
const SKELETONS: usize = 20;

/// How to choose among the videos.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Process videos whose output exists too.
    pub overwrite: bool,
    /// Retry videos on which the engine or its process died twice.
    pub retry_crashed: bool,
}

impl Options {
    /// Whether videos whose output exists are processed, and whether those that crashed are retried.
    pub fn new(overwrite: bool, retry_crashed: bool) -> Self {
        Self { overwrite, retry_crashed }
    }
}

/// The videos of a batch, sorted by what is known about them.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Sorted {
    /// To be processed, in the order of the jobs; those during which earlier runs were killed come last.
    pub left: Vec<Job>,
    /// Done before, with the number of frames in the output.
    pub done: Vec<(Job, u64)>,
    /// Skipped, because the engine or its process died of them twice, and how.
    pub crashed: Vec<(Job, String)>,
    /// Those of `left` at whose output path something else exists, and what it is, as the end of a sentence.
    pub in_the_way: Vec<(PathBuf, String)>,
    /// Unknown, because their outputs cannot be read.
    pub unknown: Vec<(Job, PoseError)>,
}

/// Checks the outputs of all jobs. `recorded` is what the [journals](super::journal::recorded) say about them, by
/// absolute paths.
pub fn sort(jobs: Vec<Job>, recorded: &HashMap<PathBuf, Recorded>, options: Options) -> Sorted {
    let mut sorted = Sorted::default();
    let mut interrupted = Vec::new();
    for job in jobs {
        let known = recorded_of(&job, recorded);
        let existing = match options.overwrite {
            true => Existing::Nothing,
            false => existing_at(&job, known),
        };
        let in_the_way = match existing {
            Existing::Complete { frames } => {
                sorted.done.push((job, frames));
                continue;
            }
            Existing::Unknown(error) => {
                sorted.unknown.push((job, error));
                continue;
            }
            Existing::Nothing => None,
            Existing::Other(reason) => Some((job.output.clone(), reason)),
        };
        if let Some(crash) = known.and_then(|known| known.crash.as_ref())
            && !options.retry_crashed
            && still_crashes(&job.video, crash)
        {
            sorted.crashed.push((job, crash.reason.clone()));
            continue;
        }
        sorted.in_the_way.extend(in_the_way);
        match known.map_or(0, |known| known.interruptions) {
            0 => sorted.left.push(job),
            interruptions => interrupted.push((interruptions, job)),
        }
    }
    interrupted.sort_by_key(|(interruptions, _)| *interruptions);
    sorted.left.extend(interrupted.into_iter().map(|(_, job)| job));
    sorted
}

/// What the journals say about the output of a job.
fn recorded_of<'a>(job: &Job, recorded: &'a HashMap<PathBuf, Recorded>) -> Option<&'a Recorded> {
    recorded.get(&std::path::absolute(&job.output).ok()?)
}

fn existing_at(job: &Job, known: Option<&Recorded>) -> Existing {
    let done = known.and_then(|known| known.done.as_ref());
    // Skipped if the earlier state is unknown: on network file systems this takes long.
    let video = done.and_then(|done| done.source).and_then(|_| VideoState::of(&job.video));
    Existing::at(&job.output, done, video.as_ref())
}

/// Whether another crash is to be expected: the same video and the same program.
fn still_crashes(video: &Path, crash: &RecordedCrash) -> bool {
    let is_changed =
        crash.source.is_some_and(|source| VideoState::of(video).is_some_and(|now| now != source));
    crash.version == env!("CARGO_PKG_VERSION") && !is_changed
}

impl Sorted {
    /// Moves aside what is in the way of outputs. `moved` is called with the output, what it was, and its new name.
    /// What cannot be moved joins [`unknown`](Self::unknown).
    pub fn set_aside(&mut self, moved: &mut dyn FnMut(&Path, &str, &Path)) {
        for (output, reason) in self.in_the_way.drain(..) {
            match existing::set_aside(&output) {
                Ok(aside) => moved(&output, &reason, &aside),
                Err(source) => {
                    for job in self.left.extract_if(.., |job| job.output == output) {
                        let error = PoseError::Io {
                            what: "move away",
                            path: output.clone(),
                            source: copy(&source).into(),
                        };
                        self.unknown.push((job, error));
                    }
                }
            }
        }
    }
}

fn copy(error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), error.to_string())
}

/// How often runs were killed while a job was being processed. Such jobs come last: one of them may be the reason
/// why the runs were killed.
pub fn interruptions(job: &Job, recorded: &HashMap<PathBuf, Recorded>) -> u32 {
    recorded_of(job, recorded).map_or(0, |known| known.interruptions)
}

/// An output that another engine computed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The output.
    pub output: PathBuf,
    /// What differs, as a clause: `the engine was native and is holistic now`.
    pub difference: String,
}

/// Finds an output that exists and was computed by an engine whose results must not be mixed with those of `engine`.
/// Outputs in `done` that are in no journal are judged by their skeletons.
pub fn conflict(
    engine: &EngineInfo,
    recorded: &HashMap<PathBuf, Recorded>,
    done: &[(Job, u64)],
) -> Option<Conflict> {
    let mut compatible: Option<&Arc<EngineInfo>> = None;
    for (output, recorded) in recorded {
        let Some(done) = &recorded.done else { continue };
        if compatible.is_some_and(|known| Arc::ptr_eq(known, &done.engine)) || done.engine.name.is_empty() {
            continue;
        }
        match engine.differences(&done.engine) {
            None => compatible = Some(&done.engine),
            Some(difference) if output.exists() => {
                return Some(Conflict { output: output.clone(), difference });
            }
            Some(_) => {}
        }
    }
    let is_recorded = |job: &Job| recorded_of(job, recorded).is_some_and(|recorded| recorded.done.is_some());
    let unrecorded = done.iter().map(|(job, _)| job).filter(|job| !is_recorded(job));
    for job in unrecorded.take(SKELETONS) {
        let Ok(header) = Pose::read_header(&job.output) else { continue };
        let points = header.skeleton.points();
        if points != engine.points {
            let difference =
                format!("it has {points} points per person, and {} has {}", engine.name, engine.points);
            return Some(Conflict { output: job.output.clone(), difference });
        }
    }
    None
}
