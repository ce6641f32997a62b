//! How convolutions are divided into blocks and warps, for each kernel path, precision and GPU.

use super::KernelPath;
use crate::cuda::Precision;
use crate::cuda::weights::VECTOR_BYTES;
use crate::gpu::ComputeCapability;

/// The tile of a convolution that a block computes, and how it does so.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub pixels: usize,
    pub channels: usize,
    operands: Operands,
    /// Number of blocks that a multiprocessor should run at once.
    pub blocks: usize,
}

/// What a block has in shared memory at once.
#[derive(Clone, Copy, Debug)]
enum Operands {
    /// The pixels and weights of a number of steps. Each warp multiplies those of its part of the tile.
    Steps { warp_pixels: usize, warp_channels: usize, steps: usize },
    /// Pixels and weights in stages of their own, because several columns of a convolution kernel share the
    /// pixels.
    Stages { pixels: usize, weights: usize },
}

/// Warps of Hopper's blocks that multiply.
const HOPPER_WARPS: usize = 8;
/// Pixels that Hopper's blocks load beyond those of a tile, because up to three columns of a convolution kernel share them.
pub const EXTRA_PIXELS: usize = 2;
/// Pixels and output channels that a warp of Hopper's writes at once.
pub const WRITTEN: (usize, usize) = (32, 16);

/// The ways to divide a convolution, each of which suits some layers and batches.
#[derive(Clone, Copy, Debug)]
pub struct Shapes {
    pub wide: Shape,
    pub narrow: Shape,
    pub small: Shape,
    pub thin: Shape,
}

/// A shape with warps of this many pixels × channels.
const fn shape(pixels: usize, channels: usize, warp: (usize, usize), steps: usize, blocks: usize) -> Shape {
    let operands = Operands::Steps { warp_pixels: warp.0, warp_channels: warp.1, steps };
    Shape { pixels, channels, operands, blocks }
}

/// A shape of Hopper's kernels, with this many stages of pixels and of weights.
const fn staged(pixels: usize, channels: usize, stages: (usize, usize), blocks: usize) -> Shape {
    Shape { pixels, channels, operands: Operands::Stages { pixels: stages.0, weights: stages.1 }, blocks }
}

/// Bytes of shared memory that the blocks of a multiprocessor share.
pub fn shared_memory(gpu: ComputeCapability) -> usize {
    match (gpu.major, gpu.minor) {
        (7, 0) => 96 << 10,
        (7, _) => 64 << 10,
        (8, 6 | 9) | (12, _) => 100 << 10,
        (8, _) => 164 << 10,
        _ => 228 << 10,
    }
}

/// The fastest shapes, as measured on an H100.
pub fn shapes(path: KernelPath, precision: Precision, gpu: ComputeCapability) -> Shapes {
    let is_split = precision == Precision::Fp16x3;
    // Eight warps keep a multiprocessor busy: in two blocks if it has the memory, otherwise in one.
    let wide_ampere = match shared_memory(gpu) > 128 << 10 {
        true => shape(128, 128, (64, 64), 2, 2),
        false => shape(256, 128, (64, 64), 2, 1),
    };
    match path {
        KernelPath::Hopper if is_split => Shapes {
            wide: staged(128, 128, (2, 4), 1),
            narrow: staged(128, 128, (2, 4), 1),
            small: staged(64, 64, (2, 3), 2),
            thin: staged(256, 64, (2, 4), 1),
        },
        KernelPath::Hopper => Shapes {
            wide: staged(256, 128, (3, 6), 1),
            narrow: staged(128, 128, (2, 3), 2),
            small: staged(64, 64, (4, 6), 2),
            thin: staged(256, 64, (4, 7), 1),
        },
        KernelPath::Ampere if is_split => Shapes {
            wide: shape(128, 64, (32, 64), 3, 2),
            narrow: shape(128, 64, (32, 64), 3, 2),
            small: shape(64, 64, (32, 32), 4, 2),
            thin: shape(128, 64, (32, 64), 3, 2),
        },
        KernelPath::Ampere => Shapes {
            wide: wide_ampere,
            narrow: shape(128, 64, (64, 32), 2, 3),
            small: shape(64, 64, (32, 32), 4, 3),
            thin: shape(128, 64, (64, 32), 2, 3),
        },
        KernelPath::Turing if is_split => Shapes {
            wide: shape(64, 64, (32, 32), 2, 3),
            narrow: shape(64, 64, (32, 32), 2, 3),
            small: shape(64, 64, (32, 32), 2, 3),
            thin: shape(64, 64, (32, 32), 2, 3),
        },
        KernelPath::Turing => Shapes {
            wide: shape(256, 128, (64, 64), 2, 1),
            narrow: shape(128, 64, (64, 32), 2, 2),
            small: shape(64, 64, (32, 32), 2, 2),
            thin: shape(128, 64, (32, 32), 2, 2),
        },
        KernelPath::Portable if is_split => Shapes {
            wide: shape(128, 64, (32, 32), 2, 2),
            narrow: shape(128, 64, (32, 32), 2, 2),
            small: shape(64, 64, (32, 32), 2, 2),
            thin: shape(128, 64, (32, 32), 2, 2),
        },
        KernelPath::Portable => Shapes {
            wide: shape(256, 128, (64, 64), 2, 1),
            narrow: shape(128, 64, (64, 32), 2, 2),
            small: shape(64, 64, (32, 32), 2, 2),
            thin: shape(128, 64, (64, 64), 2, 4),
        },
    }
}

impl Shape {
    pub fn threads(self, precision: Precision) -> usize {
        match self.operands {
            Operands::Steps { warp_pixels, warp_channels, .. } => {
                self.pixels / warp_pixels * (self.channels / warp_channels) * 32
            }
            Operands::Stages { .. } => hopper_threads(precision),
        }
    }

    /// Bytes of shared memory per block.
    pub fn shared_bytes(self, path: KernelPath, precision: Precision) -> usize {
        let parts = precision.parts();
        match self.operands {
            // Rows of 128 bytes of channels, two barriers of 8 bytes per stage, what the warps write, and room for
            // alignment.
            Operands::Stages { pixels, weights } => {
                let loaded = (self.pixels + EXTRA_PIXELS).next_multiple_of(8);
                let written = WRITTEN.0 * (WRITTEN.1 * precision.element().bytes() + 16);
                pixels * (parts * loaded * 128 + 16)
                    + weights * (parts * self.channels * 128 + 16)
                    + HOPPER_WARPS * written
                    + 1024
            }
            // Rows of 64 bytes, padded to 80. Later the same memory holds sixteen pixels per warp in single precision.
            Operands::Steps { warp_channels, steps, .. } if path == KernelPath::Portable => {
                let (rows, warps) = (parts * (self.pixels + self.channels), self.threads(precision) / 32);
                (steps * rows * 80).max(warps * 16 * (warp_channels + 4) * size_of::<f32>())
            }
            Operands::Steps { steps, .. } => {
                let rows = parts * (self.pixels + self.channels);
                steps * rows * step_vectors(path, precision) * VECTOR_BYTES
            }
        }
    }

    /// The arguments of the macro that instantiates a kernel for it.
    pub fn macro_value(self) -> String {
        let Self { pixels, channels, operands, blocks } = self;
        let operands = match operands {
            Operands::Steps { warp_pixels, warp_channels, steps } => {
                format!("{warp_pixels},{warp_channels},{steps}")
            }
            Operands::Stages { pixels, weights } => format!("{pixels},{weights}"),
        };
        format!("{pixels},{channels},{operands},{blocks}")
    }
}

/// Number of vectors of a pixel's channels that are loaded together, if the kernel loads them itself. Split values take twice
/// the memory and registers.
pub fn step_vectors(path: KernelPath, precision: Precision) -> usize {
    if path == KernelPath::Ampere && precision != Precision::Fp16x3 { 8 } else { 4 }
}

/// A producer and [`HOPPER_WARPS`] that multiply; with two parts, the producer is four warps, whose registers the others use.
pub fn hopper_threads(precision: Precision) -> usize {
    let producers = if precision == Precision::Fp16x3 { 4 } else { 1 };
    (HOPPER_WARPS + producers) * 32
}
