//! Any bytes as the trained values of a net: read or refused, never more memory than they take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::engine::native::model::Graph;

const PROTOTXT: &[u8] = include_bytes!("../seeds/prototxt/every_layer");

fuzz_target!(|caffemodel: &[u8]| {
    let _ = Graph::from_bytes(PROTOTXT, caffemodel);
});
