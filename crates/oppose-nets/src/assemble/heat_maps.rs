//! A net's planes enlarged to the size of its input, and merged over several scales.
//!
//! Planes are enlarged as a whole if all of their values are needed (parts), and point by point if only a few are
//! (part affinity fields). Both give the same bits.

use super::Parity;
use super::size::{Scale, Size};
use super::warp::cubic_weights;

/// Largest number of scales, as in OpenPose.
pub const MAX_SCALES: usize = 8;

/// Heat maps with the size of the net's input.
pub trait HeatMaps {
    /// Width and height of each plane.
    fn size(&self) -> Size;

    /// The value of one pixel of a plane.
    fn at(&self, channel: usize, x: usize, y: usize) -> f32;
}

/// A net's output for one input: planes of an eighth of its size.
#[derive(Clone, Copy, Debug)]
pub struct NetOutput<'a> {
    /// Channels × height × width.
    pub values: &'a [f32],
    /// Width and height of a plane.
    pub size: Size,
}

impl<'a> NetOutput<'a> {
    fn plane(&self, channel: usize) -> &'a [f32] {
        &self.values[channel * self.size.pixels()..][..self.size.pixels()]
    }
}

/// The four values from which a new one is interpolated, and their weights.
#[derive(Clone, Copy, Debug)]
struct Tap {
    /// Their indices in the row or column.
    places: [usize; 4],
    /// CPU build: their weights. CUDA build: the position relative to the second of them, in the first element.
    weights: [f32; 4],
}

/// Enlarges planes of one size to another; reuses its memory.
#[derive(Debug)]
pub struct Resize {
    parity: Parity,
    source: Size,
    target: Size,
    factor: f32,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    /// A plane with the target's width and the source's height.
    widened: Vec<f32>,
}

impl Resize {
    /// Without sizes, which [`prepare`](Self::prepare) sets.
    pub fn new(parity: Parity) -> Self {
        let (source, target) = Default::default();
        Self { parity, source, target, factor: 0.0, columns: vec![], rows: vec![], widened: vec![] }
    }

    /// Prepares for planes of these sizes. `factor` is how many times as large the target is as the
    /// source; only the CUDA build uses it, the CPU build uses the sizes.
    fn prepare(&mut self, source: Size, target: Size, factor: f32) {
        if (source, target, factor) == (self.source, self.target, self.factor) {
            return;
        }
        (self.source, self.target, self.factor) = (source, target, factor);
        let parity = self.parity;
        let fill = |taps: &mut Vec<Tap>, source: usize, target: usize| {
            taps.clear();
            taps.extend((0..target).map(|index| match parity {
                Parity::Cuda => cuda_tap(index, source, factor),
                Parity::Cpu => cpu_tap(index, source, target),
            }));
        };
        fill(&mut self.columns, source.width, target.width);
        fill(&mut self.rows, source.height, target.height);
        self.widened.resize(target.width * source.height, 0.0);
    }

    /// Enlarges a plane and writes it to `out`.
    fn plane(&mut self, plane: &[f32], out: &mut [f32]) {
        let widened = self.widened.chunks_exact_mut(self.target.width);
        for (source, target) in plane.chunks_exact(self.source.width).zip(widened) {
            let taps = target.iter_mut().zip(&self.columns);
            match self.parity {
                Parity::Cuda => {
                    taps.for_each(|(value, tap)| *value = cuda_cubic(tap.of(source), tap.weights[0]))
                }
                Parity::Cpu => taps.for_each(|(value, tap)| *value = cpu_across(tap.of(source), tap.weights)),
            }
        }
        for (target, tap) in out.chunks_exact_mut(self.target.width).zip(&self.rows) {
            let [a, b, c, d] = tap.places.map(|row| &self.widened[row * self.target.width..][..target.len()]);
            let four = target.iter_mut().zip(a).zip(b).zip(c).zip(d);
            let four = four.map(|((((value, &a), &b), &c), &d)| (value, [a, b, c, d]));
            match self.parity {
                Parity::Cuda => four.for_each(|(value, four)| *value = cuda_cubic(four, tap.weights[0])),
                Parity::Cpu => four.for_each(|(value, four)| *value = cpu_down(four, tap.weights)),
            }
        }
    }

    /// The value of one pixel of the enlarged plane.
    fn at(&self, plane: &[f32], x: usize, y: usize) -> f32 {
        let (column, row) = (&self.columns[x], &self.rows[y]);
        let rows =
            row.places.map(|place| column.of(&plane[place * self.source.width..][..self.source.width]));
        match self.parity {
            Parity::Cuda => cuda_cubic(rows.map(|four| cuda_cubic(four, column.weights[0])), row.weights[0]),
            Parity::Cpu => cpu_down(rows.map(|four| cpu_across(four, column.weights)), row.weights),
        }
    }
}

impl Tap {
    fn of(&self, values: &[f32]) -> [f32; 4] {
        self.places.map(|place| values[place])
    }
}

/// CPU build: OpenCV's cubic interpolation, with pixel centres at half pixels and the border repeated.
fn cpu_tap(index: usize, source: usize, target: usize) -> Tap {
    let scale = 1.0 / (target as f64 / source as f64);
    let position = ((index as f64 + 0.5) * scale - 0.5) as f32;
    let first = position.floor();
    let places = [-1, 0, 1, 2].map(|tap| (first as isize + tap).clamp(0, source as isize - 1) as usize);
    Tap { places, weights: cubic_weights(position - first) }
}

fn cpu_across(four: [f32; 4], weights: [f32; 4]) -> f32 {
    four[0] * weights[0] + four[1] * weights[1] + four[2] * weights[2] + four[3] * weights[3]
}

/// Summed from the last to the first, as in OpenCV's vertical pass.
fn cpu_down(four: [f32; 4], weights: [f32; 4]) -> f32 {
    four[3] * weights[3] + four[2] * weights[2] + four[1] * weights[1] + four[0] * weights[0]
}

/// CUDA build: the index is limited to the plane before the position relative to it is computed, so that in the first half
/// pixel the position is negative and the cubic extrapolates.
fn cuda_tap(index: usize, source: usize, factor: f32) -> Tap {
    let position = (index as f32 + 0.5) / factor - 0.5;
    let last = source - 1;
    let second = (position.floor().max(0.0) as usize).min(last);
    let third = (second + 1).min(last);
    let places = [second.saturating_sub(1), second, third, (third + 1).min(last)];
    Tap { places, weights: [position - second as f32, 0.0, 0.0, 0.0] }
}

/// CUDA build: the Catmull-Rom cubic.
fn cuda_cubic([a, b, c, d]: [f32; 4], x: f32) -> f32 {
    let third = -0.5 * a + 1.5 * b - 1.5 * c + 0.5 * d;
    let second = a - 2.5 * b + 2.0 * c - 0.5 * d;
    third * x * x * x + second * x * x - 0.5 * (a - c) * x + b
}

/// Merges the heat maps of one or several scales of a frame.
#[derive(Debug)]
pub struct Merge {
    resizes: Vec<Resize>,
    /// A plane of another scale, before it is added.
    further: Vec<f32>,
}

impl Merge {
    /// No scales yet.
    pub fn new(parity: Parity) -> Self {
        Self { resizes: (0..MAX_SCALES).map(|_| Resize::new(parity)).collect(), further: vec![] }
    }

    /// The heat maps from the net's output for each scale; they have the size of the first scale's input.
    ///
    /// # Panics
    /// There are no scales, more than [`MAX_SCALES`], or not as many outputs as scales.
    pub fn merge<'a>(&'a mut self, outputs: &'a [NetOutput<'a>], scales: &[Scale]) -> Merged<'a> {
        assert!(outputs.len() == scales.len() && (1..=MAX_SCALES).contains(&scales.len()));
        let target = scales[0].size;
        for ((resize, output), scale) in self.resizes.iter_mut().zip(outputs).zip(scales) {
            // Scales are aligned by the frame in them, not by their borders.
            let eight = (target.width / outputs[0].size.width) as f32;
            let factor = eight / (scale.factor as f32 / scales[0].factor as f32);
            resize.prepare(output.size, target, factor);
        }
        let resizes = &mut self.resizes[..outputs.len()];
        Merged { outputs, resizes, further: &mut self.further, target }
    }
}

/// Heat maps that are computed on demand.
#[derive(Debug)]
pub struct Merged<'a> {
    outputs: &'a [NetOutput<'a>],
    resizes: &'a mut [Resize],
    further: &'a mut Vec<f32>,
    target: Size,
}

impl Merged<'_> {
    /// Writes a whole plane to `out`: height × width values.
    ///
    /// # Panics
    /// `out` has another size, or the net has no such channel.
    pub fn plane(&mut self, channel: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.target.pixels(), "a plane of the heat maps' size");
        let count = self.outputs.len();
        self.resizes[0].plane(self.outputs[0].plane(channel), out);
        if count == 1 {
            return;
        }
        self.further.resize(out.len(), 0.0);
        for (resize, output) in self.resizes.iter_mut().zip(self.outputs).skip(1) {
            resize.plane(output.plane(channel), self.further);
            out.iter_mut().zip(self.further.iter()).for_each(|(sum, value)| *sum += value);
        }
        let mean = mean(self.resizes[0].parity, count);
        out.iter_mut().for_each(|value| *value = mean(*value));
    }
}

impl HeatMaps for Merged<'_> {
    fn size(&self) -> Size {
        self.target
    }

    fn at(&self, channel: usize, x: usize, y: usize) -> f32 {
        let value = |(resize, output): (&Resize, &NetOutput<'_>)| resize.at(output.plane(channel), x, y);
        let mut values = self.resizes.iter().zip(self.outputs).map(value);
        let first = values.next().unwrap_or(0.0);
        match self.outputs.len() {
            1 => first,
            count => mean(self.resizes[0].parity, count)(values.fold(first, |sum, value| sum + value)),
        }
    }
}

/// The CUDA build divides, the CPU build multiplies.
fn mean(parity: Parity, count: usize) -> impl Fn(f32) -> f32 {
    let count = count as f32;
    move |sum| match parity {
        Parity::Cuda => sum / count,
        Parity::Cpu => sum * (1.0 / count),
    }
}

/// The largest value of a plane and its position; if it occurs several times, the first, row by row.
pub fn maximum(plane: &[f32], width: usize) -> (usize, usize, f32) {
    let mut best = (0, 0, plane.first().copied().unwrap_or(0.0));
    for (y, row) in plane.chunks_exact(width).enumerate() {
        let largest = largest(row);
        if largest > best.2 {
            let x = row.iter().position(|&value| value == largest).unwrap_or(0);
            best = (x, y, largest);
        }
    }
    best
}

/// The largest value of a row, in lanes that the compiler can keep in vectors.
fn largest(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (lanes, rest) = row.as_chunks::<16>();
    let start = [f32::NEG_INFINITY; 16];
    let largest =
        lanes.iter().fold(start, |best, lanes| std::array::from_fn(|lane| larger(best[lane], lanes[lane])));
    largest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn a_point_is_the_same_on_its_own_and_in_its_plane() {
        let sizes = [Size { width: 6, height: 4 }, Size { width: 4, height: 2 }];
        let values: Vec<_> = sizes.iter().map(|size| noise(2 * size.pixels())).collect();
        let outputs: Vec<_> =
            values.iter().zip(sizes).map(|(values, size)| NetOutput { values, size }).collect();
        let scales = [0.5, 0.3].map(|factor| Scale { factor, size: Size { width: 48, height: 32 } });
        for (parity, count) in [(Parity::Cuda, 1), (Parity::Cpu, 1), (Parity::Cuda, 2), (Parity::Cpu, 2)] {
            let mut merge = Merge::new(parity);
            let mut maps = merge.merge(&outputs[..count], &scales[..count]);
            let mut plane = vec![0.0; maps.size().pixels()];
            maps.plane(1, &mut plane);
            for (index, value) in plane.iter().enumerate() {
                assert_eq!(*value, maps.at(1, index % 48, index / 48), "{parity:?}, {count} scales, {index}");
            }
        }
    }

    #[test]
    fn the_first_of_equal_maxima_counts() {
        assert_eq!(maximum(&[0.0, 1.0, 3.0, 3.0, 3.0, 0.0], 3), (2, 0, 3.0));
        assert_eq!(maximum(&[-2.0, -1.0], 1), (0, 1, -1.0));
    }
}
