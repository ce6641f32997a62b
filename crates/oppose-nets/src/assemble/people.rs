//! Assembles people from peaks: limbs join peaks if the part affinity field agrees, and limbs that share a peak belong
//! to one person.

use super::body::{BodyModel, MAX_PARTS, Thresholds};
use super::heat_maps::HeatMaps;
use super::limb::{Candidate, Field};
use super::people_cuda::Entry;
use super::{Keypoint, Parity};

/// A person during assembly.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Person {
    /// Peak of each part, from 1; 0 for none.
    pub(super) slots: [u8; MAX_PARTS],
    /// Number of parts, as the assembly counts them.
    pub(super) parts: u32,
    pub(super) score: f32,
}

impl Person {
    /// A person with one limb.
    pub(super) fn of_limb(limb: (usize, usize), candidate: Candidate, score: f32) -> Self {
        let mut person = Self { parts: 2, score, ..Self::default() };
        person.slots[limb.0] = candidate.from;
        person.slots[limb.1] = candidate.to;
        person
    }
}

/// Assembles people; reuses its memory.
#[derive(Debug, Default)]
pub struct Assembly {
    pub(super) people: Vec<Person>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) entries: Vec<Entry>,
}

/// Two peaks that a limb may join, and how well the part affinity field between them agrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredPair {
    /// Index of the limb.
    pub limb: u8,
    /// Peak of the limb's first part, from 1.
    pub from: u8,
    /// Peak of the limb's second part, from 1.
    pub to: u8,
    /// Mean of the field along the line between them.
    pub score: f32,
}

/// The people of a frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct People {
    /// People × parts, in frame pixels.
    pub keypoints: Vec<Keypoint>,
    /// The score of each person.
    pub scores: Vec<f32>,
}

impl Assembly {
    /// Finds people. `peaks` has one entry per part, in heat map pixels; `net_to_frame` is the factor from heat map
    /// pixels to frame pixels.
    ///
    /// # Panics
    /// `peaks` does not have one entry per part of the model, an entry has more than
    /// [`MAX_PEAKS`](super::peaks::MAX_PEAKS), or the heat maps have no pixels.
    #[expect(clippy::too_many_arguments, reason = "what it takes: maps, peaks, model, settings, result")]
    pub fn assemble<M: HeatMaps>(
        &mut self,
        maps: &M,
        peaks: &[Vec<Keypoint>],
        model: &BodyModel,
        thresholds: Thresholds,
        parity: Parity,
        net_to_frame: f32,
        people: &mut People,
    ) {
        assert!(
            peaks.len() == model.parts && peaks.iter().all(|peaks| peaks.len() <= super::peaks::MAX_PEAKS)
        );
        let field = Field { maps, model, peaks, thresholds, parity };
        self.people.clear();
        match parity {
            Parity::Cuda => self.join_all_at_once(&field),
            Parity::Cpu => self.join_limb_by_limb(&field),
        }
        self.finish(peaks, model, thresholds, net_to_frame, people);
    }

    /// Finds people as the CUDA build does, from all pairs of peaks that may be joined, in any order.
    ///
    /// # Panics
    /// `peaks` does not have one entry per part of the model, an entry has more than
    /// [`MAX_PEAKS`](super::peaks::MAX_PEAKS), or a pair refers to limbs or peaks that do not exist.
    pub fn assemble_pairs(
        &mut self,
        pairs: impl IntoIterator<Item = ScoredPair>,
        peaks: &[Vec<Keypoint>],
        model: &BodyModel,
        thresholds: Thresholds,
        net_to_frame: f32,
        people: &mut People,
    ) {
        assert!(
            peaks.len() == model.parts && peaks.iter().all(|peaks| peaks.len() <= super::peaks::MAX_PEAKS)
        );
        self.people.clear();
        self.join_pairs(pairs, model, peaks);
        self.finish(peaks, model, thresholds, net_to_frame, people);
    }

    /// Drops unlikely people and writes the keypoints of the others.
    fn finish(
        &mut self,
        peaks: &[Vec<Keypoint>],
        model: &BodyModel,
        thresholds: Thresholds,
        net_to_frame: f32,
        people: &mut People,
    ) {
        self.drop_unlikely(model, thresholds);

        people.keypoints.clear();
        people.scores.clear();
        let share = 1.0 / (model.parts + model.limbs.len()) as f32;
        for person in &self.people {
            let keypoints = person.slots.iter().zip(peaks).map(|(&slot, peaks)| match slot {
                0 => Keypoint::default(),
                peak => {
                    let Keypoint { x, y, score } = peaks[usize::from(peak) - 1];
                    Keypoint { x: x * net_to_frame, y: y * net_to_frame, score }
                }
            });
            people.keypoints.extend(keypoints);
            people.scores.push(person.score * share);
        }
    }

    /// Drops people with few parts or low scores. Feet do not count as parts, and need a body, unless no person
    /// would be left.
    fn drop_unlikely(&mut self, model: &BodyModel, thresholds: Thresholds) {
        let is_likely = |person: &Person, keeps_feet: bool| {
            let mut parts = person.parts;
            if let (Some(first), false) = (model.first_foot_part, keeps_feet) {
                let feet = person.slots[first..].iter().filter(|&&slot| slot > 0).count() as u32;
                parts = parts.saturating_sub(feet);
                if feet > 0 && parts <= 4 {
                    return false;
                }
            }
            parts >= thresholds.parts && person.score / parts as f32 >= thresholds.score
        };
        let keeps_feet = thresholds.keeps_feet || !self.people.iter().any(|person| is_likely(person, false));
        self.people.retain(|person| is_likely(person, keeps_feet));
    }
}
