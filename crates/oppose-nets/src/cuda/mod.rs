//! Runs the nets, and everything around them, on an NVIDIA GPU.
//!
//! One build works with every GPU since compute capability 7.0: NVIDIA's driver is looked up when the program runs, and the
//! kernels for the GPU are shipped with the program, or NVRTC compiles them once.
//!
//! | file | what |
//! | --- | --- |
//! | `driver` | CUDA's driver: memory, streams, events, code; NVRTC, the compiler |
//! | `kernels` | the code, one file per kernel, and its parameters |
//! | `cache` | code that was shipped with the program or compiled earlier |
//! | `net`, `weights` | a net: its weights, its memory, its recorded launches |
//! | `backend` | OpenPose's three nets, from host memory to host memory |
//! | `bodies`, `crops` | the stages around the nets: frames in, peaks and scores out |
//! | `engine` | batches of frames in flight |
//! | `measure` | how long nets take |
//!
//! No code outside this module sees a device pointer.

mod backend;
mod bodies;
mod cache;
mod crops;
mod driver;
mod engine;
mod kernels;
mod measure;
mod net;
mod weights;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

pub use backend::CudaNets;
pub use cache::VARIABLE as KERNELS_VARIABLE;
// Counts allocations; for tests.
#[doc(hidden)]
pub use driver::allocations;
pub use driver::{Nvrtc, NvrtcError};
pub use engine::{Cuda, MAX_BATCH};
pub use kernels::{AHEAD, KernelPath, OLDEST_GPU, came_with_program, compile_ahead};
// For benchmarks.
#[doc(hidden)]
pub use measure::Job;

use self::driver::Context;
use self::kernels::Kernels;
use self::net::Gpu;
use super::model::{self, ModelError};
use super::{BackendInfo, OptionError};
use oppose_core::EngineErrorKind;

use crate::gpu::{self, ComputeCapability, GpuError};

/// The floating-point format in which the nets are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Single precision, as in OpenPose.
    Fp32,
    /// Each value as two of half precision, which together have 22 bits of mantissa; three products for each one of single
    /// precision, added up in single precision. As close to OpenPose as single precision is.
    #[default]
    Fp16x3,
    /// Single precision in memory; the tensor cores use 10 bits of the mantissa.
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

/// Options of the engine on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CudaOptions {
    /// Index of the GPU among those that the driver shows.
    pub gpu: usize,
    /// The floating-point format in which the nets are computed.
    pub precision: Precision,
    /// Number of frames that the body net processes at once: 1 to [`MAX_BATCH`]. The face net takes as many faces; the hand
    /// net up to twice as many hands, as a person has two.
    pub batch: usize,
    /// The instructions that convolutions use; by default the fastest that the GPU has.
    pub kernels: Option<KernelPath>,
}

impl CudaOptions {
    /// The same options with `gpu`.
    #[must_use]
    pub fn with_gpu(mut self, gpu: usize) -> Self {
        self.gpu = gpu;
        self
    }

    /// The same options with `precision`.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// The same options with `batch`.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// The same options with `kernels`.
    #[must_use]
    pub fn with_kernels(mut self, kernels: impl Into<Option<KernelPath>>) -> Self {
        self.kernels = kernels.into();
        self
    }

    /// Checks that the options can be used.
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

/// Why a GPU cannot be used, or has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// There is no usable GPU.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// There is no GPU with this index.
    #[error("GPU {asked} does not exist: there are {found}, numbered from 0")]
    Number {
        /// Index of the requested GPU.
        asked: usize,
        /// How many there are.
        found: usize,
    },
    /// The GPU cannot compute in this precision.
    #[error(
        "{precision} needs a GPU of compute capability {needed} or later, this one has {found}: choose fp16, fp16x3 \
         or fp32, or the CPU"
    )]
    Precision {
        /// The requested precision.
        precision: Precision,
        /// The compute capability that it needs.
        needed: ComputeCapability,
        /// The compute capability of the GPU.
        found: ComputeCapability,
    },
    /// The GPU does not have the requested instructions.
    #[error("{path} kernels do not run on a GPU of compute capability {found}")]
    KernelPath {
        /// The requested instructions.
        path: KernelPath,
        /// The compute capability of the GPU.
        found: ComputeCapability,
    },
    /// Kernels that were compiled ahead cannot be written.
    #[error("cannot write kernels into {}", folder.display())]
    Kernels {
        /// The folder.
        folder: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The kernels cannot be compiled.
    #[error(transparent)]
    Compiler(#[from] NvrtcError),
    /// A net cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The net contains a layer that cannot run on a GPU.
    #[error("the net is not one of OpenPose's: {layer} {what}; run it on the CPU")]
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
        "the GPU's memory is too small: {} MB more are needed, {} MB are free; choose a smaller batch or net \
         resolution, or end other programs that use it (`nvidia-smi` lists them)",
        wanted >> 20, free >> 20
    )]
    OutOfMemory {
        /// Bytes that are needed in addition.
        wanted: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// Frames of this size do not fit into the GPU's memory.
    #[error(
        "the GPU's memory is too small: frames of {width}x{height} need {} MB in batches of {batch}, {} MB are free; {}",
        needed >> 20, free >> 20, advice(*fits)
    )]
    Batch {
        /// Width of the frames in pixels.
        width: u32,
        /// Height of the frames in pixels.
        height: u32,
        /// Number of frames in a batch.
        batch: usize,
        /// Bytes that the frames need.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// The largest batch that would fit; 0 if none does.
        fits: usize,
    },
    /// The kernels cannot count that many pixels.
    #[error(
        "batches of {batch} net inputs of {width}x{height} have more than {limit} pixels; choose a smaller batch or net \
         resolution"
    )]
    Pixels {
        /// Number of inputs in a batch.
        batch: usize,
        /// Width of the inputs in pixels.
        width: usize,
        /// Height of the inputs in pixels.
        height: usize,
        /// The limit.
        limit: usize,
    },
    /// The driver refuses, or work on the GPU failed.
    #[error("the GPU fails: {call} returned {code}; `nvidia-smi` shows whether it still works")]
    Driver {
        /// The function.
        call: &'static str,
        /// CUDA's name for the error.
        code: String,
    },
    /// The thread that feeds the GPU has ended.
    #[error("the thread that works with the GPU has ended")]
    Ended,
    /// The thread that feeds the GPU cannot be started.
    #[error("cannot start the thread that works with the GPU")]
    Thread(#[source] std::io::Error),
}

impl CudaError {
    /// The kind of engine error that this is.
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
        0 => "choose a smaller net resolution, or the CPU".into(),
        fits => format!("batches of {fits} would fit"),
    }
}

/// How many inputs a net gets at once. A few hands leave most of a GPU idle, so two per frame are computed together, as
/// long as they need no more memory than 16 would with two parts per value.
fn images(net: model::Net, options: CudaOptions) -> usize {
    let enough = if options.precision == Precision::Fp16 { 32 } else { 16 };
    match net {
        model::Net::Hand => (2 * options.batch).min(options.batch.max(enough)),
        _ => options.batch,
    }
}

/// Finds the GPU and loads or compiles the kernels for it.
fn open(options: CudaOptions) -> Result<Arc<Gpu>, CudaError> {
    options.check()?;
    let driver = gpu::detect()?;
    let found = driver.gpus.get(options.gpu);
    let found = found.ok_or(CudaError::Number { asked: options.gpu, found: driver.gpus.len() })?;
    let context = Context::new(found, driver.cuda)?;
    let kernels = Kernels::new(&context, options.precision, options.kernels)?;
    Ok(Arc::new(Gpu { context, kernels, precision: options.precision }))
}

/// The provenance of results.
fn info(model_folder: &Path, options: CudaOptions) -> BackendInfo {
    BackendInfo::new(gpu::device_name(options.gpu), options.precision.to_string(), model_folder.to_owned())
}
