//! The smallest possible engine of your own. It finds nobody, so running it shows what decoding and writing alone
//! cost.
//!
//!     cargo run --release --example own_engine -- video.mp4 out.pose

use std::collections::VecDeque;
use std::error::Error;
use std::path::PathBuf;

use oppose::engine::{Engine, EngineError, EngineInfo};
use oppose::pipeline;
use oppose::pose::{FramePose, Skeleton, openpose_137};
use oppose::video::{self, Frame, VideoInfo};

/// Returns an empty result for every frame.
#[derive(Default)]
struct Nobody {
    in_flight: VecDeque<Frame>,
}

impl Engine for Nobody {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        Ok(EngineInfo::new("nobody", "cpu", "none", openpose_137().points()))
    }

    fn skeleton(&self) -> &'static Skeleton {
        openpose_137()
    }

    fn capacity(&self) -> usize {
        4
    }

    fn start_video(&mut self, _info: &VideoInfo) -> Result<(), EngineError> {
        Ok(())
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        self.in_flight.push_back(frame);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        let skeleton = self.skeleton();
        pose.reset(1, skeleton.points(), skeleton.dimensions());
        Ok(self.in_flight.pop_front().is_some())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("expected two arguments: a video and the .pose file to write".into());
    };
    let source = video::open(&input, &video::Options::default())?;
    let options = pipeline::Options::default().with_overwrite(true);
    let report = pipeline::run(source, &mut Nobody::default(), &output, &options, &mut |_| {})?;
    let seconds = report.elapsed.as_secs_f64();
    println!("{} frames in {seconds:.2} s: {:.1} per second", report.frames, report.frames as f64 / seconds);
    if let Some(kib) = peak_memory() {
        println!("peak memory {kib} KiB");
    }
    Ok(())
}

/// The peak memory of this process, if the system reports it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}
