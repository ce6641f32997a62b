//! Scores limbs: how well the part affinity field between two peaks agrees with a limb.

use super::body::{BodyModel, Thresholds};
use super::heat_maps::HeatMaps;
use super::{Keypoint, Parity};

/// Two peaks that a limb may join.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) score: f32,
    /// Peak of the limb's first part, from 1.
    pub(super) from: u8,
    /// Peak of the limb's second part, from 1.
    pub(super) to: u8,
}

/// The inputs of the scores.
pub(super) struct Field<'a, M> {
    pub(super) maps: &'a M,
    pub(super) model: &'a BodyModel,
    pub(super) peaks: &'a [Vec<Keypoint>],
    pub(super) thresholds: Thresholds,
    pub(super) parity: Parity,
}

impl<M: HeatMaps> Field<'_, M> {
    /// All pairs of peaks that may be joined by a limb, in the order of the first peak.
    pub(super) fn candidates(&self, limb: usize) -> impl Iterator<Item = Candidate> {
        let (from, to) = self.model.limbs[limb];
        let plane = self.model.affinity_plane(limb);
        let pairs = (1u8..)
            .zip(&self.peaks[from])
            .flat_map(move |from| (1u8..).zip(&self.peaks[to]).map(move |to| (from, to)));
        pairs.filter_map(move |((from, a), (to, b))| {
            let score = self.score(a, b, plane)?;
            (f64::from(score) > 1e-6).then_some(Candidate { score, from, to })
        })
    }

    /// The mean of the field along the line from `a` to `b`, in the line's direction, if nearly all of it
    /// points that way.
    fn score(&self, a: &Keypoint, b: &Keypoint, plane: usize) -> Option<f32> {
        let size = self.maps.size();
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let count = ((5.0 * dx.abs().max(dy.abs())).sqrt() + 0.5) as u32;
        let count = count.clamp(5, 25) as f32;
        let length = (dx * dx + dy * dy).sqrt();
        if f64::from(length) <= 1e-6 || length.is_nan() {
            return None;
        }
        let (unit_x, unit_y) = (dx / length, dy / length);
        let (step_x, step_y) = (dx / count, dy / count);
        let (mut sum, mut hits) = (0.0, count);
        for index in 0..count as u32 {
            let pixel =
                |start: f32, step: f32, last: usize| ((start + index as f32 * step + 0.5) as usize).min(last);
            let x = pixel(a.x, step_x, size.width - 1);
            let y = pixel(a.y, step_y, size.height - 1);
            let sample = unit_x * self.maps.at(plane, x, y) + unit_y * self.maps.at(plane + 1, x, y);
            if sample > self.thresholds.limb_sample {
                sum += sample;
                continue;
            }
            hits -= 1.0;
            // With so few hits possible, further samples cannot change the result.
            if hits / count <= self.thresholds.limb_share {
                return self.is_close(length).then_some((f64::from(self.thresholds.peak) + 1e-6) as f32);
            }
        }
        Some(sum / hits)
    }

    /// Whether two peaks are so close that the field between them says nothing.
    fn is_close(&self, length: f32) -> bool {
        let pixels = self.maps.size().pixels();
        match self.parity {
            Parity::Cuda => length < (pixels as f32).sqrt() / 150.0,
            Parity::Cpu => f64::from(length) < (pixels as f64).sqrt() / 150.0,
        }
    }
}
