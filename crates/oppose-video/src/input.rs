//! Finding out what an input is: a video, a folder of pictures, or a folder of videos.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oppose_pose::walk::{Entry, is_hidden, walk};

use super::VideoError;

/// The path that means a video on standard input.
pub const STDIN: &str = "-";

/// Suffixes of files that count as videos when a folder is searched; case is ignored.
pub const VIDEO_SUFFIXES: [&str; 17] = [
    "mp4", "m4v", "mov", "avi", "mkv", "webm", "flv", "wmv", "mpg", "mpeg", "vob", "ts", "mts", "m2ts",
    "3gp", "ogv", "mxf",
];

/// Suffixes of files that count as pictures when a folder is searched; case is ignored.
pub const PICTURE_SUFFIXES: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff"];

/// Suffixes of overlays that are written beside a `.pose` file, as `NAME.pose.mp4`, in order of preference. They do not count
/// as videos when a folder is searched.
pub const OVERLAY_SUFFIXES: [&str; 2] = ["mp4", "webm"];

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// One video: a file, or standard input. A single picture is a video of one frame.
    Video,
    /// A folder of pictures: one video.
    Pictures,
    /// A folder of videos, in natural order.
    Videos(Vec<PathBuf>),
}

impl Input {
    /// Finds out what a path leads to. A folder that holds videos counts as these videos; otherwise, if it holds pictures, as
    /// one video; otherwise as the folders of pictures in it. Hidden files are ignored.
    ///
    /// # Errors
    /// There is nothing at the path, nothing that can be used, or it cannot be read.
    pub fn classify(path: &Path) -> Result<Self, VideoError> {
        if path == Path::new(STDIN) {
            return Ok(Self::Video);
        }
        if !path.try_exists().map_err(|error| VideoError::Read { path: path.to_owned(), source: error })? {
            return Err(VideoError::not_found(path));
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
        let failed = |error| VideoError::Read { path: path.to_owned(), source: error };
        let mut folders = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let folder = entry.map_err(failed)?.path();
            let has_pictures = |folder| files(folder, &PICTURE_SUFFIXES).is_ok_and(|files| !files.is_empty());
            if !is_hidden(&folder) && folder.is_dir() && has_pictures(&folder) {
                folders.push(folder);
            }
        }
        if folders.is_empty() {
            return Err(VideoError::EmptyFolder(path.to_owned()));
        }
        sort_naturally(&mut folders);
        Ok(Self::Videos(folders))
    }
}

/// The videos of a folder and its subfolders.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VideosBelow {
    /// Video files and folders of pictures, in natural order. Includes links that lead nowhere: opening one is an error that
    /// says so.
    pub videos: Vec<PathBuf>,
    /// Folders that could not be read.
    pub problems: Vec<VideoError>,
}

/// Finds the videos of a folder and its subfolders: video files, and folders that hold pictures and no videos. Ignores hidden
/// files and folders. Follows links to folders, and visits no folder twice, wherever links lead.
///
/// # Errors
/// The folder itself cannot be read, or there is nothing in it, not even a problem.
pub fn videos_below(folder: &Path) -> Result<VideosBelow, VideoError> {
    let mut below = VideosBelow::default();
    let failed = |path: &Path, error| VideoError::Read { path: path.to_owned(), source: error };
    let mut visit = |folder: &Path, entries: io::Result<Vec<Entry>>| {
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return below.problems.push(failed(folder, error)),
        };
        let (mut videos, mut has_pictures) = (Vec::new(), false);
        for Entry { path, metadata, .. } in entries {
            let is_video = !is_overlay(&path) && has_suffix(&path, &VIDEO_SUFFIXES);
            match metadata {
                Ok(found) if found.is_file() && is_video => videos.push(path),
                Ok(found) => has_pictures |= found.is_file() && has_suffix(&path, &PICTURE_SUFFIXES),
                Err(_) if is_video => videos.push(path),
                // A file that cannot be reached and is not a video does not matter, but a folder would.
                Err(error) if path.extension().is_none() => below.problems.push(failed(&path, error)),
                Err(_) => {}
            }
        }
        if videos.is_empty() && has_pictures {
            videos.push(folder.to_owned());
        }
        below.videos.append(&mut videos);
    };
    walk(folder, &mut visit).map_err(|error| failed(folder, error))?;
    if below.videos.is_empty() && below.problems.is_empty() {
        return Err(VideoError::EmptyFolder(folder.to_owned()));
    }
    sort_naturally(&mut below.videos);
    Ok(below)
}

fn sort_naturally(paths: &mut [PathBuf]) {
    paths.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
}

/// The files of a folder with one of these suffixes, in natural order: `image2` before `image10`. Includes links that lead
/// nowhere: opening one is an error, whereas a missing frame would go unnoticed.
pub(super) fn files(folder: &Path, suffixes: &[&str]) -> Result<Vec<PathBuf>, VideoError> {
    let failed = |error| VideoError::Read { path: folder.to_owned(), source: error };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !is_hidden(&path)
            && !is_overlay(&path)
            && has_suffix(&path, suffixes)
            && is_file_or_broken_link(&path)
        {
            files.push(path);
        }
    }
    sort_naturally(&mut files);
    Ok(files)
}

fn is_file_or_broken_link(path: &Path) -> bool {
    fs::metadata(path).map_or_else(|_| path.is_symlink(), |found| found.is_file())
}

/// Whether this is an overlay that was written beside a `.pose` file, and so not a new video.
fn is_overlay(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    OVERLAY_SUFFIXES.iter().any(|suffix| name.ends_with(format!(".pose.{suffix}").as_bytes()))
}

fn has_suffix(path: &Path, suffixes: &[&str]) -> bool {
    let suffix = path.extension().and_then(OsStr::to_str);
    suffix.is_some_and(|suffix| suffixes.iter().any(|known| suffix.eq_ignore_ascii_case(known)))
}
