//! The parameters of the kernels: structs that both sides declare.

use crate::assemble::heat_maps::MAX_SCALES;
use crate::cuda::driver::{Plain, TensorMap};

/// Largest number of tensors that a convolution reads.
pub const MAX_SOURCES: usize = 4;

/// A struct that the kernels declare too.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Its name in the kernels.
    pub name: &'static str,
    pub bytes: usize,
    /// Names and offsets of its fields.
    pub fields: &'static [(&'static str, usize)],
}

/// Describes a struct's layout; the names are those in the kernels.
macro_rules! layout {
    ($type:ident as $name:literal { $($field:ident),* }) => {
        impl $type {
            pub const LAYOUT: Layout = Layout {
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
    pub const LAYOUT: Layout = Layout { name: "TensorMap", bytes: size_of::<TensorMap>(), fields: &[] };
}
