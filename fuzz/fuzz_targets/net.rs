//! Reads any two files as a net, the description and, after a zero byte, the weights; they must be joined or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::engine::native::model::Graph;

fuzz_target!(|files: &[u8]| {
    let mut files = files.splitn(2, |&byte| byte == 0);
    let _ = Graph::from_bytes(files.next().unwrap_or_default(), files.next().unwrap_or_default());
});
