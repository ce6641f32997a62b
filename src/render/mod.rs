//! Drawings of poses, with which to check results by eye.

mod draw;
mod overlay;
mod sheet;
mod sink;
mod window;

use std::io;
use std::path::PathBuf;

pub use draw::draw_people;
pub use overlay::{Overlay, OverlayOptions, overlay};
pub use sheet::{Sheet, contact_sheet};

use crate::video::{EncodeError, SourceError};

/// Why a picture cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The video cannot be read.
    #[error(transparent)]
    Video(#[from] SourceError),
    /// The overlay cannot be written as a video.
    #[error(transparent)]
    Encoder(#[from] EncodeError),
    /// The pose file has no frames to show.
    #[error("the pose file holds 0 frames: there is nothing to draw")]
    Empty,
    /// The video ends before the pose file does.
    #[error(
        "the video has {video} frames, the pose file {pose}: they do not belong together; give the video the \
         file was made from"
    )]
    FrameCount {
        /// Frames in the video.
        video: u64,
        /// Frames in the pose file.
        pose: u64,
    },
    /// The pose file was made for frames of another size.
    #[error(
        "the video is {}x{} pixels, the pose file was made for {}x{}: they do not belong together",
        .video.0, .video.1, .pose.0, .pose.1
    )]
    Size {
        /// Width and height of the video.
        video: (u32, u32),
        /// Width and height in the pose file.
        pose: (u32, u32),
    },
    /// A picture of this size cannot be held.
    #[error("a picture of {0}x{1} pixels is too large; show less of it, or fewer at once")]
    TooLarge(u32, u32),
    /// The picture cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The path of the picture.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The name of the result is not that of a video, and there is a file in place of a folder.
    #[error(
        "{} is not a folder; expected a folder for pictures, or a name ending in .mp4, .mov, \
         .mkv, .webm or .gif", .0.display()
    )]
    NotAFolder(PathBuf),
    /// The folder for the pictures holds other files.
    #[error("the folder {} is not empty; name another one, or allow pictures to be written among its files", .0.display())]
    FolderNotEmpty(PathBuf),
    /// Files shown side by side are of different lengths.
    #[error(
        "the pose files have {first} and {second} frames; to be drawn side by side, they must belong to the same video"
    )]
    Lengths {
        /// Frames of the first file.
        first: u64,
        /// Frames of another.
        second: u64,
    },
    /// The pose file has a frame rate that no video can have.
    #[error("the pose file has {0} frames per second, which no video can have; give its video too")]
    Rate(f32),
    /// The pose file does not tell how large its frames are.
    #[error("the pose file was made for frames of 0 pixels: there is no picture to draw on")]
    NoSize,
    /// There is nobody to show.
    #[error("the pose file contains no people: there is no person to crop to")]
    Nobody,
    /// The caller asked to stop.
    #[error("stopped before the end; no video was written")]
    Cancelled,
    /// The picture cannot be encoded.
    #[error("cannot encode the picture")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// By how much frames are stretched to the right and down so that their pixels become square; nothing is ever made
/// smaller. See [`Source::pixel_aspect`](crate::video::Source::pixel_aspect).
fn to_square_pixels(aspect: f64) -> (f32, f32) {
    (aspect.max(1.0) as f32, (1.0 / aspect).max(1.0) as f32)
}
