//! The supervisor: starts workers, hands them videos, hears of them, starts those anew that die.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::Job;
use super::message::{News, Told};
use super::process::Worker;
use crate::engine::Description;
use crate::pipeline::Cancel;
use crate::pose::remove_unfinished;

/// The least and the most videos that a worker has: the one it works on, the next, which it opens meanwhile, and,
/// while there are many, more, because several short ones can be in flight.
const VIDEOS_AHEAD: std::ops::RangeInclusive<usize> = 2..=16;
/// How often a video is tried that a worker died on.
const ATTEMPTS: u32 = 2;
/// How often it is looked whether the run was cancelled, or a worker has stalled.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long a worker may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// What ends a worker from outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// So long without a word, and a worker is ended; the video it works on counts as tried.
    pub stall: Option<Duration>,
}

/// Why no worker could be started, or none is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The process cannot be started.
    #[error("cannot start a worker process: {0}")]
    Start(#[from] io::Error),
    /// No worker can load its nets.
    #[error("{0}")]
    Unusable(String),
}

/// What the supervisor tells its caller.
#[derive(Debug)]
pub enum Supervised<'a> {
    /// A worker is ready, and what it estimates with.
    Ready(&'a Description),
    /// What became of a video, by its place among the jobs.
    Video(usize, &'a Told),
    /// A remark, with the number of the worker, from 0.
    Note(usize, &'a str),
}

/// Works on all jobs with one process for each of `commands`, which are to call [`serve`](super::serve) on their
/// standard input and output. `hear` is told what happens.
///
/// Returns `false` where the run was cancelled.
///
/// # Errors
/// No worker could load its nets, or none could be started; what was done until then stays.
pub fn supervise(
    jobs: &[Job],
    commands: &mut [Command],
    limits: Limits,
    cancel: &Cancel,
    hear: &mut dyn FnMut(Supervised<'_>),
) -> Result<bool, SupervisorError> {
    let (sender, receiver) = bounded(64);
    let mut supervisor = Supervisor {
        jobs,
        queue: (0..jobs.len()).collect(),
        attempts: vec![0; jobs.len()],
        workers: Vec::new(),
        started: 0,
        sender,
        hear,
        unusable: None,
    };
    for index in 0..commands.len().min(jobs.len()) {
        supervisor.start(commands, index)?;
    }
    let done = supervisor.run(&receiver, commands, limits, cancel)?;
    match supervisor.unusable {
        Some(reason) if !supervisor.queue.is_empty() && done => Err(SupervisorError::Unusable(reason)),
        _ => Ok(done),
    }
}

struct Supervisor<'a> {
    jobs: &'a [Job],
    /// Numbers of jobs nobody has.
    queue: VecDeque<usize>,
    attempts: Vec<u32>,
    workers: Vec<Worker>,
    /// Processes started so far; tells the words of one from those of the one before it.
    started: usize,
    sender: Sender<(usize, Option<News>)>,
    hear: &'a mut dyn FnMut(Supervised<'_>),
    /// Why the last worker that could not load its nets could not.
    unusable: Option<String>,
}

impl Supervisor<'_> {
    fn start(&mut self, commands: &mut [Command], index: usize) -> Result<(), SupervisorError> {
        let process = self.started;
        self.started += 1;
        self.workers.push(Worker::start(&mut commands[index], index, process, self.sender.clone())?);
        Ok(())
    }

    fn run(
        &mut self,
        news: &Receiver<(usize, Option<News>)>,
        commands: &mut [Command],
        limits: Limits,
        cancel: &Cancel,
    ) -> Result<bool, SupervisorError> {
        while !self.workers.is_empty() {
            if cancel.is_cancelled() {
                self.end_all();
                return Ok(false);
            }
            let (process, news) = match news.recv_timeout(INTERVAL) {
                Ok(news) => news,
                Err(RecvTimeoutError::Timeout) => {
                    self.end_stalled(limits);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let Some(place) = self.workers.iter().position(|worker| worker.process == process) else {
                continue;
            };
            match news {
                Some(news) => self.heard(place, news),
                None => {
                    let worker = self.workers.remove(place);
                    let (index, was_ready) = (worker.index, worker.is_ready);
                    self.ended(worker);
                    // One that cannot even load its nets would die again.
                    if was_ready && !self.queue.is_empty() {
                        self.start(commands, index)?;
                    }
                }
            }
        }
        Ok(true)
    }

    fn heard(&mut self, place: usize, news: News) {
        let worker = &mut self.workers[place];
        worker.heard = Instant::now();
        match news {
            News::Ready(description) => {
                worker.is_ready = true;
                (self.hear)(Supervised::Ready(&description));
                self.feed(place);
            }
            News::Unusable(reason) => self.unusable = Some(reason),
            News::Note(text) => (self.hear)(Supervised::Note(worker.index, &text)),
            News::Video { number, told } => {
                // Only of what it was given.
                if !worker.has.contains(&number) {
                    return;
                }
                if let Told::EngineFailed(reason) = told {
                    worker.failed = Some((number, reason));
                    return;
                }
                (self.hear)(Supervised::Video(number, &told));
                if matches!(told, Told::Done(_) | Told::Exists | Told::Failed(_)) {
                    worker.has.retain(|&other| other != number);
                    self.feed(place);
                }
            }
        }
    }

    /// Hands a worker its next videos; tells it when there are no more.
    fn feed(&mut self, place: usize) {
        // Of few and towards the end fewer, so that no worker keeps what another could do.
        let share = self.queue.len() / (8 * self.workers.len());
        let ahead = share.clamp(*VIDEOS_AHEAD.start(), *VIDEOS_AHEAD.end());
        let worker = &mut self.workers[place];
        while worker.has.len() < ahead {
            // A video that a worker died on has the next one for itself, so that it dies of nothing else.
            let is_suspect = |number: &usize| self.attempts[*number] > 0;
            let is_alone = worker.has.iter().any(is_suspect)
                || !worker.has.is_empty() && self.queue.front().is_some_and(is_suspect);
            if is_alone {
                return;
            }
            if !worker.takes_orders() {
                return;
            }
            let Some(number) = self.queue.pop_front() else { break };
            worker.order(number, &self.jobs[number]);
        }
        if self.queue.is_empty() {
            // It waits for the next video until it knows that there is none.
            worker.no_more_orders();
        }
    }

    /// What a worker that is gone had is given to others, but not again and again what it died on.
    fn ended(&mut self, mut worker: Worker) {
        let (ending, words) = worker.ending();
        if !worker.is_ready && self.unusable.is_none() {
            self.unusable = Some(format!("the worker process {ending} while it loaded its nets{words}"));
        }
        let folders: BTreeSet<_> =
            worker.has.iter().filter_map(|&number| self.jobs[number].output.parent()).collect();
        folders.into_iter().for_each(remove_unfinished);
        let (suspect, reason) = match (worker.failed, worker.has.front()) {
            (Some(failed), _) => failed,
            (None, Some(&front)) => (front, format!("the worker process {ending}{words}")),
            (None, None) => return,
        };
        worker.has.retain(|&number| number != suspect);
        for number in worker.has.into_iter().rev() {
            self.queue.push_front(number);
        }
        self.attempts[suspect] += 1;
        if self.attempts[suspect] < ATTEMPTS {
            self.queue.push_front(suspect);
            return;
        }
        let reason = format!("failed twice, the second time alone: {reason}");
        (self.hear)(Supervised::Video(suspect, &Told::Failed(reason)));
    }

    fn end_stalled(&mut self, limits: Limits) {
        let Some(limit) = limits.stall else { return };
        for worker in &mut self.workers {
            worker.end_if_stalled(limit);
        }
    }

    /// Asks all workers to end, and ends those that do not.
    fn end_all(&mut self) {
        self.workers.iter_mut().for_each(Worker::ask_to_end);
        let asked = Instant::now();
        for worker in &mut self.workers {
            worker.wait_until(asked + PATIENCE);
        }
    }
}
