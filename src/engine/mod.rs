//! Estimators: frames go in in order, people's keypoints come out in order.

pub mod description;
pub mod holistic;
pub mod isolated;
pub mod models;
pub mod native;
pub mod openpose;

use std::error::Error;

pub use description::Description;

use crate::pose::{FramePose, Skeleton};
use crate::video::{Frame, VideoInfo};

/// An estimator of keypoints. Implement it to bring your own.
///
/// Frames go in by [`push`](Engine::push) and results come out by [`pop`](Engine::pop), in the same order.
/// Several frames may be in flight, so that an engine can work on some while others are decoded, or
/// gather a batch. No engine knows about files. Dropping an engine gives up what is in flight and never
/// blocks for ever.
pub trait Engine: Send {
    /// Short name, as on the command line: `holistic`.
    fn name(&self) -> &'static str;

    /// The skeleton of every result.
    fn skeleton(&self) -> &'static Skeleton;

    /// How many frames may be in flight: with so many, [`pop`](Engine::pop) comes before the next
    /// [`push`](Engine::push).
    fn capacity(&self) -> usize;

    /// Whether it works on the [planes](Frame::planes) of a frame, and need not be given pixels:
    /// [`video::Options::keep_planes`](crate::video::Options::keep_planes) then saves the processor the conversion.
    fn takes_planes(&self) -> bool {
        false
    }

    /// Frames pushed after this belong to another video: nothing tracked in the last one carries over.
    /// Frames in flight are not affected.
    ///
    /// # Errors
    /// The engine cannot work on frames of this size.
    fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError>;

    /// Hands over the next frame. Returns before its result is ready.
    ///
    /// # Errors
    /// The engine has failed; nothing more comes out of it.
    fn push(&mut self, frame: Frame) -> Result<(), EngineError>;

    /// No frame follows for now: what was pushed is to be finished without waiting for more.
    ///
    /// # Errors
    /// The engine has failed; nothing more comes out of it.
    fn flush(&mut self) -> Result<(), EngineError>;

    /// Waits for the oldest frame in flight and writes its people into `pose`, whose memory is reused.
    /// `false` where nothing is in flight.
    ///
    /// # Errors
    /// The engine has failed; nothing more comes out of it.
    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError>;
}

/// Why an engine cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The engine `holistic` failed.
    #[error(transparent)]
    Holistic(#[from] holistic::HolisticError),
    /// The engine `native` failed.
    #[error(transparent)]
    Native(#[from] native::NativeError),
    /// The engine `openpose` failed.
    #[error(transparent)]
    OpenPose(#[from] openpose::OpenPoseError),
    /// The engine in another process failed, or that process died.
    #[error(transparent)]
    Isolated(#[from] isolated::IsolatedError),
    /// An engine from outside this library failed.
    #[error(transparent)]
    Other(#[from] Box<dyn Error + Send + Sync>),
}
