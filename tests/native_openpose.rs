//! The engine `native` beside the real OpenPose: the same nets, the same video, the same options.
//!
//! Needs a build of OpenPose 1.5.1 without a GPU in `$OPENPOSE_DIR`. How near the two are is printed
//! (`-- --nocapture`), with how near the library is to itself on another number of threads.
#![allow(clippy::unwrap_used)] // A test ends where something is wrong.

mod common;
#[path = "common/made_up_models.rs"]
mod made_up_models;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Need, names, output, shared, trial};
use made_up_models::Size;
use oppose::pose::{FramePose, Pose};
use serde_json::Value;

/// Body, face, left hand, right hand, as OpenPose's JSON calls them.
const PARTS: [(&str, usize); 4] = [("pose", 25), ("face", 70), ("hand_left", 21), ("hand_right", 21)];
const POINTS: usize = 137;
/// Pixels of the frame.
const NEAR: f32 = 0.1;

/// A person's 137 keypoints: x, y, confidence.
type Person = Vec<[f32; 3]>;

/// The people of each frame as `openpose.bin` writes them.
fn openpose(
    video: &Path,
    models: &Path,
    folder: &Path,
    threads: usize,
    options: &[&str],
) -> Vec<Vec<Person>> {
    let mut command = Command::new(common::openpose_program().unwrap());
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
fn ours(video: &Path, models: &Path, target: &Path, options: &[&str]) -> Vec<Vec<Person>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.arg(video).arg("-o").arg(target).arg("--model_folder").arg(models).args(options);
    output(command.args(["--engine", "native", "--parity", "cpu", "--progress", "none"]));
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

/// How near two results of a video are.
#[derive(Debug, Default)]
struct Nearness {
    people: usize,
    /// In both, with the same keypoints of the body found.
    matched: usize,
    /// Points that at least one of two matched people has, and those of them that are near each other.
    points: usize,
    near: usize,
    /// Pixels between a body point and its counterpart.
    worst_of_bodies: f32,
    /// The same of faces and hands.
    worst_of_crops: f32,
}

impl Nearness {
    fn of(left: &[Vec<Person>], right: &[Vec<Person>]) -> Self {
        assert_eq!(left.len(), right.len(), "frames");
        let mut nearness = Self::default();
        for (left, right) in left.iter().zip(right) {
            nearness.people += left.len().max(right.len());
            let mut rest: Vec<&Person> = right.iter().collect();
            for person in left {
                let same = rest.iter().position(|other| distance_of_bodies(person, other) < 1.0);
                if let Some(index) = same {
                    nearness.add(person, rest.remove(index));
                }
            }
        }
        nearness
    }

    fn add(&mut self, person: &[[f32; 3]], other: &[[f32; 3]]) {
        self.matched += 1;
        for (index, (a, b)) in person.iter().zip(other).enumerate() {
            if a[2] == 0.0 && b[2] == 0.0 {
                continue;
            }
            self.points += 1;
            let distance = (a[0] - b[0]).hypot(a[1] - b[1]);
            self.near += usize::from(distance <= NEAR);
            let worst = if index < PARTS[0].1 { &mut self.worst_of_bodies } else { &mut self.worst_of_crops };
            *worst = worst.max(distance);
        }
    }

    fn matched(&self) -> f64 {
        self.matched as f64 / self.people.max(1) as f64
    }

    fn near(&self) -> f64 {
        self.near as f64 / self.points.max(1) as f64
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} of {} people matched ({:.2} %), {:.3} % of {} points within {NEAR} px, worst {:.3} px \
             of a body, {:.1} px of a face or hand",
            self.matched,
            self.people,
            100.0 * self.matched(),
            100.0 * self.near(),
            self.points,
            self.worst_of_bodies,
            self.worst_of_crops,
        );
    }
}

/// The largest distance between body points; infinite where one of them is missing in one of the two.
fn distance_of_bodies(person: &Person, other: &Person) -> f32 {
    let points = person.iter().zip(other).take(PARTS[0].1);
    points.fold(0.0, |worst: f32, (a, b)| {
        if (a[2] > 0.0) == (b[2] > 0.0) { worst.max((a[0] - b[0]).hypot(a[1] - b[1])) } else { f32::INFINITY }
    })
}

fn check(models: &Path, frames: usize, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // As RGB, because OpenCV 4 takes every video for BT.601 and this one is BT.709.
    let video = path("video.mkv");
    let mut copy = Command::new("ffmpeg");
    copy.args(["-v", "error", "-i"]).arg(shared("media/crowd.avi"));
    copy.args(["-an", "-c:v", "ffv1", "-pix_fmt", "bgr0", "-frames:v", &frames.to_string()]);
    output(copy.arg(&video));

    let openpose = |name: &str, threads| openpose(&video, models, &path(name), threads, options);
    let (one, two) = (openpose("one", 1), openpose("two", 2));
    let itself = Nearness::of(&one, &two);
    itself.print("OpenPose with one thread and with two");
    let nearness = Nearness::of(&ours(&video, models, &path("ours.pose"), options), &two);
    nearness.print("oppose and OpenPose");
    // Where the library agrees with itself, we agree with it; a hundredth is for what one of its own runs
    // does not show.
    assert!(nearness.matched() >= itself.matched() - 0.01, "fewer people match than in OpenPose's own runs");
    assert!(nearness.near() >= itself.near() - 0.01, "fewer points are near than in OpenPose's own runs");
}

fn small_nets() {
    let crops = ["--face_net_resolution", "96x96", "--hand_net_resolution", "96x96"];
    check(&shared("golden/models-small"), 205, &crops);
}

/// About two minutes of OpenPose a frame: made-up nets of this size see a hundred people in it.
fn full_size_nets() {
    let models = tempfile::tempdir().unwrap();
    made_up_models::write(models.path(), Size::Full);
    check(models.path(), 2, &[]);
}

fn main() {
    let needs = [Need::OpenPose, Need::Shared("media/crowd.avi"), Need::Program("ffmpeg")];
    common::run(vec![
        trial("small_nets", &needs, small_nets),
        trial("full_size_nets", &needs, full_size_nets),
    ]);
}
