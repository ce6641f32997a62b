//! The CUDA build's assembly: all limbs at once, in the order of their scores.

use std::cmp::Ordering;

use super::Keypoint;
use super::body::{BodyModel, MAX_PARTS};
use super::heat_maps::HeatMaps;
use super::limb::{Candidate, Field};
use super::peaks::MAX_PEAKS;
use super::people::{Assembly, Person, ScoredPair};

/// A candidate for a limb, with the key by which candidates are sorted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The score of the limb plus a tenth of those of its peaks.
    total: f32,
    limb: u8,
    candidate: Candidate,
}

impl Entry {
    fn order(&self, other: &Self) -> Ordering {
        let rest = |entry: &Self| (entry.limb, entry.candidate.from, entry.candidate.to);
        self.total
            .total_cmp(&other.total)
            .then_with(|| self.candidate.score.total_cmp(&other.candidate.score))
            .then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl Assembly {
    pub(super) fn join_all_at_once<M: HeatMaps>(&mut self, field: &Field<'_, M>) {
        let limbs = 0..field.model.limbs.len();
        let pairs = limbs.flat_map(|limb| {
            let pair = move |Candidate { score, from, to }| ScoredPair { limb: limb as u8, from, to, score };
            field.candidates(limb).map(pair)
        });
        self.join_pairs(pairs, field.model, field.peaks);
    }

    pub(super) fn join_pairs(
        &mut self,
        pairs: impl IntoIterator<Item = ScoredPair>,
        model: &BodyModel,
        peaks: &[Vec<Keypoint>],
    ) {
        self.entries.clear();
        self.entries.extend(pairs.into_iter().map(|ScoredPair { limb, from: a, to: b, score }| {
            let (from, to) = model.limbs[usize::from(limb)];
            let (score_a, score_b) =
                (peaks[from][usize::from(a) - 1].score, peaks[to][usize::from(b) - 1].score);
            let total = score + 0.1 * score_a + 0.1 * score_b;
            Entry { total, limb, candidate: Candidate { score, from: a, to: b } }
        }));
        self.entries.sort_unstable_by(|a, b| b.order(a));

        // The person that each peak belongs to. People merged into others are emptied, and dropped at the end.
        let mut owners = [[None; MAX_PEAKS + 1]; MAX_PARTS];
        for &Entry { limb, candidate, .. } in &self.entries {
            let limb @ (from, to) = model.limbs[usize::from(limb)];
            let Candidate { score, from: a, to: b } = candidate;
            let score_a = peaks[from][usize::from(a) - 1].score;
            let score_b = peaks[to][usize::from(b) - 1].score;
            match (owners[from][usize::from(a)], owners[to][usize::from(b)]) {
                (None, None) => {
                    let owner = Some(self.people.len());
                    (owners[from][usize::from(a)], owners[to][usize::from(b)]) = (owner, owner);
                    self.people.push(Person::of_limb(limb, candidate, score_a + score_b + score));
                }
                (Some(owner), None) => {
                    if self.people[owner].add(to, b, score_b + score) {
                        owners[to][usize::from(b)] = Some(owner);
                    }
                }
                (None, Some(owner)) => {
                    if self.people[owner].add(from, a, score_a + score) {
                        owners[from][usize::from(a)] = Some(owner);
                    }
                }
                (Some(first), Some(second)) if first == second => self.people[first].score += score,
                (Some(first), Some(second)) => {
                    let (stays, goes) = (first.min(second), first.max(second));
                    let other = self.people[goes];
                    if self.people[stays].take(&other, score) {
                        self.people[goes] = Person::default();
                        for (owners, slot) in owners.iter_mut().zip(other.slots) {
                            if slot > 0 {
                                owners[usize::from(slot)] = Some(stays);
                            }
                        }
                    }
                }
            }
        }
        self.people.retain(|person| person.parts > 0);
    }
}

impl Person {
    /// Adds a part to the person; `false` if the person already has it.
    fn add(&mut self, part: usize, peak: u8, score: f32) -> bool {
        let is_free = self.slots[part] == 0;
        if is_free {
            self.slots[part] = peak;
            self.parts += 1;
            self.score += score;
        }
        is_free
    }

    /// Merges another person into this one; `false` if both have the same part.
    fn take(&mut self, other: &Self, score: f32) -> bool {
        let both = || self.slots.iter().zip(&other.slots);
        if both().any(|(&own, &other)| own > 0 && other > 0) {
            return false;
        }
        for (own, other) in self.slots.iter_mut().zip(&other.slots) {
            *own = (*own).max(*other);
        }
        self.parts += other.parts;
        self.score += other.score + score;
        true
    }
}
