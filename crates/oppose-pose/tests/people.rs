//! Keeping each person in one row, and keeping one person only.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use oppose_pose::FrameRate;
use oppose_pose::people::{Arrangement, Options, Person};
use oppose_pose::{FramePose, openpose_137};

const POINTS: usize = 137;

/// People of 25 points in a square, given as the middle (x, y) and the size of each.
fn people(positions: &[(f32, f32, f32)]) -> FramePose {
    let mut pose = FramePose::new(positions.len(), POINTS, 2);
    for (person, &(x, y, size)) in positions.iter().enumerate() {
        for point in 0..25 {
            let (column, row) = (point as f32 % 5.0 / 4.0 - 0.5, (point / 5) as f32 / 4.0 - 0.5);
            let index = person * POINTS + point;
            pose.coordinates_mut()[2 * index..][..2].copy_from_slice(&[x + column * size, y + row * size]);
            pose.confidences_mut()[index] = 0.9;
        }
    }
    pose
}

/// The middle of the person in a row: their thirteenth point.
fn middle(pose: &FramePose, row: usize) -> Option<(f32, f32)> {
    let index = row * POINTS + 12;
    let seen = row < pose.people() && pose.confidences()[index] > 0.0;
    seen.then(|| (pose.coordinates()[2 * index], pose.coordinates()[2 * index + 1]))
}

fn arrangement(options: Options) -> Arrangement {
    let frame_rate = FrameRate::new(25, 1).unwrap();
    Arrangement::new(options, openpose_137(), (640, 480), frame_rate)
}

fn apply(arrangement: &mut Arrangement, positions: &[(f32, f32, f32)]) -> FramePose {
    let mut pose = people(positions);
    arrangement.apply(&mut pose);
    pose
}

#[test]
fn the_raw_order_is_the_default() {
    let mut raw = arrangement(Options::default());
    let pose = people(&[(300.0, 200.0, 100.0), (100.0, 200.0, 50.0)]);
    let mut arranged = pose.clone();
    raw.apply(&mut arranged);
    assert_eq!(arranged, pose);
    let mut limited = arrangement(Options::default().with_max_people(1));
    limited.apply(&mut arranged);
    assert_eq!((arranged.people(), middle(&arranged, 0)), (1, Some((300.0, 200.0))));
}

#[test]
fn people_who_cross_stay_in_their_rows_in_any_order() {
    let mut track = arrangement(Options::default().with_track(true));
    for frame in 0..100 {
        let moved = frame as f32 * 5.0;
        let (a, b) = ((50.0 + moved, 200.0, 100.0), (550.0 - moved, 240.0, 100.0));
        let positions = if frame % 3 == 1 { [b, a] } else { [a, b] };
        let pose = apply(&mut track, &positions);
        assert_eq!((middle(&pose, 0), middle(&pose, 1)), (Some((a.0, a.1)), Some((b.0, b.1))), "{frame}");
    }
}

#[test]
fn a_row_is_kept_two_seconds_for_its_person() {
    let (left, right, new) = ((100.0, 200.0, 100.0), (500.0, 200.0, 100.0), (300.0, 400.0, 60.0));
    let mut track = arrangement(Options::default().with_track(true));
    apply(&mut track, &[left, right]);
    // While the person on the left is hidden, their row stays empty, and they get it back.
    for _ in 0..40 {
        let pose = apply(&mut track, &[right]);
        assert_eq!((middle(&pose, 0), middle(&pose, 1)), (None, Some((500.0, 200.0))));
    }
    let pose = apply(&mut track, &[right, left]);
    assert_eq!(middle(&pose, 0), Some((100.0, 200.0)));
    // A new person gets a row of their own while the other is hidden, and the empty row after two seconds.
    let pose = apply(&mut track, &[new, right]);
    assert_eq!((middle(&pose, 0), middle(&pose, 2)), (None, Some((300.0, 400.0))));
    for _ in 0..60 {
        apply(&mut track, &[right]);
    }
    let pose = apply(&mut track, &[right, new]);
    assert_eq!((middle(&pose, 0), middle(&pose, 1)), (Some((300.0, 400.0)), Some((500.0, 200.0))));
}

#[test]
fn there_are_no_more_rows_than_max_people() {
    let mut track = arrangement(Options::default().with_track(true).with_max_people(2));
    let positions = [(100.0, 100.0, 80.0), (300.0, 100.0, 80.0), (500.0, 100.0, 80.0)];
    let reversed = [positions[2], positions[1], positions[0]];
    apply(&mut track, &positions);
    let pose = apply(&mut track, &reversed);
    assert_eq!(pose.people(), 2);
    assert_eq!((middle(&pose, 0), middle(&pose, 1)), (Some((100.0, 100.0)), Some((300.0, 100.0))));
}

#[test]
fn only_the_chosen_person_is_kept() {
    let (small, large) = ((320.0, 240.0, 50.0), (100.0, 200.0, 150.0));
    for (person, kept) in [(Person::Largest, large), (Person::Central, small)] {
        let mut one = arrangement(Options::default().with_person(person));
        let pose = apply(&mut one, &[small, large]);
        assert_eq!((pose.people(), middle(&pose, 0)), (1, Some((kept.0, kept.1))));
        assert_eq!(apply(&mut one, &[]).people(), 0);
    }
    // That person is followed even when another is larger for a moment.
    let mut one = arrangement(Options::default().with_track(true).with_person(Person::Largest));
    apply(&mut one, &[small, large]);
    let pose = apply(&mut one, &[(320.0, 240.0, 200.0), large]);
    assert_eq!((pose.people(), middle(&pose, 0)), (1, Some((100.0, 200.0))));
}

#[test]
fn nan_and_infinite_coordinates_are_harmless() {
    let mut track = arrangement(Options::default().with_track(true).with_person(Person::Central));
    let mut pose = people(&[(300.0, 200.0, 100.0)]);
    pose.coordinates_mut()[..6].copy_from_slice(&[f32::NAN, 1.0, f32::INFINITY, -f32::INFINITY, 1e38, 1e38]);
    track.apply(&mut pose);
    for _ in 0..3 {
        assert!(apply(&mut track, &[(300.0, 200.0, 100.0)]).people() <= 1);
    }
}
