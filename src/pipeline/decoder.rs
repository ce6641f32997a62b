//! The thread that decodes ahead of the engine.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use oppose_core::{DecodeSummary, Frame, Source, SourceError, VideoInfo};
use tracing::{debug, debug_span};

use super::Cancel;
use super::scheduler::OpenVideo;

/// Memory that decoded frames may take while they wait for the engine. More small frames may wait than large ones, so
/// that a slow key frame does not leave the engine without work.
const READ_AHEAD_BYTES: u64 = 64 << 20;

/// How long to wait for a frame before checking whether the run was cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(100);

/// The result of waiting.
pub enum Poll<T> {
    /// It is here.
    Ready(T),
    /// The run was cancelled meanwhile.
    Cancelled,
}

/// A video that is being opened, and then decoded, on a thread of its own.
///
/// The thread is not joined when a run is cancelled: a pipe whose writer is silent would keep it waiting
/// indefinitely. It ends on its own at the next frame, when it finds the channel closed.
pub struct PendingVideo {
    opened: Receiver<Result<DecodeStream, SourceError>>,
}

/// A video that is being decoded.
pub struct DecodeStream {
    /// Size and rate of its frames.
    pub info: VideoInfo,
    items: Receiver<Item>,
}

/// What a decoding thread delivers: frames, and then either end.
pub enum Item {
    /// The next frame.
    Frame(Frame),
    /// No frame follows: the summary of decoding, and why it broke off, if it did.
    End(DecodeSummary, Option<SourceError>),
}

impl PendingVideo {
    /// Begins to open the video that will become `output`.
    pub fn start(open: OpenVideo, output: &Path) -> io::Result<Self> {
        let (sender, opened) = bounded(1);
        let span = debug_span!("decode", output = %output.display());
        thread::Builder::new().name("decode".into()).spawn(move || span.in_scope(|| run(open, &sender)))?;
        Ok(Self { opened })
    }

    /// Waits until the video is open.
    pub fn opened(self, cancel: &Cancel) -> Poll<Result<DecodeStream, SourceError>> {
        wait(&self.opened, cancel, || Err(ended()))
    }
}

impl DecodeStream {
    /// Waits for the next item.
    pub fn next(&self, cancel: &Cancel) -> Poll<Item> {
        wait(&self.items, cancel, || Item::End(DecodeSummary::default(), Some(ended())))
    }
}

/// Opens and decodes a video. Hostile files meet a lot of code here: if it panics, only this video fails. Nobody
/// wants the results any more if the run was cancelled, so failing to send them is not an error.
fn run(open: OpenVideo, opened: &Sender<Result<DecodeStream, SourceError>>) {
    let source = caught(|| open().map(|source| (source.info().clone(), source)));
    let (info, mut source) = match source {
        Ok(source) => source,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let size = (info.width, info.height);
    debug!(width = info.width, height = info.height, rate = %info.frame_rate, "decoding");
    let frame_bytes = u64::from(info.width) * u64::from(info.height) * 3;
    let queue = (READ_AHEAD_BYTES / frame_bytes.max(1)).clamp(2, 32) as usize;
    let (sender, items) = bounded(queue);
    if opened.send(Ok(DecodeStream { info, items })).is_err() {
        return;
    }
    let error = match caught(|| decode(source.as_mut(), size, &sender)) {
        Ok(true) => None,
        Ok(false) => return,
        Err(error) => Some(error),
    };
    let (summary, error) = match caught(|| Ok(source.summary())) {
        Ok(summary) => (summary, error),
        Err(defect) => (DecodeSummary::default(), error.or(Some(defect))),
    };
    let _ = sender.send(Item::End(summary, error));
}

/// Sends all frames; `false` if nobody wants them any more.
fn decode(source: &mut dyn Source, size: (u32, u32), items: &Sender<Item>) -> Result<bool, SourceError> {
    while let Some(frame) = source.next_frame()? {
        if (frame.width(), frame.height()) != size {
            let (width, height) = (frame.width(), frame.height());
            let error = format!(
                "frame {} is {width}x{height} pixels, but the video was announced as {}x{}",
                frame.index(),
                size.0,
                size.1
            );
            return Err(error.into());
        }
        if items.send(Item::Frame(frame)).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The result of `work`, or an error if it panics.
fn caught<T>(work: impl FnOnce() -> Result<T, SourceError>) -> Result<T, SourceError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(defect(&*panic)))
}

/// The error of a video whose decoding panicked.
fn defect(panic: &(dyn Any + Send)) -> SourceError {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text =
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
    format!("decoding panicked ({text}); this is a defect of this program, please report it").into()
}

/// The error of a video whose thread ended without a message, which it should never do.
fn ended() -> SourceError {
    "the decoding thread ended unexpectedly".into()
}

fn wait<T>(channel: &Receiver<T>, cancel: &Cancel, disconnected: impl FnOnce() -> T) -> Poll<T> {
    loop {
        if cancel.is_cancelled() {
            return Poll::Cancelled;
        }
        match channel.recv_timeout(CANCEL_INTERVAL) {
            Ok(item) => return Poll::Ready(item),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Poll::Ready(disconnected()),
        }
    }
}
