//! What the real OpenPose computed for a picture, stage by stage, and how close other results are to that.
//!
//! `tests/data/golden-synthetic/README.md` says what the files are.
#![allow(dead_code)] // No test program uses all of it.

use std::fs;
use std::path::{Path, PathBuf};

use oppose::engine::native::assemble::heat_maps::NetOutput;
use oppose::engine::native::assemble::rectangles::Rectangle;
use oppose::engine::native::assemble::size::{NetResolution, Scale, Size, net_size, net_to_frame, scales};
use oppose::engine::native::assemble::{Keypoint, Parity};
use oppose::engine::native::{Backend, CropResolution, Estimator, Options};
use oppose::pose::FramePose;
use oppose::video::Frame;
use serde_json::Value;

use crate::npy::{self, Array};

/// What the real library computed for a picture.
pub struct Recording {
    pub folder: PathBuf,
    pub meta: Value,
    pub frame: Frame,
}

impl Recording {
    pub fn open(folder: PathBuf) -> Self {
        let meta = json(&folder.join("meta.json"));
        let frame = picture(&folder.join("image.png"));
        Self { folder, meta, frame }
    }

    pub fn has(&self, name: &str) -> bool {
        self.folder.join(format!("{name}.npy")).exists()
    }

    pub fn array(&self, name: &str) -> Array {
        npy::read(&self.folder.join(format!("{name}.npy")))
    }

    pub fn number(&self, name: &str) -> f64 {
        self.meta[name].as_f64().expect("a number")
    }

    pub fn frame_size(&self) -> Size {
        Size { width: self.frame.width() as usize, height: self.frame.height() as usize }
    }

    pub fn net_resolution(&self) -> NetResolution {
        let side = |index: usize| self.meta["net_resolution"][index].as_i64()?.try_into().ok();
        NetResolution { width: side(0), height: side(1) }
    }

    pub fn scales(&self) -> Vec<Scale> {
        let net = net_size(self.net_resolution(), self.frame_size()).unwrap();
        let mut found = Vec::new();
        let number = self.number("scale_number") as u32;
        scales(net, self.frame_size(), number, self.number("scale_gap"), &mut found).unwrap();
        found
    }

    pub fn net_to_frame(&self) -> f32 {
        net_to_frame(self.frame_size(), self.scales()[0].size)
    }

    /// Name of the array for a scale; that of the first has no number.
    pub fn of_scale(name: &str, index: usize) -> String {
        if index == 0 { name.to_owned() } else { format!("{name}_{index}") }
    }

    pub fn net_outputs(&self) -> Vec<Array> {
        (0..self.scales().len()).map(|index| self.array(&Self::of_scale("net_output", index))).collect()
    }

    pub fn people(&self) -> Vec<Keypoint> {
        keypoints(&self.array("pose_keypoints").values)
    }

    pub fn crop_side(&self) -> usize {
        self.number("face_hand_net_side") as usize
    }

    /// Runs the engine with these nets on the frame, and compares its people with the recorded ones.
    pub fn compare_people(&self, backend: impl Backend) {
        let crop = CropResolution::new(self.crop_side() as u16).unwrap();
        let options = Options {
            net_resolution: self.net_resolution(),
            face_net_resolution: crop,
            hand_net_resolution: crop,
            parity: Parity::Cpu,
            ..Options::default()
        };
        let mut estimator = Estimator::new(backend, options).unwrap();
        let mut pose = FramePose::default();
        estimator.estimate(&self.frame, &mut pose).unwrap();

        assert_eq!(pose.people(), self.number("people") as usize);
        let points = pose.coordinates().chunks_exact(2).zip(pose.confidences());
        let points: Vec<_> = points.map(|(at, &score)| Keypoint { x: at[0], y: at[1], score }).collect();
        let mut first = 0;
        for (name, count, allowed) in
            [("pose", 25, 0.0), ("face", 70, 0.02), ("hand_left", 21, 0.02), ("hand_right", 21, 0.02)]
        {
            let expected = keypoints(&self.array(&format!("{name}_keypoints")).values);
            let found = points.chunks_exact(137).flat_map(|person| &person[first..][..count]);
            let moved = |(a, b): (&Keypoint, &Keypoint)| {
                (a.x - b.x).abs() > 0.1 || (a.y - b.y).abs() > 0.1 || (a.score - b.score).abs() > 0.03
            };
            let moved = found.zip(&expected).filter(|&pair| moved(pair)).count();
            let limit = (allowed * expected.len() as f64).ceil() as usize;
            assert!(moved <= limit, "{name}: {moved} of {} points moved, allowed {limit}", expected.len());
            first += count;
        }
    }
}

pub fn as_output(array: &Array) -> NetOutput<'_> {
    let [.., height, width] = array.shape[..] else { panic!("{:?}", array.shape) };
    NetOutput { values: &array.values, size: Size { width, height } }
}

pub fn recorded_peaks(array: &Array) -> Vec<Vec<Keypoint>> {
    let parts = array.values.chunks_exact(128 * 3);
    parts.map(|part| keypoints(&part[3..][..3 * part[0] as usize])).collect()
}

pub fn keypoints(values: &[f32]) -> Vec<Keypoint> {
    values.chunks_exact(3).map(|v| Keypoint { x: v[0], y: v[1], score: v[2] }).collect()
}

pub fn from_values(values: &[f32]) -> Rectangle {
    assert_eq!(values[2], values[3], "a square");
    Rectangle { x: values[0], y: values[1], side: values[2] }
}

pub fn rectangle(value: &Value) -> Rectangle {
    let values: Vec<f32> = array(value).iter().map(|value| value.as_f64().unwrap() as f32).collect();
    from_values(&values)
}

pub fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

pub fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

pub fn picture(path: &Path) -> Frame {
    let picture = tiny_skia::Pixmap::load_png(path).unwrap();
    let pixels =
        picture.pixels().iter().flat_map(|pixel| [pixel.blue(), pixel.green(), pixel.red()]).collect();
    Frame::new(0, None, picture.width(), picture.height(), pixels).unwrap()
}

#[track_caller]
pub fn assert_near(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let difference = |(a, b): (&f32, &f32)| (a - b).abs();
    let worst = found.iter().zip(expected).map(difference).fold(0.0, f32::max);
    let is_number = found.iter().all(|value| !value.is_nan());
    assert!(is_number && worst <= tolerance, "largest difference {worst}, allowed {tolerance}");
}

#[track_caller]
pub fn assert_keypoints(found: &[Keypoint], expected: &[Keypoint], tolerance: f32) {
    let flat = |points: &[Keypoint]| points.iter().flat_map(|p| [p.x, p.y, p.score]).collect::<Vec<_>>();
    assert_near(&flat(found), &flat(expected), tolerance);
}

#[track_caller]
pub fn assert_peaks(found: &[Vec<Keypoint>], expected: &Array) {
    let expected = recorded_peaks(expected);
    let count = |peaks: &[Vec<Keypoint>]| peaks.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(count(found), count(&expected));
    assert_keypoints(&found.concat(), &expected.concat(), 1e-4);
}

/// Recorded rectangles are text with nine digits.
#[track_caller]
pub fn assert_rectangle(found: Rectangle, expected: Rectangle) {
    let values = |rectangle: Rectangle| [rectangle.x, rectangle.y, rectangle.side];
    assert_near(&values(found), &values(expected), 1e-4);
}
