//! Every stage of the engine `holistic` compared with MediaPipe itself. `tests/python/holistic_streams.py` records what the
//! original computes on a video; each stage gets the original's input and must produce the original's result, to the last
//! bit.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::error::Error;
use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::LazyLock;

use common::Need;
use oppose::engine::Engine;
use oppose::engine::holistic::body::{Body, BodyLandmarker, BodySmoother, PersonDetector};
use oppose::engine::holistic::face::{self, Face, FaceDetector, FaceLandmarker};
use oppose::engine::holistic::geometry::{Landmark, Rect, Size};
use oppose::engine::holistic::hand::{self, Hand, HandLandmarker, HandRecropper, Side};
use oppose::engine::holistic::models::{Models, needed};
use oppose::engine::holistic::{Complexity, Holistic, Options};
use oppose::pose::FramePose;
use oppose::video::{Frame, FrameRate, VideoInfo};
use serde_json::Value;

/// The result of a check.
type Checked = Result<(), Box<dyn Error>>;

/// What the original computed on one video.
struct Recording {
    options: Options,
    size: Size,
    frames: Vec<Vec<u8>>,
    /// For each frame, its intermediate results by name.
    streams: Vec<Value>,
    /// For each frame, its pose according to pose-format: all (x, y, z), then all confidences.
    poses: Vec<Vec<f32>>,
}

impl Recording {
    fn frame(&self, i: usize) -> Frame {
        Frame::new(i as u64, None, self.size.width, self.size.height, self.frames[i].clone())
            .expect("a whole frame")
    }

    fn numbers(&self, i: usize, stream: &str) -> Option<Vec<Vec<f64>>> {
        let value = self.streams[i].get(stream).unwrap_or_else(|| panic!("no stream {stream}"));
        let rows = value.as_array()?;
        let number = |value: &Value| value.as_f64().expect("a number");
        let numbers = |row: &Value| row.as_array().expect("a list").iter().map(number).collect();
        Some(match rows.first()? {
            Value::Number(_) => vec![numbers(value)],
            _ => rows.iter().map(numbers).collect(),
        })
    }

    fn rect(&self, i: usize, stream: &str) -> Option<Rect> {
        let numbers = self.numbers(i, stream)?;
        let [x, y, width, height, rotation] = numbers[0][..] else { panic!("{stream} is no rectangle") };
        let [x, y, width, height, rotation] = [x, y, width, height, rotation].map(|number| number as f32);
        Some(Rect { x, y, width, height, rotation })
    }

    fn face(&self, i: usize) -> Option<Box<Face>> {
        let numbers = self.numbers(i, "face")?;
        Some(numbers.iter().map(|point| [0, 1, 2].map(|axis| point[axis] as f32)).collect())
    }

    fn landmarks<const N: usize>(&self, i: usize, stream: &str) -> Option<[Landmark; N]> {
        let numbers = self.numbers(i, stream)?;
        assert_eq!(numbers.len(), N, "{stream}");
        Some(std::array::from_fn(|k| [0, 1, 2].map(|axis| numbers[k][axis] as f32)))
    }

    fn visibility(&self, i: usize, stream: &str) -> [f32; 33] {
        let numbers = self.numbers(i, stream).expect("landmarks");
        std::array::from_fn(|k| numbers[k][3] as f32)
    }

    /// The body before (`raw_`) or after smoothing.
    fn body(&self, i: usize, raw: &str) -> Option<Body> {
        let stream = format!("{raw}body");
        Some(Body {
            landmarks: self.landmarks(i, &stream)?,
            visibility: self.visibility(i, &stream),
            world: self.landmarks(i, &format!("{raw}world"))?,
            auxiliary: self.landmarks(i, "raw_auxiliary")?,
        })
    }
}

/// Counts numbers that should be equal.
#[derive(Default)]
struct Numbers {
    count: usize,
    different: usize,
    largest: f32,
}

impl Numbers {
    fn compare(&mut self, found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            self.count += 1;
            if found != expected {
                self.different += 1;
                self.largest = self.largest.max((found - expected).abs());
            }
        }
    }

    fn landmarks(&mut self, found: &[Landmark], expected: &[Landmark]) {
        self.compare(found.as_flattened(), expected.as_flattened());
    }

    fn rects(&mut self, found: Rect, expected: Rect) {
        let numbers = |rect: Rect| [rect.x, rect.y, rect.width, rect.height, rect.rotation];
        self.compare(&numbers(found), &numbers(expected));
    }

    /// Compares two results, which must both exist or both be missing.
    fn both<T: std::fmt::Debug>(
        &mut self,
        what: &str,
        found: Option<T>,
        expected: Option<T>,
        compare: impl FnOnce(&mut Self, T, T),
    ) -> Checked {
        match (found, expected) {
            (Some(found), Some(expected)) => compare(self, found, expected),
            (None, None) => {}
            (found, expected) => return Err(format!("{what}: found {found:?}, expected {expected:?}").into()),
        }
        Ok(())
    }

    /// Fails if there were too few numbers, or some differed.
    fn verdict(self) -> Checked {
        let Self { count, different, largest } = self;
        match (count, different) {
            (0..20, _) => Err(format!("only {count} numbers").into()),
            (_, 0) => Ok(()),
            _ => Err(format!("{different} of {count} numbers differ, by up to {largest}").into()),
        }
    }
}

type Check = fn(&Recording, &Models) -> Checked;

const CHECKS: &[(&str, Check)] = &[
    ("person_detection", person_detection),
    ("body_landmarks", body_landmarks),
    ("body_smoothing", body_smoothing),
    ("rough_hand_regions", rough_hand_regions),
    ("hand_recrop", hand_recrop),
    ("hand_tracking", hand_tracking),
    ("hand_landmarks", hand_landmarks),
    ("rough_face_region", rough_face_region),
    ("face_detection", face_detection),
    ("face_tracking", face_tracking),
    ("face_landmarks", face_landmarks),
    ("whole_clip", whole_clip),
    ("reproducible", reproducible),
    ("still_images", still_images),
];

/// How many of the checks, from the first on, concern only the body.
const BODY_CHECKS: usize = 3;

fn person_detection(original: &Recording, models: &Models) -> Checked {
    let mut detector = PersonDetector::load(models, &original.options)?;
    let mut numbers = Numbers::default();
    for i in 0..original.frames.len() {
        let found = detector.detect(&original.frame(i))?;
        let expected = original.rect(i, "detected_region");
        numbers.both(&format!("frame {i}"), found, expected, Numbers::rects)?;
    }
    numbers.verdict()
}

/// The bodies before smoothing, ours and the original's.
fn raw_bodies(original: &Recording, models: &Models) -> Result<Vec<(Body, Body)>, Box<dyn Error>> {
    let mut landmarker = BodyLandmarker::load(models, &original.options)?;
    let mut bodies = Vec::new();
    for i in 0..original.frames.len() {
        let Some(region) = original.rect(i, "body_region") else { continue };
        let found = landmarker.estimate(&original.frame(i), &region)?;
        let expected = original.body(i, "raw_");
        if found.is_some() != expected.is_some() {
            return Err(
                format!("frame {i}: found {}, expected {}", found.is_some(), expected.is_some()).into()
            );
        }
        bodies.extend(found.zip(expected));
    }
    Ok(bodies)
}

fn body_landmarks(original: &Recording, models: &Models) -> Checked {
    let mut numbers = Numbers::default();
    for (found, expected) in raw_bodies(original, models)? {
        numbers.landmarks(&found.landmarks, &expected.landmarks);
        numbers.landmarks(&found.auxiliary, &expected.auxiliary);
        numbers.landmarks(&found.world, &expected.world);
        numbers.compare(&found.visibility, &expected.visibility);
    }
    numbers.verdict()
}

fn body_smoothing(original: &Recording, _: &Models) -> Checked {
    let mut smoother = BodySmoother::new(&original.options);
    let mut numbers = Numbers::default();
    for i in 0..original.frames.len() {
        let (Some(raw), Some(expected)) = (original.body(i, "raw_"), original.body(i, "")) else {
            smoother.miss();
            continue;
        };
        let found = smoother.smooth(&raw, original.size);
        numbers.landmarks(&found.landmarks, &expected.landmarks);
        numbers.landmarks(&found.world, &expected.world);
        numbers.compare(&found.visibility, &expected.visibility);
        let region = original.rect(i, "next_body_region").ok_or("no region")?;
        numbers.rects(found.next_region(original.size), region);
    }
    numbers.verdict()
}

/// Both hands, with the names of their streams.
const HANDS: [(Side, &str); 2] = [(Side::Left, "left"), (Side::Right, "right")];

fn rough_hand_regions(original: &Recording, _: &Models) -> Checked {
    let mut numbers = Numbers::default();
    for i in 0..original.frames.len() {
        for (side, name) in HANDS {
            let found = original.body(i, "").and_then(|body| side.rough_region(&body, original.size));
            let expected = original.rect(i, &format!("{name}_rough"));
            numbers.both(&format!("frame {i}, {name}"), found, expected, Numbers::rects)?;
        }
    }
    numbers.verdict()
}

fn hand_recrop(original: &Recording, models: &Models) -> Checked {
    let mut recropper = HandRecropper::load(models)?;
    let mut numbers = Numbers::default();
    for i in 0..original.frames.len() {
        for (_, name) in HANDS {
            let Some(rough) = original.rect(i, &format!("{name}_rough")) else { continue };
            let found = recropper.refine(&original.frame(i), &rough)?;
            numbers.rects(found, original.rect(i, &format!("{name}_expected")).ok_or("no region")?);
        }
    }
    numbers.verdict()
}

fn hand_tracking(original: &Recording, _: &Models) -> Checked {
    let mut numbers = Numbers::default();
    for (_, name) in HANDS {
        let mut previous: Option<Hand> = None;
        for i in 0..original.frames.len() {
            if let Some(rect) = original.rect(i, &format!("{name}_expected")) {
                let found = hand::choose_region(previous.as_ref(), rect, original.size);
                numbers.rects(found, original.rect(i, &format!("{name}_region")).ok_or("no region")?);
            }
            previous = original.landmarks(i, &format!("{name}_hand"));
        }
    }
    numbers.verdict()
}

fn hand_landmarks(original: &Recording, models: &Models) -> Checked {
    let mut landmarker = HandLandmarker::load(models)?;
    let mut numbers = Numbers::default();
    for i in 0..original.frames.len() {
        for (_, name) in HANDS {
            let Some(region) = original.rect(i, &format!("{name}_region")) else { continue };
            let found = landmarker.estimate(&original.frame(i), &region)?;
            let expected: Option<Hand> = original.landmarks(i, &format!("{name}_hand"));
            numbers.both(&format!("frame {i}, {name}"), found, expected, |numbers, found, expected| {
                numbers.landmarks(&found, &expected);
            })?;
        }
    }
    numbers.verdict()
}

fn rough_face_region(original: &Recording, _: &Models) -> Checked {
    let mut numbers = Numbers::default();
    for i in 0..original.frames.len() {
        let Some(body) = original.body(i, "") else { continue };
        let found = face::rough_region(&body, original.size);
        numbers.rects(found, original.rect(i, "face_rough").ok_or("no region")?);
    }
    numbers.verdict()
}

fn face_detection(original: &Recording, models: &Models) -> Checked {
    let mut detector = FaceDetector::load(models)?;
    let mut numbers = Numbers::default();
    for i in 0..original.frames.len() {
        let Some(rough) = original.rect(i, "face_rough") else { continue };
        let found = detector.detect(&original.frame(i), &rough)?;
        let expected = original.rect(i, "face_expected");
        numbers.both(&format!("frame {i}"), found, expected, Numbers::rects)?;
    }
    numbers.verdict()
}

fn face_tracking(original: &Recording, _: &Models) -> Checked {
    let (mut numbers, mut previous) = (Numbers::default(), None::<Box<Face>>);
    for i in 0..original.frames.len() {
        if let Some(detected) = original.rect(i, "face_expected") {
            let found = face::choose_region(previous.as_deref(), detected, original.size);
            numbers.rects(found, original.rect(i, "face_region").ok_or("no region")?);
        }
        previous = original.face(i);
    }
    numbers.verdict()
}

/// With a refined face, this includes the net with attention and the merging of its parts.
fn face_landmarks(original: &Recording, models: &Models) -> Checked {
    let mut landmarker = FaceLandmarker::load(models, &original.options)?;
    let mut numbers = Numbers::default();
    for i in 0..original.frames.len() {
        let Some(region) = original.rect(i, "face_region") else { continue };
        let found = landmarker.estimate(&original.frame(i), &region)?;
        numbers.both(&format!("frame {i}"), found, original.face(i), |numbers, found, expected| {
            numbers.landmarks(&found, &expected);
        })?;
    }
    numbers.verdict()
}

fn open(options: Options, threads: Option<usize>) -> Result<Holistic, Box<dyn Error>> {
    let threads = threads.map(NonZeroUsize::try_from).transpose()?;
    Ok(Holistic::open(&common::models(), options.with_threads(threads))?)
}

/// For each frame, the coordinates of all points, then their confidences.
fn estimate(original: &Recording, engine: &mut Holistic) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let frame_rate = FrameRate::DEFAULT;
    let Size { width, height } = original.size;
    engine.start_video(&VideoInfo::new(width, height, frame_rate))?;
    let mut poses = Vec::new();
    let mut pose = FramePose::default();
    for i in 0..original.frames.len() + engine.capacity() {
        if i >= engine.capacity() && engine.pop(&mut pose)? {
            poses.push([pose.coordinates(), pose.confidences()].concat());
        }
        if i < original.frames.len() {
            engine.push(original.frame(i))?;
        }
    }
    Ok(poses)
}

/// The whole clip, including the feedback from frame to frame.
fn whole_clip(original: &Recording, _: &Models) -> Checked {
    let poses = estimate(original, &mut open(original.options, None)?)?;
    assert_eq!(poses.len(), original.poses.len());
    let mut numbers = Numbers::default();
    for (found, expected) in poses.iter().zip(&original.poses) {
        numbers.compare(found, expected);
    }
    numbers.verdict()
}

/// Neither the number of threads nor earlier videos change the result.
fn reproducible(original: &Recording, _: &Models) -> Checked {
    let mut engine = open(original.options, Some(1))?;
    let first = estimate(original, &mut engine)?;
    if estimate(original, &mut engine)? != first {
        return Err("the second run of an engine differs from its first".into());
    }
    for threads in [4, 7] {
        if estimate(original, &mut open(original.options, Some(threads))?)? != first {
            return Err(format!("{threads} threads give different points than one").into());
        }
    }
    // Dropping the engine in the middle of a video must not hang.
    engine.push(original.frame(0))?;
    Ok(())
}

/// A still image gives the same result whatever was seen before it, namely that of the original when it sees nothing
/// else.
fn still_images(original: &Recording, _: &Models) -> Checked {
    let options = original.options.with_still_images(true);
    let together = estimate(original, &mut open(options, None)?)?;
    for i in [0, 30, original.frames.len() - 1] {
        let alone = Recording {
            options,
            size: original.size,
            frames: vec![original.frames[i].clone()],
            streams: Vec::new(),
            poses: Vec::new(),
        };
        let found = estimate(&alone, &mut open(options, None)?)?;
        if found[0] != together[i] {
            return Err(format!("frame {i} depends on the frames before it").into());
        }
    }
    // The first frame has none before it.
    let unsmoothed = original.options.with_smooth_landmarks(false);
    if estimate(original, &mut open(unsmoothed, None)?)?[0] != together[0] {
        return Err("the first picture differs from the first frame of a video".into());
    }
    Ok(())
}

/// Frames of any size give one person, found or not; the size may change during a video.
fn odd_frames() -> Checked {
    let mut engine = open(Options::new(), None)?;
    let mut pose = FramePose::default();
    for (width, height) in [(1, 1), (20_000, 2), (3, 5_000), (0, 0), (17, 9)] {
        let pixels = (0..width * height * 3).map(|i| (i * 7919 % 256) as u8).collect();
        engine.push(Frame::new(0, None, width, height, pixels)?)?;
        assert!(engine.pop(&mut pose)?);
        assert_eq!((pose.people(), pose.points(), pose.dimensions()), (1, 576, 3));
    }
    assert!(!engine.pop(&mut pose)?, "nothing is in flight");
    Ok(())
}

/// A net without its unused outputs gives the same values in the others.
fn pruned_nets(models: &Models) -> Checked {
    // The net that refines the crop of a hand is deliberately split, which changes the last bits.
    let nets = needed(&Options::new()).into_iter().filter(|model| model.name() != "hand_recrop.tflite");
    for model in nets {
        let (mut pruned, mut whole) = (models.load(&model)?, models.load_whole(&model)?);
        for net in [&mut pruned, &mut whole] {
            for (i, value) in net.input_mut().iter_mut().enumerate() {
                *value = (i * 7919 % 255) as f32 / 255.0;
            }
            net.run()?;
        }
        let used = model.used_outputs().enumerate().filter(|(_, used)| *used);
        for (pruned_index, (whole_index, _)) in used.enumerate() {
            if pruned.output(pruned_index) != whole.output(whole_index) {
                return Err(format!("{}: output {whole_index} differs", model.name()).into());
            }
        }
    }
    Ok(())
}

/// The options in pose-format's syntax.
fn configuration(options: Options) -> String {
    let settings = options.settings().into_iter();
    settings.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Makes the original process a video's first `count` frames, and records its results.
fn record(
    video: &str,
    count: usize,
    options: Options,
    arguments: &[&str],
) -> Result<Recording, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let script = common::repository("tests/python/holistic_streams.py");
    let mut command = Command::new(common::python());
    command.arg(script).arg(common::models().join("holistic")).arg(common::shared(video));
    command
        .arg(folder.path())
        .arg(count.to_string())
        .args(["--config", &configuration(options)])
        .args(arguments);
    common::bytes(&mut command);
    let read = |name| std::fs::read(folder.path().join(name));
    let streams: Value = serde_json::from_slice(&read("streams.json")?)?;
    let side = |name| streams[name].as_u64().and_then(|side| u32::try_from(side).ok()).ok_or("no size");
    let size = Size { width: side("width")?, height: side("height")? };
    let pixels = size.width as usize * size.height as usize * 3;
    let floats: Vec<f32> =
        read("pose.f32")?.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok(Recording {
        options,
        size,
        frames: read("frames.bgr")?.chunks_exact(pixels).map(<[u8]>::to_vec).collect(),
        streams: streams["frames"].as_array().ok_or("no frames")?.clone(),
        poses: floats.chunks_exact(options.skeleton().points() * 4).map(<[f32]>::to_vec).collect(),
    })
}

const SIGNER_VIDEO: &str = "media/signer.mp4";
const CROWD_VIDEO: &str = "media/crowd.avi";

/// One person signing with the right hand.
static SIGNER: LazyLock<Recording> =
    LazyLock::new(|| record(SIGNER_VIDEO, 58, Options::new(), &[]).expect("a recording"));
/// The same mirrored, hence with the left hand, and with the person absent for some frames.
static MIRRORED: LazyLock<Recording> = LazyLock::new(|| {
    let options = ["--mirror", "--black", "25", "30"];
    record(SIGNER_VIDEO, 50, Options::new(), &options).expect("a recording")
});
/// Many people, too small for hands and faces: only the stages for the body find anything.
static CROWD: LazyLock<Recording> =
    LazyLock::new(|| record(CROWD_VIDEO, 40, Options::new(), &[]).expect("a recording"));

/// The same person with the settings used for most corpora.
static REFINED: LazyLock<Recording> = LazyLock::new(|| {
    let options =
        Options::new().with_complexity(Complexity::Heavy).with_smooth_landmarks(false).with_refine_face(true);
    record(SIGNER_VIDEO, 58, options, &["--mirror", "--black", "25", "30"]).expect("a recording")
});
/// The smallest net, and confidence limits at which the person is sometimes lost.
static LITE: LazyLock<Recording> = LazyLock::new(|| {
    let options = Options::new().with_complexity(Complexity::Lite);
    let options = options.with_minimum_detection_confidence(0.7).with_minimum_tracking_confidence(0.9);
    record(SIGNER_VIDEO, 58, options, &[]).expect("a recording")
});

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let mut trials = Vec::new();
    let clips = [
        ("signer", SIGNER_VIDEO, &SIGNER, CHECKS),
        ("mirrored", SIGNER_VIDEO, &MIRRORED, CHECKS),
        ("crowd", CROWD_VIDEO, &CROWD, &CHECKS[..BODY_CHECKS]),
        ("refined", SIGNER_VIDEO, &REFINED, CHECKS),
        ("lite", SIGNER_VIDEO, &LITE, CHECKS),
    ];
    for (clip, video, recording, checks) in clips {
        for &(name, check) in checks {
            let needs = [
                Need::Models,
                Need::Shared(video),
                Need::Python("mediapipe"),
                Need::Python("pose_format"),
                Need::Net(match clip {
                    "refined" => "pose_landmark_heavy.tflite",
                    "lite" => "pose_landmark_lite.tflite",
                    _ => "pose_landmark_full.tflite",
                }),
            ];
            trials.push(common::trial(&format!("{clip}/{name}"), &needs, move || {
                println!("{clip}/{name}");
                assert_passes(
                    Models::open(&common::models(), &recording.options)
                        .map_err(Box::from)
                        .and_then(|models| check(recording, &models)),
                );
            }));
        }
    }
    trials.push(common::trial("pruned_nets", &[Need::Models], || {
        let models = Models::open(&common::models(), &Options::new());
        assert_passes(models.map_err(Box::from).and_then(|models| pruned_nets(&models)));
    }));
    trials.push(common::trial("odd_frames", &[Need::Models], || assert_passes(odd_frames())));
    trials
}

fn assert_passes(checked: Checked) {
    if let Err(error) = checked {
        panic!("{error}");
    }
}
