//! The process that makes pictures of a video for a page: this program, started again by itself.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use oppose::process::this_program;
use oppose::report::ThumbnailRequest;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::Outcome;

/// The subcommand, which users do not see.
pub const NAME: &str = "make-thumbnails";

/// How often the process gives a sign of life on its standard output.
const SIGN_INTERVAL: Duration = Duration::from_millis(500);

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
    let request = ThumbnailRequest {
        video: arguments.video.clone(),
        size: (arguments.width, arguments.height),
        frames: arguments.frames.clone(),
        folder: arguments.folder.clone(),
    };
    let mut last_sign = Instant::now();
    let give_sign = || {
        if last_sign.elapsed() >= SIGN_INTERVAL {
            last_sign = Instant::now();
            // Whoever does not read it any more does not wait for it either.
            let _ = io::stdout().write_all(b"\n").and_then(|()| io::stdout().flush());
        }
    };
    let served = || -> Result<(), Box<dyn std::error::Error>> {
        // It does not outlive the process that started it.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(request.serve(give_sign)?)
    };
    match served() {
        Ok(()) => Outcome::AllDone,
        Err(error) => {
            // Control characters are escaped by the process that shows it.
            let _ = writeln!(io::stderr(), "{error}");
            Outcome::SomeFailed
        }
    }
}
