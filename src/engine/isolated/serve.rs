//! The process that has the engine.

use std::io::{self, BufRead, BufWriter, Write};
use std::time::Duration;

use super::message::{self, Reply, Request};
use crate::Chain;
use crate::engine::{Engine, EngineError, EngineErrorKind};
use crate::pose::FramePose;
use crate::process::messages;
use oppose_core::{Frame, FrameRate, MAX_PIXELS, VideoInfo};

/// Serves an engine to the process at the other end, until that one ends or the engine dies. Blocks until then.
///
/// `engine` is the result of opening it: a failure is passed on too.
///
/// # Errors
/// The other end has gone away in the middle of a message, or violates the protocol.
pub fn serve(
    engine: Result<Box<dyn Engine>, EngineError>,
    input: impl BufRead,
    output: impl Write,
) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    match engine {
        Ok(engine) => Server { engine, input, output, pose: FramePose::default() }.run(),
        Err(error) => {
            messages::write(&Reply::failed(&error), &mut output)?;
            output.flush()
        }
    }
}

struct Server<I, O> {
    engine: Box<dyn Engine>,
    input: I,
    output: O,
    pose: FramePose,
}

impl<I: BufRead, O: Write> Server<I, O> {
    fn run(&mut self) -> io::Result<()> {
        let skeleton = self.engine.skeleton();
        let (points, dimensions) = (skeleton.points(), skeleton.dimensions());
        self.reply(&Reply::Ready { capacity: self.engine.capacity(), points, dimensions })?;
        while let Some(request) = messages::read(&mut self.input)? {
            if let Some(failure) = self.answer(request)? {
                return self.reply(&failure);
            }
        }
        Ok(())
    }

    /// Answers a request; returns the last reply where the engine has died of it.
    fn answer(&mut self, request: Request) -> io::Result<Option<Reply>> {
        let done = match request {
            Request::Info => match self.engine.info() {
                Ok(info) => {
                    self.reply(&Reply::Info(info))?;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Request::StartVideo { width, height, frame_rate, announced_frames } => {
                let frame_rate = FrameRate::new(frame_rate.0, frame_rate.1).ok_or_else(invalid)?;
                let info = VideoInfo::new(width, height, frame_rate).with_announced_frames(announced_frames);
                match self.engine.start_video(&info) {
                    Ok(()) => self.reply(&Reply::Started).map(Ok)?,
                    Err(error) if error.kind() == EngineErrorKind::Unsuitable => {
                        self.reply(&Reply::Unsuitable(Chain(&error).to_string())).map(Ok)?
                    }
                    Err(error) => Err(error),
                }
            }
            Request::Push { index, nanoseconds, width, height } => {
                let frame = self.frame(index, nanoseconds, width, height)?;
                self.engine.push(frame)
            }
            Request::Flush => self.engine.flush(),
            Request::Pop => match self.engine.pop(&mut self.pose) {
                Ok(is_there) => {
                    self.reply_pose(is_there)?;
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        Ok(done.err().map(|error| Reply::failed(&error)))
    }

    fn frame(&mut self, index: u64, nanoseconds: Option<u64>, width: u32, height: u32) -> io::Result<Frame> {
        let area = u64::from(width) * u64::from(height);
        if area > MAX_PIXELS {
            return Err(invalid());
        }
        let mut pixels = vec![0; area as usize * 3];
        self.input.read_exact(&mut pixels)?;
        Frame::new(index, nanoseconds.map(Duration::from_nanos), width, height, pixels).map_err(|_| invalid())
    }

    fn reply_pose(&mut self, is_there: bool) -> io::Result<()> {
        if !is_there {
            return self.reply(&Reply::Empty);
        }
        messages::write(&Reply::Pose { people: self.pose.people() }, &mut self.output)?;
        message::write_numbers(self.pose.coordinates(), &mut self.output)?;
        message::write_numbers(self.pose.confidences(), &mut self.output)?;
        self.output.flush()
    }

    fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        messages::write(reply, &mut self.output)?;
        self.output.flush()
    }
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the other process violates the protocol")
}
