//! Many videos, by several processes: one a GPU, or several on the processors.
//!
//! A supervisor hands videos to worker processes and hears what becomes of them, as JSON lines through pipes. Each
//! worker loads its nets once and goes from video to video without a pause. A worker that dies is started again;
//! the video that it died on is tried once more, and then given up; all others go on.

pub mod existing;
pub mod journal;
pub mod list;
mod message;
mod process;
pub mod slurm;
mod supervisor;
mod worker;

use std::path::PathBuf;

pub use message::Told;
pub use supervisor::{Limits, Supervised, SupervisorError, supervise};
pub use worker::serve;

/// A video and the file it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// A video, a picture, a folder of pictures, or `-`.
    pub video: PathBuf,
    /// The `.pose` file.
    pub output: PathBuf,
}
