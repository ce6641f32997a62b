//! One video: decode, estimate, write.
//!
//! Decoding runs ahead on a thread of its own, joined to the engine by a bounded channel; the engine keeps
//! several frames in flight; results are written as they come. Memory stays flat whatever the video's
//! length.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::engine::{Engine, EngineError};
use crate::people::{self, Arrangement};
use crate::pose::{FramePose, PoseError, PoseWriter};
use crate::video::{DecodeSummary, Frame, FrameRate, Source, VideoError};

/// Memory that decoded frames may take while they wait for the engine. Small frames wait in greater
/// number, so that a slow key frame does not leave the engine without work.
const READ_AHEAD_BYTES: u64 = 64 << 20;

/// How long the pipeline waits for a frame before it looks whether it was cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(100);

/// Asks a running pipeline to stop between two frames. Clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends every pipeline that holds this flag.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for a signal handler.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// How one video is turned into a `.pose` file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Replace an existing file. Without it, an existing file is an error.
    pub overwrite: bool,
    /// Who is kept, and in which row; everybody in the engine's order by default.
    pub people: people::Options,
    /// Stops the run when asked.
    pub cancel: Cancel,
}

/// How far a video is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Frames estimated and written.
    pub frames: u64,
    /// Frames the file announces; often an estimate.
    pub announced_frames: Option<u64>,
    /// Time since the first frame was asked for.
    pub elapsed: Duration,
}

impl Progress {
    /// Frames a second so far.
    pub fn frames_per_second(&self) -> f64 {
        self.frames as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// Time left, where the file announces its length and is not yet past it.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.announced_frames?.checked_sub(self.frames)?;
        (self.frames > 0).then(|| Duration::from_secs_f64(left as f64 / self.frames_per_second()))
    }
}

/// What became of a video.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file that was written.
    pub output: PathBuf,
    /// Frames written, one for every frame of the video.
    pub frames: u64,
    /// Frames the file announces; often an estimate.
    pub announced_frames: Option<u64>,
    /// Frames in which at least one point was found.
    pub frames_with_people: u64,
    /// Largest number of people in one frame.
    pub people: usize,
    /// Frames per second of the video.
    pub frame_rate: FrameRate,
    /// What decoding has shown.
    pub decoding: DecodeSummary,
    /// Time from asking for the first frame to the finished file.
    pub elapsed: Duration,
}

/// Why a video did not become a complete `.pose` file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The video cannot be read, or breaks before its end.
    #[error("{error}{}", kept(.partial))]
    Video {
        /// What the decoder says.
        error: VideoError,
        /// The file that holds what came before, if anything did.
        partial: Option<PathBuf>,
    },
    /// The engine cannot work on this video; it is as usable as before.
    #[error(transparent)]
    Unsuitable(EngineError),
    /// The engine failed.
    #[error("{error}{}", kept(.partial))]
    Engine {
        /// What the engine says.
        error: EngineError,
        /// The file that holds what came before, if anything did.
        partial: Option<PathBuf>,
    },
    /// The result cannot be written.
    #[error(transparent)]
    Write(#[from] PoseError),
    /// The stream ends before its first frame.
    #[error("no frame could be decoded: the video stream is empty or damaged; play the file to check it")]
    NoFrames,
    /// The caller asked to stop.
    #[error("stopped before the end; nothing was written")]
    Cancelled,
    /// The decoding thread could not be started.
    #[error("cannot start the decoding thread: {0}")]
    Thread(#[source] io::Error),
}

fn kept(partial: &Option<PathBuf>) -> String {
    partial
        .as_ref()
        .map(|path| format!("; the frames before it are in {}", path.display()))
        .unwrap_or_default()
}

/// Estimates every frame of `source` with `engine` and writes `output`, which appears complete or not at
/// all.
///
/// `progress` is called after every frame. A video that breaks in the middle, or an engine that fails
/// there, leaves what was done so far in `NAME.partial.pose` beside `output`.
///
/// # Errors
/// See [`PipelineError`]. After [`PipelineError::Engine`] the engine is not usable any more.
pub fn run(
    source: Box<dyn Source>,
    engine: &mut dyn Engine,
    output: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, PipelineError> {
    let started = Instant::now();
    let info = source.info().clone();
    let mut writer = PoseWriter::create(
        output,
        engine.skeleton(),
        info.width,
        info.height,
        info.frame_rate.as_f32(),
        options.overwrite,
    )?;
    let mut pose = FramePose::default();
    discard_in_flight(engine, &mut pose).map_err(|error| PipelineError::Engine { error, partial: None })?;
    engine.start_video(&info).map_err(PipelineError::Unsuitable)?;

    let frame_bytes = u64::from(info.width) * u64::from(info.height) * 3;
    let queue = (READ_AHEAD_BYTES / frame_bytes.max(1)).clamp(2, 32) as usize;
    let decoder = Decoder::start(source, queue).map_err(PipelineError::Thread)?;

    let rate = info.frame_rate.as_f64();
    let mut arrangement = Arrangement::new(options.people, engine.skeleton(), info.width, info.height, rate);
    let mut counts = Counts::default();
    let mut in_flight = 0;
    let mut take = |engine: &mut dyn Engine, writer: &mut PoseWriter| -> Result<bool, Failure> {
        if !engine.pop(&mut pose)? {
            return Ok(false);
        }
        arrangement.apply(&mut pose);
        writer.write(&pose)?;
        counts.add(&pose);
        let elapsed = started.elapsed();
        progress(Progress { frames: counts.frames, announced_frames: info.announced_frames, elapsed });
        Ok(true)
    };

    let mut estimate = || -> Result<(), Failure> {
        while let Some(frame) = decoder.next_frame(&options.cancel)? {
            if in_flight >= engine.capacity() && take(engine, &mut writer)? {
                in_flight -= 1;
            }
            engine.push(frame)?;
            in_flight += 1;
        }
        Ok(())
    };
    let mut outcome = estimate();
    // Whatever ended the video, the frames before it are estimated to their end: they are kept.
    if !matches!(outcome, Err(Failure::Engine(_) | Failure::Write(_) | Failure::Cancelled)) {
        let rest = engine.flush().map_err(Failure::from).and_then(|()| {
            while take(engine, &mut writer)? {
                if options.cancel.is_cancelled() {
                    return Err(Failure::Cancelled);
                }
            }
            Ok(())
        });
        outcome = outcome.and(rest);
    }

    let partial = partial_path(output);
    let keep = |writer: PoseWriter| -> Result<Option<PathBuf>, PoseError> {
        if writer.frames() == 0 {
            return Ok(None);
        }
        writer.finish_as(&partial)?;
        Ok(Some(partial.clone()))
    };
    match outcome {
        Ok(()) if counts.frames == 0 => Err(PipelineError::NoFrames),
        Ok(()) => {
            let decoding = decoder.finish();
            writer.finish()?;
            // A complete file supersedes what an earlier run kept; that it is gone already is no error.
            let _ = std::fs::remove_file(&partial);
            Ok(Report {
                output: output.to_owned(),
                frames: counts.frames,
                announced_frames: info.announced_frames,
                frames_with_people: counts.frames_with_people,
                people: counts.people,
                frame_rate: info.frame_rate,
                decoding,
                elapsed: started.elapsed(),
            })
        }
        Err(Failure::Video(error)) => Err(PipelineError::Video { error, partial: keep(writer)? }),
        Err(Failure::Engine(error)) => Err(PipelineError::Engine { error, partial: keep(writer)? }),
        Err(Failure::Write(error)) => Err(PipelineError::Write(error)),
        Err(Failure::Cancelled) => Err(PipelineError::Cancelled),
    }
}

/// Takes out what a run that was broken off has left in the engine: it belongs to another video.
fn discard_in_flight(engine: &mut dyn Engine, pose: &mut FramePose) -> Result<(), EngineError> {
    engine.flush()?;
    while engine.pop(pose)? {}
    Ok(())
}

/// `video.partial.pose` for `video.pose`.
fn partial_path(output: &Path) -> PathBuf {
    let mut name = output.file_stem().map(OsStr::to_owned).unwrap_or_default();
    name.push(".partial.pose");
    output.with_file_name(name)
}

/// What ends the loop over the frames.
enum Failure {
    Video(VideoError),
    Engine(EngineError),
    Write(PoseError),
    Cancelled,
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<PoseError> for Failure {
    fn from(error: PoseError) -> Self {
        Self::Write(error)
    }
}

#[derive(Default)]
struct Counts {
    frames: u64,
    frames_with_people: u64,
    people: usize,
}

impl Counts {
    fn add(&mut self, pose: &FramePose) {
        self.frames += 1;
        self.frames_with_people += u64::from(pose.confidences().iter().any(|&confidence| confidence > 0.0));
        self.people = self.people.max(pose.people());
    }
}

/// The thread that reads ahead.
///
/// It is not joined when a run is cancelled: a pipe whose writer is silent would keep it for ever. It ends
/// by itself at the next frame, when it finds the channel closed.
struct Decoder {
    frames: Receiver<Result<Frame, VideoError>>,
    thread: thread::JoinHandle<DecodeSummary>,
}

impl Decoder {
    fn start(mut source: Box<dyn Source>, queue: usize) -> io::Result<Self> {
        let (sender, frames) = bounded(queue);
        let thread = thread::Builder::new().name("decode".into()).spawn(move || {
            while let Some(item) = source.next_frame().transpose() {
                let failed = item.is_err();
                if sender.send(item).is_err() || failed {
                    break;
                }
            }
            source.summary()
        })?;
        Ok(Self { frames, thread })
    }

    fn next_frame(&self, cancel: &Cancel) -> Result<Option<Frame>, Failure> {
        loop {
            if cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            match self.frames.recv_timeout(CANCEL_INTERVAL) {
                Ok(frame) => return frame.map(Some).map_err(Failure::Video),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// What decoding has shown; called after the last frame.
    fn finish(self) -> DecodeSummary {
        // A panic there looked like the end of the video from here: it must not pass for a complete one.
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
