//! Channels of a depthwise convolution that no result depends on.
//!
//! Training has left many, up to half of a layer: the largest value they can have is 0, or nothing weighs them. Without
//! them a sum leaves out additions of 0, which do not change it.

use std::borrow::Cow;

use super::Filter;
use super::avx512::LANES;

/// Whether a sum of these weights stays the same to the last bit where additions of 0 are left out.
///
/// A sum of 0 could change its sign: `-0.0 + 0.0` is `0.0`. But a sum is only ever `-0.0` if it starts so, which is
/// excluded here, or if a negative result is too small for a number, less than 10⁻⁴⁵, and then the next addition of
/// something else makes up for it.
pub fn may_skip(weights: &[f32], bias: &[f32]) -> bool {
    let is_negative_zero = |bias: &f32| *bias == 0.0 && bias.is_sign_negative();
    weights.iter().all(|weight| weight.is_finite()) && !bias.iter().any(is_negative_zero)
}

/// Removes such channels from the convolution and from those around it, but leaves whole registers.
pub fn remove(expand: Option<&mut Filter<'_>>, depthwise: &mut Filter<'_>, project: &mut Filter<'_>) {
    let channels = depthwise.bias.len();
    let limited = depthwise.range[0] == 0.0 && depthwise.range[1].is_finite();
    if !limited || !may_skip(&project.weights, &project.bias) {
        return;
    }
    let is_silent = |channel: usize| {
        let unread = project.weights.iter().skip(channel).step_by(channels).all(|&weight| weight == 0.0);
        unread || most(expand.as_deref(), depthwise, channel) <= 0.0
    };
    let mut silent: Vec<bool> = (0..channels).map(is_silent).collect();
    // What would only empty a part of a register stays.
    let mut removable = silent.iter().filter(|&&silent| silent).count() / LANES * LANES;
    if removable == 0 {
        return;
    }
    for silent in &mut silent {
        *silent = *silent && removable > 0;
        removable -= usize::from(*silent);
    }
    let kept: Vec<usize> = (0..channels).filter(|&channel| !silent[channel]).collect();
    let keep = |values: &[f32]| -> Cow<'static, [f32]> {
        values.chunks_exact(channels).flat_map(|values| kept.iter().map(|&channel| values[channel])).collect()
    };
    if let Some(expand) = expand {
        let depth = expand.weights.len() / channels;
        let weights = |&channel: &usize| &expand.weights[channel * depth..][..depth];
        expand.weights = kept.iter().flat_map(weights).copied().collect();
        expand.bias = keep(&expand.bias);
    }
    depthwise.weights = keep(&depthwise.weights);
    depthwise.bias = keep(&depthwise.bias);
    project.weights = keep(&project.weights);
}

/// The largest value that a channel of the depthwise convolution can have before it is limited.
///
/// The sum is made as it is for an image, of the pixels that make it largest. As rounding never reverses the order of two
/// numbers, no image has a larger one.
fn most(expand: Option<&Filter<'_>>, depthwise: &Filter<'_>, channel: usize) -> f32 {
    // Pixels are anything, unless the convolution before limits them; where it has no weights they are the bias.
    let [mut min, mut max] = expand.map_or([f32::NEG_INFINITY, f32::INFINITY], |expand| expand.range);
    if let Some(expand) = expand {
        let depth = expand.weights.len() / expand.bias.len();
        if expand.weights[channel * depth..][..depth].iter().all(|&weight| weight == 0.0) {
            let value = expand.bias[channel].clamp(min, max);
            // Beside the image there are zeros.
            (min, max) = (value.min(0.0), value.max(0.0));
        }
    }
    let channels = depthwise.bias.len();
    let [height, width] = depthwise.geometry.window;
    let places = (0..width).flat_map(|x| (0..height).map(move |y| y * width + x));
    places.fold(depthwise.bias[channel], |sum, place| match depthwise.weights[place * channels + channel] {
        0.0 => sum,
        weight if weight > 0.0 => weight.mul_add(max, sum),
        weight => weight.mul_add(min, sum),
    })
}

#[cfg(test)]
mod tests {
    use super::super::avx512::{Avx512, SLACK, Turn};
    use super::super::layers::{Depthwise, Geometry, Layer, Scratch, Source};
    use super::*;

    fn filter(side: usize, weights: Vec<f32>, bias: Vec<f32>, range: [f32; 2]) -> Filter<'static> {
        let (input, output) = ([4, 4, bias.len()], [4, 4]);
        let padding = [side / 2; 2];
        let geometry = Geometry { input, output, window: [side; 2], stride: 1, padding };
        Filter { input: 0, geometry, weights: weights.into(), bias: bias.into(), range }
    }

    /// From 1 channel to 40, a depthwise convolution, and to 2 channels. The first channels are silent.
    fn block(silent: usize) -> [Filter<'static>; 3] {
        let number = |i: usize| (i * 37 % 19 + 1) as f32 / 19.0;
        let mut expand = filter(1, (0..40).map(number).collect(), vec![0.5; 40], [0.0, 6.0]);
        let mut depthwise = filter(3, (0..9 * 40).map(number).collect(), vec![-1.0; 40], [0.0, 6.0]);
        let mut project = filter(1, (0..80).map(number).collect(), vec![1.0; 2], [0.0, 6.0]);
        for channel in 0..silent {
            match channel % 3 {
                // Nothing weighs it.
                0 => [channel, 40 + channel].iter().for_each(|&i| project.weights.to_mut()[i] = 0.0),
                // At its largest it is 9 × 6 / 54 - 1.
                1 => (0..9).for_each(|place| depthwise.weights.to_mut()[place * 40 + channel] = 1.0 / 54.0),
                // It is a constant, too small to be seen.
                _ => {
                    expand.weights.to_mut()[channel] = 0.0;
                    (0..9).for_each(|place| depthwise.weights.to_mut()[place * 40 + channel] = 0.2);
                }
            }
        }
        [expand, depthwise, project]
    }

    #[test]
    fn whole_registers_of_silent_channels_go() {
        let [mut expand, mut depthwise, mut project] = block(18);
        let [_, first, _] = block(18);
        remove(Some(&mut expand), &mut depthwise, &mut project);
        assert_eq!([expand.bias.len(), depthwise.bias.len(), project.weights.len()], [24, 24, 48]);
        assert_eq!([expand.weights.len(), depthwise.weights.len()], [24, 9 * 24]);
        // The last ones are those that stay.
        assert_eq!(depthwise.weights[..24], first.weights[16..40]);
    }

    #[test]
    fn what_is_left_gives_the_same_to_the_last_bit() {
        let Some(proof) = Avx512::detect() else {
            return eprintln!("skipped: this processor has no AVX-512");
        };
        let image: Vec<f32> = (0..16 + SLACK).map(|i| i as f32 / 7.0 - 0.5).collect();
        let [one, other] = [false, true].map(|removed| {
            let [mut expand, mut depthwise, mut project] = block(18);
            if removed {
                remove(Some(&mut expand), &mut depthwise, &mut project);
            }
            let geometry = Geometry { input: [4, 4, 1], ..depthwise.geometry };
            let (expand, project) = (Some(expand.pack()), Some(project.pack()));
            let block = Depthwise::new(geometry, expand, depthwise.pack_depthwise(), project);
            let mut scratch = Scratch::new(Turn::ALONE);
            block.reserve(&mut scratch);
            let mut output = vec![f32::NAN; 32];
            block.run(proof, Source::from(&*image), 0..4, &mut output, &mut scratch);
            output.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        });
        assert_eq!(one, other);
    }

    #[test]
    fn few_silent_channels_stay_and_so_do_all_where_a_sum_may_be_negative_zero() {
        let [mut expand, mut depthwise, mut project] = block(15);
        remove(Some(&mut expand), &mut depthwise, &mut project);
        assert_eq!(depthwise.bias.len(), 40);
        let [mut expand, mut depthwise, mut project] = block(18);
        project.bias = vec![1.0, -0.0].into();
        remove(Some(&mut expand), &mut depthwise, &mut project);
        assert_eq!(depthwise.bias.len(), 40);
    }

    #[test]
    fn channels_of_unlimited_pixels_stay() {
        let [mut expand, mut depthwise, mut project] = block(18);
        expand.range = [f32::NEG_INFINITY, f32::INFINITY];
        remove(Some(&mut expand), &mut depthwise, &mut project);
        assert_eq!(depthwise.bias.len(), 40);
    }
}
