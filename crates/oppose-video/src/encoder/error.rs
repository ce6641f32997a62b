//! What can be wrong with a video that is written.

use std::io;
use std::path::PathBuf;

/// Why a video cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The name does not say what kind of file is wanted.
    #[error("{} names no kind of video that can be written; expected .mp4, .mov, .mkv, .webm or .gif", .0.display())]
    Suffix(PathBuf),
    /// A file is there.
    #[error("{} exists; --overwrite replaces it", .0.display())]
    Exists(PathBuf),
    /// This FFmpeg was built without such an encoder.
    #[error(
        "this FFmpeg cannot write this kind of video: it has none of the encoders {0}; write .gif or pictures"
    )]
    NoEncoder(String),
    /// FFmpeg's path is UTF-8 without a zero.
    #[error("the path {0:?} is not UTF-8; choose another name")]
    PathNotUtf8(PathBuf),
    /// FFmpeg refuses.
    #[error("cannot write the video {}: {source}", .path.display())]
    Ffmpeg {
        /// The file.
        path: PathBuf,
        /// What FFmpeg says.
        source: ffmpeg_next::Error,
    },
    /// The system refuses.
    #[error("cannot write {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A picture of another size than the first.
    #[error("the picture has {found} bytes, expected {expected}: all pictures of a video are of one size")]
    PictureSize {
        /// Bytes given.
        found: usize,
        /// Bytes of a picture of the video's size.
        expected: usize,
    },
}
