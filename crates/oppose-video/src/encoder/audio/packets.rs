//! Reads the sound of a file packet by packet.

use std::path::Path;

use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, Rational, codec, media};

use crate::container::{self, Bytes};

/// The sound that belongs to the pictures of the same file.
pub(super) struct AudioPackets {
    input: Input,
    stream: usize,
    time_base: Rational,
    /// The beginning of the video, in ticks of the sound.
    start: i64,
    /// A packet that was read, but is later than what was asked for.
    waiting: Option<Packet>,
    is_finished: bool,
}

impl AudioPackets {
    /// `None` for a source without sound, or one that cannot be opened.
    pub(super) fn open(source: &Path) -> Option<Self> {
        if !source.is_file() {
            return None;
        }
        let input = container::open(Bytes::open(source).ok()?).ok()?;
        let audio = input.streams().best(media::Type::Audio)?;
        let (stream, time_base) = (audio.index(), audio.time_base());
        let video = input.streams().best(media::Type::Video);
        // FFmpeg marks an unknown start with the smallest i64.
        let start = video.filter(|video| video.start_time() != i64::MIN).map_or(0, |video| {
            let seconds = video.start_time() as f64 * f64::from(video.time_base());
            (seconds / f64::from(time_base)).round() as i64
        });
        Some(Self { input, stream, time_base, start, waiting: None, is_finished: false })
    }

    /// The codec of the sound.
    pub(super) fn parameters(&self) -> Option<codec::Parameters> {
        Some(self.input.stream(self.stream)?.parameters())
    }

    /// The unit of the packets' timestamps.
    pub(super) fn time_base(&self) -> Rational {
        self.time_base
    }

    /// The next packet up to `seconds` after the video's first frame. Its timestamps count from that frame.
    pub(super) fn next_before(&mut self, seconds: f64) -> Option<Packet> {
        let packet = self.waiting.take().or_else(|| self.read())?;
        let time = packet.pts().or(packet.dts()).unwrap_or(0);
        if time as f64 * f64::from(self.time_base) > seconds {
            self.waiting = Some(packet);
            return None;
        }
        Some(packet)
    }

    /// The next packet of the file; `None` at its end, or where it breaks off.
    fn read(&mut self) -> Option<Packet> {
        while !self.is_finished {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => {
                    packet.set_pts(packet.pts().map(|ticks| ticks.saturating_sub(self.start)));
                    packet.set_dts(packet.dts().map(|ticks| ticks.saturating_sub(self.start)));
                    return Some(packet);
                }
                Ok(()) => {}
                Err(_) => self.is_finished = true,
            }
        }
        None
    }
}
