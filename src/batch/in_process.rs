//! Several videos in this process, with a new engine after one dies.

use std::cell::RefCell;
use std::path::Path;

use super::message::VideoUpdate;
use super::queue::Queue;
use super::worker::{Updates, suspicion};
use super::{Ended, Event, Job};
use crate::engine::{Engine, EngineError};
use crate::pipeline::{self, Next, Stop, Video};
use crate::video;

/// How many times in a row engines may die without a video that could have caused it.
const IDLE_DEATHS: u32 = 3;

/// Processes all jobs in this process, one after another, with the engine that `open` returns, and with a new one
/// after that dies. Blocks until all are done; `events` is called on this thread.
///
/// The videos that were in flight when an engine died are tried once more, each alone. One that ends its engine
/// again fails, and all others continue. Whatever ends the process ends the run; [`supervise`](super::supervise)
/// survives that.
///
/// # Errors
/// `open` fails. What was done until then is kept.
pub fn run_in_process<E: From<EngineError>>(
    jobs: &[Job],
    mut open: impl FnMut() -> Result<Box<dyn Engine>, E>,
    options: &pipeline::Options,
    video_options: &video::Options,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<Ended, E> {
    let queue = RefCell::new(Queue::new(jobs.len()));
    let events = RefCell::new(events);
    let report = |video: usize, update: &VideoUpdate| {
        (events.borrow_mut())(Event::Video { worker: 0, video, update });
    };
    let mut idle_deaths = 0;
    while !queue.borrow().is_empty() {
        let mut engine = open()?;
        let info = engine.info()?;
        (events.borrow_mut())(Event::Ready { worker: 0, engine: &info });
        let video_options = video_options.clone().with_keep_planes(engine.takes_planes());
        // The jobs given to this engine, in order, and those whose outcome was not reported.
        let given = RefCell::new(Vec::new());
        let held = RefCell::new(Vec::new());
        let mut next = |may_wait: bool| {
            let mut queue = queue.borrow_mut();
            let is_alone = held.borrow().iter().any(|&job| queue.is_suspect(job));
            let job = if is_alone { None } else { queue.next(held.borrow().is_empty()) };
            let Some(job) = job else {
                // A suspect is next: it will be asked for again when nothing is in flight any more.
                return if queue.is_empty() || may_wait { Next::End } else { Next::Later };
            };
            held.borrow_mut().push(job);
            given.borrow_mut().push(job);
            report(job, &VideoUpdate::Opening);
            let (video, video_options) = (jobs[job].video.clone(), video_options.clone());
            Next::Video(Video::new(&jobs[job].output, move || video::open(&video, &video_options)))
        };
        let updates = Updates::default();
        let stopped = pipeline::run_as_they_come(&mut next, engine.as_mut(), options, &mut |index, event| {
            let job = given.borrow()[index];
            if let Some(update) = updates.of(event) {
                if update.is_end() {
                    held.borrow_mut().retain(|&other| other != job);
                    idle_deaths = 0;
                }
                report(job, &update);
            }
        });
        let death = match stopped {
            Ok(()) => continue,
            Err(Stop::Cancelled) => return Ok(Ended::Cancelled),
            Err(Stop::Engine(death)) => death,
        };
        let is_proof = given.borrow().len() == 1;
        let (reason, suspects) = suspicion(&death);
        let suspects: Vec<usize> = suspects.into_iter().map(|index| given.borrow()[index]).collect();
        let innocent: Vec<usize> =
            held.borrow().iter().copied().filter(|job| !suspects.contains(job)).collect();
        let mut queue = queue.borrow_mut();
        queue.put_back(innocent.into_iter());
        // It died of nothing that it had been given: another one may not do better.
        idle_deaths += u32::from(suspects.is_empty());
        if idle_deaths == IDLE_DEATHS {
            return Err(death.error.into());
        }
        // What was read from a pipe cannot be read again.
        let (once, suspects): (Vec<usize>, Vec<usize>) =
            suspects.into_iter().partition(|&job| jobs[job].video == Path::new(video::STDIN));
        for job in once {
            report(job, &VideoUpdate::Failed { reason: reason.clone(), is_crash: true });
        }
        match queue.suspect(&suspects, is_proof) {
            Some(guilty) => report(guilty, &VideoUpdate::crashed_twice(&reason)),
            None if queue.is_empty() => {}
            None => (events.borrow_mut())(Event::Died { worker: 0, reason: &reason, suspects: &suspects }),
        }
    }
    Ok(Ended::Completed)
}
