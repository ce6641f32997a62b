//! What `--render` makes: an overlay beside each `.pose` file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oppose::batch::Job;
use oppose::pipeline::Cancel;
use oppose::pose::Pose;
use oppose::render::OverlayOptions;
use oppose::video::{self, FrameRate};

use super::progress::Reporter;
use super::render;

/// Draws the people of a video that is done over it. What goes wrong is told; whether nothing did.
pub fn draw(job: &Job, options: &video::Options, cancel: &Cancel, reporter: &mut Reporter) -> bool {
    let drawn = beside(job, options, cancel);
    if let Err(error) = &drawn {
        reporter.trouble(&job.video, &error.to_string());
    }
    drawn.is_ok()
}

/// The same for videos that were done before, where the overlay is missing or older than its `.pose` file.
pub fn draw_missing(
    jobs: &[Job],
    options: &video::Options,
    cancel: &Cancel,
    reporter: &mut Reporter,
) -> bool {
    let modified =
        |path: &Path| -> Option<SystemTime> { fs::metadata(path).and_then(|found| found.modified()).ok() };
    let missing = jobs.iter().filter(|job| modified(&overlay(&job.output)) < modified(&job.output));
    let mut all = true;
    for job in missing {
        all &= !cancel.is_cancelled() && draw(job, options, cancel, reporter);
    }
    all
}

/// `NAME.pose.mp4` beside `NAME.pose`.
fn overlay(pose: &Path) -> PathBuf {
    let mut name = pose.as_os_str().to_owned();
    name.push(".mp4");
    name.into()
}

/// An overlay that is there is of an earlier run and is replaced.
fn beside(job: &Job, options: &video::Options, cancel: &Cancel) -> Result<(), Box<dyn std::error::Error>> {
    let pose = Pose::read_file(&job.output)?;
    // The rate that the frames have shown is in the file.
    let frame_rate = FrameRate::from_f32(pose.fps);
    let source = video::open(&job.video, &video::Options { frame_rate, ..options.clone() })?;
    let options = OverlayOptions {
        audio: Some(job.video.clone()),
        overwrite: true,
        cancel: cancel.clone(),
        ..OverlayOptions::default()
    };
    render::write(Some(source), &[&pose], &overlay(&job.output), &options)?;
    Ok(())
}
