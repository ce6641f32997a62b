//! The layers of a network.

use std::fmt;
use std::ops::Range;

use super::avx512::{
    Avx512, DepthwiseWeights, Pixels, Places, Runs, SLACK, Summand, Turn, Values, Weights,
    convolve_depthwise, multiply, sparse, vectorized,
};

use super::graph::Channelwise;

/// The most values of an image that is expanded as a whole if threads share the layer.
const EXPANDED: usize = 1 << 19;

/// The most values of a strip between two operators, so that it stays in the second-level cache.
const STRIP: usize = 1 << 16;

/// How a window moves over an image.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// Height, width and channels of the input.
    pub input: [usize; 3],
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Height and width of the window.
    pub window: [usize; 2],
    pub stride: usize,
    /// Rows of zeros above, and columns of zeros to the left.
    pub padding: [usize; 2],
}

impl Geometry {
    /// Whether each result depends only on the pixel at the same position.
    pub fn is_pointwise(&self) -> bool {
        self.window == [1, 1] && self.stride == 1 && self.padding == [0, 0] && self.output == self.input[..2]
    }

    /// Whether the windows cover nothing but the image.
    fn is_unpadded(&self) -> bool {
        let [height, width, _] = self.input;
        self.padding == [0, 0] && [self.padded_height(), self.padded_width()] == [height, width]
    }

    /// Pixels of a row, including the padding.
    fn padded_width(&self) -> usize {
        (self.padding[1] + self.input[1]).max((self.output[1] - 1) * self.stride + self.window[1])
    }

    /// Rows of the image, including the padding.
    fn padded_height(&self) -> usize {
        (self.padding[0] + self.input[0]).max((self.output[0] - 1) * self.stride + self.window[0])
    }

    /// Those of `rows` that are in the image. Rows are counted from the first row of the padding.
    fn inside(&self, rows: &Range<usize>) -> Range<usize> {
        let [above, height] = [self.padding[0], self.input[0]];
        rows.start.clamp(above, above + height)..rows.end.clamp(above, above + height)
    }

    /// Writes rows of this many channels: zeros in the padding, and the image inside, if it is given.
    fn pad(&self, rows: Range<usize>, channels: usize, output: &mut [f32], image: Option<&[f32]>) {
        let (width, [above, left]) = (self.input[1], self.padding);
        let inside = self.inside(&rows);
        for (y, row) in rows.zip(output.chunks_exact_mut(self.padded_width() * channels)) {
            if !inside.contains(&y) {
                row.fill(0.0);
                continue;
            }
            row[..left * channels].fill(0.0);
            row[(left + width) * channels..].fill(0.0);
            if let Some(image) = image {
                let pixels = &image[(y - above) * width * channels..][..width * channels];
                row[left * channels..][..width * channels].copy_from_slice(pixels);
            }
        }
    }
}

/// What a part of a layer needs besides its input and output.
#[derive(Clone, Debug)]
pub struct Scratch {
    turn: Turn,
    rows: Values,
    between: Values,
    depths: sparse::Depths,
}

impl Scratch {
    /// For one part of a divided layer.
    pub fn new(turn: Turn) -> Self {
        Self { turn, rows: Values::default(), between: Values::default(), depths: sparse::Depths::default() }
    }

    fn reserve(buffer: &mut Values, values: usize) {
        if buffer.len() < values + SLACK {
            *buffer = Values::zeros(values + SLACK);
        }
    }
}

/// The images that a layer reads, as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub input: &'a [f32],
    /// The [expanded](Layer::expanded) image, if it has been computed.
    pub expanded: Option<&'a [f32]>,
    pub summand: Summand<'a>,
}

impl<'a> From<&'a [f32]> for Source<'a> {
    fn from(input: &'a [f32]) -> Self {
        Self { input, expanded: None, summand: None }
    }
}

/// One or more convolutions that are computed in one step.
pub trait Layer: fmt::Debug + Send + Sync {
    /// Makes the scratch memory large enough.
    fn reserve(&self, scratch: &mut Scratch);

    /// Number of rows of the output.
    fn rows(&self) -> usize;

    /// Number of values in a row of the output.
    fn row(&self) -> usize;

    /// Number of multiplications for one row.
    fn work(&self) -> usize;

    /// Rows, and values per row, of an intermediate image that the threads sharing the layer compute first. `None` if each
    /// thread had better compute the rows that it needs: some rows are then computed twice, but a large image would not
    /// stay in the cache.
    fn expanded(&self) -> Option<[usize; 2]> {
        None
    }

    /// Computes some rows of the [expanded](Self::expanded) image.
    fn expand(&self, _: Avx512, _input: &[f32], _rows: Range<usize>, _output: &mut [f32], _: &Scratch) {}

    /// Computes some rows of the output. The first of them is at the start of `output`.
    fn run(
        &self,
        proof: Avx512,
        source: Source<'_>,
        rows: Range<usize>,
        output: &mut [f32],
        scratch: &mut Scratch,
    );
}

/// A convolution, and operations on its results.
#[derive(Debug)]
pub struct Convolution {
    pub geometry: Geometry,
    pub weights: Weights,
    /// Done in order, each with its [`repeated`] constants.
    pub operations: Operations,
}

impl Convolution {
    /// Number of rows computed at a time.
    fn strip(&self) -> usize {
        let Geometry { output: [height, _], stride, .. } = self.geometry;
        (STRIP / (stride * self.padded_row())).clamp(1, height)
    }

    /// Number of input rows needed for `rows` rows of the output.
    fn padded_rows(&self, rows: usize) -> usize {
        (rows - 1) * self.geometry.stride + self.geometry.window[0]
    }

    /// Values of a row, including the padding.
    fn padded_row(&self) -> usize {
        self.geometry.padded_width() * self.geometry.input[2]
    }
}

impl Layer for Convolution {
    fn reserve(&self, scratch: &mut Scratch) {
        if !self.geometry.is_unpadded() {
            Scratch::reserve(&mut scratch.rows, self.padded_rows(self.strip()) * self.padded_row());
        }
    }

    fn rows(&self) -> usize {
        self.geometry.output[0]
    }

    fn row(&self) -> usize {
        self.geometry.output[1] * self.weights.columns
    }

    fn work(&self) -> usize {
        self.geometry.output[1] * self.weights.depth * self.weights.columns
    }

    fn run(
        &self,
        proof: Avx512,
        source: Source<'_>,
        rows: Range<usize>,
        output: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Source { input, summand, .. } = source;
        let Geometry { input: [_, _, channels], output: [_, width], stride, window, .. } = self.geometry;
        let weights = &self.weights;
        let made = rows.start * width * weights.columns;
        let summand = summand.map(|(values, range)| (&values[made..], range));
        if self.geometry.is_pointwise() {
            let pixels = weights.dense(&input[rows.start * width * channels..], rows.len() * width);
            multiply(proof, scratch.turn, pixels, weights, output, Places::Dense, summand);
            let made = rows.len() * self.row();
            return vectorized(proof, || channelwise(&self.operations, &mut output[..made]));
        }
        let runs = Runs { pixel: stride * channels, row: self.padded_row(), count: window[0] };
        let all = rows;
        let mut make = |row: usize, values: &[f32]| {
            let start = (row - all.start) * width * weights.columns;
            let summand = summand.map(|(values, range)| (&values[start..], range));
            let pixels = Pixels { values, count: width, runs };
            let output = &mut output[start..];
            multiply(proof, scratch.turn, pixels, weights, output, Places::Dense, summand);
            vectorized(proof, || channelwise(&self.operations, &mut output[..self.row()]));
        };
        if self.geometry.is_unpadded() {
            return all.clone().for_each(|row| make(row, &input[row * stride * self.padded_row()..]));
        }
        let strip = self.strip();
        for first in all.clone().step_by(strip) {
            let rows = first..all.end.min(first + strip);
            let needed = first * stride..first * stride + self.padded_rows(rows.len());
            self.geometry.pad(needed, channels, &mut scratch.rows, Some(input));
            for row in rows {
                make(row, &scratch.rows[(row - first) * stride * self.padded_row()..]);
            }
        }
    }
}

/// A depthwise convolution, together with the pointwise convolutions before and after it. The images between them have many
/// channels, and only a strip of them exists at a time.
#[derive(Debug)]
pub struct Depthwise {
    geometry: Geometry,
    expand: Option<Weights>,
    weights: DepthwiseWeights,
    project: Option<Weights>,
    /// Number of rows computed at a time.
    strip: usize,
    /// Offset of each pixel of a strip in the padded rows.
    places: Vec<u32>,
}

/// Whether the whole input of a depthwise convolution with this many channels fits into the cache.
fn fits(geometry: &Geometry, channels: usize) -> bool {
    geometry.padded_height() * geometry.padded_width() * channels <= EXPANDED
}

impl Depthwise {
    pub fn new(
        geometry: Geometry,
        expand: Option<Weights>,
        weights: DepthwiseWeights,
        project: Option<Weights>,
    ) -> Self {
        let Geometry { output: [height, _], window: [_, window], stride, .. } = geometry;
        let [input_height, input_width, _] = geometry.input;
        let padded_width = geometry.padded_width();
        let strip = (STRIP / (stride * padded_width * weights.channels)).clamp(1, height);
        let places = match expand {
            Some(_) => {
                let rows = match fits(&geometry, weights.channels) {
                    true => input_height,
                    false => ((strip - 1) * stride + window).min(input_height),
                };
                let place = |pixel: usize| {
                    let (row, column) = (pixel / input_width, pixel % input_width);
                    ((row * padded_width + geometry.padding[1] + column) * weights.channels) as u32
                };
                (0..rows * input_width).map(place).collect()
            }
            None => Vec::new(),
        };
        Self { geometry, expand, weights, project, strip, places }
    }

    /// Number of rows computed at a time from the [expanded](Layer::expanded) image.
    fn expanded_strip(&self) -> usize {
        let [height, width] = self.geometry.output;
        (STRIP / (width * self.weights.channels)).clamp(1, height)
    }

    /// Computes rows of the input of the depthwise convolution, including the padding.
    fn fill(&self, proof: Avx512, turn: Turn, input: &[f32], rows: Range<usize>, output: &mut [f32]) {
        let Geometry { input: [_, width, depth], padding: [above, _], .. } = self.geometry;
        let channels = self.weights.channels;
        let image = self.expand.is_none().then_some(input);
        self.geometry.pad(rows.clone(), channels, output, image);
        let inside = self.geometry.inside(&rows);
        if let Some(expand) = &self.expand
            && !inside.is_empty()
        {
            let input = &input[(inside.start - above) * width * depth..];
            let output = &mut output[(inside.start - rows.start) * self.geometry.padded_width() * channels..];
            let pixels = expand.dense(input, inside.len() * width);
            multiply(proof, turn, pixels, expand, output, Places::Each(&self.places), None);
        }
    }
}

impl Layer for Depthwise {
    fn reserve(&self, scratch: &mut Scratch) {
        let rows = (self.strip - 1) * self.geometry.stride + self.weights.side;
        Scratch::reserve(&mut scratch.rows, rows * self.geometry.padded_width() * self.weights.channels);
        let pixels = self.strip.max(self.expanded_strip()) * self.geometry.output[1];
        Scratch::reserve(&mut scratch.between, pixels * self.weights.channels);
        scratch.depths.reserve(pixels, self.weights.channels);
    }

    fn rows(&self) -> usize {
        self.geometry.output[0]
    }

    fn row(&self) -> usize {
        let channels = self.project.as_ref().map_or(self.weights.channels, |weights| weights.columns);
        self.geometry.output[1] * channels
    }

    fn work(&self) -> usize {
        let [_, width, depth] = self.geometry.input;
        let expand = if self.expand.is_some() { self.geometry.stride * width * depth } else { 0 };
        let project = self.project.as_ref().map_or(0, |weights| weights.columns);
        let window = self.weights.side * self.weights.side;
        self.weights.channels * (expand + self.geometry.output[1] * (window + project))
    }

    fn expanded(&self) -> Option<[usize; 2]> {
        let channels = self.weights.channels;
        (self.expand.is_some() && fits(&self.geometry, channels))
            .then(|| [self.geometry.padded_height(), self.geometry.padded_width() * channels])
    }

    fn expand(
        &self,
        proof: Avx512,
        input: &[f32],
        rows: Range<usize>,
        output: &mut [f32],
        scratch: &Scratch,
    ) {
        self.fill(proof, scratch.turn, input, rows, output);
    }

    fn run(
        &self,
        proof: Avx512,
        source: Source<'_>,
        all: Range<usize>,
        output: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Source { input, expanded, summand } = source;
        let Geometry { output: [_, width], stride, .. } = self.geometry;
        let channels = self.weights.channels;
        let row = self.geometry.padded_width() * channels;
        // Rows are counted from the first row of the padding.
        let mut made = all.start * stride..all.start * stride;
        let strip = if expanded.is_some() { self.expanded_strip() } else { self.strip };
        for first in all.clone().step_by(strip) {
            let rows = strip.min(all.end - first);
            let needed = first * stride..(first + rows - 1) * stride + self.weights.side;
            let read = if let Some(expanded) = expanded {
                &expanded[needed.start * row..]
            } else {
                let kept = made.end.saturating_sub(needed.start);
                scratch
                    .rows
                    .copy_within((needed.start - made.start).min(made.len()) * row..made.len() * row, 0);
                let missing = needed.start + kept..needed.end;
                self.fill(proof, scratch.turn, input, missing, &mut scratch.rows[kept * row..]);
                made = needed;
                &scratch.rows
            };
            let Some(project) = &self.project else {
                let output = &mut output[(first - all.start) * width * channels..];
                convolve_depthwise(proof, read, row, &self.weights, output, rows, width);
                continue;
            };
            convolve_depthwise(proof, read, row, &self.weights, &mut scratch.between, rows, width);
            let start = first * width * project.columns;
            let summand = summand.map(|(values, range)| (&values[start..], range));
            let output = &mut output[(first - all.start) * width * project.columns..];
            let count = rows * width;
            let pixels = project.dense(&scratch.between, count);
            let depths = &mut scratch.depths;
            if project.skips_zeros
                && sparse::multiply(proof, scratch.turn, pixels, project, output, summand, depths)
            {
                continue;
            }
            multiply(proof, scratch.turn, pixels, project, output, Places::Dense, summand);
        }
    }
}

/// The constants of a channelwise operation, repeated for the number of pixels that are processed at a time.
pub fn repeated(constants: &[f32]) -> Vec<f32> {
    constants.repeat((512 / constants.len().max(1)).max(1))
}

/// Operations on each value of an image, in order, each with its [repeated] constants.
pub type Operations = Vec<(Channelwise, Vec<f32>)>;

/// Applies operations to the values of an image.
#[inline(always)]
pub fn channelwise(operations: &Operations, image: &mut [f32]) {
    let Some((_, constants)) = operations.first() else { return };
    for values in image.chunks_mut(constants.len().max(1)) {
        for (operation, constants) in operations {
            let pairs = values.iter_mut().zip(constants);
            match operation {
                Channelwise::Multiply => pairs.for_each(|(value, constant)| *value *= constant),
                Channelwise::Add => pairs.for_each(|(value, constant)| *value += constant),
                Channelwise::Prelu => pairs.for_each(|(value, constant)| {
                    *value = if *value < 0.0 { *value * constant } else { *value };
                }),
            }
        }
    }
}

/// Copies as many values as both images have. Returns the copy.
#[inline(always)]
pub fn copy<'a>(input: &[f32], output: &'a mut [f32]) -> &'a mut [f32] {
    let values = input.len().min(output.len());
    output[..values].copy_from_slice(&input[..values]);
    &mut output[..values]
}

/// Adds two images.
#[inline(always)]
pub fn add(one: &[f32], other: &[f32], output: &mut [f32], [min, max]: super::avx512::Range) {
    for ((output, one), other) in output.iter_mut().zip(one).zip(other) {
        *output = (one + other).max(min).min(max);
    }
}

/// Appends channels of zeros to an image. `[before, after]` are the numbers of channels.
#[inline(always)]
pub fn widen(input: &[f32], [before, after]: [usize; 2], output: &mut [f32]) {
    for (input, output) in input.chunks_exact(before).zip(output.chunks_exact_mut(after)) {
        output[..before].copy_from_slice(input);
        output[before..].fill(0.0);
    }
}

/// The maximum of each two by two values of an image of this height, width and number of channels.
#[inline(always)]
pub fn max_pool(input: &[f32], [_, width, channels]: [usize; 3], output: &mut [f32]) {
    // Many images have so few channels that a loop over single values would hardly be vectorized.
    match channels % 8 {
        0 => max_pool_in_groups::<8>(input, [width, channels / 8], output),
        _ => max_pool_in_groups::<1>(input, [width, channels], output),
    }
}

/// The same for pixels of this many groups of `SIZE` channels.
#[inline(always)]
fn max_pool_in_groups<const SIZE: usize>(input: &[f32], [width, groups]: [usize; 2], output: &mut [f32]) {
    let ((input, _), (output, _)) = (input.as_chunks::<SIZE>(), output.as_chunks_mut::<SIZE>());
    let output_row = width / 2 * groups;
    for (rows, output) in input.chunks_exact(2 * width * groups).zip(output.chunks_exact_mut(output_row)) {
        let (above, below) = rows.split_at(width * groups);
        let pairs = above.chunks_exact(2 * groups).zip(below.chunks_exact(2 * groups));
        for ((above, below), output) in pairs.zip(output.chunks_exact_mut(groups)) {
            for (group, output) in output.iter_mut().enumerate() {
                let [left, right] = [group, group + groups];
                *output = std::array::from_fn(|i| {
                    above[left][i].max(above[right][i]).max(below[left][i].max(below[right][i]))
                });
            }
        }
    }
}

/// Doubles the height and width of an image, by interpolation between the centers of pixels.
#[inline(always)]
pub fn double(input: &[f32], [height, width, channels]: [usize; 3], output: &mut [f32]) {
    // The two nearest of `count` positions, and the weight of the second.
    let neighbors = |place: usize, count: usize| {
        let center = (0.5 * (place as f32 + 0.5) - 0.5).max(0.0);
        let first = (center as usize).min(count - 1);
        (first, (first + 1).min(count - 1), center - first as f32)
    };
    for (y, row) in output.chunks_exact_mut(2 * width * channels).take(2 * height).enumerate() {
        let (top, bottom, down) = neighbors(y, height);
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let (left, right, across) = neighbors(x, width);
            let at = |y: usize, x: usize| &input[(y * width + x) * channels..][..channels];
            let (top_left, top_right) = (at(top, left), at(top, right));
            let (bottom_left, bottom_right) = (at(bottom, left), at(bottom, right));
            let tops = top_left.iter().zip(top_right);
            let bottoms = bottom_left.iter().zip(bottom_right);
            for ((value, top), bottom) in pixel.iter_mut().zip(tops).zip(bottoms) {
                let between = |(one, other): (&f32, &f32), weight: f32| one + (other - one) * weight;
                *value = between((&between(top, across), &between(bottom, across)), down);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose sums have to be rounded.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
    }

    const RANGE: [f32; 2] = [-0.5, 6.0];

    /// The value of a padded image.
    fn at(image: &[f32], geometry: &Geometry, y: usize, x: usize, channel: usize) -> f32 {
        let [height, width, channels] = geometry.input;
        let [above, left] = geometry.padding;
        match (y.checked_sub(above), x.checked_sub(left)) {
            (Some(y), Some(x)) if y < height && x < width => image[(y * width + x) * channels + channel],
            _ => 0.0,
        }
    }

    /// A convolution, sum by sum. Weights are columns × height × width × channels.
    fn convolved(image: &[f32], geometry: &Geometry, weights: &[f32], bias: &[f32]) -> Vec<f32> {
        let ([height, width], [window_height, window_width]) = (geometry.output, geometry.window);
        let channels = geometry.input[2];
        let mut output = Vec::new();
        for (y, x) in
            (0..height).flat_map(|y| (0..width).map(move |x| (y * geometry.stride, x * geometry.stride)))
        {
            for (weights, &bias) in weights.chunks_exact(window_height * window_width * channels).zip(bias) {
                let mut weights = weights.iter();
                let mut sum = bias;
                for (dy, dx) in (0..window_height).flat_map(|dy| (0..window_width).map(move |dx| (dy, dx))) {
                    for channel in 0..channels {
                        let value = at(image, geometry, y + dy, x + dx, channel);
                        sum = value.mul_add(*weights.next().unwrap(), sum);
                    }
                }
                output.push(sum.clamp(RANGE[0], RANGE[1]));
            }
        }
        output
    }

    /// A depthwise convolution, sum by sum. Weights are height × width × channels.
    fn convolved_depthwise(image: &[f32], geometry: &Geometry, weights: &[f32], bias: &[f32]) -> Vec<f32> {
        let ([height, width], [side, _], channels) = (geometry.output, geometry.window, geometry.input[2]);
        let mut output = Vec::new();
        for (y, x) in
            (0..height).flat_map(|y| (0..width).map(move |x| (y * geometry.stride, x * geometry.stride)))
        {
            for channel in 0..channels {
                let mut sum = bias[channel];
                // Column by column, as XNNPACK does it.
                for (dx, dy) in (0..side).flat_map(|dx| (0..side).map(move |dy| (dx, dy))) {
                    let weight = weights[(dy * side + dx) * channels + channel];
                    sum = at(image, geometry, y + dy, x + dx, channel).mul_add(weight, sum);
                }
                output.push(sum.clamp(RANGE[0], RANGE[1]));
            }
        }
        output
    }

    fn geometry(input: [usize; 3], side: usize, stride: usize, padding: [usize; 2]) -> Geometry {
        let output = [0, 1].map(|i| (input[i] + 2 * padding[i] - side) / stride + 1);
        Geometry { input, output, window: [side; 2], stride, padding }
    }

    #[test]
    fn convolutions_match_their_definition_to_the_last_bit() {
        let Some(proof) = Avx512::detect() else {
            return eprintln!("skipped: this processor has no AVX-512");
        };
        let mut scratch = Scratch::new(Turn::ALONE);
        for (input, side, stride, padding, columns) in [
            ([9, 17, 3], 3, 2, [1, 1], 24),
            ([4, 4, 8], 2, 2, [0, 0], 39),
            // Not all of the image is covered.
            ([5, 7, 8], 2, 2, [0, 0], 24),
            ([2, 2, 288], 2, 1, [0, 0], 117),
            ([5, 3, 40], 1, 1, [0, 0], 16),
            ([33, 200, 64], 3, 1, [1, 1], 5),
        ] {
            let geometry = geometry(input, side, stride, padding);
            let image = numbers(input.iter().product(), 1);
            let (weights, bias) = (numbers(columns * side * side * input[2], 2), numbers(columns, 3));
            let expected = convolved(&image, &geometry, &weights, &bias);
            let weights = Weights::pack(&weights, &bias, RANGE);
            let mut convolution = Convolution { geometry, weights, operations: Vec::new() };
            convolution.reserve(&mut scratch);
            let mut output = vec![f32::NAN; expected.len()];
            let source = Source::from(&*image);
            convolution.run(proof, source, 0..geometry.output[0], &mut output, &mut scratch);
            assert_eq!(output, expected, "{geometry:?}");
            let source = Source { summand: Some((&expected, [0.0, 1.0])), ..source };
            convolution.run(proof, source, 0..geometry.output[0], &mut output, &mut scratch);
            let sum: Vec<f32> = expected.iter().map(|value| (value + value).clamp(0.0, 1.0)).collect();
            assert_eq!(output, sum, "{geometry:?}");

            let factors = numbers(columns, 5);
            convolution.operations = vec![(Channelwise::Multiply, repeated(&factors))];
            let source = Source::from(&*image);
            convolution.run(proof, source, 0..geometry.output[0], &mut output, &mut scratch);
            let product: Vec<f32> = expected.iter().zip(factors.iter().cycle()).map(|(a, b)| a * b).collect();
            assert_eq!(output, product, "{geometry:?}");
        }
    }

    #[test]
    fn depthwise_convolutions_and_their_neighbors_match_their_definition() {
        let Some(proof) = Avx512::detect() else {
            return eprintln!("skipped: this processor has no AVX-512");
        };
        let mut scratch = Scratch::new(Turn::ALONE);
        for (input, side, stride, padding) in [
            ([14, 14, 40], 3, 1, [1, 1]),
            ([13, 11, 24], 5, 1, [2, 2]),
            ([16, 9, 8], 3, 2, [0, 0]),
            ([7, 7, 72], 5, 2, [2, 2]),
            // Several strips.
            ([70, 130, 16], 5, 2, [2, 2]),
            ([2, 2, 16], 3, 1, [1, 1]),
        ] {
            let inner = geometry(input, side, stride, padding);
            let channels = input[2];
            let (weights, bias) = (numbers(side * side * channels, 2), numbers(channels, 3));
            let pack = || DepthwiseWeights::pack(&weights, &bias, stride, RANGE);
            let image = numbers(input.iter().product(), 1);
            let expected = convolved_depthwise(&image, &inner, &weights, &bias);
            let alone = Depthwise::new(inner, None, pack(), None);
            alone.reserve(&mut scratch);
            let mut output = vec![f32::NAN; expected.len()];
            alone.run(proof, Source::from(&*image), 0..inner.output[0], &mut output, &mut scratch);
            assert_eq!(output, expected, "{inner:?}");

            // The convolution before it has 6 input channels, the one after it 20 output channels.
            let outer = geometry([input[0], input[1], 6], 1, 1, [0, 0]);
            let image = numbers(input[0] * input[1] * 6, 4);
            let (expanding, expanding_bias) = (numbers(6 * channels, 5), numbers(channels, 6));
            let expanded = convolved(&image, &outer, &expanding, &expanding_bias);
            let middle = convolved_depthwise(&expanded, &inner, &weights, &bias);
            let (projecting, projecting_bias) = (numbers(20 * channels, 7), numbers(20, 8));
            let last = geometry([inner.output[0], inner.output[1], channels], 1, 1, [0, 0]);
            let expected = convolved(&middle, &last, &projecting, &projecting_bias);
            let whole = Depthwise::new(
                Geometry { input: [input[0], input[1], 6], ..inner },
                Some(Weights::pack(&expanding, &expanding_bias, RANGE)),
                pack(),
                Some(Weights::pack(&projecting, &projecting_bias, RANGE)),
            );
            whole.reserve(&mut scratch);
            let mut output = vec![f32::NAN; expected.len()];
            // In two parts, as with two threads.
            let [rows, width] = inner.output;
            let (above, below) = output.split_at_mut(rows / 2 * width * 20);
            let source = Source::from(&*image);
            whole.run(proof, source, rows / 2..rows, below, &mut scratch);
            whole.run(proof, source, 0..rows / 2, above, &mut scratch);
            assert_eq!(output, expected, "{inner:?}");

            // The same with the expanded image computed first.
            let Some([rows, row]) = whole.expanded() else { continue };
            let mut expanded = Values::zeros(rows * row + SLACK);
            let (above, below) = expanded.split_at_mut(rows / 2 * row);
            whole.expand(proof, &image, rows / 2..rows, below, &scratch);
            whole.expand(proof, &image, 0..rows / 2, above, &scratch);
            output.fill(f32::NAN);
            let source = Source { expanded: Some(&expanded), ..source };
            whole.run(proof, source, 0..inner.output[0], &mut output, &mut scratch);
            assert_eq!(output, expected, "{inner:?}");
        }
    }

    #[test]
    fn doubling_interpolates_between_pixels() {
        let mut output = vec![f32::NAN; 16];
        double(&[0.0, 4.0, 8.0, 12.0], [2, 2, 1], &mut output);
        assert_eq!(output[..4], [0.0, 1.0, 3.0, 4.0]);
        assert_eq!(output[4..8], [2.0, 3.0, 5.0, 6.0]);
        assert_eq!(output[12..], [8.0, 9.0, 11.0, 12.0]);
    }

    #[test]
    fn each_channel_has_its_constants() {
        let mut image = [1.0, 2.0, -3.0, -4.0];
        let operations = [
            (Channelwise::Multiply, vec![2.0, -1.0]),
            (Channelwise::Add, vec![1.0, 0.0]),
            (Channelwise::Prelu, vec![0.5, 10.0]),
        ];
        let operations = operations.map(|(operation, constants)| (operation, repeated(&constants)));
        channelwise(&operations.into(), &mut image);
        assert_eq!(image, [3.0, -20.0, -2.5, 4.0]);
    }

    #[test]
    fn added_channels_are_zero() {
        let mut output = vec![f32::NAN; 6];
        widen(&[1.0, 2.0, 3.0, 4.0], [2, 3], &mut output);
        assert_eq!(output, [1.0, 2.0, 0.0, 3.0, 4.0, 0.0]);
    }

    #[test]
    fn pooling_takes_the_maximum_of_four() {
        let mut output = vec![f32::NAN; 2];
        max_pool(&[1.0, 5.0, 2.0, 0.0, 3.0, 4.0, -1.0, 7.0], [2, 4, 1], &mut output);
        assert_eq!(output, [5.0, 7.0]);
        // Of sixteen channels.
        let image: Vec<f32> =
            (0..4 * 16).map(|i| if i / 16 == i % 4 { 9.0 } else { i as f32 / 64.0 }).collect();
        let mut output = vec![f32::NAN; 16];
        max_pool(&image, [2, 2, 16], &mut output);
        assert_eq!(output, [9.0; 16]);
    }
}
