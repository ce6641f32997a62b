//! The thread that reads ahead.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::Cancel;
use super::line::Open;
use crate::video::{DecodeSummary, Frame, VideoError, VideoInfo};

/// Memory that decoded frames may take while they wait for the engine. Small frames wait in greater
/// number, so that a slow key frame does not leave the engine without work.
const READ_AHEAD_BYTES: u64 = 64 << 20;

/// How long is waited for a frame before it is looked whether the run was cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(100);

/// What is waited for came, or the run was cancelled meanwhile.
pub enum Waited<T> {
    /// It came.
    For(T),
    /// The run was cancelled.
    Cancelled,
}

/// Opens a video and decodes it ahead, on a thread of its own.
///
/// The thread is not joined when a run is cancelled: a pipe whose writer is silent would keep it for ever. It ends
/// by itself at the next frame, when it finds the channel closed.
pub struct Decoder {
    opened: Receiver<Result<(VideoInfo, Frames), VideoError>>,
    thread: thread::JoinHandle<DecodeSummary>,
}

/// Frames as they are decoded; the end of the channel is the end of the video.
type Frames = Receiver<Result<Frame, VideoError>>;

/// A video that is being decoded.
pub struct Decoding {
    /// What the video is.
    pub info: VideoInfo,
    frames: Frames,
    thread: thread::JoinHandle<DecodeSummary>,
}

impl Decoder {
    /// Starts to open a video.
    pub fn start(open: Open) -> io::Result<Self> {
        let (opening, opened) = bounded(1);
        let thread = thread::Builder::new().name("decode".into()).spawn(move || {
            let mut source = match open() {
                Ok(source) => source,
                Err(error) => {
                    // Nobody asks any more where the run was cancelled.
                    let _ = opening.send(Err(error));
                    return DecodeSummary::default();
                }
            };
            let info = source.info().clone();
            let frame_bytes = u64::from(info.width) * u64::from(info.height) * 3;
            let queue = (READ_AHEAD_BYTES / frame_bytes.max(1)).clamp(2, 32) as usize;
            let (sender, frames) = bounded(queue);
            if opening.send(Ok((info, frames))).is_err() {
                return source.summary();
            }
            while let Some(item) = source.next_frame().transpose() {
                let failed = item.is_err();
                if sender.send(item).is_err() || failed {
                    break;
                }
            }
            source.summary()
        })?;
        Ok(Self { opened, thread })
    }

    /// Waits until the video is open.
    pub fn opened(self, cancel: &Cancel) -> Waited<Result<Decoding, VideoError>> {
        match wait(&self.opened, cancel) {
            Waited::Cancelled => Waited::Cancelled,
            Waited::For(Some(Ok((info, frames)))) => {
                Waited::For(Ok(Decoding { info, frames, thread: self.thread }))
            }
            Waited::For(Some(Err(error))) => Waited::For(Err(error)),
            // It ended without a word.
            Waited::For(None) => match self.thread.join() {
                Ok(_) => Waited::Cancelled,
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }
}

impl Decoding {
    /// The next frame; `None` at the end.
    pub fn next_frame(&self, cancel: &Cancel) -> Waited<Option<Result<Frame, VideoError>>> {
        wait(&self.frames, cancel)
    }

    /// What decoding has shown; called after the last frame.
    pub fn finish(self) -> DecodeSummary {
        // A panic there looked like the end of the video from here: it must not pass for a complete one.
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn wait<T>(channel: &Receiver<T>, cancel: &Cancel) -> Waited<Option<T>> {
    loop {
        if cancel.is_cancelled() {
            return Waited::Cancelled;
        }
        match channel.recv_timeout(CANCEL_INTERVAL) {
            Ok(item) => return Waited::For(Some(item)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Waited::For(None),
        }
    }
}
