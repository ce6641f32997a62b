//! The output of `--progress json`: one JSON object per line.

use std::io::{self, Write};
use std::path::Path;

use oppose::batch::Summary;
use oppose::pipeline::Progress;
use oppose::video::RateSource;
use serde::Serialize;

/// A line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A video is open.
    Started { video: &'a Path, announced_frames: Option<u64> },
    /// Frames of it are done.
    Progress {
        video: &'a Path,
        frames: u64,
        announced_frames: Option<u64>,
        frames_per_second: f64,
        seconds_left: Option<f64>,
        /// Of all videos.
        all_seconds_left: Option<f64>,
    },
    /// A video is complete.
    Done {
        video: &'a Path,
        output: &'a Path,
        frames: u64,
        announced_frames: Option<u64>,
        frames_with_people: u64,
        people: usize,
        frame_rate: String,
        frame_rate_source: RateSource,
        variable_rate: bool,
        notes: Vec<String>,
        damaged_packets: u64,
        seconds: f64,
    },
    /// A video needs no work.
    Skipped { video: &'a Path, reason: &'a str },
    /// A video has failed.
    Failed { video: &'a Path, reason: &'a str },
    /// The summary, if there are several videos.
    Summary(&'a Summary),
}

impl<'a> Event<'a> {
    /// The progress of a video, and when all will be done.
    pub fn progress(video: &'a Path, progress: Progress, all_seconds_left: Option<f64>) -> Self {
        Self::Progress {
            video,
            frames: progress.frames,
            announced_frames: progress.announced_frames,
            frames_per_second: progress.frames_per_second(),
            seconds_left: progress.time_left().map(|left| left.as_secs_f64()),
            all_seconds_left,
        }
    }

    /// Writes the line. A closed pipe is no reason to stop working.
    pub fn emit(&self) {
        if let Ok(mut line) = serde_json::to_vec(self) {
            line.push(b'\n');
            let _ = io::stdout().write_all(&line);
        }
    }
}
