//! What an input is: a video, a folder of pictures, or a folder of videos.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::VideoError;

/// The input that stands for a video on standard input.
pub const STDIN: &str = "-";

/// Suffixes of the files in a folder that are taken for videos, without regard to case.
pub const VIDEO_SUFFIXES: [&str; 17] = [
    "mp4", "m4v", "mov", "avi", "mkv", "webm", "flv", "wmv", "mpg", "mpeg", "vob", "ts", "mts", "m2ts",
    "3gp", "ogv", "mxf",
];

/// Suffixes of the files in a folder that are taken for pictures, without regard to case.
pub const PICTURE_SUFFIXES: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff"];

/// What is found at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// One video: a file, or standard input. A single picture is a video of one frame.
    Video,
    /// A folder of pictures: one video.
    Pictures,
    /// A folder of videos, in natural order.
    Videos(Vec<PathBuf>),
}

impl Input {
    /// Looks at a path. A folder that holds videos counts for its videos, else for its pictures; hidden
    /// files do not count.
    ///
    /// # Errors
    /// There is nothing, or nothing of use, or it may not be read.
    pub fn classify(path: &Path) -> Result<Self, VideoError> {
        if path == Path::new(STDIN) {
            return Ok(Self::Video);
        }
        if !path.try_exists().map_err(|source| VideoError::Read { path: path.to_owned(), source })? {
            return Err(VideoError::NotFound(path.to_owned()));
        }
        if !path.is_dir() {
            return Ok(Self::Video);
        }
        let videos = files(path, &VIDEO_SUFFIXES)?;
        if !videos.is_empty() {
            return Ok(Self::Videos(videos));
        }
        if !files(path, &PICTURE_SUFFIXES)?.is_empty() {
            return Ok(Self::Pictures);
        }
        Err(VideoError::EmptyFolder(path.to_owned()))
    }
}

/// The videos of a folder and of all folders in it, in natural order; hidden ones do not count.
///
/// # Errors
/// A folder cannot be read, or there is no video.
pub fn videos_below(folder: &Path) -> Result<Vec<PathBuf>, VideoError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let failed = |source| VideoError::Read { path: next.clone(), source };
        for entry in fs::read_dir(&next).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            // Links to folders are not followed: they may lead round in circles.
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            if is_hidden(&path) {
                continue;
            }
            if is_folder {
                folders.push(path);
            } else if !is_overlay(&path) && has_suffix(&path, &VIDEO_SUFFIXES) && path.is_file() {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        return Err(VideoError::EmptyFolder(folder.to_owned()));
    }
    found.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(found)
}

/// The files of a folder with one of these suffixes, in natural order: `image2` before `image10`.
pub(super) fn files(folder: &Path, suffixes: &[&str]) -> Result<Vec<PathBuf>, VideoError> {
    let failed = |source| VideoError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !is_hidden(&path) && !is_overlay(&path) && has_suffix(&path, suffixes) && path.is_file() {
            files.push(path);
        }
    }
    files.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(files)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// What `--render` writes beside a `.pose` file is no new video.
fn is_overlay(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b".pose.mp4"))
}

fn has_suffix(path: &Path, suffixes: &[&str]) -> bool {
    let suffix = path.extension().and_then(OsStr::to_str);
    suffix.is_some_and(|suffix| suffixes.iter().any(|known| suffix.eq_ignore_ascii_case(known)))
}
