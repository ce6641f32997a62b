//! Decoding: video files, pictures, folders of pictures and pipes become upright BGR frames. And encoding, for
//! what is drawn over them: [`Encoder`].
//!
//! ```no_run
//!
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
pub use error::VideoError;
pub use input::{Below, Input, PICTURE_SUFFIXES, STDIN, VIDEO_SUFFIXES, videos_below};
pub use oppose_core::{
    ColorMatrix, DecodeSummary, Frame, FramePool, FrameRate, FrameRateError, FrameSizeError, MAX_PIXELS,
    MAX_SIDE, MIN_SIDE, Note, Planes, RateSource, Source, SourceError, VideoInfo,
};
pub use rotation::Rotate;

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
    /// engines that [convert colours themselves](oppose_core::Engine::takes_planes).
    pub keep_planes: bool,
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
