//! Turns a frame, or a crop of it, into a net's input.
//!
//! The result is that of OpenCV's affine warp of 8-bit pictures to the last bit: positions in 1/32 of a pixel,
//! weights in 1/32768, black outside. OpenPose only ever scales, shifts and mirrors, so a column of the
//! source corresponds to a column of the target, and a row to a row.

use std::sync::LazyLock;

use super::size::{Scale, Size};
use oppose_core::Frame;

/// Where a target pixel lies in the source: at `scale * pixel + shift` in each direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Source pixels per target pixel; negative to mirror.
    pub scale_x: f64,
    /// Source position of the target's left edge.
    pub shift_x: f64,
    /// Source pixels per target pixel.
    pub scale_y: f64,
    /// Source position of the target's upper edge.
    pub shift_y: f64,
}

impl Placement {
    /// Where the body net's input lies in the frame, with the upper left corners aligned.
    pub fn of_net_input(scale: Scale) -> (Self, Interpolation) {
        let factor = scale.factor;
        // The inverse as OpenCV computes it: not always 1 / factor to the last bit.
        let inverse = factor * (1.0 / (factor * factor));
        let placement = Self { scale_x: inverse, shift_x: 0.0, scale_y: inverse, shift_y: 0.0 };
        (placement, if factor > 1.0 { Interpolation::Bicubic } else { Interpolation::Bilinear })
    }

    /// The source position of a target pixel.
    pub fn to_source(&self, x: f64, y: f64) -> (f32, f32) {
        ((self.scale_x * x + self.shift_x) as f32, (self.scale_y * y + self.shift_y) as f32)
    }
}

/// How values between pixels are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// From 2 × 2 pixels.
    Bilinear,
    /// From 4 × 4 pixels.
    Bicubic,
}

/// A position in the source: a whole pixel and a fraction in 1/32 of a pixel.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    pixel: isize,
    fraction: usize,
}

/// Makes net inputs; reuses its memory.
#[derive(Debug, Default)]
pub struct Warp {
    columns: Vec<Position>,
}

impl Warp {
    /// The body net's input: the frame at a scale, in the upper left corner, with black to the right and
    /// below. `planes` has the layout of [`planes`](Self::planes).
    ///
    /// # Panics
    /// `planes` does not have the scale's size.
    pub fn net_input(&mut self, frame: &Frame, scale: Scale, planes: &mut [f32]) {
        let (placement, interpolation) = Placement::of_net_input(scale);
        self.planes(frame, placement, interpolation, scale.size, planes);
    }

    /// Makes a picture of the given size from a frame, and from that a net's input: blue, green and red
    /// planes, `byte / 256 - 0.5`.
    ///
    /// # Panics
    /// `planes` does not have 3 × height × width values.
    pub fn planes(
        &mut self,
        frame: &Frame,
        placement: Placement,
        interpolation: Interpolation,
        size: Size,
        planes: &mut [f32],
    ) {
        assert_eq!(planes.len(), 3 * size.pixels(), "three planes of the net input's size");
        self.columns.clear();
        self.columns.extend((0..size.width).map(|x| column(x, placement)));
        let (blue, rest) = planes.split_at_mut(size.pixels());
        let (green, red) = rest.split_at_mut(size.pixels());
        let rows = |plane| <[f32]>::chunks_exact_mut(plane, size.width);
        for (y, ((blue, green), red)) in rows(blue).zip(rows(green)).zip(rows(red)).enumerate() {
            let row = row(y, placement);
            let pixels = blue.iter_mut().zip(green).zip(red).zip(&self.columns);
            let write = |((b, g), r): ((&mut f32, &mut f32), &mut f32), pixel: [i32; 3]| {
                (*b, *g, *r) = (normalise(pixel[0]), normalise(pixel[1]), normalise(pixel[2]));
            };
            match interpolation {
                Interpolation::Bilinear => {
                    let rows = [source_row(frame, row.pixel), source_row(frame, row.pixel + 1)];
                    for (target, column) in pixels {
                        write(target, bilinear(rows, *column, row.fraction));
                    }
                }
                Interpolation::Bicubic => {
                    let rows = [-1, 0, 1, 2].map(|tap| source_row(frame, row.pixel + tap));
                    for (target, column) in pixels {
                        write(target, bicubic(rows, *column, row.fraction));
                    }
                }
            }
        }
    }
}

/// Exact in f32 for every byte.
fn normalise(value: i32) -> f32 {
    value as f32 * (1.0 / 256.0) - 0.5
}

fn column(x: usize, placement: Placement) -> Position {
    let along = (placement.scale_x * x as f64 * 1024.0).round_ties_even() as i64;
    position((placement.shift_x * 1024.0).round_ties_even() as i64, along)
}

/// Unlike the position of a column, that of a row is rounded once.
fn row(y: usize, placement: Placement) -> Position {
    position(((placement.scale_y * y as f64 + placement.shift_y) * 1024.0).round_ties_even() as i64, 0)
}

/// A position in 1/1024 of a pixel.
fn position(start: i64, along: i64) -> Position {
    let position = start.saturating_add(16).saturating_add(along) >> 5;
    let pixel = (position >> 5).clamp(i16::MIN.into(), i16::MAX.into());
    Position { pixel: pixel as isize, fraction: (position & 31) as usize }
}

/// A row of the frame, three bytes per pixel; empty outside the frame.
fn source_row(frame: &Frame, row: isize) -> &[[u8; 3]] {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let (pixels, _) = frame.pixels().as_chunks();
    usize::try_from(row).ok().filter(|&row| row < height).map_or(&[], |row| &pixels[row * width..][..width])
}

/// A pixel of a row; black outside the frame.
fn source_pixel(row: &[[u8; 3]], column: isize) -> [i32; 3] {
    let pixel = usize::try_from(column).ok().and_then(|column| row.get(column));
    pixel.copied().unwrap_or_default().map(i32::from)
}

fn bilinear(rows: [&[[u8; 3]]; 2], column: Position, fraction_y: usize) -> [i32; 3] {
    let (x, y) = (column.fraction as i32, fraction_y as i32);
    let [upper, lower] = rows.map(|row| {
        let left = source_pixel(row, column.pixel);
        let right = source_pixel(row, column.pixel + 1);
        [0, 1, 2].map(|channel| (32 - x) * left[channel] + x * right[channel])
    });
    // The weights are products of 1/32: OpenCV's 32768ths without their common factor.
    [0, 1, 2].map(|channel| ((32 - y) * upper[channel] + y * lower[channel] + 512) >> 10)
}

fn bicubic(rows: [&[[u8; 3]]; 4], column: Position, fraction_y: usize) -> [i32; 3] {
    let weights = &BICUBIC[fraction_y * 32 + column.fraction];
    let mut sums = [1 << 14; 3];
    for (row, weights) in rows.iter().zip(weights.chunks_exact(4)) {
        for (tap, &weight) in (-1..).zip(weights) {
            let pixel = source_pixel(row, column.pixel + tap);
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(weight) * value;
            }
        }
    }
    sums.map(|sum| (sum >> 15).clamp(0, 255))
}

/// The 4 × 4 weights in 1/32768 for each 1/32 of a pixel down and to the right.
pub static BICUBIC: LazyLock<Vec<[i16; 16]>> = LazyLock::new(|| {
    let steps: [[f32; 4]; 32] = std::array::from_fn(|step| cubic_weights(step as f32 / 32.0));
    let both = |index: usize| bicubic_weights(steps[index / 32], steps[index % 32]);
    (0..32 * 32).map(both).collect()
});

/// Weights of the four pixels around a position at distance `x` from the second of them, for OpenCV's cubic (its
/// parameter is -0.75), in its order of operations.
pub(super) fn cubic_weights(x: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let inner = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let first = ((A * (x + 1.0) - 5.0 * A) * (x + 1.0) + 8.0 * A) * (x + 1.0) - 4.0 * A;
    let (second, third) = (inner(x), inner(1.0 - x));
    [first, second, third, 1.0 - first - second - third]
}

fn bicubic_weights(rows: [f32; 4], columns: [f32; 4]) -> [i16; 16] {
    let mut weights: [i16; 16] =
        std::array::from_fn(|tap| (rows[tap / 4] * columns[tap % 4] * 32768.0).round_ties_even() as i16);
    let excess = weights.iter().map(|&weight| i32::from(weight)).sum::<i32>() - 32768;
    // OpenCV corrects the sum at one of the four weights after the middle, not at the largest of all.
    let (mut smallest, mut largest) = (10, 10);
    for tap in [10, 11, 14, 15] {
        if weights[tap] < weights[smallest] {
            smallest = tap;
        } else if weights[tap] > weights[largest] {
            largest = tap;
        }
    }
    let corrected = if excess < 0 { largest } else { smallest };
    weights[corrected] = (i32::from(weights[corrected]) - excess) as i16;
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one() {
        for weights in BICUBIC.iter() {
            assert_eq!(weights.iter().map(|&weight| i32::from(weight)).sum::<i32>(), 32768);
        }
    }

    #[test]
    fn a_frame_at_scale_1_is_copied_with_black_around_it() {
        let bytes: Vec<u8> = (0..2 * 3 * 3).map(|value| value * 14).collect();
        let frame = Frame::new(0, None, 3, 2, bytes.clone()).unwrap();
        let mut planes = vec![0.0; 3 * 4 * 3];
        let scale = Scale { factor: 1.0, size: Size { width: 4, height: 3 } };
        Warp::default().net_input(&frame, scale, &mut planes);
        for (index, &value) in planes.iter().enumerate() {
            let (channel, y, x) = (index / 12, index / 4 % 3, index % 4);
            let byte = if x < 3 && y < 2 { bytes[(y * 3 + x) * 3 + channel] } else { 0 };
            assert_eq!(value, f32::from(byte) / 256.0 - 0.5, "channel {channel}, ({x}, {y})");
        }
    }
}
