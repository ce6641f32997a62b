//! What is worth knowing of a video that was read to its end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something about a video that its user should know, though it was read to its end. As text it is one sentence
/// without its full stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Note {
    /// The clock of the file jumps, as where recordings were joined. Times go on without the jump.
    ClockJump {
        /// The first frame after a jump, from 0.
        frame: u64,
        /// How far the clock jumps there, in seconds; negative where it goes back.
        seconds: f64,
        /// How many jumps there are.
        count: u64,
    },
    /// The file has several video tracks.
    Tracks {
        /// Number of the one that was read, from 0.
        chosen: usize,
        /// What each of them is.
        tracks: Vec<String>,
    },
    /// The index counts more frames than the file holds.
    FewerFrames {
        /// Frames by the index.
        announced: u64,
        /// Frames in the file.
        found: u64,
    },
    /// Several recordings stand one behind the other in the file, of which the first was read.
    MoreFilms {
        /// How many there are.
        films: u64,
    },
    /// Numbers are missing between the pictures of a folder.
    MissingPictures {
        /// How many.
        count: u64,
        /// The name before the first gap.
        before: String,
        /// The name after it.
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
                f.write_str(", as where recordings are joined; times go on without the jump")
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
                write!(f, "its index counts {announced} frames, it holds {found}; is it whole?")
            }
            Self::MoreFilms { films } => {
                write!(f, "the file holds {films} recordings one behind the other; only the first was read")
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
