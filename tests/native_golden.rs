//! Every stage against what the real OpenPose computed, each fed from the recording of the one before: a
//! single flipped peak would otherwise hide all that follows.
//!
//! The recordings in `tests/data` always run; those on photographs, and the NumPy reference of the CUDA
//! build, where the shared folder is.

#![allow(clippy::unwrap_used)] // A test is a program of its own here: Clippy does not see that it is one.

mod common;
#[path = "common/made_up_models.rs"]
mod made_up_models;
#[path = "common/npy.rs"]
mod npy;
#[path = "common/reference_executor.rs"]
mod reference_executor;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::{Need, trial};
use libtest_mimic::Trial;
use npy::Array;
use oppose::engine::native::assemble::body::{BODY_25, Thresholds};
use oppose::engine::native::assemble::crop::{self, Part};
use oppose::engine::native::assemble::heat_maps::{Merge, NetOutput};
use oppose::engine::native::assemble::keypoint_scale::KeypointScale;
use oppose::engine::native::assemble::people::{Assembly, People};
use oppose::engine::native::assemble::rectangles::{self, Rectangle};
use oppose::engine::native::assemble::size::{NetResolution, Scale, Size, net_size, net_to_frame, scales};
use oppose::engine::native::assemble::warp::{Interpolation, Warp};
use oppose::engine::native::assemble::{Keypoint, Parity, peaks, top};
use oppose::engine::native::model::{Graph, Net};
use oppose::video::Frame;
use serde_json::Value;

const PHOTOGRAPHS: [&str; 11] = [
    "a_640x480",
    "a_640x480_net368",
    "b_480x640",
    "b_480x640_net320x176",
    "c_210x260",
    "d_1280x720",
    "e_101x77",
    "e_101x77_net64",
    "f_320x320",
    "f_320x320_s2",
    "g_500x120",
];

type Stage = (&'static str, fn(&Recording));

const STAGES: [Stage; 9] = [
    ("1 sizes and scales", sizes_and_scales),
    ("2 net input", net_input),
    ("3 net output", net_output),
    ("4 heat maps", heat_maps),
    ("5 peaks", find_peaks),
    ("6 people", people),
    ("7 rectangles", rectangles),
    ("8 crops", crops),
    ("9 faces and hands", faces_and_hands),
];

fn main() {
    let mut trials = Vec::new();
    let drawn = ["s_161x121", "s_210x260", "s_320x240"];
    for case in drawn {
        let folder = common::repository("tests/data/golden-synthetic").join(case);
        trials.extend(STAGES.map(|stage| recorded(case, folder.clone(), stage, &[])));
    }
    for case in PHOTOGRAPHS {
        let folder = common::shared("golden").join(case);
        trials.extend(STAGES.map(|stage| recorded(case, folder.clone(), stage, &[Need::Shared("golden")])));
    }
    let needs = [Need::Python("numpy"), Need::Shared("spec/reference")];
    trials.push(trial("both builds against the NumPy reference", &needs, numpy_reference));
    common::run(trials)
}

fn recorded(case: &str, folder: PathBuf, (stage, test): Stage, needs: &[Need]) -> Trial {
    trial(&format!("{case}: {stage}"), needs, move || test(&Recording::open(folder)))
}

/// What the real library computed for a picture.
struct Recording {
    folder: PathBuf,
    meta: Value,
    frame: Frame,
}

impl Recording {
    fn open(folder: PathBuf) -> Self {
        let meta = json(&folder.join("meta.json"));
        let frame = picture(&folder.join("image.png"));
        Self { folder, meta, frame }
    }

    fn has(&self, name: &str) -> bool {
        self.folder.join(format!("{name}.npy")).exists()
    }

    fn array(&self, name: &str) -> Array {
        npy::read(&self.folder.join(format!("{name}.npy")))
    }

    fn number(&self, name: &str) -> f64 {
        self.meta[name].as_f64().expect("a number")
    }

    fn frame_size(&self) -> Size {
        Size { width: self.frame.width() as usize, height: self.frame.height() as usize }
    }

    fn scales(&self) -> Vec<Scale> {
        let side =
            |index: usize| self.meta["net_resolution"][index].as_i64().and_then(|side| side.try_into().ok());
        let net = net_size(NetResolution { width: side(0), height: side(1) }, self.frame_size()).unwrap();
        let mut found = Vec::new();
        let number = self.number("scale_number") as u32;
        scales(net, self.frame_size(), number, self.number("scale_gap"), &mut found).unwrap();
        found
    }

    fn net_to_frame(&self) -> f32 {
        net_to_frame(self.frame_size(), self.scales()[0].size)
    }

    /// Name of an array of a scale: the first has no number.
    fn of_scale(name: &str, index: usize) -> String {
        if index == 0 { name.to_owned() } else { format!("{name}_{index}") }
    }

    fn net_outputs(&self) -> Vec<Array> {
        (0..self.scales().len()).map(|index| self.array(&Self::of_scale("net_output", index))).collect()
    }

    fn people(&self) -> Vec<Keypoint> {
        keypoints(&self.array("pose_keypoints").values)
    }

    fn crop_side(&self) -> usize {
        self.number("face_hand_net_side") as usize
    }
}

const CROPS: [(&str, Part); 3] =
    [("face", Part::Face), ("hand_left", Part::LeftHand), ("hand_right", Part::RightHand)];

fn sizes_and_scales(recording: &Recording) {
    let scales = recording.scales();
    for (index, scale) in scales.iter().enumerate() {
        let size = &recording.meta["net_input_sizes"][index];
        assert_eq!(size, &Value::from(vec![scale.size.width, scale.size.height]));
        // JSON numbers are read to the last bit but one.
        let expected = recording.meta["scale_input_to_net"][index].as_f64().expect("a number");
        assert!((expected / scale.factor - 1.0).abs() <= f64::EPSILON, "{expected} {}", scale.factor);
    }
    assert_eq!(scales.len() as f64, recording.number("scale_number"));
    assert_eq!(recording.net_to_frame(), recording.number("scale_net_to_output") as f32);
}

fn net_input(recording: &Recording) {
    for (index, &scale) in recording.scales().iter().enumerate() {
        let name = Recording::of_scale("net_input", index);
        if recording.has(&name) {
            let mut planes = vec![0.0; 3 * scale.size.pixels()];
            Warp::default().net_input(&recording.frame, scale, &mut planes);
            assert_near(&planes, &recording.array(&name).values, 0.0);
        }
    }
}

/// The recordings themselves differ by up to 1.2e-5 with the number of threads.
const NET_NOISE: f32 = 3e-5;

fn net_output(recording: &Recording) {
    static NETS: LazyLock<[Graph; 3]> = LazyLock::new(|| {
        [Net::Body25, Net::Face, Net::Hand].map(|net| {
            let model = made_up_models::make(net, made_up_models::Size::Small);
            Graph::from_bytes(model.prototxt.as_bytes(), &model.caffemodel).unwrap()
        })
    });
    let [body, face, hand] = &*NETS;
    for (index, &scale) in recording.scales().iter().enumerate() {
        let name = Recording::of_scale("net_input", index);
        if recording.has(&name) {
            let found = reference_executor::run(body, &recording.array(&name).values, scale.size);
            let expected = recording.array(&Recording::of_scale("net_output", index)).values;
            assert_near(&found, &expected, NET_NOISE);
        }
    }
    for (name, part) in CROPS {
        if recording.has(&format!("{name}_crop")) {
            let net = if part == Part::Face { face } else { hand };
            let size = Size { width: recording.crop_side(), height: recording.crop_side() };
            let found = reference_executor::run(net, &recording.array(&format!("{name}_crop")).values, size);
            assert_near(&found, &recording.array(&format!("{name}_net_output")).values, NET_NOISE);
        }
    }
}

fn heat_maps(recording: &Recording) {
    let outputs = recording.net_outputs();
    let outputs: Vec<_> = outputs.iter().map(as_output).collect();
    let mut merge = Merge::new(Parity::Cpu);
    let mut maps = merge.merge(&outputs, &recording.scales());
    let mut plane = vec![0.0; recording.scales()[0].size.pixels()];
    for channel in [0, 26, 77] {
        let name = format!("heatmap_c{channel}");
        if recording.has(&name) {
            maps.plane(channel, &mut plane);
            assert_near(&plane, &recording.array(&name).values, 1e-6);
        }
    }
    if recording.has("heatmaps") {
        let all = recording.array("heatmaps").values;
        for (channel, expected) in all.chunks_exact(plane.len()).enumerate() {
            maps.plane(channel, &mut plane);
            assert_near(&plane, expected, 1e-6);
        }
    }
}

fn find_peaks(recording: &Recording) {
    let found =
        peaks_of(&recording.net_outputs(), &recording.scales(), recording.net_to_frame(), Parity::Cpu, 0.05);
    assert_peaks(&found, &recording.array("peaks"));
}

fn people(recording: &Recording) {
    let outputs = recording.net_outputs();
    let peaks = recorded_peaks(&recording.array("peaks"));
    let (scales, factor) = (recording.scales(), recording.net_to_frame());
    let found = people_of(&outputs, &scales, &peaks, factor, Parity::Cpu, Thresholds::new(false));
    assert_keypoints(&found.keypoints, &recording.people(), 1e-4);
    assert_near(&found.scores, &recording.array("pose_scores").values, 1e-4);
}

fn rectangles(recording: &Recording) {
    let people = recording.people();
    assert_eq!(people.len() / 25, recording.number("people") as usize);
    for (index, person) in people.chunks_exact(25).enumerate() {
        let expected = rectangle(&recording.meta["face_rects"][index]);
        assert_rectangle(rectangles::face(person, &BODY_25), expected);
        let hands = rectangles::hands(person);
        for (hand, expected) in hands.into_iter().zip(array(&recording.meta["hand_rects_left_right"][index]))
        {
            assert_rectangle(hand, rectangle(expected));
        }
    }
}

fn crops(recording: &Recording) {
    let side = recording.crop_side();
    let size = Size { width: side, height: side };
    let mut planes = vec![0.0; 3 * size.pixels()];
    for (name, part) in CROPS {
        if recording.has(&format!("{name}_crop")) {
            let info = json(&recording.folder.join(format!("{name}_crop.json")));
            let placement = crop::placement(rectangle(&info["rect"]), part, side);
            Warp::default().planes(&recording.frame, placement, Interpolation::Bilinear, size, &mut planes);
            assert_near(&planes, &recording.array(&format!("{name}_crop")).values, 0.0);
        }
    }
}

fn faces_and_hands(recording: &Recording) {
    for (name, part) in CROPS {
        let all = recording.array(&format!("{name}_keypoints"));
        let count = if part == Part::Face { 70 } else { 21 };
        for (index, person) in keypoints(&all.values).chunks_exact(count).enumerate() {
            let meta = &recording.meta;
            let rectangle = match part {
                Part::Face => rectangle(&meta["face_rects"][index]),
                Part::LeftHand => rectangle(&meta["hand_rects_left_right"][index][0]),
                Part::RightHand => rectangle(&meta["hand_rects_left_right"][index][1]),
            };
            let is_wanted = if part == Part::Face { rectangle.is_face() } else { rectangle.is_hand() };
            let is_nothing = person.iter().all(|point| *point == Keypoint::default());
            assert_eq!(is_wanted, !is_nothing, "{name} of person {index}");
        }
        if recording.has(&format!("{name}_crop")) {
            let info = json(&recording.folder.join(format!("{name}_crop.json")));
            let person = info["person"].as_u64().expect("a number") as usize;
            let output = recording.array(&format!("{name}_net_output"));
            let side = recording.crop_side();
            let found = crop_keypoints(&output, rectangle(&info["rect"]), part, side, Parity::Cpu);
            assert_keypoints(&found, &keypoints(&all.values)[person * count..][..count], 0.0);
        }
    }
}

fn numpy_reference() {
    let folder = tempfile::tempdir().unwrap();
    let reference = common::shared("spec/reference");
    common::run_python("openpose_reference.py", [reference.as_path(), folder.path()]);
    let mut people = 0;
    let scenes = fs::read_dir(folder.path()).unwrap();
    for scene in scenes {
        people += numpy_scene(&scene.unwrap().path());
    }
    assert!(people > 50, "{people} people in all scenes: too few to show anything");
}

/// Prints what was tested where the test fails.
struct ToldOnFailure<'a>(&'a Value);

impl Drop for ToldOnFailure<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in scene {}", self.0);
        }
    }
}

fn numpy_scene(folder: &Path) -> usize {
    let scene = json(&folder.join("scene.json"));
    let load = |name: &str| npy::read(&folder.join(format!("{name}.npy")));
    let size = |name: &str| {
        let side = |index: usize| scene[name][index].as_u64().expect("a side") as usize;
        Size { width: side(0), height: side(1) }
    };
    let (frame, net) = (size("frame"), size("net"));
    let parity = if scene["cuda"] == true { Parity::Cuda } else { Parity::Cpu };
    let thresholds = Thresholds::new(scene["maximize"] == true);
    let mut found = Vec::new();
    scales(net, frame, scene["scales"].as_u64().unwrap() as u32, 0.25, &mut found).unwrap();
    let factor = net_to_frame(frame, net);
    let outputs: Vec<_> = (0..found.len()).map(|index| load(&format!("net_output_{index}"))).collect();
    let _scene = ToldOnFailure(&scene);

    let views: Vec<_> = outputs.iter().map(as_output).collect();
    let mut merge = Merge::new(parity);
    let mut maps = merge.merge(&views, &found);
    let mut plane = vec![0.0; net.pixels()];
    for (channel, expected) in
        [0, 1, 25, 26, 77].into_iter().zip(load("heat_maps").values.chunks_exact(plane.len()))
    {
        maps.plane(channel, &mut plane);
        assert_near(&plane, expected, 0.0);
    }
    let expected_peaks = load("peaks");
    assert_peaks(&peaks_of(&outputs, &found, factor, parity, thresholds.peak), &expected_peaks);
    let peaks = recorded_peaks(&expected_peaks);
    let mut people = people_of(&outputs, &found, &peaks, factor, parity, thresholds);
    let expected = keypoints(&load("pose_keypoints").values);
    assert_keypoints(&people.keypoints, &expected, 0.0);
    assert_near(&people.scores, &load("pose_scores").values, 0.0);

    for (mode, unit) in
        [(1, KeypointScale::NetInput), (3, KeypointScale::ZeroToOne), (4, KeypointScale::PlusMinusOne)]
    {
        let mut scaled = people.keypoints.clone();
        unit.apply(&mut scaled, frame, factor);
        assert_keypoints(&scaled, &keypoints(&load(&format!("keypoint_scale_{mode}")).values), 0.0);
    }
    let (faces, hands) = (load("face_rectangles").values, load("hand_rectangles").values);
    for (index, person) in expected.chunks_exact(25).enumerate() {
        assert_rectangle(rectangles::face(person, &BODY_25), from_values(&faces[4 * index..]));
        let [left, right] = rectangles::hands(person);
        assert_rectangle(left, from_values(&hands[8 * index..]));
        assert_rectangle(right, from_values(&hands[8 * index + 4..]));
    }
    top::keep(&mut people, 25, 2, &mut Vec::new());
    assert_keypoints(&people.keypoints, &keypoints(&load("top_2").values), 0.0);

    let crop_rectangles: Vec<_> = load("crop_rectangles").values.chunks_exact(4).map(from_values).collect();
    for (number, part) in [(0, Part::Face), (2, Part::LeftHand), (4, Part::RightHand)] {
        let output = load(&format!("crop_{number}_net_output"));
        let expected = keypoints(&load(&format!("crop_{number}_keypoints")).values);
        for (rectangle, expected) in crop_rectangles.iter().zip(expected.chunks_exact(expected.len() / 2)) {
            assert_keypoints(&crop_keypoints(&output, *rectangle, part, 96, parity), expected, 0.0);
        }
    }
    let hand_scales: Vec<_> = load("hand_scales").values.chunks_exact(4).map(from_values).collect();
    assert_eq!(crop::hand_scales(crop_rectangles[0], 4, 0.4).collect::<Vec<_>>(), hand_scales);
    expected.len() / 25
}

fn peaks_of(
    outputs: &[Array],
    scales: &[Scale],
    factor: f32,
    parity: Parity,
    threshold: f32,
) -> Vec<Vec<Keypoint>> {
    let outputs: Vec<_> = outputs.iter().map(as_output).collect();
    let mut merge = Merge::new(parity);
    let mut maps = merge.merge(&outputs, scales);
    let size = scales[0].size;
    let mut plane = vec![0.0; size.pixels()];
    let mut part = |channel| {
        let mut found = Vec::new();
        maps.plane(channel, &mut plane);
        peaks::find(&plane, size, threshold, factor, parity, &mut found);
        found
    };
    (0..25).map(&mut part).collect()
}

fn people_of(
    outputs: &[Array],
    scales: &[Scale],
    peaks: &[Vec<Keypoint>],
    factor: f32,
    parity: Parity,
    thresholds: Thresholds,
) -> People {
    let outputs: Vec<_> = outputs.iter().map(as_output).collect();
    let mut merge = Merge::new(parity);
    let maps = merge.merge(&outputs, scales);
    let mut people = People::default();
    Assembly::default().assemble(&maps, peaks, &BODY_25, thresholds, parity, factor, &mut people);
    people
}

fn crop_keypoints(
    output: &Array,
    rectangle: Rectangle,
    part: Part,
    side: usize,
    parity: Parity,
) -> Vec<Keypoint> {
    let outputs = [as_output(output)];
    let scale = Scale { factor: 1.0, size: Size { width: side, height: side } };
    let mut merge = Merge::new(parity);
    let mut maps = merge.merge(&outputs, &[scale]);
    let mut points = vec![Keypoint::default(); if part == Part::Face { 70 } else { 21 }];
    crop::keypoints(&mut maps, crop::placement(rectangle, part, side), &mut Vec::new(), &mut points);
    points
}

fn as_output(array: &Array) -> NetOutput<'_> {
    let [.., height, width] = array.shape[..] else { panic!("{:?}", array.shape) };
    NetOutput { values: &array.values, size: Size { width, height } }
}

fn recorded_peaks(array: &Array) -> Vec<Vec<Keypoint>> {
    let parts = array.values.chunks_exact(128 * 3);
    parts.map(|part| keypoints(&part[3..][..3 * part[0] as usize])).collect()
}

fn keypoints(values: &[f32]) -> Vec<Keypoint> {
    values.chunks_exact(3).map(|v| Keypoint { x: v[0], y: v[1], score: v[2] }).collect()
}

fn from_values(values: &[f32]) -> Rectangle {
    assert_eq!(values[2], values[3], "a square");
    Rectangle { x: values[0], y: values[1], side: values[2] }
}

fn rectangle(value: &Value) -> Rectangle {
    let values: Vec<f32> = array(value).iter().map(|value| value.as_f64().unwrap() as f32).collect();
    from_values(&values)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

fn picture(path: &Path) -> Frame {
    let picture = tiny_skia::Pixmap::load_png(path).unwrap();
    let pixels =
        picture.pixels().iter().flat_map(|pixel| [pixel.blue(), pixel.green(), pixel.red()]).collect();
    Frame::new(0, None, picture.width(), picture.height(), pixels).unwrap()
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let difference = |(a, b): (&f32, &f32)| (a - b).abs();
    let worst = found.iter().zip(expected).map(difference).fold(0.0, f32::max);
    let is_number = found.iter().all(|value| !value.is_nan());
    assert!(is_number && worst <= tolerance, "largest difference {worst}, allowed {tolerance}");
}

#[track_caller]
fn assert_keypoints(found: &[Keypoint], expected: &[Keypoint], tolerance: f32) {
    let flat = |points: &[Keypoint]| points.iter().flat_map(|p| [p.x, p.y, p.score]).collect::<Vec<_>>();
    assert_near(&flat(found), &flat(expected), tolerance);
}

#[track_caller]
fn assert_peaks(found: &[Vec<Keypoint>], expected: &Array) {
    let expected = recorded_peaks(expected);
    let count = |peaks: &[Vec<Keypoint>]| peaks.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(count(found), count(&expected));
    assert_keypoints(&found.concat(), &expected.concat(), 1e-4);
}

/// Recorded rectangles are text of nine digits.
#[track_caller]
fn assert_rectangle(found: Rectangle, expected: Rectangle) {
    let values = |rectangle: Rectangle| [rectangle.x, rectangle.y, rectangle.side];
    assert_near(&values(found), &values(expected), 1e-4);
}
