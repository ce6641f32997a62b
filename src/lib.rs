//! Video in, `.pose` out: the keypoints of the people in every frame of a video, written in the binary format
//! of the pose-format library.
//!
//! ```
//! use oppose::{engine::holistic::Holistic, pipeline, video};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let output = folder.path().join("sample.pose");
//! let video = video::open("assets/sample.mp4".as_ref(), &video::Options::default())?;
//! let mut engine = Holistic::open("models".as_ref(), Default::default())?;
//! let options = pipeline::Options::default();
//! let report = pipeline::run(video, &mut engine, &output, &options, &mut |_progress| {})?;
//! println!("{} frames at {} a second", report.frames, report.frame_rate);
//! # assert_eq!((report.frames, report.people), (90, 1));
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] goes on from here: a folder, frames and engines of your own, what is in a file, a look at it.
//!
//! Data flows one way, and each room is useful alone:
//!
//! * [`video`] decodes files, pictures and pipes to upright frames. Frames of your own: implement
//!   [`video::Source`].
//! * [`engine`] estimates keypoints. An engine of your own: implement [`engine::Engine`], as
//!   `examples/own_engine.rs` does.
//! * [`engines`] opens the engine that was asked for, or the best one that can run here.
//! * [`pose`] reads and writes `.pose` files.
//! * [`people`] keeps each person in one row, or one person alone.
//! * [`pipeline`] joins the three for one video, or for several one behind the other.
//! * [`batch`] shares many videos out to several processes, one a GPU.
//! * [`render`] draws poses over pictures, to look at before believing.
//! * [`inspect`] says how good a `.pose` file is, and how far two are apart.
//! * [`report`] shows a whole corpus, or one video with its poses, as a page for the browser.
//! * [`output_file`] writes files that appear whole or not at all.
//! * [`gpu`] says which NVIDIA GPUs are here, [`doctor`] what is missing and what to do about it.

// The command line says `oppose::` of the library, whoever compiles it.
#[cfg(feature = "program")]
extern crate self as oppose;

#[cfg(feature = "video")]
pub mod batch;
#[cfg(feature = "program")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "program")]
pub mod doctor;
pub mod engine;
#[cfg(all(feature = "holistic", feature = "openpose"))]
pub mod engines;
#[cfg(all(feature = "holistic", feature = "video"))]
pub mod guide;
pub mod pipeline;
pub mod printable;
pub mod process;
#[cfg(feature = "video")]
pub mod render;
#[cfg(feature = "report")]
pub mod report;
pub mod video;

pub use oppose_core::Chain;
#[cfg(feature = "cuda")]
pub use oppose_nets::gpu;
pub use oppose_pose as pose;
pub use oppose_pose::{inspect, output_file, people};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
