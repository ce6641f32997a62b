//! A folder of pictures as a video.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::input::{PICTURE_SUFFIXES, files};
use super::reader::Reader;
use super::{DecodeSummary, Frame, Note, Options, Source, SourceError, VideoError, VideoInfo};

/// The pictures of a folder in natural order, one frame each.
pub(super) struct Pictures {
    paths: Vec<PathBuf>,
    options: Options,
    info: VideoInfo,
    frames: u64,
    notes: Vec<Note>,
}

impl Pictures {
    pub(super) fn open(folder: &Path, options: &Options) -> Result<Self, VideoError> {
        let paths = files(folder, &PICTURE_SUFFIXES)?;
        let first = paths.first().ok_or_else(|| VideoError::EmptyFolder(folder.to_owned()))?;
        let first = Reader::open(first, options)?;
        let mut info = first.info().clone();
        info.announced_frames = Some(paths.len() as u64);
        let mut notes = first.summary().notes;
        notes.extend(gaps(&paths));
        Ok(Self { paths, options: options.clone(), info, frames: 0, notes })
    }

    /// The next picture, or `None` after the last.
    fn picture(&mut self) -> Result<Option<Frame>, VideoError> {
        let index = self.frames;
        let Some(path) = self.paths.get(index as usize) else { return Ok(None) };
        let in_picture = |error| VideoError::Picture { path: path.clone(), source: Box::new(error) };
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
        let mut summary = DecodeSummary::new(self.frames);
        summary.notes = self.notes.clone();
        summary
    }
}

/// Notes that numbers are missing, if the names of all pictures differ only in a number, and these numbers otherwise
/// increase by one, or by some other constant step.
fn gaps(paths: &[PathBuf]) -> Option<Note> {
    let numbered: Vec<(&str, u64)> = paths.iter().map(|path| number(path)).collect::<Option<_>>()?;
    if numbered.windows(2).any(|pair| pair[0].0 != pair[1].0) {
        return None;
    }
    let steps = || numbered.windows(2).map(|pair| pair[1].1.saturating_sub(pair[0].1));
    let step = steps().min().filter(|&step| step > 0)?;
    let missing = |gap: u64| gap / step - 1;
    let count = steps().map(missing).sum();
    let first = steps().position(|gap| missing(gap) > 0)?;
    // If hardly any numbers are consecutive, they count something else.
    let is_numbering = steps().filter(|&gap| gap == step).count() * 2 >= numbered.len() - 1;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    is_numbering.then(|| Note::MissingPictures {
        count,
        before: name(&paths[first]),
        after: name(&paths[first + 1]),
    })
}

/// A name without its suffix and the number at its end, and that number.
fn number(path: &Path) -> Option<(&str, u64)> {
    let stem = path.file_stem()?.to_str()?;
    let before = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((before, stem[before.len()..].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_between_numbered_pictures_are_found() {
        let gaps = |numbers: &[u64]| {
            let paths: Vec<PathBuf> =
                numbers.iter().map(|number| PathBuf::from(format!("a/image_{number:04}.png"))).collect();
            gaps(&paths).map(|note| note.to_string())
        };
        assert_eq!(gaps(&[0, 1, 2, 3]), None);
        assert_eq!(gaps(&[10, 20, 30, 40]), None, "every tenth frame");
        assert_eq!(gaps(&[5]), None);
        assert_eq!(gaps(&[3, 77, 512, 1000]), None, "the numbers count something else");
        let said = gaps(&[1, 2, 5, 6, 8]).unwrap();
        assert!(said.starts_with(
            "3 numbered pictures are missing, the first between image_0002.png and image_0005.png"
        ));
        assert!(gaps(&[2, 4, 6, 10]).unwrap().starts_with("1 numbered picture is missing"));
    }
}
