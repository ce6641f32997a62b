//! Any text as an option's value: refused, or a value that, written, is read as itself.
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
    comes_back::<NetResolution>(text);
    comes_back::<CropResolution>(text);
    comes_back::<Parity>(text);
    comes_back::<KeypointScale>(text);
    comes_back::<Precision>(text);
    comes_back::<FrameRate>(text);
    let _ = (text.parse::<Person>(), text.parse::<Rotate>());
});

fn comes_back<T: FromStr + Display + Debug + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse().ok(), Some(value), "{text:?}");
    }
}
