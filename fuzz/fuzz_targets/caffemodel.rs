//! Any bytes as the trained values of a net: read or refused, never more memory than they take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::engine::native::model::Graph;

const PROTOTXT: &[u8] = br#"
    input: "image" input_dim: [1, 3, 16, 16]
    layer { name: "a" type: "Convolution" bottom: "image" top: "a"
            convolution_param { num_output: 2 kernel_size: 3 pad: 1 } }
    layer { name: "b" type: "PReLU" bottom: "a" top: "a" }
    layer { name: "c" type: "Concat" bottom: "a" bottom: "image" top: "net_output" }"#;

fuzz_target!(|caffemodel: &[u8]| {
    let _ = Graph::from_bytes(PROTOTXT, caffemodel);
});
