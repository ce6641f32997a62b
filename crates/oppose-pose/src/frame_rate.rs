//! Frame rates as exact fractions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Frames per second as an exact fraction, for example 30000/1001.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

impl FrameRate {
    /// The frame rate of pictures, which have none of their own.
    pub const DEFAULT: Self = Self { numerator: 25, denominator: 1 };

    /// Slowest and fastest rate, in frames per second: from one frame in a quarter of an hour to more than any camera that
    /// films people.
    const PLAUSIBLE: std::ops::RangeInclusive<f64> = 0.001..=100_000.0;

    /// `numerator / denominator` frames per second, or `None` if no video can have such a rate.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let rate = Self { numerator, denominator };
        (denominator > 0 && Self::PLAUSIBLE.contains(&rate.as_f64())).then_some(rate)
    }

    /// The fraction behind a rate that a `.pose` file holds: 30000/1001 for 29.97003. The nearest thousandth (for rates
    /// below 1, millionth) if none of the usual fractions fits, `None` if no video can have such a rate.
    pub fn from_f32(rate: f32) -> Option<Self> {
        // Whole numbers, NTSC's rates, tenths and the like, and averages over few frames.
        let usual = [1, 1001].into_iter().chain(2..=120);
        let of = |denominator: u32| {
            Self::new((f64::from(rate) * f64::from(denominator)).round() as u32, denominator)
        };
        usual
            .filter_map(of)
            .find(|fraction| fraction.as_f32() == rate)
            .or_else(|| of(if rate < 1.0 { 1_000_000 } else { 1000 }))
    }

    /// The rate multiplied by `above / below`, in lowest terms; `None` if no video can have such a rate.
    pub fn times(self, above: u32, below: u32) -> Option<Self> {
        Self::reduced(
            u128::from(self.numerator) * u128::from(above),
            u128::from(self.denominator) * u128::from(below),
        )
    }

    /// The rate of `frames` frames in `ticks` ticks of numerator / denominator seconds each; `None` if no video can have
    /// such a rate.
    pub fn measured(frames: u64, ticks: i64, (numerator, denominator): (i32, i32)) -> Option<Self> {
        let above = u128::from(frames) * u128::try_from(denominator).ok()?;
        let below = u128::try_from(ticks).ok()? * u128::try_from(numerator).ok()?;
        Self::reduced(above, below)
    }

    fn reduced(above: u128, below: u128) -> Option<Self> {
        let divisor = greatest_common_divisor(above, below).max(1);
        match (u32::try_from(above / divisor), u32::try_from(below / divisor)) {
            (Ok(numerator), Ok(denominator)) => Self::new(numerator, denominator),
            // Days counted by a fine clock: nine digits are enough.
            _ if below > 0 => Self::from_f64(above as f64 / below as f64),
            _ => None,
        }
    }

    fn from_f64(rate: f64) -> Option<Self> {
        let denominator = if rate < 1000.0 { 1_000_000 } else { 10_000 };
        Self::new((rate * f64::from(denominator)).round() as u32, denominator)
    }

    /// The numerator: frames.
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// The denominator: seconds; never 0.
    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// Frames per second.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// The nearest f32, which is what a `.pose` file stores.
    pub fn as_f32(self) -> f32 {
        self.as_f64() as f32
    }
}

/// Text that is not a frame rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a frame rate; expected frames per second, for example 25, 29.97 or 30000/1001")]
pub struct FrameRateError(String);

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

impl From<FrameRate> for String {
    fn from(rate: FrameRate) -> Self {
        rate.to_string()
    }
}

impl TryFrom<String> for FrameRate {
    type Error = FrameRateError;

    fn try_from(text: String) -> Result<Self, FrameRateError> {
        text.parse()
    }
}

impl FromStr for FrameRate {
    type Err = FrameRateError;

    /// Reads `25`, `29.97` or `30000/1001`. A decimal fraction is rounded to thousandths, below 1 to millionths.
    fn from_str(text: &str) -> Result<Self, FrameRateError> {
        let parse = || match text.split_once('/') {
            Some((numerator, denominator)) => Self::new(numerator.parse().ok()?, denominator.parse().ok()?),
            None => match text.parse() {
                Ok(whole) => Self::new(whole, 1),
                Err(_) => {
                    let rate = text.parse::<f64>().ok()?;
                    let parts = if rate < 1.0 { 1_000_000 } else { 1000 };
                    Self::new((rate * f64::from(parts)).round() as u32, parts)
                }
            },
        };
        parse().ok_or_else(|| FrameRateError(text.to_owned()))
    }
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for (typed, shown) in [("25", "25"), ("30000/1001", "30000/1001"), ("29.97", "29970/1000")] {
            assert_eq!(typed.parse::<FrameRate>().unwrap().to_string(), shown);
        }
        for nonsense in ["", "fast", "0", "-5", "1/0", "NaN", "1e30", "100001", "0.0009", "1/1001"] {
            assert!(nonsense.parse::<FrameRate>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn the_fraction_behind_a_rate_is_found() {
        for (numerator, denominator) in
            [(25, 1), (30000, 1001), (24000, 1001), (25, 2), (359, 12), (29970, 1000)]
        {
            let rate = FrameRate::new(numerator, denominator).unwrap().as_f32();
            assert_eq!(FrameRate::from_f32(rate).unwrap().as_f32(), rate);
        }
        assert_eq!(FrameRate::from_f32(29.97003), FrameRate::new(30000, 1001));
        for nonsense in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(FrameRate::from_f32(nonsense), None);
        }
    }

    #[test]
    fn the_ntsc_rate_is_the_nearest_f32() {
        assert_eq!(FrameRate::new(30000, 1001).unwrap().as_f32(), 29.97003_f32);
    }
}
