//! The `.pose` format: people's keypoints over time, with the skeleton they belong to.
//!
//! [`Pose`] is a file in memory, [`PoseWriter`] writes one frame by frame, and [`openpose_137`] and [`holistic_576`] are the
//! skeletons that the Python package pose-format writes for the same estimators, byte for byte. [`Pose::frame`] and
//! [`Pose::iter`] lead to frames, people, components and points by name, without copying.
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
//! In version 0.1 the frame rate and the number of frames are u16. In version 0.0 these two are followed by one frame after
//! another: the number of people (u16), then for each person an identity (i16, which is not kept) and the values of all
//! points in the order of the component's point format, confidence last (f32). All three versions are read; 0.2 is written.
//!
//! # Errors, threads
//!
//! The message of an error says what happened, and [`source`](std::error::Error::source) says why, so that reporters that
//! walk the chain print each cause once. Reading and writing block; all types can be sent to other threads, and everything
//! that only reads can be shared between them.
//!
//! # More than the format
//!
//! * [`openpose_json`] reads and writes the JSON files of OpenPose, and [`Pose::write_csv`] writes a table.
//! * [`inspect`] measures the quality of a file and compares two of them.
//! * [`people`] keeps each person in one row, or keeps only one person.
//!
//! The feature `timeline`, off by default, draws a file over time as SVG or PNG.

#![forbid(unsafe_code)]

mod bytes;
mod csv;
mod error;
mod foreign;
mod frame_pose;
mod frame_rate;
mod header;
pub mod inspect;
pub mod openpose_json;
pub mod output_file;
pub mod people;
mod platform;
mod pose_file;
mod selection;
mod skeleton;
mod view;
// Shared with the crates that look for videos in folders; not part of the interface.
#[doc(hidden)]
pub mod walk;
mod writer;

pub use error::{PoseError, SystemError};
pub use frame_pose::FramePose;
pub use frame_rate::{FrameRate, FrameRateError};
pub use header::Header;
pub use pose_file::{FilesBelow, Pose, files_below};
pub use selection::{Points, Selection, UnknownLegs};
pub use skeleton::{Component, Skeleton, holistic_576, holistic_586, openpose_137};
pub use view::{ComponentView, FrameView, PersonView, PointView};
pub use writer::{PoseWriter, WriterOptions};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
