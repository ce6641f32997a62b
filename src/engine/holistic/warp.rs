//! Cutting a rotated rectangle out of a frame, as a net wants to see it.
//!
//! The same to the last bit as what MediaPipe's `ImageToTensorCalculator` makes with OpenCV 4.10: the corners
//! of the rectangle in `f32`, a perspective transform solved for in `f64`, source positions rounded to 1/32
//! pixel, bilinear samples in whole numbers rounded to 8 bits, and these spread over the range of the net.
// A function for processors with AVX2 may only be called where there is one.
#![allow(unsafe_code)]

use std::f64::consts::PI;

#[cfg(target_arch = "x86_64")]
use super::blend::Samples;
use super::blend::blend;
use super::geometry::{Padding, Rect, Size};
use super::perspective::{Block, Perspective};
use oppose_core::Frame;

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

/// A rotated rectangle in pixels of the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Its centre.
    pub center: [f32; 2],
    /// Its width and height along its own axes.
    pub sides: [f32; 2],
    /// Its rotation in radians.
    pub rotation: f32,
}

impl Crop {
    /// Fills `tensor` (`side` × `side` × red, green, blue) with the part of the frame in `rect`. Says how much
    /// of the crop is padding.
    pub fn cut(&self, frame: &Frame, rect: &Rect, tensor: &mut [f32]) -> Padding {
        let (region, padding) = self.region(Size::of(frame), rect);
        let perspective = Perspective::to_square(region.corners(), self.side as f32);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor was just found to have these instructions.
            unsafe { self.fill_with_avx2(frame, &perspective, tensor) };
            return padding;
        }
        self.fill(frame, &perspective, tensor, |sampler, block, part| sampler.fill(block, part));
        padding
    }

    /// The same work, several pixels at a time; the numbers do not change.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn fill_with_avx2(&self, frame: &Frame, perspective: &Perspective, tensor: &mut [f32]) {
        self.fill(frame, perspective, tensor, |sampler, block, part| match sampler.samples(block) {
            Some(samples) => {
                samples.blend(sampler.pixels, part);
                sampler.fill_border(block, part);
            }
            None => sampler.fill(block, part),
        });
    }

    /// Fills the tensor block by block. `sample` writes the samples of a block, from 0 to 255.
    #[inline(always)]
    fn fill(
        &self,
        frame: &Frame,
        perspective: &Perspective,
        tensor: &mut [f32],
        sample: impl Fn(&Sampler<'_>, &Block, &mut [f32]),
    ) {
        let (low, high) = self.range;
        let scale = (high - low) / 255.0;
        let sampler = Sampler::new(frame, self.border);
        for (y, row) in tensor.chunks_exact_mut(3 * self.side).take(self.side).enumerate() {
            for (i, part) in row.chunks_mut(3 * Block::LENGTH).enumerate() {
                let block = perspective.block(i * Block::LENGTH, y, part.len() / 3);
                sample(&sampler, &block, part);
            }
            // OpenCV multiplies and adds in one step, rounded once.
            row.iter_mut().for_each(|value| *value = value.mul_add(scale, low));
        }
    }

    /// The part of the frame that the crop shows, and how much of that lies beyond `rect`.
    pub fn region(&self, size: Size, rect: &Rect) -> (Region, Padding) {
        let center = size.pixels([rect.x, rect.y]);
        let [mut width, mut height] = size.pixels([rect.width, rect.height]);
        let mut padding = Padding::default();
        if self.keep_aspect {
            let aspect = height / width;
            if aspect < 1.0 {
                padding.y = (1.0 - aspect) / 2.0;
                height = width;
            } else {
                padding.x = (1.0 - 1.0 / aspect) / 2.0;
                width = height;
            }
        }
        (Region { center, sides: [width, height], rotation: rect.rotation }, padding)
    }
}

impl Region {
    /// The corners from the lower left one clockwise.
    fn corners(&self) -> [[f32; 2]; 4] {
        // OpenCV's rectangles keep their angle in degrees.
        let degrees = (f64::from(self.rotation * 180.0) / PI) as f32;
        let angle = f64::from(degrees) * PI / 180.0;
        let (b, a) = (angle.cos() as f32 * 0.5, angle.sin() as f32 * 0.5);
        let ([x, y], [width, height]) = (self.center, self.sides);
        let lower_left = [x - a * height - b * width, y + b * height - a * width];
        let upper_left = [x + a * height - b * width, y - b * height - a * width];
        let opposite = |[cx, cy]: [f32; 2]| [2.0 * x - cx, 2.0 * y - cy];
        [lower_left, upper_left, opposite(lower_left), opposite(upper_left)]
    }

    /// From coordinates of the crop (0 to 1) to normalised coordinates of the frame.
    pub fn project(&self, [x, y]: [f32; 2], size: Size) -> [f32; 2] {
        let ([cx, cy], [a, b]) = (self.center, self.sides);
        let (cos, sin) = (self.rotation.cos(), self.rotation.sin());
        let (g, h) = (1.0 / size.w(), 1.0 / size.h());
        let matrix = [
            [a * cos * g, -b * sin * g, (-0.5 * a * cos + 0.5 * b * sin + cx) * g],
            [a * sin * h, b * cos * h, (-0.5 * b * cos - 0.5 * a * sin + cy) * h],
        ];
        matrix.map(|[along_x, along_y, shift]| x * along_x + y * along_y + shift)
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

    /// Samples the positions of a block one by one.
    #[inline(always)]
    fn fill(&self, block: &Block, part: &mut [f32]) {
        for (pixel, at) in part.chunks_exact_mut(3).zip(block.positions()) {
            let sample = match self.border {
                _ if self.is_inside(at) => self.inside(at),
                Border::Replicate => self.repeated(at),
                Border::Zero => self.at_border(at),
            };
            pixel.copy_from_slice(&sample);
        }
    }

    /// Samples those positions of a block again whose surroundings are partly or wholly black.
    #[cfg(target_arch = "x86_64")]
    fn fill_border(&self, block: &Block, part: &mut [f32]) {
        // What is inside at the outermost positions is inside in between.
        if self.border == Border::Replicate || block.bounds().iter().all(|&at| self.is_inside(at)) {
            return;
        }
        for (pixel, at) in part.chunks_exact_mut(3).zip(block.positions()) {
            if !self.is_inside(at) {
                pixel.copy_from_slice(&self.at_border(at));
            }
        }
    }

    /// Where the pixels for the positions of a block are and how they are weighted, the outermost pixels repeated beyond the
    /// frame. `None` in frames one pixel wide or high, and where fewer than eight bytes are left of the frame.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn samples(&self, block: &Block) -> Option<Samples> {
        let [right, lower] = [self.width, self.height].map(|side| i32::try_from((side - 1) << 5).ok());
        let [right, lower] = [right.filter(|&right| right > 0)?, lower.filter(|&lower| lower > 0)?];
        let stride = 3 * self.width as usize;
        let samples = Samples::new(block.coordinates(), [right, lower], stride);
        (samples.end() <= self.pixels.len()).then_some(samples)
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
        let is_near = (-1..self.width).contains(&column) && (-1..self.height).contains(&row);
        if self.border == Border::Zero && !is_near {
            return [0.0; 3];
        }
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

    fn rect(left: f32, top: f32, width: f32, height: f32) -> Rect {
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
        turned.rotation = std::f32::consts::FRAC_PI_2;
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
        // One rounding in place of two, as in OpenCV, reaches a little further.
        assert_eq!((spread(0), spread(255)), (-1.0, 1.0 + f32::EPSILON));
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
    fn blocks_and_single_samples_agree() {
        let pixels = (0..70 * 50 * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let frame = Frame::new(0, None, 70, 50, pixels).unwrap();
        for (side, border) in
            [(64, Border::Zero), (96, Border::Zero), (96, Border::Replicate), (7, Border::Zero)]
        {
            let crop = Crop { side, range: (0.0, 255.0), keep_aspect: true, border };
            for i in 0..40u8 {
                let [x, y, size] = [17, 29, 11].map(|step| f32::from(i.wrapping_mul(step) % 41) / 40.0);
                let rect = Rect { x, y, width: size + 0.1, height: size + 0.2, rotation: x - 3.0 * y };
                let (region, _) = crop.region(Size::of(&frame), &rect);
                let perspective = Perspective::to_square(region.corners(), side as f32);
                let [mut fast, mut slow] = [0, 1].map(|_| vec![f32::NAN; side * side * 3]);
                crop.cut(&frame, &rect, &mut fast);
                crop.fill(&frame, &perspective, &mut slow, |sampler, block, part| sampler.fill(block, part));
                assert_eq!(fast, slow, "{rect:?}");
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
        for value in [f32::NAN, f32::INFINITY, -1e30, 1e18, 0.0] {
            let nonsense = Rect { x: value, y: value, width: value, height: value, rotation: value };
            for keep_aspect in [false, true] {
                bytes(Crop { keep_aspect, ..CROP }, nonsense);
            }
        }
    }
}
