//! OpenPose's own nets and assembly without OpenPose: no Caffe, no CUDA toolkit, no container.
//!
//! Written from a specification of what OpenPose 1.5.1 computes, not from its source. [`model`] reads the nets, a [`Backend`]
//! runs them, and the engine [`Native`] finds people with them. With the feature `cuda`, the module of that name does all of
//! it on a GPU.
//!
//! Errors say what happened, and their [`source`](std::error::Error::source) says why; [`oppose_core::Chain`] prints both.

// The stages around the nets, public only because tests and benchmarks in the root package compare each with recordings of
// OpenPose. They are not part of the interface.
#[doc(hidden)]
pub mod assemble;
mod backend;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod estimator;
#[cfg(feature = "cuda")]
pub mod gpu;
pub mod model;
mod options;
mod plan;
mod points;

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

pub use assemble::Parity;
pub use assemble::keypoint_scale::KeypointScale;
pub use assemble::size::{NetResolution, Size, SizeError};
pub use backend::{Backend, BackendError, BackendInfo};
use crossbeam_channel::{Receiver, Sender, bounded};
// For tests and benchmarks, which run single frames through it.
#[doc(hidden)]
pub use estimator::Estimator;
pub use options::{CropResolution, OptionError, Options};

use oppose_core::{Engine, EngineError, EngineErrorKind, EngineInfo, Frame, VideoInfo};
use oppose_pose::{FramePose, Skeleton, openpose_137};

/// Number of frames that may wait while the nets run, so that decoding need not stop.
const WAITING: usize = 2;

/// Why the engine cannot start or continue.
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
    /// The GPU cannot be used, or has failed.
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(#[from] cuda::CudaError),
    /// A net could not be run.
    #[error("the net cannot be run")]
    Backend(#[source] BackendError),
    /// A thread that works on frames cannot be started.
    #[error("cannot start a thread that works on frames")]
    Thread(#[source] std::io::Error),
    /// A thread that works on frames has ended.
    #[error("a thread that works on frames has ended")]
    Ended,
    /// More frames were pushed than may be in flight.
    #[error("{0} frames are in flight already: pop a result before the next push")]
    Full(usize),
}

impl From<NativeError> for EngineError {
    fn from(error: NativeError) -> Self {
        let kind = match &error {
            NativeError::Size(_) => EngineErrorKind::Unsuitable,
            #[cfg(feature = "cuda")]
            NativeError::Cuda(error) => error.kind(),
            _ => EngineErrorKind::Failed,
        };
        Self::new(kind, error)
    }
}

/// The engine `native` on back ends such as [`cpu::Cpu`]. Each back end has a thread of its own and works on one frame at a
/// time. On a GPU, the engine of the feature `cuda` is far faster.
pub struct Native<B> {
    options: Options,
    capacity: usize,
    /// Receivers of the results of the frames in flight, in their order.
    in_flight: VecDeque<Receiver<Outcome>>,
    jobs: Option<Sender<Job>>,
    is_dropped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    info: BackendInfo,
    backends: PhantomData<fn() -> B>,
}

type Outcome = Result<FramePose, NativeError>;

/// A frame, and where to send its people.
struct Job {
    frame: Frame,
    outcome: Sender<Outcome>,
}

impl<B: Backend + 'static> Native<B> {
    /// An engine that runs its nets on `backend`, one frame after another.
    ///
    /// # Errors
    /// An option cannot be used, or a thread cannot be started.
    pub fn new(backend: B, options: Options) -> Result<Self, NativeError> {
        Self::with_backends(vec![backend], options)
    }

    /// An engine that works on as many frames at once as there are back ends; each needs memory for one frame.
    ///
    /// # Errors
    /// An option cannot be used, or a thread cannot be started.
    pub fn with_backends(backends: Vec<B>, options: Options) -> Result<Self, NativeError> {
        let capacity = backends.len() + WAITING;
        let (jobs, inbox) = bounded(capacity);
        let mut engine = Self {
            options,
            capacity,
            in_flight: VecDeque::with_capacity(capacity),
            jobs: Some(jobs),
            is_dropped: Arc::default(),
            threads: Vec::new(),
            info: backends.first().map(Backend::info).unwrap_or_default(),
            backends: PhantomData,
        };
        for backend in backends {
            let estimator = Estimator::new(backend, engine.options.clone())?;
            let (inbox, is_dropped) = (inbox.clone(), Arc::clone(&engine.is_dropped));
            let thread = thread::Builder::new().name("frame".into());
            let thread = thread.spawn(move || estimate_all(estimator, &inbox, &is_dropped));
            engine.threads.push(thread.map_err(NativeError::Thread)?);
        }
        Ok(engine)
    }
}

/// Finds the people in frames until there are no more.
fn estimate_all(mut estimator: Estimator<impl Backend>, inbox: &Receiver<Job>, is_dropped: &AtomicBool) {
    for Job { frame, outcome } in inbox {
        if is_dropped.load(Ordering::Relaxed) {
            return;
        }
        let mut pose = FramePose::default();
        let found = estimator.estimate(&frame, &mut pose).map(|()| pose);
        // If the engine was dropped, there is no receiver.
        let _ = outcome.send(found);
    }
}

impl<B> Drop for Native<B> {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // It ends after the frame that it is working on. If it panicked, the engine has returned an error.
            let _ = thread.join();
        }
    }
}

impl<B> fmt::Debug for Native<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<B: Backend + 'static> Engine for Native<B> {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        self.options.describe("native", &self.info)
    }

    fn skeleton(&self) -> &'static Skeleton {
        openpose_137()
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError> {
        Ok(self.options.check_frame(info.width, info.height).map_err(NativeError::from)?)
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        if self.in_flight.len() == self.capacity {
            return Err(NativeError::Full(self.capacity).into());
        }
        let (outcome, result) = bounded(1);
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(Job { frame, outcome }).is_ok());
        if !sent {
            return Err(NativeError::Ended.into());
        }
        self.in_flight.push_back(result);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        let Some(result) = self.in_flight.pop_front() else { return Ok(false) };
        *pose = result.recv().unwrap_or(Err(NativeError::Ended))?;
        Ok(true)
    }
}
