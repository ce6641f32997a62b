//! The supervisor: starts workers, hands them videos, hears of them, starts those anew that die.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::Job;
use super::message::{News, Order, Told};
use crate::engine::isolated::{LastWords, how};
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

struct Worker {
    /// Which command it was started with.
    index: usize,
    /// Which process it is, of all that were started.
    process: usize,
    child: Child,
    orders: Option<ChildStdin>,
    words: LastWords,
    is_ready: bool,
    /// Jobs it has, the oldest first.
    has: VecDeque<usize>,
    heard: Instant,
    /// Ended because it said nothing for so long.
    stalled: Option<Duration>,
}

impl Supervisor<'_> {
    fn start(&mut self, commands: &mut [Command], index: usize) -> Result<(), SupervisorError> {
        let command = commands[index].stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let taken = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(orders), Some(news), Some(words)) = taken else {
            return Err(io::Error::other("it has no pipes").into());
        };
        let process = self.started;
        self.started += 1;
        let sender = self.sender.clone();
        thread::Builder::new().name("hear".into()).spawn(move || {
            for line in BufReader::new(news).lines().map_while(Result::ok) {
                // What is no news was printed by some library.
                let Ok(news) = serde_json::from_str(&line) else { continue };
                if sender.send((process, Some(news))).is_err() {
                    return;
                }
            }
            let _ = sender.send((process, None));
        })?;
        self.workers.push(Worker {
            index,
            process,
            child,
            orders: Some(orders),
            words: LastWords::listen(words, None)?,
            is_ready: false,
            has: VecDeque::new(),
            heard: Instant::now(),
            stalled: None,
        });
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
            News::Ready => {
                worker.is_ready = true;
                self.feed(place);
            }
            News::Unusable(reason) => self.unusable = Some(reason),
            News::Note(text) => (self.hear)(Supervised::Note(worker.index, &text)),
            News::Video { number, told } => {
                // Only of what it was given.
                if !worker.has.contains(&number) {
                    return;
                }
                (self.hear)(Supervised::Video(number, &told));
                if matches!(told, Told::Done(_) | Told::Failed(_)) {
                    worker.has.retain(|&other| other != number);
                    self.feed(place);
                }
            }
        }
    }

    /// Hands a worker its next videos; tells it when there are no more.
    fn feed(&mut self, place: usize) {
        // Towards the end fewer, so that no worker keeps what another could do.
        let share = self.queue.len() / (2 * self.workers.len());
        let ahead = share.clamp(*VIDEOS_AHEAD.start(), *VIDEOS_AHEAD.end());
        let worker = &mut self.workers[place];
        while worker.has.len() < ahead {
            let (Some(orders), Some(number)) = (&mut worker.orders, self.queue.pop_front()) else { break };
            worker.has.push_back(number);
            let order = serde_json::to_vec(&Order::new(number, &self.jobs[number])).map_err(io::Error::from);
            let sent = order.and_then(|mut line| {
                line.push(b'\n');
                orders.write_all(&line)
            });
            if sent.is_err() {
                // It has died, which its news will say.
                worker.orders = None;
            }
        }
        if self.queue.is_empty() {
            // It waits for the next video before it works on the last, until it knows that there is none.
            worker.orders = None;
        }
    }

    /// What a worker that is gone had is given to others, but not again and again what it died on.
    fn ended(&mut self, mut worker: Worker) {
        worker.orders = None;
        let ending = match (worker.stalled, worker.child.wait()) {
            (Some(limit), _) => format!("was ended after {} s without a word", limit.as_secs()),
            (None, Ok(status)) => format!("ended {}", how(status)),
            (None, Err(error)) => format!("is lost: {error}"),
        };
        let words = worker.words.quote();
        let words = if words.is_empty() { words } else { format!("; its last words: {words}") };
        if !worker.is_ready && self.unusable.is_none() {
            self.unusable = Some(format!("the worker process {ending} while it loaded its nets{words}"));
        }
        for folder in worker.has.iter().filter_map(|&number| self.jobs[number].output.parent()) {
            remove_unfinished(folder);
        }
        let Some(front) = worker.has.pop_front() else { return };
        for number in worker.has.into_iter().rev() {
            self.queue.push_front(number);
        }
        self.attempts[front] += 1;
        if self.attempts[front] < ATTEMPTS {
            self.queue.push_front(front);
            return;
        }
        let reason = format!("the worker process {ending}, twice on this video{words}");
        (self.hear)(Supervised::Video(front, &Told::Failed(reason)));
    }

    fn end_stalled(&mut self, limits: Limits) {
        let Some(limit) = limits.stall else { return };
        for worker in &mut self.workers {
            if worker.heard.elapsed() > limit && worker.stalled.is_none() {
                worker.stalled = Some(limit);
                // That it has ended already is no error.
                let _ = worker.child.kill();
            }
        }
    }

    /// Asks all workers to end, and ends those that do not.
    fn end_all(&mut self) {
        for worker in &mut self.workers {
            worker.orders = None;
            if let Some(process) =
                i32::try_from(worker.child.id()).ok().and_then(rustix::process::Pid::from_raw)
            {
                let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
            }
        }
        let asked = Instant::now();
        for worker in &mut self.workers {
            while matches!(worker.child.try_wait(), Ok(None)) {
                if asked.elapsed() > PATIENCE {
                    let _ = worker.child.kill();
                    let _ = worker.child.wait();
                    break;
                }
                thread::sleep(INTERVAL / 10);
            }
        }
    }
}
