//! What a child process writes to its standard output, up to its last byte and no further.

use std::io::{self, Read};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};

/// How often to check whether the process has ended while it writes nothing.
const INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The standard output of a [`ChildProcess`](super::ChildProcess). It ends where the pipe does, and also where the
/// process is known to have ended and everything that it wrote has been read: a process that it started may keep the
/// pipe open.
#[derive(Debug)]
pub struct Output {
    pipe: ChildStdout,
    has_ended: Arc<AtomicBool>,
    /// The number of bytes that are left to read, once the process has ended.
    left: Option<u64>,
}

impl Output {
    /// What a process writes to `pipe`. `has_ended` becomes true once that process is known to have ended.
    pub(super) fn new(pipe: ChildStdout, has_ended: Arc<AtomicBool>) -> Self {
        Self { pipe, has_ended, left: None }
    }

    /// Waits until something can be read or the pipe has ended, but no longer than [`INTERVAL`].
    fn is_readable(&self) -> io::Result<bool> {
        match poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&INTERVAL)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.left.is_none() && self.has_ended.load(Ordering::Acquire) {
                // All that the process wrote before its end is in the pipe by now.
                self.left = Some(ioctl_fionread(&self.pipe)?);
            }
            if let Some(left) = &mut self.left {
                let read = self.pipe.by_ref().take(*left).read(buffer)?;
                *left -= read as u64;
                return Ok(read);
            }
            if self.is_readable()? {
                return self.pipe.read(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;
    use std::time::Duration;

    use rustix::process::{Pid, Signal, kill_process};

    use crate::process::ChildProcess;

    /// What `script` printed, which is read only once the process is known to have ended.
    fn printed_before_its_end(script: &str) -> String {
        let mut child = ChildProcess::spawn(Command::new("sh").args(["-c", script]), None).unwrap();
        let mut output = child.take_output().unwrap();
        child.wait(Duration::from_secs(20));
        let mut printed = String::new();
        std::io::Read::read_to_string(&mut output, &mut printed).unwrap();
        printed
    }

    #[test]
    fn what_was_written_before_the_end_is_read() {
        assert_eq!(printed_before_its_end("echo one; echo two; exit 3"), "one\ntwo\n");
        assert_eq!(printed_before_its_end("echo one; kill -KILL $$"), "one\n");
        assert_eq!(printed_before_its_end("exit 0"), "");
    }

    /// Kills the process whose number is in the first line, and returns the other lines.
    fn kill_first(printed: &str) -> &str {
        let (other, rest) = printed.split_once('\n').unwrap();
        kill_process(Pid::from_raw(other.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
        rest
    }

    #[test]
    fn it_ends_with_the_process_although_another_one_keeps_the_pipe_open() {
        let printed = printed_before_its_end("sleep 1000 & echo $!; echo two");
        assert_eq!(kill_first(&printed), "two\n");
    }

    #[test]
    fn a_reader_that_waits_learns_of_the_end() {
        let mut child = ChildProcess::spawn(
            Command::new("sh").args(["-c", "sleep 1000 & echo $!; read line; echo two"]),
            None,
        )
        .unwrap();
        let mut output = child.take_output().unwrap();
        let reader = thread::spawn(move || {
            let mut printed = String::new();
            std::io::Read::read_to_string(&mut output, &mut printed).unwrap();
            printed
        });
        drop(child.take_input().unwrap());
        child.wait(Duration::from_secs(20));
        let printed = reader.join().unwrap();
        assert_eq!(kill_first(&printed), "two\n");
    }
}
