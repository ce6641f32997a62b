//! The innermost step of [`warp`](super::warp): the mean of four pixels.

// Intrinsics, several times as fast as pixel by pixel.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::perspective::Block;

/// The mean of four pixels by their weights, in whole numbers and rounded: red, green, blue, 0 to 255.
///
/// `above` and `below` hold two neighbouring pixels each: blue, green, red, blue, green, red from the lowest
/// byte. `right` and `lower` are the weights of the right and the lower pixels, from 0 to 32.
#[inline(always)]
pub fn blend([above, below]: [u64; 2], [right, lower]: [u32; 2]) -> [f32; 3] {
    let [above, below] = [above, below].map(u64::to_le_bytes);
    [2, 1, 0].map(|color| {
        let row = |pair: [u8; 8]| u32::from(pair[color]) * (32 - right) + u32::from(pair[color + 3]) * right;
        ((row(above) * (32 - lower) + row(below) * lower + 512) >> 10) as f32
    })
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

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "x86_64")]
    use proptest::prelude::*;

    use super::*;

    #[cfg(target_arch = "x86_64")]
    proptest! {
        #[test]
        fn both_ways_agree(pixels: [[u8; 32]; 8], corners: [[u8; 2]; Block::LENGTH]) {
            if !is_x86_feature_detected!("avx2") {
                return Ok(());
            }
            const STRIDE: usize = 32;
            let pixels = pixels.concat();
            // Positions beyond the centers of the last pixels are moved there; more bytes follow these pixels.
            const LAST: [i32; 2] = [7 * 32, 6 * 32];
            let [x, y] = [0, 1].map(|axis| corners.map(|corner| i32::from(corner[axis])));
            let samples = Samples::new([&x, &y], LAST, STRIDE);
            let mut found = [0.0; 3 * Block::LENGTH];
            // SAFETY: the processor was just found to have AVX2.
            unsafe { samples.blend(&pixels, &mut found) };
            for (found, (x, y)) in found.chunks_exact(3).zip(x.into_iter().zip(y)) {
                let at = [x.min(LAST[0]), y.min(LAST[1])];
                let [column, row] = [0, 1].map(|axis| (at[axis] >> 5).min((LAST[axis] >> 5) - 1));
                let weights = [at[0] - (column << 5), at[1] - (row << 5)].map(|weight| weight as u32);
                let start = row as usize * STRIDE + 3 * column as usize;
                let pair = |start: usize| u64::from_le_bytes(pixels[start..][..8].try_into().unwrap());
                prop_assert_eq!(found, blend([pair(start), pair(start + STRIDE)], weights));
            }
        }
    }

    #[test]
    fn white_stays_white() {
        assert_eq!(blend([u64::MAX; 2], [11, 29]), [255.0; 3]);
    }
}
