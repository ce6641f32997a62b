//! Reads any bytes as a journal; the entries found must survive a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oppose::batch::journal::read_from;

fuzz_target!(|journal: &[u8]| {
    let entries = read_from(journal).expect("memory can be read");
    let mut written = Vec::new();
    for entry in &entries {
        serde_json::to_writer(&mut written, entry).expect("what was read can be written");
        written.push(b'\n');
    }
    assert_eq!(read_from(&*written).expect("memory can be read"), entries);
});
