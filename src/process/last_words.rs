//! The last lines that a process has printed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Lines that are kept, and bytes of each.
const LINES: usize = 40;
const LINE_BYTES: u64 = 2000;
/// How much of them is quoted.
const QUOTED_LINES: usize = 3;
/// How long to wait for the stream to end: a process that has ended may have left it open in another one.
const PATIENCE: Duration = Duration::from_secs(1);

/// Listens to a process.
#[derive(Debug)]
pub struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
    listener: JoinHandle<()>,
}

impl LastWords {
    /// Reads everything from `stream`, and appends it to `log`, if there is one.
    pub fn listen(stream: impl Read + Send + 'static, mut log: Option<File>) -> std::io::Result<Self> {
        let lines: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let kept = Arc::clone(&lines);
        let listener = thread::Builder::new().name("listen".into()).spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            loop {
                line.clear();
                match stream.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
                    Ok(1..) => {}
                    _ => break,
                }
                if let Some(log) = &mut log {
                    // A full disk must not stop the work; the words are still kept.
                    let _ = log.write_all(&line);
                }
                let mut kept = kept.lock().unwrap_or_else(|lock| lock.into_inner());
                if kept.len() == LINES {
                    kept.pop_front();
                }
                kept.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        })?;
        Ok(Self { lines, listener })
    }

    /// The last lines that are not blank, once the process has ended.
    pub fn quote(&self) -> String {
        quote(self.kept().iter().map(String::as_str))
    }

    /// All lines that were kept, once the process has ended.
    pub fn lines(&self) -> String {
        Vec::from(self.kept().clone()).join("\n").trim_end().to_owned()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<String>> {
        let started = Instant::now();
        while !self.listener.is_finished() && started.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        self.lines.lock().unwrap_or_else(|lock| lock.into_inner())
    }
}

/// glog and Rust list the call stack after the reason; only the reason is for the user.
fn quote<'a>(lines: impl DoubleEndedIterator<Item = &'a str>) -> String {
    let speaks = |line: &&str| {
        let line = line.trim_start();
        let is_frame = line.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        let is_of_trace = ["***", "@", "at /", "at ./", "stack backtrace:", "note: "];
        !line.is_empty() && !is_frame && !is_of_trace.iter().any(|beginning| line.starts_with(beginning))
    };
    let mut last: Vec<&str> = lines.rev().filter(speaks).take(QUOTED_LINES).collect();
    last.reverse();
    last.join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_quoted_and_not_the_way_to_it() {
        let lines =
            ["loading", "F0101 io.cpp:60] Check failed: error", "*** stack trace ***", "    @ 0x1 f()"];
        assert_eq!(quote(lines.into_iter()), "loading / F0101 io.cpp:60] Check failed: error");
        let lines = [
            "thread 'main' panicked at src/main.rs:1:2:",
            "it is so",
            "stack backtrace:",
            "   0: __rustc::rust_begin_unwind",
            "             at /rustc/library/std/src/panicking.rs:689:5",
            "  10: call_once<fn(), ()>",
            "note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.",
        ];
        assert_eq!(quote(lines.into_iter()), "thread 'main' panicked at src/main.rs:1:2: / it is so");
    }

    #[test]
    fn a_talkative_process_fills_no_memory() {
        let words = "word\n".repeat(100_000) + &"x".repeat(1 << 20);
        let listening = LastWords::listen(std::io::Cursor::new(words), None).unwrap();
        assert!(listening.quote().len() < 3 * LINE_BYTES as usize + 10);
    }
}
