//! An engine in a process of its own, for libraries that end the process they are in where something is wrong.
//!
//! The process that has the video starts the other one and hands it frames through pipes; what comes back are people.
//! When the other process dies, this one has an error that says how and with which last words; the results that came
//! before it stay. Copying a frame through a pipe takes about a millisecond.

mod message;
mod serve;

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::process::{ChildStdin, Command};
use std::time::Duration;

pub use serve::serve;

use self::message::{Reply, Request, read_numbers};
use super::{Engine, EngineError, EngineErrorKind, EngineInfo};
use crate::pose::{FramePose, Skeleton};
use crate::process::{ChildProcess, Output, messages, shared_log};
use oppose_core::{Frame, VideoInfo};

/// A `.pose` file counts people in 16 bits.
const MAX_PEOPLE: usize = u16::MAX as usize;

/// A frame goes through the pipe in pieces of this size; the system's default is 64 KB. Ordinary users may have so much.
const PIPE_BYTES: usize = 1 << 20;

/// How long the process may take to end once it has closed its pipes. Leaving a GPU takes seconds.
const EXIT_PATIENCE: Duration = Duration::from_secs(10);

/// Why the engine in the other process cannot be used, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolatedError {
    /// The process cannot be started.
    #[error("cannot start the {engine} process")]
    Start {
        /// The engine's name.
        engine: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The engine failed and said why.
    #[error("{reason}")]
    Reported {
        /// Its own words.
        reason: String,
        /// What follows from it.
        kind: EngineErrorKind,
    },
    /// The process sent something that is no reply to what was asked.
    #[error("unexpected reply from the {engine} process: {found}")]
    Protocol {
        /// The engine's name.
        engine: &'static str,
        /// The reply.
        found: String,
    },
    /// The process died.
    #[error("the {engine} process {ending}{words}")]
    Ended {
        /// The engine's name.
        engine: &'static str,
        /// How it ended, as part of a sentence: `was ended by SIGABRT`.
        ending: String,
        /// What it printed last, as the end of the sentence; empty where it printed nothing.
        words: String,
    },
}

impl From<IsolatedError> for EngineError {
    fn from(error: IsolatedError) -> Self {
        let kind = match &error {
            IsolatedError::Reported { kind, .. } => *kind,
            _ => EngineErrorKind::Failed,
        };
        Self::new(kind, error)
    }
}

/// An engine in another process. Dropping it ends the process.
pub struct Isolated {
    name: &'static str,
    skeleton: &'static Skeleton,
    capacity: usize,
    /// Which engine it is, once it was asked.
    info: Option<EngineInfo>,
    requests: Option<ChildStdin>,
    replies: BufReader<Output>,
    /// Frames in flight.
    in_flight: usize,
    process: ChildProcess,
}

impl Isolated {
    /// Starts `command`, which must call [`serve`] on its standard input and output, with an engine of this name and
    /// skeleton. Blocks until the engine is open. What the process prints on standard error is appended to `log`, and
    /// its last lines are kept in case it dies.
    ///
    /// # Errors
    /// The process cannot be started, or has no such engine to offer.
    pub fn start(
        mut command: Command,
        name: &'static str,
        skeleton: &'static Skeleton,
        log: Option<File>,
    ) -> Result<Self, IsolatedError> {
        let failed = |source| IsolatedError::Start { engine: name, source };
        let mut process = ChildProcess::spawn(&mut command, log.or_else(shared_log)).map_err(failed)?;
        let requests = process.take_input().map_err(failed)?;
        let replies = process.take_output().map_err(failed)?;
        // A narrower pipe works as well, only slower.
        let _ = rustix::pipe::fcntl_setpipe_size(&requests, PIPE_BYTES);
        let mut isolated = Self {
            name,
            skeleton,
            capacity: 0,
            info: None,
            requests: Some(requests),
            replies: BufReader::new(replies),
            in_flight: 0,
            process,
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
        let sent = messages::write(request, requests).and_then(|()| requests.write_all(pixels));
        sent.map_err(|_| self.broken())
    }

    fn reply(&mut self) -> Result<Reply, IsolatedError> {
        match messages::read(&mut self.replies) {
            Ok(Some(Reply::Failed { reason, is_device })) => {
                let kind = if is_device { EngineErrorKind::Device } else { EngineErrorKind::Failed };
                Err(IsolatedError::Reported { reason, kind })
            }
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(self.ended()),
            Err(error) => Err(self.unexpected(&error)),
        }
    }

    /// Why requests no longer get through: the reason may be waiting, else the process has ended.
    fn broken(&mut self) -> IsolatedError {
        loop {
            match self.reply() {
                // The result of a request before: lost, for the engine is dead.
                Ok(Reply::Pose { people }) => {
                    if let Err(error) = self.read_pose(people, &mut FramePose::default()) {
                        return error;
                    }
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    fn ended(&mut self) -> IsolatedError {
        // It has closed its output: if it has not ended yet, it is about to.
        self.requests = None;
        let ending = self.process.wait(EXIT_PATIENCE).to_string();
        IsolatedError::Ended { engine: self.name, ending, words: self.process.last_words() }
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
            .field("process", &self.process.id())
            .finish_non_exhaustive()
    }
}

impl Engine for Isolated {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        if let Some(info) = &self.info {
            return Ok(info.clone());
        }
        self.ask(&Request::Info, &[])?;
        match self.reply()? {
            Reply::Info(info) => Ok(self.info.insert(info).clone()),
            other => Err(self.unexpected(&other).into()),
        }
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
            Reply::Unsuitable(reason) => Err(EngineError::unsuitable(reason)),
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
        self.in_flight += 1;
        Ok(self.ask(&request, frame.pixels())?)
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        Ok(self.ask(&Request::Flush, &[])?)
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        if self.in_flight == 0 {
            return Ok(false);
        }
        self.ask(&Request::Pop, &[])?;
        match self.reply()? {
            Reply::Pose { people } => {
                self.read_pose(people, pose)?;
                self.in_flight -= 1;
                Ok(true)
            }
            other => Err(self.unexpected(&other).into()),
        }
    }
}
