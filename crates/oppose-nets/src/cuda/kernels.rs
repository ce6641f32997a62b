//! The code that runs on the GPU, and its parameters.
//!
//! | file | what |
//! | --- | --- |
//! | `path` | the instructions that convolutions use, chosen for the GPU |
//! | `shapes` | how convolutions are divided into blocks and warps |
//! | `code` | the files of CUDA C++, and how each is compiled |
//! | `parameters` | the structs that kernels take |
//!
//! Numbers on which both sides must agree are passed to the compiler as macros; the layouts of the parameters are
//! asserted in the compiled code. Neither side can be changed alone.

// Kernels are looked up by name, as functions that take one of the parameters below.
#![allow(unsafe_code)]

mod code;
mod parameters;
mod path;
mod shapes;

use std::path::Path;
use std::sync::Arc;

use self::code::{Code, is_single};
pub use self::parameters::{
    Candidate, Colors, FindLargest, FindPeaks, FirstConvolution, HopperConvolution, Largest, Layer, Limb,
    MAX_SOURCES, Output, Outputs, Peak, Picture, PlainConvolution, Pooling, PoolingConvolution, ScoreLimbs,
    Source, Warp,
};
use self::path::AMPERE;
pub use self::path::{AHEAD, KernelPath, OLDEST_GPU};
pub use self::shapes::EXTRA_PIXELS;
use self::shapes::{Shape, Shapes, shapes};
use super::cache;
use super::driver::{Context, Element, Kernel, Module, Nvrtc};
use super::{CudaError, Precision};
use crate::gpu::ComputeCapability;

/// A way to divide a convolution into tiles.
#[derive(Debug)]
pub struct Tile<P> {
    /// The code for it.
    pub kernel: Kernel<P>,
    /// Output channels of a tile.
    pub channels: usize,
    /// Pixels of a tile.
    pub pixels: usize,
    /// Threads per block.
    pub threads: usize,
    /// Positions without a pixel after each row of pixels, if the convolution kernel is larger than 1 × 1.
    pub row_gap: usize,
    /// The number of blocks that the GPU runs at once, if a block computes several tiles.
    pub max_blocks: Option<usize>,
}

/// The ways to divide a convolution, each of which suits some layers and batches.
#[derive(Debug)]
pub struct Tiles<P> {
    /// For many pixels.
    pub wide: Tile<P>,
    /// For fewer pixels, or few input channels.
    pub narrow: Tile<P>,
    /// For so few pixels that larger tiles would make fewer blocks than there are multiprocessors.
    pub small: Tile<P>,
    /// For at most [`FEW_CHANNELS`] output channels.
    pub thin: Tile<P>,
}

/// How convolutions are computed.
#[derive(Debug)]
pub enum Convolve {
    /// With Hopper's own instructions.
    Hopper {
        /// In general.
        tiles: Box<Tiles<HopperConvolution>>,
        /// For at most [`FEW_CHANNELS`] channels and pooling, in half precision.
        pooling: Option<Kernel<PoolingConvolution>>,
    },
    /// On the tensor cores of other GPUs.
    Tensor(Box<Tiles<PlainConvolution>>),
    /// In single precision.
    Single(Kernel<PlainConvolution>),
}

/// Width and height of the pixels that a block of [`PoolingConvolution`] loads at once: a tile and its border.
pub const POOLING_LOADS: (usize, usize) = (10, 34);
/// Channels that [`PoolingConvolution`] and [`FirstConvolution`] can have.
pub const FEW_CHANNELS: usize = 64;
/// Width and height of a tile of [`FirstConvolution`].
pub const FIRST_TILE: (usize, usize) = (64, 32);
/// Number of inputs per output of [`FirstConvolution`], padded.
pub const FIRST_INPUTS: usize = 32;
/// Pixels and output channels per block of the convolution in single precision.
pub const SINGLE_TILE: (usize, usize) = (128, 64);
/// Threads per block that finds peaks.
pub const PEAK_THREADS: usize = 512;
/// Threads per block that convolves and pools.
pub const POOLING_THREADS: usize = 288;
/// Threads per block for all other kernels.
pub const THREADS: usize = 256;

/// All kernels, for one GPU and precision.
#[derive(Debug)]
pub struct Kernels {
    /// See [`Convolve`].
    pub convolve: Convolve,
    /// From the frame to [`FEW_CHANNELS`] channels, in half precision.
    pub first: Option<Kernel<FirstConvolution>>,
    /// Halves the size.
    pub pool: Kernel<Pooling>,
    /// Converts luma and chroma to pixels.
    pub convert_colors: Kernel<Colors>,
    /// Makes net inputs.
    pub warp: Kernel<Warp>,
    /// Finds candidates for body parts.
    pub find_peaks: Kernel<FindPeaks>,
    /// Finds the pairs of peaks that limbs may join.
    pub score_limbs: Kernel<ScoreLimbs>,
    /// Finds points of faces and hands.
    pub find_largest: Kernel<FindLargest>,
}

impl Kernels {
    /// Loads kernels that were compiled in advance or earlier, or compiles them. By default, `path` is the fastest for the
    /// GPU.
    ///
    /// # Errors
    /// The GPU does not have that precision or those instructions, or the compiler is missing.
    pub fn new(
        context: &Arc<Context>,
        precision: Precision,
        path: Option<KernelPath>,
    ) -> Result<Self, CudaError> {
        let gpu = context.compute_capability;
        check(precision, gpu)?;
        let path = path.unwrap_or(KernelPath::best(gpu, precision));
        if !path.runs_on(gpu) {
            return Err(CudaError::KernelPath { path, found: gpu });
        }
        let loader = Loader { context, gpu, precision };
        let module = loader.module(&Code::convolution(path, precision, gpu))?;
        let convolve = if is_single(path, precision) {
            // SAFETY: the struct mirrors the kernel's parameter.
            Convolve::Single(unsafe { module.kernel("convolve", 0) }?)
        } else if path == KernelPath::Hopper {
            let pooling = Code::pooling_convolution(path, precision);
            let pooling = pooling.map(|code| loader.pooling_convolution(&code)).transpose()?;
            // SAFETY: the struct mirrors the kernels' parameter.
            let tiles = unsafe { tiles(context, &module, path, precision) }?;
            Convolve::Hopper { tiles: Box::new(tiles), pooling }
        } else {
            // SAFETY: the struct mirrors the kernels' parameter.
            Convolve::Tensor(Box::new(unsafe { tiles(context, &module, path, precision) }?))
        };
        let first = Code::first(path, precision).map(|code| -> Result<_, CudaError> {
            let module = loader.module(&code)?;
            // SAFETY: the struct mirrors the kernel's parameter.
            unsafe { module.kernel("convolve_first", 0) }
        });
        // SAFETY: the structs mirror the kernels' parameters.
        unsafe {
            Ok(Self {
                convolve,
                first: first.transpose()?,
                pool: loader.module(&Code::pool())?.kernel("pool", 0)?,
                convert_colors: loader.module(&Code::colors())?.kernel("convert_colors", 0)?,
                warp: loader.module(&Code::warp())?.kernel("warp", 0)?,
                find_peaks: loader.module(&Code::peaks())?.kernel("find_peaks", 0)?,
                score_limbs: loader.module(&Code::limbs())?.kernel("score_limbs", 0)?,
                find_largest: loader.module(&Code::largest())?.kernel("find_largest", 0)?,
            })
        }
    }
}

/// Whether a GPU can compute in this precision.
fn check(precision: Precision, gpu: ComputeCapability) -> Result<(), CudaError> {
    let needed = if precision == Precision::Tf32 { AMPERE } else { OLDEST_GPU };
    if gpu < needed { Err(CudaError::Precision { precision, needed, found: gpu }) } else { Ok(()) }
}

/// # Safety
/// The kernels take a `P`.
unsafe fn tiles<P: Copy>(
    context: &Context,
    module: &Arc<Module>,
    path: KernelPath,
    precision: Precision,
) -> Result<Tiles<P>, CudaError> {
    let tile = |name: &'static str, shape: Shape| -> Result<Tile<P>, CudaError> {
        // SAFETY: the caller guarantees the type of the parameter.
        let kernel = unsafe { module.kernel(name, shape.shared_bytes(path, precision)) }?;
        let is_hopper = path == KernelPath::Hopper;
        Ok(Tile {
            kernel,
            channels: shape.channels,
            pixels: shape.pixels,
            threads: shape.threads(precision),
            row_gap: usize::from(is_hopper),
            max_blocks: is_hopper.then_some(context.multiprocessors * shape.blocks),
        })
    };
    let Shapes { wide, narrow, small, thin } = shapes(path, precision, context.compute_capability);
    Ok(Tiles {
        wide: tile("convolve_wide", wide)?,
        narrow: tile("convolve_narrow", narrow)?,
        small: tile("convolve_small", small)?,
        thin: tile("convolve_thin", thin)?,
    })
}

struct Loader<'a> {
    context: &'a Arc<Context>,
    gpu: ComputeCapability,
    precision: Precision,
}

impl Loader<'_> {
    fn pooling_convolution(&self, code: &Code) -> Result<Kernel<PoolingConvolution>, CudaError> {
        // Weights, two buffers in steps of 1024 bytes, pooled pixels of two groups of warps, barriers, room for alignment.
        let (width, height) = POOLING_LOADS;
        let buffer = (width * height * 128).next_multiple_of(1024);
        let shared_bytes =
            9 * FEW_CHANNELS * 128 + 2 * buffer + 2 * 32 * (2 * FEW_CHANNELS + 16) + 5 * 8 + 1024;
        // SAFETY: the struct mirrors the kernel's parameter.
        unsafe { self.module(code)?.kernel("convolve_and_pool", shared_bytes) }
    }

    fn module(&self, code: &Code) -> Result<Arc<Module>, CudaError> {
        let compile = || Ok(code.compile(&Nvrtc::find_for(self.gpu)?, self.precision, self.gpu)?);
        let load = |code: &[u8]| Module::load(self.context, code);
        cache::load(&code.keys(self.precision, self.gpu), compile, load)
    }
}

/// Compiles all kernels for a kind of GPU, in all precisions, and writes them to `folder`, from which programs load them
/// without a compiler. Needs no GPU, and takes minutes. Returns the number of files.
///
/// # Errors
/// The compiler is missing or does not support the GPU, or a file cannot be written.
pub fn compile_ahead(folder: &Path, gpu: ComputeCapability) -> Result<usize, CudaError> {
    let compiler = Nvrtc::find_for(gpu)?;
    let mut keys = Vec::new();
    for precision in Precision::ALL.into_iter().filter(|&precision| check(precision, gpu).is_ok()) {
        for code in Code::all(KernelPath::best(gpu, precision), precision, gpu) {
            let Some(key) = code.keys(precision, gpu).into_iter().next() else { continue };
            if !keys.contains(&key) {
                let compiled = code.compile(&compiler, precision, gpu)?;
                cache::write(folder, &key, &compiled)
                    .map_err(|error| CudaError::Kernels { folder: folder.into(), source: error })?;
                keys.push(key);
            }
        }
    }
    Ok(keys.len())
}

/// Whether the kernels for a GPU, in this precision, were shipped with the program, so that no compiler is needed.
pub fn came_with_program(gpu: ComputeCapability, precision: Precision) -> bool {
    let all = Code::all(KernelPath::best(gpu, precision), precision, gpu);
    all.iter().all(|code| cache::is_shipped(&code.keys(precision, gpu)))
}

impl Precision {
    /// The type of a tensor's elements.
    pub fn element(self) -> Element {
        match self {
            Self::Fp16 | Self::Fp16x3 => Element::Half,
            Self::Tf32 | Self::Fp32 => Element::Single,
        }
    }

    /// How many elements form a value.
    pub fn parts(self) -> usize {
        if self == Self::Fp16x3 { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::path::{HOPPER, TURING};
    use super::shapes::shared_memory;
    use super::*;

    fn gpu(major: u32, minor: u32) -> ComputeCapability {
        ComputeCapability { major, minor }
    }

    #[test]
    fn errors_for_old_cards_say_what_is_needed() {
        for precision in [Precision::Fp16, Precision::Fp16x3, Precision::Fp32] {
            assert!(check(precision, gpu(7, 0)).is_ok());
        }
        assert!(check(Precision::Tf32, gpu(8, 6)).is_ok());
        let error = check(Precision::Fp32, gpu(6, 1)).unwrap_err().to_string();
        assert!(error.contains("capability 7.0 or later, this one has 6.1"), "{error}");
        let error = check(Precision::Tf32, gpu(7, 5)).unwrap_err().to_string();
        assert!(error.contains("tf32 needs") && error.contains("8.0 or later, this one has 7.5"), "{error}");
    }

    /// Since Ampere, each block takes one kilobyte more than it requests.
    #[test]
    fn blocks_fit_on_every_card() {
        let cards = AHEAD.into_iter().flat_map(|gpu| KernelPath::ALL.map(|path| (gpu, path)));
        for (gpu, path) in cards.filter(|(gpu, path)| path.runs_on(*gpu)) {
            let reserved = if gpu >= AMPERE { 1 << 10 } else { 0 };
            for precision in Precision::ALL.into_iter().filter(|&precision| !is_single(path, precision)) {
                let Shapes { wide, narrow, small, thin } = shapes(path, precision, gpu);
                for shape in [wide, narrow, small, thin] {
                    let bytes = shape.shared_bytes(path, precision) + reserved;
                    assert!(
                        bytes <= shared_memory(gpu),
                        "{gpu} {path} {precision}: {shape:?} takes {bytes} bytes"
                    );
                }
                assert!(thin.channels <= FEW_CHANNELS && wide.channels % narrow.channels == 0);
                assert!(wide.channels % small.channels == 0 && thin.channels % small.channels == 0);
            }
        }
    }

    /// The compiler, if there is one, checks every layout and constant.
    #[test]
    fn all_kernels_compile_ahead_of_time() {
        let Ok(compiler) = Nvrtc::find() else {
            println!("skipped: NVRTC is missing");
            return;
        };
        println!("NVRTC {}", compiler.version());
        let folder = tempfile::tempdir().unwrap();
        for gpu in
            [OLDEST_GPU, TURING, AMPERE, HOPPER].into_iter().filter(|&gpu| Nvrtc::find_for(gpu).is_ok())
        {
            assert!(compile_ahead(folder.path(), gpu).unwrap() > 8, "{gpu}");
        }
    }
}
