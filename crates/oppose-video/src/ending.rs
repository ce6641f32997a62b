//! Checks that a file ends where it announces its end.

use std::path::{Path, PathBuf};

use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, Rational, Stream, ffi};

use super::FrameRate;
use super::structure::{self, Length};

/// A gap of this many frames between the end announced by a stream's index and its last packet is not due to rounding.
const MISSING_FRAMES: f64 = 2.5;

/// The same in seconds for the announced end of a whole file, which is never exact to the frame.
const MISSING_SECONDS: f64 = 0.5;

/// FFmpeg's names (the first of each) of the formats whose header gives the exact length. In others, it
/// is an estimate and proves nothing.
const HEADER_TELLS_LENGTH: [&str; 4] = ["flv", "matroska", "mov", "mxf"];

/// Compares the announced end of a file with the packets that come.
#[derive(Debug)]
pub(super) struct Ending {
    /// The announced end of the video, in seconds.
    announced: Option<f64>,
    /// How many seconds may be missing.
    tolerance: f64,
    /// The stream that ends there; `None` if it is the end of all streams.
    stream: Option<usize>,
    /// Where the packets read so far end, in seconds.
    reached: f64,
    /// Whether the last packet is incomplete.
    is_partial: bool,
    /// FFmpeg's name of the format; with the file, it tells more.
    format: String,
    file: Option<PathBuf>,
}

impl Ending {
    /// What this file announces about this stream.
    ///
    /// An index gives the place of each frame in the file; other headers give the length of all streams together. AVI
    /// only counts frames, often wrongly, but says how many bytes the file has.
    pub(super) fn announced(
        input: &Input,
        stream: &Stream<'_>,
        rate: FrameRate,
        file: Option<&Path>,
    ) -> Self {
        let format = input.format();
        let format = format.name().split(',').next().unwrap_or_default();
        let tick = f64::from(stream.time_base());
        let (announced, tolerance, index) = if format == "avi" && length(format, file) == Length::Cut {
            // FFmpeg reduces the duration to that of the existing frames, but not the number of frames.
            (seconds(stream.frames(), tick), 0.5 * tick, Some(stream.index()))
        } else if !HEADER_TELLS_LENGTH.contains(&format) {
            (None, 0.0, None)
        } else if stream.frames() > 0 && stream.duration() > 0 {
            let end = stream.duration().saturating_add(stream.start_time().max(0));
            (seconds(end, tick), MISSING_FRAMES / rate.as_f64(), Some(stream.index()))
        } else {
            (seconds(input.duration(), 1.0 / f64::from(ffi::AV_TIME_BASE)), MISSING_SECONDS, None)
        };
        let (format, file) = (format.to_owned(), file.map(Path::to_owned));
        Self { announced, tolerance, stream: index, reached: 0.0, is_partial: false, format, file }
    }

    /// Takes the next packet into account, whichever stream it belongs to.
    pub(super) fn add(&mut self, packet: &Packet, time_base: Rational) {
        if self.stream.is_some_and(|stream| stream != packet.stream()) {
            return;
        }
        self.is_partial = packet.is_corrupt();
        if let Some(time) = packet.pts().or(packet.dts()) {
            let end = time.saturating_add(packet.duration()) as f64 * f64::from(time_base);
            self.reached = self.reached.max(end);
        }
    }

    /// Where the packets read so far end, in seconds.
    pub(super) fn reached(&self) -> f64 {
        self.reached
    }

    /// How many recordings the file holds one after another, if that is known.
    pub(super) fn films(&self) -> Option<u64> {
        let file = self.file.as_deref().filter(|_| ["flv", "mov"].contains(&self.format.as_str()))?;
        structure::inspect(&self.format, file).ok().map(|found| found.films)
    }

    /// Whether the file, read to its end, lacks something that it announces. `packets` packets of the video were read;
    /// `indexed` is how many its index counts, 0 without one.
    pub(super) fn is_cut_off(&self, packets: u64, indexed: u64) -> bool {
        let ends_early = self
            .announced
            .is_some_and(|announced| self.is_partial || announced - self.reached > self.tolerance);
        ends_early
            || match self.format.as_str() {
                // What is cut off may be only the index of frames that exist.
                "mov" => {
                    length("mov", self.file.as_deref()) == Length::Cut && (indexed == 0 || packets < indexed)
                }
                "flv" | "matroska" => length(&self.format, self.file.as_deref()) == Length::Cut,
                _ => false,
            }
    }
}

/// `None` if the file does not say.
fn seconds(ticks: i64, tick: f64) -> Option<f64> {
    (ticks > 0).then_some(ticks as f64 * tick)
}

/// What the parts of the file say. If it cannot be read again, nothing is known.
fn length(format: &str, file: Option<&Path>) -> Length {
    file.and_then(|file| structure::inspect(format, file).ok()).map_or(Length::Unknown, |found| found.length)
}
