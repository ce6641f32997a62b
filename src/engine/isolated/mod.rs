//! An engine in a process of its own, for libraries that end the process they are in where something is wrong.
//!
//! The process that has the video starts the other one and hands it frames through pipes; what comes back are
//! people. When the other process dies, this one has an error that says how, at which frame, and what the last
//! words were; the results that came before it stay. Copying a frame through a pipe takes about a millisecond.

mod last_words;
mod message;
mod serve;

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

pub use serve::serve;

pub(crate) use self::last_words::LastWords;
use self::message::{Reply, Request, read_numbers};
use super::{Engine, EngineError};
use crate::pose::{FramePose, Skeleton};
use crate::video::{Frame, VideoInfo};

/// A `.pose` file counts people in 16 bits.
const MAX_PEOPLE: usize = u16::MAX as usize;

/// A frame goes through the pipe in pieces of this size; the system's own is 64 KB. Users may have so much.
const PIPE_BYTES: usize = 1 << 20;

/// Why the engine in the other process cannot be used, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolatedError {
    /// The process cannot be started.
    #[error("cannot start the process of the engine {engine}: {source}")]
    Start {
        /// The engine's name.
        engine: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The engine failed and said why.
    #[error("{0}")]
    Reported(String),
    /// The engine cannot be talked to.
    #[error("the process of the engine {engine} says something else than was asked: {found}")]
    Protocol {
        /// The engine's name.
        engine: &'static str,
        /// What came.
        found: String,
    },
    /// The process died.
    #[error(
        "the process of the engine {engine} ended {}{}{}",
        how(*status), at(*frame), words_after(words)
    )]
    Ended {
        /// The engine's name.
        engine: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The oldest frame it had, counted in its video from 0.
        frame: Option<u64>,
        /// What it printed last.
        words: String,
    },
}

/// How a process ended, as part of a sentence.
pub(crate) fn how(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("by {name}"),
            None => format!("by signal {signal}"),
        },
        None => format!("by itself ({status})"),
    }
}

fn at(frame: Option<u64>) -> String {
    frame.map(|frame| format!(" at frame {frame}")).unwrap_or_default()
}

fn words_after(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!("; its last words: {words}") }
}

/// An engine in another process.
pub struct Isolated {
    name: &'static str,
    skeleton: &'static Skeleton,
    capacity: usize,
    child: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    last_words: LastWords,
    /// Numbers of the frames in flight.
    in_flight: VecDeque<u64>,
}

impl Isolated {
    /// Starts `command`, which is to call [`serve`] on its standard input and output, with an engine of this name
    /// and skeleton. What it prints on standard error is kept for the case that it dies, and written into `log`.
    ///
    /// # Errors
    /// The process cannot be started, or has no engine to offer.
    pub fn start(
        mut command: Command,
        name: &'static str,
        skeleton: &'static Skeleton,
        log: Option<File>,
    ) -> Result<Self, IsolatedError> {
        let failed = |source| IsolatedError::Start { engine: name, source };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let taken = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(requests), Some(replies), Some(words)) = taken else {
            return Err(failed(io::Error::other("it has no pipes")));
        };
        // A narrower pipe works as well, only slower.
        let _ = rustix::pipe::fcntl_setpipe_size(&requests, PIPE_BYTES);
        let last_words = LastWords::listen(words, log).map_err(failed)?;
        let mut isolated = Self {
            name,
            skeleton,
            capacity: 0,
            child,
            requests: Some(requests),
            replies: BufReader::new(replies),
            last_words,
            in_flight: VecDeque::new(),
        };
        match isolated.reply()? {
            Reply::Ready { capacity, points, dimensions }
                if capacity > 0 && (points, dimensions) == (skeleton.points(), skeleton.dimensions()) =>
            {
                isolated.capacity = capacity;
                Ok(isolated)
            }
            other => Err(isolated.unexpected(&other)),
        }
    }

    fn ask(&mut self, request: &Request, pixels: &[u8]) -> Result<(), IsolatedError> {
        let Some(requests) = &mut self.requests else { return Err(self.broken()) };
        let sent = message::write(request, requests).and_then(|()| requests.write_all(pixels));
        sent.map_err(|_| self.broken())
    }

    fn reply(&mut self) -> Result<Reply, IsolatedError> {
        match message::read(&mut self.replies) {
            Ok(Some(Reply::Failed(reason))) => Err(IsolatedError::Reported(reason)),
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(self.ended()),
            Err(error) => Err(self.unexpected(&error)),
        }
    }

    /// Why requests no longer get through: the reason may be waiting, else the process has ended.
    fn broken(&mut self) -> IsolatedError {
        loop {
            match self.reply() {
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    fn ended(&mut self) -> IsolatedError {
        // It has closed its output: if it has not ended yet, it is to.
        self.requests = None;
        match self.child.wait() {
            Ok(status) => IsolatedError::Ended {
                engine: self.name,
                status,
                frame: self.in_flight.front().copied(),
                words: self.last_words.quote(),
            },
            Err(source) => IsolatedError::Start { engine: self.name, source },
        }
    }

    fn unexpected(&self, found: &impl fmt::Debug) -> IsolatedError {
        IsolatedError::Protocol { engine: self.name, found: format!("{found:?}") }
    }

    fn read_pose(&mut self, people: usize, pose: &mut FramePose) -> Result<(), IsolatedError> {
        if people > MAX_PEOPLE {
            return Err(self.unexpected(&format_args!("{people} people")));
        }
        pose.reset(people, self.skeleton.points(), self.skeleton.dimensions());
        let read = read_numbers(pose.coordinates_mut(), &mut self.replies)
            .and_then(|()| read_numbers(pose.confidences_mut(), &mut self.replies));
        read.map_err(|_| self.ended())
    }
}

impl fmt::Debug for Isolated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolated")
            .field("name", &self.name)
            .field("process", &self.child.id())
            .finish_non_exhaustive()
    }
}

impl Engine for Isolated {
    fn name(&self) -> &'static str {
        self.name
    }

    fn skeleton(&self) -> &'static Skeleton {
        self.skeleton
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError> {
        let request = Request::StartVideo {
            width: info.width,
            height: info.height,
            frame_rate: (info.frame_rate.numerator(), info.frame_rate.denominator()),
            announced_frames: info.announced_frames,
        };
        self.ask(&request, &[])?;
        match self.reply()? {
            Reply::Started => Ok(()),
            Reply::Unsuitable(reason) => Err(IsolatedError::Reported(reason).into()),
            other => Err(self.unexpected(&other).into()),
        }
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        let request = Request::Push {
            index: frame.index(),
            nanoseconds: frame
                .timestamp()
                .as_ref()
                .map(Duration::as_nanos)
                .and_then(|time| time.try_into().ok()),
            width: frame.width(),
            height: frame.height(),
        };
        self.in_flight.push_back(frame.index());
        Ok(self.ask(&request, frame.pixels())?)
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        Ok(self.ask(&Request::Flush, &[])?)
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        if self.in_flight.is_empty() {
            return Ok(false);
        }
        self.ask(&Request::Pop, &[])?;
        match self.reply()? {
            Reply::Pose { people } => {
                self.read_pose(people, pose)?;
                self.in_flight.pop_front();
                Ok(true)
            }
            other => Err(self.unexpected(&other).into()),
        }
    }
}

impl Drop for Isolated {
    fn drop(&mut self) {
        // It has nothing to lose, and it may hang. That it has ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
