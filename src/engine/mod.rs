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

/// The system's own words for why a library does not load: the crate's are only "dlopen failed".
#[cfg(any(feature = "holistic", feature = "openpose"))]
fn loader_error(error: libloading::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        libloading::Error::DlOpen { source } | libloading::Error::DlSym { source } => source.into(),
        other => other.into(),
    }
}
