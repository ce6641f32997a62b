//! The CPU build's assembly: limb by limb down the tree of the body.

use super::heat_maps::HeatMaps;
use super::limb::{Candidate, Field};
use super::people::{Assembly, Person};

impl Assembly {
    pub(super) fn join_limb_by_limb<M: HeatMaps>(&mut self, field: &Field<'_, M>) {
        for (limb, &(from, to)) in field.model.limbs.iter().enumerate() {
            let counts = (field.peaks[from].len(), field.peaks[to].len());
            match counts {
                (0, _) => self.add_single(field, to),
                (_, 0) => self.add_single(field, from),
                (from_count, to_count) => {
                    self.choose(field, limb, from_count.min(to_count));
                    self.join(field, limb);
                }
            }
        }
    }

    /// Every peak of a part whose limb has no peaks at the other end becomes a person, unless it already belongs to one.
    fn add_single<M>(&mut self, field: &Field<'_, M>, part: usize) {
        for (slot, peak) in (1u8..).zip(&field.peaks[part]) {
            if self.people.iter().all(|person| person.slots[part] != slot) {
                let mut person = Person { parts: 1, score: peak.score, ..Person::default() };
                person.slots[part] = slot;
                self.people.push(person);
            }
        }
    }

    /// Leaves in `candidates` the best for each peak, in descending order of score; at most `max_candidates`.
    fn choose<M: HeatMaps>(&mut self, field: &Field<'_, M>, limb: usize, max_candidates: usize) {
        self.candidates.clear();
        self.candidates.extend(field.candidates(limb));
        let key = |candidate: &Candidate| (candidate.from, candidate.to);
        self.candidates
            .sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| key(b).cmp(&key(a))));
        let (mut used_from, mut used_to) = ([false; 256], [false; 256]);
        self.candidates.retain(|candidate| {
            let from = &mut used_from[usize::from(candidate.from)];
            let to = &mut used_to[usize::from(candidate.to)];
            let is_free = !*from && !*to;
            if is_free {
                (*from, *to) = (true, true);
            }
            is_free
        });
        self.candidates.truncate(max_candidates);
    }

    fn join<M>(&mut self, field: &Field<'_, M>, limb: usize) {
        let (from, to) = field.model.limbs[limb];
        for &candidate in &self.candidates {
            let Candidate { score, from: a, to: b } = candidate;
            let score_a = field.peaks[from][usize::from(a) - 1].score;
            let score_b = field.peaks[to][usize::from(b) - 1].score;
            if limb == 0 {
                let score = (f64::from(score_a + score_b) + f64::from(score)) as f32;
                self.people.push(Person::of_limb((from, to), candidate, score));
            } else if field.model.ear_limbs.contains(&limb) {
                for person in &mut self.people {
                    if person.slots[from] == a && person.slots[to] == 0 {
                        person.slots[to] = b;
                    } else if person.slots[to] == b && person.slots[from] == 0 {
                        person.slots[from] = a;
                    }
                }
            } else if let Some(person) = self.people.iter_mut().find(|person| person.slots[from] == a) {
                // A part that the person had is overwritten, and counted again, as in OpenPose.
                person.slots[to] = b;
                person.parts += 1;
                person.score += score_b + score;
            } else {
                self.people.push(Person::of_limb((from, to), candidate, score_a + score_b + score));
            }
        }
    }
}
