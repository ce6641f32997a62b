//! The sound of a file as it lies there, packet by packet.

use std::path::Path;

use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, Rational, codec, media};

use crate::container::{self, Bytes};

/// The sound that is to go with the pictures of the same file.
pub(super) struct AudioPackets {
    input: Input,
    stream: usize,
    time_base: Rational,
    /// Where the video begins, in ticks of the sound.
    start: i64,
    /// Read, but later than what was asked for.
    waiting: Option<Packet>,
    is_finished: bool,
}

impl AudioPackets {
    /// `None` for a source without sound, or none that can be opened.
    pub(super) fn open(source: &Path) -> Option<Self> {
        if !source.is_file() {
            return None;
        }
        let input = container::open(Bytes::open(source).ok()?).ok()?;
        let audio = input.streams().best(media::Type::Audio)?;
        let (stream, time_base) = (audio.index(), audio.time_base());
        let video = input.streams().best(media::Type::Video);
        // FFmpeg's word for an unknown start is the least i64.
        let start = video.filter(|video| video.start_time() != i64::MIN).map_or(0, |video| {
            let seconds = video.start_time() as f64 * f64::from(video.time_base());
            (seconds / f64::from(time_base)).round() as i64
        });
        Some(Self { input, stream, time_base, start, waiting: None, is_finished: false })
    }

    /// What the sound is encoded as.
    pub(super) fn parameters(&self) -> Option<codec::Parameters> {
        Some(self.input.stream(self.stream)?.parameters())
    }

    /// The unit of the packets' instants.
    pub(super) fn time_base(&self) -> Rational {
        self.time_base
    }

    /// The next packet that sounds before `seconds` after the video's first frame. Its instants count from there.
    pub(super) fn next_before(&mut self, seconds: f64) -> Option<Packet> {
        let packet = self.waiting.take().or_else(|| self.read())?;
        let time = packet.pts().or(packet.dts()).unwrap_or(0);
        if time as f64 * f64::from(self.time_base) > seconds {
            self.waiting = Some(packet);
            return None;
        }
        Some(packet)
    }

    /// A file that breaks here has no more of it.
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
