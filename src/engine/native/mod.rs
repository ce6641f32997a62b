//! OpenPose's own nets and assembly without OpenPose: no Caffe, no CUDA, no container.
//!
//! Written from a specification of what OpenPose 1.5.1 computes, not from its source. [`model`] reads the
//! nets, a [`Backend`] runs them, [`assemble`] does what is around them, and the [`Estimator`] puts the three
//! together for a frame. [`cuda`] does all of it on a GPU.

pub mod assemble;
mod backend;
pub mod cpu;
pub mod cuda;
mod estimator;
pub mod model;
mod options;
mod points;

use std::collections::VecDeque;
use std::fmt;

pub use backend::{Backend, BackendError, BackendInfo};
pub use estimator::Estimator;
pub use options::{CropResolution, OptionError, Options};

use self::assemble::size::SizeError;
use super::{Engine, EngineError, EngineErrorKind, EngineInfo};
use crate::pose::{FramePose, Skeleton, openpose_137};
use crate::video::{Frame, VideoInfo};

/// Frames that wait while the nets run, so that decoding goes on.
const CAPACITY: usize = 2;

/// Why the engine cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// A net cannot be read.
    #[error(transparent)]
    Model(#[from] model::ModelError),
    /// An option cannot be used.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A frame cannot be used.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// The GPU cannot be used, or no longer.
    #[error(transparent)]
    Cuda(#[from] cuda::CudaError),
    /// A net could not be run.
    #[error("the net cannot be run: {0}")]
    Backend(#[source] BackendError),
    /// More frames were pushed than may be in flight.
    #[error("{0} frames are in flight already: pop a result before the next push")]
    Full(usize),
}

impl From<NativeError> for EngineError {
    fn from(error: NativeError) -> Self {
        let kind = match &error {
            NativeError::Size(_) | NativeError::Cuda(cuda::CudaError::Batch { .. }) => {
                EngineErrorKind::Unsuitable
            }
            NativeError::Cuda(cuda::CudaError::Model(_) | cuda::CudaError::Option(_)) => {
                EngineErrorKind::Failed
            }
            NativeError::Cuda(_) => EngineErrorKind::Device,
            _ => EngineErrorKind::Failed,
        };
        Self::new(kind, error)
    }
}

/// The engine: one frame after the other, each net on all cores.
pub struct Native<B> {
    estimator: Estimator<B>,
    options: Options,
    frames: VecDeque<Frame>,
}

impl<B: Backend> Native<B> {
    /// An engine that runs its nets on `backend`.
    ///
    /// # Errors
    /// An option cannot be used.
    pub fn new(backend: B, options: Options) -> Result<Self, OptionError> {
        let frames = VecDeque::with_capacity(CAPACITY);
        Ok(Self { estimator: Estimator::new(backend, options.clone())?, options, frames })
    }
}

impl<B> fmt::Debug for Native<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<B: Backend> Engine for Native<B> {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        self.options.describe("native", &self.estimator.backend().info())
    }

    fn skeleton(&self) -> &'static Skeleton {
        openpose_137()
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError> {
        Ok(self.options.check_frame(info.width, info.height).map_err(NativeError::from)?)
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        if self.frames.len() == CAPACITY {
            return Err(NativeError::Full(CAPACITY).into());
        }
        self.frames.push_back(frame);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        let Some(frame) = self.frames.pop_front() else { return Ok(false) };
        self.estimator.estimate(&frame, pose)?;
        Ok(true)
    }
}
