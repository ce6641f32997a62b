//! What finds keypoints in frames.

mod error;
mod info;

pub use error::{EngineError, EngineErrorKind};
pub use info::EngineInfo;
use oppose_pose::{FramePose, Skeleton};

use crate::{Frame, VideoInfo};

/// An estimator of keypoints. Implement it to add your own.
///
/// Frames go in through [`push`](Engine::push), and results come out through [`pop`](Engine::pop) in the same order. Several
/// frames may be in flight, so that an engine can work on some while others are decoded, or gather a batch. Engines know
/// nothing about files. Dropping an engine discards the frames in flight and returns within bounded time.
///
/// An engine is used by one thread at a time. `push` and `flush` return without waiting for results; `pop` blocks until
/// the oldest frame is done.
///
/// An error means that the engine is dead: frames in flight are lost, and every later call fails too. The only exception is
/// [`start_video`](Engine::start_video), which may refuse a video as [unsuitable](EngineErrorKind::Unsuitable).
pub trait Engine: Send {
    /// Which engine this is, where it runs and with which models. Hashing model files may take a few tenths of a second.
    ///
    /// # Errors
    /// The model files can no longer be read, or the engine is dead.
    fn info(&mut self) -> Result<EngineInfo, EngineError>;

    /// The skeleton of every result.
    fn skeleton(&self) -> &'static Skeleton;

    /// How many frames may be in flight, at least 1. When that many are, the next [`push`](Engine::push) must wait for a
    /// [`pop`](Engine::pop).
    fn capacity(&self) -> usize;

    /// Whether the engine works on the [planes](Frame::planes) of a frame and does not need pixels. The video's option
    /// `keep_planes` then saves the CPU the conversion.
    fn takes_planes(&self) -> bool {
        false
    }

    /// Begins another video: frames pushed from now on belong to it, and nothing tracked in the last one carries over.
    /// Frames in flight are not affected.
    ///
    /// # Errors
    /// [`EngineErrorKind::Unsuitable`]: the engine cannot work on frames of this size, and stays usable.
    /// Any other kind: the engine is dead.
    fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError>;

    /// Submits the next frame. Returns before its result is ready.
    ///
    /// # Errors
    /// The engine is dead.
    fn push(&mut self, frame: Frame) -> Result<(), EngineError>;

    /// Says that no frame follows for now: the engine processes what was pushed without waiting for a batch to fill.
    ///
    /// # Errors
    /// The engine is dead.
    fn flush(&mut self) -> Result<(), EngineError>;

    /// Blocks until the oldest frame in flight is done and writes its people to `pose`, whose memory is reused. Returns
    /// `false` if nothing is in flight.
    ///
    /// Never waits for frames that are yet to be pushed: an engine that gathers batches starts an incomplete one, as after
    /// [`flush`](Engine::flush).
    ///
    /// # Errors
    /// The engine is dead.
    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError>;
}
