//! The one-euro filter: a low-pass filter whose cut-off rises with speed.
//!
//! Géry Casiez, Nicolas Roussel, Daniel Vogel: 1€ Filter, CHI 2012. MediaPipe's clock advances by a fixed step
//! whatever the video's frame rate, and so does this one. As in MediaPipe, the low-pass filters keep `f32` and
//! everything between them is `f64`.

use std::f64::consts::PI;

/// What MediaPipe's Python interface advances its clock by with every frame, in nanoseconds.
const STEP: u64 = 33_333_000;

/// How a filter responds. The values are `f32` because MediaPipe's options are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// Cut-off frequency at rest, in Hz.
    pub minimum_cutoff: f32,
    /// How much the cut-off rises with speed.
    pub beta: f32,
    /// Cut-off frequency of the speed itself, in Hz.
    pub derivative_cutoff: f32,
}

/// A one-euro filter for `N` independent values.
#[derive(Clone, Debug)]
pub struct OneEuro<const N: usize> {
    response: Response,
    /// Absent before the first sample.
    state: Option<State<N>>,
}

#[derive(Clone, Debug)]
struct State<const N: usize> {
    /// Number of the frame of the last sample.
    frame: u64,
    values: [Value; N],
}

#[derive(Clone, Copy, Debug, Default)]
struct Value {
    raw: f32,
    derivative: f32,
    filtered: f32,
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

    /// Filters the sample of frame number `frame`, which is greater than that of the last sample. Speed is
    /// measured in `value_scale` units per second. The first sample passes through.
    pub fn filter(&mut self, sample: [f32; N], value_scale: f32, frame: u64) -> [f32; N] {
        let values = match self.state.take() {
            None => sample.map(|value| Value { raw: value, derivative: 0.0, filtered: value }),
            Some(State { frame: last, mut values }) => {
                let nanoseconds = frame.saturating_sub(last).max(1) * STEP;
                let frequency = 1.0 / (nanoseconds as f64 * 1e-9);
                for (value, new) in values.iter_mut().zip(sample) {
                    self.response.advance(value, new, value_scale, frequency);
                }
                values
            }
        };
        self.state.insert(State { frame, values }).values.map(|value| value.filtered)
    }
}

impl Response {
    /// Takes in one more sample, at `frequency` samples per second.
    fn advance(&self, value: &mut Value, new: f32, value_scale: f32, frequency: f64) {
        let speed = (f64::from(new) - f64::from(value.raw)) * f64::from(value_scale) * frequency;
        let alpha = smoothing(f64::from(self.derivative_cutoff), frequency);
        value.derivative = low_pass(speed as f32, value.derivative, alpha);
        let speed = f64::from(value.derivative).abs();
        let cutoff = f64::from(self.minimum_cutoff) + f64::from(self.beta) * speed;
        value.filtered = low_pass(new, value.filtered, smoothing(cutoff, frequency));
        value.raw = new;
    }
}

/// A low-pass filter's next value.
pub fn low_pass(new: f32, last: f32, alpha: f32) -> f32 {
    (f64::from(alpha * new) + (1.0 - f64::from(alpha)) * f64::from(last)) as f32
}

/// Weight of a new sample in a low-pass filter of this cut-off frequency, at `frequency` samples per second.
fn smoothing(cutoff: f64, frequency: f64) -> f32 {
    let interval = 1.0 / frequency;
    let tau = 1.0 / (2.0 * PI * cutoff);
    (1.0 / (1.0 + tau / interval)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: Response = Response { minimum_cutoff: 0.05, beta: 80.0, derivative_cutoff: 1.0 };

    #[test]
    fn the_first_sample_passes_and_a_constant_stays() {
        let mut filter = OneEuro::new(RESPONSE);
        for frame in 0..5 {
            let [a, b] = filter.filter([3.0, -7.5], 0.01, frame);
            assert!((a - 3.0).abs() < 1e-6 && (b + 7.5).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn a_jump_is_followed_by_the_formula() {
        let mut filter = OneEuro::new(RESPONSE);
        filter.filter([0.0], 0.01, 1);
        let [found] = filter.filter([10.0], 0.01, 2);
        // Worked out by hand from the paper's formulas at 30.0003 Hz.
        let rate = 30.000_300_003_f64;
        let tau = std::f64::consts::TAU;
        let speed = 10.0 * 0.01 * rate / (1.0 + rate / (tau * 1.0));
        let expected = 10.0 / (1.0 + rate / (tau * (0.05 + 80.0 * speed)));
        assert!((f64::from(found) - expected).abs() < 1e-5, "{found} is not {expected}");
        assert!(expected > 8.0, "fast movement is hardly held back: {expected}");
    }

    #[test]
    fn slow_movement_is_held_back_more_than_fast_movement() {
        let follow = |step: f32| {
            let mut filter = OneEuro::new(RESPONSE);
            filter.filter([0.0], 0.01, 1);
            filter.filter([step], 0.01, 2)[0] / step
        };
        assert!(follow(0.01) < 0.1);
        assert!(follow(100.0) > 0.98);
    }

    #[test]
    fn after_a_gap_a_sample_weighs_more() {
        let follow = |frames: u64| {
            let mut filter = OneEuro::new(RESPONSE);
            filter.filter([0.0], 0.01, 1);
            filter.filter([0.01], 0.01, 1 + frames)[0]
        };
        assert!(follow(6) > 3.0 * follow(1));
    }

    #[test]
    fn after_a_reset_the_next_sample_passes() {
        let mut filter = OneEuro::new(RESPONSE);
        filter.filter([0.0], 1.0, 1);
        filter.filter([1.0], 1.0, 2);
        filter.reset();
        assert_eq!(filter.filter([9.0], 1.0, 3), [9.0]);
    }
}
