//! Small pictures of a video's frames, behind the contact sheets of the worst files.
//!
//! Videos are foreign, and a decoder may crash or hang: each video's pictures are made in a process of its own, and
//! the page does without those of a process that dies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jpeg_encoder::{ColorType, Encoder, EncodingError};

use super::encoding::base64;
use crate::printable::printable;
use crate::process;
use crate::video::{self, Frame, SourceError, VideoError};

/// Longest side of a picture, in pixels.
const SIDE: u32 = 300;
/// JPEG quality, up to 100: enough to show who is in the frame and how the hands are held.
const QUALITY: u8 = 65;
/// The largest size of a picture in bytes: even a noisy one has a third of it.
const MAX_BYTES: u64 = 48 << 10;
/// How long a video may be decoded. If it is longer, the frames decoded so far get pictures.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a process may give no sign of life.
const STALL: Duration = Duration::from_secs(20);

/// How to get pictures from videos.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Thumbnails {
    /// The command of a process that calls [`ThumbnailRequest::serve`].
    pub command: fn(&ThumbnailRequest) -> io::Result<Command>,
    /// Folders to search for a video that is neither where the journal says nor beside its `.pose` file.
    pub folders: Vec<PathBuf>,
}

impl Thumbnails {
    /// Videos are where the journal says, or beside their `.pose` files.
    pub fn new(command: fn(&ThumbnailRequest) -> io::Result<Command>) -> Self {
        Self { command, folders: Vec::new() }
    }

    /// The same with `folders`.
    #[must_use]
    pub fn with_folders(self, folders: Vec<PathBuf>) -> Self {
        Self { folders, ..self }
    }
}

/// Which frames of a video are to become pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThumbnailRequest {
    /// The video.
    pub video: PathBuf,
    /// Width and height that its frames must have, in pixels.
    pub size: (u32, u32),
    /// Indices of the frames, from 0, in order.
    pub frames: Vec<u64>,
    /// The folder for the pictures, each of which is named `FRAME.jpg`.
    pub folder: PathBuf,
}

/// Why there are no pictures, or no more of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ThumbnailError {
    /// The video cannot be opened.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// The video breaks off.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is not the video of the `.pose` file.
    #[error("expected frames of {}x{} pixels, found {}x{}", expected.0, expected.1, found.0, found.1)]
    Size {
        /// Width and height in the `.pose` file.
        expected: (u32, u32),
        /// Width and height of the video.
        found: (u32, u32),
    },
    /// A picture cannot be encoded.
    #[error("cannot encode a picture")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A picture cannot be written.
    #[error("cannot write {}", printable(path))]
    Write {
        /// The picture.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl ThumbnailRequest {
    /// Requests the frames with these indices, from 0 and in order, of a video with frames of this width and height in
    /// pixels. Each picture is written into `folder` as `FRAME.jpg`.
    pub fn new(
        video: impl Into<PathBuf>,
        size: (u32, u32),
        frames: Vec<u64>,
        folder: impl Into<PathBuf>,
    ) -> Self {
        Self { video: video.into(), size, frames, folder: folder.into() }
    }

    /// Creates the pictures in this process. `on_frame` is called after each frame of the video. Blocks for at most
    /// 15 seconds, unless the decoder hangs.
    ///
    /// # Errors
    /// The video cannot be read, has frames of another size, or a picture cannot be written. Pictures written
    /// before are in the folder.
    pub fn serve(&self, mut on_frame: impl FnMut()) -> Result<(), ThumbnailError> {
        let started = Instant::now();
        let mut video = video::open(&self.video, &video::Options::default())?;
        let found = (video.info().width, video.info().height);
        if found != self.size {
            return Err(ThumbnailError::Size { expected: self.size, found });
        }
        let mut wanted = self.frames.iter().peekable();
        while wanted.peek().is_some() && started.elapsed() < PATIENCE {
            let Some(frame) = video.next_frame()? else { break };
            if wanted.next_if_eq(&&frame.index()).is_some() {
                let jpeg = encode(&frame).map_err(|error| ThumbnailError::Encode(error.into()))?;
                let path = picture(&self.folder, frame.index());
                fs::write(&path, jpeg).map_err(|source| ThumbnailError::Write { path, source })?;
            }
            on_frame();
        }
        Ok(())
    }

    /// Lets a process create the pictures, and reads them: one in base64 for each frame, or `None` if there is
    /// none.
    pub(super) fn fetch(
        &self,
        thumbnails: &Thumbnails,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Vec<Option<String>> {
        // However the process ended: what it made before is there.
        if let Ok(mut command) = (thumbnails.command)(self) {
            let _ = process::run(&mut command, Some(STALL), is_cancelled);
        }
        let read = |&frame: &u64| {
            let path = picture(&self.folder, frame);
            let bytes = fs::metadata(&path).ok()?.len();
            (bytes <= MAX_BYTES).then(|| fs::read(&path).ok()).flatten().map(|jpeg| base64(&jpeg))
        };
        self.frames.iter().map(read).collect()
    }
}

fn picture(folder: &Path, frame: u64) -> PathBuf {
    folder.join(format!("{frame}.jpg"))
}

/// The frame as a small JPEG.
fn encode(frame: &Frame) -> Result<Vec<u8>, EncodingError> {
    let (width, height) = small_size(frame.width(), frame.height());
    let mut jpeg = Vec::new();
    let pixels = shrunk(frame.pixels(), (frame.width() as usize, frame.height() as usize), (width, height));
    Encoder::new(&mut jpeg, QUALITY).encode(&pixels, width as u16, height as u16, ColorType::Bgr)?;
    Ok(jpeg)
}

/// The size at which the longer side has at most [`SIDE`] pixels.
fn small_size(width: u32, height: u32) -> (usize, usize) {
    let longest = width.max(height).max(SIDE);
    let small = |side: u32| (u64::from(side) * u64::from(SIDE) / u64::from(longest)).max(1) as usize;
    (small(width), small(height))
}

/// Each pixel is the mean of those of the large picture that it covers. Three bytes per pixel, rows without gaps.
fn shrunk(
    pixels: &[u8],
    (width, height): (usize, usize),
    (small_width, small_height): (usize, usize),
) -> Vec<u8> {
    let mut small = Vec::with_capacity(small_width * small_height * 3);
    for row in 0..small_height {
        let rows = row * height / small_height..(row + 1) * height / small_height;
        for column in 0..small_width {
            let columns = column * width / small_width..(column + 1) * width / small_width;
            let mut sums = [0_u32; 3];
            for y in rows.clone() {
                let line = &pixels[3 * (y * width + columns.start)..3 * (y * width + columns.end)];
                for pixel in line.chunks_exact(3) {
                    sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += u32::from(value));
                }
            }
            let count = (rows.len() * columns.len()).max(1) as u32;
            small.extend(sums.map(|sum| (sum / count) as u8));
        }
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_shape_and_are_means() {
        assert_eq!(small_size(1280, 720), (300, 168));
        assert_eq!(small_size(540, 720), (225, 300));
        assert_eq!(small_size(100, 50), (100, 50));
        assert_eq!(small_size(60_000, 16), (300, 1));
        // A row of two pixels becomes one.
        assert_eq!(shrunk(&[0, 10, 20, 100, 30, 21], (2, 1), (1, 1)), [50, 20, 20]);
        let same: Vec<u8> = (0..5 * 3 * 3).collect();
        assert_eq!(shrunk(&same, (5, 3), (5, 3)), same);
    }
}
