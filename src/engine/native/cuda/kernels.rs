//! The code that runs on the GPU, compiled for the one that is there; and the parameters it takes.

use std::sync::Arc;

use super::cache;
use super::driver::{Context, Element, Kernel, Module, TensorMap};
use super::nvrtc::{Nvrtc, NvrtcError};
use super::plan::MAX_SOURCES;
use super::{CudaError, Precision};
use crate::engine::native::assemble::heat_maps::MAX_SCALES;
use crate::gpu::ComputeCapability;

/// Files that the others include.
const HEADERS: [(&str, &str); 4] = [
    ("element.cuh", include_str!("kernels/element.cuh")),
    ("heat_maps.cuh", include_str!("kernels/heat_maps.cuh")),
    ("hopper.cuh", include_str!("kernels/hopper.cuh")),
    ("layer.cuh", include_str!("kernels/layer.cuh")),
];

/// What becomes of a convolution's sums: `Layer` in layer.cuh, which explains the fields.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Layer {
    pub bias: u64,
    pub slope: u64,
    pub pixels_out: u64,
    pub pixel_stride: i32,
    pub channels_out: i32,
    pub planes_out: u64,
    pub planes: i32,
    pub first_plane: i32,
    pub used_planes: i32,
    pub pixels: i32,
    pub width: i32,
    pub height: i32,
    pub weight_rows: i32,
    pub kernel: i32,
    pub source_count: i32,
    pub chunks: [i32; MAX_SOURCES],
    pub last_steps: [i32; MAX_SOURCES],
}

/// `Convolution` in convolution_hopper.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct HopperConvolution {
    pub sources: [TensorMap; MAX_SOURCES],
    pub weights: TensorMap,
    pub layer: Layer,
}

/// `ConvolveAndPool` in convolution_pooling.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct PoolingConvolution {
    pub pixels: TensorMap,
    pub weights: TensorMap,
    pub layer: Layer,
    pub images: i32,
    pub unused: i32,
}

/// `First` in first.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct FirstConvolution {
    pub from: u64,
    pub weights: u64,
    pub layer: Layer,
    pub images: i32,
    pub unused: i32,
}

/// `Source` in convolution.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Source {
    pub values: u64,
    pub stride: i32,
    pub unused: i32,
}

/// `Convolution` in convolution.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct PortableConvolution {
    pub sources: [Source; MAX_SOURCES],
    pub weights: u64,
    pub layer: Layer,
}

/// `Pooling` in pooling.cu.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Pooling {
    pub from: u64,
    pub to: u64,
    pub width: i32,
    pub height: i32,
    pub channels: i32,
    pub images: i32,
}

/// `Colors` in colors.cu.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Colors {
    pub planes: u64,
    pub pixels: u64,
    pub width: i32,
    pub height: i32,
    /// Black, luma, blue of u, green of u and v, red of v.
    pub matrix: [i16; 6],
    pub unused: i32,
}

/// `Warp` in warp.cu.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Warp {
    pub pictures: u64,
    pub bicubic: u64,
    pub to: u64,
    pub width: i32,
    pub height: i32,
}

/// `Output` in heat_maps.cuh.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Output {
    pub values: u64,
    pub width: i32,
    pub height: i32,
    pub factor: f32,
    pub unused: i32,
}

/// `Outputs` in heat_maps.cuh.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Outputs {
    pub scales: [Output; MAX_SCALES],
    pub count: i32,
    pub channels: i32,
    pub width: i32,
    pub height: i32,
}

/// `FindPeaks` in peaks.cu.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FindPeaks {
    pub maps: Outputs,
    pub peaks: u64,
    pub counts: u64,
    pub threshold: f32,
    pub offset: f32,
}

/// `ScoreLimbs` in limbs.cu.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ScoreLimbs {
    pub maps: Outputs,
    pub limbs: u64,
    pub peaks: u64,
    pub counts: u64,
    pub candidates: u64,
    pub candidate_count: u64,
    pub parts: i32,
    pub least_sample: f32,
    pub least_share: f32,
    pub close_score: f32,
}

/// `FindLargest` in largest.cu.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FindLargest {
    pub maps: Outputs,
    pub largest: u64,
    pub used_channels: i32,
    pub unused: i32,
}

/// A way of cutting a convolution into blocks on Hopper.
#[derive(Debug)]
pub struct HopperTile {
    /// The code for it.
    pub kernel: Kernel<HopperConvolution>,
    /// Output channels of a block.
    pub channels: usize,
    /// Pixels of a block.
    pub pixels: usize,
}

/// Ways of cutting it, of which each suits some layers and batches.
#[derive(Debug)]
pub struct HopperTiles {
    /// For many pixels.
    pub wide: HopperTile,
    /// For fewer pixels, or few input channels.
    pub narrow: HopperTile,
    /// For so few pixels that there would be fewer blocks than multiprocessors.
    pub small: HopperTile,
    /// For at most 64 output channels.
    pub thin: HopperTile,
}

/// How convolutions are computed.
#[derive(Debug)]
pub enum Convolve {
    /// With Hopper's own instructions.
    Hopper {
        /// In general.
        tiles: Box<HopperTiles>,
        /// For at most 64 channels and pooling, in half precision.
        pooling: Option<Kernel<PoolingConvolution>>,
    },
    /// With what all GPUs have.
    Portable(Kernel<PortableConvolution>),
}

/// Width and height of the pixels that a block of [`PoolingConvolution`] loads at once: a tile and its border.
pub const POOLING_LOADS: (usize, usize) = (10, 34);
/// Channels that [`PoolingConvolution`] and [`FirstConvolution`] can have.
pub const FEW_CHANNELS: usize = 64;
/// Width and height of a tile of [`FirstConvolution`].
pub const FIRST_TILE: (usize, usize) = (64, 32);
/// Inputs of an output of [`FirstConvolution`], filled up.
pub const FIRST_INPUTS: usize = 32;
/// Pixels and output channels of a block of the portable convolution.
pub const PORTABLE_TILE: (usize, usize) = (128, 64);
/// Threads of a block: of convolutions on Hopper, of portable ones, of peaks, of everything else.
pub const HOPPER_THREADS: usize = 288;
/// See [`HOPPER_THREADS`].
pub const PEAK_THREADS: usize = 512;
/// See [`HOPPER_THREADS`].
pub const THREADS: usize = 256;

/// All kernels, for one GPU and precision.
#[derive(Debug)]
pub struct Kernels {
    /// See [`Convolve`].
    pub convolve: Convolve,
    /// From the picture to 64 channels, in half precision.
    pub first: Option<Kernel<FirstConvolution>>,
    /// Halves the size.
    pub pool: Kernel<Pooling>,
    /// Makes pixels of luma and chroma.
    pub convert_colors: Kernel<Colors>,
    /// Makes net inputs.
    pub warp: Kernel<Warp>,
    /// Finds where body parts may be.
    pub find_peaks: Kernel<FindPeaks>,
    /// Finds which peaks may be joined.
    pub score_limbs: Kernel<ScoreLimbs>,
    /// Finds points of faces and hands.
    pub find_largest: Kernel<FindLargest>,
}

/// The first GPUs whose tensor cores know TF32.
const TF32_SINCE: ComputeCapability = ComputeCapability { major: 8, minor: 0 };
/// The first GPUs with the product that [`FirstConvolution`] is made of.
const FIRST_SINCE: ComputeCapability = ComputeCapability { major: 8, minor: 0 };
/// The oldest GPUs that are used, Volta: the first with tensor cores.
pub const OLDEST_GPU: ComputeCapability = ComputeCapability { major: 7, minor: 0 };
const HOPPER: ComputeCapability = ComputeCapability { major: 9, minor: 0 };

impl Kernels {
    /// Compiles them, or takes them from the cache. `is_portable` leaves out what only some GPUs have.
    ///
    /// # Errors
    /// The GPU does not have that precision, or the compiler is missing.
    pub fn new(context: &Arc<Context>, precision: Precision, is_portable: bool) -> Result<Self, CudaError> {
        let gpu = context.compute_capability;
        check(precision, gpu)?;
        let compiler = Compiler { context, gpu, precision };
        let is_hopper = gpu == HOPPER && precision != Precision::Fp32 && !is_portable;
        let convolve = if is_hopper {
            let source = include_str!("kernels/convolution_hopper.cu");
            let module = compiler.module("convolution_hopper.cu", source, &[], true)?;
            Convolve::Hopper {
                tiles: Box::new(HopperTiles {
                    wide: hopper_tile(&module, "convolve_128x256", 128, 256, 4)?,
                    narrow: hopper_tile(&module, "convolve_128x128", 128, 128, 3)?,
                    small: hopper_tile(&module, "convolve_64x64", 64, 64, 6)?,
                    thin: hopper_tile(&module, "convolve_64x256", 64, 256, 5)?,
                }),
                pooling: compiler.pooling_convolution()?,
            }
        } else {
            let module =
                compiler.module("convolution.cu", include_str!("kernels/convolution.cu"), &[], false)?;
            // SAFETY: the struct mirrors the kernel's parameter.
            Convolve::Portable(unsafe { module.kernel("convolve", 0) }?)
        };
        let first = compiler.first_convolution(is_portable)?;
        // As the processor computes them, to the last bit.
        let exact = &["--fmad=false"];
        let pool = compiler.module("pooling.cu", include_str!("kernels/pooling.cu"), &[], false)?;
        let colors = compiler.module("colors.cu", include_str!("kernels/colors.cu"), exact, false)?;
        let warp = compiler.module("warp.cu", include_str!("kernels/warp.cu"), exact, false)?;
        let peaks = compiler.module("peaks.cu", include_str!("kernels/peaks.cu"), exact, false)?;
        let limbs = compiler.module("limbs.cu", include_str!("kernels/limbs.cu"), exact, false)?;
        let largest = compiler.module("largest.cu", include_str!("kernels/largest.cu"), exact, false)?;
        // SAFETY: the structs mirror the kernels' parameters.
        unsafe {
            Ok(Self {
                convolve,
                first,
                pool: pool.kernel("pool", 0)?,
                convert_colors: colors.kernel("convert_colors", 0)?,
                warp: warp.kernel("warp", 0)?,
                find_peaks: peaks.kernel("find_peaks", 0)?,
                score_limbs: limbs.kernel("score_limbs", 0)?,
                find_largest: largest.kernel("find_largest", 0)?,
            })
        }
    }
}

/// Whether a GPU can compute in this precision.
fn check(precision: Precision, gpu: ComputeCapability) -> Result<(), CudaError> {
    let needed = if precision == Precision::Tf32 { TF32_SINCE } else { OLDEST_GPU };
    if gpu < needed { Err(CudaError::Precision { precision, needed, found: gpu }) } else { Ok(()) }
}

fn hopper_tile(
    module: &Arc<Module>,
    name: &'static str,
    channels: usize,
    pixels: usize,
    stages: usize,
) -> Result<HopperTile, CudaError> {
    // Tiles of 128 bytes of channels, two barriers of 8 bytes a stage, and room to align.
    let shared_bytes = stages * ((channels + pixels) * 128 + 16) + 1024;
    // SAFETY: the struct mirrors the kernel's parameter.
    Ok(HopperTile { kernel: unsafe { module.kernel(name, shared_bytes) }?, channels, pixels })
}

struct Compiler<'a> {
    context: &'a Arc<Context>,
    gpu: ComputeCapability,
    precision: Precision,
}

impl Compiler<'_> {
    fn pooling_convolution(&self) -> Result<Option<Kernel<PoolingConvolution>>, CudaError> {
        if self.precision != Precision::Fp16 {
            return Ok(None);
        }
        let source = include_str!("kernels/convolution_pooling.cu");
        let module = self.module("convolution_pooling.cu", source, &[], true)?;
        // Weights, two buffers in steps of 1024 bytes, pooled pixels of two groups of warps, barriers, room to align.
        let (width, height) = POOLING_LOADS;
        let buffer = (width * height * 128).next_multiple_of(1024);
        let shared_bytes =
            9 * FEW_CHANNELS * 128 + 2 * buffer + 2 * 32 * (2 * FEW_CHANNELS + 16) + 5 * 8 + 1024;
        // SAFETY: the struct mirrors the kernel's parameter.
        Ok(Some(unsafe { module.kernel("convolve_and_pool", shared_bytes) }?))
    }

    fn first_convolution(&self, is_portable: bool) -> Result<Option<Kernel<FirstConvolution>>, CudaError> {
        if self.precision != Precision::Fp16 || self.gpu < FIRST_SINCE || is_portable {
            return Ok(None);
        }
        let module = self.module("first.cu", include_str!("kernels/first.cu"), &[], false)?;
        // SAFETY: the struct mirrors the kernel's parameter.
        Ok(Some(unsafe { module.kernel("convolve_first", 0) }?))
    }

    fn module(
        &self,
        name: &str,
        source: &str,
        options: &[&str],
        is_specific: bool,
    ) -> Result<Arc<Module>, CudaError> {
        let precision = match self.precision {
            Precision::Fp16 => "--define-macro=HALF",
            Precision::Tf32 => "--define-macro=TF32",
            Precision::Fp32 => "--define-macro=SINGLE",
        };
        let options: Vec<&str> = [precision].iter().chain(options).copied().collect();
        let gpu = self.gpu.to_string();
        let mut texts = vec![gpu.as_str(), if is_specific { "specific" } else { "" }, name, source];
        texts.extend(HEADERS.iter().flat_map(|(name, text)| [*name, *text]));
        texts.extend(&options);
        let compile = || -> Result<Vec<u8>, NvrtcError> {
            Nvrtc::find()?.compile(name, source, &HEADERS, &options, self.gpu, is_specific)
        };
        Module::load(self.context, &cache::compiled(&texts, compile)?)
    }
}

impl Precision {
    /// What tensors consist of.
    pub fn element(self) -> Element {
        match self {
            Self::Fp16 => Element::Half,
            Self::Tf32 | Self::Fp32 => Element::Single,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_cards_are_told_what_is_needed() {
        let gpu = |major, minor| ComputeCapability { major, minor };
        assert!(check(Precision::Fp16, gpu(7, 0)).is_ok() && check(Precision::Tf32, gpu(8, 6)).is_ok());
        let error = check(Precision::Fp32, gpu(6, 1)).unwrap_err().to_string();
        assert!(error.contains("capability 7.0 or later, this one has 6.1"), "{error}");
        let error = check(Precision::Tf32, gpu(7, 5)).unwrap_err().to_string();
        assert!(error.contains("tf32 needs") && error.contains("8.0 or later, this one has 7.5"), "{error}");
    }

    /// The structs are those of the kernels: sizes as CUDA's compiler lays them out.
    #[test]
    fn parameters_are_laid_out_as_in_the_kernels() {
        assert_eq!(size_of::<Layer>(), 112);
        assert_eq!(size_of::<HopperConvolution>(), 768);
        assert_eq!(size_of::<PortableConvolution>(), 184);
        assert_eq!((size_of::<PoolingConvolution>(), size_of::<FirstConvolution>()), (384, 136));
        assert_eq!((size_of::<Outputs>(), size_of::<FindPeaks>()), (208, 232));
        assert_eq!((size_of::<Colors>(), size_of::<Warp>()), (40, 32));
        assert_eq!((size_of::<ScoreLimbs>(), size_of::<FindLargest>()), (264, 224));
    }
}
