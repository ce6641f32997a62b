//! Whole files of the program with the engine `holistic`, compared byte for byte with those of pose-format's
//! `video_to_pose`.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;

use common::{Need, output, repository, run_python, shared, trial};

/// The name of a test, the net that it needs besides the default ones, and the settings in pose-format's syntax.
const SETTINGS: [(&str, &str, &str); 5] = [
    ("default", "pose_landmark_full.tflite", ""),
    (
        "corpus",
        "pose_landmark_heavy.tflite",
        "model_complexity=2,smooth_landmarks=false,refine_face_landmarks=true",
    ),
    ("lite", "pose_landmark_lite.tflite", "model_complexity=0"),
    ("unsmoothed", "pose_landmark_full.tflite", "smooth_landmarks=false"),
    (
        "limits",
        "face_landmark_with_attention.tflite",
        "refine_face_landmarks=true,min_detection_confidence=0.8,min_tracking_confidence=0.9",
    ),
];

fn check(video: PathBuf, config: &str) {
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours.pose", "theirs.pose"].map(|name| folder.path().join(name));
    let mut program = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    program.arg(&video).arg("-o").arg(&ours).args(["--engine", "holistic", "--progress", "none"]);
    program.arg("--model-folder").arg(common::models()).args(["--additional-config", config]);
    output(&mut program);
    let models = common::models().join("holistic");
    let paths = [&models, &video, &theirs].map(|path| path.to_str().unwrap());
    run_python("video_to_pose.py", paths.into_iter().chain([config]));
    assert!(fs::read(ours).unwrap() == fs::read(theirs).unwrap(), "the files differ");
}

/// The sample in ten bits, whose colours different versions of FFmpeg convert differently.
fn ten_bits() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("ten_bits.mkv");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-i"]).arg(repository("assets/sample.mp4"));
    output(ffmpeg.args(["-frames:v", "20", "-pix_fmt", "yuv420p10le", "-c:v", "ffv1"]).arg(&video));
    check(video, "");
}

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (setting, net, config) in SETTINGS {
        for (clip, video, need) in [
            ("sample", repository("assets/sample.mp4"), Need::Models),
            ("signer", shared("media/signer.mp4"), Need::Shared("media/signer.mp4")),
            ("crowd", shared("media/crowd.avi"), Need::Shared("media/crowd.avi")),
        ] {
            let needs =
                [Need::Models, Need::Net(net), Need::Python("mediapipe"), Need::Python("pose_format"), need];
            trials.push(trial(&format!("{setting}/{clip}"), &needs, move || check(video, config)));
        }
    }
    let needs =
        [Need::Models, Need::Python("mediapipe"), Need::Python("pose_format"), Need::Program("ffmpeg")];
    trials.push(trial("default/ten_bits", &needs, ten_bits));
    trials
}
