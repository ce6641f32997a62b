//! Looks in any bytes, as in a library of OpenPose's, for the GPUs that it has code for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::engine::openpose::GpuCode;

fuzz_target!(|library: &[u8]| {
    let mut code = GpuCode::default();
    code.add(library);
    assert_eq!(code.is_empty(), code.to_string().is_empty());
});
