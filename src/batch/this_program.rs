//! Workers that are this program, started again.

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::AsFd as _;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use super::worker::serve;
use crate::engine::Engine;
use crate::pipeline::{self, Stop};
use crate::process;
use crate::video;

/// Set in the processes that [`worker_commands`] starts.
const WORKER_VARIABLE: &str = "OPPOSE_IS_WORKER";

/// Commands that start this program again with the same arguments, one per worker. In each of these processes
/// [`is_worker`] is true, and the program has to call [`serve_supervisor`] before it does anything else.
///
/// # Errors
/// The system does not tell which file the program is.
pub fn worker_commands(workers: usize) -> io::Result<Vec<Command>> {
    let command = |_| {
        let mut command = process::this_program()?;
        command.args(env::args_os().skip(1)).env(WORKER_VARIABLE, "1");
        Ok(command)
    };
    (0..workers.max(1)).map(command).collect()
}

/// Whether this process was started as a worker by [`worker_commands`].
pub fn is_worker() -> bool {
    env::var_os(WORKER_VARIABLE).is_some()
}

/// Does the work of a worker on standard input and output: [`serve`] with these streams. Anything else that is
/// written to standard output from then on goes to standard error. Blocks until the supervisor has no more work; if
/// the supervisor dies, the process is sent SIGTERM.
///
/// # Errors
/// The streams cannot be used, or nobody listens any more. Anything else that goes wrong is reported to the
/// supervisor.
pub fn serve_supervisor<E: Error + 'static>(
    open: impl FnOnce(&dyn Fn(&str)) -> Result<Box<dyn Engine>, E>,
    options: &pipeline::Options,
    video_options: &video::Options,
) -> io::Result<Result<(), Stop>> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // What libraries print must not get between the messages.
    let messages = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    serve(open, options, video_options, BufReader::new(io::stdin()), File::from(messages))
}
