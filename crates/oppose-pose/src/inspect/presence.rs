//! When each component was found, and with which confidence.

use super::confidences_found;
use crate::Pose;

/// Consecutive frames of a file, summed up for one component.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// Number of frames.
    pub frames: usize,
    /// Number of frames in which a point of the component was found.
    pub seen: usize,
    confidence: f32,
    points: usize,
}

impl Span {
    /// Share of the frames in which the component was found, 0 to 1.
    pub fn present(&self) -> f32 {
        self.seen as f32 / self.frames.max(1) as f32
    }

    /// Mean confidence of the points that were found, 0 to 1; `None` if none was.
    pub fn confidence(&self) -> Option<f32> {
        (self.points > 0).then(|| self.confidence / self.points as f32)
    }
}

/// The spans of each component, in the order of the skeleton: at most `max_spans` of equal length; one per frame if the file
/// has fewer frames. Empty for files without frames.
///
/// ```
/// use oppose_pose::inspect::presence_over_time;
/// use oppose_pose::{FramePose, Pose, openpose_137};
///
/// # fn main() -> Result<(), oppose_pose::PoseError> {
/// let mut somebody = FramePose::new(1, 137, 2);
/// somebody.confidences_mut()[..25].fill(0.5);
/// let nobody = FramePose::new(0, 137, 2);
/// let pose = Pose::from_frames(openpose_137(), 640, 480, 25.0, [&somebody, &nobody])?;
/// let body = &presence_over_time(&pose, 100)[0];
/// assert_eq!((body[0].present(), body[0].confidence()), (1.0, Some(0.5)));
/// assert_eq!((body[1].present(), body[1].confidence()), (0.0, None));
/// # Ok(())
/// # }
/// ```
pub fn presence_over_time(pose: &Pose, max_spans: usize) -> Vec<Vec<Span>> {
    let count = max_spans.min(pose.frames());
    let mut spans = vec![vec![Span::default(); count]; pose.header.skeleton.components.len()];
    if count == 0 {
        return spans;
    }
    for (index, frame) in pose.iter().enumerate() {
        let place = index * count / pose.frames();
        for (component, spans) in spans.iter_mut().enumerate() {
            let span = &mut spans[place];
            let before = span.points;
            for confidence in confidences_found(frame, component) {
                span.confidence += confidence.min(1.0);
                span.points += 1;
            }
            span.seen += usize::from(span.points > before);
            span.frames += 1;
        }
    }
    spans
}
