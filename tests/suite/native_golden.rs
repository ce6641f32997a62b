//! Every stage compared with what the real OpenPose computed. Each gets the recorded result of the previous stage, because
//! otherwise a single differing peak would hide everything that follows.
//!
//! The tests with the recordings in `tests/data` always run; those with photographs, and with the NumPy reference of the
//! CUDA build, need the shared folder.

#![allow(clippy::unwrap_used)] // Clippy does not recognise tests without the standard harness.

use crate::common;
use crate::cuda_recording;
use crate::made_up_models;
use crate::npy;
use crate::recording;
use crate::reference_executor;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::{Need, trial};
use libtest_mimic::Trial;
use npy::Array;
use oppose::engine::native::Estimator;
use oppose::engine::native::assemble::body::{BODY_25, Thresholds};
use oppose::engine::native::assemble::crop::{self, Part};
use oppose::engine::native::assemble::heat_maps::Merge;
use oppose::engine::native::assemble::keypoint_scale::KeypointScale;
use oppose::engine::native::assemble::people::{Assembly, People};
use oppose::engine::native::assemble::rectangles::{self, Rectangle};
use oppose::engine::native::assemble::size::{Scale, Size, net_to_frame, scales};
use oppose::engine::native::assemble::warp::{Interpolation, Warp};
use oppose::engine::native::assemble::{Keypoint, Parity, limit_people, peaks};
use oppose::engine::native::cpu::Cpu;
use oppose::engine::native::model::{Graph, Net};
use oppose::pose::FramePose;
use recording::{
    Recording, array, as_output, assert_keypoints, assert_near, assert_peaks, assert_rectangle, from_values,
    json, keypoints, recorded_peaks, rectangle,
};
use reference_executor::ReferenceBackend;
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

const STAGES: [Stage; 10] = [
    ("1 sizes and scales", sizes_and_scales),
    ("2 net input", net_input),
    ("3 net output", net_output),
    ("4 heat maps", heat_maps),
    ("5 peaks", find_peaks),
    ("6 people", people),
    ("7 rectangles", rectangles),
    ("8 crops", crops),
    ("9 faces and hands", faces_and_hands),
    ("10 from frame to people", end_to_end),
];

/// The CPU with the default parity, that of OpenPose's build with CUDA.
fn agrees_with_openpose_built_with_cuda() {
    let models = tempfile::tempdir().unwrap();
    made_up_models::write(models.path(), made_up_models::Size::Small);
    let mut nearness = cuda_recording::Nearness::default();
    for name in cuda_recording::CASES {
        let (frame, options) = cuda_recording::case(name);
        let mut estimator = Estimator::new(Cpu::read(models.path(), None).unwrap(), options).unwrap();
        let mut pose = FramePose::default();
        estimator.estimate(&frame, &mut pose).unwrap();
        cuda_recording::compare(name, &pose, &mut nearness);
    }
    cuda_recording::assert_exact("CPU", nearness);
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let needs = [Need::Shared("golden"), Need::Shared("golden-cuda")];
    let name = "the CPU agrees with OpenPose built with CUDA";
    let mut trials = vec![trial(name, &needs, agrees_with_openpose_built_with_cuda)];
    let synthetic = ["s_161x121", "s_210x260", "s_320x240"];
    for case in synthetic {
        let folder = common::repository("tests/data/golden-synthetic").join(case);
        trials.extend(STAGES.map(|stage| recorded(case, folder.clone(), stage, &[])));
    }
    for case in PHOTOGRAPHS {
        let folder = common::shared("golden").join(case);
        // The case with two scales was recorded stage by stage, because the library's own program refuses two scales without
        // a GPU. In the other case, nearly 400 crops of 368 x 368 would take the simple executor a minute.
        let has_end = !matches!(case, "f_320x320_s2" | "a_640x480_net368");
        let stages = &STAGES[..if has_end { STAGES.len() } else { STAGES.len() - 1 }];
        let needs = [Need::Shared("golden")];
        trials.extend(stages.iter().map(|&stage| recorded(case, folder.clone(), stage, &needs)));
    }
    let needs = [Need::Python("numpy"), Need::Shared("spec/reference")];
    trials.push(trial("both builds against the NumPy reference", &needs, numpy_reference));
    trials
}

fn recorded(case: &str, folder: PathBuf, (stage, test): Stage, needs: &[Need]) -> Trial {
    trial(&format!("{case}: {stage}"), needs, move || test(&Recording::open(folder)))
}

const CROPS: [(&str, Part); 3] =
    [("face", Part::Face), ("hand_left", Part::LeftHand), ("hand_right", Part::RightHand)];

fn sizes_and_scales(recording: &Recording) {
    let scales = recording.scales();
    for (index, scale) in scales.iter().enumerate() {
        let size = &recording.meta["net_input_sizes"][index];
        assert_eq!(size, &Value::from(vec![scale.size.width, scale.size.height]));
        // Numbers in JSON are read to the second to last bit.
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

/// The nets of the recordings.
static NETS: LazyLock<[(Net, Graph); 3]> = LazyLock::new(|| {
    [Net::Body25, Net::Face, Net::Hand].map(|net| {
        let model = made_up_models::make(net, made_up_models::Size::Small);
        (net, Graph::from_bytes(model.prototxt.as_bytes(), &model.caffemodel).unwrap())
    })
});

fn net_output(recording: &Recording) {
    let [(_, body), (_, face), (_, hand)] = &*NETS;
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

/// The nets' outputs differ in the last bits, so a point may jump to another, equally large maximum. Between one thread and
/// two, the library itself moves no points of bodies, but one in a hundred of faces and hands.
fn end_to_end(recording: &Recording) {
    recording.compare_people(ReferenceBackend(&*NETS));
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
    assert!(people > 50, "only {people} people in all scenes");
}

/// Prints the scene if the test fails.
struct PrintedOnFailure<'a>(&'a Value);

impl Drop for PrintedOnFailure<'_> {
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
    let _scene = PrintedOnFailure(&scene);

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
    limit_people::limit_people(&mut people, 25, 2, &mut Vec::new());
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
