//! Where frames come from.

use std::error::Error;
use std::time::Duration;

use oppose_pose::FrameRate;
use serde::{Deserialize, Serialize};

use crate::{Frame, Note};

/// What is known of a video before it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoInfo {
    /// Width of the upright frames, in pixels.
    pub width: u32,
    /// Height of the upright frames, in pixels.
    pub height: u32,
    /// Frames per second as far as the header tells; what the frames tell is in
    /// [`DecodeSummary::frame_rate`] when they have been read.
    pub frame_rate: FrameRate,
    /// Number of frames as the file announces it; often an estimate, sometimes absent or wrong.
    pub announced_frames: Option<u64>,
}

/// What decoding a video to its end has shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DecodeSummary {
    /// Frames delivered.
    pub frames: u64,
    /// Damaged pieces of the file: the decoder could not use them, or made up what they lack. With several
    /// decoder threads FFmpeg notices some of the latter too late to be counted.
    pub damaged_packets: u64,
    /// Whether the time between frames varies, and between which bounds.
    pub variable_rate: Option<(Duration, Duration)>,
    /// Frames per second as the frames so far have shown; for a variable rate, the average. Where absent,
    /// [`VideoInfo::frame_rate`] is all that is known.
    pub frame_rate: Option<FrameRate>,
    /// Where that rate comes from.
    pub rate_source: RateSource,
    /// What else is worth knowing.
    pub notes: Vec<Note>,
}

/// Why a [`Source`] gives no further frame; each source has its own reasons.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// Where frames come from. Implement it to feed frames of your own.
///
/// A source is used by one thread, which may wait in [`next_frame`](Source::next_frame) as long as the source wants.
pub trait Source: Send {
    /// Size and rate of the frames to come.
    fn info(&self) -> &VideoInfo;

    /// The next frame in order of time, of the size that [`info`](Source::info) gives, or `None` after the last.
    ///
    /// # Errors
    /// The video breaks here: what was delivered so far is all there is.
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError>;

    /// What was found on the way; complete after the last frame.
    fn summary(&self) -> DecodeSummary;

    /// Width of a pixel by its height: more than 1 where the video is to be shown wider than its frames are. Only
    /// pictures for eyes need it; coordinates count pixels, whatever their shape.
    fn pixel_aspect(&self) -> f64 {
        1.0
    }
}

/// Where a frame rate comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RateSource {
    /// The caller named it.
    Given,
    /// It is constant: the file names it, and the frames do not contradict, or the frames show it.
    #[default]
    Constant,
    /// It varies; the file names the average, and the frames confirm that.
    Average,
    /// It varies, or the file names none, or a wrong one: number of intervals between the frames by the time that they
    /// take.
    Measured,
}
