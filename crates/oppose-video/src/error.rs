//! Why a video cannot be read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::input::{PICTURE_SUFFIXES, VIDEO_SUFFIXES};
use super::{MAX_PIXELS, MAX_SIDE, MIN_SIDE};

/// An error of FFmpeg's own. Prints as FFmpeg's message.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FfmpegError(pub(crate) ffmpeg_next::Error);

impl fmt::Debug for FfmpegError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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
        /// Where it leads.
        target: PathBuf,
    },
    /// The system refuses to read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is empty.
    #[error("the file is empty (0 bytes); copy or download it again")]
    Empty,
    /// The folder holds neither videos nor pictures.
    #[error(
        "no videos or pictures in the folder {}; looked for {}, {}",
        .0.display(), VIDEO_SUFFIXES.join(" "), PICTURE_SUFFIXES.join(" ")
    )]
    EmptyFolder(PathBuf),
    /// FFmpeg does not know this kind of file, or the file is too damaged to tell.
    #[error("expected a video, but its format is not recognised (is it a video, and complete?)")]
    Unrecognized(#[source] FfmpegError),
    /// A playlist, a script, or another format that consists of further files, which are never opened.
    #[error(
        "expected a video, found a file that only names others (format {0}); give the video itself, or join the parts \
         into one file with ffmpeg"
    )]
    OpensOthers(String),
    /// An MP4 file lacks its index, which is written last.
    #[error(
        "the file is an MP4 without its index (moov): the recording was interrupted, or the copy is cut off; copy it \
         again, or repair it with a tool that rebuilds the index, such as untrunc"
    )]
    NoIndex,
    /// FFmpeg before version 9 reads only still WebP.
    #[error(
        "the file is an animated WebP, which this FFmpeg cannot read; convert it to a video, GIF or PNG pictures \
         with another program, such as ImageMagick"
    )]
    AnimatedWebp,
    /// The file has no video track with this index.
    #[error("there is no video track {wanted}; the file has {}", list(.tracks))]
    NoSuchTrack {
        /// The requested index, from 0.
        wanted: usize,
        /// A description of each track.
        tracks: Vec<String>,
    },
    /// The file has only sound or other streams that are not video.
    #[error("expected a video stream, found only {0}; give a file with moving pictures")]
    NoVideoStream(String),
    /// This FFmpeg was built without the decoder.
    #[error("this FFmpeg has no decoder for {}", without_decoder(.0))]
    NoDecoder(String),
    /// The decoder does not start.
    #[error("the decoder cannot start")]
    Decoder(#[source] FfmpegError),
    /// No frame can be decoded.
    #[error("the file has a video stream, but no frame of it can be decoded; it is damaged or cut off")]
    NoFrames,
    /// Standard input yields no frame, most often because the video's index is at its end.
    #[error(
        "no frame comes from standard input: the video is damaged, or its index is at its end, which cannot be reached in a \
         pipe; give the file itself, or rewrite it with `ffmpeg -i IN -c copy -movflags +faststart OUT`"
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
    /// The size of the frames changes, but the keypoints of a `.pose` file are pixels of frames of one size.
    #[error(
        "frame {frame} is {}x{} pixels, those before it {}x{}; split the video there, or rescale it to one size",
        .found.0, .found.1, .expected.0, .expected.1
    )]
    SizeChanged {
        /// Index of the first frame of another size, from 0.
        frame: u64,
        /// Width and height of the frames before it.
        expected: (u32, u32),
        /// Width and height of this frame.
        found: (u32, u32),
    },
    /// The file holds less than it announces.
    #[error("the file is cut off{}; copy or download it again", cut(*.frames, *.announced))]
    Truncated {
        /// Number of frames decoded.
        frames: u64,
        /// Number of frames announced; often an estimate, 0 if there is none.
        announced: u64,
    },
    /// Most frames of the file cannot be decoded.
    #[error(
        "only {frames} of {packets} frames can be decoded: the file is damaged, or encrypted, or its index belongs to \
         another file"
    )]
    Undecodable {
        /// Number of frames decoded.
        frames: u64,
        /// Number of frames in the file.
        packets: u64,
    },
    /// Reading fails before the end of the file.
    #[error("reading fails after frame {frames}")]
    Broken {
        /// Number of frames decoded before.
        frames: u64,
        /// FFmpeg's error.
        source: FfmpegError,
    },
    /// A frame's colours cannot be converted.
    #[error("frame {frame} has the pixel format {format}, which cannot be converted to BGR")]
    PixelFormat {
        /// Index of the frame, from 0.
        frame: u64,
        /// FFmpeg's name of the format.
        format: String,
    },
    /// A picture of a folder cannot be used.
    #[error("cannot use the picture {}", .path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<VideoError>,
    },
}

impl VideoError {
    pub(super) fn unrecognized(error: ffmpeg_next::Error) -> Self {
        Self::Unrecognized(FfmpegError(error))
    }

    pub(super) fn decoder(error: ffmpeg_next::Error) -> Self {
        Self::Decoder(FfmpegError(error))
    }

    pub(super) fn broken(frames: u64, error: ffmpeg_next::Error) -> Self {
        Self::Broken { frames, source: FfmpegError(error) }
    }

    /// The error for a path that does not exist.
    pub(super) fn not_found(path: &Path) -> Self {
        match path.read_link() {
            Ok(target) => Self::BrokenLink { path: path.to_owned(), target },
            Err(_) => Self::NotFound(path.to_owned()),
        }
    }
}

/// How much of a file that is cut off exists. If it has reached an estimate, that says nothing.
fn cut(frames: u64, announced: u64) -> String {
    match announced > frames {
        true => format!(": it announces {announced} frames and holds {frames}"),
        false => format!(" after frame {frames}: it lacks the end that its structure announces"),
    }
}

fn list(tracks: &[String]) -> String {
    let numbered = tracks.iter().enumerate().map(|(number, track)| format!("{number} ({track})"));
    numbered.collect::<Vec<_>>().join(", ")
}

/// The missing decoder and what to do about it. FFmpeg has read AV1 since version 4.0.
fn without_decoder(codec: &str) -> String {
    let since = if codec == "av1" { ", which came with FFmpeg 4.0" } else { "" };
    format!("{codec}{since}; convert the video to H.264, or install a newer or fuller FFmpeg")
}
