//! Reads any text as the description of a net, which must be read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::engine::native::model::Graph;

/// Layers "a" with 2 filters of 3 x 3 x 3 and "b" with 2 slopes.
const CAFFEMODEL: &[u8] = include_bytes!("../seeds/caffemodel/layers");

fuzz_target!(|prototxt: &[u8]| {
    let _ = Graph::from_bytes(prototxt, CAFFEMODEL);
});
