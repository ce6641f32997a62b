//! `oppose-native inspect` and `compare`: results with known values, for single files and folders.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{Need, output, shared, trial};
use oppose::pose::{FramePose, Pose, openpose_137};
use serde_json::Value;

fn oppose(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn ended(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// The lines that `inspect --json` prints.
fn inspected(arguments: &[&str]) -> Vec<Value> {
    let lines = output(oppose(&["inspect", "--json"]).args(arguments));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Writes a signer with shoulders 100 pixels apart who moves 2 pixels per frame. In frames for which `hands` is false,
/// there is no right hand.
fn write_signer(path: &Path, frames: usize, shift: f32, hands: impl Fn(usize) -> bool) {
    let frames: Vec<FramePose> = (0..frames)
        .map(|frame| {
            let mut pose = FramePose::new(1, 137, 2);
            for point in 0..137 {
                let x = 200.0 + (point % 12) as f32 * 10.0 + 2.0 * frame as f32 + shift;
                let at = [x, 100.0 + (point / 12) as f32 * 20.0];
                pose.coordinates_mut()[2 * point..][..2].copy_from_slice(&at);
            }
            pose.coordinates_mut()[2 * 2] = 200.0 + 2.0 * frame as f32 + shift;
            pose.coordinates_mut()[2 * 5] = 300.0 + 2.0 * frame as f32 + shift;
            pose.confidences_mut().fill(0.5);
            if !hands(frame) {
                pose.confidences_mut()[116..].fill(0.0);
                pose.coordinates_mut()[2 * 116..].fill(0.0);
            }
            pose
        })
        .collect();
    let pose = Pose::from_frames(openpose_137(), 640, 480, 30000.0 / 1001.0, &frames).unwrap();
    fs::write(path, pose.to_bytes().unwrap()).unwrap();
}

fn one_file_is_measured() {
    let scene = tempfile::tempdir().unwrap();
    let pose = scene.path().join("signer.pose");
    write_signer(&pose, 60, 0.0, |frame| frame % 3 > 0);
    let found = &inspected(&[text(&pose)])[0];
    assert_eq!((&found["frames"], &found["frame_rate"]), (&60.into(), &"30000/1001".into()));
    assert_eq!(found["seconds"].as_f64().map(|seconds| (1e9 * seconds).round()), Some(2_002_000_000.0));
    assert_eq!((&found["people"], &found["swaps"]), (&1.into(), &0.into()));
    let [body, .., hand] = &found["components"].as_array().unwrap()[..] else { panic!("no components") };
    assert_eq!((body["present"].as_f64(), hand["present"].as_f64()), (Some(1.0), Some(40.0 / 60.0)));
    assert_eq!(body["confidence"].as_array().unwrap()[1].as_f64(), Some(0.5));
    assert_eq!((body["jitter_pixels"].as_f64(), body["jumps"].as_u64()), (Some(0.0), Some(0)));
    assert_eq!(found["faults"].as_f64(), Some(1.0 - 40.0 / 60.0));
    let printed = output(&mut oppose(&["inspect", text(&pose)]));
    for word in ["60 frames at 29.97003 (30000/1001) per second, 2.00 s", "hand_right_keypoints_2d", "66.7 %"]
    {
        assert!(printed.contains(word), "{word:?} is not in:\n{printed}");
    }
}

fn a_folder_is_listed_with_the_worst_first() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    fs::create_dir(path("deep")).unwrap();
    write_signer(&path("good.pose"), 30, 0.0, |_| true);
    write_signer(&path("deep/bad.pose"), 30, 0.0, |frame| frame < 10);
    write_signer(&path("middling.pose"), 30, 0.0, |frame| frame < 20);
    fs::write(path("notes.txt"), "no pose").unwrap();
    let order = |values: &[Value]| -> Vec<String> {
        let name = |value: &Value| Path::new(value["file"].as_str().unwrap()).file_name().unwrap().to_owned();
        values.iter().map(|value| name(value).into_string().unwrap()).collect()
    };
    assert_eq!(order(&inspected(&[text(scene.path())])), ["bad.pose", "middling.pose", "good.pose"]);
    let table = output(&mut oppose(&["inspect", text(scene.path())]));
    let place = |name: &str| table.find(name).unwrap_or_else(|| panic!("{name} is not in:\n{table}"));
    assert!(place("bad.pose") < place("middling.pose") && place("middling.pose") < place("good.pose"));
    // A broken file is reported, and the others are still measured.
    fs::write(path("broken.pose"), [0; 40]).unwrap();
    let some = oppose(&["inspect", "--json", text(scene.path())]).output().unwrap();
    let (code, printed) = ended(&some);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("broken.pose: "), "{printed}");
    assert_eq!(String::from_utf8(some.stdout).unwrap().lines().count(), 3);
    fs::create_dir(path("empty")).unwrap();
    let (code, printed) = ended(&oppose(&["inspect", text(&path("empty"))]).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(printed.contains("empty holds no .pose file"), "{printed}");
}

fn a_timeline_is_drawn() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    write_signer(&path("a.pose"), 90, 0.0, |frame| frame < 45);
    for picture in ["plot.svg", "plot.png"] {
        output(&mut oppose(&["inspect", text(&path("a.pose")), "--plot", text(&path(picture))]));
    }
    let svg = fs::read_to_string(path("plot.svg")).unwrap();
    assert!(svg.contains("hand_right_keypoints_2d: seen in 50.0 % of the frames"), "{svg}");
    let picture = tiny_skia::Pixmap::decode_png(&fs::read(path("plot.png")).unwrap()).unwrap();
    let color = |x: u32, y: u32| {
        let pixel = picture.pixel(x, y).unwrap();
        [pixel.red(), pixel.green(), pixel.blue()]
    };
    // The last strip: the hand is seen in the first half, but not in the second.
    let bottom = 36 + 3 * 94 + 18 + 55;
    assert_eq!((color(100, bottom), color(900, bottom)), ([185, 217, 240], [242, 243, 245]));
    let refused = oppose(&["inspect", text(&path("a.pose")), "--plot", text(&path("plot.jpg"))]);
    let (code, printed) = ended(&{ refused }.output().unwrap());
    assert_eq!(code, Some(2));
    assert!(printed.contains(".svg or .png"), "{printed}");
}

fn two_files_are_compared() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    write_signer(&path("a.pose"), 40, 0.0, |_| true);
    write_signer(&path("b.pose"), 40, 0.5, |frame| frame < 30);
    let (a, b) = (path("a.pose"), path("b.pose"));
    let compared = |arguments: &[&str]| oppose(&["compare", text(&a), text(&b)]).args(arguments).output();
    let json = compared(&["--json"]).unwrap();
    let comparison: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&comparison["offset"], &comparison["compared_frames"]), (&0.into(), &40.into()));
    let parts = comparison["components"].as_array().unwrap();
    assert_eq!(parts[0]["pixels"][0].as_f64(), Some(0.5));
    assert_eq!(parts[0]["shoulders"][0].as_f64().map(|width| (1000.0 * width).round()), Some(5.0));
    assert_eq!((parts[3]["in_both"].as_u64(), &parts[3]["in_one"]), (Some(30 * 21), &vec![210, 0].into()));
    // 210 of 40 × 137 points are missing, so 96.2 % are near.
    assert_eq!(compared(&["--within", "1", "--share", "96"]).unwrap().status.code(), Some(0));
    assert_eq!(compared(&["--within", "1", "--share", "97"]).unwrap().status.code(), Some(1));
    assert_eq!(compared(&["--within", "0.4", "--share", "1"]).unwrap().status.code(), Some(1));
    let other = Pose::from_frames(oppose::pose::holistic_576(), 640, 480, 25.0, &[]).unwrap();
    fs::write(&b, other.to_bytes().unwrap()).unwrap();
    let (code, printed) = ended(&oppose(&["compare", text(&a), text(&b)]).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(printed.contains("only files of the same points can be compared"), "{printed}");
}

/// A video is estimated twice, the second time without its first frames; `compare` finds their number.
fn the_offset_of_a_cut_video_is_found() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let models = common::models();
    let estimate = |video: &Path, pose: &str| {
        let mut command = oppose(&[text(video), "-o", text(&path(pose))]);
        output(command.env("OPPOSE_MODELS", &models));
    };
    let video = shared("media/signer.mp4");
    let cut = path("cut.mkv");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-i", text(&video), "-vf", "select=gte(n\\,5),setpts=PTS-STARTPTS"]);
    output(ffmpeg.args(["-c:v", "ffv1", "-an", "-t", "2", text(&cut)]));
    let whole = path("whole.mkv");
    let mut ffmpeg = Command::new("ffmpeg");
    output(ffmpeg.args(["-v", "error", "-i", text(&video), "-c:v", "ffv1", "-an", "-t", "2", text(&whole)]));
    estimate(&whole, "whole.pose");
    estimate(&cut, "cut.pose");
    let (whole, cut) = (path("whole.pose"), path("cut.pose"));
    let json = output(&mut oppose(&["compare", text(&whole), text(&cut), "--json"]));
    let comparison: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(comparison["offset"].as_i64(), Some(-5), "{json}");
    let found = &inspected(&[text(&whole)])[0];
    assert_eq!(found["frames_with_people"].as_f64(), Some(1.0), "{found}");
    assert_eq!(found["people"].as_u64(), Some(1));
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let real = [Need::Models, Need::Shared("media/signer.mp4"), Need::Program("ffmpeg")];
    vec![
        trial("one_file_is_measured", &[], one_file_is_measured),
        trial("a_folder_is_listed_with_the_worst_first", &[], a_folder_is_listed_with_the_worst_first),
        trial("a_timeline_is_drawn", &[], a_timeline_is_drawn),
        trial("two_files_are_compared", &[], two_files_are_compared),
        trial("the_offset_of_a_cut_video_is_found", &real, the_offset_of_a_cut_video_is_found),
    ]
}
