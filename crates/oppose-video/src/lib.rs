//! Decoding video files, pictures, folders of pictures and pipes to upright BGR frames ([`open`]), and encoding videos, for
//! example of frames that were drawn on ([`Encoder`]).
//!
//! Everything blocks the calling thread; FFmpeg's decoder has threads of its own ([`Options::threads`]). The message of an
//! error says what happened; [`source`](std::error::Error::source) is the error of FFmpeg or the system, if there is one.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let mut video = oppose_video::open("video.mp4".as_ref(), &oppose_video::Options::default())?;
//! while let Some(frame) = video.next_frame()? {
//!     println!("{}: {}x{}", frame.index(), frame.width(), frame.height());
//! }
//! # Ok(())
//! # }
//! ```

mod colors;
mod container;
mod deep_colors;
mod encoder;
mod ending;
mod error;
mod input;
mod pages;
mod pictures;
mod reader;
mod rotation;
mod scaler;
mod structure;
mod timing;
mod tracks;

use std::path::Path;

pub use colors::Colors;
pub use encoder::{EncodeError, Encoder, EncoderOptions};
pub use error::{FfmpegError, VideoError};
pub use input::{
    Input, OVERLAY_SUFFIXES, PICTURE_SUFFIXES, STDIN, VIDEO_SUFFIXES, VideosBelow, videos_below,
};
pub use oppose_core::{
    ColorMatrix, DecodeSummary, Frame, FramePool, FrameRate, FrameRateError, FrameSizeError, MAX_PIXELS,
    MAX_SIDE, MIN_SIDE, Note, Planes, RateSource, Source, SourceError, VideoInfo,
};
pub use rotation::Rotate;

/// The version of the FFmpeg libraries that decode, and of FFmpeg as a whole.
pub fn ffmpeg_version() -> String {
    let version = |packed: u32| (packed >> 16, packed >> 8 & 0xff, packed & 0xff);
    let (codec, format) = (version(ffmpeg_next::codec::version()), version(ffmpeg_next::format::version()));
    // libavcodec 57 came with FFmpeg 3, and both numbers have been increased together since.
    let release = codec.0.saturating_sub(54);
    let text = |(major, minor, micro): (u32, u32, u32)| format!("{major}.{minor}.{micro}");
    format!("FFmpeg {release}: libavcodec {}, libavformat {}", text(codec), text(format))
}

/// How a video is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// How the frames are rotated.
    pub rotate: Rotate,
    /// The frame rate, whatever the file says. By default the rate that the file announces and its frames confirm, and 25
    /// for pictures. The timestamps of a video's frames stay those of the file.
    pub frame_rate: Option<FrameRate>,
    /// The matrix by which colours are converted.
    pub colors: Colors,
    /// The video track that is read, as an index among the video tracks, from 0. By default a moving track rather than a
    /// still picture, and otherwise the one that FFmpeg considers best.
    pub track: Option<usize>,
    /// Number of decoder threads. By default as many as CPUs, and one for frames of at most 320x240.
    pub threads: Option<usize>,
    /// Leave frames in the video's planes of luma and chroma, if these are 8-bit 4:2:0: for engines that
    /// [convert colours themselves](oppose_core::Engine::takes_planes).
    pub keep_planes: bool,
}

impl Options {
    /// The same options with `rotate`.
    #[must_use]
    pub fn with_rotate(mut self, rotate: Rotate) -> Self {
        self.rotate = rotate;
        self
    }

    /// The same options with `frame_rate`.
    #[must_use]
    pub fn with_frame_rate(mut self, frame_rate: impl Into<Option<FrameRate>>) -> Self {
        self.frame_rate = frame_rate.into();
        self
    }

    /// The same options with `colors`.
    #[must_use]
    pub fn with_colors(mut self, colors: Colors) -> Self {
        self.colors = colors;
        self
    }

    /// The same options with `track`.
    #[must_use]
    pub fn with_track(mut self, track: impl Into<Option<usize>>) -> Self {
        self.track = track.into();
        self
    }

    /// The same options with `threads`.
    #[must_use]
    pub fn with_threads(mut self, threads: impl Into<Option<usize>>) -> Self {
        self.threads = threads.into();
        self
    }

    /// The same options with `keep_planes`.
    #[must_use]
    pub fn with_keep_planes(mut self, keep_planes: bool) -> Self {
        self.keep_planes = keep_planes;
        self
    }
}

/// Opens a video file, a picture (one frame), a folder of pictures, or [`STDIN`].
///
/// Frames are upright: rotated by the file's display matrix or EXIF orientation, or as [`Options::rotate`] says; other angles
/// are rounded to the nearest quarter turn. Colours are converted by the video's own matrix and range, as the ffmpeg program
/// does, or as [`Options::colors`] says.
///
/// Only this one file is read: playlists and other formats that refer to further files are refused. Blocks until the first
/// frame is decoded.
///
/// # Errors
/// There is nothing to read, it is not a video, or its frames are too small or too large.
pub fn open(path: &Path, options: &Options) -> Result<Box<dyn Source>, VideoError> {
    match path != Path::new(STDIN) && path.is_dir() {
        true => Ok(Box::new(pictures::Pictures::open(path, options)?)),
        false => Ok(Box::new(reader::Reader::open(path, options)?)),
    }
}

fn check_size(width: u32, height: u32) -> Result<(), VideoError> {
    let side = MIN_SIDE..=MAX_SIDE;
    let area = u64::from(width) * u64::from(height);
    match side.contains(&width) && side.contains(&height) && area <= MAX_PIXELS {
        true => Ok(()),
        false => Err(VideoError::Size { width, height }),
    }
}
