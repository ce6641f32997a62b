//! Which estimator, and what it is told.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;

use clap::{Args, ValueEnum};
use oppose::engine::holistic::{self, Holistic};
use oppose::engine::isolated::Isolated;
use oppose::engine::models::{self, ModelsNotFound};
use oppose::engine::native::assemble::Parity;
use oppose::engine::native::cpu::Cpu;
use oppose::engine::native::cuda::{Cuda, CudaNets, CudaOptions, KernelPath, Precision};
use oppose::engine::native::model::Net;
use oppose::engine::native::{Backend, Native, NativeError, OptionError};
use oppose::engine::openpose::{self, OpenPose};
use oppose::engine::{Engine, EngineError, EngineErrorKind};
use oppose::gpu;
use oppose::pose::openpose_137;
use oppose::process;

use super::engine_process;
use super::holistic_options::HolisticArguments;
use super::openpose_options::OpenPoseArguments;
use super::stderr_filter;
use super::terminal::printable;
use super::workers::{self, WorkerSlot};

/// Which estimator to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// where OpenPose's models are found, native on a GPU, openpose on a GPU, else native; else holistic
    #[default]
    Auto,
    /// OpenPose 1.5.1 itself, as the container has it: several people, body, face and hands
    #[value(name = "openpose")]
    OpenPose,
    /// OpenPose's own nets without OpenPose: several people, body, face and hands; needs OpenPose's models
    Native,
    /// MediaPipe Holistic: one person, body, face and hands; fast without a GPU
    Holistic,
}

/// Where nets are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Device {
    #[default]
    Auto,
    Cpu,
    /// The GPU of this number, or of `--gpu`'s.
    Cuda(Option<usize>),
}

impl Device {
    /// The GPU to be tried, if one is.
    fn gpu(self, default: usize) -> Option<usize> {
        match self {
            Self::Cpu => None,
            Self::Auto => Some(default),
            Self::Cuda(gpu) => Some(gpu.unwrap_or(default)),
        }
    }
}

impl FromStr for Device {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let error =
            || OptionError { option: "device", found: text.into(), expected: "auto, cpu, cuda or cuda:N" };
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(None)),
            Some(("cuda", number)) => {
                number.parse().map(|number| Self::Cuda(Some(number))).map_err(|_| error())
            }
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(number)) => write!(f, "cuda:{number}"),
        }
    }
}

/// What concerns the estimator.
#[derive(Args, Clone, Debug)]
pub struct EngineArguments {
    /// Estimator of the keypoints
    #[arg(long, value_enum, default_value_t, env = "OPPOSE_ENGINE", value_name = "NAME")]
    engine: Choice,

    /// Folder of the models [default: $OPPOSE_MODELS, the user's data folder, or models/ beside the program]
    #[arg(long, alias = "model_folder", value_name = "FOLDER")]
    model_folder: Option<PathBuf>,

    /// Where native runs its nets: auto takes a GPU where there is one; cuda:N the GPU of this number
    #[arg(long, value_name = "auto|cpu|cuda[:N]", default_value_t)]
    device: Device,

    /// Number of the GPU, of those CUDA_VISIBLE_DEVICES leaves
    #[arg(long, value_name = "N", default_value_t = 0)]
    gpu: usize,

    /// Numbers in which native computes on a GPU
    #[arg(long, value_name = "fp32|fp16x3|tf32|fp16", default_value_t)]
    precision: Precision,

    /// Instructions of which native's convolutions on a GPU are made, for tests [default: the best of the GPU]
    #[arg(long, value_name = "portable|ampere|hopper", env = "OPPOSE_CUDA_KERNELS", hide = true)]
    cuda_kernels: Option<KernelPath>,

    /// Frames that native gives a GPU at once; more are faster and take more of its memory
    #[arg(long, value_name = "N", default_value_t = CudaOptions::default().batch)]
    batch: usize,

    /// File to which all is added that openpose prints; without it only its last words are told, if it dies
    #[arg(long, value_name = "FILE")]
    engine_log: Option<PathBuf>,

    /// Threads of the estimator [default: the number of processors]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    #[command(flatten)]
    openpose: OpenPoseArguments,

    #[command(flatten)]
    holistic: HolisticArguments,
}

/// Why an estimator cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Models(#[from] ModelsNotFound),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot write the log {}: {source}", printable(path))]
    Log { path: PathBuf, source: io::Error },
    #[error("cannot start this program again for the engine: {0}")]
    Program(#[source] io::Error),
}

impl OpenError {
    /// Whether another device may work where this one does not.
    fn is_device(&self) -> bool {
        matches!(self, Self::Engine(error) if error.kind() == EngineErrorKind::Device)
    }
}

/// Set in the process of the engine where OpenPose is of use only on a GPU.
const NEEDS_GPU_VARIABLE: &str = "OPPOSE_ENGINE_NEEDS_GPU";

impl EngineArguments {
    /// The same, on the GPU and with the threads of a worker.
    pub fn at(&self, slot: WorkerSlot) -> Self {
        Self { gpu: slot.gpu.unwrap_or(self.gpu), threads: self.threads.or(slot.threads), ..self.clone() }
    }

    /// Opens the engine; says which, where it was not asked for by name.
    pub fn open(&self, max_people: Option<u16>, note: &dyn Fn(&str)) -> Result<Box<dyn Engine>, OpenError> {
        match self.engine {
            Choice::OpenPose => self.isolate_openpose(false, note),
            Choice::Native => self.open_native(max_people, note),
            Choice::Holistic => self.open_holistic(),
            Choice::Auto if self.find(Net::Body25.caffemodel()).is_err() => {
                let engine = self.open_holistic()?;
                note("engine: holistic (MediaPipe, one person; no OpenPose models found)");
                Ok(engine)
            }
            Choice::Auto => self.open_with_models(max_people, note),
        }
    }

    /// The best engine that can run OpenPose's models here.
    fn open_with_models(
        &self,
        max_people: Option<u16>,
        note: &dyn Fn(&str),
    ) -> Result<Box<dyn Engine>, OpenError> {
        let reason = match self.device.gpu(self.gpu) {
            Some(gpu) => match self.open_cuda(gpu, max_people) {
                Ok(engine) => {
                    note(&format!("engine: native (OpenPose's models, on GPU {gpu}, {})", self.precision));
                    return Ok(engine);
                }
                Err(error) if self.device != Device::Auto => return Err(error),
                Err(error) => error.to_string(),
            },
            None => "--device cpu".into(),
        };
        // OpenPose without a GPU is far slower than native.
        if self.device == Device::Auto
            && let Ok(engine) = self.isolate_openpose(true, note)
        {
            note(&format!("engine: openpose (on the GPU; native cannot use it: {reason})"));
            return Ok(engine);
        }
        note(&format!("engine: native (OpenPose's models, on the CPU: {reason})"));
        self.open_cpu(max_people)
    }

    /// OpenPose in a process of its own, because its Caffe ends the process where something is wrong.
    fn isolate_openpose(&self, needs_gpu: bool, note: &dyn Fn(&str)) -> Result<Box<dyn Engine>, OpenError> {
        let folder = self.find(Net::Body25.caffemodel())?;
        if needs_gpu {
            // Neither a process nor OpenPose is started in vain where there is no GPU or no shim.
            openpose::find_shim().map_err(EngineError::from)?;
            gpu::detect().map_err(EngineError::failed)?;
        }
        let log = match &self.engine_log {
            Some(path) => Some(
                File::options()
                    .create(true)
                    .append(true)
                    .open(path)
                    .map_err(|source| OpenError::Log { path: path.clone(), source })?,
            ),
            None => None,
        };
        let mut command = process::this_program().map_err(OpenError::Program)?;
        // A worker's own arguments begin with its subcommand.
        let is_worker = |argument: &OsString| argument == workers::NAME;
        let mut arguments = env::args_os().skip(1).peekable();
        arguments.next_if(is_worker);
        command.arg(engine_process::NAME).args(arguments);
        if needs_gpu {
            command.env(NEEDS_GPU_VARIABLE, "1");
        }
        // Hashing takes as long as OpenPose takes to load.
        let hashing = thread::spawn(move || openpose::unpublished(&folder));
        let engine =
            Isolated::start(command, openpose::NAME, openpose_137(), log).map_err(EngineError::from)?;
        let others = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if !others.is_empty() {
            let others: Vec<&str> = others.into_iter().map(Net::caffemodel).collect();
            note(&format!(
                "not the files OpenPose's authors published: {}; right for nets of your own, else fetch them again",
                others.join(", ")
            ));
        }
        Ok(Box::new(engine))
    }

    /// OpenPose in this process.
    pub fn open_openpose(&self, max_people: Option<u16>) -> Result<Box<dyn Engine>, EngineError> {
        let folder = self.find(Net::Body25.caffemodel()).map_err(EngineError::failed)?;
        if env::var_os(NEEDS_GPU_VARIABLE).is_some() && !OpenPose::has_gpu(self.gpu) {
            return Err(EngineError::new(EngineErrorKind::Device, "OpenPose has no GPU that it could use"));
        }
        let options = openpose::Options {
            keypoints: self.openpose.options(max_people),
            gpu: self.gpu,
            is_verbose: self.engine_log.is_some(),
        };
        Ok(Box::new(OpenPose::open(&folder, options)?))
    }

    fn open_native(
        &self,
        max_people: Option<u16>,
        note: &dyn Fn(&str),
    ) -> Result<Box<dyn Engine>, OpenError> {
        let Some(gpu) = self.device.gpu(self.gpu) else { return self.open_cpu(max_people) };
        match self.open_cuda(gpu, max_people) {
            Err(error) if self.device == Device::Auto && error.is_device() => {
                note(&format!("native runs on the CPU: {error}"));
                self.open_cpu(max_people)
            }
            outcome => outcome,
        }
    }

    fn open_cpu(&self, max_people: Option<u16>) -> Result<Box<dyn Engine>, OpenError> {
        let folder = self.find(Net::Body25.caffemodel())?;
        let backend = Cpu::read(&folder, self.threads).map_err(EngineError::from)?;
        self.native_on(backend.for_all_threads(), max_people)
    }

    fn open_cuda(&self, gpu: usize, max_people: Option<u16>) -> Result<Box<dyn Engine>, OpenError> {
        let folder = self.find(Net::Body25.caffemodel())?;
        let cuda =
            CudaOptions { gpu, precision: self.precision, batch: self.batch, kernels: self.cuda_kernels };
        let options = self.openpose.options(max_people);
        if options.parity == Parity::Cpu {
            let backend =
                CudaNets::read(&folder, cuda).map_err(NativeError::from).map_err(EngineError::from)?;
            return self.native_on(vec![backend], max_people);
        }
        Ok(Box::new(Cuda::read(&folder, cuda, options).map_err(EngineError::from)?))
    }

    fn native_on<B: Backend + 'static>(
        &self,
        backends: Vec<B>,
        max_people: Option<u16>,
    ) -> Result<Box<dyn Engine>, OpenError> {
        let engine = Native::with_backends(backends, self.openpose.options(max_people));
        Ok(Box::new(engine.map_err(EngineError::from)?))
    }

    fn open_holistic(&self) -> Result<Box<dyn Engine>, OpenError> {
        let folder = self.find(holistic::FOLDER)?;
        let options = self.holistic.options().threads(self.threads);
        Ok(Box::new(
            stderr_filter::without_greeting(|| Holistic::open(&folder, options))
                .map_err(EngineError::from)?,
        ))
    }

    fn find(&self, wanted: &str) -> Result<PathBuf, ModelsNotFound> {
        models::find(self.model_folder.as_deref(), wanted.as_ref())
    }
}
