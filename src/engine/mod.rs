//! Estimators: frames go in, and people's keypoints come out in the same order.

#[cfg(feature = "holistic")]
pub mod holistic;
pub mod isolated;
pub mod models;
#[cfg(feature = "openpose")]
pub mod openpose;

pub use oppose_core::{Engine, EngineError, EngineErrorKind, EngineInfo};
#[cfg(feature = "native")]
pub use oppose_nets as native;
