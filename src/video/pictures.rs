//! A folder of pictures as a video.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::input::{PICTURE_SUFFIXES, files};
use super::reader::Reader;
use super::{DecodeSummary, Frame, Options, Source, SourceError, VideoError, VideoInfo};

/// The pictures of a folder in natural order, one frame each.
pub(super) struct Pictures {
    paths: Vec<PathBuf>,
    options: Options,
    info: VideoInfo,
    frames: u64,
}

impl Pictures {
    pub(super) fn open(folder: &Path, options: &Options) -> Result<Self, VideoError> {
        let paths = files(folder, &PICTURE_SUFFIXES)?;
        let first = paths.first().ok_or_else(|| VideoError::EmptyFolder(folder.to_owned()))?;
        let mut info = Reader::open(first, options)?.info().clone();
        info.announced_frames = Some(paths.len() as u64);
        Ok(Self { paths, options: options.clone(), info, frames: 0 })
    }

    /// The next picture, or `None` after the last.
    fn picture(&mut self) -> Result<Option<Frame>, VideoError> {
        let index = self.frames;
        let Some(path) = self.paths.get(index as usize) else { return Ok(None) };
        let in_picture = |error| VideoError::Picture { path: path.clone(), error: Box::new(error) };
        let mut picture = Reader::open(path, &self.options).map_err(in_picture)?;
        let (found, expected) = (picture.info(), (self.info.width, self.info.height));
        let found = (found.width, found.height);
        if found != expected {
            return Err(in_picture(VideoError::SizeChanged { frame: index, expected, found }));
        }
        let frame = picture.next_frame().map_err(in_picture)?;
        let frame = frame.ok_or(VideoError::NoFrames).map_err(in_picture)?;
        self.frames += 1;
        let rate = self.info.frame_rate;
        Ok(Some(frame.renumbered(index, Duration::from_secs_f64(index as f64 / rate.as_f64()))))
    }
}

impl Source for Pictures {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        Ok(self.picture()?)
    }

    fn summary(&self) -> DecodeSummary {
        DecodeSummary { frames: self.frames, ..DecodeSummary::default() }
    }
}
