//! What can go wrong when a video is written.

use std::io;
use std::path::PathBuf;

use crate::FfmpegError;

/// Why a video cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The suffix is not that of a kind of video that can be written.
    #[error("{} names no kind of video that can be written; expected .mp4, .mov, .mkv, .webm or .gif", .0.display())]
    Suffix(PathBuf),
    /// The file exists, and it was not asked to replace it.
    #[error("{} exists already; allow it to be replaced, or name another file", .0.display())]
    Exists(PathBuf),
    /// This FFmpeg was built without such an encoder.
    #[error(
        "this FFmpeg cannot write this kind of video: it has none of the encoders {missing}; write pictures or another \
         kind: {instead}"
    )]
    NoEncoder {
        /// The encoders that it could have.
        missing: String,
        /// The suffixes of the kinds of video that it can write.
        instead: String,
    },
    /// FFmpeg takes only paths in UTF-8 without zero bytes.
    #[error("the path {0:?} is not UTF-8; choose another name")]
    PathNotUtf8(PathBuf),
    /// FFmpeg refuses.
    #[error("cannot write the video {}", .path.display())]
    Ffmpeg {
        /// The file.
        path: PathBuf,
        /// FFmpeg's error.
        source: FfmpegError,
    },
    /// The system refuses.
    #[error("cannot write {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A picture has another size than the video.
    #[error("the picture has {found} bytes, expected {expected}: all pictures of a video have the same size")]
    PictureSize {
        /// Number of bytes given.
        found: usize,
        /// Number of bytes of a picture of the video's size.
        expected: usize,
    },
}
