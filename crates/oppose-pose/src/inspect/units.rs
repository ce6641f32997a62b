//! Whether coordinates can be pixels of the file's frames.

use std::fmt;

use crate::Pose;
use crate::people::distance::Detection;

/// Shortest side of a frame in pixels: nobody can be found in a smaller one.
const MIN_SIDE: u32 = 16;

/// A distance from 0 that normalized coordinates do not reach: in them, the shoulders are 1 apart or the frame is 1 wide.
const NORMALIZED_REACH: f32 = 16.0;

/// In frames with sides of at most this many pixels, people may be that small.
const SMALL_FRAME: u32 = 64;

/// Coordinates count as normalized if at least this share of the points is within [`NORMALIZED_REACH`].
const NORMALIZED_SHARE: f64 = 0.95;

/// Coordinates count as moved if at least this share of the points is left of the frame or above it. A person who is partly
/// outside has fewer such points; points that are guessed below the frame, such as MediaPipe's feet, are not counted.
const OUTSIDE_SHARE: f64 = 0.4;

/// Why a file's coordinates are not pixels of its frames.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Normalized {
    /// Nearly all are close to 0, as if the shoulders were 1 apart or the frame 1 wide.
    Scaled {
        /// 95 % of the points are at most this far from 0.
        reach: f32,
    },
    /// Many are negative, as if 0 were between the shoulders.
    Centred {
        /// Share of the points left of the frame or above it, 0 to 1.
        outside: f64,
    },
}

impl fmt::Display for Normalized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scaled { reach } => {
                write!(f, "the coordinates are normalized, not pixels: nearly all are within {reach:.1} of 0")
            }
            Self::Centred { outside } => write!(
                f,
                "the coordinates are normalized, not pixels: {:.0} % of the points are left of the frame or above it",
                100.0 * outside
            ),
        }
    }
}

/// Whether the coordinates of a file are something other than pixels of its frames, as after pose-format's `normalize`;
/// `None` if they are pixels.
///
/// ```
/// use oppose_pose::inspect::{Normalized, normalized};
/// use oppose_pose::{FramePose, Pose, openpose_137};
///
/// # fn main() -> Result<(), oppose_pose::PoseError> {
/// let mut person = FramePose::new(1, 137, 2);
/// person.coordinates_mut().fill(0.5);
/// person.confidences_mut().fill(1.0);
/// let pose = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[person])?;
/// assert_eq!(normalized(&pose), Some(Normalized::Scaled { reach: 0.5 }));
/// # Ok(())
/// # }
/// ```
pub fn normalized(pose: &Pose) -> Option<Normalized> {
    let (mut reaches, mut outside) = (Vec::new(), 0_usize);
    for person in pose.iter().flat_map(Detection::all) {
        for [x, y] in person.points.into_iter().flatten() {
            reaches.push(x.abs().max(y.abs()));
            outside += usize::from(x < 0.0 || y < 0.0);
        }
    }
    let outside = super::shares::share(outside, reaches.len());
    let reach = super::shares::quantile(&mut reaches, NORMALIZED_SHARE)?;
    let side = u32::from(pose.header.width.max(pose.header.height));
    match () {
        () if reach <= NORMALIZED_REACH && !(MIN_SIDE..=SMALL_FRAME).contains(&side) => {
            Some(Normalized::Scaled { reach })
        }
        () if outside >= OUTSIDE_SHARE => Some(Normalized::Centred { outside }),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FramePose, openpose_137};

    /// A person whose points go from `first` to `last`, on the diagonal.
    fn person(side: u32, first: f32, last: f32) -> Pose {
        let mut frame = FramePose::new(1, 137, 2);
        for (point, at) in frame.coordinates_mut().chunks_exact_mut(2).enumerate() {
            at.fill(first + (last - first) * point as f32 / 136.0);
        }
        frame.confidences_mut().fill(0.5);
        Pose::from_frames(openpose_137(), side, side, 25.0, &[frame]).unwrap()
    }

    #[test]
    fn normalized_files_are_told_from_others() {
        assert_eq!(normalized(&person(640, 100.0, 300.0)), None);
        // Small frames contain small people; a person may be half outside on the left, or mostly below the frame.
        assert_eq!(normalized(&person(32, 2.0, 15.0)), None);
        assert_eq!(normalized(&person(640, -50.0, 150.0)), None);
        assert_eq!(normalized(&person(640, 300.0, 1200.0)), None);
        assert!(
            matches!(normalized(&person(640, 0.0, 1.0)), Some(Normalized::Scaled { reach }) if reach <= 1.0)
        );
        assert!(matches!(normalized(&person(640, -3.0, 5.0)), Some(Normalized::Scaled { .. })));
        // pose-format's focus() makes the frame as small as what is in it.
        assert!(matches!(normalized(&person(6, 0.0, 5.5)), Some(Normalized::Scaled { .. })));
        // normalize(scale_factor=100).
        assert!(matches!(normalized(&person(640, -300.0, 300.0)), Some(Normalized::Centred { .. })));
        let nobody = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[FramePose::new(1, 137, 2)]).unwrap();
        assert_eq!(normalized(&nobody), None);
    }
}
