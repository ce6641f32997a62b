//! LiteRT writes a line to standard error when it loads its first net, and nothing in its interface turns that off. A
//! user who did not ask about delegates need not read it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How the greeting begins.
const GREETING: &[u8] = b"INFO: Created TensorFlow Lite XNNPACK delegate";

/// How long to wait for the last lines to be passed on.
const PATIENCE: Duration = Duration::from_millis(200);

/// Runs `load`; whatever is written to standard error meanwhile is passed on line by line, without the greeting.
pub fn without_greeting<T>(load: impl FnOnce() -> T) -> T {
    // Where the stream cannot be redirected, the greeting is shown: no reason to fail.
    let filter = Filter::start();
    let loaded = load();
    drop(filter);
    loaded
}

/// Standard error goes through a thread as long as this value lives, even if `load` panics.
struct Filter {
    stderr: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Filter {
    fn start() -> io::Result<Self> {
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        let mut real = std::fs::File::from(stderr.try_clone()?);
        let (reader, writer) = io::pipe()?;
        let thread = thread::Builder::new().name("stderr".into()).spawn(move || {
            let mut lines = BufReader::new(reader);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                if !line.starts_with(GREETING) {
                    // Nobody reads it where it cannot be written.
                    let _ = real.write_all(&line);
                }
                line.clear();
            }
        })?;
        let filter = Self { stderr, thread: Some(thread) };
        rustix::stdio::dup2_stderr(&writer)?;
        Ok(filter)
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // The thread ends when the last writer is gone, which this is unless a process was started meanwhile.
        let _ = rustix::stdio::dup2_stderr(&self.stderr);
        let started = Instant::now();
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && started.elapsed() < PATIENCE
        {
            thread::sleep(Duration::from_millis(1));
        }
        self.thread = None;
    }
}
