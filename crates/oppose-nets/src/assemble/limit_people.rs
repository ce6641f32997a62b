//! `number_people_max`: keeps only the largest people with the highest scores.

use super::people::People;

/// Keeps at most `max_people` people: those with the largest product of score and square root of the area of
/// their bounding box, in the order in which they were found. 0 keeps all.
///
/// As in OpenPose, only the keypoints are dropped; the scores stay as they are.
pub fn limit_people(people: &mut People, parts: usize, max_people: usize, ranks: &mut Vec<f32>) {
    let count = people.scores.len();
    if max_people == 0 || count <= max_people || parts == 0 {
        return;
    }
    let rank = |(keypoints, score): (&[super::Keypoint], &f32)| {
        let visible = || keypoints.iter().filter(|keypoint| keypoint.score > 0.05);
        let extent = |of: fn(&super::Keypoint) -> f32| {
            let (low, high) =
                visible().map(of).fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)));
            (high - low).max(0.0)
        };
        score * (extent(|keypoint| keypoint.x) * extent(|keypoint| keypoint.y)).sqrt()
    };
    ranks.clear();
    ranks.extend(people.keypoints.chunks_exact(parts).zip(&people.scores).map(rank));
    // A person stays if fewer than `max_people` others rank higher; of equals, the first in the list ranks highest.
    let beats = |a: usize, b: usize| ranks[a] > ranks[b] || (ranks[a] == ranks[b] && a < b);
    let mut kept = 0;
    for person in 0..count {
        if (0..count).filter(|&other| beats(other, person)).count() < max_people {
            people.keypoints.copy_within(person * parts..(person + 1) * parts, kept * parts);
            kept += 1;
        }
    }
    people.keypoints.truncate(kept * parts);
}

#[cfg(test)]
mod tests {
    use super::super::Keypoint;
    use super::*;

    #[test]
    fn the_largest_people_are_kept_in_order() {
        let person = |x: f32, side: f32| {
            [Keypoint { x, y: 0.0, score: 1.0 }, Keypoint { x: x + side, y: side, score: 1.0 }]
        };
        let found = |max_people| {
            let mut people = People {
                keypoints: [person(0.0, 5.0), person(1.0, 2.0), person(2.0, 5.0), person(3.0, 9.0)].concat(),
                scores: vec![0.5; 4],
            };
            limit_people(&mut people, 2, max_people, &mut Vec::new());
            people.keypoints.iter().step_by(2).map(|keypoint| keypoint.x).collect::<Vec<_>>()
        };
        assert_eq!(found(0), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(found(4), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(found(3), [0.0, 2.0, 3.0]);
        assert_eq!(found(2), [0.0, 3.0]);
        assert_eq!(found(1), [3.0]);
    }
}
