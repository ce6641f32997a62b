//! OpenPose's own process: this program, started again.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use oppose::engine::isolated;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::terminal::say;
use super::{Outcome, estimate};

/// The hidden subcommand.
pub const NAME: &str = "engine-process";

/// Serves OpenPose to the process that started this one with the same arguments.
pub fn run(arguments: &estimate::Arguments) -> Outcome {
    match serve(arguments) {
        Ok(()) => Outcome::AllDone,
        Err(error) => {
            say(format_args!("the engine process: {error}"));
            Outcome::SomeFailed
        }
    }
}

fn serve(arguments: &estimate::Arguments) -> io::Result<()> {
    // Whatever becomes of the other process, this one does not outlive it.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // Ctrl-C reaches both; the other process decides what it means.
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    // What OpenPose prints must not get between the replies.
    let replies = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    let engine = arguments.open_openpose();
    isolated::serve(engine, io::stdin().lock(), File::from(replies))
}
