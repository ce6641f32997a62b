//! Cutting a rotated rectangle out of a frame, as a net wants to see it.
//!
//! As near as can be to what MediaPipe's `ImageToTensorCalculator` does with OpenCV's perspective warp:
//! source positions are rounded to 1/32 pixel, samples are bilinear in whole numbers and rounded to 8 bits.

use super::blend::blend;
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
    /// Fills `tensor` (`side` × `side` × red, green, blue) with the part of the frame in `rect`. Says how much
    /// of the crop is padding.
    pub fn cut(&self, frame: &Frame, rect: &Rect, tensor: &mut [f32]) -> Padding {
        let ([start, right, down], padding) = self.place(Size::of(frame), rect);
        let side = self.side as f64;
        let (low, high) = self.range;
        let scale = (high - low) / 255.0;
        let sampler = Sampler::new(frame, self.border);
        // From a pixel of the crop to a position in the frame, in fixed point. Corner (0, 0) of the crop is its
        // pixel (0, 0); (side, side) lies one pixel beyond its last.
        let fixed = |value: f64| (value * STEPS * 2f64.powi(FRACTION as i32)) as i64;
        let step = [0, 1].map(|i| fixed((right[i] - start[i]) / side));
        for (y, row) in tensor.chunks_exact_mut(3 * self.side).take(self.side).enumerate() {
            let first = [0, 1].map(|i| {
                let position = start[i] + (down[i] - start[i]) / side * y as f64;
                // Half a step more, so that cutting off the fraction rounds.
                fixed(position).wrapping_add(1 << (FRACTION - 1))
            });
            let walk = Walk { at: first, step };
            let last = [0, 1].map(|i| first[i].wrapping_add(step[i].wrapping_mul(self.side as i64 - 1)));
            // What is inside at both ends is inside in between.
            if [first, last].iter().all(|at| sampler.is_inside(at.map(|at| at >> FRACTION))) {
                fill(row, walk, |at| sampler.inside(at));
            } else if self.border == Border::Replicate {
                fill(row, walk, |at| sampler.repeated(at));
            } else {
                fill(row, walk, |at| {
                    if sampler.is_inside(at) { sampler.inside(at) } else { sampler.at_border(at) }
                });
            }
            for value in row {
                *value = *value * scale + low;
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
}

/// Positions along a row of the crop, in 1/32 pixels of the frame.
struct Walk {
    at: [i64; 2],
    step: [i64; 2],
}

impl Iterator for Walk {
    type Item = [i64; 2];

    #[inline(always)]
    fn next(&mut self) -> Option<[i64; 2]> {
        let at = self.at.map(|at| at >> FRACTION);
        self.at = [self.at[0].wrapping_add(self.step[0]), self.at[1].wrapping_add(self.step[1])];
        Some(at)
    }
}

/// Samples a row of the crop.
#[inline(always)]
fn fill(row: &mut [f32], walk: Walk, sample: impl Fn([i64; 2]) -> [f32; 3]) {
    for (pixel, at) in row.chunks_exact_mut(3).zip(walk) {
        pixel.copy_from_slice(&sample(at));
    }
}

/// Bilinear samples of a frame: red, green, blue, 0 to 255. Positions are in 1/32 pixels.
struct Sampler<'a> {
    pixels: &'a [u8],
    width: i64,
    height: i64,
    border: Border,
}

impl<'a> Sampler<'a> {
    fn new(frame: &'a Frame, border: Border) -> Self {
        let (width, height) = (frame.width().into(), frame.height().into());
        Self { pixels: frame.pixels(), width, height, border }
    }

    /// Whether all four pixels around a position are there.
    fn is_inside(&self, at: [i64; 2]) -> bool {
        let [column, row] = at.map(|at| at >> 5);
        column >= 0 && row >= 0 && column + 1 < self.width && row + 1 < self.height
    }

    /// At a position that is inside.
    #[inline(always)]
    fn inside(&self, [x, y]: [i64; 2]) -> [f32; 3] {
        let pairs = self.pairs(x >> 5, y >> 5);
        pairs.map_or_else(|| self.at_border([x, y]), |pairs| blend(pairs, [x as u32 & 31, y as u32 & 31]))
    }

    /// At any position, the outermost pixels repeated beyond the frame.
    #[inline(always)]
    fn repeated(&self, [x, y]: [i64; 2]) -> [f32; 3] {
        // Going no further than the centre of the outermost pixel is the same as repeating that pixel.
        let (near_x, near_y) = (x.min((self.width - 1) << 5).max(0), y.min((self.height - 1) << 5).max(0));
        let (column, row) = ((near_x >> 5).min(self.width - 2), (near_y >> 5).min(self.height - 2));
        let weights = [(near_x - (column << 5)) as u32, (near_y - (row << 5)) as u32];
        self.pairs(column, row).map_or_else(|| self.at_border([x, y]), |pairs| blend(pairs, weights))
    }

    /// Two neighbouring pixels and the two below. `None` in frames one pixel wide or high, and where fewer than
    /// eight bytes are left of the frame.
    #[inline(always)]
    fn pairs(&self, column: i64, row: i64) -> Option<[u64; 2]> {
        let (start, stride) = (3 * (row * self.width + column), 3 * self.width);
        let eight = |at: i64| Some(u64::from_le_bytes(*self.pixels.get(at as usize..)?.first_chunk()?));
        if column < 0 || row < 0 { None } else { Some([eight(start)?, eight(start + stride)?]) }
    }

    /// At any position, slowly, pixel by pixel.
    #[cold]
    fn at_border(&self, [x, y]: [i64; 2]) -> [f32; 3] {
        let (column, row) = (x >> 5, y >> 5);
        let pair = |row| self.pixel(column, row) | self.pixel(column + 1, row) << 24;
        blend([pair(row), pair(row + 1)], [x as u32 & 31, y as u32 & 31])
    }

    fn pixel(&self, column: i64, row: i64) -> u64 {
        let is_there = (0..self.width).contains(&column) && (0..self.height).contains(&row);
        if self.width == 0 || self.height == 0 || (self.border == Border::Zero && !is_there) {
            return 0;
        }
        let (column, row) = (column.clamp(0, self.width - 1), row.clamp(0, self.height - 1));
        let at = 3 * (row * self.width + column) as usize;
        let pixel = self.pixels.get(at..at + 3);
        pixel.map_or(0, |p| u64::from(p[0]) | u64::from(p[1]) << 8 | u64::from(p[2]) << 16)
    }
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
        let spread = |value: u8| {
            let frame = Frame::new(0, None, 8, 6, vec![value; 144]).unwrap();
            let mut tensor = [0.0; 48];
            Crop { range: (-1.0, 1.0), ..CROP }.cut(&frame, &Rect::FRAME, &mut tensor);
            assert_eq!(tensor, [tensor[0]; 48]);
            tensor[0]
        };
        assert_eq!((spread(0), spread(255)), (-1.0, 1.0));
    }

    #[test]
    fn fast_and_slow_samples_agree() {
        let frame = frame();
        for border in [Border::Zero, Border::Replicate] {
            let sampler = Sampler::new(&frame, border);
            for at in (-100..400).step_by(3).flat_map(|x| (-100..300).step_by(3).map(move |y| [x, y])) {
                let slow = sampler.at_border(at);
                assert!(border == Border::Zero || sampler.repeated(at) == slow, "{at:?}");
                assert!(!sampler.is_inside(at) || sampler.inside(at) == slow, "{at:?}");
            }
        }
    }

    #[test]
    fn frames_of_one_pixel_are_sampled() {
        let frame = Frame::new(0, None, 1, 1, vec![10, 20, 30]).unwrap();
        let mut tensor = [0.0; 48];
        CROP.cut(&frame, &Rect::FRAME, &mut tensor);
        assert_eq!(tensor[..3], [30.0, 20.0, 10.0]);
        assert_eq!(tensor[45..], [30.0, 20.0, 10.0]);
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
