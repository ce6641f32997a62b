//! The choice of the engine and its options.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::iter;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use oppose::Chain;
use oppose::engine::native::cuda::{CudaError, CudaOptions, KernelPath, Precision};
use oppose::engine::native::{NativeError, OptionError};
use oppose::engine::openpose::OpenPoseError;
use oppose::engine::{Engine, EngineError};
use oppose::engines::{self, Selection};
use oppose::gpu::GpuError;

use super::engine_process;
use super::holistic_options::HolisticArguments;
use super::openpose_options::OpenPoseArguments;
use super::people::MaxPeople;
use super::stderr_filter;
use super::workers::{self, Sharing, WorkerSlot};

/// Which estimator to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// with OpenPose's models: native on a GPU, else openpose on a GPU, else native; without: holistic
    #[default]
    Auto,
    /// OpenPose 1.5.1 itself, as in the container: several people, body, face and hands
    #[value(name = "openpose")]
    OpenPose,
    /// OpenPose's own nets without OpenPose: several people, body, face and hands; needs OpenPose's models
    Native,
    /// MediaPipe Holistic: one person, or more with --max-people, body, face and hands; fast without a GPU
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

impl FromStr for Device {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let error = || OptionError::new("device", text, "auto, cpu, cuda or cuda:N");
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

/// Options of the estimator.
#[derive(Args, Clone, Debug)]
pub struct EngineArguments {
    /// Estimate the keypoints with this engine
    #[arg(long, value_enum, default_value_t, env = "OPPOSE_ENGINE", value_name = "NAME")]
    engine: Choice,

    /// Read the models from this folder [default: $OPPOSE_MODELS, the user's data folder, or models/ beside the program]
    #[arg(long, alias = "model_folder", value_name = "FOLDER")]
    model_folder: Option<PathBuf>,

    /// Run the engine native on this device: auto uses a GPU if there is one, cuda:N the GPU with this index
    #[arg(long, value_name = "auto|cpu|cuda[:N]", default_value_t)]
    device: Device,

    /// Use the GPU with this index, among those that CUDA_VISIBLE_DEVICES leaves visible
    #[arg(long, value_name = "N", default_value_t = 0)]
    gpu: usize,

    /// Compute in this precision with native on a GPU; fp16x3 is as exact as fp32
    #[arg(long, value_name = "fp32|fp16x3|tf32|fp16", default_value_t)]
    precision: Precision,

    /// Build native's GPU convolutions from these instructions, for tests [default: the best that the GPU has]
    #[arg(long, value_name = "portable|turing|ampere|hopper", env = "OPPOSE_CUDA_KERNELS", hide = true)]
    cuda_kernels: Option<KernelPath>,

    /// Give native's GPU this many frames at once; more are faster and need more GPU memory
    #[arg(long, value_name = "N", default_value_t = CudaOptions::default().batch)]
    batch: usize,

    /// Append everything that OpenPose prints to this file; without it, only the last lines are shown if it crashes
    #[arg(long, value_name = "FILE")]
    engine_log: Option<PathBuf>,

    /// Use this many threads per engine [default: the number of processors divided by the number of workers]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// This is not a program that can be started again, but a library in another one.
    #[arg(skip)]
    is_embedded: bool,

    #[command(flatten)]
    openpose: OpenPoseArguments,

    #[command(flatten)]
    holistic: HolisticArguments,
}

/// Why an engine cannot be opened, with the option that helps.
#[derive(Debug, thiserror::Error)]
#[error("{}{}", Chain(.0), hint(.0))]
pub struct OpenError(pub engines::OpenError);

impl From<engines::OpenError> for OpenError {
    fn from(error: engines::OpenError) -> Self {
        Self(error)
    }
}

fn hint(error: &engines::OpenError) -> &'static str {
    match error {
        // What it says ends with how else to name the folder.
        engines::OpenError::Models(error) if error.default.is_none() => " or with --model-folder",
        engines::OpenError::Engine(error) => engine_hint(error),
        _ => "",
    }
}

fn engine_hint(error: &EngineError) -> &'static str {
    let native = error.downcast_ref().and_then(|error: &NativeError| match error {
        NativeError::Cuda(error) => Some(error),
        _ => None,
    });
    if let Some(OpenPoseError::Gpu(_) | OpenPoseError::NoCode { .. }) = error.downcast_ref() {
        return " (--engine native)";
    }
    match error.downcast_ref().or(native) {
        Some(CudaError::Number { .. }) => " (`oppose-native doctor` lists them)",
        Some(CudaError::Precision { .. }) => " (--precision, --device cpu)",
        Some(CudaError::Net { .. }) => " (--device cpu)",
        Some(CudaError::OutOfMemory { .. } | CudaError::Pixels { .. }) => " (--batch, --net_resolution)",
        Some(CudaError::Gpu(GpuError::NoDriver { .. } | GpuError::NoDevice { visible: None, .. })) => {
            " (container: --nv, or --gpus all with Docker; cluster: sbatch --gpus=1)"
        }
        _ => "",
    }
}

impl EngineArguments {
    /// The same, on the GPU and with the threads of a worker.
    pub fn at(&self, slot: WorkerSlot) -> Self {
        Self { gpu: slot.gpu.unwrap_or(self.gpu), threads: self.threads.or(slot.threads), ..self.clone() }
    }

    /// How several videos are best distributed.
    pub fn sharing(&self) -> Sharing {
        match self.selection(MaxPeople::Unsaid).is_holistic() {
            // Within one video each frame waits for the one before it.
            true => Sharing::Threads(self.threads.map_or(1, NonZeroUsize::get)),
            false => Sharing::OneWorker,
        }
    }

    /// The same, for a library in a program that is not oppose-native.
    pub fn embedded(self) -> Self {
        Self { is_embedded: true, ..self }
    }

    /// Whether OpenPose was selected in a program that cannot start a process for it.
    pub fn lacks_process(&self) -> bool {
        self.is_embedded && self.engine == Choice::OpenPose
    }

    /// Opens the engine; `note` is called with what is worth knowing.
    pub fn open(&self, people: MaxPeople, note: &dyn Fn(&str)) -> Result<Box<dyn Engine>, OpenError> {
        let selection = self.selection(people);
        let open = || engines::open(&selection, &mut |notice| note(&notice.to_string()));
        Ok(stderr_filter::without_greeting(open)?)
    }

    /// OpenPose in this process.
    pub fn open_openpose(&self, people: MaxPeople) -> Result<Box<dyn Engine>, EngineError> {
        engines::open_openpose(&self.selection(people)).map_err(|error| {
            EngineError::new(error.kind(), format!("{}{}", Chain(&error), engine_hint(&error)))
        })
    }

    fn selection(&self, people: MaxPeople) -> Selection {
        let (device, gpu) = match self.device {
            Device::Auto => (engines::Device::Best, None),
            Device::Cpu => (engines::Device::Cpu, None),
            Device::Cuda(gpu) => (engines::Device::Gpu, gpu),
        };
        Selection {
            engine: match self.engine {
                Choice::Auto => engines::Choice::Best,
                Choice::OpenPose => engines::Choice::OpenPose,
                Choice::Native => engines::Choice::Native,
                Choice::Holistic => engines::Choice::Holistic,
            },
            model_folder: self.model_folder.clone(),
            device,
            cuda: CudaOptions::default()
                .with_gpu(gpu.unwrap_or(self.gpu))
                .with_precision(self.precision)
                .with_batch(self.batch)
                .with_kernels(self.cuda_kernels),
            threads: self.threads,
            openpose: self.openpose.options(people.limit()),
            holistic: self.holistic.options().with_max_people(people.followed()),
            openpose_process: (!self.is_embedded).then(openpose_process),
            openpose_log: self.engine_log.clone(),
            ..Selection::default()
        }
    }
}

/// The arguments for OpenPose's own process: those of this one, under another subcommand.
fn openpose_process() -> Vec<OsString> {
    // A worker's own arguments begin with its subcommand.
    let mut arguments = env::args_os().skip(1).peekable();
    arguments.next_if(|argument| argument == workers::NAME);
    iter::once(OsString::from(engine_process::NAME)).chain(arguments).collect()
}
