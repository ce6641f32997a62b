//! How convolutions are divided into blocks and warps, for each kernel path, precision and GPU.

use super::KernelPath;
use crate::cuda::Precision;
use crate::cuda::weights::VECTOR_BYTES;
use crate::gpu::ComputeCapability;

/// How a convolution is divided into blocks, and blocks into warps.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub pixels: usize,
    pub channels: usize,
    /// Size of a warp's part; 0 if the kernel divides blocks itself.
    warp_pixels: usize,
    warp_channels: usize,
    /// Number of steps whose operands are in shared memory at once.
    stages: usize,
    /// Number of blocks that a multiprocessor should run at once.
    blocks: usize,
}

/// The ways to divide a convolution, each of which suits some layers and batches.
#[derive(Clone, Copy, Debug)]
pub struct Shapes {
    pub wide: Shape,
    pub narrow: Shape,
    pub small: Shape,
    pub thin: Shape,
}

const fn shape(pixels: usize, channels: usize, warp: (usize, usize), stages: usize, blocks: usize) -> Shape {
    Shape { pixels, channels, warp_pixels: warp.0, warp_channels: warp.1, stages, blocks }
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
            wide: shape(128, 128, (0, 0), 3, 1),
            narrow: shape(128, 128, (0, 0), 3, 1),
            small: shape(64, 64, (0, 0), 3, 2),
            thin: shape(256, 64, (0, 0), 2, 1),
        },
        KernelPath::Hopper => Shapes {
            wide: shape(256, 128, (0, 0), 4, 1),
            narrow: shape(128, 128, (0, 0), 3, 2),
            small: shape(64, 64, (0, 0), 6, 2),
            thin: shape(256, 64, (0, 0), 5, 1),
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
    pub fn threads(self, path: KernelPath, precision: Precision) -> usize {
        match path {
            KernelPath::Hopper => hopper_threads(precision),
            _ => self.pixels / self.warp_pixels * (self.channels / self.warp_channels) * 32,
        }
    }

    /// Bytes of shared memory per block.
    pub fn shared_bytes(self, path: KernelPath, precision: Precision) -> usize {
        let rows = precision.parts() * (self.pixels + self.channels);
        match path {
            // Rows of 128 bytes of channels, two barriers of 8 bytes per stage, and room for alignment.
            KernelPath::Hopper => self.stages * (rows * 128 + 16) + 1024,
            KernelPath::Turing | KernelPath::Ampere => {
                self.stages * rows * step_vectors(path, precision) * VECTOR_BYTES
            }
            // Rows of 64 bytes, padded to 80. Later the same memory holds sixteen pixels per warp in single precision.
            KernelPath::Portable => {
                let warps = self.threads(path, precision) / 32;
                (self.stages * rows * 80).max(warps * 16 * (self.warp_channels + 4) * size_of::<f32>())
            }
        }
    }

    /// The arguments of the macro that instantiates a kernel for it.
    pub fn macro_value(self) -> String {
        let Self { pixels, channels, warp_pixels, warp_channels, stages, blocks } = self;
        format!("{pixels},{channels},{warp_pixels},{warp_channels},{stages},{blocks}")
    }
}

/// Number of vectors of a pixel's channels that are loaded together, if the kernel loads them itself. Split values take twice
/// the memory and registers.
pub fn step_vectors(path: KernelPath, precision: Precision) -> usize {
    if path == KernelPath::Ampere && precision != Precision::Fp16x3 { 8 } else { 4 }
}

/// A producer and eight warps that multiply; with two parts, the producer is four warps, whose registers the others use.
pub fn hopper_threads(precision: Precision) -> usize {
    if precision == Precision::Fp16x3 { 384 } else { 288 }
}
