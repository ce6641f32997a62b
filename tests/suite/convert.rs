//! `oppose-native convert`: .pose files from OpenPose's JSON equal pose-format's byte for byte, and converting back gives
//! OpenPose's own text.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;
use crate::openpose_json as openpose_files;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Need, names, output, repository, run_python, shared, trial};
use openpose_files::{FACES_AND_HANDS_OF_SMALL_NETS, as_rgb, of_openpose};
use oppose::pose::openpose_json::{file_name, to_json};
use oppose::pose::{FramePose, Pose, openpose_137};

fn convert(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.arg("convert").args(arguments);
    command
}

/// Asserts that the command fails before anything is written, with these words.
fn assert_refused(command: &mut Command, words: &[&str]) {
    let ended = command.output().unwrap();
    let text = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{text}");
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in: {text}"));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes a folder with different numbers of people per frame; frames 3 and 4 have no file.
fn write_folder(folder: &Path) {
    write_folder_of(folder, 1279.9);
}

/// The same for frames of this size.
fn write_folder_of(folder: &Path, side: f32) {
    fs::create_dir(folder).unwrap();
    for (frame, people) in [(0, 2), (1, 0), (2, 3), (5, 1)] {
        let mut pose = FramePose::new(people, 137, 2);
        for (index, number) in pose.coordinates_mut().iter_mut().enumerate() {
            *number = (index as f32 * 0.731 + frame as f32 * 13.7) % side;
        }
        for (index, number) in pose.confidences_mut().iter_mut().enumerate() {
            *number = (index % 11) as f32 / 10.0;
        }
        // Points that were not found have no coordinates either.
        for index in (0..people * 137).filter(|index| index % 11 == 0) {
            pose.coordinates_mut()[2 * index..][..2].fill(0.0);
        }
        fs::write(folder.join(file_name("clip", frame)), to_json(&pose).unwrap()).unwrap();
    }
}

/// Compares with what the real package makes from the same files.
fn check_against_package(folder: &Path, arguments: &[&str], numbers: [&str; 4]) {
    let target = folder.with_extension("pose");
    output(convert(&[text(folder), "-o", text(&target)]).args(arguments));
    let theirs = folder.with_extension("theirs");
    let [fps, width, height, frames] = numbers;
    run_python("openpose_json.py", [text(folder), fps, width, height, frames, text(&theirs)]);
    assert!(fs::read(&target).unwrap() == fs::read(&theirs).unwrap(), "the files differ");
}

fn json_is_converted_as_by_pose_format() {
    let scene = tempfile::tempdir().unwrap();
    let folder = scene.path().join("json");
    write_folder(&folder);
    check_against_package(&folder, &["--fps", "25", "--size", "1280x720"], ["25", "1280", "720", "0"]);
    fs::remove_file(folder.with_extension("pose")).unwrap();
    // A video that has more frames than there are files, and an exact frame rate. Its frames have 320x240 pixels.
    fs::remove_dir_all(&folder).unwrap();
    write_folder_of(&folder, 239.9);
    let video = repository("tests/clips/h264_2997_bframes.mp4");
    let pose = scene.path().join("video.pose");
    output(&mut convert(&[text(&folder), "-o", text(&pose), "--video", text(&video)]));
    let pose = Pose::read_file(&pose).unwrap();
    let (width, height) = (pose.header.width.to_string(), pose.header.height.to_string());
    assert!(pose.frames() > 6 && pose.fps == 29.97003, "{} frames, {} fps", pose.frames(), pose.fps);
    let frames = pose.frames().to_string();
    check_against_package(
        &folder,
        &["--video", text(&video)],
        ["29.97002997002997", &width, &height, &frames],
    );
}

fn text_of_the_real_openpose_is_reproduced() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let video = as_rgb(&shared("media/crowd.avi"), 8, path("clip.mkv"));
    let options = [&FACES_AND_HANDS_OF_SMALL_NETS[..], &["--net_resolution", "-1x176"]].concat();
    of_openpose(&video, &shared("golden/models-small"), &path("json"), 2, &options);
    check_against_package(&path("json"), &["--fps", "30", "--size", "1280x720"], ["30", "1280", "720", "0"]);
    fs::rename(path("json.pose"), path("clip.pose")).unwrap();
    output(&mut convert(&[text(&path("clip.pose")), "-o", text(&path("back"))]));
    assert_eq!(names(&path("back")), names(&path("json")));
    for name in names(&path("json")) {
        let read = |folder: &str| fs::read_to_string(path(folder).join(&name)).unwrap();
        assert!(read("back") == read("json"), "{name} differs");
    }
}

fn old_versions_are_converted_to_the_new_one() {
    let scene = tempfile::tempdir().unwrap();
    let folder = scene.path().join("json");
    write_folder(&folder);
    let new = folder.with_extension("pose");
    output(&mut convert(&[text(&folder), "-o", text(&new), "--fps", "25", "--size", "64x48"]));
    // Version 0.1 has the frame rate and the number of frames in 16 bits each.
    let bytes = fs::read(&new).unwrap();
    let body = bytes.len() - (10 + 6 * 3 * 137 * 3 * 4);
    let mut old = [&0.1f32.to_le_bytes()[..], &bytes[4..body]].concat();
    old.extend([25, 0, 6, 0]);
    old.extend(&bytes[body + 8..]);
    let path = scene.path().join("old.pose");
    fs::write(&path, old).unwrap();
    let again = scene.path().join("again.pose");
    output(&mut convert(&[text(&path), "-o", text(&again)]));
    assert!(fs::read(&again).unwrap() == bytes, "the files differ");
}

/// Rounding gives the same digits as a detour through JSON.
fn rounding_gives_the_digits_of_json() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let mut frames = vec![FramePose::new(2, 137, 2), FramePose::new(0, 137, 2), FramePose::new(1, 137, 2)];
    for pose in &mut frames {
        let numbers = pose.coordinates_mut().iter_mut().enumerate();
        numbers.for_each(|(index, number)| *number = (index as f32 * 137.731).sin().abs() * 1280.0 + 1e-3);
        let numbers = pose.confidences_mut().iter_mut().enumerate();
        numbers.for_each(|(index, number)| *number = (index as f32 * 0.731).cos().abs().powi(9) + 1e-7);
    }
    let pose = Pose::from_frames(openpose_137(), 1280, 720, 25.0, &frames).unwrap();
    fs::write(path("exact.pose"), pose.to_bytes().unwrap()).unwrap();
    output(&mut convert(&[text(&path("exact.pose")), "-o", text(&path("json"))]));
    let size = ["--fps", "25", "--size", "1280x720"];
    output(convert(&[text(&path("json")), "-o", text(&path("old.pose"))]).args(size));
    let rounded = path("rounded.pose");
    output(&mut convert(&[text(&path("exact.pose")), "-o", text(&rounded), "--json-precision", "6"]));
    assert!(fs::read(&rounded).unwrap() == fs::read(path("old.pose")).unwrap(), "the files differ");
    assert!(fs::read(&rounded).unwrap() != fs::read(path("exact.pose")).unwrap(), "nothing was rounded");
    // Nine digits lose nothing.
    output(&mut convert(&[text(&path("exact.pose")), "-o", text(&path("9")), "--json-precision", "9"]));
    output(convert(&[text(&path("9")), "-o", text(&path("same.pose"))]).args(size));
    assert!(
        fs::read(path("same.pose")).unwrap() == fs::read(path("exact.pose")).unwrap(),
        "digits were lost"
    );
}

fn a_table_has_every_point_that_was_found() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    write_folder(&path("json"));
    let size = ["--fps", "30000/1001", "--size", "1280x720"];
    output(convert(&[text(&path("json")), "-o", text(&path("flat.pose"))]).args(size));
    let mut person = FramePose::new(1, 576, 3);
    let numbers = person.coordinates_mut().iter_mut().enumerate();
    numbers.for_each(|(index, number)| *number = (index as f32 * 0.37).sin() * 400.0);
    person.confidences_mut()[100..].fill(0.75);
    let deep = Pose::from_frames(oppose::pose::holistic_576(), 640, 480, 25.0, &[person]).unwrap();
    fs::write(path("deep.pose"), deep.to_bytes().unwrap()).unwrap();
    // write_folder leaves out every eleventh point.
    for (name, points) in [("flat", 6 * 137 - 76), ("deep", 476)] {
        let (pose, table) = (path(&format!("{name}.pose")), path(&format!("{name}.csv")));
        output(&mut convert(&[text(&pose), "-o", text(&table)]));
        let found = run_python("read_csv.py", [text(&table), text(&pose)]);
        assert_eq!(found.trim(), points.to_string(), "{name}");
        assert_refused(&mut convert(&[text(&pose), "-o", text(&table)]), &["exists already"]);
    }
}

fn failed_conversions_are_explained() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let folder = path("json");
    write_folder(&folder);
    let target = path("out.pose");
    let whole = ["--fps", "25", "--size", "64x48"];
    assert_refused(&mut convert(&[text(&folder), "-o", text(&target)]), &["--video", "--fps"]);
    fs::create_dir(path("empty")).unwrap();
    assert_refused(
        convert(&[text(&path("empty")), "-o", text(&target)]).args(whole),
        &["holds no file named like", "is it the folder OpenPose wrote"],
    );
    let file = folder.join(file_name("clip", 7));
    let crowd = format!("{{\"people\":[{}{{}}]}}", "{},".repeat(100_000));
    for (content, words) in [
        (crowd.as_str(), "100001 people"),
        ("{\"people\":[", "not OpenPose's JSON: the file is cut off"),
        ("[]", "not OpenPose's JSON"),
        ("{\"people\":[{\"pose_keypoints_2d\":[1,2,3]}]}", "has 3 numbers, expected 75 or none"),
    ] {
        fs::write(&file, content).unwrap();
        let name = file_name("clip", 7);
        assert_refused(convert(&[text(&folder), "-o", text(&target)]).args(whole), &[&name, words]);
    }
    fs::rename(&file, folder.join("other_0_keypoints.json")).unwrap();
    assert_refused(convert(&[text(&folder), "-o", text(&target)]).args(whole), &["are both frame 0"]);
    fs::remove_file(folder.join("other_0_keypoints.json")).unwrap();
    fs::write(folder.join(file_name("clip", 99_999_999_999)), "{}").unwrap();
    assert_refused(convert(&[text(&folder), "-o", text(&target)]).args(whole), &["a video has at most"]);
    assert_eq!(names(scene.path()), ["empty", "json"]);

    let holistic = Pose::from_frames(oppose::pose::holistic_576(), 64, 48, 25.0, &[]).unwrap();
    fs::write(&target, holistic.to_bytes().unwrap()).unwrap();
    assert_refused(
        &mut convert(&[text(&target), "-o", text(&path("back"))]),
        &["POSE_LANDMARKS", "137 points"],
    );
    let again = path("again.pose");
    output(&mut convert(&[text(&target), "-o", text(&again)]));
    assert_refused(&mut convert(&[text(&target), "-o", text(&again)]), &["exists already", "--overwrite"]);
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let package = Need::Python("pose_format");
    let real = [
        Need::OpenPose,
        Need::Shared("media/crowd.avi"),
        Need::Program("ffmpeg"),
        Need::Python("pose_format"),
    ];
    vec![
        trial(
            "a_table_has_every_point_that_was_found",
            &[Need::Python("pose_format")],
            a_table_has_every_point_that_was_found,
        ),
        trial("rounding_gives_the_digits_of_json", &[], rounding_gives_the_digits_of_json),
        trial("json_is_converted_as_by_pose_format", &[package], json_is_converted_as_by_pose_format),
        trial("text_of_the_real_openpose_is_reproduced", &real, text_of_the_real_openpose_is_reproduced),
        trial("old_versions_are_converted_to_the_new_one", &[], old_versions_are_converted_to_the_new_one),
        trial("failed_conversions_are_explained", &[], failed_conversions_are_explained),
    ]
}
