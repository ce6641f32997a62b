//! The one-euro filter: a low-pass filter whose cut-off rises with speed.
//!
//! Géry Casiez, Nicolas Roussel, Daniel Vogel: 1€ Filter, CHI 2012. MediaPipe's clock advances by a fixed step
//! whatever the video's frame rate, and so does this one.

use std::f64::consts::TAU;

/// Frames a second: MediaPipe's Python interface advances its clock by 33,333 µs a frame.
const RATE: f64 = 1.0 / 33_333e-6;

/// How a filter responds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// Cut-off frequency at rest, in Hz.
    pub minimum_cutoff: f64,
    /// How much the cut-off rises with speed.
    pub beta: f64,
    /// Cut-off frequency of the speed itself, in Hz.
    pub derivative_cutoff: f64,
}

/// A one-euro filter for `N` independent values.
#[derive(Clone, Debug)]
pub struct OneEuro<const N: usize> {
    response: Response,
    /// Absent before the first sample.
    state: Option<[State; N]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    raw: f64,
    derivative: f64,
    filtered: f64,
}

impl<const N: usize> OneEuro<N> {
    /// A filter that has seen nothing.
    pub fn new(response: Response) -> Self {
        Self { response, state: None }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.state = None;
    }

    /// Filters the next sample, `frames` frames after the last one. Speed is measured in `value_scale` units a
    /// second. The first sample passes through.
    pub fn filter(&mut self, sample: [f64; N], value_scale: f64, frames: u32) -> [f64; N] {
        let rate = RATE / f64::from(frames.max(1));
        let Response { minimum_cutoff, beta, derivative_cutoff } = self.response;
        let state = match self.state.take() {
            None => sample.map(|value| State { raw: value, derivative: 0.0, filtered: value }),
            Some(mut state) => {
                let weight = smoothing(derivative_cutoff, rate);
                for (state, value) in state.iter_mut().zip(sample) {
                    let derivative = (value - state.raw) * value_scale * rate;
                    state.derivative = weight * derivative + (1.0 - weight) * state.derivative;
                    let weight = smoothing(minimum_cutoff + beta * state.derivative.abs(), rate);
                    state.filtered = weight * value + (1.0 - weight) * state.filtered;
                    state.raw = value;
                }
                state
            }
        };
        self.state.insert(state).map(|state| state.filtered)
    }
}

/// Weight of a new sample in a low-pass filter of this cut-off frequency, at `rate` samples a second.
fn smoothing(cutoff: f64, rate: f64) -> f64 {
    1.0 / (1.0 + rate / (TAU * cutoff))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: Response = Response { minimum_cutoff: 0.05, beta: 80.0, derivative_cutoff: 1.0 };

    #[test]
    fn the_first_sample_passes_and_a_constant_stays() {
        let mut filter = OneEuro::new(RESPONSE);
        for _ in 0..5 {
            let [a, b] = filter.filter([3.0, -7.5], 0.01, 1);
            assert!((a - 3.0).abs() < 1e-12 && (b + 7.5).abs() < 1e-12, "{a} {b}");
        }
    }

    #[test]
    fn a_jump_is_followed_by_the_formula() {
        let mut filter = OneEuro::new(RESPONSE);
        filter.filter([0.0], 0.01, 1);
        let [found] = filter.filter([10.0], 0.01, 1);
        // Worked out by hand from the paper's formulas at 30.0003 Hz.
        let rate = 30.000_300_003_f64;
        let speed = 10.0 * 0.01 * rate / (1.0 + rate / (TAU * 1.0));
        let expected = 10.0 / (1.0 + rate / (TAU * (0.05 + 80.0 * speed)));
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        assert!(expected > 8.0, "fast movement is hardly held back: {expected}");
    }

    #[test]
    fn slow_movement_is_held_back_more_than_fast_movement() {
        let follow = |step: f64| {
            let mut filter = OneEuro::new(RESPONSE);
            filter.filter([0.0], 0.01, 1);
            filter.filter([step], 0.01, 1)[0] / step
        };
        assert!(follow(0.01) < 0.1);
        assert!(follow(100.0) > 0.98);
    }

    #[test]
    fn after_a_gap_a_sample_weighs_more() {
        let follow = |frames| {
            let mut filter = OneEuro::new(RESPONSE);
            filter.filter([0.0], 0.01, 1);
            filter.filter([0.01], 0.01, frames)[0]
        };
        assert!(follow(6) > 3.0 * follow(1));
    }

    #[test]
    fn after_a_reset_the_next_sample_passes() {
        let mut filter = OneEuro::new(RESPONSE);
        filter.filter([0.0], 1.0, 1);
        filter.filter([1.0], 1.0, 1);
        filter.reset();
        assert_eq!(filter.filter([9.0], 1.0, 1), [9.0]);
    }
}
