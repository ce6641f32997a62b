//! Where frames come from.

use std::error::Error;
use std::time::Duration;

use oppose_pose::FrameRate;
use serde::{Deserialize, Serialize};

use crate::{Frame, Note};

/// What is known about a video before it is read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VideoInfo {
    /// Width of the upright frames, in pixels.
    pub width: u32,
    /// Height of the upright frames, in pixels.
    pub height: u32,
    /// The frame rate that the header announces. What the frames show is in [`DecodeSummary::frame_rate`] once they have
    /// been read.
    pub frame_rate: FrameRate,
    /// Number of frames that the file announces; often an estimate, sometimes absent or wrong.
    pub announced_frames: Option<u64>,
}

impl VideoInfo {
    /// A video whose frames have this size in pixels, and whose number of frames is unknown.
    pub fn new(width: u32, height: u32, frame_rate: FrameRate) -> Self {
        Self { width, height, frame_rate, announced_frames: None }
    }

    /// The same video with this number of frames.
    #[must_use]
    pub fn with_announced_frames(mut self, frames: impl Into<Option<u64>>) -> Self {
        self.announced_frames = frames.into();
        self
    }
}

/// What decoding a video has shown; complete once it has been read to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DecodeSummary {
    /// Number of frames delivered.
    pub frames: u64,
    /// Damaged packets in the file: the decoder could not use them, or made up what they lack. With several decoder threads,
    /// FFmpeg notices some of the latter too late to be counted.
    pub damaged_packets: u64,
    /// The shortest and the longest time between two frames, if it varies.
    pub variable_rate: Option<(Duration, Duration)>,
    /// The frame rate that the frames so far have shown; if it varies, the average. `None` if [`VideoInfo::frame_rate`] is
    /// all that is known.
    pub frame_rate: Option<FrameRate>,
    /// Where that frame rate comes from.
    pub rate_source: RateSource,
    /// What else is worth knowing.
    pub notes: Vec<Note>,
}

impl DecodeSummary {
    /// The summary of a video that delivered `frames` frames, without anything unusual.
    pub fn new(frames: u64) -> Self {
        Self { frames, ..Self::default() }
    }

    /// The same summary with the frame rate that the frames have shown.
    #[must_use]
    pub fn with_frame_rate(mut self, frame_rate: FrameRate) -> Self {
        self.frame_rate = Some(frame_rate);
        self
    }
}

/// Why a [`Source`] yields no further frame; each source has its own reasons.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// Something that yields frames. Implement it to supply frames of your own.
///
/// A source is used by one thread at a time. [`next_frame`](Source::next_frame) may block as long as it needs to.
pub trait Source: Send {
    /// Size and frame rate of the frames to come.
    fn info(&self) -> &VideoInfo;

    /// The next frame in order of time, of the size that [`info`](Source::info) gives, or `None` after the last. May block.
    ///
    /// # Errors
    /// The video breaks off here: the frames delivered so far are all there are.
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError>;

    /// What reading has shown so far; complete after the last frame.
    fn summary(&self) -> DecodeSummary;

    /// The width of a pixel divided by its height: above 1 if the video is to be shown wider than its frames are. It matters
    /// only for display; coordinates count pixels, whatever their shape.
    fn pixel_aspect(&self) -> f64 {
        1.0
    }
}

/// Where a frame rate comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RateSource {
    /// The caller set it.
    Given,
    /// It is constant: the file announces it and the frames do not contradict, or the frames show it.
    #[default]
    Constant,
    /// It varies; the file announces the average, and the frames confirm that.
    Average,
    /// It varies, or the file announces none or a wrong one: the number of intervals between the frames divided by the time
    /// that they take.
    Measured,
}
