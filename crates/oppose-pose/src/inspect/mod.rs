//! The quality of a `.pose` file, judged without its video: what was found, with which confidence, and how steadily.
//!
//! [`inspect`] measures one file, [`compare`] compares two files of the same video, and with the feature `timeline`,
//! `Timeline` draws one over time. [`normalized`] tells whether coordinates are pixels at all. Everything here computes in
//! memory, on the calling thread.

mod comparison;
#[cfg(feature = "timeline")]
mod lettering;
mod motion;
mod presence;
mod shares;
#[cfg(feature = "timeline")]
mod timeline;
mod units;

use serde::Serialize;

pub use comparison::{
    CompareError, Comparison, ComponentComparison, ComponentCount, compare, distance_over_time,
};
pub use presence::{Span, presence_over_time};
#[cfg(feature = "timeline")]
pub use timeline::{Timeline, TimelineError};
pub use units::{Normalized, normalized};

use crate::people::distance::Detection;
use crate::{FrameView, Pose};
use motion::Motion;
use shares::{median, quantile, share};

/// What [`inspect`] measures of a `.pose` file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// Version of the format.
    pub version: f32,
    /// Width of the frames in pixels.
    pub width: u16,
    /// Height of the frames in pixels.
    pub height: u16,
    /// Frames per second, as stored in the file.
    pub fps: f32,
    /// The exact fraction behind `fps`, as text, or `fps` itself if no video can have such a rate.
    pub frame_rate: String,
    /// Number of frames.
    pub frames: usize,
    /// Length in seconds; `None` if no video can have such a frame rate.
    pub seconds: Option<f64>,
    /// Number of rows, which is the largest number of people in any frame.
    pub people: usize,
    /// Share of the frames in which somebody was found, 0 to 1.
    pub frames_with_people: f64,
    /// The components of the skeleton in the order of the file.
    pub components: Vec<ComponentInspection>,
    /// Frames into which at least one component jumped: see [`ComponentInspection::jumps`].
    pub jumps: usize,
    /// Frames in which somebody is in another row than in the frame before.
    pub swaps: usize,
    /// All faults of the file as one number to sort by; 0 is best. The sum of the shares of frames without body, without
    /// face, without the hand that was found less often, with a jump, and with a swap.
    pub faults: f64,
}

/// What [`inspect`] measures of one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComponentInspection {
    /// Its name in the file.
    pub name: String,
    /// Number of points.
    pub points: usize,
    /// Share of the frames in which at least one of its points was found, 0 to 1.
    pub present: f64,
    /// 10th, 50th and 90th percentile of the confidences of the points that were found; `None` if none was.
    pub confidence: Option<[f32; 3]>,
    /// The jitter: the median over points and frames of their acceleration |x₋ − 2x + x₊|, in pixels per frame².
    /// Acceleration has measured jitter since Kanazawa et al., "Learning 3D Human Dynamics from Video" (2019). `None` if no
    /// point was found in three consecutive frames, and for components that are not in pixels.
    pub jitter_pixels: Option<f32>,
    /// The same in shoulder widths; `None` without shoulders.
    pub jitter_shoulders: Option<f32>,
    /// Frames into which it jumped: its points moved, in the median, faster than 12.5 shoulder widths per second (about
    /// 4.5 metres), and by at least a quarter of a shoulder width.
    pub jumps: usize,
}

/// Measures a file.
///
/// ```
/// use oppose_pose::inspect::inspect;
/// use oppose_pose::{FramePose, Pose, openpose_137};
///
/// # fn main() -> Result<(), oppose_pose::PoseError> {
/// let nobody = FramePose::new(0, 137, 2);
/// let pose = Pose::from_frames(openpose_137(), 640, 480, 29.97003, &[nobody])?;
/// let inspection = inspect(&pose);
/// assert_eq!((inspection.frame_rate.as_str(), inspection.frames_with_people), ("30000/1001", 0.0));
/// # Ok(())
/// # }
/// ```
pub fn inspect(pose: &Pose) -> Inspection {
    let skeleton = &pose.header.skeleton;
    let mut found: Vec<Found> = skeleton.components.iter().map(|_| Found::default()).collect();
    let mut motion = Motion::new(skeleton, pose.fps);
    let mut frames_with_people = 0;
    for frame in pose.iter() {
        for (index, component) in found.iter_mut().enumerate() {
            let before = component.confidences.len();
            component.confidences.extend(confidences_found(frame, index));
            component.frames += usize::from(component.confidences.len() > before);
        }
        frames_with_people += usize::from(frame.people().any(|person| person.is_found()));
        motion.add(Detection::all(frame));
    }
    let frames = pose.frames();
    let moved = motion.finish();
    let components = skeleton.components.iter().zip(found).zip(moved.components);
    let components = components.map(|((component, mut found), moved)| ComponentInspection {
        name: component.name.clone(),
        points: component.points.len(),
        present: share(found.frames, frames),
        confidence: spread(&mut found.confidences),
        jitter_pixels: moved.jitter,
        jitter_shoulders: moved.jitter.zip(moved.shoulders).map(|(jitter, shoulders)| jitter / shoulders),
        jumps: moved.jumps,
    });
    let components: Vec<_> = components.collect();
    let rate = crate::FrameRate::from_f32(pose.fps);
    let faults = faults(&components, share(moved.swaps, frames), share(moved.frames_with_jump, frames));
    Inspection {
        version: pose.header.version,
        width: pose.header.width,
        height: pose.header.height,
        fps: pose.fps,
        frame_rate: rate.map_or_else(|| pose.fps.to_string(), |rate| rate.to_string()),
        frames,
        seconds: rate.map(|rate| frames as f64 / rate.as_f64()),
        people: pose.people(),
        frames_with_people: share(frames_with_people, frames),
        components,
        jumps: moved.frames_with_jump,
        swaps: moved.swaps,
        faults,
    }
}

/// What was found of a component.
#[derive(Default)]
struct Found {
    confidences: Vec<f32>,
    frames: usize,
}

/// The confidences of the points of all people in the component with this index, without points that were not found.
fn confidences_found(frame: FrameView<'_>, component: usize) -> impl Iterator<Item = f32> {
    let components = frame.people().filter_map(move |person| person.components().nth(component));
    let confidences = components.flat_map(|component| component.confidences());
    confidences.copied().filter(|&confidence| confidence > 0.0)
}

/// The 10th, 50th and 90th percentile.
fn spread(confidences: &mut [f32]) -> Option<[f32; 3]> {
    Some([quantile(confidences, 0.1)?, median(confidences)?, quantile(confidences, 0.9)?])
}

/// See [`Inspection::faults`]. Faces or hands that the skeleton does not have are not missing.
fn faults(components: &[ComponentInspection], swaps: f64, jumps: f64) -> f64 {
    let missing = |part: Part| {
        let those = components.iter().filter(|component| Part::of(&component.name) == Some(part));
        those.map(|component| 1.0 - component.present).fold(0.0, f64::max)
    };
    missing(Part::Body) + missing(Part::Face) + missing(Part::Hand) + swaps + jumps
}

/// The region that a component describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The whole body.
    Body,
    /// The face.
    Face,
    /// One of the hands.
    Hand,
}

impl Part {
    /// Its name in lower case: `body`, `face` or `hand`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Face => "face",
            Self::Hand => "hand",
        }
    }

    /// The part of the component with this name; `None` for everything else, such as Holistic's body in metres.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let has = |word| name.contains(word);
        match () {
            () if has("world") => None,
            () if has("face") => Some(Self::Face),
            () if has("hand") => Some(Self::Hand),
            () if has("pose") || has("body") => Some(Self::Body),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Skeleton, holistic_576, openpose_137};

    #[test]
    fn parts_are_known_by_name() {
        let parts = |skeleton: &Skeleton| -> Vec<Option<Part>> {
            skeleton.components.iter().map(|component| Part::of(&component.name)).collect()
        };
        let person = [Some(Part::Body), Some(Part::Face), Some(Part::Hand), Some(Part::Hand)];
        assert_eq!(parts(openpose_137()), person);
        assert_eq!(parts(holistic_576())[..4], person);
        assert_eq!(parts(holistic_576())[4], None);
    }
}
