//! The matrix product in which nearly all time is spent.

use super::vector::{Lanes, Vector, WIDTH};

/// Up to sixteen input channels: where they lie, of the first tile.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// Index of the buffer.
    pub source: usize,
    /// Index in the buffer.
    pub offset: usize,
    /// How many of the sixteen there are.
    pub channels: usize,
}

/// For each tile (a pixel, or a place of the transform domain), the sums over all terms' channels:
/// `out[block * out_stride + tile] = Σ input[tile][channel] * weights[channel][block]`.
///
/// Tiles of a term lie one behind the other, `base` behind the term's offset. The weights of a channel
/// are `blocks` lanes, at most `V::BLOCKS`. The order of the sums does not depend on the tile.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // All are needed, and a structure would be taken apart here.
pub fn product<V: Vector>(
    sources: &[Vec<Lanes>],
    base: usize,
    terms: &[Term],
    weights: &[Lanes],
    blocks: usize,
    tiles: usize,
    out: &mut [Lanes],
    out_stride: usize,
) {
    let mut done = 0;
    while done < tiles {
        let left = tiles - done;
        macro_rules! take {
            ($($count:literal)+) => {
                $(if V::TILES >= $count && left >= $count {
                    let out = &mut out[done..];
                    if V::BLOCKS == 2 && blocks == 2 {
                        sums::<V, $count, 2>(sources, base + done, terms, weights, out, out_stride);
                    } else {
                        sums::<V, $count, 1>(sources, base + done, terms, weights, out, out_stride);
                    }
                    done += $count;
                } else)+ {
                    unreachable!("one tile always fits");
                }
            };
        }
        take!(12 8 6 4 2 1);
    }
}

/// `T` tiles and `B` blocks: all sums stay in registers.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Iterators would hinder the unrolling.
fn sums<V: Vector, const T: usize, const B: usize>(
    sources: &[Vec<Lanes>],
    base: usize,
    terms: &[Term],
    mut weights: &[Lanes],
    out: &mut [Lanes],
    out_stride: usize,
) {
    let mut sums = [[V::splat(0.0); B]; T];
    for term in terms {
        let tiles = &sources[term.source][base + term.offset..];
        let tiles: &[Lanes; T] = tiles.first_chunk().expect("as many tiles as are asked for");
        let (of_term, rest) = weights.split_at(term.channels * B);
        weights = rest;
        // The bound of sixteen spares the check of each channel.
        for (channel, weights) in of_term.as_chunks::<B>().0.iter().enumerate().take(WIDTH) {
            let mut vectors = [V::splat(0.0); B];
            for block in 0..B {
                vectors[block] = V::load(&weights[block]);
            }
            for tile in 0..T {
                let value = V::splat(tiles[tile].0[channel]);
                for block in 0..B {
                    sums[tile][block] = value.mul_add(vectors[block], sums[tile][block]);
                }
            }
        }
    }
    for tile in 0..T {
        for block in 0..B {
            sums[tile][block].store(&mut out[block * out_stride + tile]);
        }
    }
}
