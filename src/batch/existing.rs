//! What exists at the path of a `.pose` file that is to be written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::journal::{RecordedDone, VideoState};
use crate::Chain;
use crate::pose::{Pose, PoseError};

/// What was found at the path.
#[derive(Debug)]
pub(super) enum Existing {
    /// Nothing.
    Nothing,
    /// The whole file: its video is done.
    Complete {
        /// Frames in it.
        frames: u64,
    },
    /// Something other than the result of the video, and why.
    Other(String),
    /// It cannot be determined.
    Unknown(PoseError),
}

impl Existing {
    /// Checks the path of an output. `recorded` is what the journal says about it, `video` is the present state of the
    /// video.
    pub(super) fn at(output: &Path, recorded: Option<&RecordedDone>, video: Option<&VideoState>) -> Self {
        let change = || video?.change_since(recorded?.source.as_ref()?);
        match Pose::check_file(output) {
            Ok(frames) if recorded.is_some_and(|recorded| recorded.frames != frames) => Self::Other(format!(
                "has {frames} frames, but the journal recorded {}",
                recorded.map_or(0, |recorded| recorded.frames)
            )),
            Ok(frames) => match change() {
                Some(change) => Self::Other(change),
                None => Self::Complete { frames },
            },
            Err(PoseError::Io { source, .. })
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Self::Nothing
            }
            Err(error @ PoseError::Io { .. }) => Self::Unknown(error),
            // The caller knows the file's name.
            Err(PoseError::File { source, .. }) => match *source {
                PoseError::NotPose(found) => Self::Other(format!("is not a .pose file ({found})")),
                error => Self::Other(format!("is damaged ({})", Chain(&error))),
            },
            Err(error) => Self::Other(format!("is damaged ({})", Chain(&error))),
        }
    }
}

/// Moves a file out of the way: `NAME.pose` becomes `NAME.replaced.pose`. Returns the new path.
///
/// # Errors
/// The file cannot be renamed.
pub(super) fn set_aside(output: &Path) -> io::Result<PathBuf> {
    let mut name = output.file_stem().unwrap_or_default().to_owned();
    name.push(".replaced.pose");
    let aside = output.with_file_name(name);
    fs::rename(output, &aside)?;
    Ok(aside)
}
