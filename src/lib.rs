//! Video in, `.pose` out.

pub mod engine;
pub mod pose;
pub mod video;
