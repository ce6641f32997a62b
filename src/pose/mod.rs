//! The `.pose` format: people's keypoints over time, with the skeleton they belong to.
//!
//! Useful alone: [`Pose`] is a file in memory, [`PoseWriter`] writes one frame by frame, and
//! [`openpose_137`] and [`holistic_576`] are the skeletons that the Python package pose-format gives files
//! of the same estimators, byte for byte.
//!
//! # Layout of version 0.2
//!
//! All values are little-endian; a text is its length in bytes (u16) and UTF-8.
//!
//! | part | content |
//! | --- | --- |
//! | header | version f32; width, height, depth u16; number of components u16 |
//! | each component | name, point format (texts); numbers of points, limbs, colours u16; names of the points (texts); limbs, 2 × u16 each; colours, 3 × u16 each |
//! | body | frames per second f32; frames u32; people u16 |
//! | | coordinates f32: frames × people × points × dimensions |
//! | | confidences f32: frames × people × points |
//!
//! Version 0.1 differs in frames per second and frames, which are u16 there.

mod bytes;
mod csv;
mod error;
mod frame_pose;
mod header;
pub mod openpose_json;
mod pose_file;
mod selection;
mod skeleton;
mod writer;

pub use error::PoseError;
pub use frame_pose::FramePose;
pub use header::Header;
pub use pose_file::{Pose, files_below};
pub use selection::{Points, Selection, UnknownLegs};
pub use skeleton::{Component, Skeleton, holistic_576, holistic_586, openpose_137};
pub use writer::{PoseWriter, remove_unfinished};
