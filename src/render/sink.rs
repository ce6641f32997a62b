//! The destination of the pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tiny_skia::Pixmap;

use super::RenderError;
use crate::output_file::write_file;
use crate::video::{Encoder, EncoderOptions};

/// A video file or a folder.
pub(super) enum Sink {
    Video(Box<Encoder>),
    /// A folder, and the number of digits in a picture's name.
    Pictures(PathBuf, usize),
}

impl Sink {
    pub(super) fn create(target: &Path, options: &EncoderOptions, frames: u64) -> Result<Self, RenderError> {
        // A suffix that is no video's is a mistake sooner than the name of a folder.
        if Encoder::can_write(target) || (target.extension().is_some() && !target.is_dir()) {
            return Ok(Self::Video(Box::new(Encoder::create(target, options)?)));
        }
        if target.exists() && !target.is_dir() {
            return Err(RenderError::NotAFolder(target.to_owned()));
        }
        let failed = |source| RenderError::Write { path: target.to_owned(), source };
        fs::create_dir_all(target).map_err(failed)?;
        if !options.overwrite && fs::read_dir(target).map_err(failed)?.next().is_some() {
            return Err(RenderError::FolderNotEmpty(target.to_owned()));
        }
        Ok(Self::Pictures(target.to_owned(), frames.saturating_sub(1).to_string().len().max(6)))
    }

    pub(super) fn write(
        &mut self,
        index: u64,
        picture: &Pixmap,
        time: Option<Duration>,
    ) -> Result<(), RenderError> {
        match self {
            Self::Video(encoder) => Ok(encoder.write(picture.data(), time)?),
            Self::Pictures(folder, digits) => {
                let path = folder.join(format!("{index:0digits$}.png"));
                let png = picture.encode_png().map_err(|error| RenderError::Encode(error.into()))?;
                write_file(&path, &png, true).map_err(|source| RenderError::Write { path, source })
            }
        }
    }

    /// Completes the file; returns why the sound was left out, if it was.
    pub(super) fn finish(self) -> Result<Option<String>, RenderError> {
        match self {
            Self::Video(encoder) => {
                let left_out = encoder.audio_left_out().map(str::to_owned);
                encoder.finish()?;
                Ok(left_out)
            }
            Self::Pictures(..) => Ok(None),
        }
    }
}
