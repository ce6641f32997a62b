//! OpenPose's JSON: a folder with one file per frame, as `openpose.bin --write_json` writes it.
//!
//! `NAME_000000000017_keypoints.json` is frame 17. Numbers have six significant digits.
//!
//! The reader accepts the keys of current versions (`pose_keypoints_2d`) and of the first ones (`pose_keypoints`), and bodies
//! of BODY_25. It also accepts COCO's body, the 18 points of the first versions: BODY_25 has points of the same names, to
//! which they are moved, and the seven others (MidHip and the feet) count as not found; [`Contents`] reports this. BODY_25B
//! has 25 points too, in another order, and cannot be told apart from BODY_25.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::walk::is_hidden;
use super::{FramePose, PersonView, PoseError, Skeleton, openpose_137};

/// The end of every file's name.
const ENDING: &str = "_keypoints.json";
/// The largest number of frames: 46 hours at 60 frames per second.
const MAX_FRAMES: u64 = 10_000_000;
/// The largest size of a file: a thousand people with 137 points take 5 MB.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// The largest number of people in a frame: three bytes of JSON can be a person, who takes 1.6 kB of memory.
const MAX_PEOPLE: usize = 1 << 14;

/// Why a folder of JSON cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The system refuses.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is nothing to read.
    #[error("{} holds no file named like video_000000000000{ENDING}: is it the folder OpenPose wrote?", .0.display())]
    NoFrames(PathBuf),
    /// Two files are for the same frame.
    #[error("{} and {} are both frame {frame}: one folder holds one video", first.display(), second.display())]
    Twice {
        /// The index of the frame.
        frame: u64,
        /// One file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// The number in a file's name is larger than any video's number of frames.
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
    #[error("cannot use {}", path.display())]
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
    /// The file is empty, or holds only white space or zeros.
    #[error(
        "not OpenPose's JSON: the file is empty, because writing it was interrupted or the disk was full"
    )]
    Empty,
    /// It ends before the JSON does.
    #[error("not OpenPose's JSON: the file is cut off; copy it or make it again")]
    CutOff,
    /// It contains NaN or infinity, which Python writes and JSON does not have.
    #[error(
        "{0} in line {1}, column {2}: JSON has no such number, and OpenPose writes none; a point that was not found is \
         0, 0, 0"
    )]
    NotANumber(&'static str, usize, usize),
    /// It is not JSON. Holds the parser's error, which says in which line and column.
    #[error("not OpenPose's JSON, nor valid JSON at all")]
    Syntax(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is JSON, but not OpenPose's.
    #[error("not OpenPose's JSON: {0}")]
    Other(String),
    /// There are more people than in any frame.
    #[error("{0} people, but a frame has at most {MAX_PEOPLE}")]
    People(usize),
    /// A person has no known key.
    #[error(
        "person {person} has none of OpenPose's keys (pose_keypoints_2d, face_keypoints_2d, hand_left_keypoints_2d, \
         hand_right_keypoints_2d, or the same without _2d){}",
        found(.keys)
    )]
    Keys {
        /// The index of the person, from 0.
        person: usize,
        /// The keys that were found instead.
        keys: Vec<String>,
    },
    /// A person has only three-dimensional points.
    #[error("person {0} has only points in space (keys ending in _3d); the points in the picture are needed")]
    Only3d(usize),
    /// A component has another number of points.
    #[error("{component} of person {person} has {found} numbers, expected {expected} or none{}", model(.component, *.found))]
    Points {
        /// Its name.
        component: &'static str,
        /// The index of the person, from 0.
        person: usize,
        /// How many numbers were found.
        found: usize,
        /// How many were expected: three per point.
        expected: usize,
    },
    /// A number is larger than any coordinate.
    #[error("{component} of person {person} holds {value:e}, which is too large for a coordinate")]
    TooLarge {
        /// Its name.
        component: &'static str,
        /// The index of the person, from 0.
        person: usize,
        /// The number.
        value: f64,
    },
}

/// The keys that were found, for an error.
fn found(keys: &[String]) -> String {
    match keys {
        [] => ": it is empty".into(),
        keys => format!("; found {}", keys.join(", ")),
    }
}

/// Which of OpenPose's models has a body with this many numbers, and what to do about it.
fn model(component: &str, numbers: usize) -> String {
    if component != openpose_137().components[0].name || !numbers.is_multiple_of(3) {
        return String::new();
    }
    let name = match numbers / 3 {
        15 => "OpenPose's model MPI",
        17 => "COCO as other programs than OpenPose have it",
        19 => "OpenPose's model BODY_19",
        23 => "OpenPose's model BODY_23",
        33 => "MediaPipe's body",
        59 => "OpenPose's model BODY_59",
        65 => "OpenPose's model BODY_65",
        95 => "OpenPose's model BODY_95",
        135 => "OpenPose's model BODY_135",
        _ => return format!(": a body of {} points, which is not one of OpenPose's", numbers / 3),
    };
    format!(
        ": it is a body of {} points, {name}; only BODY_25 and COCO's 18 points can be read. Estimate the video again \
         with BODY_25",
        numbers / 3
    )
}

/// A folder of OpenPose's JSON: its files by frame index.
#[derive(Clone, Debug)]
pub struct JsonFolder {
    files: BTreeMap<u64, PathBuf>,
}

impl JsonFolder {
    /// Finds the frames of a folder without reading them.
    ///
    /// # Errors
    /// The folder cannot be read, holds no frames, or holds one twice.
    pub fn open(folder: &Path) -> Result<Self, JsonError> {
        let failed = |error| JsonError::Io { path: folder.to_owned(), source: error };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // Hidden files are not OpenPose's: macOS puts ._NAME beside NAME on foreign disks.
            let name = path.file_name().filter(|_| !is_hidden(&path));
            let Some(frame) = name.and_then(|name| frame_index(&name.to_string_lossy())) else {
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

    /// Number of frames that have a file.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Reads a frame into `pose`, whose memory is reused. A frame without a file has no people.
    ///
    /// # Errors
    /// The file cannot be read, or is not OpenPose's JSON.
    pub fn read(&self, frame: u64, pose: &mut FramePose) -> Result<Contents, JsonError> {
        match self.files.get(&frame) {
            Some(path) => read_file(path, pose),
            None => {
                let skeleton = openpose_137();
                pose.reset(0, skeleton.points(), skeleton.dimensions());
                Ok(Contents::default())
            }
        }
    }
}

/// The frame index in a file's name: 17 for `video_000000000017_keypoints.json`.
fn frame_index(name: &str) -> Option<u64> {
    let stem = name.strip_suffix(ENDING)?;
    let digits = stem.rfind(|letter: char| !letter.is_ascii_digit()).map_or(stem, |at| {
        let letter = stem[at..].chars().next().map_or(0, char::len_utf8);
        &stem[at + letter..]
    });
    digits.parse().ok()
}

/// What is worth knowing about the JSON of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contents {
    /// Number of people with a body of COCO's 18 points.
    pub coco_bodies: usize,
}

/// The part of a frame's JSON that is needed.
#[derive(Deserialize)]
#[serde(expecting = "an object with a list of people")]
struct JsonFrame {
    people: People,
}

/// The people of a frame, at most as many as a frame may have, and how many there are.
struct People {
    first: Vec<JsonPerson>,
    count: usize,
}

impl<'de> Deserialize<'de> for People {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = People;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of people")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<People, A::Error> {
                let mut first = Vec::new();
                while first.len() < MAX_PEOPLE {
                    match list.next_element()? {
                        Some(Object(person)) => first.push(person),
                        None => return Ok(People { count: first.len(), first }),
                    }
                }
                let mut count = first.len();
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(People { first, count })
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// A person, which has to be an object: serde alone would accept a list as well.
struct Object(JsonPerson);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a person, which is an object,")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object, A::Error> {
                JsonPerson::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// x, y and confidence of each point; empty if OpenPose did not look for them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonPerson {
    pose_keypoints_2d: Numbers,
    face_keypoints_2d: Numbers,
    hand_left_keypoints_2d: Numbers,
    hand_right_keypoints_2d: Numbers,
    // The same in the first versions.
    pose_keypoints: Numbers,
    face_keypoints: Numbers,
    hand_left_keypoints: Numbers,
    hand_right_keypoints: Numbers,
    // In space: only whether there are any matters.
    pose_keypoints_3d: Vec<IgnoredAny>,
    face_keypoints_3d: Vec<IgnoredAny>,
    hand_left_keypoints_3d: Vec<IgnoredAny>,
    hand_right_keypoints_3d: Vec<IgnoredAny>,
}

impl JsonPerson {
    /// The components in their order: the numbers under the current key, or else under the old one. `None` if there is
    /// neither key.
    fn parts(&self) -> [Option<&[f64]>; 4] {
        let either = |new: &'_ Numbers, old: &'_ Numbers| -> bool {
            new.0.as_ref().is_some_and(|new| !new.is_empty()) || old.0.is_none()
        };
        [
            (&self.pose_keypoints_2d, &self.pose_keypoints),
            (&self.face_keypoints_2d, &self.face_keypoints),
            (&self.hand_left_keypoints_2d, &self.hand_left_keypoints),
            (&self.hand_right_keypoints_2d, &self.hand_right_keypoints),
        ]
        .map(|(new, old)| if either(new, old) { new } else { old }.0.as_deref())
    }

    fn has_3d(&self) -> bool {
        [
            &self.pose_keypoints_3d,
            &self.face_keypoints_3d,
            &self.hand_left_keypoints_3d,
            &self.hand_right_keypoints_3d,
        ]
        .into_iter()
        .any(|points| !points.is_empty())
    }
}

/// The numbers under a key; `None` if the key is missing.
#[derive(Default)]
struct Numbers(Option<Vec<f64>>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::new();
                while let Some(Number(number)) = list.next_element()? {
                    numbers.push(number);
                }
                Ok(Numbers(Some(numbers)))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// A number, which errors call by that name.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plain;
        impl Visitor<'_> for Plain {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }
        }
        deserializer.deserialize_f64(Plain)
    }
}

/// The first keys of each person, for an error.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a person")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if keys.len() < 8 {
                        keys.push(key.chars().take(40).collect());
                    }
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// The keys of a person who has no known key.
fn keys(bytes: &[u8], person: usize) -> Vec<String> {
    #[derive(Deserialize)]
    struct Frame {
        people: Vec<Keys>,
    }
    let frame = serde_json::from_slice(bytes).ok();
    frame.and_then(|mut frame: Frame| Some(frame.people.get_mut(person)?.0.split_off(0))).unwrap_or_default()
}

/// What is wrong with bytes that cannot be read as a frame.
fn diagnose(bytes: &[u8], error: serde_json::Error) -> ContentError {
    if bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return ContentError::Empty;
    }
    if error.is_eof() {
        return ContentError::CutOff;
    }
    let (line, column) = (error.line(), error.column());
    if error.is_syntax() {
        let text = bytes.split(|&byte| byte == b'\n').nth(line.saturating_sub(1)).unwrap_or_default();
        // The parser stops at the word or a letter or two into it.
        let words = ["NaN", "nan", "Infinity", "inf"];
        let found = (column.saturating_sub(3)..=column)
            .filter_map(|at| text.get(at..))
            .find_map(|rest| words.into_iter().find(|word| rest.starts_with(word.as_bytes())));
        return match found {
            Some(word) => ContentError::NotANumber(word, line, column),
            None => ContentError::Syntax(error.into()),
        };
    }
    let words = error.to_string().replace("invalid type: ", "found ");
    ContentError::Other(words.replace("missing field `people`", "there is no \"people\" in it"))
}

fn read_file(path: &Path, pose: &mut FramePose) -> Result<Contents, JsonError> {
    let failed = |error| JsonError::Io { path: path.to_owned(), source: error };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(JsonError::TooLarge(path.to_owned()));
    }
    from_json(&bytes, pose).map_err(|error| JsonError::Content { path: path.to_owned(), source: error })
}

/// The index in BODY_25 of the point that has the same name as each of COCO's 18 points.
const COCO_IN_BODY_25: [usize; 18] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];

/// Reads a frame from the contents of its file into `pose`, whose memory is reused.
///
/// # Errors
/// The bytes are not OpenPose's JSON.
pub fn from_json(bytes: &[u8], pose: &mut FramePose) -> Result<Contents, ContentError> {
    // Editors on Windows begin text files with this mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(ContentError::Other(
            "it is a list, as AlphaPose and COCO's tools write; OpenPose writes an object with \"people\""
                .into(),
        ));
    }
    let frame: JsonFrame = serde_json::from_slice(bytes).map_err(|error| diagnose(bytes, error))?;
    let people = frame.people;
    if people.count > MAX_PEOPLE {
        return Err(ContentError::People(people.count));
    }
    let skeleton = openpose_137();
    let points = skeleton.points();
    let mut contents = Contents::default();
    pose.reset(people.count, points, skeleton.dimensions());
    for (index, person) in people.first.iter().enumerate() {
        let parts = person.parts();
        if parts.iter().flatten().all(|numbers| numbers.is_empty()) && person.has_3d() {
            return Err(ContentError::Only3d(index));
        }
        if parts.iter().all(Option::is_none) {
            return Err(ContentError::Keys { person: index, keys: keys(bytes, index) });
        }
        let mut first = index * points;
        for (place, (component, numbers)) in skeleton.components.iter().zip(parts).enumerate() {
            let count = component.points.len();
            let numbers = numbers.unwrap_or_default();
            let is_coco = place == 0 && numbers.len() == 3 * COCO_IN_BODY_25.len();
            contents.coco_bodies += usize::from(is_coco);
            if !numbers.is_empty() && numbers.len() != 3 * count && !is_coco {
                return Err(ContentError::Points {
                    component: &component.name,
                    person: index,
                    found: numbers.len(),
                    expected: 3 * count,
                });
            }
            if let Some(&value) = numbers.iter().find(|number| !(**number as f32).is_finite()) {
                return Err(ContentError::TooLarge { component: &component.name, person: index, value });
            }
            for (point, numbers) in numbers.chunks_exact(3).enumerate() {
                let place = first + if is_coco { COCO_IN_BODY_25[point] } else { point };
                pose.coordinates_mut()[2 * place] = numbers[0] as f32;
                pose.coordinates_mut()[2 * place + 1] = numbers[1] as f32;
                pose.confidences_mut()[place] = numbers[2] as f32;
            }
            first += count;
        }
    }
    Ok(contents)
}

/// Whether people with this skeleton can be written as OpenPose's JSON.
pub fn is_supported(skeleton: &Skeleton) -> bool {
    let shape = |skeleton: &Skeleton| -> Vec<(String, usize)> {
        skeleton.components.iter().map(|part| (part.name.clone(), part.points.len())).collect()
    };
    shape(skeleton) == shape(openpose_137()) && skeleton.dimensions() == 2
}

/// The name of the file for a frame.
pub fn file_name(video: &str, frame: u64) -> String {
    format!("{video}_{frame:012}{ENDING}")
}

/// The number of significant digits that OpenPose writes.
pub const SIGNIFICANT_DIGITS: u8 = 6;

/// A frame as OpenPose writes it: with its keys in its order and [`SIGNIFICANT_DIGITS`]. Empty rows after the last person are
/// left out.
///
/// # Errors
/// The frame does not have OpenPose's 137 points.
pub fn to_json(pose: &FramePose) -> Result<String, PoseError> {
    to_json_with(pose, SIGNIFICANT_DIGITS)
}

/// Like [`to_json`], with another number of significant digits, at least 1; 9 keep every f32.
///
/// # Errors
/// The frame does not have OpenPose's 137 points.
pub fn to_json_with(pose: &FramePose, digits: u8) -> Result<String, PoseError> {
    let skeleton = openpose_137();
    let frame = pose.view(skeleton)?;
    let is_there = |person: PersonView<'_>| person.confidences().iter().any(|&confidence| confidence != 0.0);
    let people = frame.people().rposition(is_there).map_or(0, |last| last + 1);
    let mut text = String::from("{\"version\":1.3,\"people\":[");
    for person in frame.people().take(people) {
        text.push_str(if person.row() > 0 { ",{\"person_id\":[-1]" } else { "{\"person_id\":[-1]" });
        for component in person.components() {
            text.push_str(&format!(",\"{}\":[", component.name()));
            for (index, point) in component.points().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                for &coordinate in point.coordinates() {
                    text.push_str(&significant(coordinate, digits));
                    text.push(',');
                }
                text.push_str(&significant(point.confidence(), digits));
            }
            text.push(']');
        }
        for component in &skeleton.components {
            text.push_str(&format!(",\"{}\":[]", component.name.replace("_2d", "_3d")));
        }
        text.push('}');
    }
    text.push_str("]}");
    Ok(text)
}

/// The number that is read back after `number` was written with `digits` significant digits, as in OpenPose's JSON.
pub fn round_to_digits(number: f32, digits: u8) -> f32 {
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
            assert_eq!(significant(number, SIGNIFICANT_DIGITS), text);
        }
    }

    #[test]
    fn other_digits_are_rounded_too() {
        assert_eq!(significant(640.125, 4), "640.1");
        assert_eq!(significant(640.125, 2), "6.4e+02");
        assert_eq!(significant(0.1, 9), "0.100000001");
        assert_eq!(round_to_digits(123.456_79, SIGNIFICANT_DIGITS), 123.457);
        assert_eq!(round_to_digits(123.456_79, 9), 123.456_79);
    }

    #[test]
    fn frames_are_numbered_by_their_names() {
        assert_eq!(frame_index("a_000000000017_keypoints.json"), Some(17));
        assert_eq!(frame_index("17_keypoints.json"), Some(17));
        assert_eq!(frame_index("é3_keypoints.json"), Some(3));
        assert_eq!(frame_index("a_keypoints.json"), None);
        assert_eq!(frame_index("a_1.json"), None);
        assert_eq!(frame_index("a_99999999999999999999999_keypoints.json"), None);
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
