//! Reads any bytes as a `.pose` file; what can be read must survive a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::pose::Pose;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(pose) = Pose::from_bytes(bytes) {
        // Frames of version 0.0 are padded to the same number of people; several copies of that exceed the fuzzer's memory.
        if pose.coordinates().len() + pose.confidences().len() > 1 << 23 {
            return;
        }
        let written = pose.to_bytes().expect("what was read can be written");
        let again = Pose::from_bytes(&written).expect("what was written can be read").to_bytes();
        assert!(again.expect("once more") == written);
    }
});
