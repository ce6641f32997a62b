//! Sends any bytes to the engine's process as the requests of the process that reads the video.
#![no_main]

use std::collections::VecDeque;
use std::io;

use libfuzzer_sys::fuzz_target;
use oppose::engine::{Engine, EngineError, EngineInfo, isolated};
use oppose::pose::{FramePose, Skeleton, openpose_137};
use oppose::video::{Frame, VideoInfo};

/// Finds one person in every frame.
#[derive(Default)]
struct OnePerson {
    in_flight: VecDeque<Frame>,
}

impl Engine for OnePerson {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        Ok(EngineInfo::new("one person", "cpu", "none", openpose_137().points()))
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
        assert_eq!(frame.pixels().len(), frame.width() as usize * frame.height() as usize * 3);
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

fuzz_target!(|requests: &[u8]| {
    let engine: Result<Box<dyn Engine>, EngineError> = Ok(Box::new(OnePerson::default()));
    // Requests that violate the protocol are answered with an error.
    let _ = isolated::serve(engine, requests, io::sink());
});
