//! Many videos, none of which stops the others, whatever happens to it.
//!
//! [`Plan`] pairs videos with their outputs, and [`Batch`] takes them from there to a [`Summary`]: it skips what is
//! done, keeps the journal and tries crashed videos again. It is built on two functions that know nothing of
//! existing files:
//!
//! [`supervise`] hands videos to worker processes and receives reports about them, as JSON lines through pipes.
//! Each worker opens its engine once and goes from video to video without a pause, in [`serve`]. A worker that dies
//! is replaced. The videos that it was processing are tried once more, each alone, and one that ends its process
//! again is given up; all others continue. [`run_in_process`] does the same for engines that die, without further
//! processes.

mod existing;
mod in_process;
pub mod journal;
pub mod list;
mod message;
mod plan;
mod queue;
pub mod resume;
mod run;
pub mod slurm;
mod supervisor;
mod tally;
mod this_program;
mod worker;
mod worker_process;

use std::io;
use std::path::{Path, PathBuf};

pub use in_process::run_in_process;
pub use message::VideoUpdate;
pub use plan::{Inputs, Plan, PlanError};
pub use run::{Batch, BatchError, Options, State};
pub use supervisor::{Limits, SupervisorError, supervise};
pub use tally::{Failure, Summary, Tally};
pub use this_program::{is_worker, serve_supervisor, worker_commands};
pub use worker::serve;

use crate::engine::EngineInfo;

/// A video and the file it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Job {
    /// A video, a picture, a folder of pictures, or `-`.
    pub video: PathBuf,
    /// The `.pose` file.
    pub output: PathBuf,
}

impl Job {
    /// This video is to become this file.
    pub fn new(video: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self { video: video.into(), output: output.into() }
    }
}

/// What happens in a batch.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A worker has opened its engine.
    Ready {
        /// The number of the worker, from 0.
        worker: usize,
        /// The engine.
        engine: &'a EngineInfo,
    },
    /// Something happened to a video.
    Video {
        /// The number of the worker.
        worker: usize,
        /// The video, by its index among the jobs.
        video: usize,
        /// What happened.
        update: &'a VideoUpdate,
    },
    /// A worker or its engine died. The worker is replaced, and the suspects will be tried once more, each alone.
    Died {
        /// The number of the worker.
        worker: usize,
        /// How it died.
        reason: &'a str,
        /// The videos that may have caused it, by their indices among the jobs.
        suspects: &'a [usize],
    },
    /// What existed at the path of an output was renamed: it is not a complete `.pose` file of its video.
    SetAside {
        /// The output.
        output: &'a Path,
        /// What it was, as the end of a sentence that begins with its name.
        reason: &'a str,
        /// Its new name.
        aside: &'a Path,
    },
    /// The outcome of a video is missing in the journal, which cannot be written.
    NotRecorded {
        /// The video, by its index among the jobs.
        video: usize,
        /// The system's error.
        error: &'a io::Error,
    },
    /// The run was cancelled while this video was being processed.
    Stopped {
        /// The number of the worker.
        worker: usize,
        /// The video, by its index among the jobs.
        video: usize,
    },
    /// No engine or worker is left for the remaining videos.
    GaveUp {
        /// Why.
        reason: &'a str,
    },
    /// A message for the user.
    Note {
        /// The number of the worker.
        worker: usize,
        /// The message.
        text: &'a str,
    },
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The outcome of every video was reported.
    Completed,
    /// The caller asked to stop.
    Cancelled,
}
