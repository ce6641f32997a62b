//! The engine `native` as a user runs it: videos and pictures in, `.pose` files out.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::coloured_people;
use crate::common;
use crate::made_up_models;
use crate::meaningful_models;
use crate::openpose_json;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use coloured_people::{Person, draw};
use common::{Need, bytes, output, shared, trial};
use made_up_models::Size;
use openpose_json::{POINTS, compare_with_golden, of_program, photographs};
use oppose::pose::{FramePose, Pose};

/// Runs the program with these models, which must succeed.
fn estimate(video: &Path, models: &Path, target: &Path, options: &[&str]) -> Pose {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.arg(video).arg("-o").arg(target).arg("--model_folder").arg(models).args(options);
    output(command.args(["--progress", "none"]).env_remove("OPPOSE_ENGINE"));
    Pose::read_file(target).unwrap()
}

/// Two moving people in each frame, one of whom appears later.
fn scene() -> Vec<Vec<Person>> {
    let person = |x, y, scale| Person { x, y, scale };
    (0..4)
        .map(|frame| {
            let step = frame as f32;
            let mut people = vec![person(420.0 - 9.3 * step, 30.0 + 11.3 * step, 1.3)];
            if frame > 0 {
                people.push(person(800.0 + 11.3 * step, 40.0, 1.6));
            }
            people
        })
        .collect()
}

/// Writes a video in which every pixel is as drawn.
fn lossless_video(frames: &[Vec<Person>], (width, height): (usize, usize), target: &Path) {
    let raw = target.with_extension("bgr");
    let pixels: Vec<u8> =
        frames.iter().flat_map(|people| draw(width, height, people).pixels().to_vec()).collect();
    fs::write(&raw, pixels).unwrap();
    let size = format!("{width}x{height}");
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "bgr24",
        "-r",
        "30000/1001",
        "-s",
        &size,
        "-i",
    ]);
    bytes(command.arg(&raw).args(["-c:v", "ffv1", "-pix_fmt", "bgr0"]).arg(target).stdin(Stdio::null()));
}

/// The whole program finds dots where they were drawn.
fn drawn_people_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    meaningful_models::write(folder.path(), Size::Narrow);
    let frames = scene();
    lossless_video(&frames, (1104, 624), &path("people.mkv"));
    // Without --engine it is native, because OpenPose's models exist.
    let pose = estimate(&path("people.mkv"), folder.path(), &path("people.pose"), &[]);
    assert_eq!((pose.frames(), pose.people(), pose.fps), (4, 2, 29.97003));
    assert_eq!(pose.header.skeleton, *oppose::pose::openpose_137());
    let mut found = FramePose::default();
    for (index, people) in frames.iter().enumerate() {
        pose.copy_frame(index, &mut found);
        let count = found.confidences().chunks_exact(POINTS).filter(|person| person[1] > 0.0).count();
        assert_eq!(count, people.len(), "frame {index}");
        for person in people {
            let truth = person.keypoints();
            let worst = |at: &[f32]| {
                let errors = at.chunks_exact(2).zip(&truth);
                errors.map(|(at, (x, y))| (at[0] - x).abs().max((at[1] - y).abs())).fold(0.0, f32::max)
            };
            let error = found.coordinates().chunks_exact(2 * POINTS).map(worst).fold(f32::MAX, f32::min);
            assert!(error <= 2.0, "frame {index}: {person:?} is off by {error} px");
        }
    }
    let one = estimate(
        &path("people.mkv"),
        folder.path(),
        &path("one.pose"),
        &["--number_people_max", "1", "--threads", "1"],
    );
    assert_eq!(one.people(), 1);
}

/// Keypoints on photographs, compared with the real OpenPose's with the same small made-up nets.
fn keypoints_on_photographs_match_openpose() {
    let folder = tempfile::tempdir().unwrap();
    for (case, options) in photographs() {
        let golden = shared("golden").join(case);
        let options = [&options[..], &["--engine", "native", "--parity", "cpu"]].concat();
        let target = folder.path().join(case).with_extension("pose");
        let models = shared("golden/models-small");
        let found = of_program(&golden.join("image.png"), &models, &target, &options);
        compare_with_golden(case, &found[0], &golden);
    }
}

fn missing_and_damaged_models_are_named() {
    let folder = tempfile::tempdir().unwrap();
    meaningful_models::write(folder.path(), Size::Narrow);
    let video = common::repository("tests/clips/h264_25.mp4");
    let assert_refused = |options: &[&str], words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
        command.arg(&video).arg("-o").arg(folder.path().join("out.pose"));
        command.args(["--engine", "native", "--model_folder"]).arg(folder.path()).args(options);
        let ended = command.output().unwrap();
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in: {text}"));
    };
    assert_refused(&["--net_resolution", "-1x100"], &["multiples of 16"]);
    assert_refused(&["--scale_number", "2", "--parity", "cpu"], &["scale_number"]);
    let hand = folder.path().join("hand/pose_iter_102000.caffemodel");
    let whole = fs::read(&hand).unwrap();
    fs::write(&hand, &whole[..whole.len() / 2]).unwrap();
    assert_refused(&[], &["hand/pose_iter_102000.caffemodel"]);
    fs::remove_file(&hand).unwrap();
    assert_refused(&[], &["hand/pose_iter_102000.caffemodel"]);
    fs::remove_file(folder.path().join("pose/body_25/pose_iter_584000.caffemodel")).unwrap();
    assert_refused(&[], &["pose/body_25/pose_iter_584000.caffemodel", "--model-folder"]);
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    vec![
        trial("drawn_people_are_found", &[Need::Program("ffmpeg")], drawn_people_are_found),
        trial(
            "keypoints_on_photographs_match_openpose",
            &[Need::Shared("golden/models-small")],
            keypoints_on_photographs_match_openpose,
        ),
        trial("missing_and_damaged_models_are_named", &[], missing_and_damaged_models_are_named),
    ]
}
