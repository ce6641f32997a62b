//! Video in, `.pose` out.

pub mod engine;
pub mod pipeline;
pub mod pose;
pub mod render;
pub mod video;
