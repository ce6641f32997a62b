//! Videos one behind the other through one engine. While the last frames of one are in flight, the first of the next
//! go in, and the one after that is opened: the engine never waits for a video to end.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::decoder::{Decoder, Decoding, Waited};
use super::presence::Presence;
use super::timestamps::TimestampWriter;
use super::{Options, PipelineError, Progress, Report, partial_path};
use crate::engine::{Engine, EngineError};
use crate::people::Arrangement;
use crate::pose::{FramePose, PoseError, PoseWriter};
use crate::video::{DecodeSummary, Source, VideoError, VideoInfo};

/// Opens a video, on the thread that decodes it.
pub type Open = Box<dyn FnOnce() -> Result<Box<dyn Source>, VideoError> + Send>;

/// A video and what it is to become.
pub struct Video {
    /// Opens it.
    pub open: Open,
    /// The `.pose` file.
    pub output: PathBuf,
}

/// What happens to a video.
#[derive(Debug)]
pub enum Event {
    /// It is open.
    Started {
        /// What it is.
        info: VideoInfo,
    },
    /// A frame is done.
    Progress(Progress),
    /// It is complete.
    Done(Report),
    /// It did not work out.
    Failed(PipelineError),
}

/// Why not all videos were worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The caller asked to stop.
    Cancelled,
    /// The engine failed, which was told of the video whose result was awaited.
    Engine,
}

/// Where videos come from, while those before are worked on.
pub enum Next {
    /// Here is one.
    Video(Video),
    /// There is none yet.
    Later,
    /// There are no more.
    End,
}

/// Estimates the frames of all videos, as [`run`](super::run) does those of one. `events` is told what happens, with
/// the number of the video, from 0.
///
/// # Errors
/// Not all videos were worked on: those of which neither the end nor a failure was told can be given to another run.
pub fn run_all(
    videos: impl IntoIterator<Item = Video>,
    engine: &mut dyn Engine,
    options: &Options,
    events: &mut dyn FnMut(usize, Event),
) -> Result<(), Stop> {
    let mut videos = videos.into_iter();
    run_as_they_come(&mut |_| videos.next().map_or(Next::End, Next::Video), engine, options, events)
}

/// As [`run_all`], of videos that are handed over one by one. `next` is asked for the next one before the last is
/// done; only where it is passed `true` may it wait for it.
///
/// # Errors
/// As [`run_all`].
pub fn run_as_they_come(
    next: &mut dyn FnMut(bool) -> Next,
    engine: &mut dyn Engine,
    options: &Options,
    events: &mut dyn FnMut(usize, Event),
) -> Result<(), Stop> {
    let mut line = Line {
        engine,
        options,
        events,
        running: VecDeque::new(),
        in_flight: 0,
        pose: FramePose::default(),
        folders: BTreeSet::new(),
    };
    line.discard_in_flight();
    let mut opening = None;
    for number in 0.. {
        let Opening { output, decoder } = match opening.take() {
            Some(opening) => opening,
            None => match Opening::of(next(false)) {
                Asked::For(opening) => opening,
                Asked::End => break,
                Asked::Later => {
                    // Nobody knows how long it takes: what is in flight is finished first.
                    line.finish()?;
                    match Opening::of(next(true)) {
                        Asked::For(opening) => opening,
                        Asked::End | Asked::Later => break,
                    }
                }
            },
        };
        let opened = match decoder {
            Ok(decoder) => decoder.opened(&options.cancel),
            Err(error) => {
                line.failed(number, PipelineError::Thread(error));
                continue;
            }
        };
        if let Asked::For(following) = Opening::of(next(false)) {
            opening = Some(following);
        }
        match opened {
            Waited::Cancelled => return line.cancelled(number),
            Waited::For(Err(error)) => line.failed(number, PipelineError::Video { error, partial: None }),
            Waited::For(Ok(decoding)) => line.work_on(number, output, decoding)?,
        }
    }
    line.finish()
}

/// A video that is being opened.
struct Opening {
    output: PathBuf,
    decoder: io::Result<Decoder>,
}

enum Asked {
    For(Opening),
    Later,
    End,
}

impl Opening {
    fn of(next: Next) -> Asked {
        match next {
            Next::Video(Video { open, output }) => Asked::For(Self { output, decoder: Decoder::start(open) }),
            Next::Later => Asked::Later,
            Next::End => Asked::End,
        }
    }
}

/// The engine and the videos whose frames are in it, the oldest first.
struct Line<'a> {
    engine: &'a mut dyn Engine,
    options: &'a Options,
    events: &'a mut dyn FnMut(usize, Event),
    running: VecDeque<Running>,
    in_flight: usize,
    pose: FramePose,
    /// Folders of files whose names a power cut could still take away.
    folders: BTreeSet<PathBuf>,
}

/// A video some of whose results are still to come.
struct Running {
    number: usize,
    output: PathBuf,
    info: VideoInfo,
    started: Instant,
    /// Frames handed to the engine.
    pushed: u64,
    /// Frames that came back.
    popped: u64,
    frames_with_people: u64,
    people: usize,
    presence: Presence,
    arrangement: Arrangement,
    /// Gone where a result could not be written, and the reason was told.
    writer: Option<PoseWriter>,
    /// The instants of the frames, where they are wanted.
    timestamps: Option<TimestampWriter>,
    /// What decoding has shown, and why it broke off, once it has ended.
    end: Option<(DecodeSummary, Option<VideoError>)>,
    /// Whether its start was told: when it becomes the oldest, so that one video at a time makes progress.
    is_told: bool,
}

impl Line<'_> {
    /// Takes out what a run that was broken off has left in the engine: it belongs to another video. That the engine
    /// fails here is told of the first video that asks it for something.
    fn discard_in_flight(&mut self) {
        if self.engine.flush().is_ok() {
            while let Ok(true) = self.engine.pop(&mut self.pose) {}
        }
    }

    /// Hands all frames of a video to the engine. Its last results are still to come.
    fn work_on(&mut self, number: usize, output: PathBuf, decoding: Decoding) -> Result<(), Stop> {
        let started = Instant::now();
        let info = decoding.info.clone();
        let rate = info.frame_rate.as_f32();
        let skeleton = self.engine.skeleton();
        let arrangement = Arrangement::new(self.options.people, skeleton, &info);
        let overwrite = self.options.overwrite;
        let writer = match PoseWriter::create(&output, skeleton, info.width, info.height, rate, overwrite) {
            Ok(writer) => writer,
            Err(error) => {
                self.failed(number, error.into());
                return Ok(());
            }
        };
        let timestamps = self.options.timestamps.then(|| TimestampWriter::create(&output, overwrite));
        let timestamps = match timestamps.transpose() {
            Ok(timestamps) => timestamps,
            Err(error) => {
                self.failed(number, error.into());
                return Ok(());
            }
        };
        if let Err(error) = self.engine.start_video(&info) {
            self.failed(number, PipelineError::Unsuitable(error));
            return Ok(());
        }
        self.running.push_back(Running {
            number,
            output,
            info,
            started,
            pushed: 0,
            popped: 0,
            frames_with_people: 0,
            people: 0,
            presence: Presence::new(skeleton),
            arrangement,
            writer: Some(writer),
            timestamps,
            end: None,
            is_told: false,
        });
        self.tell_of_oldest();
        let end = loop {
            let frame = match decoding.next_frame(&self.options.cancel) {
                Waited::Cancelled => return self.cancelled(number),
                Waited::For(None) => break (decoding.finish(), None),
                Waited::For(Some(Err(error))) => break (decoding.finish(), Some(error)),
                Waited::For(Some(Ok(frame))) => frame,
            };
            if self.in_flight >= self.engine.capacity() {
                self.take()?;
            }
            let timestamp = frame.timestamp();
            if let Err(error) = self.engine.push(frame) {
                return self.engine_failed(error);
            }
            self.in_flight += 1;
            let Some(running) = self.running.back_mut() else { break (DecodeSummary::default(), None) };
            running.pushed += 1;
            if let Some(Err(error)) = running.timestamps.as_mut().map(|times| times.write(timestamp)) {
                running.writer = None;
                self.failed(number, error.into());
                break (DecodeSummary::default(), None);
            }
            if running.writer.is_none() {
                // Its results are of no use to anybody.
                break (DecodeSummary::default(), None);
            }
        };
        if let Some(running) = self.running.back_mut() {
            running.end = Some(end);
        }
        self.settle();
        Ok(())
    }

    /// Waits for all results.
    fn finish(&mut self) -> Result<(), Stop> {
        if self.in_flight > 0
            && let Err(error) = self.engine.flush()
        {
            return self.engine_failed(error);
        }
        while self.in_flight > 0 {
            if self.options.cancel.is_cancelled() {
                let number = self.running.front().map_or(0, |running| running.number);
                return self.cancelled(number);
            }
            self.take()?;
        }
        // Once for many files: it takes milliseconds. Some network file systems cannot; the files are there.
        for folder in std::mem::take(&mut self.folders) {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }

    /// Waits for the oldest result and writes it.
    fn take(&mut self) -> Result<(), Stop> {
        match self.engine.pop(&mut self.pose) {
            Ok(true) => self.in_flight -= 1,
            // The engine knows better how many there are.
            Ok(false) => {
                self.in_flight = 0;
                return Ok(());
            }
            Err(error) => return self.engine_failed(error),
        }
        let Some(running) = self.running.iter_mut().find(|running| running.popped < running.pushed) else {
            return Ok(());
        };
        running.popped += 1;
        running.arrangement.apply(&mut self.pose);
        running.frames_with_people += u64::from(running.presence.add(&self.pose));
        running.people = running.people.max(self.pose.people());
        let number = running.number;
        match running.writer.as_mut().map(|writer| writer.write(&self.pose)) {
            None => {}
            Some(Ok(())) => {
                let (frames, elapsed) = (running.popped, running.started.elapsed());
                let announced_frames = running.info.announced_frames;
                (self.events)(number, Event::Progress(Progress { frames, announced_frames, elapsed }));
            }
            Some(Err(error)) => {
                running.writer = None;
                self.failed(number, error.into());
            }
        }
        self.settle();
        Ok(())
    }

    /// Finishes the files of videos all of whose results are here.
    fn settle(&mut self) {
        let is_complete = |running: &Running| running.end.is_some() && running.popped == running.pushed;
        while self.running.front().is_some_and(is_complete) {
            let Some(running) = self.running.pop_front() else { break };
            let number = running.number;
            match running.complete() {
                None => {}
                Some(Ok(report)) => {
                    self.folders.extend(report.output.parent().map(|folder| Path::new(".").join(folder)));
                    (self.events)(number, Event::Done(report));
                }
                Some(Err(error)) => self.failed(number, error),
            }
            self.tell_of_oldest();
        }
    }

    fn tell_of_oldest(&mut self) {
        if let Some(running) = self.running.front_mut().filter(|running| !running.is_told) {
            running.is_told = true;
            (self.events)(running.number, Event::Started { info: running.info.clone() });
        }
    }

    fn failed(&mut self, number: usize, error: PipelineError) {
        (self.events)(number, Event::Failed(error));
    }

    /// Tells it of the video whose result was awaited, and keeps what that has.
    fn engine_failed(&mut self, error: EngineError) -> Result<(), Stop> {
        let running = self.running.drain(..).next();
        if let Some(Running { number, output, writer: Some(writer), .. }) = running {
            let error = match keep(writer, &output) {
                Ok(partial) => PipelineError::Engine { error, partial },
                Err(error) => error.into(),
            };
            self.failed(number, error);
        }
        Err(Stop::Engine)
    }

    fn cancelled(&mut self, number: usize) -> Result<(), Stop> {
        let number = self.running.front().map_or(number, |running| running.number);
        self.failed(number, PipelineError::Cancelled);
        Err(Stop::Cancelled)
    }
}

impl Running {
    /// Finishes the file; `None` where a failure was told before.
    fn complete(self) -> Option<Result<Report, PipelineError>> {
        let mut writer = self.writer?;
        let (decoding, error) = self.end?;
        // What the frames have shown is better than what the header told.
        let frame_rate = decoding.frame_rate.unwrap_or(self.info.frame_rate);
        writer.set_frame_rate(frame_rate.as_f32());
        if let Some(error) = error {
            return Some(Err(match keep(writer, &self.output) {
                Ok(partial) => PipelineError::Video { error, partial },
                Err(error) => error.into(),
            }));
        }
        if self.popped == 0 {
            return Some(Err(PipelineError::NoFrames));
        }
        // First the table: where both are wanted, a .pose file means that both are there.
        let finished = self.timestamps.map_or(Ok(()), TimestampWriter::finish).and_then(|()| writer.finish());
        if let Err(error) = finished {
            return Some(Err(error.into()));
        }
        // A complete file supersedes what an earlier run kept; that it is gone already is no error.
        let _ = std::fs::remove_file(partial_path(&self.output));
        Some(Ok(Report {
            output: self.output,
            frames: self.popped,
            announced_frames: self.info.announced_frames,
            frames_with_people: self.frames_with_people,
            present: self.presence.finish(),
            people: self.people,
            frame_rate,
            decoding,
            elapsed: self.started.elapsed(),
        }))
    }
}

/// Keeps what was written, under another name; gives that, if there was anything.
fn keep(writer: PoseWriter, output: &Path) -> Result<Option<PathBuf>, PoseError> {
    if writer.frames() == 0 {
        return Ok(None);
    }
    let partial = partial_path(output);
    writer.finish_as(&partial)?;
    Ok(Some(partial))
}
