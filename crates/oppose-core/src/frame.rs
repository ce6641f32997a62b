//! One decoded picture and the pool its memory comes from.

use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::planes::{self, ColorMatrix, Planes};

/// Shortest side of a frame in pixels: nobody can be found in less.
pub const MIN_SIDE: u32 = 16;

/// Longest side of a frame in pixels: the header of a `.pose` file holds no more.
pub const MAX_SIDE: u32 = 65535;

/// Largest area of a frame in pixels (8192 x 8192): some hundreds of megabytes for the few frames in work.
pub const MAX_PIXELS: u64 = 1 << 26;

/// A buffer of pixels does not have the length that its frame's size asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {width}x{height} pixels has {expected} bytes of BGR, but the buffer has {found}")]
#[non_exhaustive]
pub struct FrameSizeError {
    /// Width of the frame in pixels.
    pub width: u32,
    /// Height of the frame in pixels.
    pub height: u32,
    /// Bytes that a frame of this size has.
    pub expected: u64,
    /// Bytes in the buffer.
    pub found: usize,
}

/// One picture of a video: 8-bit BGR, upright, rows packed without padding.
///
/// Packed rows cost one copy for odd widths and spare every engine a stride: OpenPose's own matrix type
/// has none. Where the reader is asked for it (`oppose_video::Options::keep_planes`), the picture stays in the
/// [planes](Frame::planes) that the video holds until somebody asks for its [pixels](Frame::pixels).
#[derive(Debug)]
pub struct Frame {
    index: u64,
    timestamp: Option<Duration>,
    width: u32,
    height: u32,
    /// Pixels, or planes where there is a matrix.
    bytes: Vec<u8>,
    matrix: Option<ColorMatrix>,
    /// Of planes, once they were asked for.
    converted: OnceLock<Vec<u8>>,
    /// Where the memory goes when the frame is dropped.
    home: Option<Sender<Vec<u8>>>,
}

impl Frame {
    /// A frame from memory that belongs to no pool.
    ///
    /// `pixels` are blue, green, red; row by row from the top left; `width * height * 3` bytes.
    ///
    /// # Errors
    /// The length of `pixels` does not fit the size.
    pub fn new(
        index: u64,
        timestamp: Option<Duration>,
        width: u32,
        height: u32,
        pixels: Vec<u8>,
    ) -> Result<Self, FrameSizeError> {
        let expected = u64::from(width) * u64::from(height) * 3;
        if pixels.len() as u64 != expected {
            return Err(FrameSizeError { width, height, expected, found: pixels.len() });
        }
        Ok(Self {
            index,
            timestamp,
            width,
            height,
            bytes: pixels,
            matrix: None,
            converted: OnceLock::new(),
            home: None,
        })
    }

    /// The same picture as another frame of a video, for sources that join several.
    #[must_use]
    pub fn renumbered(mut self, index: u64, timestamp: Duration) -> Self {
        self.index = index;
        self.timestamp = Some(timestamp);
        self
    }

    /// Number of this frame in its video, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Time since the video's first frame, where the file says.
    pub fn timestamp(&self) -> Option<Duration> {
        self.timestamp
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Blue, green, red; row by row from the top left; `width * height * 3` bytes.
    ///
    /// A frame in planes is converted by the first call, by the processor.
    pub fn pixels(&self) -> &[u8] {
        match self.planes() {
            Some(planes) => self.converted.get_or_init(|| planes.to_bgr(self.width as usize)),
            None => &self.bytes,
        }
    }

    /// What the frame holds: [planes](Self::planes) where it was left in them, else [pixels](Self::pixels).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Luma and chroma, where the picture was left in them.
    pub fn planes(&self) -> Option<Planes<'_>> {
        self.matrix.map(|matrix| Planes { bytes: &self.bytes, matrix })
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            // A full or closed pool is no error: the memory is simply freed.
            let _ = home.try_send(std::mem::take(&mut self.bytes));
        }
    }
}

/// Buffers that go round: a dropped frame's memory serves a later frame.
#[derive(Debug)]
pub struct FramePool {
    home: Sender<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
}

impl FramePool {
    /// A pool that keeps at most `frames` unused buffers.
    pub fn new(frames: usize) -> Self {
        let (home, returned) = bounded(frames);
        Self { home, returned }
    }

    /// A frame whose pixels are left over from an earlier one (or 0) and are filled by `fill`.
    pub fn frame(
        &self,
        index: u64,
        timestamp: Option<Duration>,
        width: u32,
        height: u32,
        fill: impl FnOnce(&mut [u8]),
    ) -> Frame {
        let bytes = self.filled(width as usize * height as usize * 3, fill);
        self.lend(index, timestamp, (width, height), bytes, None)
    }

    /// A frame in planes, as [`frame`](Self::frame). `None` where its height is odd.
    pub fn planes(
        &self,
        index: u64,
        timestamp: Option<Duration>,
        (width, height): (u32, u32),
        matrix: ColorMatrix,
        fill: impl FnOnce(&mut [u8]),
    ) -> Option<Frame> {
        let bytes = self.filled(planes::bytes(width as usize, height as usize)?, fill);
        Some(self.lend(index, timestamp, (width, height), bytes, Some(matrix)))
    }

    fn filled(&self, size: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = self.returned.try_recv().unwrap_or_default();
        bytes.resize(size, 0);
        fill(&mut bytes);
        bytes
    }

    fn lend(
        &self,
        index: u64,
        timestamp: Option<Duration>,
        (width, height): (u32, u32),
        bytes: Vec<u8>,
        matrix: Option<ColorMatrix>,
    ) -> Frame {
        let (converted, home) = (OnceLock::new(), Some(self.home.clone()));
        Frame { index, timestamp, width, height, bytes, matrix, converted, home }
    }
}
