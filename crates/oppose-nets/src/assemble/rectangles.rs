//! Finds a person's face and hands from the body.

use super::Keypoint;
use super::body::BodyModel;

/// A square in the frame, in pixels; all 0 if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rectangle {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width and height.
    pub side: f32,
}

impl Rectangle {
    fn around((x, y): (f32, f32), side: f32) -> Self {
        Self { x: x - side / 2.0, y: y - side / 2.0, side }
    }

    /// Whether a face of this size is estimated.
    pub fn is_face(&self) -> bool {
        self.side > 40.0
    }

    /// Whether a hand of this size is estimated.
    pub fn is_hand(&self) -> bool {
        self.side > 1.0 && self.side * self.side > 10.0
    }
}

const NOSE: usize = 0;
const NECK: usize = 1;

/// The square around a person's face, computed from neck, nose, eyes and ears as far as they were found.
///
/// # Panics
/// `person` has fewer points than the model.
pub fn face(person: &[Keypoint], model: &BodyModel) -> Rectangle {
    let [right_eye, left_eye, right_ear, left_ear] = model.eyes_and_ears;
    let seen = |part: usize| person[part].score > 0.25;
    let distance = |a: usize, b: usize| distance(person, a, b);
    let (mut x, mut y, mut side, mut count) = (0.0, 0.0, 0.0, 0.0);
    let mut add = |parts: &[usize], extent: f32| {
        let mean = |of: fn(&Keypoint) -> f32| {
            parts.iter().map(|&part| of(&person[part])).sum::<f32>() / parts.len() as f32
        };
        x += mean(|keypoint| keypoint.x);
        y += mean(|keypoint| keypoint.y);
        side += extent;
        count += 1.0;
    };
    if seen(NECK) && seen(NOSE) {
        // In profile, one eye and ear are visible and the others are not.
        let is_half = seen(left_eye) == seen(left_ear) && seen(right_eye) == seen(right_ear);
        if is_half && seen(left_eye) != seen(right_eye) {
            let (eye, ear) = if seen(left_eye) { (left_eye, left_ear) } else { (right_eye, right_ear) };
            add(&[eye, ear, NOSE], 0.85 * (distance(NOSE, eye) + distance(NOSE, ear) + distance(NECK, NOSE)));
        } else {
            add(&[NECK, NOSE], 2.0 * distance(NECK, NOSE));
        }
    }
    if seen(left_eye) && seen(right_eye) {
        add(&[left_eye, right_eye], 3.0 * distance(left_eye, right_eye));
    }
    if seen(left_ear) && seen(right_ear) {
        add(&[left_ear, right_ear], 2.0 * distance(left_ear, right_ear));
    }
    if count == 0.0 {
        return Rectangle::default();
    }
    Rectangle::around((x / count, y / count), side / count)
}

/// The squares around a person's left and right hand: in the direction of the forearm beyond the wrist, if the
/// whole arm was found.
///
/// # Panics
/// `person` has fewer points than a body.
pub fn hands(person: &[Keypoint]) -> [Rectangle; 2] {
    [(7, 6, 5), (4, 3, 2)].map(|(wrist, elbow, shoulder)| {
        let is_seen = |part: usize| person[part].score > 0.03;
        if !(is_seen(wrist) && is_seen(elbow) && is_seen(shoulder)) {
            return Rectangle::default();
        }
        let beyond = |of: fn(&Keypoint) -> f32| {
            let (wrist, elbow) = (of(&person[wrist]), of(&person[elbow]));
            wrist + 0.33 * (wrist - elbow)
        };
        let side = 1.5 * distance(person, wrist, elbow).max(0.9 * distance(person, elbow, shoulder));
        Rectangle::around((beyond(|keypoint| keypoint.x), beyond(|keypoint| keypoint.y)), side)
    })
}

fn distance(person: &[Keypoint], a: usize, b: usize) -> f32 {
    let (dx, dy) = (person[a].x - person[b].x, person[a].y - person[b].y);
    (dx * dx + dy * dy).sqrt()
}
