//! Parses any text as the values of options; a value that is accepted must survive a round trip.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use oppose::engine::native::CropResolution;
use oppose::engine::native::assemble::Parity;
use oppose::engine::native::assemble::keypoint_scale::KeypointScale;
use oppose::engine::native::assemble::size::NetResolution;
use oppose::engine::native::cuda::Precision;
use oppose::people::Person;
use oppose::video::{FrameRate, Rotate};

fuzz_target!(|text: &str| {
    round_trip::<NetResolution>(text);
    round_trip::<CropResolution>(text);
    round_trip::<Parity>(text);
    round_trip::<KeypointScale>(text);
    round_trip::<Precision>(text);
    round_trip::<FrameRate>(text);
    let _ = (text.parse::<Person>(), text.parse::<Rotate>());
});

fn round_trip<T: FromStr + Display + Debug + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse().ok(), Some(value), "{text:?}");
    }
}
