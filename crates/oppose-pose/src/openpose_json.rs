//! OpenPose's JSON: a folder with a file a frame, as `openpose.bin --write_json` makes it.
//!
//! `NAME_000000000017_keypoints.json` is frame 17. Numbers have six significant digits.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::pose_file::check_shape;
use super::{FramePose, PoseError, Skeleton, openpose_137};

/// What every file's name ends with.
const ENDING: &str = "_keypoints.json";
/// Longer videos are not in JSON: 46 hours at 60 frames a second.
const MAX_FRAMES: u64 = 10_000_000;
/// A thousand people of 137 points have 5 MB.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// Three bytes of JSON are a person already, who takes 1.6 kB.
const MAX_PEOPLE: usize = 1 << 14;

/// Why a folder of JSON cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The system refuses.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is nothing to read.
    #[error("{} holds no file named like video_000000000000{ENDING}: is it the folder OpenPose wrote?", .0.display())]
    NoFrames(PathBuf),
    /// Two files are the same frame.
    #[error("{} and {} are both frame {frame}: one folder holds one video", first.display(), second.display())]
    Twice {
        /// The frame.
        frame: u64,
        /// A file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// A number is larger than any video has.
    #[error("{} is frame {frame}, but a video has at most {MAX_FRAMES}: check its name", path.display())]
    FrameNumber {
        /// The file.
        path: PathBuf,
        /// The number in its name.
        frame: u64,
    },
    /// A file is larger than any frame.
    #[error("{} has more than {MAX_FILE_BYTES} bytes, which no frame has", .0.display())]
    TooLarge(PathBuf),
    /// A file is not OpenPose's JSON.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ContentError,
    },
}

/// What is wrong with the JSON of a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// It is not JSON, or not OpenPose's.
    #[error("not OpenPose's JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// There are more people than in any picture.
    #[error("{0} people, but a frame has at most {MAX_PEOPLE}")]
    People(usize),
    /// A component has another number of points.
    #[error("{component} of person {person} has {found} numbers, expected {expected} or none")]
    Points {
        /// Its name.
        component: &'static str,
        /// Counted from 0.
        person: usize,
        /// Numbers there are.
        found: usize,
        /// Three a point.
        expected: usize,
    },
}

/// The files of a folder by the number of their frame.
#[derive(Clone, Debug)]
pub struct JsonFolder {
    files: BTreeMap<u64, PathBuf>,
}

impl JsonFolder {
    /// Finds the frames; reads none of them yet.
    ///
    /// # Errors
    /// The folder cannot be read, holds no frame, or one twice.
    pub fn open(folder: &Path) -> Result<Self, JsonError> {
        let failed = |source| JsonError::Io { path: folder.to_owned(), source };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // Hidden files are others' business: macOS puts ._NAME beside NAME on foreign disks.
            let name = path.file_name().filter(|name| !name.as_encoded_bytes().starts_with(b"."));
            let Some(frame) = name.and_then(|name| frame_number(&name.to_string_lossy())) else {
                continue;
            };
            if frame >= MAX_FRAMES {
                return Err(JsonError::FrameNumber { path, frame });
            }
            if let Some(first) = files.insert(frame, path.clone()) {
                return Err(JsonError::Twice { frame, first, second: path });
            }
        }
        if files.is_empty() { Err(JsonError::NoFrames(folder.to_owned())) } else { Ok(Self { files }) }
    }

    /// Number of frames up to the last one that has a file.
    pub fn frames(&self) -> u64 {
        self.files.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// Frames that have a file.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Reads a frame. One without a file shows nobody.
    ///
    /// # Errors
    /// The file cannot be read or is not OpenPose's JSON.
    pub fn read(&self, frame: u64, pose: &mut FramePose) -> Result<(), JsonError> {
        match self.files.get(&frame) {
            Some(path) => read_file(path, pose),
            None => {
                let skeleton = openpose_137();
                pose.reset(0, skeleton.points(), skeleton.dimensions());
                Ok(())
            }
        }
    }
}

/// 17 of `video_000000000017_keypoints.json`.
fn frame_number(name: &str) -> Option<u64> {
    let stem = name.strip_suffix(ENDING)?;
    let digits = stem.rfind(|letter: char| !letter.is_ascii_digit()).map_or(stem, |at| {
        let letter = stem[at..].chars().next().map_or(0, char::len_utf8);
        &stem[at + letter..]
    });
    digits.parse().ok()
}

/// Of a frame, what is needed; OpenPose writes more.
#[derive(Deserialize)]
struct JsonFrame {
    people: Vec<JsonPerson>,
}

/// x, y and confidence of each point; empty where OpenPose did not look for them.
#[derive(Deserialize)]
struct JsonPerson {
    #[serde(default)]
    pose_keypoints_2d: Vec<f64>,
    #[serde(default)]
    face_keypoints_2d: Vec<f64>,
    #[serde(default)]
    hand_left_keypoints_2d: Vec<f64>,
    #[serde(default)]
    hand_right_keypoints_2d: Vec<f64>,
}

fn read_file(path: &Path, pose: &mut FramePose) -> Result<(), JsonError> {
    let failed = |source| JsonError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(JsonError::TooLarge(path.to_owned()));
    }
    from_json(&bytes, pose).map_err(|source| JsonError::Content { path: path.to_owned(), source })
}

/// Reads a frame from the contents of its file.
///
/// # Errors
/// They are not OpenPose's JSON.
pub fn from_json(bytes: &[u8], pose: &mut FramePose) -> Result<(), ContentError> {
    let frame: JsonFrame = serde_json::from_slice(bytes)?;
    if frame.people.len() > MAX_PEOPLE {
        return Err(ContentError::People(frame.people.len()));
    }
    let skeleton = openpose_137();
    let points = skeleton.points();
    pose.reset(frame.people.len(), points, skeleton.dimensions());
    for (index, person) in frame.people.iter().enumerate() {
        let parts = [
            &person.pose_keypoints_2d,
            &person.face_keypoints_2d,
            &person.hand_left_keypoints_2d,
            &person.hand_right_keypoints_2d,
        ];
        let mut first = index * points;
        for (component, numbers) in skeleton.components.iter().zip(parts) {
            let count = component.points.len();
            if !numbers.is_empty() && numbers.len() != 3 * count {
                return Err(ContentError::Points {
                    component: &component.name,
                    person: index,
                    found: numbers.len(),
                    expected: 3 * count,
                });
            }
            for (point, numbers) in numbers.chunks_exact(3).enumerate() {
                let place = first + point;
                pose.coordinates_mut()[2 * place] = numbers[0] as f32;
                pose.coordinates_mut()[2 * place + 1] = numbers[1] as f32;
                pose.confidences_mut()[place] = numbers[2] as f32;
            }
            first += count;
        }
    }
    Ok(())
}

/// Whether people of this skeleton can be written as OpenPose's JSON.
pub fn is_openpose(skeleton: &Skeleton) -> bool {
    let shape = |skeleton: &Skeleton| -> Vec<(String, usize)> {
        skeleton.components.iter().map(|part| (part.name.clone(), part.points.len())).collect()
    };
    shape(skeleton) == shape(openpose_137()) && skeleton.dimensions() == 2
}

/// The name of a frame's file.
pub fn file_name(video: &str, frame: u64) -> String {
    format!("{video}_{frame:012}{ENDING}")
}

/// Digits that OpenPose writes of a number.
pub const DIGITS: u8 = 6;

/// A frame as OpenPose writes it: its keys in its order, [`DIGITS`] significant digits. Rows without any point after
/// the last person are not people.
///
/// # Errors
/// The frame is of another skeleton than OpenPose's 137 points.
pub fn to_json(pose: &FramePose) -> Result<String, PoseError> {
    to_json_with(pose, DIGITS)
}

/// The same with another number of digits, at least 1; 9 keep every f32.
///
/// # Errors
/// The frame is of another skeleton than OpenPose's 137 points.
pub fn to_json_with(pose: &FramePose, digits: u8) -> Result<String, PoseError> {
    let skeleton = openpose_137();
    let points = skeleton.points();
    check_shape(pose, points, skeleton.dimensions())?;
    let is_there = |person: &[f32]| person.iter().any(|&confidence| confidence != 0.0);
    let people = pose.confidences().chunks_exact(points).rposition(is_there).map_or(0, |last| last + 1);
    let mut text = String::from("{\"version\":1.3,\"people\":[");
    for person in 0..people {
        text.push_str(if person > 0 { ",{\"person_id\":[-1]" } else { "{\"person_id\":[-1]" });
        let mut first = person * points;
        for component in &skeleton.components {
            text.push_str(&format!(",\"{}\":[", component.name));
            for place in first..first + component.points.len() {
                let at = &pose.coordinates()[2 * place..][..2];
                for (index, &number) in [at[0], at[1], pose.confidences()[place]].iter().enumerate() {
                    if place > first || index > 0 {
                        text.push(',');
                    }
                    text.push_str(&significant(number, digits));
                }
            }
            text.push(']');
            first += component.points.len();
        }
        for component in &skeleton.components {
            text.push_str(&format!(",\"{}\":[]", component.name.replace("_2d", "_3d")));
        }
        text.push('}');
    }
    text.push_str("]}");
    Ok(text)
}

/// The number that is read where `number` was written with so many significant digits: what a `.pose` file holds that
/// was made of OpenPose's JSON.
pub fn through_text(number: f32, digits: u8) -> f32 {
    // As the reader does: a double first, then single precision.
    significant(number, digits).parse::<f64>().map_or(0.0, |number| number as f32)
}

/// As C's `%g` writes a number, which is what C++ streams do.
fn significant(number: f32, digits: u8) -> String {
    let precision = i32::from(digits.max(1)) - 1;
    if number == 0.0 {
        return if number.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    if !number.is_finite() {
        return "0".into();
    }
    let scientific = format!("{:.*e}", precision as usize, f64::from(number));
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent {
        -4.. if exponent <= precision => {
            trimmed(&format!("{:.*}", (precision - exponent) as usize, f64::from(number)))
        }
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (640.125, "640.125"),
            (123.456_79, "123.457"),
            (0.1, "0.1"),
            (999_999.5, "1e+06"),
            (99_999.95, "100000"),
            (0.000_123_456_79, "0.000123457"),
            (0.000_01, "1e-05"),
            (-12.5, "-12.5"),
            (1_234_567.0, "1.23457e+06"),
        ];
        for (number, text) in cases {
            assert_eq!(significant(number, DIGITS), text);
        }
    }

    #[test]
    fn other_digits_are_rounded_too() {
        assert_eq!(significant(640.125, 4), "640.1");
        assert_eq!(significant(640.125, 2), "6.4e+02");
        assert_eq!(significant(0.1, 9), "0.100000001");
        assert_eq!(through_text(123.456_79, DIGITS), 123.457);
        assert_eq!(through_text(123.456_79, 9), 123.456_79);
    }

    #[test]
    fn frames_are_numbered_by_their_names() {
        assert_eq!(frame_number("a_000000000017_keypoints.json"), Some(17));
        assert_eq!(frame_number("17_keypoints.json"), Some(17));
        assert_eq!(frame_number("é3_keypoints.json"), Some(3));
        assert_eq!(frame_number("a_keypoints.json"), None);
        assert_eq!(frame_number("a_1.json"), None);
        assert_eq!(frame_number("a_99999999999999999999999_keypoints.json"), None);
    }

    #[test]
    fn another_skeleton_is_refused() {
        for pose in [FramePose::new(1, 576, 3), FramePose::new(1, 137, 3), FramePose::new(0, 576, 3)] {
            let expected = (137, 2);
            let error = to_json(&pose).unwrap_err();
            assert!(
                matches!(error, PoseError::Shape { expected: found, .. } if found == expected),
                "{error}"
            );
        }
    }

    #[test]
    fn hidden_files_are_no_frames() {
        let folder = tempfile::tempdir().unwrap();
        let text = to_json(&FramePose::new(0, 137, 2)).unwrap();
        std::fs::write(folder.path().join(file_name("clip", 0)), text).unwrap();
        for hidden in ["._clip_000000000000_keypoints.json", ".clip_000000000007_keypoints.json"] {
            std::fs::write(folder.path().join(hidden), b"\0\x05\x16\x07").unwrap();
        }
        let found = JsonFolder::open(folder.path()).unwrap();
        assert_eq!((found.frames(), found.files()), (1, 1));
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut pose = FramePose::new(3, 137, 2);
        for (index, number) in pose.coordinates_mut()[..2 * 2 * 137].iter_mut().enumerate() {
            *number = index as f32 * 0.5;
        }
        pose.confidences_mut()[..2 * 137].fill(0.75);
        std::fs::write(folder.path().join(file_name("clip", 2)), to_json(&pose).unwrap()).unwrap();
        let read = JsonFolder::open(folder.path()).unwrap();
        assert_eq!((read.frames(), read.files()), (3, 1));
        let mut found = FramePose::default();
        read.read(2, &mut found).unwrap();
        pose.truncate(2);
        assert_eq!(found, pose);
        read.read(0, &mut found).unwrap();
        assert_eq!(found.people(), 0);
    }
}
