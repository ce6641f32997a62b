//! Frames that an iterator of Python's yields, as a source of the pipeline.

use crossbeam_channel::Receiver;
use oppose::video::{
    DecodeSummary, Frame, FrameRate, MAX_PIXELS, MAX_SIDE, MIN_SIDE, Source, SourceError, VideoInfo,
};
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::errors;

/// A picture: height, width, and blue, green, red of each pixel.
type Picture<'py> = (u32, u32, Bound<'py, pyo3::types::PyBytes>);

/// The next frame of an iterator, which runs on the thread of the caller as any loop of Python would.
///
/// # Errors
/// The iterator raises an exception, or what it yields is no picture.
pub fn next(frames: &Bound<'_, PyIterator>, index: u64) -> PyResult<Option<Frame>> {
    let Some(picture) = frames.clone().next() else { return Ok(None) };
    let (height, width, pixels): Picture<'_> = picture?.extract()?;
    let frame = Frame::new(index, None, width, height, pixels.as_bytes().to_vec());
    frame.map(Some).map_err(|error| errors::frames(error.to_string()))
}

/// What is known of a video whose first frame is this one.
///
/// # Errors
/// Frames of this size cannot be used.
pub fn info(first: &Frame, frame_rate: FrameRate, announced_frames: Option<u64>) -> PyResult<VideoInfo> {
    let (width, height) = (first.width(), first.height());
    let sides = MIN_SIDE..=MAX_SIDE;
    let area = u64::from(width) * u64::from(height);
    if !sides.contains(&width) || !sides.contains(&height) || area > MAX_PIXELS {
        return Err(errors::frames(format!(
            "frames of {width}x{height} pixels cannot be used; expected sides of {MIN_SIDE} to {MAX_SIDE} pixels and at \
             most {MAX_PIXELS} in all"
        )));
    }
    Ok(VideoInfo::new(width, height, frame_rate).with_announced_frames(announced_frames))
}

/// The frames that come through a channel, until the other end is gone.
pub struct Frames {
    /// What the frames have in common.
    pub info: VideoInfo,
    /// Where they come from.
    pub frames: Receiver<Frame>,
    /// How many have come.
    pub count: u64,
}

impl Source for Frames {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let frame = self.frames.recv().ok();
        self.count += u64::from(frame.is_some());
        Ok(frame)
    }

    fn summary(&self) -> DecodeSummary {
        DecodeSummary::new(self.count)
    }
}
