//! Reads any bytes as the weights of a net, which must be read or refused without using more memory than
//! their size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::engine::native::model::Graph;

const PROTOTXT: &[u8] = include_bytes!("../seeds/prototxt/every_layer");

fuzz_target!(|caffemodel: &[u8]| {
    let _ = Graph::from_bytes(PROTOTXT, caffemodel);
});
