//! Decoding: video files, pictures, folders of pictures and pipes become upright BGR frames. And encoding, for
//! what is drawn over them: [`Encoder`].
//!
//! ```no_run
//! use oppose::video;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let mut video = video::open("video.mp4".as_ref(), &video::Options::default())?;
//! while let Some(frame) = video.next_frame()? {
//!     println!("{}: {}x{}", frame.index(), frame.width(), frame.height());
//! }
//! # Ok(())
//! # }
//! ```

mod colors;
mod container;
mod encoder;
mod ending;
mod error;
mod frame;
mod input;
mod note;
mod pages;
mod pictures;
mod planes;
mod reader;
mod rotation;
mod scaler;
mod structure;
mod timing;
mod tracks;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use colors::Colors;
pub use encoder::{EncodeError, Encoder, EncoderOptions};
pub use error::VideoError;
pub use frame::{Frame, FramePool, FrameSizeError};
pub use input::{Below, Input, PICTURE_SUFFIXES, STDIN, VIDEO_SUFFIXES, videos_below};
pub use note::Note;
pub use oppose_pose::{FrameRate, FrameRateError};
pub use planes::{ColorMatrix, Planes};
pub use rotation::Rotate;
pub use timing::RateSource;

/// Shortest side of a frame in pixels: nobody can be found in less.
pub const MIN_SIDE: u32 = 16;

/// Longest side of a frame in pixels: the header of a `.pose` file holds no more.
pub const MAX_SIDE: u32 = 65535;

/// Largest area of a frame in pixels (8192 x 8192): some hundreds of megabytes for the few frames in work.
pub const MAX_PIXELS: u64 = 1 << 26;

/// The version of the FFmpeg libraries that decode, and of FFmpeg as a whole.
pub fn ffmpeg_version() -> String {
    let version = |packed: u32| (packed >> 16, packed >> 8 & 0xff, packed & 0xff);
    let (codec, format) = (version(ffmpeg_next::codec::version()), version(ffmpeg_next::format::version()));
    // libavcodec 57 came with FFmpeg 3, and they have gone up together since.
    let release = codec.0.saturating_sub(54);
    let text = |(major, minor, micro): (u32, u32, u32)| format!("{major}.{minor}.{micro}");
    format!("FFmpeg {release}: libavcodec {}, libavformat {}", text(codec), text(format))
}

/// How a video is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which way the frames are turned.
    pub rotate: Rotate,
    /// Frames per second, whatever the file says. Where absent, what the file says and its frames confirm; of pictures
    /// 25. The instants of a video's frames stay those of the file.
    pub frame_rate: Option<FrameRate>,
    /// By which matrix colours are converted.
    pub colors: Colors,
    /// Which of several video tracks is read: its number among them, from 0. Where absent, a film sooner than a still
    /// picture, and else the one that FFmpeg calls the best.
    pub track: Option<usize>,
    /// Threads of the decoder. Where absent, as many as processors, and one for frames of at most 320x240.
    pub threads: Option<usize>,
    /// Leave frames in the planes of luma and chroma that the video holds, where they are of 8 bits in 4:2:0: for
    /// engines that [convert colours themselves](crate::engine::Engine::takes_planes).
    pub keep_planes: bool,
}

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

/// Why a [`Source`] gives no further frame; each source has its own reasons. Those of [`open`] are [`VideoError`]s.
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

/// Opens a video file, a picture (one frame), a folder of pictures, or [`STDIN`].
///
/// Frames come out upright: turned by the file's display matrix or EXIF orientation, or as
/// [`Options::rotate`] says; an angle that is no quarter turn is taken to the nearest one. Colours are
/// converted by the video's own matrix and range, as the ffmpeg program does, or as [`Options::colors`] says.
///
/// Only this one file is read: playlists and other formats that name further files are refused.
///
/// # Errors
/// There is nothing to read, it is no video, or its frames are too small or too large.
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
