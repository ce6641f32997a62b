//! What `--render` makes: an overlay beside each `.pose` file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, error::Error};

use oppose::Chain;
use oppose::batch::{Job, Limits};
use oppose::pipeline::Cancel;
use oppose::pose::Pose;
use oppose::process::{self, ProcessError, SignsOfLife, this_program};
use oppose::render::OverlayOptions;
use oppose::video::{
    self, DecodeSummary, Encoder, Frame, FrameRate, OVERLAY_SUFFIXES, Source, SourceError, VideoInfo,
};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::Outcome;
use super::estimate::Arguments;
use super::progress::Reporter;
use super::render;
use super::signals::Signals;
use super::terminal::say;

/// The hidden subcommand that draws one overlay. Its arguments are those of the process that started it; what to
/// draw is passed in environment variables.
pub const NAME: &str = "draw-overlay";
const VIDEO_VARIABLE: &str = "OPPOSE_OVERLAY_VIDEO";
const POSE_VARIABLE: &str = "OPPOSE_OVERLAY_POSE";

/// Where overlays are drawn.
#[derive(Clone, Copy, Debug)]
pub enum Process {
    /// In this process.
    This,
    /// In a process for each: the video is decoded once more, and a decoder that crashes or hangs must not end the run.
    Own(Limits),
}

/// Draws the people over a video that is done. Problems are reported; returns whether there were none.
pub fn draw(
    job: &Job,
    process: Process,
    options: &video::Options,
    cancel: &Cancel,
    reporter: &mut Reporter,
) -> bool {
    let drawn = match process {
        Process::This => beside(job, options, cancel, || {}),
        Process::Own(limits) => in_own_process(job, limits, cancel),
    };
    if let Err(error) = &drawn {
        reporter.trouble(&job.video, &Chain(&**error).to_string());
    }
    drawn.is_ok()
}

/// Whether the overlay of a video that is done is missing, or older than its `.pose` file.
pub fn is_missing(job: &Job) -> bool {
    let modified =
        |path: &Path| -> Option<SystemTime> { fs::metadata(path).and_then(|found| found.modified()).ok() };
    modified(&overlay(&job.output)) < modified(&job.output)
}

/// `NAME.pose.mp4` beside `NAME.pose`, or `NAME.pose.webm` if FFmpeg has no encoder for H.264, as in the Python package.
fn overlay(pose: &Path) -> PathBuf {
    let [preferred, other] = OVERLAY_SUFFIXES.map(|suffix| {
        let mut name = pose.as_os_str().to_owned();
        name.push(".");
        name.push(suffix);
        PathBuf::from(name)
    });
    if Encoder::is_available(&preferred) { preferred } else { other }
}

/// An overlay that exists is from an earlier run and is replaced. `on_frame` is called before each frame is read.
fn beside(
    job: &Job,
    options: &video::Options,
    cancel: &Cancel,
    on_frame: impl FnMut() + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let pose = Pose::read_file(&job.output)?;
    // The rate that the frames have shown is in the file.
    let frame_rate = FrameRate::from_f32(pose.fps);
    let source = video::open(&job.video, &options.clone().with_frame_rate(frame_rate))?;
    let options = OverlayOptions {
        audio: Some(job.video.clone()),
        overwrite: true,
        cancel: cancel.clone(),
        ..OverlayOptions::default()
    };
    let source = Box::new(Watched { source, on_frame });
    render::write(Some(source), &[&pose], &overlay(&job.output), &options)?;
    Ok(())
}

/// A video that reports when its frames are read.
struct Watched<F> {
    source: Box<dyn Source>,
    on_frame: F,
}

impl<F: FnMut() + Send> Source for Watched<F> {
    fn info(&self) -> &VideoInfo {
        self.source.info()
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        (self.on_frame)();
        self.source.next_frame()
    }

    fn summary(&self) -> DecodeSummary {
        self.source.summary()
    }

    fn pixel_aspect(&self) -> f64 {
        self.source.pixel_aspect()
    }
}

/// Draws in a process of its own.
fn in_own_process(job: &Job, limits: Limits, cancel: &Cancel) -> Result<(), Box<dyn Error>> {
    let mut command = this_program()?;
    command.arg(NAME).args(env::args_os().skip(1));
    command.env(VIDEO_VARIABLE, &job.video).env(POSE_VARIABLE, &job.output);
    match process::run(&mut command, limits.stall, &|| cancel.is_cancelled()) {
        Ok(words) if words.is_empty() => Ok(()),
        Ok(words) => {
            say(words);
            Ok(())
        }
        Err(ProcessError::Ended(how)) => Err(format!("the process that drew the overlay {how}").into()),
        Err(error) => Err(error.into()),
    }
}

/// Draws the overlay that the environment variables name.
pub fn run(arguments: &Arguments) -> Outcome {
    let drawn = || -> Result<(), Box<dyn Error>> {
        // It does not outlive the process that started it.
        set_parent_process_death_signal(Some(Signal::TERM))?;
        let signals = Signals::listen()?;
        let path = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("no {name}"));
        let job = Job { video: path(VIDEO_VARIABLE)?, output: path(POSE_VARIABLE)? };
        let mut signs = SignsOfLife::default();
        let give_sign = move || signs.give();
        beside(&job, &arguments.video_options(), &signals.cancel, give_sign)
    };
    Outcome::of_child(drawn())
}
