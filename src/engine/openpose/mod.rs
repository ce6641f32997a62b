//! OpenPose 1.5.1 itself, in this process, through its C++ API.
//!
//! The library is reached through a C++ shim (`ffi/`) that the build script compiles if OpenPose is present, and
//! that is searched for at run time: beside the program, where it was built, or in `OPPOSE_SHIM`. OpenPose's Caffe
//! ends the whole process if it meets something unexpected. Whatever can be known beforehand is checked before it
//! starts; to survive the rest, run it in a [process of its own](crate::engine::isolated).

mod gpu_code;
mod preflight;
mod shim;

use std::fmt;
use std::path::{Path, PathBuf};

pub use gpu_code::GpuCode;
pub use preflight::unpublished;
pub use shim::{SHIM_VARIABLE, find_shim};

use self::shim::{POINTS, Running, Shim};
use super::models::listed;
use super::native::assemble::size::SizeError;
use super::native::model::ModelError;
use super::native::{self, BackendInfo, OptionError};
use super::{Engine, EngineError, EngineErrorKind, EngineInfo};
use crate::gpu::{self, ComputeCapability, GpuError};
use crate::pose::{FramePose, Skeleton, openpose_137};
use oppose_core::{Frame, VideoInfo};

/// The engine's name.
pub const NAME: &str = "openpose";

/// How many frames each of OpenPose's queues holds. A frame passes through at least three of them.
const QUEUE_SIZE: i32 = 2;
/// Frames in flight: enough that OpenPose never waits for frames, and few enough that a push never waits.
const CAPACITY: usize = 4;

/// Settings of the engine.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// OpenPose's own options. Its build decides the variant, so `parity` is ignored.
    pub keypoints: native::Options,
    /// Index of the GPU, from 0. Ignored if OpenPose was built without GPU support.
    pub gpu: usize,
    /// Whether OpenPose and Caffe may print everything they log. Errors are printed in any case.
    pub is_verbose: bool,
}

impl Options {
    /// The same options with `keypoints`.
    #[must_use]
    pub fn with_keypoints(mut self, keypoints: native::Options) -> Self {
        self.keypoints = keypoints;
        self
    }

    /// The same options with `gpu`.
    #[must_use]
    pub fn with_gpu(mut self, gpu: usize) -> Self {
        self.gpu = gpu;
        self
    }

    /// The same options with `is_verbose`.
    #[must_use]
    pub fn with_is_verbose(mut self, is_verbose: bool) -> Self {
        self.is_verbose = is_verbose;
        self
    }
}

/// Why OpenPose cannot be used, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenPoseError {
    /// The shim was not found.
    #[error(
        "the engine openpose is not installed: there is no shim at {}; use the container, or build with OPENPOSE_DIR naming the folder of an OpenPose 1.5.1 that was built there",
        listed(searched)
    )]
    NoShim {
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// The shim does not load.
    #[error("{} does not load ({})", path.display(), advice(&**source))]
    Load {
        /// The shim.
        path: PathBuf,
        /// The loader's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The shim is of another version of this program.
    #[error(
        "{} is version {found} of the OpenPose shim, this program needs {expected}: build both from the same source",
        path.display()
    )]
    ShimVersion {
        /// The shim.
        path: PathBuf,
        /// The version that it reports.
        found: u32,
        /// The version that is needed.
        expected: u32,
    },
    /// A model is missing or damaged.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The folder's name cannot be passed to C.
    #[error("the models folder {} has a zero byte in its name", folder.display())]
    ModelFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// An option cannot be used.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// OpenPose was built for a GPU, and none can be used.
    #[error("this OpenPose needs a GPU (the engine native runs the same nets without one)")]
    Gpu(#[from] GpuError),
    /// There is no GPU with this index.
    #[error("GPU {index} does not exist: there are {gpus}, numbered from 0")]
    NoSuchGpu {
        /// The index that was requested.
        index: usize,
        /// How many there are.
        gpus: usize,
    },
    /// OpenPose has no code for the GPU.
    #[error(
        "this OpenPose cannot run on {gpu} (compute capability {found}): it was built for {code}; use such a GPU, or the engine native"
    )]
    NoCode {
        /// The GPU's name.
        gpu: String,
        /// The GPU's compute capability.
        found: ComputeCapability,
        /// The compute capabilities that OpenPose has code for.
        code: String,
    },
    /// A frame cannot be used; OpenPose would damage its own memory.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// More frames were pushed than may be in flight.
    #[error("{0} frames are in flight already: pop a result before the next push")]
    Full(usize),
    /// Results came out of order.
    #[error("OpenPose gave the result of frame {found} in place of frame {expected}")]
    Order {
        /// The frame whose result arrived, counted from 0 since the engine was opened.
        found: u64,
        /// The frame whose result was due.
        expected: u64,
    },
    /// OpenPose failed.
    #[error("OpenPose failed: {words}")]
    Failed {
        /// OpenPose's message.
        words: String,
    },
}

/// What to do about a shim that does not load.
fn advice(error: &dyn std::error::Error) -> &'static str {
    match error.to_string().contains("cannot open shared object file") {
        true => {
            "name the folder of the missing library in LD_LIBRARY_PATH; OpenPose's Caffe is in its build/caffe/lib"
        }
        false => {
            "it needs the OpenPose it was built with; build it again with OPENPOSE_DIR naming that OpenPose's folder"
        }
    }
}

/// An OpenPose that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installed {
    /// Its version.
    pub build: String,
    /// The GPU code in it; empty if it was built for the CPU.
    pub gpu_code: Option<GpuCode>,
}

impl From<OpenPoseError> for EngineError {
    fn from(error: OpenPoseError) -> Self {
        let kind = match &error {
            OpenPoseError::Size(_) => EngineErrorKind::Unsuitable,
            OpenPoseError::Gpu(_) | OpenPoseError::NoSuchGpu { .. } | OpenPoseError::NoCode { .. } => {
                EngineErrorKind::Device
            }
            _ => EngineErrorKind::Failed,
        };
        Self::new(kind, error)
    }
}

/// OpenPose, running.
pub struct OpenPose {
    running: Running,
    options: Options,
    build: String,
    info: BackendInfo,
}

impl OpenPose {
    /// Checks everything that can be known beforehand, loads OpenPose and starts it. Blocks for some seconds.
    ///
    /// # Errors
    /// A model is missing or damaged, OpenPose is missing or of another kind than the shim, an option cannot be
    /// used, it needs a GPU and there is none, or it has no code for this GPU.
    pub fn open(model_folder: &Path, options: Options) -> Result<Self, OpenPoseError> {
        options.keypoints.check()?;
        preflight::models(model_folder)?;
        let shim = Shim::load()?;
        let mut device = EngineInfo::CPU.to_owned();
        if shim.needs_gpu() {
            preflight::gpu(&gpu::detect()?, options.gpu)?;
            device = gpu::device_name(options.gpu);
        }
        let build = shim.openpose();
        let info = BackendInfo::new(device, "fp32", model_folder.to_owned());
        Ok(Self { running: Running::start(shim, model_folder, &options)?, options, build, info })
    }

    /// Whether there is an OpenPose here that runs on a GPU, and this GPU for it.
    pub fn has_gpu(gpu: usize) -> bool {
        // The driver is asked first: loading OpenPose takes a good deal longer.
        gpu::detect().is_ok_and(|driver| {
            Shim::load().is_ok_and(|shim| shim.needs_gpu() && preflight::gpu(&driver, gpu).is_ok())
        })
    }

    /// Loads OpenPose to find out its version and what it needs.
    ///
    /// # Errors
    /// It is missing, does not load, or the shim belongs to another version of this program.
    pub fn installed() -> Result<Installed, OpenPoseError> {
        let shim = Shim::load()?;
        Ok(Installed { build: shim.openpose(), gpu_code: shim.needs_gpu().then(preflight::gpu_code) })
    }

    /// OpenPose's version.
    pub fn build(&self) -> &str {
        &self.build
    }
}

impl fmt::Debug for OpenPose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenPose")
            .field("build", &self.build)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Engine for OpenPose {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        self.options.keypoints.describe(NAME, &self.info)
    }

    fn skeleton(&self) -> &'static Skeleton {
        debug_assert_eq!(openpose_137().points(), POINTS);
        openpose_137()
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError> {
        Ok(self.options.keypoints.check_frame(info.width, info.height).map_err(OpenPoseError::from)?)
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        if self.running.in_flight() == CAPACITY {
            return Err(OpenPoseError::Full(CAPACITY).into());
        }
        // A caller may not have said beforehand how large its frames are.
        self.options.keypoints.check_frame(frame.width(), frame.height()).map_err(OpenPoseError::from)?;
        Ok(self.running.push(frame)?)
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        Ok(self.running.pop(pose)?)
    }
}
