//! The maximum of each 2 × 2 pixels, where the preceding layer could not compute it itself.

use super::layout::{Planes, Source};
use super::vector::{Lanes, Vector};

/// Some rows of an image's result.
pub struct Item<'a> {
    pub slots: &'a [Vec<Lanes>],
    pub image: usize,
    /// Size of the input.
    pub planes: Planes,
    /// First row of the result.
    pub first_row: usize,
    pub out: &'a mut [Lanes],
}

/// Computes some rows.
#[inline(always)]
pub fn run<V: Vector>(sources: &[Source], item: Item<'_>) {
    let Item { slots, image, planes, first_row, out } = item;
    let width = planes.width / 2;
    for (index, out) in out.chunks_exact_mut(width).enumerate() {
        let (row, source) = (first_row + index / sources.len(), &sources[index % sources.len()]);
        let line = |y| &slots[source.slot][planes.row(source, image, y)..][..planes.width];
        let pairs = line(2 * row).as_chunks::<2>().0.iter().zip(line(2 * row + 1).as_chunks::<2>().0);
        for (pixel, (upper, lower)) in out.iter_mut().zip(pairs) {
            let upper = V::load(&upper[0]).max(V::load(&upper[1]));
            upper.max(V::load(&lower[0]).max(V::load(&lower[1]))).store(pixel);
        }
    }
}
