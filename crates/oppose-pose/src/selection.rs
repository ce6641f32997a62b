//! Fewer points: leaving out what many readers of `.pose` files drop first.

use super::{Component, FramePose, Skeleton};

/// Which points of a person are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Points {
    /// All of them.
    #[default]
    All,
    /// All but Holistic's body in metres: 543 points, or 553 with a refined face. The same as pose-format's
    /// `pose.remove_components(["POSE_WORLD_LANDMARKS"])`.
    NoWorld,
    /// Shoulders, elbows, wrists, hips, the contours of the face and both hands: 178 points. The same as pose-format's
    /// `reduce_holistic`; the skeletons of other estimators are left unchanged.
    Reduced,
}

impl Points {
    /// Its name in lower case: `all`, `no-world` or `reduced`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::NoWorld => "no-world",
            Self::Reduced => "reduced",
        }
    }
}

/// Legs cannot be hidden in a skeleton whose points are unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "legs can be hidden in MediaPipe Holistic's and OpenPose's points, not in those of the components {0}"
)]
pub struct UnknownLegs(String);

/// Keeps some of a person's points and hides others. The results are byte for byte those of pose-format's functions.
///
/// ```
/// use oppose_pose::{FramePose, Points, Selection, holistic_576};
///
/// # fn main() -> Result<(), oppose_pose::UnknownLegs> {
/// let selection = Selection::new(holistic_576(), Points::Reduced, true)?;
/// assert_eq!(selection.skeleton().points(), 178);
/// let mut reduced = FramePose::default();
/// selection.apply(&FramePose::new(1, 576, 3), &mut reduced);
/// assert_eq!(reduced.points(), 178);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Selection {
    skeleton: Skeleton,
    /// For each point of the result, its index in the source.
    kept: Vec<usize>,
    /// For each point of the result, whether it is set to 0.
    hidden: Vec<bool>,
}

const BODY: &str = "POSE_LANDMARKS";
const FACE: &str = "FACE_LANDMARKS";
const WORLD: &str = "POSE_WORLD_LANDMARKS";
/// A file with any of these is one of Holistic's for pose-format.
const HOLISTIC: [&str; 5] = [BODY, FACE, "LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS", WORLD];
const OPENPOSE_BODY: &str = "pose_keypoints_2d";

/// Parts of the names of body points that a reduced person does not have.
const REDUCED_AWAY: [&str; 11] =
    ["EAR", "NOSE", "MOUTH", "EYE", "THUMB", "PINKY", "INDEX", "KNEE", "ANKLE", "HEEL", "FOOT_INDEX"];
/// Ends of the names of Holistic's body points that are legs.
const HOLISTIC_LEGS: [&str; 5] = ["KNEE", "ANKLE", "HEEL", "FOOT_INDEX", "HIP"];
/// Parts of the names of OpenPose's body points that are legs.
const OPENPOSE_LEGS: [&str; 6] = ["Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel"];

impl Selection {
    /// Chooses `points` of people with the skeleton `source`, and whether to set their legs and hips to 0, as pose-format's
    /// `pose_hide_legs` does.
    ///
    /// # Errors
    /// Legs are to be hidden, but it is unknown which points of this skeleton are legs.
    pub fn new(source: &Skeleton, points: Points, hide_legs: bool) -> Result<Self, UnknownLegs> {
        let is_holistic = source.components.iter().any(|component| HOLISTIC.contains(&&*component.name));
        if hide_legs && !is_holistic && !source.components.iter().any(|c| c.name == OPENPOSE_BODY) {
            let names: Vec<_> = source.components.iter().map(|component| component.name.as_str()).collect();
            return Err(UnknownLegs(names.join(", ")));
        }
        let mut selection = Self { skeleton: Skeleton::default(), kept: Vec::new(), hidden: Vec::new() };
        let mut start = 0;
        for component in &source.components {
            let first = start;
            start += component.points.len();
            if points != Points::All && is_holistic && component.name == WORLD {
                continue;
            }
            let is_kept = |point: &str| match (points, component.name.as_str()) {
                (Points::Reduced, BODY) => !REDUCED_AWAY.iter().any(|part| point.contains(part)),
                (Points::Reduced, FACE) => point.parse().is_ok_and(|i| FACE_CONTOURS.contains(&i)),
                _ => true,
            };
            let kept: Vec<usize> =
                (0..component.points.len()).filter(|&i| is_kept(&component.points[i])).collect();
            let part = part(component, &kept);
            selection.kept.extend(kept.iter().map(|i| first + i));
            selection.hidden.extend(part.points.iter().map(|point| hide_legs && is_leg(&part.name, point)));
            selection.skeleton.components.push(part);
        }
        Ok(selection)
    }

    /// The skeleton of the results.
    pub fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }

    /// Writes the chosen points of the people in `from` to `to`, whose memory is reused.
    pub fn apply(&self, from: &FramePose, to: &mut FramePose) {
        let (points, dimensions) = (from.points(), from.dimensions());
        to.reset(from.people(), self.kept.len(), dimensions);
        for person in 0..from.people() {
            for (new, (&old, &is_hidden)) in self.kept.iter().zip(&self.hidden).enumerate() {
                if is_hidden || old >= points {
                    continue;
                }
                let (old, new) = (person * points + old, person * self.kept.len() + new);
                to.confidences_mut()[new] = from.confidences()[old];
                to.coordinates_mut()[new * dimensions..][..dimensions]
                    .copy_from_slice(&from.coordinates()[old * dimensions..][..dimensions]);
            }
        }
    }
}

/// The component with some of its points, and the limbs between them.
fn part(component: &Component, kept: &[usize]) -> Component {
    let new = |old: u16| kept.iter().position(|&i| i == usize::from(old)).map(|i| i as u16);
    Component {
        points: kept.iter().map(|&i| component.points[i].clone()).collect(),
        limbs: component.limbs.iter().filter_map(|&(from, to)| Some((new(from)?, new(to)?))).collect(),
        ..component.clone()
    }
}

fn is_leg(component: &str, point: &str) -> bool {
    match component {
        BODY | WORLD => {
            let name = point.strip_prefix("LEFT_").or_else(|| point.strip_prefix("RIGHT_"));
            name.is_some_and(|name| HOLISTIC_LEGS.contains(&name))
        }
        OPENPOSE_BODY => OPENPOSE_LEGS.iter().any(|part| point.contains(part)),
        _ => false,
    }
}

/// The points of MediaPipe's `FACEMESH_CONTOURS`.
const FACE_CONTOURS: [u16; 128] = [
    0, 7, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80, 81, 82,
    84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 172, 173, 176, 178, 181, 185, 191, 234, 246, 249, 251, 263,
    267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317,
    318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382,
    384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{holistic_576, holistic_586, openpose_137};

    fn points(source: &Skeleton, points: Points) -> usize {
        Selection::new(source, points, false).unwrap().skeleton().points()
    }

    #[test]
    fn there_are_as_many_points_as_in_pose_format() {
        assert_eq!(points(holistic_576(), Points::All), 576);
        assert_eq!(points(holistic_576(), Points::NoWorld), 543);
        assert_eq!(points(holistic_586(), Points::NoWorld), 553);
        assert_eq!(points(holistic_576(), Points::Reduced), 178);
        assert_eq!(points(holistic_586(), Points::Reduced), 178);
        assert_eq!(points(openpose_137(), Points::Reduced), 137);
    }

    #[test]
    fn limbs_join_the_remaining_points() {
        let reduced = Selection::new(holistic_576(), Points::Reduced, false).unwrap();
        let body = &reduced.skeleton().components[0];
        let names: Vec<&str> = body.points.iter().map(String::as_str).collect();
        assert_eq!(names[..4], ["LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW", "RIGHT_ELBOW"]);
        assert!(body.limbs.contains(&(0, 2)), "shoulder to elbow");
        assert!(body.limbs.iter().all(|&(from, to)| from.max(to) < 8));
    }

    #[test]
    fn legs_are_hidden_and_the_rest_is_copied() {
        let mut frame = FramePose::new(2, 137, 2);
        frame.coordinates_mut().iter_mut().enumerate().for_each(|(i, value)| *value = i as f32 + 1.0);
        frame.confidences_mut().fill(0.5);
        let mut shown = FramePose::default();
        Selection::new(openpose_137(), Points::All, true).unwrap().apply(&frame, &mut shown);
        let hidden: Vec<usize> = (0..137).filter(|&i| shown.confidences()[i] == 0.0).collect();
        // Middle, right and left hip, knees, ankles, toes and heels.
        assert_eq!(hidden, [8, 9, 10, 11, 12, 13, 14, 19, 20, 21, 22, 23, 24]);
        assert_eq!(shown.coordinates()[2 * (137 + 7)..][..2], frame.coordinates()[2 * (137 + 7)..][..2]);
        assert_eq!(shown.coordinates()[2 * (137 + 8)..][..2], [0.0; 2]);
    }

    #[test]
    fn legs_of_unknown_skeletons_are_not_guessed() {
        let component = Component { name: "BODY".into(), ..Component::default() };
        let unknown = Skeleton { components: vec![component] };
        let error = Selection::new(&unknown, Points::All, true).unwrap_err();
        assert!(error.to_string().contains("BODY"), "{error}");
        assert!(Selection::new(&unknown, Points::Reduced, false).is_ok());
    }
}
