//! In how many frames each part of the skeleton was found.

use std::ops::Range;

use crate::pose::{FramePose, Skeleton};

/// Counts the frames in which at least one point of a component was found, component by component.
#[derive(Debug)]
pub struct Presence {
    components: Vec<(Range<usize>, u64)>,
    names: Vec<String>,
}

impl Presence {
    /// No frames yet.
    pub fn new(skeleton: &Skeleton) -> Self {
        let ranges = skeleton.components.iter().scan(0, |first, component| {
            let range = *first..*first + component.points.len();
            *first = range.end;
            Some((range, 0))
        });
        let names = skeleton.components.iter().map(|component| component.name.clone()).collect();
        Self { components: ranges.collect(), names }
    }

    /// Adds a frame. Returns whether anything was found in it.
    pub fn add(&mut self, pose: &FramePose) -> bool {
        let mut is_anybody_there = false;
        for (range, frames) in &mut self.components {
            let is_there = pose
                .confidences()
                .chunks_exact(pose.points().max(1))
                .filter_map(|person| person.get(range.clone()))
                .any(|points| points.iter().any(|&confidence| confidence > 0.0));
            *frames += u64::from(is_there);
            is_anybody_there |= is_there;
        }
        is_anybody_there
    }

    /// The components' names and the number of frames in which each was found.
    pub fn finish(self) -> Vec<(String, u64)> {
        self.names.into_iter().zip(self.components.into_iter().map(|(_, frames)| frames)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::openpose_137;

    #[test]
    fn parts_are_counted_whoever_has_them() {
        let mut presence = Presence::new(openpose_137());
        let mut pose = FramePose::new(2, 137, 2);
        assert!(!presence.add(&pose));
        assert!(!presence.add(&FramePose::default()));
        // The first person's nose, the second's last point of the right hand.
        pose.confidences_mut()[0] = 0.5;
        pose.confidences_mut()[2 * 137 - 1] = 0.5;
        assert!(presence.add(&pose));
        pose.confidences_mut()[0] = 0.0;
        assert!(presence.add(&pose));
        let frames: Vec<u64> = presence.finish().into_iter().map(|(_, frames)| frames).collect();
        assert_eq!(frames, [1, 0, 0, 2]);
    }
}
