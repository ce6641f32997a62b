//! The epilogue of a convolution: bias and activation, sixteen channels at a time.

use super::super::model::{Activation, Convolution};
use super::vector::{Lanes, Vector, WIDTH};

/// Bias and slope of each output channel. All activations follow one formula: positive values stay,
/// negative ones are multiplied by a slope of 1 (none), 0 (ReLU) or the channel's own (PReLU).
#[derive(Debug)]
pub struct Epilogue {
    bias: Vec<Lanes>,
    slopes: Vec<Lanes>,
}

impl Epilogue {
    pub fn new(convolution: &Convolution) -> Self {
        let slopes = match &convolution.activation {
            Activation::None => vec![1.0; convolution.bias.len()],
            Activation::Relu => vec![0.0; convolution.bias.len()],
            Activation::PRelu(slopes) => slopes.clone(),
        };
        Self { bias: to_lanes(&convolution.bias), slopes: to_lanes(&slopes) }
    }

    /// Number of blocks of sixteen output channels.
    pub fn blocks(&self) -> usize {
        self.bias.len()
    }

    /// Bias and slope of a block.
    #[inline(always)]
    pub fn block<V: Vector>(&self, block: usize) -> EpilogueBlock<V> {
        EpilogueBlock { bias: V::load(&self.bias[block]), slope: V::load(&self.slopes[block]) }
    }
}

/// Bias and slope of sixteen output channels.
#[derive(Clone, Copy)]
pub struct EpilogueBlock<V> {
    bias: V,
    slope: V,
}

impl<V: Vector> EpilogueBlock<V> {
    /// The layer's values for these sums.
    #[inline(always)]
    pub fn apply(self, sums: V) -> V {
        let (value, zero) = (sums.add(self.bias), V::splat(0.0));
        value.min(zero).mul_add(self.slope, value.max(zero))
    }
}

fn to_lanes(values: &[f32]) -> Vec<Lanes> {
    let lanes = |values: &[f32]| {
        let mut lanes = Lanes::default();
        lanes.0[..values.len()].copy_from_slice(values);
        lanes
    };
    values.chunks(WIDTH).map(lanes).collect()
}
