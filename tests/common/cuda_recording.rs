//! What the real OpenPose, built with CUDA, found in pictures, and how close other results are to that.
#![allow(dead_code)] // No test program uses all of it.

use std::path::Path;

use oppose::engine::native::{CropResolution, Options};
use oppose::pose::FramePose;
use oppose::video::Frame;

use crate::common;
use crate::npy;
use crate::recording::{keypoints, picture};

/// The cases, by the names of their folders.
pub const CASES: [&str; 8] = [
    "a_640x480",
    "a_640x480_net368",
    "c_210x260",
    "d_1280x720",
    "e_101x77",
    "e_101x77_net64",
    "f_320x320",
    "f_320x320_s2",
];

/// The picture of a case, and the options that OpenPose was run with.
pub fn case(name: &str) -> (Frame, Options) {
    let mut parts = name.splitn(3, '_');
    let base = format!("{}_{}", parts.next().unwrap(), parts.next().unwrap());
    let (resolution, side, scale_number) = match parts.next() {
        Some("net368") => ("-1x368", 368, 1),
        Some("net64") => ("-1x64", 96, 1),
        Some("s2") => ("-1x176", 96, 2),
        _ => ("-1x176", 96, 1),
    };
    let crop = CropResolution::new(side).unwrap();
    let options = Options {
        net_resolution: resolution.parse().unwrap(),
        face_net_resolution: crop,
        hand_net_resolution: crop,
        scale_number,
        ..Options::default()
    };
    (picture(&common::shared("golden").join(base).join("image.png")), options)
}

/// How many points were compared, and how many are within 0.1 pixels and 0.03 in confidence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Near {
    pub all: usize,
    pub near: usize,
    /// The largest distance in a coordinate, in pixels.
    pub worst: f32,
}

impl Near {
    pub fn share(self) -> f64 {
        self.near as f64 / self.all.max(1) as f64
    }
}

/// Bodies, faces and hands, over all cases.
pub type Nearness = [Near; 3];

/// Compares people with the recorded ones of a case, of which there must be as many, in the same rows.
pub fn compare(name: &str, found: &FramePose, nearness: &mut Nearness) {
    let folder = common::shared("golden-cuda").join(name);
    let points: Vec<_> = found.coordinates().chunks_exact(2).zip(found.confidences()).collect();
    let mut first = 0;
    for (file, count, kind) in [("pose", 25, 0), ("face", 70, 1), ("hand_left", 21, 2), ("hand_right", 21, 2)]
    {
        let expected = keypoints(&values(&folder, file));
        assert_eq!(found.people() * count, expected.len(), "{name}: people with {file}");
        let found = points.chunks_exact(137).flat_map(|person| &person[first..][..count]);
        for ((at, score), expected) in found.zip(&expected) {
            // Points that were not sought or not found are 0 in both.
            if expected.score == 0.0 && **score == 0.0 {
                continue;
            }
            let off = (at[0] - expected.x).abs().max((at[1] - expected.y).abs());
            let near = &mut nearness[kind];
            near.all += 1;
            near.near += usize::from(off <= 0.1 && (**score - expected.score).abs() <= 0.03);
            near.worst = near.worst.max(off);
        }
        first += count;
    }
}

fn values(folder: &Path, file: &str) -> Vec<f32> {
    npy::read(&folder.join(format!("{file}_keypoints.npy"))).values
}

/// Asserts that all bodies are where OpenPose has them, to less than its own files resolve, and that faces and hands agree
/// as well as OpenPose does with itself when its matrix products have no workspace (97.61 % of faces and 98.21 % of
/// hands), within what 500 points of hands can show: heat maps of these made-up nets have several equal maxima.
#[track_caller]
pub fn assert_exact(what: &str, [bodies, faces, hands]: Nearness) {
    println!(
        "{what}: bodies {:.2} % of {} (worst {:.4} px), faces {:.2} % of {}, hands {:.2} % of {}",
        bodies.share() * 100.0,
        bodies.all,
        bodies.worst,
        faces.share() * 100.0,
        faces.all,
        hands.share() * 100.0,
        hands.all
    );
    assert!(bodies.all > 0 && bodies.near == bodies.all && bodies.worst < 0.01, "{what}: {bodies:?}");
    assert!(faces.all > 0 && faces.share() > 0.96, "{what}: {faces:?}");
    assert!(hands.all > 0 && hands.share() > 0.95, "{what}: {hands:?}");
}
