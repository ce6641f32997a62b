//! The innermost step of [`warp`](super::warp): the mean of four pixels.

// Intrinsics of x86-64's baseline, more than twice as fast as the loop below; nothing but values goes in and out.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::perspective::Block;

/// The mean of four pixels by their weights, in whole numbers and rounded: red, green, blue, 0 to 255.
///
/// `above` and `below` hold two neighbouring pixels each: blue, green, red, blue, green, red from the lowest
/// byte. `right` and `lower` are the weights of the right and the lower pixels, from 0 to 32.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn blend([above, below]: [u64; 2], [right, lower]: [u32; 2]) -> [f32; 3] {
    use std::arch::x86_64::*;
    let mut color = [0f32; 4];
    // Two 16-bit weights for each of the four sums.
    let horizontal = (right << 16 | (32 - right)) as i32;
    let vertical = (lower << 16 | (32 - lower)) as i32;
    // SAFETY: SSE2 belongs to every x86-64; the only memory touched is `color`, which has room for four values.
    unsafe {
        let row = |pixels: u64| {
            let pixels = _mm_cvtsi64_si128(pixels as i64);
            // Left and right value of each colour side by side, then multiplied and added pair by pair.
            let pairs = _mm_unpacklo_epi8(pixels, _mm_srli_epi64(pixels, 24));
            _mm_madd_epi16(_mm_unpacklo_epi8(pairs, _mm_setzero_si128()), _mm_set1_epi32(horizontal))
        };
        let rows = _mm_or_si128(row(above), _mm_slli_epi32(row(below), 16));
        let sum = _mm_madd_epi16(rows, _mm_set1_epi32(vertical));
        let mean = _mm_srli_epi32(_mm_add_epi32(sum, _mm_set1_epi32(512)), 10);
        _mm_storeu_ps(color.as_mut_ptr(), _mm_cvtepi32_ps(mean));
    }
    [color[2], color[1], color[0]]
}

/// The pixels and weights from which [`Block::LENGTH`] samples are made.
#[cfg(target_arch = "x86_64")]
#[derive(Debug)]
pub struct Samples {
    /// Where the upper left pixel of each sample begins.
    starts: [usize; Block::LENGTH],
    /// Twice the weights, from 0 to 32, of the left and the right pixels in 8 bits each.
    across: [u32; Block::LENGTH],
    /// The weights of the upper and the lower pixels in 16 bits each.
    down: [u32; Block::LENGTH],
    /// From a pixel to the one below.
    stride: usize,
}

#[cfg(target_arch = "x86_64")]
impl Samples {
    /// The samples at positions `[x, y]` in 1/32 pixels, which are first moved to 0 or to `[right, lower]`, the centers of the
    /// outermost pixels, if they lie beyond. A row of pixels has `stride` bytes.
    #[inline(always)]
    pub fn new([x, y]: [&[i32; Block::LENGTH]; 2], [right, lower]: [i32; 2], stride: usize) -> Self {
        const EMPTY: [u32; Block::LENGTH] = [0; Block::LENGTH];
        let mut samples = Self { starts: [0; Block::LENGTH], across: EMPTY, down: EMPTY, stride };
        for i in 0..Block::LENGTH {
            let (x, y) = (x[i].clamp(0, right), y[i].clamp(0, lower));
            let (column, row) = ((x >> 5).min((right >> 5) - 1), (y >> 5).min((lower >> 5) - 1));
            let [across, down] = [x - (column << 5), y - (row << 5)].map(|weight| weight as u32);
            samples.starts[i] =
                (row as u32 as usize) * (stride as u32 as usize) + 3 * (column as u32 as usize);
            samples.across[i] = ((32 - across) | across << 8) * 0x1_0001;
            samples.down[i] = (32 - down) | down << 16;
        }
        samples
    }

    /// Number of bytes up to the last one that is read.
    #[inline(always)]
    pub fn end(&self) -> usize {
        self.starts.iter().fold(0, |last, &start| last.max(start)) + self.stride + 8
    }

    /// Blends the first samples as [`blend`] does: red, green, blue, as many as `output` has room for.
    ///
    /// # Panics
    /// The pixels end before the samples' [`end`](Self::end), or there is room for more samples.
    #[target_feature(enable = "avx2")]
    pub fn blend(&self, pixels: &[u8], output: &mut [f32]) {
        use std::arch::x86_64::*;
        assert!(self.end() <= pixels.len());
        // One value more is written behind the last sample.
        let mut samples = [0f32; 3 * Block::LENGTH + 1];
        // The red, green and blue of the left and the right pixel above and of those below: 2 × 2 bytes each.
        let order = _mm_setr_epi8(2, 5, 10, 13, 1, 4, 9, 12, 0, 3, 8, 11, -1, -1, -1, -1);
        let order = _mm256_broadcastsi128_si256(order);
        let halves = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
        for i in (0..output.len().div_ceil(3)).step_by(2) {
            // SAFETY: eight bytes from each start on, and from the pixel below, are pixels, as was asserted. The weights of
            // sample `i` and the next one are read: their number is even. Four values are written from each of these two
            // samples on, for which there is room.
            unsafe {
                let four_pixels = |start: usize| {
                    let above = pixels.as_ptr().add(start);
                    let [above, below] =
                        [above, above.add(self.stride)].map(|pair| pair.cast::<i64>().read_unaligned());
                    _mm_set_epi64x(below, above)
                };
                let two_weights = |weights: &[u32; Block::LENGTH]| {
                    let weights = _mm_loadl_epi64(weights.as_ptr().add(i).cast());
                    _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(weights), halves)
                };
                let both = _mm256_set_m128i(four_pixels(self.starts[i + 1]), four_pixels(self.starts[i]));
                let rows = _mm256_maddubs_epi16(_mm256_shuffle_epi8(both, order), two_weights(&self.across));
                let sums = _mm256_madd_epi16(rows, two_weights(&self.down));
                let means = _mm256_srli_epi32(_mm256_add_epi32(sums, _mm256_set1_epi32(512)), 10);
                let means = _mm256_cvtepi32_ps(means);
                let output = samples.as_mut_ptr().add(3 * i);
                _mm_storeu_ps(output, _mm256_castps256_ps128(means));
                _mm_storeu_ps(output.add(3), _mm256_extractf128_ps(means, 1));
            }
        }
        output.copy_from_slice(&samples[..output.len()]);
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub use portable as blend;

/// As [`blend`], on any machine.
#[cfg(any(test, not(target_arch = "x86_64")))]
pub fn portable(pairs: [u64; 2], [right, lower]: [u32; 2]) -> [f32; 3] {
    let [above, below] = pairs.map(u64::to_le_bytes);
    [2, 1, 0].map(|color| {
        let row = |pair: [u8; 8]| u32::from(pair[color]) * (32 - right) + u32::from(pair[color + 3]) * right;
        ((row(above) * (32 - lower) + row(below) * lower + 512) >> 10) as f32
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_ways_agree(above: u64, below: u64, right in 0u32..=32, lower in 0u32..=32) {
            prop_assert_eq!(blend([above, below], [right, lower]), portable([above, below], [right, lower]));
        }
    }

    #[test]
    fn white_stays_white() {
        assert_eq!(blend([u64::MAX; 2], [11, 29]), [255.0; 3]);
    }
}
