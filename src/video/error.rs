//! What can be wrong with a video.

use std::io;
use std::path::{Path, PathBuf};

use super::input::{PICTURE_SUFFIXES, VIDEO_SUFFIXES};
use super::{MAX_PIXELS, MAX_SIDE, MIN_SIDE};

/// Why a video cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// There is nothing at this path.
    #[error("{} does not exist; check the path", .0.display())]
    NotFound(PathBuf),
    /// There is a link at this path, but nothing where it leads.
    #[error("{} is a link to {}, which does not exist", .path.display(), .target.display())]
    BrokenLink {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// The system refuses to read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The decoder takes paths as UTF-8.
    #[error("the path {0:?} is not UTF-8; rename the file")]
    PathNotUtf8(PathBuf),
    /// A file of no bytes.
    #[error("the file is empty (0 bytes); copy or download it again")]
    Empty,
    /// A folder that holds neither videos nor pictures.
    #[error(
        "no videos or pictures in the folder {}; looked for {}, {}",
        .0.display(), VIDEO_SUFFIXES.join(" "), PICTURE_SUFFIXES.join(" ")
    )]
    EmptyFolder(PathBuf),
    /// The file is of no kind FFmpeg knows, or too damaged to tell.
    #[error("expected a video, but its format is not recognised ({0}); is it a video, and whole?")]
    Unrecognised(ffmpeg_next::Error),
    /// A file with sound only, or other streams that are no video.
    #[error("expected a video stream, found only {0}; give a file with moving pictures")]
    NoVideoStream(String),
    /// This FFmpeg was built without the decoder.
    #[error("this FFmpeg has no decoder for {0}; convert the video to H.264, or install a fuller FFmpeg")]
    NoDecoder(String),
    /// The decoder does not start.
    #[error("the decoder cannot start: {0}")]
    Decoder(ffmpeg_next::Error),
    /// No frame comes out.
    #[error("the file has a video stream, but no frame of it can be decoded; it is damaged or cut off")]
    NoFrames,
    /// Standard input gives no frame: most often a video whose index stands at its end.
    #[error(
        "no frame comes from standard input: the video is damaged, or its index stands at its end, where a pipe \
         cannot jump; give the file itself, or rewrite it with `ffmpeg -i IN -c copy -movflags +faststart OUT`"
    )]
    BrokenPipe,
    /// Frames too small to show anybody, or too large for memory or the `.pose` header.
    #[error(
        "frames are {width}x{height} pixels; each side must be {MIN_SIDE} to {MAX_SIDE}, and the area at most \
         {MAX_PIXELS}: rescale the video"
    )]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The keypoints of a `.pose` file are pixels of one size of frame.
    #[error(
        "frame {frame} is {}x{} pixels, those before it {}x{}; split the video there, or rescale it to one size",
        .found.0, .found.1, .expected.0, .expected.1
    )]
    SizeChanged {
        /// Number of the first frame of another size, from 0.
        frame: u64,
        /// Width and height of the frames before.
        expected: (u32, u32),
        /// Width and height of this frame.
        found: (u32, u32),
    },
    /// The index promises more than the file holds.
    #[error(
        "the file is cut off: it announces {announced} frames and holds {frames}; copy or download it again"
    )]
    Truncated {
        /// Frames decoded.
        frames: u64,
        /// Frames announced.
        announced: u64,
    },
    /// Reading stops in the middle.
    #[error("reading fails after frame {frames}: {source}")]
    Broken {
        /// Frames decoded before.
        frames: u64,
        /// What FFmpeg says.
        source: ffmpeg_next::Error,
    },
    /// A frame's colours cannot be converted.
    #[error("frame {frame} has the pixel format {format}, which cannot be converted to BGR")]
    PixelFormat {
        /// Number of the frame, from 0.
        frame: u64,
        /// FFmpeg's name of the format.
        format: String,
    },
    /// A picture of a folder cannot be used.
    #[error("{}: {error}", .path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<VideoError>,
    },
}

impl VideoError {
    /// What it means that nothing can be opened at `path`.
    pub(super) fn not_found(path: &Path) -> Self {
        match path.read_link() {
            Ok(target) => Self::BrokenLink { path: path.to_owned(), target },
            Err(_) => Self::NotFound(path.to_owned()),
        }
    }
}
