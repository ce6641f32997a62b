//! The supervisor: starts workers, gives them videos, receives their messages, and replaces those that die.

use std::collections::BTreeSet;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tracing::{debug, trace};

use super::message::{VideoUpdate, WorkerMessage};
use super::queue::Queue;
use super::worker_process::WorkerProcess;
use super::{Ended, Event, Job};
use crate::Chain;
use crate::output_file::remove_unfinished;
use crate::pipeline::Cancel;
use crate::process::Clock;

/// The smallest and the largest number of videos that a worker has while many are waiting: the one it processes,
/// the next, which it opens meanwhile, and more, because several short ones can be in flight.
const VIDEOS_AHEAD: std::ops::RangeInclusive<usize> = 2..=16;
/// How often to check whether the run was cancelled, or a worker has stalled.
const INTERVAL: Duration = Duration::from_millis(100);
/// The same while a worker is about to end.
const SHORT_INTERVAL: Duration = Duration::from_millis(5);
/// How long a worker may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many times in a row a slot may fail to get a working worker, and how long to wait before the first retry;
/// each further wait is twice as long. A GPU whose last process was killed needs a few seconds.
const START_ATTEMPTS: u32 = 4;
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Limits on the workers of a run.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Limits {
    /// A worker that reports no progress for this long is killed and treated like one that died; `docs/limits.md`
    /// has the whole rule. `None` for no limit.
    pub stall: Option<Duration>,
}

impl Limits {
    /// Kills workers that report no progress for this long.
    pub fn stall(limit: Duration) -> Self {
        Self { stall: Some(limit) }
    }
}

/// Why no worker could be started, or none is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The process cannot be started.
    #[error("cannot start a worker process")]
    Start(#[source] io::Error),
    /// No worker can open its engine.
    #[error("{0}")]
    Unusable(String),
}

/// Processes all jobs with one worker process for each of `commands`, which must call [`serve`](super::serve) on their
/// standard input and output. Blocks until all are done; `events` is called on this thread.
///
/// A worker that dies is replaced. The videos that it was processing are tried once more, each alone. One that ends
/// its process again fails, and all others continue.
///
/// # Errors
/// No worker could open its engine, or none could be started. What was done until then is kept.
pub fn supervise(
    jobs: &[Job],
    commands: &mut [Command],
    limits: Limits,
    cancel: &Cancel,
    events: &mut dyn FnMut(Event<'_>),
) -> Result<Ended, SupervisorError> {
    let (sender, receiver) = bounded(64);
    let mut supervisor = Supervisor::new(jobs, commands, sender, cancel, events);
    let ended = supervisor.run(&receiver, limits);
    match (ended, supervisor.error.take()) {
        (Ended::Completed, Some((_, error))) if !supervisor.queue.is_empty() => Err(error),
        (Ended::Completed, Some((worker, error))) => {
            // The others have done its share, which took longer.
            (supervisor.events)(Event::Note { worker, text: &format!("gave up: {}", Chain(&error)) });
            Ok(ended)
        }
        (ended, _) => Ok(ended),
    }
}

/// The command that starts a worker, more than once if necessary.
struct Slot<'a> {
    command: &'a mut Command,
    /// When to start the next process; `None` for never.
    start_at: Option<Instant>,
    /// Whether a worker of this slot has opened its engine.
    was_ready: bool,
    /// The number of failed attempts in a row.
    failures: u32,
}

impl<'a> Slot<'a> {
    fn new(command: &'a mut Command) -> Self {
        Self { command, start_at: Some(Instant::now()), was_ready: false, failures: 0 }
    }

    /// Schedules another attempt, unless there were too many.
    fn retry_later(&mut self) {
        self.failures += 1;
        let delay = RESTART_DELAY * 2u32.pow(self.failures.min(START_ATTEMPTS) - 1);
        self.start_at = (self.failures < START_ATTEMPTS).then(|| Instant::now() + delay);
    }
}

struct Supervisor<'a> {
    jobs: &'a [Job],
    queue: Queue,
    slots: Vec<Slot<'a>>,
    workers: Vec<WorkerProcess>,
    /// Number of processes started so far; tells the messages of one from those of its predecessor.
    processes: usize,
    clock: Clock,
    sender: Sender<(usize, Option<WorkerMessage>)>,
    cancel: &'a Cancel,
    events: &'a mut dyn FnMut(Event<'_>),
    /// The last slot that was given up, and why.
    error: Option<(usize, SupervisorError)>,
}

impl<'a> Supervisor<'a> {
    /// The messages of its workers go to `sender`.
    fn new(
        jobs: &'a [Job],
        commands: &'a mut [Command],
        sender: Sender<(usize, Option<WorkerMessage>)>,
        cancel: &'a Cancel,
        events: &'a mut dyn FnMut(Event<'_>),
    ) -> Self {
        Self {
            jobs,
            queue: Queue::new(jobs.len()),
            slots: commands.iter_mut().take(jobs.len()).map(Slot::new).collect(),
            workers: Vec::new(),
            processes: 0,
            clock: Clock::new(),
            sender,
            cancel,
            events,
            error: None,
        }
    }

    fn run(&mut self, messages: &Receiver<(usize, Option<WorkerMessage>)>, limits: Limits) -> Ended {
        loop {
            if self.cancel.is_cancelled() {
                self.end_all(messages);
                return Ended::Cancelled;
            }
            self.start_due();
            let can_start = self.slots.iter().any(|slot| slot.start_at.is_some());
            if self.workers.is_empty() && (self.queue.is_empty() || !can_start) {
                return Ended::Completed;
            }
            let is_ending = self.workers.iter().any(WorkerProcess::is_closed);
            let message = match messages.recv_timeout(if is_ending { SHORT_INTERVAL } else { INTERVAL }) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ended::Completed,
            };
            self.clock.tick();
            if let Some((process, message)) = message {
                self.receive(process, message);
            }
            // Only when no message is waiting to be read.
            if let Some(limit) = limits.stall
                && messages.is_empty()
            {
                let now = self.clock.now();
                self.workers.iter_mut().for_each(|worker| worker.kill_if_stalled(now, limit));
            }
            self.workers.iter_mut().for_each(WorkerProcess::notice_end);
            while let Some(index) = self.workers.iter_mut().position(WorkerProcess::has_ended) {
                let worker = self.workers.remove(index);
                self.bury(worker);
            }
        }
    }

    /// Starts the processes that are due.
    fn start_due(&mut self) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if self.queue.is_empty() || slot.start_at.is_none_or(|start| start > Instant::now()) {
                continue;
            }
            slot.start_at = None;
            let process = self.processes;
            self.processes += 1;
            match WorkerProcess::start(slot.command, index, process, self.clock.now(), self.sender.clone()) {
                Ok(worker) => {
                    debug!(worker = index, process, "started a worker process");
                    self.workers.push(worker);
                }
                Err(error) => {
                    // Too many processes or too little memory: that may pass, and the other workers continue.
                    slot.retry_later();
                    if slot.start_at.is_none() {
                        self.error = Some((index, SupervisorError::Start(error)));
                    }
                }
            }
        }
    }

    /// Handles a message, unless the process that sent it has been given up.
    fn receive(&mut self, process: usize, message: Option<WorkerMessage>) {
        if let Some(index) = self.workers.iter().position(|worker| worker.process == process) {
            self.handle(index, message);
        }
    }

    fn handle(&mut self, index: usize, message: Option<WorkerMessage>) {
        let worker = &mut self.workers[index];
        worker.last_heard = self.clock.now();
        let number = worker.slot;
        match message {
            None => worker.close(),
            Some(WorkerMessage::Ready(engine)) => {
                worker.is_ready = true;
                self.slots[number].was_ready = true;
                self.error.take_if(|(slot, _)| *slot == number);
                (self.events)(Event::Ready { worker: number, engine: &engine });
                self.feed(index);
            }
            Some(WorkerMessage::Unusable(reason)) => {
                worker.is_unusable = true;
                self.error = Some((number, SupervisorError::Unusable(reason)));
            }
            Some(WorkerMessage::Note(text)) => (self.events)(Event::Note { worker: number, text: &text }),
            Some(WorkerMessage::EngineDied { reason, suspects }) => {
                worker.engine_died = Some((reason, suspects));
                // Its last message. Dropping a dead engine may never return.
                worker.close();
            }
            Some(WorkerMessage::Video(job, mut update)) => {
                // Only videos that it has been given.
                let Some(held) = worker.held.iter().position(|held| held.job == job) else { return };
                worker.held[held].is_begun = true;
                if let VideoUpdate::Done(report) = &mut update {
                    report.output.clone_from(&self.jobs[job].output);
                }
                let is_end = update.is_end();
                if is_end {
                    worker.held.remove(held);
                    worker.is_fresh = false;
                    self.slots[number].failures = 0;
                }
                (self.events)(Event::Video { worker: number, video: job, update: &update });
                if is_end {
                    self.feed(index);
                }
            }
        }
    }

    /// Gives a worker its next videos; tells it when there are no more.
    fn feed(&mut self, index: usize) {
        if self.cancel.is_cancelled() {
            return;
        }
        // Fewer towards the end, so that no worker keeps a video that another one could process.
        let share = self.queue.len() / (8 * self.workers.len());
        let ahead = share.clamp(*VIDEOS_AHEAD.start(), *VIDEOS_AHEAD.end());
        let others = self.workers.iter().enumerate();
        let waiting = others.filter(|&(other, worker)| other != index && worker.is_waiting()).count();
        let worker = &mut self.workers[index];
        while worker.takes_assignments() && worker.held.len() < ahead {
            let is_idle = worker.held.is_empty();
            // A suspect has a process to itself. And no worker takes a video ahead of time that another one is
            // waiting for.
            let has_suspect = worker.held.iter().any(|held| self.queue.is_suspect(held.job));
            if has_suspect || (!is_idle && self.queue.len() <= waiting) {
                break;
            }
            let Some(job) = self.queue.next(is_idle) else { break };
            trace!(worker = worker.slot, video = %self.jobs[job].video.display(), "assigned a video");
            worker.assign(job, &self.jobs[job], self.clock.now());
        }
        if self.queue.is_empty() {
            // It waits for the next video until it knows that there is none.
            worker.no_more_assignments();
        }
    }

    /// A worker has ended: its videos go back to the queue, and its slot gets a new process if there is work.
    fn bury(&mut self, mut worker: WorkerProcess) {
        let obituary = worker.obituary();
        debug!(
            worker = worker.slot,
            process = worker.process,
            held = worker.held.len(),
            obituary,
            "a worker process ended"
        );
        if !worker.held.is_empty() {
            self.take_back(&mut worker, obituary);
        } else if !worker.is_ready {
            let slot = &mut self.slots[worker.slot];
            // If it worked before, the obstacle may pass, and a sudden death, as by lack of memory, may have been
            // an accident. A worker that reports that it cannot open its engine would report it again.
            let is_sudden = !worker.is_unusable && !worker.is_stalled();
            if slot.was_ready || (is_sudden && slot.failures == 0) {
                slot.retry_later();
            }
            if slot.start_at.is_none() && self.error.is_none() {
                let reason = format!("{obituary} (while it opened its engine)");
                self.error = Some((worker.slot, SupervisorError::Unusable(reason)));
            }
        } else if !self.queue.is_empty() {
            // It had finished when another worker's videos came back.
            self.retry_slot(worker.slot, obituary);
        }
        // Other workers may be waiting for its videos.
        for index in 0..self.workers.len() {
            if self.workers[index].takes_assignments() {
                self.feed(index);
            }
        }
    }

    /// Takes back the videos of a worker that died, and finds out whether the culprit is known.
    fn take_back(&mut self, worker: &mut WorkerProcess, obituary: String) {
        let outputs = worker.held.iter().filter_map(|held| self.jobs[held.job].output.parent());
        outputs.collect::<BTreeSet<_>>().into_iter().for_each(remove_unfinished);
        let begun = worker.held.iter().filter(|held| held.is_begun).map(|held| held.job);
        let (reason, suspects): (String, Vec<usize>) = match worker.engine_died.take() {
            Some((reason, suspects)) => (reason, begun.filter(|job| suspects.contains(job)).collect()),
            None => (obituary, begun.collect()),
        };
        let held = worker.held.iter().map(|held| held.job);
        let innocent: Vec<usize> = held.filter(|job| !suspects.contains(job)).collect();
        self.queue.put_back(innocent.into_iter());
        match suspects.is_empty() {
            // It died of nothing that it had been given.
            true => self.retry_slot(worker.slot, reason.clone()),
            false => self.slots[worker.slot].start_at = Some(Instant::now()),
        }
        match self.queue.suspect(&suspects, worker.is_proof()) {
            Some(guilty) => {
                let update = VideoUpdate::crashed_twice(&reason);
                (self.events)(Event::Video { worker: worker.slot, video: guilty, update: &update });
            }
            None => {
                (self.events)(Event::Died { worker: worker.slot, reason: &reason, suspects: &suspects });
            }
        }
    }

    fn retry_slot(&mut self, number: usize, reason: String) {
        let slot = &mut self.slots[number];
        slot.retry_later();
        if slot.start_at.is_none() {
            self.error = Some((number, SupervisorError::Unusable(reason)));
        }
    }

    /// Asks all workers to end, and kills those that do not. What they report until then counts.
    fn end_all(&mut self, messages: &Receiver<(usize, Option<WorkerMessage>)>) {
        self.workers.iter_mut().for_each(WorkerProcess::ask_to_end);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !self.workers.iter().all(WorkerProcess::is_closed) {
            if let Ok((process, message)) = messages.recv_timeout(SHORT_INTERVAL) {
                self.receive(process, message);
            }
            self.workers.iter_mut().for_each(WorkerProcess::notice_end);
        }
        for worker in &mut self.workers {
            worker.wait_until(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::engine::EngineInfo;

    /// A stand-in for a worker: a shell script that knows the messages of a worker about the only video of a run.
    fn stand_in(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        for (name, message) in [
            ("READY", WorkerMessage::Ready(EngineInfo::new("stand-in", EngineInfo::CPU, "fp32", 1))),
            ("OPENING", WorkerMessage::Video(0, VideoUpdate::Opening)),
            ("EXISTS", WorkerMessage::Video(0, VideoUpdate::Exists)),
        ] {
            command.env(name, serde_json::to_string(&message).unwrap());
        }
        command
    }

    fn one_video() -> [Job; 1] {
        [Job::new("video.mp4", "video.pose")]
    }

    /// The events of a run over one video with one worker, whose messages arrive late, as they may on a busy machine.
    fn events_with_delay(script: &str) -> Vec<String> {
        let (sender, sent) = bounded(64);
        let (relay, receiver) = bounded(64);
        thread::spawn(move || {
            for message in sent {
                thread::sleep(3 * INTERVAL);
                if relay.send(message).is_err() {
                    return;
                }
            }
        });
        let mut events = Vec::new();
        let mut on_event = |event: Event<'_>| events.push(describe(&event));
        let (jobs, mut commands, cancel) = (one_video(), [stand_in(script)], Cancel::default());
        let mut supervisor = Supervisor::new(&jobs, &mut commands, sender, &cancel, &mut on_event);
        assert_eq!(supervisor.run(&receiver, Limits::default()), Ended::Completed);
        drop(supervisor);
        events
    }

    fn describe(event: &Event<'_>) -> String {
        match event {
            Event::Ready { .. } => "ready".into(),
            Event::Video { update, .. } => format!("{update:?}"),
            Event::Died { reason, suspects, .. } => format!("{reason}, suspects {suspects:?}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_a_worker_has_reported_counts_however_it_ends() {
        for end in ["exit 0", "exit 3", "kill -KILL $$", "sleep 3 & exit 0"] {
            let script = format!(r#"echo "$READY"; read job; echo "$OPENING"; echo "$EXISTS"; {end}"#);
            assert_eq!(events_with_delay(&script), ["ready", "Opening", "Exists"], "{end}");
        }
    }

    #[test]
    fn what_a_worker_has_reported_counts_although_the_run_is_cancelled() {
        let script = r#"trap 'echo "$EXISTS"; exit' TERM
            echo "$READY"; read job; echo "$OPENING"; while :; do sleep 0.01; done"#;
        let cancel = Cancel::default();
        let mut events = Vec::new();
        let ended =
            supervise(&one_video(), &mut [stand_in(script)], Limits::default(), &cancel, &mut |event| {
                events.push(describe(&event));
                if events.len() == 2 {
                    cancel.cancel();
                }
            });
        assert_eq!(ended.unwrap(), Ended::Cancelled);
        assert_eq!(events, ["ready", "Opening", "Exists"]);
    }
}
