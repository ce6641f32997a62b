//! How good a `.pose` file is, without its video: what was found, how sure the estimator was, how steady it is.
//!
//! [`inspect`] measures one file, [`compare`] two of the same video, [`Timeline`] draws one over time; [`normalized`] says
//! whether coordinates are pixels at all.

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

pub use comparison::{CompareError, Comparison, ComponentComparison, PartCount, compare, distance_over_time};
pub use presence::{Span, presence_over_time};
#[cfg(feature = "timeline")]
pub use timeline::{Timeline, TimelineError};
pub use units::{Normalized, normalized};

use crate::people::distance::Sighting;
use crate::{FramePose, Pose, Skeleton};
use motion::Motion;
use shares::{median, quantile, share};

/// What is in a `.pose` file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Version of the format.
    pub version: f32,
    /// Width of the picture in pixels.
    pub width: u16,
    /// Height of the picture in pixels.
    pub height: u16,
    /// Frames per second, as the file has it.
    pub fps: f32,
    /// The exact fraction behind it where a video can have that rate, else the number once more.
    pub frame_rate: String,
    /// Frames.
    pub frames: usize,
    /// Length in seconds; `None` where the frame rate is none that a video can have.
    pub seconds: Option<f64>,
    /// Rows for people; the most that any frame has.
    pub people: usize,
    /// Share of the frames in which somebody is seen, 0 to 1.
    pub frames_with_people: f64,
    /// The parts of the skeleton in the order of the file.
    pub components: Vec<ComponentInspection>,
    /// Frames into which at least one component jumped: see [`ComponentInspection::jumps`].
    pub jumps: usize,
    /// Frames in which somebody stands in another row than in the frame before.
    pub swaps: usize,
    /// What is wrong with the file as one number, to sort by: the shares of frames without body, without face, without
    /// the hand that is seen less, with a jump and with a swap, added up. 0 is best.
    pub faults: f64,
}

/// A component of a `.pose` file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComponentInspection {
    /// Its name in the file.
    pub name: String,
    /// Points it has.
    pub points: usize,
    /// Share of the frames in which at least one of its points was found, 0 to 1.
    pub present: f64,
    /// Confidences that 10, 50 and 90 of 100 found points stay below; `None` where none was found.
    pub confidence: Option<[f32; 3]>,
    /// How much its points tremble: the median over points and frames of their acceleration |x₋ − 2x + x₊|, in
    /// pixels a frame². Acceleration measures jitter since Kanazawa et al., "Learning 3D Human Dynamics from Video"
    /// (2019). `None` where no point was found three frames running, and for components in other units than pixels.
    pub jitter_pixels: Option<f32>,
    /// The same in widths of the shoulders; `None` where there are no shoulders.
    pub jitter_shoulders: Option<f32>,
    /// Frames into which it jumped: its points moved, in the median, faster than 12.5 widths of the shoulders a
    /// second, about 4.5 metres, and at least by a quarter of them.
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
    let mut frame = FramePose::default();
    for index in 0..pose.frames() {
        pose.copy_frame(index, &mut frame);
        for (component, confidences) in found.iter_mut().zip(of_components(&frame, skeleton)) {
            let before = component.confidences.len();
            component.confidences.extend(confidences.filter(|&confidence| confidence > 0.0));
            component.frames += usize::from(component.confidences.len() > before);
        }
        frames_with_people += usize::from(frame.confidences().iter().any(|&confidence| confidence > 0.0));
        motion.add(Sighting::all(&frame, skeleton));
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

/// The confidences of everybody's points, component by component.
fn of_components<'a>(
    frame: &'a FramePose,
    skeleton: &'a Skeleton,
) -> impl Iterator<Item = impl Iterator<Item = f32> + 'a> + 'a {
    let points = frame.points().max(1);
    skeleton.components.iter().scan(0, move |first, component| {
        let range = *first..*first + component.points.len();
        *first = range.end;
        Some(
            frame
                .confidences()
                .chunks_exact(points)
                .flat_map(move |person| person[range.clone()].iter().copied()),
        )
    })
}

/// What 10, 50 and 90 of 100 stay below.
fn spread(confidences: &mut [f32]) -> Option<[f32; 3]> {
    Some([quantile(confidences, 0.1)?, median(confidences)?, quantile(confidences, 0.9)?])
}

/// See [`Inspection::faults`]. A skeleton without face or hands is not blamed for it.
fn faults(components: &[ComponentInspection], swaps: f64, jumps: f64) -> f64 {
    let missing = |part: Part| {
        let those = components.iter().filter(|component| Part::of(&component.name) == Some(part));
        those.map(|component| 1.0 - component.present).fold(0.0, f64::max)
    };
    missing(Part::Body) + missing(Part::Face) + missing(Part::Hand) + swaps + jumps
}

/// What a component is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole body.
    Body,
    /// The face.
    Face,
    /// One of the hands.
    Hand,
}

impl Part {
    /// By the name in the file; `None` for what is none of these, such as Holistic's body in metres.
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
    use crate::{holistic_576, openpose_137};

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
