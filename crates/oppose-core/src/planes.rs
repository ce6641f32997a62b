//! Frames as most videos store them: a plane of luma, and two planes of chroma of half its width and height.

/// The conversion from luma and chroma to blue, green and red in 16-bit arithmetic: that of libswscale's vector code, so that
/// the pixels are those of the ffmpeg program on x86-64.
///
/// With `high(a, b)` for the upper 16 of the 32 bits of a product, and each result limited to 0 to 255:
///
/// ```text
/// gray  = high(8 y - black, luma)
/// blue  = gray + high(8 u - 1024, blue_u)
/// green = gray + high(8 u - 1024, green_u) + high(8 v - 1024, green_v)
/// red   = gray + high(8 v - 1024, red_v)
/// ```
///
/// The formulas use all of its factors, so no field will be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ColorMatrix {
    /// Eight times the luma of black.
    pub black: i16,
    /// Factor of luma in units of 1/8192, like those that follow.
    pub luma: i16,
    /// Share of chroma u in blue.
    pub blue_u: i16,
    /// Share of chroma u in green.
    pub green_u: i16,
    /// Share of chroma v in green.
    pub green_v: i16,
    /// Share of chroma v in red.
    pub red_v: i16,
}

impl ColorMatrix {
    /// The matrix with the factors `[red v, blue u, green u, green v]` in units of 1/65536, the last two of which are
    /// subtracted. They are for luma from 16 to 235 and chroma from 16 to 240, as libswscale has them; with `is_full_range`,
    /// both go from 0 to 255.
    pub fn new([red_v, blue_u, green_u, green_v]: [i32; 4], is_full_range: bool) -> Self {
        let chroma = |factor: i32| {
            let factor = i64::from(factor);
            if is_full_range { factor * 224 / 255 } else { factor }
        };
        let luma = if is_full_range { 1 << 16 } else { (1 << 16) * 255 / 219 };
        // From units of 1/65536 to units of 1/8192: values are multiplied by eight, and the upper half of a product is kept.
        let round = |factor: i64| {
            let rounded = (factor * (1 << 13) + (1 << 15)) >> 16;
            rounded.clamp(-0x7fff, 0x7fff) as i16
        };
        Self {
            black: if is_full_range { 0 } else { 8 * 16 },
            luma: round(luma),
            blue_u: round(chroma(blue_u)),
            green_u: round(chroma(-green_u)),
            green_v: round(chroma(-green_v)),
            red_v: round(chroma(red_v)),
        }
    }

    fn bgr(self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let high = |value: i32, factor: i16| (value * i32::from(factor)) >> 16;
        let [y, u, v] = [y, u, v].map(|value| 8 * i32::from(value));
        let gray = high(y - i32::from(self.black), self.luma);
        let (u, v) = (u - 1024, v - 1024);
        let blue = gray + high(u, self.blue_u);
        let green = gray + high(u, self.green_u) + high(v, self.green_v);
        let red = gray + high(v, self.red_v);
        [blue, green, red].map(|value| value.clamp(0, 255) as u8)
    }
}

/// A frame in planes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Planes<'a> {
    /// Luma, width × height; then chroma u and v, each ⌈width / 2⌉ × height / 2. Rows are packed, from the top.
    pub bytes: &'a [u8],
    /// The conversion to blue, green and red.
    pub matrix: ColorMatrix,
}

/// Number of bytes of the planes of a frame; `None` if the height is odd, because the last row has no chroma of its own.
pub(super) fn bytes(width: usize, height: usize) -> Option<usize> {
    height.is_multiple_of(2).then(|| width * height + width.div_ceil(2) * height)
}

impl Planes<'_> {
    /// Blue, green, red; row by row.
    pub(super) fn to_bgr(self, width: usize) -> Vec<u8> {
        let half = width.div_ceil(2);
        // Two rows of luma to one of each chroma.
        let height = self.bytes.len() / (width + half).max(1);
        let (luma, chroma) = self.bytes.split_at(width * height);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let mut pixels = Vec::with_capacity(3 * luma.len());
        for (y, row) in luma.chunks_exact(width.max(1)).enumerate() {
            let first = y / 2 * half;
            for (x, &luma) in row.iter().enumerate() {
                pixels.extend(self.matrix.bgr(luma, u[first + x / 2], v[first + x / 2]));
            }
        }
        pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The factors of BT.601, as FFmpeg has them.
    const BT_601: [i32; 4] = [104_597, 132_201, 25_675, 53_279];

    #[test]
    fn black_white_and_gray() {
        let limited = ColorMatrix::new(BT_601, false);
        assert_eq!(limited.bgr(16, 128, 128), [0; 3]);
        assert_eq!(limited.bgr(235, 128, 128), [255; 3]);
        assert_eq!(limited.bgr(255, 128, 128), [255; 3]);
        let full = ColorMatrix::new(BT_601, true);
        assert_eq!(full.bgr(0, 128, 128), [0; 3]);
        assert_eq!(full.bgr(200, 128, 128), [200; 3]);
    }

    #[test]
    fn planes_share_chroma_among_four_pixels() {
        let matrix = ColorMatrix::new(BT_601, false);
        // 3 x 2 pixels, two of each chroma; the left ones are red.
        let bytes = [81, 81, 16, 81, 81, 16, 90, 128, 240, 128];
        assert_eq!(super::bytes(3, 2), Some(bytes.len()));
        let pixels = Planes { bytes: &bytes, matrix }.to_bgr(3);
        let [blue, green, red] = [pixels[0], pixels[1], pixels[2]];
        assert!(red > 250 && green < 5 && blue < 5, "{pixels:?}");
        assert_eq!(pixels[..3], pixels[12..15]);
        assert_eq!(pixels[6..9], [0; 3]);
        assert_eq!(super::bytes(3, 3), None);
    }
}
