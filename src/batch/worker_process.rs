//! A worker process as the supervisor sees it: started, given assignments, listened to, ended.

use std::collections::VecDeque;
use std::io::{self, BufReader};
use std::process::{ChildStdin, Command};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::Job;
use super::message::{Assignment, WorkerMessage};
use crate::process::{ChildProcess, messages, shared_log};

/// How long a worker may take to end once it has closed its output. Leaving a GPU takes seconds.
const EXIT_PATIENCE: Duration = Duration::from_secs(10);

/// A job that a worker has.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The job's number.
    pub job: usize,
    /// Whether the worker has begun to open its video.
    pub is_begun: bool,
}

/// A worker process.
pub struct WorkerProcess {
    /// The slot for which it was started.
    pub slot: usize,
    /// The number of the process, among all that were started.
    pub process: usize,
    /// Whether its engine is open.
    pub is_ready: bool,
    /// Whether it has reported that it cannot open its engine.
    pub is_unusable: bool,
    /// Whether no video has ended in it.
    pub is_fresh: bool,
    /// The jobs it has, the oldest first.
    pub held: VecDeque<Held>,
    /// When it last sent a message, by the supervisor's clock.
    pub last_heard: Duration,
    /// Why its engine died, and the jobs that may have caused it.
    pub engine_died: Option<(String, Vec<usize>)>,
    /// When it closed its output or sent its last message.
    closed: Option<Instant>,
    /// When it was killed because it had stalled.
    killed: Option<Instant>,
    child: ChildProcess,
    assignments: Option<ChildStdin>,
}

impl WorkerProcess {
    /// Starts a worker. `sender` gets its number and its messages, and `None` when no more will come.
    pub fn start(
        command: &mut Command,
        slot: usize,
        process: usize,
        now: Duration,
        sender: Sender<(usize, Option<WorkerMessage>)>,
    ) -> io::Result<Self> {
        let mut child = ChildProcess::spawn(command, shared_log())?;
        let assignments = Some(child.take_input()?);
        let mut output = BufReader::new(child.take_output()?);
        thread::Builder::new().name("worker messages".into()).spawn(move || {
            while let Some(message) = messages::read_among_others(&mut output) {
                if sender.send((process, Some(message))).is_err() {
                    return;
                }
            }
            // Nobody listens any more if the run was cancelled.
            let _ = sender.send((process, None));
        })?;
        Ok(Self {
            slot,
            process,
            is_ready: false,
            is_unusable: false,
            is_fresh: true,
            held: VecDeque::new(),
            last_heard: now,
            engine_died: None,
            closed: None,
            killed: None,
            child,
            assignments,
        })
    }

    /// Whether it can be given another job.
    pub fn takes_assignments(&self) -> bool {
        self.is_ready && self.assignments.is_some()
    }

    /// Whether it has nothing to do, now or once its engine is open.
    pub fn is_waiting(&self) -> bool {
        self.held.is_empty() && self.assignments.is_some()
    }

    /// Gives it a job.
    pub fn assign(&mut self, number: usize, job: &Job, now: Duration) {
        if self.held.is_empty() {
            self.last_heard = now;
        }
        self.held.push_back(Held { job: number, is_begun: false });
        let Some(assignments) = &mut self.assignments else { return };
        if messages::write(&Assignment::new(number, job), assignments).is_err() {
            // It has died, which the end of its messages will show.
            self.assignments = None;
        }
    }

    /// Tells it that no further job will come: it ends when it has finished those it has.
    pub fn no_more_assignments(&mut self) {
        self.assignments = None;
    }

    /// Kills it if it should have reported progress and has not done so for `limit`.
    pub fn kill_if_stalled(&mut self, now: Duration, limit: Duration) {
        let owes = !self.held.is_empty() || !self.is_ready;
        if owes && !self.is_stalled() && now.saturating_sub(self.last_heard) > limit {
            self.child.kill_stalled(limit);
            self.killed = Some(Instant::now());
        }
    }

    /// Marks its output as closed or its last message as received: it has ended, or is about to.
    pub fn close(&mut self) {
        self.assignments = None;
        self.closed.get_or_insert_with(Instant::now);
    }

    /// Notices that it has ended, which its output alone does not always show: a process that it has started may keep
    /// the pipe open. Its last messages may still be on their way here, so only their end closes it. One that does
    /// not die although it was killed is closed at once.
    pub fn notice_end(&mut self) {
        let is_stuck = self.killed.is_some_and(|killed| killed.elapsed() > EXIT_PATIENCE);
        if self.child.ending().is_none() && is_stuck {
            self.close();
        }
    }

    /// Whether it has closed its output or sent its last message.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether it has ended after it was closed. A worker that hangs on the way is killed, and given up if it does
    /// not disappear even then.
    pub fn has_ended(&mut self) -> bool {
        let Some(closed) = self.closed else { return false };
        if self.child.ending().is_some() {
            return true;
        }
        if closed.elapsed() > EXIT_PATIENCE {
            self.child.wait(Duration::ZERO);
            return true;
        }
        false
    }

    /// Asks it to end between two frames.
    pub fn ask_to_end(&mut self) {
        self.assignments = None;
        self.child.terminate();
    }

    /// Waits for it to end until `deadline`, then kills it.
    pub fn wait_until(&mut self, deadline: Instant) {
        self.child.wait(deadline.saturating_duration_since(Instant::now()));
    }

    /// Whether it was killed because it had stalled.
    pub fn is_stalled(&self) -> bool {
        self.child.is_stalled()
    }

    /// Whether only the videos that it had can have ended it, and not damage that an earlier one has done. A second
    /// wait for a process that hangs would be long, and a process that hangs is not damaged.
    pub fn is_proof(&self) -> bool {
        self.is_fresh || self.is_stalled()
    }

    /// How a worker that has ended did so, as a sentence.
    pub fn obituary(&mut self) -> String {
        let ending = self.child.ending().map_or_else(|| "was lost".into(), |ending| ending.to_string());
        format!("the worker process {ending}{}", self.child.last_words())
    }
}
