//! The vocabulary of oppose: what a [`Frame`] is, where frames come from ([`Source`]) and what finds keypoints in them
//! ([`Engine`]).
//!
//! Implement [`Source`] to supply frames of your own, and [`Engine`] to add an estimator of your own. Data flows one way: a
//! source yields frames, an engine takes them and returns [`FramePose`](oppose_pose::FramePose)s in the same order.

#![forbid(unsafe_code)]

mod cancel;
mod chain;
mod engine;
mod frame;
mod note;
mod planes;
mod source;

pub use cancel::Cancel;
pub use chain::Chain;
pub use engine::{Engine, EngineError, EngineErrorKind, EngineInfo};
pub use frame::{Frame, FramePool, FrameSizeError, MAX_PIXELS, MAX_SIDE, MIN_SIDE};
pub use note::Note;
pub use oppose_pose::{FrameRate, FrameRateError};
pub use planes::{ColorMatrix, Planes};
pub use source::{DecodeSummary, RateSource, Source, SourceError, VideoInfo};
