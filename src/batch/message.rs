//! What supervisor and worker say to each other, a JSON object a line.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Job;
use crate::engine::Description;
use crate::pipeline::{Progress, Report};
use crate::video::{DecodeSummary, FrameRate, Note, RateSource};

/// A job for a worker. Paths are bytes: not all are text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    number: usize,
    video: Vec<u8>,
    output: Vec<u8>,
}

impl Order {
    /// The job of this number.
    pub fn new(number: usize, job: &Job) -> Self {
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        Self { number, video: bytes(&job.video), output: bytes(&job.output) }
    }

    /// Its number and what it is.
    pub fn job(self) -> (usize, Job) {
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
        (self.number, Job { video: path(self.video), output: path(self.output) })
    }
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub enum News {
    /// Its nets are loaded, and which they are.
    Ready(Description),
    /// Its nets cannot be loaded, and why.
    Unusable(String),
    /// A remark for the user.
    Note(String),
    /// What became of a video.
    Video {
        /// The job's number.
        number: usize,
        /// What.
        told: Told,
    },
}

/// What is told of a video.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Told {
    /// It is open.
    Started {
        /// Frames its file announces.
        announced_frames: Option<u64>,
    },
    /// Frames are done.
    Progress {
        /// Frames so far.
        frames: u64,
        /// Frames its file announces.
        announced_frames: Option<u64>,
        /// Seconds so far.
        seconds: f64,
    },
    /// It is complete.
    Done(Summary),
    /// Its file came into being meanwhile, made by somebody else.
    Exists,
    /// It did not work out, and why.
    Failed(String),
    /// The engine failed on it, and why. The worker ends, and another one tries the video once more.
    EngineFailed(String),
}

/// A [`Report`] in plain values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    frames: u64,
    announced_frames: Option<u64>,
    frames_with_people: u64,
    present: Vec<(String, u64)>,
    people: usize,
    frame_rate: (u32, u32),
    decoded: u64,
    damaged_packets: u64,
    variable_rate: Option<(f64, f64)>,
    rate_source: RateSource,
    notes: Vec<Note>,
    seconds: f64,
}

impl From<&Report> for Summary {
    fn from(report: &Report) -> Self {
        let seconds = |(a, b): (Duration, Duration)| (a.as_secs_f64(), b.as_secs_f64());
        Self {
            frames: report.frames,
            announced_frames: report.announced_frames,
            frames_with_people: report.frames_with_people,
            present: report.present.clone(),
            people: report.people,
            frame_rate: (report.frame_rate.numerator(), report.frame_rate.denominator()),
            decoded: report.decoding.frames,
            damaged_packets: report.decoding.damaged_packets,
            variable_rate: report.decoding.variable_rate.map(seconds),
            rate_source: report.decoding.rate_source,
            notes: report.decoding.notes.clone(),
            seconds: report.elapsed.as_secs_f64(),
        }
    }
}

impl Summary {
    /// The report of a video that became `output`; `None` where a value cannot be.
    pub fn report(&self, output: PathBuf) -> Option<Report> {
        let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
        let variable_rate = match self.variable_rate {
            Some((shortest, longest)) => Some((duration(shortest)?, duration(longest)?)),
            None => None,
        };
        let frame_rate = FrameRate::new(self.frame_rate.0, self.frame_rate.1)?;
        Some(Report {
            output,
            frames: self.frames,
            announced_frames: self.announced_frames,
            frames_with_people: self.frames_with_people,
            present: self.present.clone(),
            people: self.people,
            frame_rate,
            decoding: DecodeSummary {
                frames: self.decoded,
                damaged_packets: self.damaged_packets,
                variable_rate,
                frame_rate: Some(frame_rate),
                rate_source: self.rate_source,
                notes: self.notes.clone(),
            },
            elapsed: duration(self.seconds)?,
        })
    }
}

impl Told {
    /// The progress that is told, if it is one.
    pub fn progress(&self) -> Option<Progress> {
        let &Self::Progress { frames, announced_frames, seconds } = self else { return None };
        Some(Progress { frames, announced_frames, elapsed: Duration::try_from_secs_f64(seconds).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_no_text_travel() {
        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let job = Job { video: path(b"a\xff\n.mp4"), output: path(b"b\xfe.pose") };
        let line = serde_json::to_string(&Order::new(7, &job)).unwrap();
        assert!(!line.contains('\n'));
        let order: Order = serde_json::from_str(&line).unwrap();
        assert_eq!(order.job(), (7, job));
    }
}
