//! The arithmetic with AVX-512: matrix products and depthwise convolutions.
//!
//! Every sum is computed as XNNPACK does it: it starts with the bias, followed by one fused multiply-add for each weight, in
//! XNNPACK's order. The results are therefore the same to the last bit, however the work is divided into tiles.
// Intrinsics take raw pointers, and may only run on processors that have them.
#![allow(unsafe_code)]

pub mod sparse;

use std::arch::x86_64::*;
use std::ops::{Deref, DerefMut};

/// Number of values in a register.
pub const LANES: usize = 16;
/// Number of readable values that must follow the values of a buffer, because whole registers are read.
pub const SLACK: usize = LANES;
/// Columns of a panel of packed weights.
pub const PANEL: usize = 2 * LANES;
/// The most pixels of a tile: 28 sums, two registers of weights and one pixel fill the 32 registers.
const TILE: usize = 14;

/// The contents of a register, aligned to a cache line: loading a register from two cache lines takes twice as long.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// A buffer that is aligned to cache lines.
#[derive(Clone, Debug, Default)]
pub struct Values {
    lines: Vec<Line>,
    length: usize,
}

impl Values {
    /// A buffer of zeros.
    pub fn zeros(length: usize) -> Self {
        Self { lines: vec![Line([0.0; LANES]); length.div_ceil(LANES)], length }
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: lines are arrays of values without gaps, and there are enough of them for this length.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}

/// Proof that the processor has AVX-512.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// `None` if the processor lacks it.
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

/// Does work that the compiler vectorizes with AVX-512; the results are the same without.
pub fn vectorized(_: Avx512, work: impl FnOnce()) {
    #[target_feature(enable = "avx512f")]
    fn with_avx512(work: impl FnOnce()) {
        work();
    }
    // SAFETY: the proof shows that the processor has AVX-512.
    unsafe { with_avx512(work) }
}

/// The smallest and the largest value that an operator may return.
pub type Range = [f32; 2];

/// Weights of a matrix product, packed in panels of [`PANEL`] columns.
#[derive(Debug)]
pub struct Weights {
    /// Length of each sum.
    pub depth: usize,
    /// Number of sums for each pixel.
    pub columns: usize,
    /// The weights of each panel, depth × [`PANEL`].
    panels: Values,
    /// The bias, padded with zeros to whole panels.
    bias: Values,
    range: Range,
    /// Whether multiplications by zero may be skipped.
    pub skips_zeros: bool,
}

impl Weights {
    /// `count` pixels that are stored without gaps, to be multiplied by these weights.
    pub fn dense<'a>(&self, values: &'a [f32], count: usize) -> Pixels<'a> {
        Pixels { values, count, runs: Runs { pixel: self.depth, row: 0, count: 1 } }
    }

    /// Packs weights of columns × depth.
    ///
    /// # Panics
    /// The lengths do not match.
    pub fn pack(weights: &[f32], bias: &[f32], range: Range) -> Self {
        let columns = bias.len();
        let depth = weights.len() / columns;
        assert_eq!(weights.len(), columns * depth);
        let padded = columns.next_multiple_of(PANEL);
        let mut panels = Values::zeros(padded * depth);
        for (column, weights) in weights.chunks_exact(depth).enumerate() {
            let start = column / PANEL * PANEL * depth + column % PANEL;
            for (i, &weight) in weights.iter().enumerate() {
                panels[start + i * PANEL] = weight;
            }
        }
        let mut padded_bias = Values::zeros(padded);
        padded_bias[..columns].copy_from_slice(bias);
        Self { depth, columns, panels, bias: padded_bias, range, skips_zeros: false }
    }
}

/// Which part of a divided layer is being computed. Each part starts with different panels of the weights, because a panel
/// that another core has just read into its own cache takes longer to fetch.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub part: usize,
    pub parts: usize,
}

impl Turn {
    /// For a layer that is not divided.
    #[cfg(test)]
    pub const ALONE: Self = Self { part: 0, parts: 1 };

    /// The numbers below `count`, in the order of this part.
    fn order(self, count: usize) -> impl Iterator<Item = usize> {
        let start = self.part * count / self.parts;
        (start..count).chain(0..start)
    }
}

/// Where the results of a matrix product are stored.
#[derive(Clone, Copy, Debug)]
pub enum Places<'a> {
    /// One after another.
    Dense,
    /// Each pixel at its own offset.
    Each(&'a [u32]),
}

/// Where the values of a pixel are: in `count` runs of equal length, one for each row of a window.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// Distance from one pixel to the next.
    pub pixel: usize,
    /// Distance from one run to the next.
    pub row: usize,
    /// Number of runs.
    pub count: usize,
}

/// The pixels to be multiplied.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    pub values: &'a [f32],
    pub count: usize,
    pub runs: Runs,
}

/// Values to be added to the results, stored without gaps, and the range of the sums.
pub type Summand<'a> = Option<(&'a [f32], Range)>;

/// Multiplies pixels, of `weights.depth` values each, by the weights.
///
/// # Panics
/// A slice is too short.
pub fn multiply(
    _: Avx512,
    turn: Turn,
    Pixels { values: input, count: pixels, runs }: Pixels<'_>,
    weights: &Weights,
    output: &mut [f32],
    places: Places<'_>,
    summand: Summand<'_>,
) {
    let Weights { depth, columns, .. } = *weights;
    let Some(last) = pixels.checked_sub(1) else { return };
    let length = depth / runs.count;
    assert_eq!(length * runs.count, depth);
    assert!(last * runs.pixel + (runs.count - 1) * runs.row + length <= input.len());
    let last_place = match places {
        Places::Dense => last * columns,
        Places::Each(places) => places[..pixels].iter().max().map_or(0, |&place| place as usize),
    };
    assert!(last_place + columns <= output.len());
    assert!(summand.is_none_or(|(values, _)| pixels * columns <= values.len()));

    let tiles = pixels.div_ceil(TILE);
    let mut output_places = [0; TILE];
    for panel in turn.order(columns.div_ceil(PANEL)) {
        let first = panel * PANEL;
        let wide = columns - first > LANES;
        for tile in 0..tiles {
            // Tiles of nearly equal size: a last tile of one or two pixels would be limited by latency.
            let (start, end) = (tile * pixels / tiles, (tile + 1) * pixels / tiles);
            for (place, pixel) in output_places.iter_mut().zip(start..end) {
                *place = first
                    + match places {
                        Places::Dense => pixel * columns,
                        Places::Each(places) => places[pixel] as usize,
                    };
            }
            let job = Tile {
                input: &input[start * runs.pixel..],
                runs,
                length,
                panel: &weights.panels[first * depth..],
                bias: &weights.bias[first..],
                columns: columns - first,
                range: weights.range,
                output: &mut *output,
                places: &output_places,
                summand: summand.map(|(values, range)| (&values[start * columns + first..], columns, range)),
            };
            macro_rules! run {
                ($($count:literal)+) => {
                    match (end - start, wide) {
                        $(
                            // SAFETY: the proof shows that the processor has AVX-512. The assertions above show that
                            // all pixels, places and summands are inside their slices, and the panels and the bias
                            // have the sizes that `Weights::pack` gives them.
                            ($count, true) => unsafe { job.run::<$count, 2>() },
                            // SAFETY: as above.
                            ($count, false) => unsafe { job.run::<$count, 1>() },
                        )+
                        _ => unreachable!("a tile has at most {TILE} pixels"),
                    }
                };
            }
            run!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        }
    }
}

/// Some pixels times one panel of weights. Each slice starts at the first pixel or column.
struct Tile<'a> {
    input: &'a [f32],
    runs: Runs,
    length: usize,
    panel: &'a [f32],
    bias: &'a [f32],
    /// Number of columns from the first one of the panel to the last one of all.
    columns: usize,
    range: Range,
    output: &'a mut [f32],
    places: &'a [usize; TILE],
    /// The values, the distance from one pixel to the next, and the range of the sum.
    summand: Option<(&'a [f32], usize, Range)>,
}

impl Tile<'_> {
    /// # Safety
    /// The processor has AVX-512. The slices hold `PIXELS` pixels, `REGISTERS` registers of weights for each value of a
    /// pixel, the bias, and at each place room for a panel of results or for the remaining columns.
    #[target_feature(enable = "avx512f")]
    unsafe fn run<const PIXELS: usize, const REGISTERS: usize>(self) {
        let (input, mut panel) = (self.input.as_ptr(), self.panel.as_ptr());
        // SAFETY: all reads and writes are inside what the caller guarantees; masks end at the last column.
        unsafe {
            let bias: [__m512; REGISTERS] =
                std::array::from_fn(|i| _mm512_loadu_ps(self.bias.as_ptr().add(i * LANES)));
            let mut sums = [bias; PIXELS];
            for run in 0..self.runs.count {
                let input = input.add(run * self.runs.row);
                for i in 0..self.length {
                    let weights: [__m512; REGISTERS] =
                        std::array::from_fn(|j| _mm512_loadu_ps(panel.add(j * LANES)));
                    for (pixel, sums) in sums.iter_mut().enumerate() {
                        let value = _mm512_set1_ps(*input.add(pixel * self.runs.pixel + i));
                        for (sum, weights) in sums.iter_mut().zip(weights) {
                            *sum = _mm512_fmadd_ps(value, weights, *sum);
                        }
                    }
                    panel = panel.add(PANEL);
                }
            }
            for (pixel, sums) in sums.iter().enumerate() {
                let output = self.output.as_mut_ptr().add(self.places[pixel]);
                for (i, &sum) in sums.iter().enumerate() {
                    let mask = mask(self.columns.saturating_sub(i * LANES));
                    let mut result = clamp(sum, self.range);
                    if let Some((values, stride, range)) = self.summand {
                        let values = values.as_ptr().add(pixel * stride + i * LANES);
                        result = clamp(_mm512_add_ps(result, _mm512_maskz_loadu_ps(mask, values)), range);
                    }
                    _mm512_mask_storeu_ps(output.add(i * LANES), mask, result);
                }
            }
        }
    }
}

/// The first `count` lanes.
fn mask(count: usize) -> __mmask16 {
    match count {
        LANES.. => !0,
        _ => (1 << count) - 1,
    }
}

#[target_feature(enable = "avx512f")]
fn clamp(values: __m512, [min, max]: Range) -> __m512 {
    _mm512_min_ps(_mm512_set1_ps(max), _mm512_max_ps(_mm512_set1_ps(min), values))
}

/// Weights of a depthwise convolution.
#[derive(Debug)]
pub struct DepthwiseWeights {
    pub channels: usize,
    /// Side of the square kernel: 3 or 5.
    pub side: usize,
    /// 1 or 2.
    pub stride: usize,
    /// The bias and the weights, column by column, of each group of [`LANES`] channels.
    registers: Values,
    range: Range,
}

impl DepthwiseWeights {
    /// Whether a window of this height and width is supported.
    pub fn has_code_for([height, width]: [usize; 2], stride: usize) -> bool {
        height == width && matches!(height, 3 | 5) && matches!(stride, 1 | 2)
    }

    /// Packs weights of side × side × channels.
    ///
    /// # Panics
    /// There is no code for such a window, or the lengths do not fit.
    pub fn pack(weights: &[f32], bias: &[f32], stride: usize, range: Range) -> Self {
        let channels = bias.len();
        let side = if weights.len() == 9 * channels { 3 } else { 5 };
        assert!(weights.len() == side * side * channels && Self::has_code_for([side; 2], stride));
        let mut registers = Values::zeros(channels.div_ceil(LANES) * (1 + side * side) * LANES);
        let mut free = registers.chunks_exact_mut(LANES);
        for first in (0..channels).step_by(LANES) {
            let mut push = |values: &[f32]| {
                let values = &values[first..channels.min(first + LANES)];
                if let Some(register) = free.next() {
                    register[..values.len()].copy_from_slice(values);
                }
            };
            push(bias);
            for x in 0..side {
                for y in 0..side {
                    push(&weights[(y * side + x) * channels..][..channels]);
                }
            }
        }
        Self { channels, side, stride, registers, range }
    }
}

/// Convolves `input`, which includes the padding and whose rows are `row` values apart. Writes `rows` rows of `width`
/// pixels without gaps.
///
/// # Panics
/// A slice is too short; [`SLACK`] more values must follow those of `input` that are used.
pub fn convolve_depthwise(
    _: Avx512,
    input: &[f32],
    row: usize,
    weights: &DepthwiseWeights,
    output: &mut [f32],
    rows: usize,
    width: usize,
) {
    let DepthwiseWeights { channels, side, stride, .. } = *weights;
    if rows == 0 || width == 0 {
        return;
    }
    let last_row = (rows - 1) * stride + side - 1;
    let last_column = (width - 1) * stride + side - 1;
    assert!((last_column + 1) * channels <= row);
    assert!(last_row * row + (last_column + 1) * channels + SLACK <= input.len());
    assert!(rows * width * channels <= output.len());
    let job = Depthwise { input, row, weights, output, rows, width };
    // SAFETY: the proof shows that the processor has AVX-512. The assertions above show that all reads and writes are
    // inside the slices, and the registers are those that `DepthwiseWeights::pack` makes for these channels.
    unsafe {
        match (side, stride) {
            (3, 1) => job.run::<3, 9, 1>(),
            (3, _) => job.run::<3, 9, 2>(),
            (_, 1) => job.run::<5, 25, 1>(),
            _ => job.run::<5, 25, 2>(),
        }
    }
}

struct Depthwise<'a> {
    input: &'a [f32],
    row: usize,
    weights: &'a DepthwiseWeights,
    output: &'a mut [f32],
    rows: usize,
    width: usize,
}

impl Depthwise<'_> {
    /// # Safety
    /// As in [`convolve_depthwise`], which checks it. `AREA` is the square of `SIDE`.
    #[target_feature(enable = "avx512f")]
    unsafe fn run<const SIDE: usize, const AREA: usize, const STRIDE: usize>(self) {
        // SAFETY: all reads and writes are inside what the caller guarantees.
        unsafe {
            let channels = self.weights.channels;
            let output = self.output.as_mut_ptr();
            let mut registers = self.weights.registers.as_ptr();
            for first in (0..channels).step_by(LANES) {
                let bias = _mm512_loadu_ps(registers);
                let weights: [__m512; AREA] =
                    std::array::from_fn(|i| _mm512_loadu_ps(registers.add((1 + i) * LANES)));
                registers = registers.add((1 + AREA) * LANES);
                let mask = mask(channels - first);
                for row in 0..self.rows {
                    let input = self.input.as_ptr().add(row * STRIDE * self.row + first);
                    let output = output.add(row * self.width * channels + first);
                    let mut x = 0;
                    while x + 4 <= self.width {
                        self.pixels::<SIDE, AREA, STRIDE, 4>(input, output, x, bias, &weights, mask);
                        x += 4;
                    }
                    while x < self.width {
                        self.pixels::<SIDE, AREA, STRIDE, 1>(input, output, x, bias, &weights, mask);
                        x += 1;
                    }
                }
            }
        }
    }

    /// # Safety
    /// As in [`run`](Self::run), with `COUNT` pixels from `x` on inside the row.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn pixels<const SIDE: usize, const AREA: usize, const STRIDE: usize, const COUNT: usize>(
        &self,
        input: *const f32,
        output: *mut f32,
        x: usize,
        bias: __m512,
        weights: &[__m512; AREA],
        mask: __mmask16,
    ) {
        // SAFETY: as in `run`.
        unsafe {
            let channels = self.weights.channels;
            let mut sums = [bias; COUNT];
            for column in 0..SIDE {
                for row in 0..SIDE {
                    let weight = weights[column * SIDE + row];
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let place = row * self.row + ((x + i) * STRIDE + column) * channels;
                        *sum = _mm512_fmadd_ps(_mm512_loadu_ps(input.add(place)), weight, *sum);
                    }
                }
            }
            for (i, &sum) in sums.iter().enumerate() {
                let output = output.add((x + i) * channels);
                _mm512_mask_storeu_ps(output, mask, clamp(sum, self.weights.range));
            }
        }
    }
}
