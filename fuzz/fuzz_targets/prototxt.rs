//! Any text as the description of a net: read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::engine::native::model::Graph;

/// A layer "a" with one value as its weights, of shape 1 x 1 x 1 x 1, and one as its bias.
const CAFFEMODEL: &[u8] = b"\xa2\x06\x20\x0a\x01\x61\x3a\x0e\x2a\x04\x00\x00\x80\x3f\x3a\x06\x0a\x04\x01\x01\x01\x01\x3a\x0b\x2a\x04\x00\x00\x80\x3f\x3a\x03\x0a\x01\x01";

fuzz_target!(|prototxt: &[u8]| {
    let _ = Graph::from_bytes(prototxt, CAFFEMODEL);
});
