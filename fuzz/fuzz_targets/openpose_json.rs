//! Reads any bytes as OpenPose's JSON; what can be read must survive a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::pose::FramePose;
use oppose::pose::openpose_json::{from_json, to_json};

fuzz_target!(|bytes: &[u8]| {
    let mut pose = FramePose::default();
    if from_json(bytes, &mut pose).is_ok() {
        let written = to_json(&pose).expect("a frame of OpenPose's skeleton");
        from_json(written.as_bytes(), &mut pose).expect("what was written can be read");
        assert!(to_json(&pose).expect("the same skeleton") == written);
    }
});
