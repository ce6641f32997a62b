//! The innermost step of [`warp`](super::warp): the mean of four pixels.

// Intrinsics of x86-64's baseline, more than twice as fast as the loop below; nothing but values goes in and out.
#![allow(unsafe_code)]

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
