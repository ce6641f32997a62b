//! Cutting a rotated rectangle out of a frame, as a net wants to see it.
//!
//! As near as can be to what MediaPipe's `ImageToTensorCalculator` does with OpenCV's perspective warp:
//! source positions are rounded to 1/32 pixel, samples are bilinear in whole numbers and rounded to 8 bits.

use super::geometry::{Padding, Rect, Size};
use crate::video::Frame;

/// What lies beyond the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Black.
    Zero,
    /// The nearest pixel of the frame.
    Replicate,
}

/// How a net wants to see its part of the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Side of the square crop, in pixels.
    pub side: usize,
    /// What a sample of 0 and one of 255 become.
    pub range: (f32, f32),
    /// Whether the rectangle is first grown to a square, or stretched.
    pub keep_aspect: bool,
    /// What lies beyond the frame.
    pub border: Border,
}

/// Steps of a pixel that positions are rounded to.
const STEPS: f64 = 32.0;
/// Fractional bits of a position while it is walked along a row; more than f64 had in the first place.
const FRACTION: u32 = 32;

impl Crop {
    /// Fills `tensor` (`side` × `side` × red, green, blue) with the part of the frame in `rect`. Says how much of the crop is
    /// padding.
    pub fn cut(&self, frame: &Frame, rect: &Rect, tensor: &mut [f32]) -> Padding {
        let (corners, padding) = self.place(Size::of(frame), rect);
        let side = self.side as f64;
        // From a pixel of the crop to a position in the frame, in fixed point: start, a step right, a step
        // down. Corner (0, 0) of the crop is its pixel (0, 0), (side, side) lies one pixel beyond its last.
        let fixed = |value: f64| (value * STEPS * 2f64.powi(FRACTION as i32)) as i64;
        let [start, right, down] = corners;
        let right = [0, 1].map(|i| fixed((right[i] - start[i]) / side));
        let down = [0, 1].map(|i| (down[i] - start[i]) / side);
        let table = self.table();
        let sampler = Sampler { frame, border: self.border };
        for (y, row) in tensor.chunks_exact_mut(3 * self.side).take(self.side).enumerate() {
            // Half a step, so that cutting off the fraction rounds.
            let mut at =
                [0, 1].map(|i| fixed(start[i] + down[i] * y as f64).wrapping_add(1 << (FRACTION - 1)));
            for pixel in row.chunks_exact_mut(3) {
                let [blue, green, red] = sampler.sample(at[0] >> FRACTION, at[1] >> FRACTION);
                pixel.copy_from_slice(&[table[red as usize], table[green as usize], table[blue as usize]]);
                at = [at[0].wrapping_add(right[0]), at[1].wrapping_add(right[1])];
            }
        }
        padding
    }

    /// Where the crop's corners (0, 0), (side, 0) and (0, side) lie in the frame, in pixels.
    fn place(&self, size: Size, rect: &Rect) -> ([[f64; 2]; 3], Padding) {
        // MediaPipe and OpenCV do this in f32, which is followed because a position may fall on either side
        // of a rounding boundary.
        let center = [(rect.x * f64::from(size.width)) as f32, (rect.y * f64::from(size.height)) as f32];
        let mut width = (rect.width * f64::from(size.width)) as f32;
        let mut height = (rect.height * f64::from(size.height)) as f32;
        let mut padding = Padding::default();
        if self.keep_aspect {
            let aspect = height / width;
            if aspect < 1.0 {
                padding.y = f64::from((1.0 - aspect) / 2.0);
                height = width;
            } else {
                padding.x = f64::from((1.0 - 1.0 / aspect) / 2.0);
                width = height;
            }
        }
        let angle = f64::from((rect.rotation.to_degrees()) as f32).to_radians();
        let (b, a) = (angle.cos() as f32 * 0.5, angle.sin() as f32 * 0.5);
        let bottom_left = [center[0] - a * height - b * width, center[1] + b * height - a * width];
        let top_left = [center[0] + a * height - b * width, center[1] - b * height - a * width];
        let top_right = [2.0 * center[0] - bottom_left[0], 2.0 * center[1] - bottom_left[1]];
        ([top_left, top_right, bottom_left].map(|point| point.map(f64::from)), padding)
    }

    /// What each 8-bit value becomes.
    fn table(&self) -> [f32; 256] {
        let (low, high) = self.range;
        let scale = (high - low) / 255.0;
        std::array::from_fn(|value| value as f32 * scale + low)
    }
}

/// Bilinear samples of a frame.
struct Sampler<'a> {
    frame: &'a Frame,
    border: Border,
}

impl Sampler<'_> {
    /// Blue, green and red at a position in 1/32 pixels.
    #[inline(always)]
    fn sample(&self, x: i64, y: i64) -> [u8; 3] {
        let (column, row) = (x >> 5, y >> 5);
        let [fx, fy] = [(x & 31) as u64, (y & 31) as u64];
        let [above, below] = self.pairs(column, row).unwrap_or_else(|| self.pairs_at_border(column, row));
        // Weights of the four pixels add up to 1024; three sums are made at once, 21 bits apart.
        let sum = spread(above) * ((32 - fx) * (32 - fy))
            + spread(above >> 24) * (fx * (32 - fy))
            + spread(below) * ((32 - fx) * fy)
            + spread(below >> 24) * (fx * fy)
            + (512 | 512 << 21 | 512 << 42);
        [(sum >> 10) as u8, (sum >> 31) as u8, (sum >> 52) as u8]
    }

    /// Two neighbouring pixels of this row, and the two below, six bytes each; `None` near the border.
    #[inline(always)]
    fn pairs(&self, column: i64, row: i64) -> Option<[u64; 2]> {
        let (width, height) = (i64::from(self.frame.width()), i64::from(self.frame.height()));
        if column < 0 || row < 0 || column + 1 >= width || row + 1 >= height {
            return None;
        }
        let pixels = self.frame.pixels();
        let stride = 3 * width as usize;
        let start = row as usize * stride + 3 * column as usize;
        let eight = |at: usize| Some(u64::from_le_bytes(*pixels.get(at..)?.first_chunk()?));
        Some([eight(start)?, eight(start + stride)?])
    }

    /// As [`pairs`](Self::pairs), anywhere.
    #[cold]
    fn pairs_at_border(&self, column: i64, row: i64) -> [u64; 2] {
        let pair = |row| self.pixel(column, row) | self.pixel(column.saturating_add(1), row) << 24;
        [pair(row), pair(row.saturating_add(1))]
    }

    fn pixel(&self, column: i64, row: i64) -> u64 {
        let (width, height) = (i64::from(self.frame.width()), i64::from(self.frame.height()));
        let inside = (0..width).contains(&column) && (0..height).contains(&row);
        if width == 0 || height == 0 || (self.border == Border::Zero && !inside) {
            return 0;
        }
        let at = 3 * (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)) as usize;
        let pixel = self.frame.pixels().get(at..at + 3);
        pixel.map_or(0, |p| u64::from(p[0]) | u64::from(p[1]) << 8 | u64::from(p[2]) << 16)
    }
}

/// The three lowest bytes, 21 bits apart: room for each times 1024.
#[inline(always)]
fn spread(pixel: u64) -> u64 {
    (pixel & 0xff) | (pixel & 0xff00) << 13 | (pixel & 0xff_0000) << 26
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 8 × 6 pixels, each its own colour.
    fn frame() -> Frame {
        let pixels = (0..8 * 6 * 3).map(|i| (i * 7 % 256) as u8).collect();
        Frame::new(0, None, 8, 6, pixels).unwrap()
    }

    fn bytes(crop: Crop, rect: Rect) -> Vec<u8> {
        let mut tensor = vec![f32::NAN; crop.side * crop.side * 3];
        crop.cut(&frame(), &rect, &mut tensor);
        tensor.iter().map(|value| value.round() as u8).collect()
    }

    const CROP: Crop = Crop { side: 4, range: (0.0, 255.0), keep_aspect: false, border: Border::Replicate };

    fn rect(left: f64, top: f64, width: f64, height: f64) -> Rect {
        Rect {
            x: (left + width / 2.0) / 8.0,
            y: (top + height / 2.0) / 6.0,
            width: width / 8.0,
            height: height / 6.0,
            rotation: 0.0,
        }
    }

    /// The pixel of `frame` as red, green, blue.
    fn rgb(x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * 8 + x);
        [2, 1, 0].map(|channel| frame().pixels()[at + channel])
    }

    #[test]
    fn whole_pixels_are_copied_and_become_red_green_blue() {
        let found = bytes(CROP, rect(2.0, 1.0, 4.0, 4.0));
        for (i, pixel) in found.chunks(3).enumerate() {
            assert_eq!(pixel, rgb(2 + i % 4, 1 + i / 4));
        }
    }

    #[test]
    fn half_pixels_are_means_rounded_up() {
        let found = bytes(CROP, rect(2.5, 1.0, 4.0, 4.0));
        let (a, b) = (rgb(2, 1), rgb(3, 1));
        for channel in 0..3 {
            assert_eq!(found[channel], (u16::from(a[channel]) + u16::from(b[channel])).div_ceil(2) as u8);
        }
    }

    #[test]
    fn a_quarter_turn_turns_the_crop() {
        let mut turned = rect(2.0, 1.0, 4.0, 4.0);
        turned.rotation = std::f64::consts::FRAC_PI_2;
        let found = bytes(CROP, turned);
        // The crop's top left is the rectangle's top right corner, x = 6; its x axis points down.
        assert_eq!(found[..3], rgb(6, 1));
        assert_eq!(found[3..6], rgb(6, 2));
        assert_eq!(found[12..15], rgb(5, 1));
    }

    #[test]
    fn beyond_the_frame_is_black_or_the_nearest_pixel() {
        let outside = rect(-10.0, -10.0, 4.0, 4.0);
        assert_eq!(bytes(CROP, outside)[..3], rgb(0, 0));
        assert_eq!(bytes(Crop { border: Border::Zero, ..CROP }, outside), [0; 48]);
    }

    #[test]
    fn a_wide_rectangle_is_padded_to_a_square() {
        let crop = Crop { keep_aspect: true, border: Border::Zero, side: 8, ..CROP };
        let mut tensor = vec![f32::NAN; 8 * 8 * 3];
        let padding = crop.cut(&frame(), &Rect::FRAME, &mut tensor);
        assert_eq!((padding.x, padding.y), (0.0, 0.125));
        assert!(tensor[..24].iter().all(|&value| value == 0.0), "the first row is padding");
        assert_eq!(tensor[24..27], rgb(0, 0).map(f32::from));
    }

    #[test]
    fn values_are_spread_over_the_range() {
        let crop = Crop { range: (-1.0, 1.0), ..CROP };
        let table = crop.table();
        assert_eq!((table[0], table[255]), (-1.0, 1.0));
    }

    #[test]
    fn nonsense_rectangles_are_no_panic() {
        for value in [f64::NAN, f64::INFINITY, -1e300, 1e18, 0.0] {
            let nonsense = Rect { x: value, y: value, width: value, height: value, rotation: value };
            for keep_aspect in [false, true] {
                bytes(Crop { keep_aspect, ..CROP }, nonsense);
            }
        }
    }
}
