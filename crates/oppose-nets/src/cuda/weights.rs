//! The weights of a convolution on the GPU, in the order in which they are used.

use half::f16;

use super::driver::{DeviceBuffer, Element, SWIZZLE_BYTES};
use super::kernels::{Convolve, FEW_CHANNELS, FIRST_INPUTS, SINGLE_TILE};
use super::net::Gpu;
use super::{CudaError, Precision};
use crate::model::{Activation, Convolution};
use crate::plan::Place;

/// The kernels read and write vectors of 16 bytes; the channels of a pixel are padded to whole vectors.
pub const VECTOR_BYTES: usize = 16;

/// The weights of a convolution.
#[derive(Debug)]
pub struct Weights {
    pub packed: DeviceBuffer,
    pub bias: DeviceBuffer,
    pub slope: DeviceBuffer,
    pub kernel: usize,
    /// Number of rows of a chunk, and of each part of it: output channels, padded to whole tiles.
    pub rows: usize,
    pub chunks: usize,
    pub channels_out: usize,
    /// Packed for [`FirstConvolution`].
    pub is_first: bool,
}

/// The number of channels, rounded up to whole vectors.
pub fn padded_channels(channels: usize, element: Element) -> usize {
    channels.next_multiple_of(VECTOR_BYTES / element.bytes())
}

/// Number of channels that are processed at once.
pub fn chunk(element: Element) -> usize {
    SWIZZLE_BYTES / element.bytes()
}

impl Weights {
    /// Copies them to the GPU.
    ///
    /// # Errors
    /// There is too little memory, or the driver refuses.
    pub fn new(gpu: &Gpu, convolution: &Convolution, sources: &[Place]) -> Result<Self, CudaError> {
        let element = gpu.precision.element();
        let channels_out = convolution.bias.len();
        let tile = match &gpu.kernels.convolve {
            Convolve::Hopper { tiles, .. } if channels_out <= FEW_CHANNELS => tiles.thin.channels,
            Convolve::Hopper { tiles, .. } => tiles.wide.channels,
            Convolve::Tensor(tiles) if channels_out <= FEW_CHANNELS => tiles.thin.channels,
            Convolve::Tensor(tiles) => tiles.wide.channels,
            Convolve::Single(_) => SINGLE_TILE.1,
        };
        let rows = channels_out.next_multiple_of(tile);
        let is_first = gpu.kernels.first.is_some() && is_first(convolution, sources);
        let packed = match is_first {
            true => pack_first(convolution),
            false => pack(convolution, sources, rows, chunk(element)),
        };
        let chunks = packed.len() / (rows * chunk(element)).max(1);
        let block = if is_first { packed.len() } else { rows * chunk(element) };
        let context = &gpu.context;
        let packed = match gpu.precision {
            Precision::Fp16 => {
                let half = |&value: &f32| split(value).0.to_bits();
                DeviceBuffer::with(context, &packed.iter().map(half).collect::<Vec<u16>>())?
            }
            Precision::Fp16x3 => DeviceBuffer::with(context, &split_blocks(&packed, block))?,
            Precision::Tf32 => {
                DeviceBuffer::with(context, &packed.iter().map(|&value| tf32(value)).collect::<Vec<_>>())?
            }
            Precision::Fp32 => DeviceBuffer::with(context, &packed)?,
        };
        let mut bias = convolution.bias.clone();
        bias.resize(rows, 0.0);
        let mut slope = match &convolution.activation {
            Activation::None => vec![1.0; channels_out],
            Activation::Relu => vec![0.0; channels_out],
            Activation::PRelu(slopes) => slopes.clone(),
        };
        slope.resize(rows, 0.0);
        Ok(Self {
            packed,
            bias: DeviceBuffer::with(context, &bias)?,
            slope: DeviceBuffer::with(context, &slope)?,
            kernel: convolution.kernel,
            rows,
            chunks,
            channels_out,
            is_first,
        })
    }
}

/// Whether [`FirstConvolution`] can compute a convolution.
fn is_first(convolution: &Convolution, sources: &[Place]) -> bool {
    let is_picture = matches!(sources, [source] if source.slot == 0 && source.channels == 3);
    is_picture && convolution.kernel == 3 && convolution.bias.len() == FEW_CHANNELS
}

/// Output channels × [`FIRST_INPUTS`]: kernel positions × 3 channels, padded with zeros.
fn pack_first(convolution: &Convolution) -> Vec<f32> {
    let mut packed = vec![0.0; FEW_CHANNELS * FIRST_INPUTS];
    for (row, weights) in packed.chunks_exact_mut(FIRST_INPUTS).zip(convolution.weights.chunks_exact(27)) {
        for (index, target) in row[..27].iter_mut().enumerate() {
            *target = weights[index % 3 * 9 + index / 3];
        }
    }
    packed
}

/// Weights in the order in which they are used: sources × kernel positions × chunks × rows × channels of a
/// chunk, padded with zeros.
fn pack(convolution: &Convolution, sources: &[Place], rows: usize, chunk: usize) -> Vec<f32> {
    let taps = convolution.kernel * convolution.kernel;
    let channels_in: usize = sources.iter().map(|source| source.channels).sum();
    let chunks: usize = sources.iter().map(|source| source.channels.div_ceil(chunk)).sum();
    let mut packed = vec![0.0; taps * chunks * rows * chunk];
    let (mut first_channel, mut position) = (0, 0);
    for source in sources {
        for tap in 0..taps {
            for first in (0..source.channels).step_by(chunk) {
                let count = chunk.min(source.channels - first);
                for (row, weights) in
                    convolution.weights.chunks_exact((channels_in * taps).max(1)).enumerate()
                {
                    let target = &mut packed[position + row * chunk..][..count];
                    for (channel, target) in target.iter_mut().enumerate() {
                        *target = weights[(first_channel + first + channel) * taps + tap];
                    }
                }
                position += rows * chunk;
            }
        }
        first_channel += source.channels;
    }
    packed
}

/// The largest finite value of half precision.
const LARGEST_HALF: f32 = 65504.0;
/// The factor by which stored lower parts are multiplied, so that they have as many bits as the upper parts: `LOW_SCALE`
/// in element.cuh.
const LOW_SCALE: f32 = 2048.0;

/// The nearest value in half precision, and the scaled remainder. Values that are too large become the largest one.
pub fn split(value: f32) -> (f16, f16) {
    let value = value.clamp(-LARGEST_HALF, LARGEST_HALF);
    let high = f16::from_f32(value);
    (high, f16::from_f32((value - high.to_f32()) * LOW_SCALE))
}

/// The upper parts of each block of values, followed by its lower parts.
fn split_blocks(values: &[f32], block: usize) -> Vec<u16> {
    let mut split_values = Vec::with_capacity(2 * values.len());
    for block in values.chunks(block.max(1)) {
        split_values.extend(block.iter().map(|&value| split(value).0.to_bits()));
        split_values.extend(block.iter().map(|&value| split(value).1.to_bits()));
    }
    split_values
}

/// The nearest value with ten bits of mantissa; ties are rounded away from 0, as in the GPU's own conversion.
fn tf32(value: f32) -> f32 {
    f32::from_bits((value.to_bits() + 0x1000) & !0x1fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_packed_in_the_order_of_their_use() {
        let place = |channels| Place { slot: 0, channels, stride: 1 };
        // Two output channels, three input channels, 1 x 1.
        let weights = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let convolution =
            Convolution { kernel: 1, weights, bias: vec![0.0; 2], activation: Activation::None };
        let packed = pack(&convolution, &[place(1), place(2)], 3, 2);
        assert_eq!(packed, [1.0, 0.0, 4.0, 0.0, 0.0, 0.0, 2.0, 3.0, 5.0, 6.0, 0.0, 0.0]);
        // 3 x 3: the positions of the kernel come before the channels.
        let weights = (0..18).map(|value| value as f32).collect();
        let convolution = Convolution { kernel: 3, weights, bias: vec![0.0], activation: Activation::None };
        let packed = pack(&convolution, &[place(2)], 1, 2);
        assert_eq!(packed[..4], [0.0, 9.0, 1.0, 10.0]);
    }

    #[test]
    fn two_halves_keep_22_bits() {
        let joined = |value| {
            let (high, low) = split(value);
            high.to_f32() + low.to_f32() / LOW_SCALE
        };
        for value in [1.0f32, 1.0 / 3.0, -0.1, 1234.567, 1e-3, 65504.0, 3.0e4 + 0.37] {
            let off = (f64::from(joined(value)) - f64::from(value)).abs() / f64::from(value.abs());
            assert!(off <= 2f64.powi(-22), "{value}: {off:e}");
        }
        assert_eq!((joined(0.0), joined(1e9), joined(-1e9)), (0.0, 65504.0, -65504.0));
        // Small weights lose precision relative to themselves, but not to the sums that they are added to.
        assert!((joined(1e-6) - 1e-6).abs() < 2f32.powi(-35));
        let blocks = split_blocks(&[1.0, 2.0, 3.0, 4.0], 2);
        let halves: Vec<f32> = blocks.iter().map(|&bits| f16::from_bits(bits).to_f32()).collect();
        assert_eq!(halves, [1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);
    }

    #[test]
    fn tf32_has_ten_bits() {
        assert_eq!(tf32(1.0 + 1.0 / 2048.0), 1.0 + 1.0 / 1024.0);
        assert_eq!(tf32(-1.0 - 1.0 / 4096.0), -1.0);
        assert_eq!(tf32(0.0), 0.0);
    }
}
