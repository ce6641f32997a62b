//! From landmarks to the points of a `.pose` frame, value by value as pose-format 0.15.0 writes them.

use super::body::{self, Body};
use super::face::{self, Face};
use super::geometry::{Landmark, Size};
use super::hand::{self, Hand};
use crate::pose::FramePose;

/// Points of a person: body, face, left hand, right hand, body in metres.
pub const POINTS: usize = points(face::LANDMARKS);
/// Points of a person with a refined face.
pub const REFINED_POINTS: usize = points(face::REFINED_LANDMARKS);

const fn points(face: usize) -> usize {
    2 * body::LANDMARKS + face + 2 * hand::LANDMARKS
}

/// What was found of one person in a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found<'a> {
    /// The body.
    pub body: Option<&'a Body>,
    /// The face.
    pub face: Option<&'a Face>,
    /// The person's left hand.
    pub left: Option<&'a Hand>,
    /// The person's right hand.
    pub right: Option<&'a Hand>,
}

/// Writes some people, found or not: what is absent is 0 with confidence 0. `is_refined` says whether a face has
/// [`face::REFINED_LANDMARKS`].
///
/// x and y are multiplied by the frame's width and height, and so, as pose-format has it, are those of the world
/// landmarks, which were metres.
pub fn write(people: &[Found<'_>], size: Size, is_refined: bool, pose: &mut FramePose) {
    pose.reset(people.len(), if is_refined { REFINED_POINTS } else { POINTS }, 3);
    let face_points = if is_refined { face::REFINED_LANDMARKS } else { face::LANDMARKS };
    let mut writer = Writer { size, pose, next: 0 };
    for found in people {
        let visible = found.body.map(|body| &body.visibility);
        let confidence = |i: usize| visible.map_or(0.0, |visibility| visibility[i]);
        writer.part(body::LANDMARKS, found.body.map(|body| &body.landmarks[..]), confidence);
        writer.part(face_points, found.face, |_| 1.0);
        writer.part(hand::LANDMARKS, found.left.map(|hand| &hand[..]), |_| 1.0);
        writer.part(hand::LANDMARKS, found.right.map(|hand| &hand[..]), |_| 1.0);
        writer.part(body::LANDMARKS, found.body.map(|body| &body.world[..]), confidence);
    }
}

struct Writer<'a> {
    size: Size,
    pose: &'a mut FramePose,
    /// Index of the point to be written next.
    next: usize,
}

impl Writer<'_> {
    fn part(&mut self, points: usize, part: Option<&[Landmark]>, confidence: impl Fn(usize) -> f32) {
        let start = self.next;
        self.next += points;
        let Some(landmarks) = part.filter(|part| part.len() == points) else { return };
        let (width, height) = (self.size.width as f32, self.size.height as f32);
        let coordinates = self.pose.coordinates_mut()[3 * start..].chunks_exact_mut(3);
        for (point, [x, y, z]) in coordinates.zip(landmarks) {
            point.copy_from_slice(&[x * width, y * height, *z]);
        }
        for (i, value) in self.pose.confidences_mut()[start..self.next].iter_mut().enumerate() {
            *value = confidence(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 200, height: 100 };

    #[test]
    fn a_person_not_found_is_one_person_of_zeros() {
        let mut pose = FramePose::default();
        write(&[Found::default()], SIZE, false, &mut pose);
        assert_eq!((pose.people(), pose.points(), pose.dimensions()), (1, 576, 3));
        assert!(pose.coordinates().iter().chain(pose.confidences()).all(|&value| value == 0.0));
    }

    #[test]
    fn parts_stand_in_order_and_world_landmarks_are_scaled_too() {
        let found = Found {
            body: Some(&Body {
                landmarks: [[0.5, 0.5, 0.25]; 33],
                visibility: std::array::from_fn(|i| i as f32 / 100.0),
                world: [[0.01, -0.02, 0.5]; 33],
                auxiliary: [[0.0; 3]; 2],
            }),
            face: None,
            left: None,
            right: Some(&[[0.25, 0.75, -0.5]; 21]),
        };
        let mut pose = FramePose::default();
        write(&[Found::default(), found], SIZE, false, &mut pose);
        assert_eq!(pose.people(), 2);
        let point = |i: usize| {
            let i = POINTS + i;
            (pose.coordinates()[3 * i..3 * i + 3].to_vec(), pose.confidences()[i])
        };
        assert_eq!(point(32), (vec![100.0, 50.0, 0.25], 0.32));
        assert_eq!(point(33), (vec![0.0; 3], 0.0));
        assert_eq!(point(521), (vec![0.0; 3], 0.0));
        assert_eq!(point(522), (vec![50.0, 75.0, -0.5], 1.0));
        assert_eq!(point(543), (vec![2.0, -2.0, 0.5], 0.0));
        assert_eq!(point(575), (vec![2.0, -2.0, 0.5], 0.32));
    }
}
