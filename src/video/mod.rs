//! Decoding: video files, pictures, folders of pictures and pipes become upright BGR frames.

mod frame;

use std::fmt;
use std::time::Duration;

pub use frame::{Frame, FramePool};

/// Frames per second as the exact fraction of the file, for example 30000/1001.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// Frames.
    pub numerator: u32,
    /// Seconds; never 0.
    pub denominator: u32,
}

impl FrameRate {
    /// The nearest f32, the form in which a `.pose` file keeps it.
    pub fn as_f32(self) -> f32 {
        (f64::from(self.numerator) / f64::from(self.denominator)) as f32
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

/// What is known of a video before its first frame is decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoInfo {
    /// Width of the upright frames, in pixels.
    pub width: u32,
    /// Height of the upright frames, in pixels.
    pub height: u32,
    /// Frames per second; for a variable rate, the average.
    pub frame_rate: FrameRate,
    /// Number of frames as the file announces it; often an estimate, sometimes absent or wrong.
    pub announced_frames: Option<u64>,
}

/// What decoding a video to its end has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecodeSummary {
    /// Frames delivered.
    pub frames: u64,
    /// Pieces of the file the decoder could not use.
    pub damaged_packets: u64,
    /// Whether the time between frames varies, and between which bounds.
    pub variable_rate: Option<(Duration, Duration)>,
}

/// Where frames come from. Implement it to feed frames of your own.
pub trait Source: Send {
    /// Size and rate of the frames to come.
    fn info(&self) -> &VideoInfo;

    /// The next frame in order of time, or `None` after the last.
    ///
    /// # Errors
    /// The video breaks here: what was delivered so far is all there is.
    fn next_frame(&mut self) -> Result<Option<Frame>, VideoError>;

    /// What was found on the way; complete after the last frame.
    fn summary(&self) -> DecodeSummary;
}

/// Why a video cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {}
