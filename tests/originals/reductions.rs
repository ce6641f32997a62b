//! Files with fewer points, compared byte for byte with those of pose-format's own functions.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

use common::{Need, output, run_python, trial};
use oppose::pose::{FramePose, Pose, Skeleton, holistic_576, holistic_586, openpose_137};

/// Writes a file of made-up people with these points, of which every seventh was not found.
fn write(path: &Path, skeleton: &Skeleton) {
    let dimensions = skeleton.dimensions();
    let frames: Vec<FramePose> = (0..5)
        .map(|frame| {
            let mut pose = FramePose::new(1, skeleton.points(), dimensions);
            for (i, number) in pose.coordinates_mut().iter_mut().enumerate() {
                *number = (i as f32 * 0.731 + frame as f32 * 13.7) % 639.9;
            }
            for (i, number) in pose.confidences_mut().iter_mut().enumerate() {
                *number = if i % 7 == 0 { 0.0 } else { 0.1 + (i % 9) as f32 / 10.0 };
            }
            for i in (0..skeleton.points()).filter(|i| i % 7 == 0) {
                pose.coordinates_mut()[dimensions * i..][..dimensions].fill(0.0);
            }
            pose
        })
        .collect();
    fs::write(path, Pose::from_frames(skeleton, 640, 480, 25.0, &frames).unwrap().to_bytes().unwrap())
        .unwrap();
}

fn check(skeleton: &Skeleton, points: &str, hide_legs: bool) {
    let folder = tempfile::tempdir().unwrap();
    let [source, ours, theirs] =
        ["source", "ours", "theirs"].map(|name| folder.path().join(name).with_extension("pose"));
    write(&source, skeleton);
    let mut convert = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    convert.arg("convert").arg(&source).arg("-o").arg(&ours).args(["--points", points]);
    convert.args(hide_legs.then_some("--hide-legs"));
    output(&mut convert);
    let paths = [&source, &theirs].map(|path| path.to_str().unwrap());
    let legs = hide_legs.then_some("hide-legs");
    run_python("reduce_pose.py", paths.into_iter().chain([points]).chain(legs));
    assert!(fs::read(&ours).unwrap() == fs::read(&theirs).unwrap(), "{points}, legs hidden: {hide_legs}");
}

/// Leaving out points while estimating gives the same file as `convert` afterwards.
fn estimated() {
    let folder = tempfile::tempdir().unwrap();
    let [all, converted, estimated] =
        ["all", "converted", "estimated"].map(|name| folder.path().join(name).with_extension("pose"));
    let program = || Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    let estimate = |target: &Path, options: &[&str]| {
        let mut command = program();
        command.arg(common::short_sample()).arg("-o").arg(target).args(["--engine", "holistic"]);
        output(command.arg("--model-folder").arg(common::models()).args(options));
    };
    let options = ["--points", "reduced", "--hide-legs"];
    estimate(&all, &[]);
    output(program().arg("convert").arg(&all).arg("-o").arg(&converted).args(options));
    estimate(&estimated, &options);
    let (estimated, converted) = (fs::read(estimated).unwrap(), fs::read(converted).unwrap());
    assert!(estimated == converted, "the files differ");
    assert_eq!(Pose::from_bytes(&estimated).unwrap().header.skeleton.points(), 178);
}

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let needs = [Need::Python("pose_format")];
    let mut trials = Vec::new();
    for (name, skeleton) in
        [("holistic_576", holistic_576()), ("holistic_586", holistic_586()), ("openpose_137", openpose_137())]
    {
        for (points, hide_legs) in
            [("all", true), ("no-world", false), ("reduced", false), ("no-world", true), ("reduced", true)]
        {
            let legs = if hide_legs { "_without_legs" } else { "" };
            trials.push(trial(&format!("{name}/{points}{legs}"), &needs, move || {
                check(skeleton, points, hide_legs);
            }));
        }
    }
    trials.push(trial("estimated", &[Need::Models, Need::Program("ffmpeg")], estimated));
    trials
}
