//! The process that makes pictures of a video for a page: this program, started again.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use oppose::process::{SignsOfLife, this_program};
use oppose::report::ThumbnailRequest;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::Outcome;

/// The hidden subcommand.
pub const NAME: &str = "make-thumbnails";

/// The request of the process that started this one.
#[derive(Args, Debug)]
pub struct Arguments {
    video: PathBuf,
    folder: PathBuf,
    width: u32,
    height: u32,
    frames: Vec<u64>,
}

/// The command that serves a request.
pub fn command(request: &ThumbnailRequest) -> io::Result<Command> {
    let mut command = this_program()?;
    command.args([NAME, "--"]).arg(&request.video).arg(&request.folder);
    let (width, height) = request.size;
    let numbers = [u64::from(width), u64::from(height)];
    command.args(numbers.iter().chain(&request.frames).map(u64::to_string));
    Ok(command)
}

/// Serves a request.
pub fn run(arguments: &Arguments) -> Outcome {
    let Arguments { video, folder, width, height, frames } = arguments;
    let request = ThumbnailRequest::new(video, (*width, *height), frames.clone(), folder);
    let mut signs = SignsOfLife::default();
    let mut served = || -> Result<(), Box<dyn std::error::Error>> {
        // It does not outlive the process that started it.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(request.serve(|| signs.give())?)
    };
    Outcome::of_child(served())
}
