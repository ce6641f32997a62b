//! Runs the nets, and all that is around them, on an NVIDIA GPU.
//!
//! One build serves every GPU since compute capability 7.0: NVIDIA's driver is looked up when the program runs, and the
//! kernels for the GPU that is there come with the program, or are compiled for it, once, by NVRTC.
//!
//! | file | what |
//! | --- | --- |
//! | `driver` | CUDA's driver: memory, streams, events, code; NVRTC, the compiler |
//! | `kernels` | the code, a file a kernel, and its parameters |
//! | `cache` | code that came with the program, or was compiled before |
//! | `plan` | which layer reads what from where; tensors that share memory |
//! | `net`, `weights` | a net: its weights, its memory, its launches, recorded |
//! | `backend` | OpenPose's three nets, from host memory to host memory |
//! | `bodies`, `crops` | what is around the nets: frames in, peaks and scores out |
//! | `engine` | batches of frames in flight |
//! | `measure` | how long nets take |

// Launching kernels is unsafe; nothing above this module sees a pointer of the GPU's.

mod backend;
mod bodies;
mod cache;
mod crops;
mod driver;
mod engine;
mod kernels;
mod measure;
mod net;
mod plan;
mod weights;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

pub use backend::CudaNets;
pub use cache::VARIABLE as KERNELS_VARIABLE;
pub use driver::{Nvrtc, NvrtcError, allocations};
pub use engine::{Cuda, MAX_BATCH};
pub use kernels::{AHEAD, KernelPath, OLDEST_GPU, came_with_program, compile_ahead};
pub use measure::Job;

use self::driver::Context;
use self::kernels::Kernels;
use self::net::Gpu;
use super::model::ModelError;
use super::{BackendInfo, OptionError};
use oppose_core::EngineErrorKind;

use crate::gpu::{self, ComputeCapability, GpuError};

/// In which numbers the nets are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision, as OpenPose computes them.
    Fp32,
    /// Each value as two of half precision, which together have 22 bits of mantissa; three products for each of single
    /// precision, whose sums are added up in single precision. As near to OpenPose as single precision is.
    #[default]
    Fp16x3,
    /// Single precision in memory, of which the tensor cores use 10 bits of mantissa.
    Tf32,
    /// Half precision in memory; sums in single precision.
    Fp16,
}

impl Precision {
    /// All of them, the most exact first.
    pub const ALL: [Self; 4] = [Self::Fp32, Self::Fp16x3, Self::Tf32, Self::Fp16];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16x3 => "fp16x3",
            Self::Tf32 => "tf32",
            Self::Fp16 => "fp16",
        })
    }
}

impl FromStr for Precision {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        Self::ALL.into_iter().find(|precision| precision.to_string() == text).ok_or_else(|| OptionError {
            option: "precision",
            found: text.into(),
            expected: "fp32, fp16x3, tf32 or fp16",
        })
    }
}

/// What concerns the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CudaOptions {
    /// Number of the GPU among those the driver shows.
    pub gpu: usize,
    /// In which numbers the nets are computed.
    pub precision: Precision,
    /// Frames that the body net sees at once, and faces and hands that theirs do: 1 to [`MAX_BATCH`].
    pub batch: usize,
    /// Which instructions convolutions are made of; the best for the GPU where absent.
    pub kernels: Option<KernelPath>,
}

impl CudaOptions {
    /// Whether they can be used.
    fn check(self) -> Result<(), OptionError> {
        match (1..=MAX_BATCH).contains(&self.batch) {
            true => Ok(()),
            false => {
                Err(OptionError { option: "batch", found: self.batch.to_string(), expected: "1 to 128" })
            }
        }
    }
}

impl Default for CudaOptions {
    fn default() -> Self {
        Self { gpu: 0, precision: Precision::default(), batch: 16, kernels: None }
    }
}

/// Why the GPU cannot be used, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// There is no GPU that could be used.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// There are fewer GPUs.
    #[error(
        "GPU {asked} does not exist: there are {found}, numbered from 0 (`oppose-native doctor` lists them)"
    )]
    Number {
        /// The GPU that was asked for.
        asked: usize,
        /// How many there are.
        found: usize,
    },
    /// The GPU cannot compute in this precision.
    #[error(
        "{precision} needs a GPU of compute capability {needed} or later, this one has {found}: use --precision fp16, \
         fp16x3 or fp32, or --device cpu"
    )]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// What it needs.
        needed: ComputeCapability,
        /// What the GPU has.
        found: ComputeCapability,
    },
    /// The GPU does not have the instructions that were asked for.
    #[error("{path} kernels do not run on a GPU of compute capability {found}")]
    KernelPath {
        /// What was asked for.
        path: KernelPath,
        /// What the GPU has.
        found: ComputeCapability,
    },
    /// Kernels that were compiled ahead cannot be written.
    #[error("cannot write kernels into {}: {error}", folder.display())]
    Kernels {
        /// The folder.
        folder: std::path::PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The kernels cannot be compiled.
    #[error(transparent)]
    Compiler(#[from] NvrtcError),
    /// A net cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The net is made of something that is not run on a GPU.
    #[error("the net is not one of OpenPose's: {layer} {what}; use --device cpu")]
    Net {
        /// The layer or tensor.
        layer: String,
        /// What it does.
        what: &'static str,
    },
    /// An option cannot be used.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The GPU's memory is too small.
    #[error(
        "the GPU's memory is too small: {} MB more are needed, {} MB are free; use a smaller --batch or net \
         resolution, or end what else runs on it (`nvidia-smi` shows it)",
        wanted >> 20, free >> 20
    )]
    OutOfMemory {
        /// Bytes.
        wanted: u64,
        /// Bytes.
        free: u64,
    },
    /// Frames of this size do not fit into the GPU's memory.
    #[error(
        "the GPU's memory is too small: frames of {width}x{height} need {} MB at --batch {batch}, {} MB are free; {}",
        needed >> 20, free >> 20, advice(*fits)
    )]
    Batch {
        /// Of the frames, in pixels.
        width: u32,
        /// Of the frames, in pixels.
        height: u32,
        /// Frames at once.
        batch: usize,
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
        /// The largest batch that would fit; 0 where none does.
        fits: usize,
    },
    /// The driver refuses, or something on the GPU went wrong.
    #[error("the GPU fails: {call} says {code}; `nvidia-smi` shows whether it still works")]
    Driver {
        /// The function.
        call: &'static str,
        /// CUDA's name of the error.
        code: String,
    },
    /// The thread that works with the GPU is gone.
    #[error("the thread that works with the GPU has ended")]
    Ended,
    /// The thread that works with the GPU cannot be started.
    #[error("cannot start the thread that works with the GPU: {0}")]
    Thread(#[source] std::io::Error),
}

impl CudaError {
    /// What follows from it for an engine.
    pub(crate) fn kind(&self) -> EngineErrorKind {
        match self {
            Self::Batch { .. } => EngineErrorKind::Unsuitable,
            Self::Model(_) | Self::Option(_) => EngineErrorKind::Failed,
            _ => EngineErrorKind::Device,
        }
    }
}

fn advice(fits: usize) -> String {
    match fits {
        0 => "use a smaller net resolution, or --device cpu".into(),
        fits => format!("--batch {fits} would fit"),
    }
}

/// Looks for the GPU and compiles for it.
fn open(options: CudaOptions) -> Result<Arc<Gpu>, CudaError> {
    options.check()?;
    let driver = gpu::detect()?;
    let found = driver.gpus.get(options.gpu);
    let found = found.ok_or(CudaError::Number { asked: options.gpu, found: driver.gpus.len() })?;
    let context = Context::new(found, driver.cuda)?;
    let kernels = Kernels::new(&context, options.precision, options.kernels)?;
    Ok(Arc::new(Gpu { context, kernels, precision: options.precision }))
}

/// What computes, for the provenance of results.
fn info(model_folder: &Path, options: CudaOptions) -> BackendInfo {
    BackendInfo {
        device: gpu::device_name(options.gpu),
        precision: options.precision.to_string(),
        model_folder: Some(model_folder.to_owned()),
    }
}
