//! What finds keypoints in frames.

mod error;
mod info;

pub use error::{EngineError, EngineErrorKind};
pub use info::EngineInfo;
use oppose_pose::{FramePose, Skeleton};

use crate::{Frame, VideoInfo};

/// An estimator of keypoints. Implement it to bring your own.
///
/// Frames go in by [`push`](Engine::push) and results come out by [`pop`](Engine::pop), in the same order. Several
/// frames may be in flight, so that an engine can work on some while others are decoded, or gather a batch. No engine
/// knows about files. Dropping an engine discards the frames in flight and returns within bounded time.
///
/// An engine is used by one thread at a time. `push` and `flush` return without waiting for results; `pop` blocks until
/// the oldest frame is done.
///
/// Except where [`start_video`](Engine::start_video) finds a video [unsuitable](EngineErrorKind::Unsuitable), an error
/// means that the engine is dead: frames in flight are lost, and every later call fails too.
pub trait Engine: Send {
    /// Which engine this is, where it runs and with which models. Hashing model files may take some tenths of a second.
    ///
    /// # Errors
    /// The model files can no longer be read, or the engine is dead.
    fn info(&mut self) -> Result<EngineInfo, EngineError>;

    /// The skeleton of every result.
    fn skeleton(&self) -> &'static Skeleton;

    /// How many frames may be in flight, at least 1. With that many, a [`pop`](Engine::pop) must come before the next
    /// [`push`](Engine::push).
    fn capacity(&self) -> usize;

    /// Whether it works on the [planes](Frame::planes) of a frame, and need not be given pixels:
    /// the option `keep_planes` of the video then saves the processor the conversion.
    fn takes_planes(&self) -> bool {
        false
    }

    /// Frames pushed after this belong to another video: nothing tracked in the last one carries over.
    /// Frames in flight are not affected.
    ///
    /// # Errors
    /// [`EngineErrorKind::Unsuitable`]: the engine cannot work on frames of this size, and is as usable as before.
    /// Any other kind: the engine is dead.
    fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError>;

    /// Submits the next frame. Returns before its result is ready.
    ///
    /// # Errors
    /// The engine is dead.
    fn push(&mut self, frame: Frame) -> Result<(), EngineError>;

    /// No frame follows for now: processes what was pushed without waiting for a batch to fill.
    ///
    /// # Errors
    /// The engine is dead.
    fn flush(&mut self) -> Result<(), EngineError>;

    /// Waits for the oldest frame in flight and writes its people into `pose`, whose memory is reused. Returns `false`
    /// where nothing is in flight.
    ///
    /// Never waits for frames that are yet to be pushed: an engine that gathers batches starts the last one as it is, as
    /// after [`flush`](Engine::flush).
    ///
    /// # Errors
    /// The engine is dead.
    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError>;
}
