//! Reads any bytes as one of the holistic nets: outputs and metadata are removed or the bytes stay unchanged, and a net that
//! can be computed is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose_tflite::{Network, keep_outputs, remove_metadata};

fuzz_target!(|model: &[u8]| {
    let mut kept = model.to_vec();
    if keep_outputs(&mut kept, &[0]).is_none() {
        assert_eq!(kept, model);
    }
    let _ = remove_metadata(&mut kept);
    if let Some(mut network) = Network::load(model, 1) {
        network.run();
    }
});
