//! Runs a net in the simplest way, as a reference for the back ends.
#![allow(dead_code)] // No test program uses all of it.

use oppose::engine::native::assemble::size::Size;
use oppose::engine::native::model::{Activation, Convolution, Graph, Net, Operation};
use oppose::engine::native::{Backend, BackendError};

/// The three nets of a models folder, run on one input after another.
pub struct ReferenceBackend<'a>(pub &'a [(Net, Graph)]);

impl Backend for ReferenceBackend<'_> {
    fn run(
        &mut self,
        net: Net,
        inputs: &[f32],
        size: Size,
        outputs: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        let (_, graph) = self.0.iter().find(|(name, _)| *name == net).ok_or("no such net")?;
        outputs.clear();
        for input in inputs.chunks_exact(3 * size.pixels()) {
            outputs.extend(run(graph, input, size));
        }
        Ok(())
    }

    fn batch(&self) -> usize {
        3
    }
}

/// Runs a net on planes of this size, and returns the planes of its result.
pub fn run(graph: &Graph, input: &[f32], size: Size) -> Vec<f32> {
    let mut tensors: Vec<Vec<f32>> = vec![Vec::new(); graph.tensors.len()];
    tensors[0] = input.to_vec();
    for layer in &graph.layers {
        let stride = graph.tensors[layer.inputs[0]].stride;
        let (width, height) = (size.width / stride, size.height / stride);
        let first = &tensors[layer.inputs[0]];
        tensors[layer.output] = match &layer.operation {
            Operation::Convolution(settings) => convolution(settings, first, width, height),
            Operation::MaxPooling => pooling(first, width, height),
            Operation::Concatenation => {
                layer.inputs.iter().flat_map(|&input| tensors[input].iter().copied()).collect()
            }
        };
    }
    tensors.swap_remove(graph.output)
}

fn convolution(settings: &Convolution, input: &[f32], width: usize, height: usize) -> Vec<f32> {
    let Convolution { kernel, weights, bias, activation } = settings;
    let (kernel, half) = (*kernel, *kernel as isize / 2);
    let channels = input.len() / (width * height);
    let mut output = Vec::with_capacity(bias.len() * width * height);
    for (channel, (filter, &bias)) in weights.chunks_exact(channels * kernel * kernel).zip(bias).enumerate() {
        let mut sums = vec![f64::from(bias); width * height];
        for (plane, taps) in input.chunks_exact(width * height).zip(filter.chunks_exact(kernel * kernel)) {
            // Most weights of the nets designed by hand are 0.
            for (tap, &weight) in taps.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                let (dy, dx) = ((tap / kernel) as isize - half, (tap % kernel) as isize - half);
                let columns = (-dx).max(0) as usize..(width as isize - dx).clamp(0, width as isize) as usize;
                for y in 0..height {
                    let Some(row) = y.checked_add_signed(dy).filter(|&row| row < height) else { continue };
                    for x in columns.clone() {
                        let value = plane[row * width + x.wrapping_add_signed(dx)];
                        sums[y * width + x] += f64::from(weight) * f64::from(value);
                    }
                }
            }
        }
        output.extend(sums.iter().map(|&sum| match activation {
            Activation::None => sum as f32,
            Activation::Relu => sum.max(0.0) as f32,
            Activation::PRelu(slopes) if sum < 0.0 => sum as f32 * slopes[channel],
            Activation::PRelu(_) => sum as f32,
        }));
    }
    output
}

fn pooling(input: &[f32], width: usize, height: usize) -> Vec<f32> {
    let mut output = Vec::with_capacity(input.len() / 4);
    for plane in input.chunks_exact(width * height) {
        for rows in plane.chunks_exact(2 * width) {
            let (upper, lower) = rows.split_at(width);
            let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
            output.extend(pairs.map(|(a, b)| a[0].max(a[1]).max(b[0].max(b[1]))));
        }
    }
    output
}
