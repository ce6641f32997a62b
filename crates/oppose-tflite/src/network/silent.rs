//! Removes channels of a depthwise convolution that no result depends on.
//!
//! Training has left many of them, up to half of a layer: their largest possible value is 0, or all weights that read them are
//! 0. Removing them only removes additions of 0 from sums, which does not change the sums.

use std::borrow::Cow;

use super::Filter;
use super::avx512::LANES;

/// Whether sums with these weights stay the same to the last bit if additions of 0 are left out.
///
/// A sum of 0 could change its sign: `-0.0 + 0.0` is `0.0`. But a sum is `-0.0` only if it starts as such, which is excluded
/// here, or if a negative result underflows (below 10⁻⁴⁵), and then the next addition of something else corrects it.
pub fn may_skip(weights: &[f32], bias: &[f32]) -> bool {
    let is_negative_zero = |bias: &f32| *bias == 0.0 && bias.is_sign_negative();
    weights.iter().all(|weight| weight.is_finite()) && !bias.iter().any(is_negative_zero)
}

/// Removes silent channels from the convolution and from those around it, in multiples of a register.
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
    // Removing only a part of a register would save nothing.
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
/// The sum is computed as for an image, from the pixel values that make it largest. As rounding never reverses the order of
/// two numbers, no image gives a larger one.
fn most(expand: Option<&Filter<'_>>, depthwise: &Filter<'_>, channel: usize) -> f32 {
    // Pixels can have any value unless the convolution before limits them; if its weights are all 0, they are its bias.
    let [mut min, mut max] = expand.map_or([f32::NEG_INFINITY, f32::INFINITY], |expand| expand.range);
    if let Some(expand) = expand {
        let depth = expand.weights.len() / expand.bias.len();
        if expand.weights[channel * depth..][..depth].iter().all(|&weight| weight == 0.0) {
            let value = expand.bias[channel].clamp(min, max);
            // The padding is 0.
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
                // All weights that read it are 0.
                0 => [channel, 40 + channel].iter().for_each(|&i| project.weights.to_mut()[i] = 0.0),
                // Its largest value is 9 × 6 / 54 - 1.
                1 => (0..9).for_each(|place| depthwise.weights.to_mut()[place * 40 + channel] = 1.0 / 54.0),
                // A negative constant.
                _ => {
                    expand.weights.to_mut()[channel] = 0.0;
                    (0..9).for_each(|place| depthwise.weights.to_mut()[place * 40 + channel] = 0.2);
                }
            }
        }
        [expand, depthwise, project]
    }

    #[test]
    fn silent_channels_are_removed_in_whole_registers() {
        let [mut expand, mut depthwise, mut project] = block(18);
        let [_, first, _] = block(18);
        remove(Some(&mut expand), &mut depthwise, &mut project);
        assert_eq!([expand.bias.len(), depthwise.bias.len(), project.weights.len()], [24, 24, 48]);
        assert_eq!([expand.weights.len(), depthwise.weights.len()], [24, 9 * 24]);
        // The last channels are kept.
        assert_eq!(depthwise.weights[..24], first.weights[16..40]);
    }

    #[test]
    fn removing_channels_does_not_change_the_result() {
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
    fn channels_are_kept_if_they_are_few_or_a_sum_may_be_negative_zero() {
        let [mut expand, mut depthwise, mut project] = block(15);
        remove(Some(&mut expand), &mut depthwise, &mut project);
        assert_eq!(depthwise.bias.len(), 40);
        let [mut expand, mut depthwise, mut project] = block(18);
        project.bias = vec![1.0, -0.0].into();
        remove(Some(&mut expand), &mut depthwise, &mut project);
        assert_eq!(depthwise.bias.len(), 40);
    }

    #[test]
    fn channels_of_unlimited_pixels_are_kept() {
        let [mut expand, mut depthwise, mut project] = block(18);
        expand.range = [f32::NEG_INFINITY, f32::INFINITY];
        remove(Some(&mut expand), &mut depthwise, &mut project);
        assert_eq!(depthwise.bias.len(), 40);
    }
}
