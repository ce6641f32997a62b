//! Opening an engine: the selected one, or the best one that can run here.
//!
//! ```
//! use oppose::engines::{self, Selection};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut selection = Selection::default();
//! selection.model_folder = Some("models".into());
//! let engine = engines::open(&selection, &mut |notice| println!("{notice}"))?;
//! println!("{} points per person", engine.skeleton().points());
//! # Ok(())
//! # }
//! ```

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use tracing::debug;

use crate::Chain;
use crate::engine::holistic::{self, Holistic};
use crate::engine::isolated::Isolated;
use crate::engine::models::{self, ModelsNotFound};
use crate::engine::native::assemble::Parity;
use crate::engine::native::cpu::Cpu;
use crate::engine::native::cuda::{Cuda, CudaNets, CudaOptions, Precision};
use crate::engine::native::model::Net;
use crate::engine::native::{self, Backend, Native, NativeError};
use crate::engine::openpose::{self, OpenPose};
use crate::engine::{Engine, EngineError, EngineErrorKind};
use crate::gpu;
use crate::pose::openpose_137;
use crate::process;

/// Tells the engine's process that OpenPose is wanted only if it can use a GPU.
const NEEDS_GPU_VARIABLE: &str = "OPPOSE_ENGINE_NEEDS_GPU";

/// Names an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Choice {
    /// The best one that can run here. With OpenPose's models: `native` on a GPU, else `openpose` on a GPU if it
    /// gets a [process of its own](Selection::openpose_process), else `native` on the CPU. Without them:
    /// `holistic`.
    #[default]
    Best,
    /// OpenPose 1.5.1 itself: several people, body, face and hands.
    OpenPose,
    /// OpenPose's nets without OpenPose: several people, body, face and hands.
    Native,
    /// MediaPipe Holistic: one person by default, several on request; body, face and hands.
    Holistic,
}

/// The device on which the engine `native` computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// On the GPU if it can be used, else on the CPU.
    #[default]
    Best,
    /// On the CPU.
    Cpu,
    /// On the GPU; if it cannot be used, opening the engine is an error.
    Gpu,
}

/// Which engine to open, and with which settings.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Selection {
    /// The engine.
    pub engine: Choice,
    /// The models folder. If `None`, [`models::find`] looks for it.
    pub model_folder: Option<PathBuf>,
    /// The device of `native`.
    pub device: Device,
    /// The GPU of `native` and `openpose`, and how `native` uses it.
    pub cuda: CudaOptions,
    /// CPU threads of the engine. If `None`, one per processor.
    pub threads: Option<NonZeroUsize>,
    /// Settings of `native` and `openpose`.
    pub openpose: native::Options,
    /// Settings of `holistic`, except for its threads.
    pub holistic: holistic::Options,
    /// The arguments with which this program, started again, serves the engine of [`open_openpose`]. OpenPose ends
    /// its process when something is wrong, so this gives it a process of its own. If `None`, OpenPose runs in this
    /// process.
    pub openpose_process: Option<Vec<OsString>>,
    /// The file to which everything that OpenPose prints in its own process is appended.
    pub openpose_log: Option<PathBuf>,
}

impl Selection {
    /// The same selection with `engine`.
    #[must_use]
    pub fn with_engine(mut self, engine: Choice) -> Self {
        self.engine = engine;
        self
    }

    /// The same selection with `model_folder`.
    #[must_use]
    pub fn with_model_folder(mut self, model_folder: impl Into<Option<PathBuf>>) -> Self {
        self.model_folder = model_folder.into();
        self
    }

    /// The same selection with `device`.
    #[must_use]
    pub fn with_device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The same selection with `cuda`.
    #[must_use]
    pub fn with_cuda(mut self, cuda: CudaOptions) -> Self {
        self.cuda = cuda;
        self
    }

    /// The same selection with `threads`.
    #[must_use]
    pub fn with_threads(mut self, threads: impl Into<Option<NonZeroUsize>>) -> Self {
        self.threads = threads.into();
        self
    }

    /// The same selection with `openpose`.
    #[must_use]
    pub fn with_openpose(mut self, openpose: native::Options) -> Self {
        self.openpose = openpose;
        self
    }

    /// The same selection with `holistic`.
    #[must_use]
    pub fn with_holistic(mut self, holistic: holistic::Options) -> Self {
        self.holistic = holistic;
        self
    }

    /// The same selection with `openpose_process`.
    #[must_use]
    pub fn with_openpose_process(mut self, openpose_process: impl Into<Option<Vec<OsString>>>) -> Self {
        self.openpose_process = openpose_process.into();
        self
    }

    /// The same selection with `openpose_log`.
    #[must_use]
    pub fn with_openpose_log(mut self, openpose_log: impl Into<Option<PathBuf>>) -> Self {
        self.openpose_log = openpose_log.into();
        self
    }
}

/// Something worth knowing about the engine being opened. As text it is one sentence without a full stop.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// [`Choice::Best`] is `holistic`, because OpenPose's models were not found.
    ChoseHolistic {
        /// How many people it follows.
        people: usize,
    },
    /// [`Choice::Best`] is `native` on a GPU.
    ChoseGpu {
        /// Index of the GPU.
        gpu: usize,
        /// The precision in which it computes.
        precision: Precision,
    },
    /// [`Choice::Best`] is `openpose` on a GPU.
    ChoseOpenPose {
        /// Why `native` cannot use the GPU.
        reason: String,
    },
    /// [`Choice::Best`] is `native` on the CPU.
    ChoseCpu {
        /// Why neither engine can use a GPU. `None` if the CPU was selected.
        reason: Option<String>,
    },
    /// `native` was selected, and [`Device::Best`] is the CPU.
    OnCpu {
        /// Why the GPU cannot be used.
        reason: String,
    },
    /// These nets are not the ones that OpenPose's authors published.
    Unpublished(Vec<Net>),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChoseHolistic { people: 1 } => {
                f.write_str("engine: holistic (MediaPipe, one person; no OpenPose models found)")
            }
            Self::ChoseHolistic { people: usize::MAX } => {
                f.write_str("engine: holistic (MediaPipe, any number of people; no OpenPose models found)")
            }
            Self::ChoseHolistic { people } => {
                write!(f, "engine: holistic (MediaPipe, up to {people} people; no OpenPose models found)")
            }
            Self::ChoseGpu { gpu, precision } => {
                write!(f, "engine: native (OpenPose's models, on GPU {gpu}, {precision})")
            }
            Self::ChoseOpenPose { reason } => {
                write!(f, "engine: openpose (on the GPU; native cannot use it: {reason})")
            }
            Self::ChoseCpu { reason } => {
                let reason = reason.as_deref().unwrap_or("as requested");
                write!(f, "engine: native (OpenPose's models, on the CPU: {reason})")
            }
            Self::OnCpu { reason } => write!(f, "native runs on the CPU: {reason}"),
            Self::Unpublished(nets) => {
                let nets: Vec<&str> = nets.iter().map(|net| net.caffemodel()).collect();
                write!(
                    f,
                    "not the files OpenPose's authors published: {}; download them again unless they are nets of your own",
                    nets.join(", ")
                )
            }
        }
    }
}

/// Why an engine cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its models were not found.
    #[error(transparent)]
    Models(#[from] ModelsNotFound),
    /// It cannot start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log cannot be written.
    #[error("cannot write the log {}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// This program cannot be started a second time.
    #[error("cannot start a process for the engine")]
    Program(#[source] io::Error),
}

impl OpenError {
    /// Whether another device may work although this one does not.
    fn is_device(&self) -> bool {
        matches!(self, Self::Engine(error) if error.kind() == EngineErrorKind::Device)
    }
}

type Opened = Result<Box<dyn Engine>, OpenError>;

/// Opens an engine, which takes from a few tenths of a second to a minute: nets are read, and on a GPU without
/// shipped kernels these are compiled once. `notice` is called with what is worth knowing, such as which engine is
/// the best.
///
/// # Errors
/// The models are not found, or the engine cannot start on the device.
pub fn open(selection: &Selection, notice: &mut dyn FnMut(Notice)) -> Opened {
    debug!(?selection, "opening an engine");
    match selection.engine {
        Choice::OpenPose => selection.isolate_openpose(false, notice),
        Choice::Native => selection.open_native(notice),
        Choice::Holistic => selection.open_holistic(),
        Choice::Best if selection.is_holistic() => {
            let engine = selection.open_holistic()?;
            notice(Notice::ChoseHolistic { people: selection.holistic.followed_people() });
            Ok(engine)
        }
        Choice::Best => selection.open_with_models(notice),
    }
}

/// OpenPose in this process, whichever engine is selected: the engine that a process of its own
/// [serves](crate::engine::isolated::serve).
///
/// # Errors
/// The models are not found, or OpenPose cannot start.
pub fn open_openpose(selection: &Selection) -> Result<Box<dyn Engine>, EngineError> {
    let folder = selection.find(Net::Body25.caffemodel()).map_err(EngineError::failed)?;
    let gpu = selection.cuda.gpu;
    if env::var_os(NEEDS_GPU_VARIABLE).is_some() && !OpenPose::has_gpu(gpu) {
        return Err(EngineError::new(EngineErrorKind::Device, "OpenPose has no GPU that it could use"));
    }
    let is_verbose = selection.openpose_log.is_some();
    let options = openpose::Options { keypoints: selection.openpose.clone(), gpu, is_verbose };
    Ok(Box::new(OpenPose::open(&folder, options)?))
}

impl Selection {
    /// Whether `holistic` will be opened: because it is selected, or because OpenPose's models are not found.
    pub fn is_holistic(&self) -> bool {
        match self.engine {
            Choice::Best => self.find(Net::Body25.caffemodel()).is_err(),
            engine => engine == Choice::Holistic,
        }
    }

    /// The best engine that can run OpenPose's models here.
    fn open_with_models(&self, notice: &mut dyn FnMut(Notice)) -> Opened {
        let reason = match self.device {
            Device::Cpu => None,
            Device::Best | Device::Gpu => match self.open_cuda() {
                Ok(engine) => {
                    notice(Notice::ChoseGpu { gpu: self.cuda.gpu, precision: self.cuda.precision });
                    return Ok(engine);
                }
                Err(error) if self.device == Device::Gpu => return Err(error),
                Err(error) => Some(Chain(&error).to_string()),
            },
        };
        // OpenPose without a GPU is far slower than native, and in this process it could end the program.
        if let Some(reason) = &reason
            && self.openpose_process.is_some()
            && let Ok(engine) = self.isolate_openpose(true, notice)
        {
            notice(Notice::ChoseOpenPose { reason: reason.clone() });
            return Ok(engine);
        }
        notice(Notice::ChoseCpu { reason });
        self.open_cpu()
    }

    /// OpenPose in a process of its own, if the selection has one for it.
    fn isolate_openpose(&self, needs_gpu: bool, notice: &mut dyn FnMut(Notice)) -> Opened {
        let folder = self.find(Net::Body25.caffemodel())?;
        if needs_gpu {
            // Looking for both is much faster than starting a process that ends because one is missing.
            openpose::find_shim().map_err(EngineError::from)?;
            gpu::detect().map_err(EngineError::failed)?;
        }
        // Hashing takes as long as OpenPose takes to load.
        let hashing = thread::spawn(move || openpose::unpublished(&folder));
        let engine: Box<dyn Engine> = match &self.openpose_process {
            None => open_openpose(self)?,
            Some(arguments) => {
                let mut command = process::this_program().map_err(OpenError::Program)?;
                command.args(arguments);
                if needs_gpu {
                    command.env(NEEDS_GPU_VARIABLE, "1");
                }
                let log = self.open_log()?;
                let isolated = Isolated::start(command, openpose::NAME, openpose_137(), log);
                Box::new(isolated.map_err(EngineError::from)?)
            }
        };
        let others = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if !others.is_empty() {
            notice(Notice::Unpublished(others));
        }
        Ok(engine)
    }

    fn open_log(&self) -> Result<Option<File>, OpenError> {
        let Some(path) = &self.openpose_log else { return Ok(None) };
        let file = File::options().create(true).append(true).open(path);
        file.map(Some).map_err(|source| OpenError::Log { path: path.clone(), source })
    }

    fn open_native(&self, notice: &mut dyn FnMut(Notice)) -> Opened {
        if self.device == Device::Cpu {
            return self.open_cpu();
        }
        match self.open_cuda() {
            Err(error) if self.device == Device::Best && error.is_device() => {
                notice(Notice::OnCpu { reason: Chain(&error).to_string() });
                self.open_cpu()
            }
            outcome => outcome,
        }
    }

    fn open_cpu(&self) -> Opened {
        let folder = self.find(Net::Body25.caffemodel())?;
        let backend = Cpu::read(&folder, self.threads).map_err(EngineError::from)?;
        self.native_on(backend.for_all_threads())
    }

    fn open_cuda(&self) -> Opened {
        let folder = self.find(Net::Body25.caffemodel())?;
        if self.openpose.parity == Parity::Cpu {
            let backend = CudaNets::read(&folder, self.cuda).map_err(NativeError::from);
            return self.native_on(vec![backend.map_err(EngineError::from)?]);
        }
        let engine = Cuda::read(&folder, self.cuda, self.openpose.clone());
        Ok(Box::new(engine.map_err(EngineError::from)?))
    }

    fn native_on<B: Backend + 'static>(&self, backends: Vec<B>) -> Opened {
        let engine = Native::with_backends(backends, self.openpose.clone());
        Ok(Box::new(engine.map_err(EngineError::from)?))
    }

    fn open_holistic(&self) -> Opened {
        let folder = self.find(holistic::FOLDER)?;
        let engine = Holistic::open(&folder, self.holistic.with_threads(self.threads));
        Ok(Box::new(engine.map_err(EngineError::from)?))
    }

    fn find(&self, wanted: &str) -> Result<PathBuf, ModelsNotFound> {
        let folder = models::find(self.model_folder.as_deref(), wanted.as_ref())?;
        debug!(folder = %folder.display(), wanted, "found models");
        Ok(folder)
    }
}
