//! Convolutions with 1 × 1 kernels: a matrix product over the channels of each pixel, straight from the tensors.

use super::super::model::Convolution;
use super::epilogue::Epilogue;
use super::layout::{Planes, Source};
use super::product::{Prefetch, Term, product};
use super::vector::{Lanes, Vector, WIDTH};

/// A convolution with a kernel of 1 × 1.
#[derive(Debug)]
pub struct Pointwise {
    sources: Vec<Source>,
    /// Number of output blocks that are computed together.
    group: usize,
    /// Groups × input channels × blocks of the group.
    weights: Vec<Lanes>,
    epilogue: Epilogue,
}

/// Some rows of an image.
pub struct Item<'a> {
    pub slots: &'a [Vec<Lanes>],
    pub image: usize,
    pub planes: Planes,
    pub first_row: usize,
    /// The item's rows of the result.
    pub out: &'a mut [Lanes],
    /// Memory for the terms of a row.
    pub terms: &'a mut Vec<Term>,
}

impl Pointwise {
    pub fn new(convolution: &Convolution, sources: Vec<Source>, group: usize) -> Self {
        let epilogue = Epilogue::new(convolution);
        let channels: usize = sources.iter().map(|source| source.channels).sum();
        let mut weights = vec![Lanes::default(); channels * epilogue.blocks()];
        for (output, filter) in convolution.weights.chunks_exact(channels).enumerate() {
            let (block, lane) = (output / WIDTH, output % WIDTH);
            let first = block / group * group;
            let in_group = group.min(epilogue.blocks() - first);
            for (channel, &weight) in filter.iter().enumerate() {
                weights[channels * first + channel * in_group + block - first].0[lane] = weight;
            }
        }
        Self { sources, group, weights, epilogue }
    }

    /// Computes some rows.
    #[inline(always)]
    pub fn run<V: Vector>(&self, item: Item<'_>) {
        let Item { slots, image, planes, first_row, out, terms } = item;
        let (width, blocks) = (planes.width, self.epilogue.blocks());
        let channels = self.weights.len() / blocks;
        for (row, out) in out.chunks_exact_mut(blocks * width).enumerate() {
            terms.clear();
            terms.extend(self.sources.iter().map(|source| Term {
                source: source.slot,
                offset: planes.row(source, image, first_row + row),
                channels: source.channels,
            }));
            for first in (0..blocks).step_by(self.group) {
                let in_group = self.group.min(blocks - first);
                let weights = &self.weights[channels * first..];
                let (out, prefetch) = (&mut out[first * width..], &mut Prefetch::default());
                product::<V>(slots, 0, terms, weights, in_group, width, out, width, prefetch);
            }
            for (block, out) in out.chunks_exact_mut(width).enumerate() {
                let epilogue = self.epilogue.block::<V>(block);
                for pixel in out {
                    epilogue.apply(V::load(pixel)).store(pixel);
                }
            }
        }
    }
}
