//! People as OpenPose's program writes them, and as ours writes them.
#![allow(dead_code)] // No test program uses all of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oppose::pose::{FramePose, Pose};
use serde_json::Value;

use super::common::{names, openpose_program, output};
use super::npy;

/// Body, face, left hand, right hand: their names in OpenPose's JSON, and their numbers of points.
pub const PARTS: [(&str, usize); 4] = [("pose", 25), ("face", 70), ("hand_left", 21), ("hand_right", 21)];
pub const POINTS: usize = 137;

/// The resolutions for which the small made-up nets were made.
pub const FACES_AND_HANDS_OF_SMALL_NETS: [&str; 4] =
    ["--face_net_resolution", "96x96", "--hand_net_resolution", "96x96"];

/// A person's 137 keypoints: x, y, confidence.
pub type Person = Vec<[f32; 3]>;

/// A copy of a video that OpenCV decodes as we do: in RGB, because OpenCV 4 takes every other video for BT.601.
pub fn as_rgb(video: &Path, frames: usize, target: PathBuf) -> PathBuf {
    let mut copy = Command::new("ffmpeg");
    copy.args(["-v", "error", "-i"]).arg(video);
    copy.args(["-an", "-c:v", "ffv1", "-pix_fmt", "bgr0", "-frames:v", &frames.to_string()]);
    output(copy.arg(&target));
    target
}

/// The people of each frame as `openpose.bin` writes them.
pub fn of_openpose(
    video: &Path,
    models: &Path,
    folder: &Path,
    threads: usize,
    options: &[&str],
) -> Vec<Vec<Person>> {
    let mut command = Command::new(openpose_program().unwrap());
    command.arg("--video").arg(video).arg("--write_json").arg(folder);
    command.arg("--model_folder").arg(models.join("")).args(options);
    command.args(["--face", "--hand", "--display", "0", "--render_pose", "0"]);
    output(command.env("OPENBLAS_NUM_THREADS", threads.to_string()));
    let read = |name: String| {
        let json: Value = serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap();
        json["people"].as_array().unwrap().iter().map(person).collect()
    };
    names(folder).into_iter().map(read).collect()
}

fn person(json: &Value) -> Person {
    let mut points = Vec::with_capacity(POINTS);
    for (part, count) in PARTS {
        let numbers = json[format!("{part}_keypoints_2d")].as_array().unwrap();
        let numbers: Vec<f32> = numbers.iter().map(|number| number.as_f64().unwrap() as f32).collect();
        assert_eq!(numbers.len(), 3 * count, "{part}");
        points.extend(numbers.as_chunks::<3>().0);
    }
    points
}

/// The people of each frame as this program writes them.
pub fn of_program(video: &Path, models: &Path, target: &Path, options: &[&str]) -> Vec<Vec<Person>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.arg(video).arg("-o").arg(target).arg("--model_folder").arg(models).args(options);
    output(command.args(["--progress", "none"]).env("OPENBLAS_NUM_THREADS", "2"));
    let pose = Pose::read_file(target).unwrap();
    let mut frame = FramePose::default();
    let mut people = |index| {
        pose.copy_frame(index, &mut frame);
        let points = frame.coordinates().chunks_exact(2).zip(frame.confidences());
        let points: Vec<[f32; 3]> = points.map(|(at, &confidence)| [at[0], at[1], confidence]).collect();
        let people = points.chunks_exact(POINTS).map(<[_]>::to_vec);
        people.filter(|person| person.iter().any(|point| point[2] > 0.0)).collect()
    };
    (0..pose.frames()).map(&mut people).collect()
}

/// Compares the people in a photograph with those of the real library, part by part, and prints how close they are.
///
/// All points of bodies must be within 0.1 px, and nearly all of faces and hands: of two nearly equal values, either may
/// be the larger. The library's own results differ in this way with the number of threads.
pub fn compare_with_golden(case: &str, people: &[Person], golden: &Path) {
    let mut first = 0;
    for (part, points) in PARTS {
        let min_share = if part == "pose" { 1.0 } else { 0.98 };
        let expected = npy::read(&golden.join(format!("{part}_keypoints.npy"))).values;
        assert_eq!(expected.len(), people.len() * points * 3, "{case}: people");
        let mut near = 0;
        for (index, expected) in expected.chunks_exact(3).enumerate() {
            let at = people[index / points][first + index % points];
            let distance = (at[0] - expected[0]).hypot(at[1] - expected[1]);
            near += usize::from(distance < 0.1 && (at[2] - expected[2]).abs() < 0.03);
        }
        let found = near as f64 / (people.len() * points) as f64;
        println!("{case} {part}: {} people, {:.2} % of the points", people.len(), found * 100.0);
        assert!(found >= min_share, "{case} {part}: only {:.2} % are within 0.1 px", found * 100.0);
        first += points;
    }
}

/// The photographs for which the real library's results were recorded, with its options. Without the one at two scales,
/// which only OpenPose's internal functions accept without a GPU.
pub fn photographs() -> Vec<(&'static str, Vec<&'static str>)> {
    let small = |resolution| [&["--net_resolution", resolution], &FACES_AND_HANDS_OF_SMALL_NETS[..]].concat();
    vec![
        ("a_640x480", small("-1x176")),
        ("b_480x640", small("-1x176")),
        ("b_480x640_net320x176", small("320x176")),
        ("c_210x260", small("-1x176")),
        ("d_1280x720", small("-1x176")),
        ("e_101x77", small("-1x176")),
        ("e_101x77_net64", small("-1x64")),
        ("f_320x320", small("-1x176")),
        ("g_500x120", small("-1x176")),
        ("a_640x480_net368", vec![]),
    ]
}
