//! Child processes: starting this program again, messages through pipes, and the last words and death of a child.
//!
//! The [isolated engine](crate::engine::isolated), the [workers](crate::batch) of a run and the processes that draw overlays
//! use it. Every wait on a child is bounded, and no child is left behind.

mod child;
mod clock;
mod last_words;
pub(crate) mod messages;
mod output;
mod run;

use std::env;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) use child::{ChildProcess, shared_log};
#[cfg(feature = "video")]
pub(crate) use clock::Clock;
pub(crate) use output::Output;
pub use run::{ProcessError, SignsOfLife, output, run};

/// The running program, to be started again. It is found even if its file has been replaced or removed meanwhile.
///
/// # Errors
/// The system does not tell which file it is.
pub fn this_program() -> io::Result<Command> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        let mut command = Command::new(running);
        if let Some(name) = env::args_os().next() {
            command.arg0(name);
        }
        return Ok(command);
    }
    env::current_exe().map(Command::new)
}
