//! The matrix product, which takes nearly all of the time.

use super::instructions::Work;
use super::vector::{Lanes, Vector, WIDTH};

/// Up to sixteen input channels, and where they begin in the first tile.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// Index of the buffer.
    pub source: usize,
    /// Index in the buffer.
    pub offset: usize,
    /// How many of the sixteen are used.
    pub channels: usize,
}

/// What the next product reads. It is prefetched meanwhile: weights are read once for many tiles, and the
/// CPU cannot predict where the next ones are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prefetch<'a> {
    /// Weights not prefetched yet.
    pub weights: &'a [Lanes],
    /// How many of them are prefetched with each term.
    pub each: usize,
    /// The distance from the tiles to the next ones; 0 if they are the same.
    pub tiles: usize,
}

/// For each tile (a pixel, or a place in the transform domain), computes the sums over the channels of all terms:
/// `out[block * out_stride + tile] = Σ input[tile][channel] * weights[channel][block]`.
///
/// The tiles of a term are consecutive, starting `base` after the term's offset. The weights of a channel
/// are `blocks` lanes, at most `V::BLOCKS`. The order of the sums does not depend on the tile. What was
/// prefetched is removed from `prefetch`.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // All are needed, and a struct would be destructured right away.
pub fn product<V: Vector>(
    sources: &[Vec<Lanes>],
    base: usize,
    terms: &[Term],
    weights: &[Lanes],
    blocks: usize,
    tiles: usize,
    out: &mut [Lanes],
    out_stride: usize,
    prefetch: &mut Prefetch<'_>,
) {
    let mut done = 0;
    while done < tiles {
        let left = tiles - done;
        macro_rules! take {
            ($($count:literal)+) => {
                $(if V::TILES >= $count && left >= $count {
                    let (base, out, prefetch) = (base + done, &mut out[done..], &mut *prefetch);
                    if V::BLOCKS == 2 && blocks == 2 {
                        V::outlined(Sums::<$count, 2> { sources, base, terms, weights, out, out_stride, prefetch });
                    } else {
                        V::outlined(Sums::<$count, 1> { sources, base, terms, weights, out, out_stride, prefetch });
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
struct Sums<'a, 'b, const T: usize, const B: usize> {
    sources: &'a [Vec<Lanes>],
    base: usize,
    terms: &'a [Term],
    weights: &'a [Lanes],
    out: &'a mut [Lanes],
    out_stride: usize,
    prefetch: &'a mut Prefetch<'b>,
}

impl<const T: usize, const B: usize> Work for Sums<'_, '_, T, B> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // Iterators would hinder the unrolling.
    fn run<V: Vector>(self) {
        let Self { sources, base, terms, mut weights, out, out_stride, prefetch } = self;
        let mut sums = [[V::splat(0.0); B]; T];
        for term in terms {
            let first = base + term.offset;
            prefetch.fetch::<V, T>(&sources[term.source], first);
            let tiles: &[Lanes; T] = sources[term.source][first..].first_chunk().expect("at least T tiles");
            let (of_term, rest) = weights.split_at(term.channels * B);
            weights = rest;
            let of_term = of_term.as_chunks::<B>().0;
            if let Some(of_term) = of_term.first_chunk::<WIDTH>() {
                // Four channels at once: otherwise the loop itself takes a fifth of the time.
                for four in 0..WIDTH / 4 {
                    for channel in 4 * four..4 * four + 4 {
                        add::<V, T, B>(&mut sums, tiles, channel, &of_term[channel]);
                    }
                }
            } else {
                // The bound makes checks of each channel unnecessary.
                for (channel, weights) in of_term.iter().enumerate().take(WIDTH) {
                    add::<V, T, B>(&mut sums, tiles, channel, weights);
                }
            }
        }
        for tile in 0..T {
            for block in 0..B {
                sums[tile][block].store(&mut out[block * out_stride + tile]);
            }
        }
    }
}

/// Adds the products of one input channel.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Iterators would hinder the unrolling.
fn add<V: Vector, const T: usize, const B: usize>(
    sums: &mut [[V; B]; T],
    tiles: &[Lanes; T],
    channel: usize,
    weights: &[Lanes; B],
) {
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

impl Prefetch<'_> {
    /// Prefetches a term's share: weights, and `T` tiles after those of the term.
    #[inline(always)]
    fn fetch<V: Vector, const T: usize>(&mut self, source: &[Lanes], first: usize) {
        let (weights, rest) = self.weights.split_at(self.each.min(self.weights.len()));
        weights.iter().for_each(V::fetch);
        self.weights = rest;
        if self.tiles > 0
            && let Some(tiles) = source.get(first + self.tiles..)
        {
            tiles.iter().take(T).for_each(V::fetch);
        }
    }
}
