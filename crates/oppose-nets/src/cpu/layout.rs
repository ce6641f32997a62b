//! The layout of tensors in memory: images, rows, blocks of sixteen channels, and the row's pixels.
//!
//! Rows are outermost, so that threads write disjoint slices. Channels beyond the last are zero.

use super::vector::{Lanes, WIDTH};
use crate::plan::Place;

/// Number of blocks of sixteen channels.
pub fn blocks(channels: usize) -> usize {
    channels.div_ceil(WIDTH)
}

/// Up to sixteen channels that a layer reads. A concatenation is simply a list of these.
#[derive(Clone, Debug)]
pub struct Source {
    /// Index of the buffer.
    pub slot: usize,
    /// Index of the block of sixteen channels in the tensor.
    pub block: usize,
    /// Number of these blocks in the tensor.
    pub blocks: usize,
    /// How many of the sixteen are used.
    pub channels: usize,
}

impl Source {
    /// The blocks of some tensors.
    pub fn of(tensors: &[Place]) -> Vec<Self> {
        let blocks_of = |&Place { slot, channels, .. }: &Place| {
            let blocks = blocks(channels);
            let channels = move |block| WIDTH.min(channels - block * WIDTH);
            (0..blocks).map(move |block| Self { slot, block, blocks, channels: channels(block) })
        };
        tensors.iter().flat_map(blocks_of).collect()
    }
}

/// Size of a tensor's planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    pub width: usize,
    pub height: usize,
}

impl Planes {
    /// Size of a tensor with this stride.
    pub fn at(self, stride: usize) -> Self {
        Self { width: self.width / stride, height: self.height / stride }
    }

    /// Number of lanes of a tensor, if the net's input has this size.
    pub fn lanes(self, tensor: &Place) -> usize {
        let Self { width, height } = self.at(tensor.stride);
        width * height * blocks(tensor.channels)
    }

    /// Index of a row's first pixel in a source's buffer.
    #[inline(always)]
    pub fn row(self, source: &Source, image: usize, y: usize) -> usize {
        ((image * self.height + y) * source.blocks + source.block) * self.width
    }

    /// Copies planes (image × channel × row × column) to a buffer.
    pub fn read_planes(self, planes: &[f32], channels: usize, out: &mut [Lanes]) {
        let blocks = blocks(channels);
        let pixels = self.width * self.height;
        for (image, planes) in planes.chunks_exact(channels * pixels).enumerate() {
            for (channel, plane) in planes.chunks_exact(pixels).enumerate() {
                for (y, row) in plane.chunks_exact(self.width).enumerate() {
                    let first = ((image * self.height + y) * blocks + channel / WIDTH) * self.width;
                    for (lanes, &value) in out[first..].iter_mut().zip(row) {
                        lanes.0[channel % WIDTH] = value;
                    }
                }
            }
        }
    }

    /// Copies channels from buffers to planes (image × channel × row × column).
    pub fn write_planes(self, slots: &[Vec<Lanes>], sources: &[Source], planes: &mut [f32]) {
        let pixels = self.width * self.height;
        let channels: usize = sources.iter().map(|source| source.channels).sum();
        for (image, planes) in planes.chunks_exact_mut(channels * pixels).enumerate() {
            let mut planes = planes.chunks_exact_mut(pixels);
            for source in sources {
                for (channel, plane) in planes.by_ref().take(source.channels).enumerate() {
                    for (y, row) in plane.chunks_exact_mut(self.width).enumerate() {
                        let lanes = &slots[source.slot][self.row(source, image, y)..];
                        for (value, lanes) in row.iter_mut().zip(lanes) {
                            *value = lanes.0[channel];
                        }
                    }
                }
            }
        }
    }
}
