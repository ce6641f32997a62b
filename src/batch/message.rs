//! The messages between the supervisor and a worker.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Job;
use crate::engine::EngineInfo;
use crate::pipeline::{Progress, Report};

/// A job for a worker. Paths are bytes, because not all are text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Assignment {
    number: usize,
    video: Vec<u8>,
    output: Vec<u8>,
}

impl Assignment {
    /// The job with this number.
    pub fn new(number: usize, job: &Job) -> Self {
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        Self { number, video: bytes(&job.video), output: bytes(&job.output) }
    }

    /// Its number, and the job itself.
    pub fn job(self) -> (usize, Job) {
        let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
        (self.number, Job { video: path(self.video), output: path(self.output) })
    }
}

/// A message from a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum WorkerMessage {
    /// Its engine is open.
    Ready(EngineInfo),
    /// Its engine cannot be opened, and why.
    Unusable(String),
    /// A message for the user.
    Note(String),
    /// Something happened to a video, identified by the job's number.
    Video(usize, VideoUpdate),
    /// Its engine died: why, and the jobs that may have caused it. The worker ends.
    EngineDied {
        /// Why.
        reason: String,
        /// Numbers of jobs.
        suspects: Vec<usize>,
    },
}

/// What happens to a video of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum VideoUpdate {
    /// It is being opened.
    Opening,
    /// Its frames are being processed.
    Started {
        /// Frames its file announces.
        announced_frames: Option<u64>,
    },
    /// Frames are done.
    Progress(Progress),
    /// Its file is complete.
    Done(Box<Report>),
    /// Its file has meanwhile been written by another program.
    Exists,
    /// It failed.
    Failed {
        /// Why.
        reason: String,
        /// Whether it ended the engine or its process twice, and should be retried only on request.
        is_crash: bool,
    },
}

impl VideoUpdate {
    /// It ended the engine or its process twice, the second time alone in it.
    pub(super) fn crashed_twice(reason: &str) -> Self {
        Self::Failed { reason: format!("failed twice, the second time alone: {reason}"), is_crash: true }
    }

    /// Whether this is the last update about the video.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Exists | Self::Failed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_no_text_travel() {
        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let job = Job { video: path(b"a\xff\n.mp4"), output: path(b"b\xfe.pose") };
        let line = serde_json::to_string(&Assignment::new(7, &job)).unwrap();
        assert!(!line.contains('\n'));
        let assignment: Assignment = serde_json::from_str(&line).unwrap();
        assert_eq!(assignment.job(), (7, job));
    }
}
