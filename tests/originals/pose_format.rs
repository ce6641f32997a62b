//! Files compared with those of the real Python package: byte for byte, in both directions.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::fs;
use std::path::Path;

use common::{Need, run_python, trial};
use oppose::pose::{FramePose, Header, Pose, PoseWriter, Skeleton, holistic_576, openpose_137};
use serde::Deserialize;

/// Name, skeleton, frames per second, number of people in each frame: as in `tests/python/pose_files.py`.
type Case = (&'static str, &'static str, f32, &'static [usize]);

const NTSC: f32 = (30000.0_f64 / 1001.0) as f32;
const CASES: [Case; 6] = [
    ("one", "holistic", 25.0, &[1; 5]),
    ("nobody", "openpose", 24.0, &[0; 4]),
    ("several", "openpose", 50.0, &[3; 7]),
    ("changing", "openpose", NTSC, &[0, 2, 1, 5, 0, 3]),
    ("no_frames", "openpose", 29.97, &[]),
    ("ntsc", "holistic", NTSC, &[1, 0, 1]),
];

fn cases(skeleton: &str) -> impl Iterator<Item = &'static Case> {
    CASES.iter().filter(move |case| case.1 == skeleton)
}

fn skeleton_of(name: &str) -> &'static Skeleton {
    if name == "openpose" { openpose_137() } else { holistic_576() }
}

/// The same numbers as those of `body` in the Python script.
fn frames(case: &Case) -> Vec<FramePose> {
    let skeleton = skeleton_of(case.1);
    let fill = |(index, &people): (usize, &usize)| {
        let mut frame = FramePose::new(people, skeleton.points(), skeleton.dimensions());
        for (i, value) in frame.coordinates_mut().iter_mut().enumerate() {
            *value = (i % 4096) as f32 * 0.25 + index as f32;
        }
        for (i, value) in frame.confidences_mut().iter_mut().enumerate() {
            *value = (i % 9) as f32 / 8.0;
        }
        frame
    };
    case.3.iter().enumerate().map(fill).collect()
}

fn pose(case: &Case) -> Pose {
    Pose::from_frames(skeleton_of(case.1), 640, 480, case.2, &frames(case)).unwrap()
}

fn write(case: &Case, path: &Path) {
    let mut writer =
        PoseWriter::create(path, &Header::new(skeleton_of(case.1), 640, 480).unwrap(), case.2).unwrap();
    for frame in frames(case) {
        writer.write(&frame).unwrap();
    }
    writer.finish().unwrap();
}

/// What the package reads from a file.
#[derive(Deserialize)]
struct Numbers {
    fps: f32,
    width: u16,
    height: u16,
    shape: [usize; 4],
    coordinates: Vec<f32>,
    confidences: Vec<f32>,
    masked: usize,
}

fn numbers(path: &Path) -> Numbers {
    serde_json::from_str(&run_python("pose_files.py", [Path::new("numbers"), path])).unwrap()
}

fn package_files(folder: &Path, skeleton: &str) {
    run_python("pose_files.py", [Path::new("write"), folder, Path::new(skeleton)]);
}

fn our_files_equal_theirs(skeleton: &str) {
    let folder = tempfile::tempdir().unwrap();
    package_files(folder.path(), skeleton);
    for case in cases(skeleton) {
        let theirs = fs::read(folder.path().join(format!("{}.pose", case.0))).unwrap();
        assert!(pose(case).to_bytes().unwrap() == theirs, "{}: whole file", case.0);
        let ours = folder.path().join(format!("{}.ours.pose", case.0));
        write(case, &ours);
        assert!(fs::read(&ours).unwrap() == theirs, "{}: streamed", case.0);
    }
}

fn we_read_their_files(skeleton: &str) {
    let folder = tempfile::tempdir().unwrap();
    package_files(folder.path(), skeleton);
    for case in cases(skeleton) {
        let read = Pose::read_file(&folder.path().join(format!("{}.pose", case.0))).unwrap();
        assert_eq!(read, pose(case), "{}", case.0);
    }
}

fn we_read_version_0_1(skeleton: &str) {
    let folder = tempfile::tempdir().unwrap();
    package_files(folder.path(), skeleton);
    for case in cases(skeleton).filter(|case| ["one", "several"].contains(&case.0)) {
        let path = folder.path().join(format!("{}.v0_1.pose", case.0));
        let (ours, theirs) = (Pose::read_file(&path).unwrap(), numbers(&path));
        assert_eq!(ours.header.version, 0.1, "{}", case.0);
        assert_eq!((ours.fps, ours.frames()), (theirs.fps, theirs.shape[0]), "{}", case.0);
        assert_eq!(ours.coordinates(), theirs.coordinates, "{}", case.0);
        assert_eq!(ours.confidences(), theirs.confidences, "{}", case.0);
        assert_eq!(ours.to_bytes().unwrap(), pose(case).to_bytes().unwrap(), "{}: as version 0.2", case.0);
    }
}

fn they_read_our_files(skeleton: &str) {
    let folder = tempfile::tempdir().unwrap();
    for case in cases(skeleton).filter(|case| !case.3.is_empty()) {
        let path = folder.path().join(format!("{}.pose", case.0));
        write(case, &path);
        let (read, ours) = (numbers(&path), pose(case));
        let skeleton = skeleton_of(case.1);
        let shape = [ours.frames(), ours.people(), skeleton.points(), skeleton.dimensions()];
        assert_eq!((read.fps, read.width, read.height, read.shape), (case.2, 640, 480, shape), "{}", case.0);
        assert_eq!(read.coordinates, ours.coordinates(), "{}", case.0);
        assert_eq!(read.confidences, ours.confidences(), "{}", case.0);
        let absent = ours.confidences().iter().filter(|&&confidence| confidence == 0.0).count();
        assert_eq!(read.masked, absent * skeleton.dimensions(), "{}: points not found are masked", case.0);
    }
}

fn they_rewrite_our_files_unchanged(skeleton: &str) {
    let folder = tempfile::tempdir().unwrap();
    for case in cases(skeleton) {
        let (path, again) = (folder.path().join("ours.pose"), folder.path().join("again.pose"));
        fs::write(&path, pose(case).to_bytes().unwrap()).unwrap();
        run_python("pose_files.py", [Path::new("rewrite"), &path, &again]);
        assert!(fs::read(&path).unwrap() == fs::read(&again).unwrap(), "{}", case.0);
    }
}

/// The package finds the shoulders in our header, and normalises people to shoulders of width 1 around 0.
fn they_normalize_our_files(skeleton: &str) {
    #[derive(Deserialize)]
    struct Normalized {
        points: [String; 2],
        distance: f64,
        middle: Vec<f64>,
    }
    let folder = tempfile::tempdir().unwrap();
    let shoulders = match skeleton {
        "openpose" => ["pose_keypoints_2d.RShoulder", "pose_keypoints_2d.LShoulder"],
        _ => ["POSE_LANDMARKS.RIGHT_SHOULDER", "POSE_LANDMARKS.LEFT_SHOULDER"],
    };
    let header = skeleton_of(skeleton);
    let mut frame = FramePose::new(1, header.points(), header.dimensions());
    for (index, value) in frame.coordinates_mut().iter_mut().enumerate() {
        *value = (index % 97) as f32 * 5.0;
    }
    frame.confidences_mut().fill(0.5);
    let pose = Pose::from_frames(header, 640, 480, 25.0, &[frame]).unwrap();
    let path = folder.path().join(format!("{skeleton}.pose"));
    fs::write(&path, pose.to_bytes().unwrap()).unwrap();
    let printed = run_python("pose_files.py", [Path::new("normalize"), &path]);
    let Normalized { points, distance, middle } = serde_json::from_str(&printed).unwrap();
    assert_eq!(points, shoulders, "{skeleton}");
    assert!((distance - 1.0).abs() < 1e-5, "{skeleton}: {distance}");
    assert!(middle.iter().all(|axis| axis.abs() < 1e-5), "{skeleton}: {middle:?}");
}

/// The name of a test, and the test, which gets the name of a skeleton.
type Test = (&'static str, fn(&str));

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let tests: [Test; 6] = [
        ("our_files_equal_theirs", our_files_equal_theirs),
        ("we_read_their_files", we_read_their_files),
        ("we_read_version_0_1", we_read_version_0_1),
        ("they_read_our_files", they_read_our_files),
        ("they_normalize_our_files", they_normalize_our_files),
        ("they_rewrite_our_files_unchanged", they_rewrite_our_files_unchanged),
    ];
    // The package gets the points of holistic from MediaPipe.
    let skeletons =
        [("openpose", Need::Python("pose_format")), ("holistic", Need::Python("pose_format.utils.holistic"))];
    let mut trials = Vec::new();
    for (skeleton, need) in skeletons {
        let needs = [need];
        for (name, test) in tests {
            trials.push(trial(&format!("{name}: {skeleton}"), &needs, move || test(skeleton)));
        }
    }
    trials
}
