//! Several videos, one after another, through one engine. While the last frames of one are in flight, the first of the
//! next are submitted, and the one after that is opened: the engine never waits for a video to end.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::{info, info_span, warn};

use super::decoder::{DecodeStream, Item, PendingVideo, Poll};
use super::presence::Presence;
use super::timestamps::TimestampWriter;
use super::{Options, PipelineError, Progress, Report, engine_failed, partial_path};
use crate::Chain;
use crate::engine::{Engine, EngineError, EngineErrorKind};
use crate::output_file::folder_of;
use crate::people::Arrangement;
use crate::pose::{FramePose, Header, PoseError, PoseWriter};
use oppose_core::{DecodeSummary, Source, SourceError, VideoInfo};

/// Opens a video; called on the thread that decodes it.
pub type OpenVideo = Box<dyn FnOnce() -> Result<Box<dyn Source>, SourceError> + Send>;

/// A video to process.
pub struct Video {
    open: OpenVideo,
    output: PathBuf,
}

impl Video {
    /// The video that `open` opens, to be written to the `.pose` file `output`. `open` is called on the thread that
    /// decodes the video.
    pub fn new<E: Into<SourceError>>(
        output: impl Into<PathBuf>,
        open: impl FnOnce() -> Result<Box<dyn Source>, E> + Send + 'static,
    ) -> Self {
        Self { open: Box::new(|| open().map_err(Into::into)), output: output.into() }
    }
}

/// Something that happens to a video.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Its frames are being processed.
    Started {
        /// Size and rate of its frames.
        info: VideoInfo,
    },
    /// A frame is done.
    Progress(Progress),
    /// Its file is complete.
    Done(Report),
    /// It failed, through no fault of the engine.
    Failed(PipelineError),
}

/// Why not all videos were processed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// The caller asked to stop.
    #[error("the run was cancelled")]
    Cancelled,
    /// The engine died. Open another one for the remaining videos.
    #[error(transparent)]
    Engine(EngineDeath),
}

/// The end of an engine, and the videos that may have caused it.
#[derive(Debug, thiserror::Error)]
#[error("{}", engine_failed(.suspects.first().map(|oldest| oldest.frame)))]
#[non_exhaustive]
pub struct EngineDeath {
    /// The engine's error.
    #[source]
    pub error: EngineError,
    /// The videos that had frames in flight, the oldest first. One of them caused the death, unless the engine died
    /// of something else. No outcome was reported for any of them. Empty if nothing was in flight.
    pub suspects: Vec<Suspect>,
}

/// A video that was in flight when the engine died.
#[derive(Debug)]
#[non_exhaustive]
pub struct Suspect {
    /// The number of the video, from 0.
    pub video: usize,
    /// Its oldest frame in flight, from 0.
    pub frame: u64,
    /// The file with the frames before, kept if this video was the only one in flight.
    pub partial: Option<PathBuf>,
}

/// The answer to a request for the next video, while earlier ones are being processed.
#[non_exhaustive]
pub enum Next {
    /// Here is one.
    Video(Video),
    /// There is none yet.
    Later,
    /// There are no more.
    End,
}

/// Estimates the frames of all videos, as [`run`](super::run) does for one. Blocks until all are done. `events` is
/// called on this thread with the number of the video, from 0, and what happens to it.
///
/// # Errors
/// Not all videos were processed. Those for which neither [`Event::Done`] nor [`Event::Failed`] was reported can be
/// given to another run.
pub fn run_all(
    videos: impl IntoIterator<Item = Video>,
    engine: &mut dyn Engine,
    options: &Options,
    events: &mut dyn FnMut(usize, Event),
) -> Result<(), Stop> {
    let mut videos = videos.into_iter();
    run_as_they_come(&mut |_| videos.next().map_or(Next::End, Next::Video), engine, options, events)
}

/// Like [`run_all`], for videos that are handed over one by one. `next` is called for the next video before the
/// last one is done; it may block only if it is passed `true`.
///
/// # Errors
/// As [`run_all`].
pub fn run_as_they_come(
    next: &mut dyn FnMut(bool) -> Next,
    engine: &mut dyn Engine,
    options: &Options,
    events: &mut dyn FnMut(usize, Event),
) -> Result<(), Stop> {
    let mut scheduler = Scheduler {
        engine,
        options,
        events,
        running: VecDeque::new(),
        in_flight: 0,
        pose: FramePose::default(),
        folders: BTreeSet::new(),
    };
    scheduler.discard_in_flight()?;
    let mut prefetched = None;
    for number in 0.. {
        let Opening { output, decoder } = match prefetched.take() {
            Some(opening) => opening,
            None => match NextOpening::of(next(false)) {
                NextOpening::Ready(opening) => opening,
                NextOpening::End => break,
                NextOpening::Later => {
                    // Nobody knows how long this takes: what is in flight is finished first.
                    scheduler.finish()?;
                    match NextOpening::of(next(true)) {
                        NextOpening::Ready(opening) => opening,
                        NextOpening::End | NextOpening::Later => break,
                    }
                }
            },
        };
        let opened = match decoder {
            Ok(decoder) => decoder.opened(&options.cancel),
            Err(error) => {
                scheduler.failed(number, PipelineError::Thread(error));
                continue;
            }
        };
        if let NextOpening::Ready(following) = NextOpening::of(next(false)) {
            prefetched = Some(following);
        }
        match opened {
            Poll::Cancelled => return Err(scheduler.cancelled(number)),
            Poll::Ready(Err(error)) => {
                scheduler.failed(number, PipelineError::Video { error, partial: None });
            }
            Poll::Ready(Ok(stream)) => scheduler.process(number, output, &stream)?,
        }
    }
    scheduler.finish()
}

/// A video that is being opened.
struct Opening {
    output: PathBuf,
    decoder: io::Result<PendingVideo>,
}

enum NextOpening {
    Ready(Opening),
    Later,
    End,
}

impl NextOpening {
    fn of(next: Next) -> Self {
        match next {
            Next::Video(Video { open, output }) => {
                let decoder = PendingVideo::start(open, &output);
                Self::Ready(Opening { output, decoder })
            }
            Next::Later => Self::Later,
            Next::End => Self::End,
        }
    }
}

/// The engine and the videos whose frames are in it, the oldest first.
struct Scheduler<'a> {
    engine: &'a mut dyn Engine,
    options: &'a Options,
    events: &'a mut dyn FnMut(usize, Event),
    running: VecDeque<Running>,
    in_flight: usize,
    pose: FramePose,
    /// Folders of new files whose directory entries are not yet synchronised to disk.
    folders: BTreeSet<PathBuf>,
}

/// A video some of whose results are still to come.
struct Running {
    number: usize,
    output: PathBuf,
    info: VideoInfo,
    started: Instant,
    /// Frames submitted to the engine.
    pushed: u64,
    /// Frames that came back.
    popped: u64,
    frames_with_people: u64,
    people: usize,
    presence: Presence,
    arrangement: Arrangement,
    /// `None` if a result could not be written, which was reported.
    writer: Option<PoseWriter>,
    /// The timestamps of the frames, if they are wanted.
    timestamps: Option<TimestampWriter>,
    /// The summary of decoding, and why it broke off, once it has ended.
    end: Option<(DecodeSummary, Option<SourceError>)>,
    /// Whether its start was reported, which happens when it becomes the oldest, so that one video at a time
    /// reports progress.
    is_announced: bool,
}

impl Scheduler<'_> {
    /// Drains results left by an aborted run: they belong to another video.
    fn discard_in_flight(&mut self) -> Result<(), Stop> {
        self.engine.flush().map_err(|error| self.died(error))?;
        loop {
            match self.engine.pop(&mut self.pose) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(self.died(error)),
            }
        }
    }

    /// Submits all frames of a video to the engine. Its last results are still to come.
    fn process(&mut self, number: usize, output: PathBuf, stream: &DecodeStream) -> Result<(), Stop> {
        let _span = info_span!("video", output = %output.display()).entered();
        let started = Instant::now();
        let info = stream.info.clone();
        let rate = info.frame_rate.as_f32();
        let skeleton = self.engine.skeleton();
        let arrangement =
            Arrangement::new(self.options.people, skeleton, (info.width, info.height), info.frame_rate);
        let overwrite = self.options.overwrite;
        let writer = Header::new(skeleton, info.width, info.height)
            .and_then(|header| PoseWriter::options().overwrite(overwrite).create(&output, &header, rate));
        let writer = match writer {
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
            return self.refused(number, error);
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
            is_announced: false,
        });
        self.announce_oldest();
        let end = loop {
            let frame = match stream.next(&self.options.cancel) {
                Poll::Cancelled => return Err(self.cancelled(number)),
                Poll::Ready(Item::Frame(frame)) => frame,
                Poll::Ready(Item::End(summary, error)) => break (summary, error),
            };
            if self.in_flight >= self.engine.capacity() {
                self.take()?;
            }
            let Some(running) = self.running.back_mut() else { break (DecodeSummary::default(), None) };
            if running.writer.is_none() {
                // Nobody needs its results.
                break (DecodeSummary::default(), None);
            }
            let written = running.timestamps.as_mut().map(|times| times.write(frame.timestamp()));
            if let Some(Err(error)) = written {
                running.writer = None;
                self.failed(number, error.into());
                break (DecodeSummary::default(), None);
            }
            // Counted before it is submitted: a frame that kills the engine makes its video a suspect.
            running.pushed += 1;
            self.in_flight += 1;
            self.engine.push(frame).map_err(|error| self.died(error))?;
        };
        if let Some(running) = self.running.back_mut() {
            running.end = Some(end);
        }
        self.settle();
        Ok(())
    }

    /// The engine does not start a video, either because it is unsuitable or because the engine has died.
    fn refused(&mut self, number: usize, error: EngineError) -> Result<(), Stop> {
        if error.kind() == EngineErrorKind::Unsuitable {
            self.failed(number, PipelineError::Unsuitable(error));
            return Ok(());
        }
        let is_alone = self.in_flight == 0;
        let mut death = self.death(error);
        if is_alone {
            // Nothing else was in the engine: this video may have killed it.
            death.suspects.push(Suspect { video: number, frame: 0, partial: None });
        }
        Err(Stop::Engine(death))
    }

    /// Waits for all results.
    fn finish(&mut self) -> Result<(), Stop> {
        if self.in_flight > 0 {
            self.engine.flush().map_err(|error| self.died(error))?;
        }
        while self.in_flight > 0 {
            if self.options.cancel.is_cancelled() {
                let number = self.running.front().map_or(0, |running| running.number);
                return Err(self.cancelled(number));
            }
            self.take()?;
        }
        // Once for many files, because it takes milliseconds. Some network file systems cannot do it; the files
        // exist anyway.
        for folder in std::mem::take(&mut self.folders) {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }

    /// Waits for the oldest result and writes it.
    fn take(&mut self) -> Result<(), Stop> {
        match self.engine.pop(&mut self.pose) {
            Ok(true) => self.in_flight -= 1,
            // The engine's count is the right one.
            Ok(false) => {
                self.in_flight = 0;
                return Ok(());
            }
            Err(error) => return Err(self.died(error)),
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

    /// Finishes the files of videos that have all their results.
    fn settle(&mut self) {
        let is_complete = |running: &Running| running.end.is_some() && running.popped == running.pushed;
        while self.running.front().is_some_and(is_complete) {
            let Some(running) = self.running.pop_front() else { break };
            let number = running.number;
            match running.complete() {
                None => {}
                Some(Ok(report)) => {
                    let (output, frames, seconds) =
                        (report.output.display(), report.frames, report.elapsed.as_secs_f64());
                    info!(%output, frames, seconds, "wrote a .pose file");
                    self.folders.insert(folder_of(&report.output).to_owned());
                    (self.events)(number, Event::Done(report));
                }
                Some(Err(error)) => self.failed(number, error),
            }
            self.announce_oldest();
        }
    }

    fn announce_oldest(&mut self) {
        if let Some(running) = self.running.front_mut().filter(|running| !running.is_announced) {
            running.is_announced = true;
            (self.events)(running.number, Event::Started { info: running.info.clone() });
        }
    }

    fn failed(&mut self, number: usize, error: PipelineError) {
        info!(number, error = %Chain(&error), "a video failed");
        (self.events)(number, Event::Failed(error));
    }

    fn died(&mut self, error: EngineError) -> Stop {
        warn!(error = %Chain(&error), in_flight = self.in_flight, "the engine died");
        Stop::Engine(self.death(error))
    }

    /// Gives up the videos that have frames in the engine. Those without, and those that failed before, are not
    /// suspects.
    fn death(&mut self, error: EngineError) -> EngineDeath {
        let is_suspect = |running: &Running| running.popped < running.pushed && running.writer.is_some();
        let mut running: Vec<Running> = self.running.drain(..).filter(is_suspect).collect();
        self.in_flight = 0;
        let mut partial = None;
        if let [alone] = &mut running[..]
            && let Some(writer) = alone.writer.take()
        {
            // If the frames cannot be kept, they are lost; the death is what has to be reported.
            partial = keep(writer, &alone.output).unwrap_or_default();
        }
        let suspect = |running: Running| Suspect {
            video: running.number,
            frame: running.popped,
            partial: partial.take(),
        };
        EngineDeath { error, suspects: running.into_iter().map(suspect).collect() }
    }

    fn cancelled(&mut self, number: usize) -> Stop {
        let number = self.running.front().map_or(number, |running| running.number);
        self.failed(number, PipelineError::Cancelled);
        Stop::Cancelled
    }
}

impl Running {
    /// Finishes the file; `None` if a failure was reported before.
    fn complete(self) -> Option<Result<Report, PipelineError>> {
        let mut writer = self.writer?;
        let (decoding, error) = self.end?;
        // What the frames have shown is better than what the header announced.
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
        // The table first: if both are wanted, a .pose file means that both exist.
        let finished = self.timestamps.map_or(Ok(()), TimestampWriter::finish).and_then(|()| writer.finish());
        if let Err(error) = finished {
            return Some(Err(error.into()));
        }
        // A complete file supersedes what an earlier run kept; if that is gone already, it is not an error.
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

/// Keeps what was written under another name, and returns that name, if there was anything.
fn keep(writer: PoseWriter, output: &Path) -> Result<Option<PathBuf>, PoseError> {
    if writer.frames() == 0 {
        return Ok(None);
    }
    let partial = partial_path(output);
    writer.finish_as(&partial)?;
    Ok(Some(partial))
}
