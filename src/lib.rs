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
//! println!("{} frames at {} per second", report.frames, report.frame_rate);
//! # assert_eq!((report.frames, report.people), (90, 1));
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] continues from here: a folder, frames and engines of your own, what is in a file, drawing it.
//!
//! Data flows one way, and each module is useful alone:
//!
//! * [`video`] decodes files, pictures and pipes to upright frames. To supply your own frames, implement
//!   [`video::Source`].
//! * [`engine`] estimates keypoints. To add your own engine, implement [`engine::Engine`], as
//!   `examples/own_engine.rs` does.
//! * [`engines`] opens the engine you select, or the best one that can run here.
//! * [`pose`] reads and writes `.pose` files.
//! * [`people`] keeps each person in one row, or keeps only one person.
//! * [`pipeline`] joins source, engine and file, for one video or for several in a row.
//! * [`batch`] distributes many videos over several processes, for example one per GPU.
//! * [`render`] draws poses over the video, so that you can check them.
//! * [`inspect`] measures the quality of a `.pose` file, and how much two differ.
//! * [`report`] shows a whole corpus, or one video with its poses, as a page for the browser.
//! * [`output_file`] writes files that appear complete or not at all.
//! * [`gpu`] lists the NVIDIA GPUs, and [`doctor`] finds what is missing on this machine and what to do about it.

// The command line refers to the library as `oppose::`, whichever crate compiles it.
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
