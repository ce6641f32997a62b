//! What the engine `holistic` optionally does beyond MediaPipe: several people, and a second search for hands.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use common::{Need, models, output, repository, shared, trial};
use oppose::pose::Pose;

const PALMS: &str = "palm_detection_full.tflite";
/// Number of points of a person, and the first points of the face, left hand and right hand.
const POINTS: usize = 576;
const FACE: usize = 33;
const LEFT_HAND: usize = 501;
const RIGHT_HAND: usize = 522;

fn estimate(video: &Path, output_file: &Path, options: &[&str]) -> Pose {
    let mut program = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    program.arg(video).arg("-o").arg(output_file).args(["--engine", "holistic", "--progress", "none"]);
    output(program.arg("--model-folder").arg(models()).args(options));
    Pose::read_file(output_file).unwrap()
}

/// The frames in which a point of the only person was found.
fn frames_with(pose: &Pose, point: usize) -> Vec<usize> {
    assert_eq!(pose.people(), 1);
    let frames = pose.confidences().chunks(POINTS).enumerate();
    frames.filter(|(_, confidences)| confidences[point] > 0.0).map(|(frame, _)| frame).collect()
}

/// A video of the sample beside its mirror image.
fn twins(folder: &Path) -> PathBuf {
    let twins = folder.join("twins.mkv");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-i"]).arg(repository("assets/sample.mp4"));
    ffmpeg.args(["-an", "-frames:v", "20", "-vf", "split[a][b];[b]hflip[c];[a][c]hstack", "-c:v", "ffv1"]);
    output(ffmpeg.arg(&twins));
    twins
}

fn two_people_are_tracked_in_one_row_each() {
    let folder = tempfile::tempdir().unwrap();
    let video = twins(folder.path());
    let pose = estimate(&video, &folder.path().join("several.pose"), &["--max-people", "5"]);
    assert_eq!((pose.frames(), pose.people()), (20, 2));
    // In each row, the positions of the face in frames in which it was found; the second may be found some frames later.
    let rows = [0, 1].map(|person| {
        let found = pose.confidences().chunks(POINTS).map(|person| person[FACE] == 1.0);
        let places = pose.coordinates().chunks(3 * POINTS).map(|person| person[3 * FACE]);
        let found = found.zip(places).skip(person).step_by(2).filter(|&(is_found, _)| is_found);
        found.map(|(_, x)| x).collect::<Vec<f32>>()
    });
    assert!(rows[0].len() == 20 && rows[1].len() >= 10, "{rows:?}");
    let is_left = rows.each_ref().map(|places| places[0] < 480.0);
    assert_ne!(is_left[0], is_left[1], "{rows:?}");
    for (places, is_left) in rows.iter().zip(is_left) {
        assert!(places.iter().all(|&x| (x < 480.0) == is_left), "a person leaves their half: {rows:?}");
    }
}

fn one_person_is_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["default.pose", "one.pose"].map(|name| folder.path().join(name));
    let video = twins(folder.path());
    estimate(&video, &files[0], &[]);
    estimate(&video, &files[1], &["--max-people", "1", "--hands", "standard"]);
    let [default, one] = files.map(|file| fs::read(file).unwrap());
    assert!(default == one);
}

/// The signer's right hand is visible from frame 13 to 45; the left one never is.
fn a_second_search_finds_more_visible_hands() {
    let folder = tempfile::tempdir().unwrap();
    let video = shared("media/signer.mp4");
    let standard = estimate(&video, &folder.path().join("standard.pose"), &[]);
    let thorough = estimate(&video, &folder.path().join("thorough.pose"), &["--hands", "thorough"]);
    let [before, after] = [&standard, &thorough].map(|pose| frames_with(pose, RIGHT_HAND));
    println!("right hand in {} frames, with a second search in {}", before.len(), after.len());
    assert!(before.iter().all(|frame| after.contains(frame)), "{before:?}, {after:?}");
    assert!(after.len() >= before.len() + 3, "{before:?}, {after:?}");
    assert!(after.iter().all(|frame| (13..=45).contains(frame)), "{after:?}");
    assert_eq!(frames_with(&thorough, LEFT_HAND), [0; 0]);
}

fn a_second_search_invents_no_hands() {
    let folder = tempfile::tempdir().unwrap();
    let sample = repository("assets/sample.mp4");
    let pose = estimate(&sample, &folder.path().join("sample.pose"), &["--hands", "thorough"]);
    assert_eq!(pose.frames(), 90);
    for hand in [LEFT_HAND, RIGHT_HAND] {
        assert_eq!(frames_with(&pose, hand), [0; 0], "the sample shows no hands");
    }
}

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let twins = [Need::Models, Need::Program("ffmpeg")];
    let hands = [Need::Models, Need::Net(PALMS), Need::Shared("media/signer.mp4")];
    vec![
        trial("two_people_are_tracked_in_one_row_each", &twins, two_people_are_tracked_in_one_row_each),
        trial("one_person_is_the_default", &twins, one_person_is_the_default),
        trial("a_second_search_finds_more_visible_hands", &hands, a_second_search_finds_more_visible_hands),
        trial("a_second_search_invents_no_hands", &hands[..2], a_second_search_invents_no_hands),
    ]
}
