//! A worker: one engine, and videos as they are assigned to it.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};
use tracing::info_span;

use super::message::{Assignment, VideoUpdate, WorkerMessage};
use crate::Chain;
use crate::engine::{Engine, EngineInfo};
use crate::pipeline::{self, Cancel, EngineDeath, Event, Next, PipelineError, Stop, Video};
use crate::pose::PoseError;
use crate::process::messages;
use crate::video;

/// How often progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// How many assignments may be waiting.
const ASSIGNMENTS: usize = 64;

/// How often an idle worker checks whether it has been asked to end.
const CANCEL_INTERVAL: Duration = Duration::from_millis(100);

/// Processes the videos that arrive on `assignments` until that ends, and reports what happens to them on
/// `messages`. Blocks until then. `open` opens the engine and may pass messages on to the user.
///
/// # Errors
/// Nobody listens any more. Anything else that goes wrong is reported as a message.
pub fn serve<E: Error + 'static>(
    open: impl FnOnce(&dyn Fn(&str)) -> Result<Box<dyn Engine>, E>,
    options: &pipeline::Options,
    video_options: &video::Options,
    assignments: impl BufRead + Send + 'static,
    messages: impl Write,
) -> io::Result<Result<(), Stop>> {
    let _span = info_span!("worker", process = std::process::id()).entered();
    let supervisor = SupervisorPipe::new(messages, options.cancel.clone());
    let opened = open(&|text| supervisor.send(&WorkerMessage::Note(text.into())));
    let mut engine = match with_info(opened) {
        Ok((engine, info)) => {
            supervisor.send(&WorkerMessage::Ready(info));
            engine
        }
        Err(reason) => {
            supervisor.send(&WorkerMessage::Unusable(reason));
            return supervisor.error().map_or(Ok(Ok(())), Err);
        }
    };

    let received = receive(assignments)?;
    let video_options = video_options.clone().with_keep_planes(engine.takes_planes());
    let numbers = RefCell::new(Vec::new());
    let mut next = |may_wait: bool| {
        let (number, job) = match next_assignment(&received, may_wait, &options.cancel) {
            Ok(assignment) => assignment.job(),
            Err(TryRecvError::Empty) => return Next::Later,
            Err(TryRecvError::Disconnected) => return Next::End,
        };
        numbers.borrow_mut().push(number);
        // Reported beforehand: if opening it ends this process, the supervisor knows the culprit.
        supervisor.send(&WorkerMessage::Video(number, VideoUpdate::Opening));
        let video_options = video_options.clone();
        Next::Video(Video::new(job.output, move || video::open(&job.video, &video_options)))
    };
    let updates = Updates::default();
    let stopped = pipeline::run_as_they_come(&mut next, engine.as_mut(), options, &mut |index, event| {
        if let Some(update) = updates.of(event) {
            supervisor.send(&WorkerMessage::Video(numbers.borrow()[index], update));
        }
    });
    if let Err(Stop::Engine(death)) = &stopped {
        let (reason, suspects) = suspicion(death);
        let numbers = numbers.borrow();
        let suspects = suspects.into_iter().map(|index| numbers[index]).collect();
        supervisor.send(&WorkerMessage::EngineDied { reason, suspects });
    }
    supervisor.error().map_or(Ok(stopped), Err)
}

/// An engine and its description, or the reason why there is none.
fn with_info<E: Error + 'static>(
    opened: Result<Box<dyn Engine>, E>,
) -> Result<(Box<dyn Engine>, EngineInfo), String> {
    let mut engine = opened.map_err(|error| Chain(&error).to_string())?;
    let info = engine.info().map_err(|error| Chain(&error).to_string())?;
    Ok((engine, info))
}

/// Reads assignments on a thread of its own: while none arrives, the frames in flight are finished.
fn receive(mut assignments: impl BufRead + Send + 'static) -> io::Result<Receiver<Assignment>> {
    let (sender, received) = bounded(ASSIGNMENTS);
    thread::Builder::new().name("assignments".into()).spawn(move || {
        while let Ok(Some(assignment)) = messages::read(&mut assignments) {
            if sender.send(assignment).is_err() {
                break;
            }
        }
    })?;
    Ok(received)
}

fn next_assignment(
    received: &Receiver<Assignment>,
    may_wait: bool,
    cancel: &Cancel,
) -> Result<Assignment, TryRecvError> {
    if !may_wait {
        return received.try_recv();
    }
    loop {
        match received.recv_timeout(CANCEL_INTERVAL) {
            Ok(assignment) => return Ok(assignment),
            Err(RecvTimeoutError::Timeout) if !cancel.is_cancelled() => {}
            Err(_) => return Err(TryRecvError::Disconnected),
        }
    }
}

/// Why an engine died, and the numbers of the videos that may have caused it.
pub(super) fn suspicion(death: &EngineDeath) -> (String, Vec<usize>) {
    let partial = death.suspects.first().and_then(|oldest| oldest.partial.as_deref());
    (pipeline::reason(death, partial), death.suspects.iter().map(|suspect| suspect.video).collect())
}

/// From the events of the pipeline to those of a batch.
#[derive(Default)]
pub(super) struct Updates {
    last_progress: Cell<Option<Instant>>,
}

impl Updates {
    /// What to report, if anything.
    pub(super) fn of(&self, event: Event) -> Option<VideoUpdate> {
        Some(match event {
            Event::Started { info } => VideoUpdate::Started { announced_frames: info.announced_frames },
            Event::Progress(progress) => {
                if self.last_progress.get().is_some_and(|last| last.elapsed() < PROGRESS_INTERVAL) {
                    return None;
                }
                self.last_progress.set(Some(Instant::now()));
                VideoUpdate::Progress(progress)
            }
            Event::Done(report) => VideoUpdate::Done(Box::new(report)),
            // The caller knows that it requested the end.
            Event::Failed(PipelineError::Cancelled) => return None,
            Event::Failed(PipelineError::Write(PoseError::Exists(_))) => VideoUpdate::Exists,
            Event::Failed(error) => {
                VideoUpdate::Failed { reason: pipeline::reason(&error, error.partial()), is_crash: false }
            }
        })
    }
}

/// The pipe to the supervisor. Without it there is nothing to work for: the run is cancelled when it breaks.
struct SupervisorPipe<W> {
    pipe: RefCell<W>,
    error: RefCell<Option<io::Error>>,
    cancel: Cancel,
}

impl<W: Write> SupervisorPipe<W> {
    fn new(pipe: W, cancel: Cancel) -> Self {
        Self { pipe: RefCell::new(pipe), error: RefCell::default(), cancel }
    }

    fn send(&self, message: &WorkerMessage) {
        let mut pipe = self.pipe.borrow_mut();
        let sent = messages::write(message, &mut *pipe).and_then(|()| pipe.flush());
        if let Err(error) = sent {
            self.cancel.cancel();
            self.error.borrow_mut().get_or_insert(error);
        }
    }

    /// Why it broke, if it did.
    fn error(&self) -> Option<io::Error> {
        self.error.borrow_mut().take()
    }
}
