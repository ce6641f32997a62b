//! [Edits](keep_outputs) TensorFlow Lite nets, and [computes](Network) them with exactly XNNPACK's results.
//!
//! It supports what MediaPipe Holistic's nets need. A `.tflite` file is a
//! [flat buffer](https://flatbuffers.dev/internals/) and may come from anywhere, so every read is checked.

#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only `network` reads all fields"))]
mod flat_buffer;
mod multiply_add;
#[cfg(target_arch = "x86_64")]
mod network;
mod prune;

pub use multiply_add::split as split_multiply_add;
#[cfg(target_arch = "x86_64")]
pub use network::{Network, Rest};
pub use prune::{cut, keep_outputs, remove_metadata};
