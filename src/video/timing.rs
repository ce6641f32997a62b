//! Whether the time between frames varies.

use std::time::Duration;

use super::FrameRate;

/// How far a gap may be from the usual one, as a share of it, before the rate counts as variable.
const TOLERANCE: f64 = 0.05;

/// Watches the timestamps of a video.
#[derive(Debug, Default)]
pub(super) struct Timing {
    last: Option<Duration>,
    gaps: Option<(Duration, Duration)>,
}

impl Timing {
    /// Takes the next frame's timestamp into account.
    pub(super) fn add(&mut self, timestamp: Option<Duration>) {
        let Some(timestamp) = timestamp else { return };
        // Timestamps that stand still or go back are damage, not rate.
        if let Some(gap) = self.last.and_then(|last| timestamp.checked_sub(last)).filter(|gap| !gap.is_zero())
        {
            let (shortest, longest) = self.gaps.unwrap_or((gap, gap));
            self.gaps = Some((shortest.min(gap), longest.max(gap)));
        }
        self.last = Some(timestamp);
    }

    /// Shortest and longest gap, where they differ by more than rounding explains.
    ///
    /// `tick` is the unit of the timestamps: a container that counts in milliseconds shows 30 frames a
    /// second as gaps of 33 and 34.
    pub(super) fn variable(&self, rate: FrameRate, tick: Duration) -> Option<(Duration, Duration)> {
        let (shortest, longest) = self.gaps?;
        let usual = 1.0 / rate.as_f64();
        let allowed = (TOLERANCE * usual).max(1.5 * tick.as_secs_f64());
        let far = |gap: Duration| (gap.as_secs_f64() - usual).abs() > allowed;
        (far(shortest) || far(longest)).then_some((shortest, longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(milliseconds: &[u64], rate: (u32, u32)) -> bool {
        let mut timing = Timing::default();
        for &time in milliseconds {
            timing.add(Some(Duration::from_millis(time)));
        }
        timing.variable(FrameRate::new(rate.0, rate.1).unwrap(), Duration::from_millis(1)).is_some()
    }

    #[test]
    fn rounding_to_milliseconds_is_no_variable_rate() {
        assert!(!variable(&[0, 33, 67, 100, 133, 167], (30, 1)));
        assert!(!variable(&[0, 17, 33, 50, 67], (60, 1)));
        assert!(variable(&[0, 33, 67, 133, 167], (30, 1)));
        assert!(!variable(&[0], (30, 1)));
    }
}
