//! The code that runs on the GPU, and its parameters.
//!
//! Numbers on which both sides must agree are passed to the compiler as macros; the layouts of the parameters are
//! asserted in the compiled code. Neither side can be changed alone.

// Kernels are looked up by name, as functions that take one of the parameters below.
#![allow(unsafe_code)]

mod shapes;

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use self::shapes::{Shape, Shapes, hopper_threads, shapes, step_vectors};
use super::cache;
use super::driver::{Context, Element, Kernel, Module, Nvrtc, NvrtcError, Plain, TensorMap};
use super::{CudaError, Precision};
use crate::OptionError;
use crate::assemble::heat_maps::MAX_SCALES;
use crate::assemble::peaks::MAX_PEAKS;
use crate::gpu::ComputeCapability;

/// Largest number of tensors that a convolution reads.
pub const MAX_SOURCES: usize = 4;
/// Files that the others include.
const HEADERS: [(&str, &str); 6] = [
    ("element.cuh", include_str!("kernels/element.cuh")),
    ("heat_maps.cuh", include_str!("kernels/heat_maps.cuh")),
    ("hopper.cuh", include_str!("kernels/hopper.cuh")),
    ("layer.cuh", include_str!("kernels/layer.cuh")),
    ("source.cuh", include_str!("kernels/source.cuh")),
    ("tiles.cuh", include_str!("kernels/tiles.cuh")),
];

/// A struct that the kernels declare too.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Its name in the kernels.
    name: &'static str,
    bytes: usize,
    /// Names and offsets of its fields.
    fields: &'static [(&'static str, usize)],
}

/// Describes a struct's layout; the names are those in the kernels.
macro_rules! layout {
    ($type:ident as $name:literal { $($field:ident),* }) => {
        impl $type {
            const LAYOUT: Layout = Layout {
                name: $name,
                bytes: size_of::<$type>(),
                fields: &[$((stringify!($field), std::mem::offset_of!($type, $field))),*],
            };
        }
        // Fails to compile if a field is missing above.
        const _: fn($type) = |value| {
            let $type { $($field: _),* } = value;
        };
    };
}

/// The epilogue of a convolution: `Layer` in layer.cuh, which explains the fields.
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
    pub channels: [i32; MAX_SOURCES],
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

/// `Source` in source.cuh.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Source {
    pub values: u64,
    pub stride: i32,
    pub channels: i32,
}

/// `Convolution` in source.cuh.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct PlainConvolution {
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

/// A crop of a frame: `Picture` in warp.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Picture {
    pub frame: u64,
    pub frame_width: i32,
    pub frame_height: i32,
    pub scale_x: f64,
    pub shift_x: f64,
    pub scale_y: f64,
    pub shift_y: f64,
}

// SAFETY: numbers without padding.
unsafe impl Plain for Picture {}

/// Two peaks that a limb may join: `Candidate` in limbs.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Candidate {
    pub score: f32,
    pub frame: u8,
    pub limb: u8,
    pub from: u8,
    pub to: u8,
}

// SAFETY: numbers without padding.
unsafe impl Plain for Candidate {}

/// A peak of a heat map: `Keypoint` in heat_maps.cuh.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Peak {
    pub x: f32,
    pub y: f32,
    pub score: f32,
}

/// Two parts that a limb joins, and the plane of its part affinity field: `Limb` in limbs.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Limb {
    pub from: i32,
    pub to: i32,
    pub plane: i32,
}

// SAFETY: numbers without padding.
unsafe impl Plain for Limb {}

/// A heat map's largest value: `Largest` in largest.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Largest {
    pub place: u32,
    pub value: f32,
}

// SAFETY: numbers without padding.
unsafe impl Plain for Largest {}

layout!(Layer as "Layer" { bias, slope, pixels_out, pixel_stride, channels_out, planes_out, planes, first_plane, used_planes, pixels, width, height, weight_rows, kernel, source_count, chunks, last_steps, channels });
layout!(HopperConvolution as "Convolution" { sources, weights, layer });
layout!(PoolingConvolution as "ConvolveAndPool" { pixels, weights, layer, images, unused });
layout!(FirstConvolution as "First" { from, weights, layer, images, unused });
layout!(Source as "Source" { values, stride, channels });
layout!(PlainConvolution as "Convolution" { sources, weights, layer });
layout!(Pooling as "Pooling" { from, to, width, height, channels, images });
layout!(Colors as "Colors" { planes, pixels, width, height, matrix, unused });
layout!(Warp as "Warp" { pictures, bicubic, to, width, height });
layout!(Output as "Output" { values, width, height, factor, unused });
layout!(Outputs as "Outputs" { scales, count, channels, width, height });
layout!(FindPeaks as "FindPeaks" { maps, peaks, counts, threshold, offset });
layout!(ScoreLimbs as "ScoreLimbs" { maps, limbs, peaks, counts, candidates, candidate_count, parts, least_sample, least_share, close_score });
layout!(FindLargest as "FindLargest" { maps, largest, used_channels, unused });
layout!(Picture as "Picture" { frame, frame_width, frame_height, scale_x, shift_x, scale_y, shift_y });
layout!(Candidate as "Candidate" { score, frame, limb, from, to });
layout!(Peak as "Keypoint" { x, y, score });
layout!(Limb as "Limb" { from, to, plane });
layout!(Largest as "Largest" { place, value });

impl TensorMap {
    const LAYOUT: Layout = Layout { name: "TensorMap", bytes: size_of::<TensorMap>(), fields: &[] };
}

/// The instructions that convolutions use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KernelPath {
    /// Instructions of every GPU since Volta.
    Portable,
    /// Products of smaller matrices, since Turing.
    Turing,
    /// Asynchronous copies and larger products, since Ampere.
    Ampere,
    /// Hopper's own.
    Hopper,
}

impl KernelPath {
    /// All, the fastest last.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Turing, Self::Ampere, Self::Hopper];

    /// Whether a GPU with this compute capability runs such code.
    pub fn runs_on(self, gpu: ComputeCapability) -> bool {
        match self {
            Self::Portable => gpu >= OLDEST_GPU,
            Self::Turing => gpu >= TURING,
            Self::Ampere => gpu >= AMPERE,
            Self::Hopper => gpu == HOPPER,
        }
    }

    /// The fastest for a GPU and a precision.
    pub fn best(gpu: ComputeCapability, precision: Precision) -> Self {
        // With three products in one, the portable kernel was 9 % faster than Turing's, both on an H100.
        let is_slower = |path| path == Self::Turing && precision == Precision::Fp16x3;
        let fastest = Self::ALL.into_iter().rev().find(|&path| path.runs_on(gpu) && !is_slower(path));
        fastest.unwrap_or(Self::Portable)
    }
}

impl fmt::Display for KernelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Turing => "turing",
            Self::Ampere => "ampere",
            Self::Hopper => "hopper",
        })
    }
}

impl FromStr for KernelPath {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        Self::ALL.into_iter().find(|path| path.to_string() == text).ok_or_else(|| OptionError {
            option: "kernels",
            found: text.into(),
            expected: "portable, turing, ampere or hopper",
        })
    }
}

/// A way to divide a convolution into blocks.
#[derive(Debug)]
pub struct Tile<P> {
    /// The code for it.
    pub kernel: Kernel<P>,
    /// Output channels per block.
    pub channels: usize,
    /// Pixels per block.
    pub pixels: usize,
    /// Threads per block.
    pub threads: usize,
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

/// The first GPUs whose tensor cores support TF32, with asynchronous copies.
const AMPERE: ComputeCapability = ComputeCapability { major: 8, minor: 0 };
/// The oldest supported GPUs, Volta: the first with tensor cores.
pub const OLDEST_GPU: ComputeCapability = ComputeCapability { major: 7, minor: 0 };
/// The first GPUs that load matrices from shared memory as the tensor cores need them.
const TURING: ComputeCapability = ComputeCapability { major: 7, minor: 5 };
const HOPPER: ComputeCapability = ComputeCapability { major: 9, minor: 0 };

/// The compute capabilities for which kernels are compiled in advance, from V100 to RTX 50.
pub const AHEAD: [ComputeCapability; 8] = [
    OLDEST_GPU,
    TURING,
    AMPERE,
    ComputeCapability { major: 8, minor: 6 },
    ComputeCapability { major: 8, minor: 9 },
    HOPPER,
    ComputeCapability { major: 10, minor: 0 },
    ComputeCapability { major: 12, minor: 0 },
];

/// A file of kernels, and how it is compiled.
struct Code {
    name: &'static str,
    source: &'static str,
    /// Those of its structs that are also declared in this file.
    layouts: &'static [Layout],
    /// Threads per block, if all have the same number.
    threads: Option<usize>,
    /// Whether it computes as the CPU does, to the last bit.
    is_exact: bool,
    /// Whether it uses instructions that only this kind of GPU has.
    is_specific: bool,
    /// Whether it depends on the precision of the nets.
    has_precision: bool,
    shapes: Option<Shapes>,
    step_vectors: Option<usize>,
    /// Whether it is limited to Turing's instructions.
    is_for_turing: bool,
    /// Whether it is limited to Volta's instructions.
    is_portable: bool,
}

/// A file of kernels.
macro_rules! code {
    ($name:literal, $($layout:ident),*) => {
        Code {
            name: $name,
            source: include_str!(concat!("kernels/", $name)),
            layouts: &[$($layout::LAYOUT),*],
            threads: Some(THREADS),
            is_exact: false,
            is_specific: false,
            has_precision: true,
            shapes: None,
            step_vectors: None,
            is_for_turing: false,
            is_portable: false,
        }
    };
}

impl Code {
    fn exact(self) -> Self {
        Self { is_exact: true, ..self }
    }

    fn without_precision(self) -> Self {
        Self { has_precision: false, ..self }
    }

    fn convolution(path: KernelPath, precision: Precision, gpu: ComputeCapability) -> Self {
        let shapes = Some(shapes(path, precision, gpu));
        let step_vectors = Some(step_vectors(path, precision));
        match path {
            _ if is_single(path, precision) => {
                code!("convolution.cu", Source, PlainConvolution, Layer)
            }
            KernelPath::Portable => Self {
                threads: None,
                shapes,
                step_vectors,
                ..code!("convolution_volta.cu", Source, PlainConvolution, Layer)
            },
            KernelPath::Turing | KernelPath::Ampere => Self {
                threads: None,
                shapes,
                step_vectors,
                is_for_turing: path == KernelPath::Turing,
                ..code!("convolution_mma.cu", Source, PlainConvolution, Layer)
            },
            KernelPath::Hopper => Self {
                threads: Some(hopper_threads(precision)),
                shapes,
                is_specific: true,
                ..code!("convolution_hopper.cu", HopperConvolution, TensorMap, Layer)
            },
        }
    }

    fn pooling_convolution(path: KernelPath, precision: Precision) -> Option<Self> {
        (path == KernelPath::Hopper && precision == Precision::Fp16).then_some(Self {
            threads: Some(POOLING_THREADS),
            is_specific: true,
            ..code!("convolution_pooling.cu", PoolingConvolution, TensorMap, Layer)
        })
    }

    fn first(path: KernelPath, precision: Precision) -> Option<Self> {
        // Without `mma`, two parts of each value would take too much shared memory.
        let is_portable = path == KernelPath::Portable;
        let is_known = precision == Precision::Fp16 || (precision == Precision::Fp16x3 && !is_portable);
        let is_for_turing = path == KernelPath::Turing;
        is_known.then_some(Self { is_for_turing, is_portable, ..code!("first.cu", FirstConvolution, Layer) })
    }

    fn pool() -> Self {
        code!("pooling.cu", Pooling)
    }

    fn colors() -> Self {
        code!("colors.cu", Colors).exact().without_precision()
    }

    fn warp() -> Self {
        code!("warp.cu", Warp, Picture).exact()
    }

    fn peaks() -> Self {
        let code = code!("peaks.cu", FindPeaks, Outputs, Output, Peak);
        Self { threads: Some(PEAK_THREADS), ..code }.exact().without_precision()
    }

    fn limbs() -> Self {
        code!("limbs.cu", ScoreLimbs, Outputs, Output, Peak, Limb, Candidate).exact().without_precision()
    }

    fn largest() -> Self {
        code!("largest.cu", FindLargest, Outputs, Output, Largest).exact().without_precision()
    }

    /// All files that are used together.
    fn all(path: KernelPath, precision: Precision, gpu: ComputeCapability) -> Vec<Self> {
        let mut all = vec![
            Self::convolution(path, precision, gpu),
            Self::pool(),
            Self::colors(),
            Self::warp(),
            Self::peaks(),
            Self::limbs(),
            Self::largest(),
        ];
        all.extend(Self::pooling_convolution(path, precision));
        all.extend(Self::first(path, precision));
        all
    }

    /// The source, with assertions for the compiler to check. NVRTC has no `offsetof`.
    fn text(&self) -> String {
        let mut text = self.source.to_owned();
        text.push('\n');
        for Layout { name, bytes, fields } in self.layouts {
            let _ = writeln!(text, "static_assert(sizeof({name}) == {bytes}, \"the size of {name}\");");
            for (field, place) in *fields {
                let _ = writeln!(
                    text,
                    "static_assert(__INTADDR__(&(({name}*)0)->{field}) == {place}, \"the place of {name}::{field}\");"
                );
            }
        }
        text
    }

    fn options(&self, precision: Precision) -> Vec<String> {
        let mut options = Vec::new();
        let mut define = |name: &str, value: &dyn fmt::Display| {
            options.push(format!("--define-macro={name}={value}"));
        };
        if self.has_precision {
            let name = match precision {
                Precision::Fp16 => "HALF",
                Precision::Fp16x3 => "SPLIT",
                Precision::Tf32 => "TF32",
                Precision::Fp32 => "SINGLE",
            };
            define(name, &1);
        }
        define("MAX_SOURCES", &MAX_SOURCES);
        define("MAX_SCALES", &MAX_SCALES);
        define("MAX_PEAKS", &MAX_PEAKS);
        define("FEW_CHANNELS", &FEW_CHANNELS);
        define("LOADED_WIDTH", &POOLING_LOADS.0);
        define("LOADED_HEIGHT", &POOLING_LOADS.1);
        define("FIRST_TILE_WIDTH", &FIRST_TILE.0);
        define("FIRST_TILE_HEIGHT", &FIRST_TILE.1);
        define("FIRST_INPUTS", &FIRST_INPUTS);
        define("SINGLE_TILE_PIXELS", &SINGLE_TILE.0);
        define("SINGLE_TILE_CHANNELS", &SINGLE_TILE.1);
        if let Some(threads) = self.threads {
            define("THREADS", &threads);
        }
        if let Some(vectors) = self.step_vectors {
            define("STEP_VECTORS", &vectors);
        }
        if let Some(Shapes { wide, narrow, small, thin }) = self.shapes {
            for (name, shape) in [("WIDE", wide), ("NARROW", narrow), ("SMALL", small), ("THIN", thin)] {
                define(name, &shape.macro_value());
            }
        }
        if self.is_for_turing {
            define("TURING", &1);
        }
        if self.is_portable {
            define("PORTABLE", &1);
        }
        if self.is_exact {
            options.push("--fmad=false".into());
        }
        options
    }

    /// The name under which its machine code for a GPU is stored.
    fn key(&self, text: &str, options: &[String], gpu: ComputeCapability) -> String {
        let gpu = gpu.to_string();
        let mut texts = vec![gpu.as_str(), if self.is_specific { "specific" } else { "" }, self.name, text];
        texts.extend(HEADERS.iter().flat_map(|(name, text)| [*name, *text]));
        texts.extend(options.iter().map(String::as_str));
        cache::name(&texts)
    }

    /// The names of machine code that runs on a GPU: its own, and those for earlier revisions of its architecture.
    fn keys(&self, precision: Precision, gpu: ComputeCapability) -> Vec<String> {
        let (text, options) = (self.text(), self.options(precision));
        let oldest = if self.is_specific { gpu.minor } else { 0 };
        let gpus = (oldest..=gpu.minor).rev().map(|minor| ComputeCapability { minor, ..gpu });
        gpus.map(|gpu| self.key(&text, &options, gpu)).collect()
    }

    fn compile(
        &self,
        compiler: &Nvrtc,
        precision: Precision,
        gpu: ComputeCapability,
    ) -> Result<Vec<u8>, NvrtcError> {
        let (text, options) = (self.text(), self.options(precision));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        compiler.compile(self.name, &text, &HEADERS, &options, gpu, self.is_specific)
    }
}

/// Whether the kernel without tensor cores is used: in single precision, and in TF32 without Ampere's instructions, which
/// only tests request.
fn is_single(path: KernelPath, precision: Precision) -> bool {
    let is_old = matches!(path, KernelPath::Portable | KernelPath::Turing);
    precision == Precision::Fp32 || (precision == Precision::Tf32 && is_old)
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
            Convolve::Hopper { tiles: Box::new(unsafe { tiles(&module, path, precision, gpu) }?), pooling }
        } else {
            // SAFETY: the struct mirrors the kernels' parameter.
            Convolve::Tensor(Box::new(unsafe { tiles(&module, path, precision, gpu) }?))
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
    module: &Arc<Module>,
    path: KernelPath,
    precision: Precision,
    gpu: ComputeCapability,
) -> Result<Tiles<P>, CudaError> {
    let tile = |name: &'static str, shape: Shape| -> Result<Tile<P>, CudaError> {
        // SAFETY: the caller guarantees the type of the parameter.
        let kernel = unsafe { module.kernel(name, shape.shared_bytes(path, precision)) }?;
        let threads = shape.threads(path, precision);
        Ok(Tile { kernel, channels: shape.channels, pixels: shape.pixels, threads })
    };
    let Shapes { wide, narrow, small, thin } = shapes(path, precision, gpu);
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

    #[test]
    fn each_card_gets_the_fastest_kernels() {
        let paths = AHEAD.map(|gpu| KernelPath::best(gpu, Precision::Fp16));
        use KernelPath::{Ampere, Hopper, Portable, Turing};
        assert_eq!(paths, [Portable, Turing, Ampere, Ampere, Ampere, Hopper, Ampere, Ampere]);
        assert!(
            !Hopper.runs_on(gpu(10, 0))
                && !Ampere.runs_on(gpu(7, 5))
                && !Turing.runs_on(gpu(7, 0))
                && !Portable.runs_on(gpu(6, 1))
        );
        for path in KernelPath::ALL {
            assert_eq!(path.to_string().parse::<KernelPath>().unwrap(), path);
        }
        assert!(
            "volta"
                .parse::<KernelPath>()
                .unwrap_err()
                .to_string()
                .contains("portable, turing, ampere or hopper")
        );
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

    #[test]
    fn code_for_a_card_runs_on_its_later_revisions() {
        let code = Code::convolution(KernelPath::Ampere, Precision::Fp16, gpu(8, 7));
        let keys = code.keys(Precision::Fp16, gpu(8, 7));
        assert_eq!(keys.last(), code.keys(Precision::Fp16, gpu(8, 0)).first());
        assert_eq!(keys.len(), 8);
        // Code that only one kind of GPU runs is not used for another.
        assert_eq!(
            Code::convolution(KernelPath::Hopper, Precision::Fp16, HOPPER)
                .keys(Precision::Fp16, HOPPER)
                .len(),
            1
        );
        let (half, split) = (Precision::Fp16, Precision::Fp16x3);
        assert_ne!(Code::warp().keys(half, gpu(8, 0)), Code::warp().keys(split, gpu(8, 0)));
        assert_eq!(Code::limbs().keys(half, gpu(8, 0)), Code::limbs().keys(split, gpu(8, 0)));
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
