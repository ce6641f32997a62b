//! One decoded frame, and the pool that its memory comes from.

use std::sync::OnceLock;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::planes::{self, ColorMatrix, Planes};

/// Shortest side of a frame in pixels: nobody can be found in a smaller one.
pub const MIN_SIDE: u32 = 16;

/// Longest side of a frame in pixels: the largest that the header of a `.pose` file can hold.
pub const MAX_SIDE: u32 = 65535;

/// Largest area of a frame in pixels (8192 x 8192): a few hundred megabytes for the frames in progress.
pub const MAX_PIXELS: u64 = 1 << 26;

/// A buffer of pixels does not have the length that its frame's size requires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {width}x{height} pixels has {expected} bytes of BGR, but the buffer has {found}")]
#[non_exhaustive]
pub struct FrameSizeError {
    /// Width of the frame in pixels.
    pub width: u32,
    /// Height of the frame in pixels.
    pub height: u32,
    /// Number of bytes of a frame of this size.
    pub expected: u64,
    /// Number of bytes in the buffer.
    pub found: usize,
}

/// One frame of a video: 8-bit BGR, upright, with rows packed without padding.
///
/// Packed rows cost one copy for odd widths and spare every engine a stride: OpenPose's own matrix type has none. With the
/// option `oppose_video::Options::keep_planes`, the frame stays in the [planes](Frame::planes) of the video until its
/// [pixels](Frame::pixels) are needed. Frames may be sent to other threads and shared between them.
#[derive(Debug)]
pub struct Frame {
    index: u64,
    timestamp: Option<Duration>,
    width: u32,
    height: u32,
    /// Pixels, or planes if there is a matrix.
    bytes: Vec<u8>,
    matrix: Option<ColorMatrix>,
    /// The pixels of planes, once they have been needed.
    converted: OnceLock<Vec<u8>>,
    /// Where the memory goes when the frame is dropped.
    pool: Option<Sender<Vec<u8>>>,
}

impl Frame {
    /// A frame whose memory does not come from a pool.
    ///
    /// `index` counts from 0, `timestamp` is the time since the video's first frame, and width and height are in pixels.
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
            pool: None,
        })
    }

    /// The frame with another index and timestamp, for sources that join several videos.
    #[must_use]
    pub fn renumbered(mut self, index: u64, timestamp: Duration) -> Self {
        self.index = index;
        self.timestamp = Some(timestamp);
        self
    }

    /// Index of this frame in its video, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Time since the video's first frame, if the video tells.
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
    /// The first call converts a frame in planes on the CPU; others return the same pixels.
    pub fn pixels(&self) -> &[u8] {
        match self.planes() {
            Some(planes) => self.converted.get_or_init(|| planes.to_bgr(self.width as usize)),
            None => &self.bytes,
        }
    }

    /// What the frame holds: the bytes of its [planes](Self::planes) if it was left in them, otherwise its
    /// [pixels](Self::pixels).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Luma and chroma, if the frame was left in them.
    pub fn planes(&self) -> Option<Planes<'_>> {
        self.matrix.map(|matrix| Planes { bytes: &self.bytes, matrix })
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            // If the pool is full or gone, the memory is simply freed.
            let _ = pool.try_send(std::mem::take(&mut self.bytes));
        }
    }
}

/// A pool of buffers: the memory of a dropped frame is used for a later one.
#[derive(Debug)]
pub struct FramePool {
    buffers: Sender<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
}

impl FramePool {
    /// A pool that keeps at most `frames` unused buffers.
    pub fn new(frames: usize) -> Self {
        let (buffers, returned) = bounded(frames);
        Self { buffers, returned }
    }

    /// A frame whose pixels `fill` writes: `width * height * 3` bytes of blue, green and red, which hold those of an earlier
    /// frame, or 0, when it is called.
    pub fn frame(
        &self,
        index: u64,
        timestamp: Option<Duration>,
        width: u32,
        height: u32,
        fill: impl FnOnce(&mut [u8]),
    ) -> Frame {
        let bytes = self.buffer(width as usize * height as usize * 3, fill);
        self.lend(index, timestamp, (width, height), bytes, None)
    }

    /// Like [`frame`](Self::frame), for a frame in [planes](Planes::bytes). `None` if the height is odd.
    pub fn planes(
        &self,
        index: u64,
        timestamp: Option<Duration>,
        (width, height): (u32, u32),
        matrix: ColorMatrix,
        fill: impl FnOnce(&mut [u8]),
    ) -> Option<Frame> {
        let bytes = self.buffer(planes::bytes(width as usize, height as usize)?, fill);
        Some(self.lend(index, timestamp, (width, height), bytes, Some(matrix)))
    }

    fn buffer(&self, size: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
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
        let (converted, pool) = (OnceLock::new(), Some(self.buffers.clone()));
        Frame { index, timestamp, width, height, bytes, matrix, converted, pool }
    }
}
