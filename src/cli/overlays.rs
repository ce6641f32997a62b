//! What `--render` makes: an overlay beside each `.pose` file.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};
use std::{env, error::Error};

use oppose::batch::Job;
use oppose::pipeline::Cancel;
use oppose::pose::Pose;
use oppose::process::this_program;
use oppose::render::OverlayOptions;
use oppose::video::{self, FrameRate};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use super::Outcome;
use super::estimate::Arguments;
use super::progress::Reporter;
use super::render;
use super::signals::Signals;
use super::terminal::say;

/// The subcommand that draws one overlay, which users do not see. Its arguments are those of the process that started
/// it; what it draws stands in the environment.
pub const NAME: &str = "draw-overlay";
const VIDEO_VARIABLE: &str = "OPPOSE_OVERLAY_VIDEO";
const POSE_VARIABLE: &str = "OPPOSE_OVERLAY_POSE";

/// How often to check whether the drawing has ended.
const INTERVAL: Duration = Duration::from_millis(10);

/// Where overlays are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this process.
    Here,
    /// In a process for each: the video is decoded once more, and a decoder that crashes must not end the run.
    Apart,
}

/// Draws the people of a video that is done over it. What goes wrong is reported; whether nothing did.
pub fn draw(
    job: &Job,
    place: Place,
    options: &video::Options,
    cancel: &Cancel,
    reporter: &mut Reporter,
) -> bool {
    let drawn = match place {
        Place::Here => beside(job, options, cancel),
        Place::Apart => apart(job, cancel),
    };
    if let Err(error) = &drawn {
        reporter.trouble(&job.video, &error.to_string());
    }
    drawn.is_ok()
}

/// The same for videos that were done before, where the overlay is missing or older than its `.pose` file.
pub fn draw_missing(
    jobs: &[Job],
    place: Place,
    options: &video::Options,
    cancel: &Cancel,
    reporter: &mut Reporter,
) -> bool {
    let modified =
        |path: &Path| -> Option<SystemTime> { fs::metadata(path).and_then(|found| found.modified()).ok() };
    let missing = jobs.iter().filter(|job| modified(&overlay(&job.output)) < modified(&job.output));
    let mut all = true;
    for job in missing {
        all &= !cancel.is_cancelled() && draw(job, place, options, cancel, reporter);
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
fn beside(job: &Job, options: &video::Options, cancel: &Cancel) -> Result<(), Box<dyn Error>> {
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

/// Draws in a process of its own.
fn apart(job: &Job, cancel: &Cancel) -> Result<(), Box<dyn Error>> {
    let mut command = this_program()?;
    command.arg(NAME).args(env::args_os().skip(1));
    command.env(VIDEO_VARIABLE, &job.video).env(POSE_VARIABLE, &job.output);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let waiting = thread::Builder::new().name("overlay".into()).spawn(|| child.wait_with_output())?;
    let mut is_asked_to_end = false;
    while !waiting.is_finished() {
        if cancel.is_cancelled() && !is_asked_to_end {
            is_asked_to_end = true;
            // That it has ended already is no error.
            let _ = process.map(|process| kill_process(process, Signal::TERM));
        }
        thread::sleep(INTERVAL);
    }
    let Output { status, stderr, .. } =
        waiting.join().unwrap_or_else(|_| Err(io::Error::other("the overlay's process was lost")))?;
    let words = String::from_utf8_lossy(&stderr);
    let words = words.trim_end();
    match status.signal() {
        _ if status.success() => {
            if !words.is_empty() {
                say(words);
            }
            Ok(())
        }
        Some(signal) => {
            let name = signal_hook::low_level::signal_name(signal).map(str::to_owned);
            let name = name.unwrap_or_else(|| format!("signal {signal}"));
            let words = if words.is_empty() { String::new() } else { format!("; its last words: {words}") };
            Err(format!("the process that drew the overlay was ended by {name}{words}").into())
        }
        None if words.is_empty() => Err(format!("the overlay was not drawn ({status})").into()),
        None => Err(words.into()),
    }
}

/// Draws the overlay that the environment names.
pub fn run(arguments: &Arguments) -> Outcome {
    let drawn = || -> Result<(), Box<dyn Error>> {
        // It does not outlive the process that started it.
        set_parent_process_death_signal(Some(Signal::TERM))?;
        let signals = Signals::listen()?;
        let path = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| format!("no {name}"));
        let job = Job { video: path(VIDEO_VARIABLE)?, output: path(POSE_VARIABLE)? };
        beside(&job, &arguments.video_options(), &signals.cancel)
    };
    match drawn() {
        Ok(()) => Outcome::AllDone,
        Err(error) => {
            // Control characters are escaped by the process that shows it.
            let _ = writeln!(io::stderr(), "{error}");
            Outcome::SomeFailed
        }
    }
}
