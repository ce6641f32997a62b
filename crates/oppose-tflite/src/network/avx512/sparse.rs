//! Matrix products that skip zeros.
//!
//! Half of the results of a convolution that is limited to positive values are zeros, which add nothing to a sum. A depth that
//! is zero in all pixels of a tile is skipped; tiles therefore have few pixels, and as many columns as the registers allow.

use std::arch::x86_64::*;

use super::{Avx512, LANES, PANEL, Pixels, SLACK, Summand, Turn, Weights, clamp, mask};

/// The most pixels of a tile.
const TILE: usize = 4;
/// The most panels of weights of a tile: 24 sums.
const PANELS: usize = 3;

/// Skipping zeros does not pay off if more than this share of the depths has to be multiplied.
const WORTH: f32 = 0.9;

/// For each tile of pixels, the depths at which not all of its pixels are zero.
#[derive(Clone, Debug, Default)]
pub struct Depths {
    depths: Vec<u32>,
    /// Where the depths of each tile end.
    ends: Vec<usize>,
}

impl Depths {
    /// Allocates memory for this many pixels.
    pub fn reserve(&mut self, pixels: usize, depth: usize) {
        let tiles = pixels.div_ceil(TILE);
        let depths = tiles * depth + SLACK;
        if self.depths.len() < depths {
            self.depths.resize(depths, 0);
        }
        self.ends.reserve(tiles.saturating_sub(self.ends.capacity()));
    }

    /// Finds the depths of dense pixels. Returns their share of all depths.
    fn find(&mut self, _: Avx512, values: &[f32], pixels: usize, depth: usize) -> f32 {
        let tiles = pixels.div_ceil(TILE);
        assert!(pixels * depth + SLACK <= values.len());
        assert!(tiles * depth + SLACK <= self.depths.len());
        self.ends.clear();
        let mut end = 0;
        for tile in 0..tiles {
            let (start, stop) = (tile * pixels / tiles, (tile + 1) * pixels / tiles);
            // SAFETY: the proof shows that the processor has AVX-512. The assertions above show that the values of the
            // pixels and the values read beyond them exist, and that there is room for all depths of all tiles.
            end += unsafe {
                let values = values.as_ptr().add(start * depth);
                not_zero(values, stop - start, depth, self.depths.as_mut_ptr().add(end))
            };
            self.ends.push(end);
        }
        end as f32 / (tiles * depth) as f32
    }
}

/// Writes the depths at which not all pixels are zero. Returns how many there are.
///
/// # Safety
/// The processor has AVX-512. There are `pixels` pixels of `depth` values, followed by [`SLACK`] more values, and room for
/// `depth` + [`SLACK`] depths.
#[target_feature(enable = "avx512f")]
unsafe fn not_zero(values: *const f32, pixels: usize, depth: usize, depths: *mut u32) -> usize {
    let mut found = 0;
    let mut numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    // All bits but the sign.
    let digits = _mm512_set1_epi32(i32::MAX);
    for first in (0..depth).step_by(LANES) {
        // SAFETY: all reads and writes are inside what the caller guarantees.
        unsafe {
            let mut any = _mm512_loadu_si512(values.add(first).cast());
            for pixel in 1..pixels {
                any = _mm512_or_si512(any, _mm512_loadu_si512(values.add(pixel * depth + first).cast()));
            }
            let kept = _mm512_test_epi32_mask(any, digits) & mask(depth - first);
            _mm512_storeu_si512(depths.add(found).cast(), _mm512_maskz_compress_epi32(kept, numbers));
            found += kept.count_ones() as usize;
        }
        numbers = _mm512_add_epi32(numbers, _mm512_set1_epi32(LANES as i32));
    }
    found
}

/// Multiplies [dense](Weights::dense) pixels by the weights, if enough of their values are zero. Returns whether it did.
///
/// # Panics
/// A slice is too short; the pixels must be followed by [`SLACK`] more values.
pub fn multiply(
    proof: Avx512,
    turn: Turn,
    Pixels { values: input, count: pixels, .. }: Pixels<'_>,
    weights: &Weights,
    output: &mut [f32],
    summand: Summand<'_>,
    depths: &mut Depths,
) -> bool {
    let Weights { depth, columns, .. } = *weights;
    assert!(pixels * columns <= output.len());
    assert!(summand.is_none_or(|(values, _)| pixels * columns <= values.len()));
    if depths.find(proof, input, pixels, depth) > WORTH {
        return false;
    }
    let tiles = depths.ends.len();
    let panels = columns.div_ceil(PANEL);
    let groups = panels.div_ceil(PANELS);
    for group in turn.order(groups) {
        let (first, last) = (group * panels / groups * PANEL, (group + 1) * panels / groups * PANEL);
        let columns_here = columns.min(last) - first;
        let mut begin = 0;
        for (tile, &end) in depths.ends.iter().enumerate() {
            let (start, stop) = (tile * pixels / tiles, (tile + 1) * pixels / tiles);
            let place = start * columns + first;
            let job = Tile {
                input: &input[start * depth..],
                depths: &depths.depths[begin..end],
                first,
                weights,
                columns: columns_here,
                output: &mut output[place..],
                summand: summand.map(|(values, range)| (&values[place..], range)),
            };
            begin = end;
            let registers = columns_here.div_ceil(LANES);
            macro_rules! run {
                ($($pixels:literal)+) => {
                    // SAFETY: the proof shows that the processor has AVX-512. All depths are below that of the pixels. The
                    // assertions above show that pixels, results and summands are inside their slices, and the panels
                    // and the bias have the sizes that `Weights::pack` gives them.
                    unsafe {
                        match (stop - start, registers) {
                            $(
                                ($pixels, 1) => job.run::<$pixels, 1>(),
                                ($pixels, 2) => job.run::<$pixels, 2>(),
                                ($pixels, 3) => job.run::<$pixels, 3>(),
                                ($pixels, 4) => job.run::<$pixels, 4>(),
                                ($pixels, 5) => job.run::<$pixels, 5>(),
                                ($pixels, 6) => job.run::<$pixels, 6>(),
                            )+
                            _ => unreachable!("a tile has at most {TILE} pixels and {PANELS} panels"),
                        }
                    }
                };
            }
            run!(1 2 3 4);
        }
    }
    true
}

/// Some pixels times up to [`PANELS`] panels of weights. Each slice starts at the first pixel.
struct Tile<'a> {
    input: &'a [f32],
    depths: &'a [u32],
    /// The first column.
    first: usize,
    weights: &'a Weights,
    /// Number of columns.
    columns: usize,
    output: &'a mut [f32],
    summand: Summand<'a>,
}

impl Tile<'_> {
    /// # Safety
    /// The processor has AVX-512. The slices hold `PIXELS` pixels, and the weights, the bias and room for the results of
    /// columns that take `REGISTERS` registers.
    #[target_feature(enable = "avx512f")]
    unsafe fn run<const PIXELS: usize, const REGISTERS: usize>(self) {
        let Weights { depth, columns, range, .. } = *self.weights;
        let input = self.input.as_ptr();
        // SAFETY: all reads and writes are inside what the caller guarantees; masks end at the last column.
        unsafe {
            let panels = self.weights.panels.as_ptr().add(self.first * depth);
            let bias = self.weights.bias.as_ptr().add(self.first);
            let bias: [__m512; REGISTERS] = std::array::from_fn(|i| _mm512_loadu_ps(bias.add(i * LANES)));
            let mut sums = [bias; PIXELS];
            for &i in self.depths {
                let i = i as usize;
                let values: [__m512; PIXELS] =
                    std::array::from_fn(|pixel| _mm512_set1_ps(*input.add(pixel * depth + i)));
                let row = panels.add(i * PANEL);
                for j in 0..REGISTERS {
                    let weights = _mm512_loadu_ps(row.add(j / 2 * PANEL * depth + j % 2 * LANES));
                    for (sums, value) in sums.iter_mut().zip(values) {
                        sums[j] = _mm512_fmadd_ps(value, weights, sums[j]);
                    }
                }
            }
            for (pixel, sums) in sums.iter().enumerate() {
                for (i, &sum) in sums.iter().enumerate() {
                    let place = pixel * columns + i * LANES;
                    let mask = mask(self.columns - i * LANES);
                    let mut result = clamp(sum, range);
                    if let Some((values, range)) = self.summand {
                        let values = _mm512_maskz_loadu_ps(mask, values.as_ptr().add(place));
                        result = clamp(_mm512_add_ps(result, values), range);
                    }
                    _mm512_mask_storeu_ps(self.output.as_mut_ptr().add(place), mask, result);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pixels, Places, Runs, Values};
    use super::*;

    #[test]
    fn skipping_zeros_does_not_change_sums() {
        let Some(proof) = Avx512::detect() else {
            return eprintln!("skipped: this processor has no AVX-512");
        };
        let mut depths = Depths::default();
        for (pixels, depth, columns) in
            [(1, 5, 3), (2, 16, 16), (3, 40, 24), (9, 100, 80), (15, 33, 112), (28, 64, 272)]
        {
            let number = |i: usize| ((i * 7919 + 11) % 2003) as f32 / 1001.0 - 1.0;
            // Zeros of both signs at most depths.
            let value = |i: usize| match (i / depth + i % depth * 3) % 7 {
                0 => number(i).abs(),
                1..4 => -0.0,
                _ => 0.0,
            };
            let mut input = Values::zeros(pixels * depth + SLACK);
            input.iter_mut().enumerate().for_each(|(i, place)| *place = value(i));
            let weights: Vec<f32> = (0..columns * depth).map(number).collect();
            let bias: Vec<f32> = (0..columns).map(|i| number(i + 5)).collect();
            let weights = Weights::pack(&weights, &bias, [-0.5, 6.0]);
            let other: Vec<f32> = (0..pixels * columns).map(number).collect();
            depths.reserve(pixels, depth);
            for summand in [None, Some((&*other, [0.0, 1.0]))] {
                let mut expected = vec![f32::NAN; pixels * columns];
                let runs = Runs { pixel: depth, row: 0, count: 1 };
                let all = Pixels { values: &input, count: pixels, runs };
                super::super::multiply(
                    proof,
                    Turn::ALONE,
                    all,
                    &weights,
                    &mut expected,
                    Places::Dense,
                    summand,
                );
                let mut output = vec![f32::NAN; pixels * columns];
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                for part in 0..2 {
                    let turn = Turn { part, parts: 2 };
                    output.fill(f32::NAN);
                    let done = multiply(proof, turn, all, &weights, &mut output, summand, &mut depths);
                    assert!(done, "{pixels} {depth}");
                    assert_eq!(bits(&output), bits(&expected), "{pixels} {depth} {columns}");
                }
            }
        }
    }

    #[test]
    fn pixels_without_zeros_are_left_to_the_dense_product() {
        let Some(proof) = Avx512::detect() else {
            return eprintln!("skipped: this processor has no AVX-512");
        };
        let mut input = Values::zeros(4 * 16 + SLACK);
        input.fill(1.0);
        let weights = Weights::pack(&[1.0; 32], &[0.0; 2], [0.0, 6.0]);
        let mut depths = Depths::default();
        depths.reserve(4, 16);
        let mut output = [f32::NAN; 8];
        assert!(!multiply(
            proof,
            Turn::ALONE,
            weights.dense(&input, 4),
            &weights,
            &mut output,
            None,
            &mut depths
        ));
    }
}
