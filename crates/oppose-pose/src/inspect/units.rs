//! Whether coordinates can be pixels of the file's frames.

use std::fmt;

use crate::people::distance::Sighting;
use crate::{FramePose, Pose};

/// Shortest side of a frame in pixels: nobody can be found in less.
const MIN_SIDE: u32 = 16;

/// Farther from 0 than normalized coordinates are, in which the shoulders are 1 apart or the frame is.
const NORMALIZED_REACH: f32 = 16.0;

/// Frames of at most so many pixels a side may have people that small in them.
const SMALL_FRAME: u32 = 64;

/// Share of the points within [`NORMALIZED_REACH`] from which on they count as normalized.
const MOST: f64 = 0.95;

/// Share of the points left of the frame or above it from which on they count as moved: somebody who is partly outside
/// has fewer, and points that are guessed below the frame, as MediaPipe's feet, do not count.
const MANY: f64 = 0.4;

/// Why a file's coordinates are not pixels of its frames.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Normalized {
    /// Nearly all are close to 0, as where the shoulders are 1 apart, or the frame is 1 wide.
    Scaled {
        /// The coordinate farthest from 0 of 95 in 100 points is at most this far.
        reach: f32,
    },
    /// Many are negative, as where 0 is between the shoulders.
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

/// Whether the coordinates of a file are something else than pixels of its frames, as after pose-format's `normalize`.
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
    let skeleton = &pose.header.skeleton;
    let (mut reaches, mut outside) = (Vec::new(), 0_usize);
    let mut frame = FramePose::default();
    for index in 0..pose.frames() {
        pose.copy_frame(index, &mut frame);
        for [x, y] in Sighting::all(&frame, skeleton).iter().flat_map(|person| person.points.iter().flatten())
        {
            reaches.push(x.abs().max(y.abs()));
            outside += usize::from(*x < 0.0 || *y < 0.0);
        }
    }
    let outside = super::shares::share(outside, reaches.len());
    let reach = super::shares::quantile(&mut reaches, MOST)?;
    let side = u32::from(pose.header.width.max(pose.header.height));
    match () {
        () if reach <= NORMALIZED_REACH && !(MIN_SIDE..=SMALL_FRAME).contains(&side) => {
            Some(Normalized::Scaled { reach })
        }
        () if outside >= MANY => Some(Normalized::Centred { outside }),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpose_137;

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
        // Small frames hold small people; somebody may stand half outside on the left, or mostly below.
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
