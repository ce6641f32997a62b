//! OpenPose's JSON: a folder with a file a frame, as `openpose.bin --write_json` makes it.
//!
//! `NAME_000000000017_keypoints.json` is frame 17. Numbers have six significant digits.
//!
//! Read are the keys of today (`pose_keypoints_2d`) and of the first versions (`pose_keypoints`), and bodies of
//! BODY_25. A body of COCO, the 18 points of the first versions, has names that BODY_25 has too: each point is put in
//! the place of its name, and the seven others (MidHip and the feet) count as not found. [`Contents`] tells that this
//! was done. BODY_25B has 25 points as well, in another order, and cannot be told apart from BODY_25.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::pose_file::check_shape;
use super::walk::is_hidden;
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
    /// There is nothing in it.
    #[error(
        "not OpenPose's JSON: the file is empty, because writing it was interrupted or the disk was full"
    )]
    Empty,
    /// It ends before the JSON does.
    #[error("not OpenPose's JSON: the file is cut off; copy it or make it again")]
    CutOff,
    /// NaN or infinity stands in it, which Python writes and JSON does not have.
    #[error(
        "{0} in line {1}, column {2}: JSON has no such number, and OpenPose writes none; a point that was not found is \
         0, 0, 0"
    )]
    NotANumber(&'static str, usize, usize),
    /// It is not JSON.
    #[error("not OpenPose's JSON, nor valid JSON at all: {0}")]
    Syntax(#[source] serde_json::Error),
    /// It is JSON, but not OpenPose's.
    #[error("not OpenPose's JSON: {0}")]
    Other(String),
    /// There are more people than in any picture.
    #[error("{0} people, but a frame has at most {MAX_PEOPLE}")]
    People(usize),
    /// Nothing that is known is there of a person.
    #[error(
        "person {person} has none of OpenPose's keys (pose_keypoints_2d, face_keypoints_2d, hand_left_keypoints_2d, \
         hand_right_keypoints_2d, or the same without _2d){}",
        found(.keys)
    )]
    Keys {
        /// Counted from 0.
        person: usize,
        /// What is there instead.
        keys: Vec<String>,
    },
    /// A person has points in space only.
    #[error("person {0} has only points in space (keys ending in _3d); the points in the picture are needed")]
    Only3d(usize),
    /// A component has another number of points.
    #[error("{component} of person {person} has {found} numbers, expected {expected} or none{}", model(.component, *.found))]
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
    /// A number is larger than any coordinate.
    #[error("{component} of person {person} holds {value:e}, which is too large for a coordinate")]
    TooLarge {
        /// Its name.
        component: &'static str,
        /// Counted from 0.
        person: usize,
        /// The number.
        value: f64,
    },
}

/// The keys that are there, for an error.
fn found(keys: &[String]) -> String {
    match keys {
        [] => ": it is empty".into(),
        keys => format!("; found {}", keys.join(", ")),
    }
}

/// Which of OpenPose's models has a body of so many numbers, and what to do about it.
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
            let name = path.file_name().filter(|_| !is_hidden(&path));
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

/// 17 of `video_000000000017_keypoints.json`. Files whose names begin with a dot are not OpenPose's: a Mac leaves
/// `._video_000000000017_keypoints.json` beside each of its own.
fn frame_number(name: &str) -> Option<u64> {
    if name.starts_with('.') {
        return None;
    }
    let stem = name.strip_suffix(ENDING)?;
    let digits = stem.rfind(|letter: char| !letter.is_ascii_digit()).map_or(stem, |at| {
        let letter = stem[at..].chars().next().map_or(0, char::len_utf8);
        &stem[at + letter..]
    });
    digits.parse().ok()
}

/// What a frame's JSON was, beside its people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// People with a body of COCO's 18 points.
    pub coco_bodies: usize,
}

/// Of a frame, what is needed; OpenPose writes more.
#[derive(Deserialize)]
#[serde(expecting = "an object with a list of people")]
struct JsonFrame {
    people: People,
}

/// The people of a frame, as many as a frame may have; of more only the number.
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

/// A person, which has to be an object: by itself serde would take a list for one as well.
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

/// x, y and confidence of each point; empty where OpenPose did not look for them.
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
    /// The components in their order: what stands under the key of today, or else under the old one. `None` where
    /// there is neither key.
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

/// The numbers under a key; `None` where the key is not there.
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

/// A number, and in an error called that.
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

/// The keys of a person that are there, where none of them is known.
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
            None => ContentError::Syntax(error),
        };
    }
    let words = error.to_string().replace("invalid type: ", "found ");
    ContentError::Other(words.replace("missing field `people`", "there is no \"people\" in it"))
}

fn read_file(path: &Path, pose: &mut FramePose) -> Result<Contents, JsonError> {
    let failed = |source| JsonError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(JsonError::TooLarge(path.to_owned()));
    }
    from_json(&bytes, pose).map_err(|source| JsonError::Content { path: path.to_owned(), source })
}

/// Where each of COCO's 18 points is in BODY_25, by its name.
const COCO_IN_BODY_25: [usize; 18] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];

/// Reads a frame from the contents of its file.
///
/// # Errors
/// They are not OpenPose's JSON.
pub fn from_json(bytes: &[u8], pose: &mut FramePose) -> Result<Contents, ContentError> {
    // Editors of Windows put it there.
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
