//! A child process with pipes to its standard streams.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tracing::level_filters::LevelFilter;

use super::last_words::LastWords;
use super::output::Output;

/// How often to check whether a process has ended.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long a killed process may take to disappear. One that hangs in the kernel, in a driver or on a dead network file
/// system, does not die before the kernel lets it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How a process ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// On its own, or by a signal.
    Exited(ExitStatus),
    /// It hung and was killed.
    Hung,
    /// It was killed and still exists: it hangs in the kernel.
    Stuck,
    /// It was killed because it had given no sign of life for this long.
    Stalled(Duration),
    /// The system does not tell.
    Unknown(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => match status.signal() {
                Some(signal) => {
                    let name = signal_hook::low_level::signal_name(signal);
                    match name {
                        Some(name) => write!(f, "was ended by {name}")?,
                        None => write!(f, "was ended by signal {signal}")?,
                    }
                    if signal == Signal::KILL.as_raw() {
                        f.write_str(" (as the system does when memory runs out)")?;
                    }
                    Ok(())
                }
                None => write!(f, "ended unexpectedly ({status})"),
            },
            Self::Hung => f.write_str("hung while it ended, and was killed"),
            Self::Stuck => f.write_str("hangs in the kernel and cannot be killed"),
            Self::Stalled(limit) => {
                write!(f, "reported no progress for {} s and was killed", limit.as_secs())
            }
            Self::Unknown(error) => write!(f, "was lost ({error})"),
        }
    }
}

/// A child process. Dropping it kills it and waits, within bounds, until it is gone.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<Output>,
    last_words: Option<LastWords>,
    ending: Option<Ending>,
    /// Whether there is an `ending`, for the output.
    has_ended: Arc<AtomicBool>,
    /// How long it had given no sign of life when it was killed for that.
    stalled: Option<Duration>,
}

/// Standard error, to be passed to a child as its log; `None` if logging is off.
pub fn shared_log() -> Option<File> {
    (LevelFilter::current() > LevelFilter::OFF)
        .then(|| io::stderr().as_fd().try_clone_to_owned().ok().map(File::from))
        .flatten()
}

impl ChildProcess {
    /// Starts `command` with pipes to its standard streams. What it prints on standard error is appended to `log` and
    /// its end kept as [last words](Self::last_words).
    ///
    /// # Errors
    /// The process or the thread that listens to it cannot be started; no process is left behind.
    pub fn spawn(command: &mut Command, log: Option<File>) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let has_ended = Arc::<AtomicBool>::default();
        let output = output.map(|pipe| Output::new(pipe, Arc::clone(&has_ended)));
        let mut process =
            Self { child, input, output, last_words: None, ending: None, has_ended, stalled: None };
        if let Some(errors) = errors {
            process.last_words = Some(LastWords::listen(errors, log)?);
        }
        Ok(process)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The pipe to its standard input, once.
    pub fn take_input(&mut self) -> io::Result<ChildStdin> {
        self.input.take().ok_or_else(|| io::Error::other("the process has no pipe for its input"))
    }

    /// Its standard output, once.
    pub fn take_output(&mut self) -> io::Result<Output> {
        self.output.take().ok_or_else(|| io::Error::other("the process has no pipe for its output"))
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        if let Some(process) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
            && self.ending.is_none()
        {
            // That it has ended already is no error.
            let _ = kill_process(process, Signal::TERM);
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        // That it has ended already is no error.
        let _ = self.child.kill();
    }

    /// Kills it because it gave no sign of life for `limit`, which then counts as the way it ended.
    pub fn kill_stalled(&mut self, limit: Duration) {
        self.stalled = Some(limit);
        self.kill();
    }

    /// Whether it was killed because it gave no sign of life.
    #[cfg(feature = "video")]
    pub fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// How it ended, if it has. Returns at once.
    pub fn ending(&mut self) -> Option<Ending> {
        if self.ending.is_none() {
            let ending = match self.child.try_wait() {
                Ok(None) => return None,
                Ok(Some(status)) => Ending::Exited(status),
                Err(error) => Ending::Unknown(error.to_string()),
            };
            self.end(self.stalled.map_or(ending, Ending::Stalled));
        }
        self.ending.clone()
    }

    /// Waits for it to end, for as long as `patience`; then kills it.
    pub fn wait(&mut self, patience: Duration) -> Ending {
        if let Some(ending) = self.poll(patience) {
            return ending;
        }
        self.kill();
        let ending = match self.poll(KILL_PATIENCE) {
            Some(_) => Ending::Hung,
            None => Ending::Stuck,
        };
        let ending = self.stalled.map_or(ending, Ending::Stalled);
        self.end(ending.clone());
        ending
    }

    fn end(&mut self, ending: Ending) {
        self.ending = Some(ending);
        self.has_ended.store(true, Ordering::Release);
    }

    fn poll(&mut self, patience: Duration) -> Option<Ending> {
        let started = Instant::now();
        loop {
            let ending = self.ending();
            if ending.is_some() || started.elapsed() >= patience {
                return ending;
            }
            thread::sleep(INTERVAL);
        }
    }

    /// The lines that it printed on standard error, the last ones if there are many. Call this once it has ended.
    pub fn printed(&self) -> String {
        self.last_words.as_ref().map(LastWords::lines).unwrap_or_default()
    }

    /// The last lines that it printed on standard error, as the end of a sentence; empty if it printed nothing.
    /// Call this once it has ended.
    pub fn last_words(&self) -> String {
        let words = self.last_words.as_ref().map(LastWords::quote).unwrap_or_default();
        if words.is_empty() { words } else { format!("; its last words: {words}") }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if self.ending().is_none() {
            self.kill();
            self.poll(KILL_PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_sentences() {
        let ended = |script: &str| {
            let mut child = ChildProcess::spawn(Command::new("sh").args(["-c", script]), None).unwrap();
            format!("{}{}", child.wait(Duration::from_secs(20)), child.last_words())
        };
        assert_eq!(ended("exit 3"), "ended unexpectedly (exit status: 3)");
        assert_eq!(ended("echo so >&2; kill -SEGV $$"), "was ended by SIGSEGV; its last words: so");
        assert_eq!(ended("kill -KILL $$"), "was ended by SIGKILL (as the system does when memory runs out)");
    }

    #[test]
    fn a_process_that_hangs_while_it_ends_is_killed() {
        let mut child = ChildProcess::spawn(
            Command::new("sh").args(["-c", "trap '' TERM; exec <&- >&-; while :; do sleep 1; done"]),
            None,
        )
        .unwrap();
        // It closes its output when it is ready.
        let mut output = child.take_output().unwrap();
        std::io::Read::read_to_end(&mut output, &mut Vec::new()).unwrap();
        child.terminate();
        assert!(matches!(child.wait(Duration::from_millis(50)), Ending::Hung));
        assert!(matches!(child.ending(), Some(Ending::Hung)));
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let child = ChildProcess::spawn(Command::new("sleep").arg("1000"), None).unwrap();
        let entry = format!("/proc/{}", child.id());
        drop(child);
        assert!(!std::path::Path::new(&entry).exists());
    }
}
