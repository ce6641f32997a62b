//! A worker process as the supervisor has it: started, handed orders, listened to, ended.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use rustix::process::{Pid, Signal, kill_process};

use super::Job;
use super::message::{News, Order};
use crate::engine::isolated::{LastWords, how};

/// How often it is looked whether a process has ended.
const INTERVAL: Duration = Duration::from_millis(10);
/// Longer lines are no news.
const LONGEST_LINE: u64 = 1 << 20;

/// A worker process.
pub struct Worker {
    /// Which command it was started with.
    pub index: usize,
    /// Which process it is, of all that were started.
    pub process: usize,
    /// Whether its nets are loaded.
    pub is_ready: bool,
    /// Jobs it has, the oldest first.
    pub has: VecDeque<usize>,
    /// When it said something last.
    pub heard: Instant,
    /// The video on which its engine failed, and why.
    pub failed: Option<(usize, String)>,
    child: Child,
    orders: Option<ChildStdin>,
    words: LastWords,
    /// Ended because it said nothing for so long.
    stalled: Option<Duration>,
}

impl Worker {
    /// Starts a worker; `sender` gets its number and its news, and `None` when there is no more to come.
    pub fn start(
        command: &mut Command,
        index: usize,
        process: usize,
        sender: Sender<(usize, Option<News>)>,
    ) -> io::Result<Self> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let taken = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(orders), Some(news), Some(words)) = taken else {
            return Err(io::Error::other("it has no pipes"));
        };
        thread::Builder::new().name("hear".into()).spawn(move || {
            let mut news = BufReader::new(news);
            let mut line = Vec::new();
            while matches!(news.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line), Ok(1..)) {
                // What is no news was printed by some library.
                if let Ok(news) = serde_json::from_slice(&line)
                    && sender.send((process, Some(news))).is_err()
                {
                    return;
                }
                line.clear();
            }
            // Nobody listens any more where the run was cancelled.
            let _ = sender.send((process, None));
        })?;
        Ok(Self {
            index,
            process,
            is_ready: false,
            has: VecDeque::new(),
            heard: Instant::now(),
            failed: None,
            child,
            orders: Some(orders),
            words: LastWords::listen(words, None)?,
            stalled: None,
        })
    }

    /// Whether it can be handed another job.
    pub fn takes_orders(&self) -> bool {
        self.orders.is_some()
    }

    /// Hands it a job.
    pub fn order(&mut self, number: usize, job: &Job) {
        self.has.push_back(number);
        let Some(orders) = &mut self.orders else { return };
        let order = serde_json::to_vec(&Order::new(number, job)).map_err(io::Error::from);
        let sent = order.and_then(|mut line| {
            line.push(b'\n');
            orders.write_all(&line)
        });
        if sent.is_err() {
            // It has died, which its news will say.
            self.orders = None;
        }
    }

    /// It ends when it is done with what it has.
    pub fn no_more_orders(&mut self) {
        self.orders = None;
    }

    /// Ends it if it has said nothing for so long.
    pub fn end_if_stalled(&mut self, limit: Duration) {
        if self.heard.elapsed() > limit && self.stalled.is_none() {
            self.stalled = Some(limit);
            // That it has ended already is no error.
            let _ = self.child.kill();
        }
    }

    /// Asks it to end between two frames.
    pub fn ask_to_end(&mut self) {
        self.orders = None;
        if let Some(process) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // That it has ended already is no error.
            let _ = kill_process(process, Signal::TERM);
        }
    }

    /// Waits until it has ended, and ends it at `limit`.
    pub fn wait_until(&mut self, limit: Instant) {
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > limit {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(INTERVAL);
        }
    }

    /// How a worker ended of which there is no more news, as part of a sentence, and its last words.
    pub fn ending(&mut self) -> (String, String) {
        self.orders = None;
        let ending = match (self.stalled, self.child.wait()) {
            (Some(limit), _) => format!("was ended after {} s without a word", limit.as_secs()),
            (None, Ok(status)) => format!("ended {}", how(status)),
            (None, Err(error)) => format!("is lost: {error}"),
        };
        let words = self.words.quote();
        let words = if words.is_empty() { words } else { format!("; its last words: {words}") };
        (ending, words)
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn what_a_library_prints_between_two_news_is_passed_over() {
        let script = r#"printf '\377\376 words\n'; head -c 3000000 /dev/zero; echo; echo '{"Note":"heard"}'"#;
        let (sender, received) = bounded(8);
        let mut worker = Worker::start(Command::new("sh").args(["-c", script]), 0, 7, sender).unwrap();
        let news: Vec<_> = received.iter().collect();
        assert!(
            matches!(&news[..], [(7, Some(News::Note(words))), (7, None)] if words == "heard"),
            "{news:?}"
        );
        assert_eq!(worker.ending().0, "ended by itself (exit status: 0)");
    }
}
