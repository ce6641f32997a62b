//! What is worth knowing about a video that was read to its end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that the user should know about a video although it was read to its end. As text, it is one sentence without a
/// full stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Note {
    /// The timestamps in the file jump, as where recordings were joined. The timestamps of the frames continue without the
    /// jump.
    ClockJump {
        /// The first frame after a jump, from 0.
        frame: u64,
        /// How far the timestamps jump there, in seconds; negative if they go back.
        seconds: f64,
        /// How many jumps there are.
        count: u64,
    },
    /// The file has several video tracks.
    Tracks {
        /// Index of the one that was read, from 0.
        chosen: usize,
        /// A description of each.
        tracks: Vec<String>,
    },
    /// The file's index announces more frames than the file holds.
    FewerFrames {
        /// Number of frames in the index.
        announced: u64,
        /// Number of frames in the file.
        found: u64,
    },
    /// The file holds several recordings one after another, of which the first was read.
    MoreFilms {
        /// How many there are.
        films: u64,
    },
    /// Numbers are missing between the pictures of a folder.
    MissingPictures {
        /// How many.
        count: u64,
        /// The file name before the first gap.
        before: String,
        /// The file name after it.
        after: String,
    },
    /// A picture file has several pages, of which the first was read.
    Pages {
        /// How many there are.
        pages: u64,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockJump { frame, seconds, count } => {
                let direction = if *seconds < 0.0 { "back" } else { "forward" };
                write!(f, "the clock jumps {direction} by {:.1} s at frame {frame}", seconds.abs())?;
                if *count > 1 {
                    write!(f, ", the first of {count} jumps")?;
                }
                f.write_str(", as where recordings are joined; times continue without the jump")
            }
            Self::Tracks { chosen, tracks } => {
                write!(f, "{} video tracks (", tracks.len())?;
                for (number, track) in tracks.iter().enumerate() {
                    let separator = if number > 0 { "; " } else { "" };
                    write!(f, "{separator}{number}: {track}")?;
                }
                write!(f, "); track {chosen} was read")
            }
            Self::FewerFrames { announced, found } => {
                write!(f, "its index announces {announced} frames, it holds {found}; is it complete?")
            }
            Self::MoreFilms { films } => {
                write!(f, "the file holds {films} recordings one after another; only the first was read")
            }
            Self::MissingPictures { count, before, after } => {
                let are = if *count == 1 { "picture is" } else { "pictures are" };
                write!(f, "{count} numbered {are} missing, the first between {before} and {after}; ")?;
                f.write_str("the pictures after a gap are earlier in the result than their numbers say")
            }
            Self::Pages { pages } => {
                write!(f, "the picture has {pages} pages; only the first was read")
            }
        }
    }
}
