//! A child process that runs from start to end without further input.

use std::io::{self, Read, Write as _};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::child::{ChildProcess, Ending};
use super::clock::Clock;

/// How often to check whether the process has ended.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long the process may take to end when it is asked to.
const EXIT_PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes that are read from the output of a process.
const MAX_OUTPUT: u64 = 64 << 20;

/// Why a process did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// It cannot be started.
    #[error("cannot start a process")]
    Start(#[from] io::Error),
    /// It failed, and printed why.
    #[error("{0}")]
    Reported(String),
    /// It ended without giving a reason. How, as part of a sentence: `was ended by SIGSEGV`.
    #[error("the process {0}")]
    Ended(String),
}

/// How often a process gives a sign of life.
const SIGN_INTERVAL: Duration = Duration::from_millis(500);

/// The signs of life that a process started by [`run`] gives while it works.
#[derive(Debug, Default)]
pub struct SignsOfLife {
    last: Option<Instant>,
}

impl SignsOfLife {
    /// To be called often: gives a sign on standard output if the last one was half a second ago.
    pub fn give(&mut self) {
        if self.last.is_none_or(|last| last.elapsed() >= SIGN_INTERVAL) {
            self.last = Some(Instant::now());
            // If the other process no longer reads it, nobody is waiting for it.
            let _ = io::stdout().write_all(b"\n").and_then(|()| io::stdout().flush());
        }
    }
}

/// Runs `command` to its end, and returns what it printed on standard error, at most its last lines. Anything that
/// it prints on standard output is a sign of life and discarded. Blocks; the process is asked to end when
/// `is_cancelled` returns true, and killed if it does not end or gives no sign of life for `stall`. Time in which
/// this process itself was suspended does not count.
///
/// # Errors
/// The process cannot be started, or does not end successfully.
pub fn run(
    command: &mut Command,
    stall: Option<Duration>,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<String, ProcessError> {
    let mut child = ChildProcess::spawn(command, None)?;
    drop(child.take_input()?);
    let signs = signs_of_life(child.take_output()?)?;
    let mut clock = Clock::new();
    let mut last_sign = clock.now();
    let ending = loop {
        if let Some(ending) = child.ending() {
            break ending;
        }
        if is_cancelled() {
            child.terminate();
            break child.wait(EXIT_PATIENCE);
        }
        clock.tick();
        if signs.try_recv().is_ok() {
            last_sign = clock.now();
        }
        if let Some(limit) = stall.filter(|&limit| clock.now() - last_sign > limit) {
            child.kill_stalled(limit);
            break child.wait(EXIT_PATIENCE);
        }
        thread::sleep(INTERVAL);
    };
    let words = child.printed();
    match ending {
        Ending::Exited(status) if status.success() => Ok(words),
        Ending::Exited(status) if status.code().is_some() && !words.is_empty() => {
            Err(ProcessError::Reported(words))
        }
        ending => Err(ProcessError::Ended(format!("{ending}{}", child.last_words()))),
    }
}

/// Runs `command` to its end, and returns what it printed on standard output, at most 64 MB. Blocks for at most
/// `limit`: a process that takes longer is killed.
///
/// # Errors
/// The process cannot be started, or does not end successfully in time.
pub fn output(command: &mut Command, limit: Duration) -> Result<String, ProcessError> {
    let mut child = ChildProcess::spawn(command, None)?;
    drop(child.take_input()?);
    let output = child.take_output()?;
    let (sender, printed) = bounded(1);
    thread::Builder::new().name("output".into()).spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(MAX_OUTPUT).read_to_end(&mut bytes);
        // Nobody waits for it if the process took too long.
        let _ = sender.send(read.map(|_| bytes));
    })?;
    match child.wait(limit) {
        Ending::Exited(status) if status.success() => {
            // Another process may have inherited the stream and keep it open.
            let bytes = printed.recv_timeout(EXIT_PATIENCE).map_err(io::Error::other)??;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Ending::Exited(status) if status.code().is_some() => Err(ProcessError::Reported(child.printed())),
        Ending::Hung => {
            Err(ProcessError::Ended(format!("did not end within {} s and was killed", limit.as_secs())))
        }
        ending => Err(ProcessError::Ended(format!("{ending}{}", child.last_words()))),
    }
}

/// Receives something whenever the process has printed something.
fn signs_of_life(mut output: impl Read + Send + 'static) -> io::Result<Receiver<()>> {
    let (sender, signs) = bounded(1);
    thread::Builder::new().name("signs of life".into()).spawn(move || {
        let mut buffer = [0; 4096];
        while matches!(output.read(&mut buffer), Ok(1..)) {
            // If a sign is waiting already, that is enough.
            let _ = sender.try_send(());
        }
    })?;
    Ok(signs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(script: &str, stall: Option<Duration>) -> Result<String, String> {
        let mut command = Command::new("sh");
        run(command.args(["-c", script]), stall, &|| false).map_err(|error| error.to_string())
    }

    #[test]
    fn the_outcome_is_what_it_printed_or_how_it_ended() {
        assert_eq!(ran("echo progress; echo one >&2; echo two >&2", None), Ok("one\ntwo".into()));
        assert_eq!(ran("echo no room >&2; exit 1", None), Err("no room".into()));
        assert_eq!(ran("exit 3", None), Err("the process ended unexpectedly (exit status: 3)".into()));
        let killed = Err("the process was ended by SIGSEGV; its last words: so".into());
        assert_eq!(ran("echo so >&2; kill -SEGV $$", None), killed);
    }

    #[test]
    fn output_is_waited_for_until_the_limit() {
        let output = |script: &str| {
            let mut command = Command::new("sh");
            output(command.args(["-c", script]), Duration::from_secs(2)).map_err(|error| error.to_string())
        };
        assert_eq!(output("echo one; echo note >&2"), Ok("one\n".into()));
        assert_eq!(output("echo one; echo no room >&2; exit 3"), Err("no room".into()));
        let hung = Err("the process did not end within 2 s and was killed".into());
        assert_eq!(output("exec sleep 1000"), hung);
    }

    #[test]
    fn one_that_gives_no_sign_of_life_is_killed() {
        let limit = Some(Duration::from_secs(1));
        let stalled = Err("the process reported no progress for 1 s and was killed".into());
        assert_eq!(ran("exec sleep 1000", limit), stalled);
        assert_eq!(ran("for i in 1 2 3 4 5; do echo; sleep 0.4; done", limit), Ok(String::new()));
    }

    #[test]
    fn a_cancelled_one_is_asked_to_end() {
        let started = Instant::now();
        assert!(run(Command::new("sleep").arg("1000"), None, &|| true).is_err());
        assert!(started.elapsed() < EXIT_PATIENCE);
    }
}
