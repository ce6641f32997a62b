//! The part of the frames that is shown.

use crate::pose::Pose;

/// Room around a person, as a share of the longer side of the rectangle around them.
const MARGIN: f32 = 0.1;

/// Points of lower confidence do not widen the window: they are guesses, often far away.
const MIN_CONFIDENCE: f32 = 0.3;

/// A rectangle of whole pixels inside the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Window {
    /// A whole frame.
    pub(super) fn whole(width: u32, height: u32) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// Where the person seen most (the row with the largest sum of confidences) is during the clip: one window for
    /// all frames, so that movements stay visible. `None` if nobody is seen.
    pub(super) fn around_person(pose: &Pose) -> Option<Self> {
        let (points, people) = (pose.header.skeleton.points(), pose.people());
        let seen = |person: usize| -> f64 {
            let rows = pose.confidences().chunks_exact(points).skip(person).step_by(people);
            rows.flatten().map(|&confidence| f64::from(confidence.max(0.0))).sum()
        };
        let person = (0..people).max_by(|&a, &b| seen(a).total_cmp(&seen(b)))?;
        let sides = (f32::from(pose.header.width), f32::from(pose.header.height));
        let [left, top, right, bottom] =
            bounds(pose, person, MIN_CONFIDENCE).or_else(|| bounds(pose, person, 0.0))?;
        let margin = MARGIN * (right - left).max(bottom - top);
        let span = |low: f32, high: f32, side: f32| {
            let low = (low - margin).clamp(0.0, (side - 16.0).max(0.0)).floor();
            // Even, so that an encoder has nothing to fill up; never less than a frame may have.
            let length = (high + margin - low).clamp(16.0, side.max(16.0)).min(side - low).ceil() as u32;
            (low as u32, if length > 16 { length & !1 } else { length })
        };
        let (x, width) = span(left, right, sides.0);
        let (y, height) = span(top, bottom, sides.1);
        (width > 0 && height > 0).then_some(Self { x, y, width, height })
    }

    /// The smallest window that contains both.
    pub(super) fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.width).max(other.x + other.width);
        let bottom = (self.y + self.height).max(other.y + other.height);
        Self { x, y, width: right - x, height: bottom - y }
    }
}

/// Left, top, right and bottom of a person's points over all frames.
fn bounds(pose: &Pose, person: usize, min_confidence: f32) -> Option<[f32; 4]> {
    let skeleton = &pose.header.skeleton;
    let (points, dimensions, people) = (skeleton.points(), skeleton.dimensions(), pose.people());
    let mut found: Option<[f32; 4]> = None;
    for frame in 0..pose.frames() {
        let mut index = (frame * people + person) * points;
        for component in &skeleton.components {
            for index in index..index + component.points.len() {
                let [x, y] = *pose.coordinates().get(index * dimensions..)?.first_chunk()?;
                let is_seen = *pose.confidences().get(index)? > min_confidence && component.is_in_pixels();
                if is_seen && x.is_finite() && y.is_finite() {
                    let [left, top, right, bottom] = found.unwrap_or([x, y, x, y]);
                    found = Some([left.min(x), top.min(y), right.max(x), bottom.max(y)]);
                }
            }
            index += component.points.len();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{FramePose, openpose_137};

    #[test]
    fn the_window_holds_the_person_and_stays_inside() {
        let mut frame = FramePose::new(2, 137, 2);
        frame.coordinates_mut()[274..278].copy_from_slice(&[100.0, 50.0, 300.0, 450.0]);
        frame.confidences_mut()[137..139].fill(0.9);
        // A guess far away, and one sure point of somebody seen less.
        frame.coordinates_mut()[278..280].copy_from_slice(&[630.0, 470.0]);
        frame.confidences_mut()[139] = 0.1;
        frame.confidences_mut()[0] = 0.5;
        let pose = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[frame]).unwrap();
        assert_eq!(Window::around_person(&pose), Some(Window { x: 60, y: 10, width: 280, height: 470 }));
        let nobody = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[FramePose::new(0, 137, 2)]).unwrap();
        assert_eq!(Window::around_person(&nobody), None);
    }
}
