//! The process that has the engine.

use std::fmt::Display;
use std::io::{self, BufRead, BufWriter, Write};
use std::time::Duration;

use super::message::{self, Reply, Request};
use crate::engine::Engine;
use crate::pose::FramePose;
use crate::video::{Frame, FrameRate, MAX_PIXELS, VideoInfo};

/// Serves an engine to the process at the other end, until that one ends or the engine fails.
///
/// `engine` is what came of opening it: a failure is told as well.
///
/// # Errors
/// The other end has gone away in the middle of something, or does not keep to the protocol.
pub fn serve(
    engine: Result<Box<dyn Engine>, impl Display>,
    input: impl BufRead,
    output: impl Write,
) -> io::Result<()> {
    let mut output = BufWriter::new(output);
    match engine {
        Ok(engine) => Server { engine, input, output, pose: FramePose::default() }.run(),
        Err(error) => {
            message::write(&Reply::Failed(error.to_string()), &mut output)?;
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
        while let Some(request) = message::read(&mut self.input)? {
            if let Some(failure) = self.answer(request)? {
                return self.reply(&Reply::Failed(failure));
            }
        }
        Ok(())
    }

    /// Does what is asked; gives the reason where the engine has failed.
    fn answer(&mut self, request: Request) -> io::Result<Option<String>> {
        let done = match request {
            Request::StartVideo { width, height, frame_rate, announced_frames } => {
                let frame_rate = FrameRate::new(frame_rate.0, frame_rate.1).ok_or_else(invalid)?;
                let info = VideoInfo { width, height, frame_rate, announced_frames };
                let reply = match self.engine.start_video(&info) {
                    Ok(()) => Reply::Started,
                    Err(error) => Reply::Unsuitable(error.to_string()),
                };
                self.reply(&reply)?;
                Ok(())
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
        Ok(done.err().map(|error| error.to_string()))
    }

    fn frame(&mut self, index: u64, nanoseconds: Option<u64>, width: u32, height: u32) -> io::Result<Frame> {
        let area = u64::from(width) * u64::from(height);
        if area > MAX_PIXELS {
            return Err(invalid());
        }
        let mut pixels = vec![0; area as usize * 3];
        self.input.read_exact(&mut pixels)?;
        Frame::new(index, nanoseconds.map(Duration::from_nanos), width, height, pixels).ok_or_else(invalid)
    }

    fn reply_pose(&mut self, is_there: bool) -> io::Result<()> {
        if !is_there {
            return self.reply(&Reply::Empty);
        }
        message::write(&Reply::Pose { people: self.pose.people() }, &mut self.output)?;
        message::write_numbers(self.pose.coordinates(), &mut self.output)?;
        message::write_numbers(self.pose.confidences(), &mut self.output)?;
        self.output.flush()
    }

    fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        message::write(reply, &mut self.output)?;
        self.output.flush()
    }
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the other process does not keep to the protocol")
}
