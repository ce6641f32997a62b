//! How fast `.pose` files are written frame by frame, including the final sync, and read.
//!
//! ```text
//! cargo bench --bench pose_writer [-- FRAMES]
//! ```
//!
//! Writes to the folder for temporary files (`TMPDIR`); FRAMES defaults to 20,000. For comparison, it also writes and
//! syncs the same number of bytes in one go.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use oppose::pose::{FramePose, Header, Pose, PoseWriter, Skeleton, holistic_576, openpose_137};

fn main() {
    let frames = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(20_000);
    for (name, skeleton, people) in [
        ("576 points", holistic_576(), 1),
        ("137 points", openpose_137(), 1),
        ("10 x 137 points", openpose_137(), 10),
    ] {
        bench(name, skeleton, people, frames);
    }
}

fn bench(name: &str, skeleton: &Skeleton, people: usize, frames: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bench.pose");
    let mut frame = FramePose::new(people, skeleton.points(), skeleton.dimensions());
    for (i, value) in frame.coordinates_mut().iter_mut().enumerate() {
        *value = i as f32;
    }
    let rate = |started: Instant| f64::from(frames) / started.elapsed().as_secs_f64();

    let started = Instant::now();
    let mut writer = PoseWriter::create(&path, &Header::new(skeleton, 640, 480).expect("a header"), 25.0)
        .expect("a writer");
    for _ in 0..frames {
        writer.write(&frame).expect("written");
    }
    let spooled = rate(started);
    writer.finish().expect("finished");
    let written = rate(started);

    let started = Instant::now();
    assert_eq!(Pose::read_file(&path).expect("a pose").frames(), frames as usize);
    let read = rate(started);

    let bytes = vec![1; std::fs::metadata(&path).expect("a file").len() as usize];
    let started = Instant::now();
    let mut file = File::create(folder.path().join("plain")).expect("a file");
    file.write_all(&bytes).and_then(|()| file.sync_all()).expect("written");
    let plain = rate(started);
    println!(
        "{name:16} {frames} frames, {} MB: written {written:.0} frames/s ({spooled:.0} without finish), \
         read {read:.0}; plain bytes written {plain:.0}",
        bytes.len() / 1_000_000
    );
}
