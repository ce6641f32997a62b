//! Runs long work outside the interpreter's lock: other Python threads keep running, Ctrl-C ends it, and progress is reported.

use std::convert::Infallible;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use oppose::pipeline::{Cancel, Progress};
use oppose::video::Frame;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::frames;

/// How often to look for Ctrl-C and to tell progress.
const INTERVAL: Duration = Duration::from_millis(50);

/// How far the work is; written after every frame, read now and then.
#[derive(Default)]
pub struct Latest(Mutex<Option<Progress>>);

impl Latest {
    /// The work is so far.
    pub fn set(&self, progress: Progress) {
        if let Ok(mut latest) = self.0.lock() {
            *latest = Some(progress);
        }
    }

    fn take(&self) -> Option<Progress> {
        self.0.lock().ok()?.take()
    }
}

/// The frames that the caller of a work supplies.
pub struct Feed<'py> {
    /// Yields them.
    pub frames: Bound<'py, PyIterator>,
    /// The one that was taken already.
    pub first: Frame,
    /// Where they go.
    pub sender: Sender<Frame>,
}

/// What is reported to the caller in the meantime.
pub struct Watch<'a, 'py> {
    /// The caller's interpreter.
    pub python: Python<'py>,
    /// Called with frames done, frames announced and frames per second.
    pub on_progress: Option<&'a Bound<'py, PyAny>>,
}

impl Watch<'_, '_> {
    /// Runs `work` on a thread of its own, supplies it with frames, and gives what it returns. The caller's thread runs
    /// Python only to take frames and to tell progress.
    ///
    /// # Errors
    /// The caller pressed Ctrl-C, or its iterator or its function raised an exception: the work was cancelled.
    pub fn run<T: Send>(
        &self,
        feed: Option<Feed<'_>>,
        work: impl FnOnce(&Cancel, &Latest) -> T + Send,
    ) -> PyResult<T> {
        let (cancel, latest) = (Cancel::default(), Latest::default());
        let (ending, ended) = bounded::<Infallible>(0);
        thread::scope(|scope| {
            let (cancel, latest) = (&cancel, &latest);
            let thread = scope.spawn(move || {
                // Dropped at the end, also that of a panic, which is noticed below.
                let _ending = ending;
                work(cancel, latest)
            });
            let fed = feed.map_or(Ok(()), |feed| self.feed(feed, latest));
            let waited = fed.and_then(|()| self.wait(&ended, latest));
            if waited.is_err() {
                cancel.cancel();
            }
            let outcome = self.python.detach(|| thread.join());
            let outcome = outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            waited.map(|()| outcome)
        })
    }

    /// Takes frames from the caller's iterator until it ends, or until nobody wants them any more.
    fn feed(&self, feed: Feed<'_>, latest: &Latest) -> PyResult<()> {
        let Feed { frames, first, sender } = feed;
        let mut index = 0;
        let mut next = Some(first);
        while let Some(mut frame) = next {
            loop {
                match self.python.detach(|| send(&sender, frame)) {
                    Sent::Yes => break,
                    Sent::NotYet(same) => frame = same,
                    Sent::Never => return Ok(()),
                }
                self.look(latest)?;
            }
            index += 1;
            self.look(latest)?;
            next = frames::next(&frames, index)?;
        }
        Ok(())
    }

    /// Waits for the end of the work, which drops the other end of the channel.
    fn wait(&self, ended: &Receiver<Infallible>, latest: &Latest) -> PyResult<()> {
        while let Err(RecvTimeoutError::Timeout) = self.python.detach(|| ended.recv_timeout(INTERVAL)) {
            self.look(latest)?;
        }
        Ok(())
    }

    /// Looks for Ctrl-C and tells progress.
    fn look(&self, latest: &Latest) -> PyResult<()> {
        self.python.check_signals()?;
        if let (Some(on_progress), Some(progress)) = (self.on_progress, latest.take()) {
            on_progress.call1((progress.frames, progress.announced_frames, progress.frames_per_second()))?;
        }
        Ok(())
    }
}

/// What became of a frame on its way to the pipeline.
enum Sent {
    Yes,
    /// The pipeline has no room for it yet.
    NotYet(Frame),
    /// The pipeline has ended, and says why.
    Never,
}

/// Waits until the pipeline has room for a frame, but not for long.
fn send(sender: &Sender<Frame>, frame: Frame) -> Sent {
    match sender.send_timeout(frame, INTERVAL) {
        Ok(()) => Sent::Yes,
        Err(SendTimeoutError::Timeout(frame)) => Sent::NotYet(frame),
        Err(SendTimeoutError::Disconnected(_)) => Sent::Never,
    }
}
