//! The engine `native` compared with the real OpenPose: the same nets, the same video, the same options.
//!
//! Needs a build of OpenPose 1.5.1 without a GPU in `$OPENPOSE_DIR`. Prints how close the two are (`-- --nocapture`), and
//! how close the library is to itself with a different number of threads.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;
use crate::made_up_models;
use crate::openpose_json;

use std::path::Path;

use common::{Need, shared, trial};
use made_up_models::Size;
use openpose_json::{FACES_AND_HANDS_OF_SMALL_NETS, PARTS, Person, as_rgb, of_openpose, of_program};

/// The distance at which points count as near, in pixels of the frame.
const NEAR: f32 = 0.1;

/// How close two results for a video are.
#[derive(Debug, Default)]
struct Nearness {
    people: usize,
    /// People in both results, with the same keypoints of the body found.
    matched: usize,
    /// How many points at least one of two matched people has, and how many of these are near each other.
    points: usize,
    near: usize,
    /// The largest distance between a body point and its counterpart, in pixels.
    worst_of_bodies: f32,
    /// The same for faces and hands.
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

/// The largest distance between body points; infinite if a point is missing in only one of the two.
fn distance_of_bodies(person: &Person, other: &Person) -> f32 {
    let points = person.iter().zip(other).take(PARTS[0].1);
    points.fold(0.0, |worst: f32, (a, b)| {
        if (a[2] > 0.0) == (b[2] > 0.0) { worst.max((a[0] - b[0]).hypot(a[1] - b[1])) } else { f32::INFINITY }
    })
}

fn check(models: &Path, frames: usize, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let video = as_rgb(&shared("media/crowd.avi"), frames, path("video.mkv"));
    let openpose = |name: &str, threads| of_openpose(&video, models, &path(name), threads, options);
    let (one, two) = (openpose("one", 1), openpose("two", 2));
    let itself = Nearness::of(&one, &two);
    itself.print("OpenPose with one thread and with two");
    let engine = [options, &["--engine", "native", "--parity", "cpu"]].concat();
    let nearness = Nearness::of(&of_program(&video, models, &path("ours.pose"), &engine), &two);
    nearness.print("oppose and OpenPose");
    // We agree with the library as often as it agrees with itself; a margin of a hundredth, since its two runs do not show
    // all of its variation.
    assert!(nearness.matched() >= itself.matched() - 0.01, "fewer people match than in OpenPose's own runs");
    assert!(nearness.near() >= itself.near() - 0.01, "fewer points are near than in OpenPose's own runs");
}

fn small_nets() {
    check(&shared("golden/models-small"), 205, &FACES_AND_HANDS_OF_SMALL_NETS);
}

/// OpenPose takes about two minutes per frame: made-up nets of this size find a hundred people in it.
fn full_size_nets() {
    let models = tempfile::tempdir().unwrap();
    made_up_models::write(models.path(), Size::Full);
    check(models.path(), 2, &[]);
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let needs = [Need::OpenPose, Need::Shared("media/crowd.avi"), Need::Program("ffmpeg")];
    vec![trial("small_nets", &needs, small_nets), trial("full_size_nets", &needs, full_size_nets)]
}
