//! Videos: decode, estimate, write.
//!
//! Decoding runs ahead on a thread of its own, joined to the engine by a bounded channel; the engine keeps several
//! frames in flight; results are written as they arrive. Memory stays constant, however long the video. With
//! several videos, the engine does not pause between them.

mod decoder;
mod presence;
mod scheduler;
mod timestamps;

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use oppose_core::Cancel;
pub use scheduler::{EngineDeath, Event, Next, Stop, Suspect, Video, run_all, run_as_they_come};

use crate::engine::{Engine, EngineError};
use crate::people;
use crate::pose::PoseError;
use oppose_core::{DecodeSummary, FrameRate, Source, SourceError};

/// How one video is turned into a `.pose` file.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Replace an existing file. Without it, an existing file is an error.
    pub overwrite: bool,
    /// Which people are kept, and in which row; by default all, in the engine's order.
    pub people: people::Options,
    /// Write `NAME.timestamps.csv` beside `NAME.pose`, with one line per frame: its index, from 0, and its time
    /// since the first frame in seconds, empty if the video does not tell.
    pub timestamps: bool,
    /// Stops the run on request.
    pub cancel: Cancel,
}

impl Options {
    /// The same options with `overwrite`.
    #[must_use]
    pub fn with_overwrite(self, overwrite: bool) -> Self {
        Self { overwrite, ..self }
    }

    /// The same options with `people`.
    #[must_use]
    pub fn with_people(self, people: people::Options) -> Self {
        Self { people, ..self }
    }

    /// The same options with `timestamps`.
    #[must_use]
    pub fn with_timestamps(self, timestamps: bool) -> Self {
        Self { timestamps, ..self }
    }

    /// The same options with `cancel`.
    #[must_use]
    pub fn with_cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }
}

/// The progress of a video.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// Frames estimated and written.
    pub frames: u64,
    /// Frames the file announces; often an estimate.
    pub announced_frames: Option<u64>,
    /// Time since the first frame was requested.
    pub elapsed: Duration,
}

impl Progress {
    /// Frames per second so far.
    pub fn frames_per_second(&self) -> f64 {
        self.frames as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// Time left, if the file announces its length and this has not been exceeded.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.announced_frames?.checked_sub(self.frames)?;
        (self.frames > 0).then(|| Duration::from_secs_f64(left as f64 / self.frames_per_second()))
    }
}

/// The outcome of a video.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The file that was written. Omitted when a report is serialised, because not all paths are text.
    #[serde(skip)]
    pub output: PathBuf,
    /// Frames written, one for every frame of the video.
    pub frames: u64,
    /// Frames the file announces; often an estimate.
    pub announced_frames: Option<u64>,
    /// Frames in which at least one point was found.
    pub frames_with_people: u64,
    /// The skeleton's components by name, and in how many frames at least one point of each was found.
    pub present: Vec<(String, u64)>,
    /// Largest number of people in one frame.
    pub people: usize,
    /// Frames per second of the video, as the file holds it.
    pub frame_rate: FrameRate,
    /// The summary of decoding.
    pub decoding: DecodeSummary,
    /// Time from requesting the first frame to the finished file.
    pub elapsed: Duration,
}

/// Why a video did not become a complete `.pose` file. The messages do not name the file with the frames before the
/// failure: [`partial`](Self::partial) does.
#[derive(Debug)]
#[non_exhaustive]
pub enum PipelineError {
    /// The video cannot be read, or breaks off before its end. Prints as the decoder's error.
    Video {
        /// The decoder's error.
        error: SourceError,
        /// The file with the frames before that, if there were any.
        partial: Option<PathBuf>,
    },
    /// The engine cannot process this video; it stays usable. Prints as the engine's error.
    Unsuitable(EngineError),
    /// The engine died.
    Engine {
        /// The engine's error.
        error: EngineError,
        /// The oldest frame in flight at that time, from 0.
        frame: Option<u64>,
        /// The file with the frames before that, if there were any.
        partial: Option<PathBuf>,
    },
    /// The result cannot be written. Prints as the writer's error.
    Write(PoseError),
    /// The stream ends before its first frame.
    NoFrames,
    /// The caller asked to stop.
    Cancelled,
    /// The decoding thread could not be started.
    Thread(io::Error),
}

impl PipelineError {
    /// The file with the frames before the failure, if there were any.
    pub fn partial(&self) -> Option<&Path> {
        match self {
            Self::Video { partial, .. } | Self::Engine { partial, .. } => partial.as_deref(),
            _ => None,
        }
    }
}

impl From<PoseError> for PipelineError {
    fn from(error: PoseError) -> Self {
        Self::Write(error)
    }
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Video { error, .. } => error.fmt(f),
            Self::Unsuitable(error) => error.fmt(f),
            Self::Engine { frame, .. } => f.write_str(&engine_failed(*frame)),
            Self::Write(error) => error.fmt(f),
            Self::NoFrames => f.write_str(
                "no frame could be decoded: the video stream is empty or damaged; play the file to check it",
            ),
            Self::Cancelled => f.write_str("stopped before the end; nothing was written"),
            Self::Thread(_) => f.write_str("cannot start the decoding thread"),
        }
    }
}

impl Error for PipelineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // They print as the error that they hold, so the chain continues after that.
            Self::Video { error, .. } => error.source(),
            Self::Unsuitable(error) => error.source(),
            Self::Write(error) => error.source(),
            Self::Engine { error, .. } => Some(error),
            Self::Thread(error) => Some(error),
            Self::NoFrames | Self::Cancelled => None,
        }
    }
}

/// What happened to an engine that had this frame in flight.
fn engine_failed(frame: Option<u64>) -> String {
    frame.map_or("the engine failed".to_owned(), |frame| format!("the engine failed at frame {frame}"))
}

/// What happened, why, and where the frames before that are: the reason of a failure, as people read it.
#[cfg(feature = "video")]
pub(crate) fn reason(error: &(dyn Error + 'static), partial: Option<&Path>) -> String {
    let kept = partial.map(|path| format!("; the frames before that are in {}", path.display()));
    format!("{}{}", crate::Chain(error), kept.unwrap_or_default())
}

/// Estimates every frame of `source` with `engine` and writes `output`, which appears complete or not at all.
/// Blocks until then.
///
/// `progress` is called after every frame. If the video breaks off, or the engine fails in the middle, the frames
/// done so far are kept in `NAME.partial.pose` beside `output`.
///
/// # Errors
/// See [`PipelineError`]. After [`PipelineError::Engine`] the engine is no longer usable.
pub fn run(
    source: Box<dyn Source>,
    engine: &mut dyn Engine,
    output: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, PipelineError> {
    let video = Video::new(output, move || Ok::<_, SourceError>(source));
    let mut outcome = Err(PipelineError::Cancelled);
    let ended = run_all([video], engine, options, &mut |_, event| match event {
        Event::Started { .. } => {}
        Event::Progress(now) => progress(now),
        Event::Done(report) => outcome = Ok(report),
        Event::Failed(error) => outcome = Err(error),
    });
    match ended {
        Err(Stop::Engine(EngineDeath { error, suspects })) => {
            let suspect = suspects.into_iter().next();
            let (frame, partial) =
                suspect.map_or((None, None), |suspect| (Some(suspect.frame), suspect.partial));
            Err(PipelineError::Engine { error, frame, partial })
        }
        // A cancelled run has become the video's own error.
        Ok(()) | Err(Stop::Cancelled) => outcome,
    }
}

/// `video.partial.pose` for `video.pose`.
fn partial_path(output: &Path) -> PathBuf {
    let mut name = output.file_stem().map(OsStr::to_owned).unwrap_or_default();
    name.push(".partial.pose");
    output.with_file_name(name)
}
