//! The sound of one file into another, packet by packet, as it is.
//!
//! One field of FFmpeg's is not shown by ffmpeg-next and set directly.
#![allow(unsafe_code)]

use std::path::Path;

use ffmpeg_next::format::context::{Input, Output};
use ffmpeg_next::{Error, Packet, Rational, codec, encoder, format, media};

/// A stream of sound on its way.
pub(super) struct AudioCopy {
    input: Input,
    /// Number of the stream in the file it comes from, and in that it goes to.
    from: usize,
    to: usize,
    time_base: Rational,
    /// Where the video begins in the source, in ticks of the sound: the copy begins at 0.
    start: i64,
    /// Read, but later than what was asked for.
    waiting: Option<Packet>,
    is_finished: bool,
}

impl AudioCopy {
    /// Adds a stream for the sound of `source` to `output`. Without one there may be a reason to tell: the
    /// container holds only the codecs `known`. A source without sound, or none that can be opened, is no error.
    pub(super) fn open(
        source: &Path,
        output: &mut Output,
        known: &[codec::Id],
    ) -> Result<(Option<Self>, Option<String>), Error> {
        let Some(text) = source.to_str().filter(|_| source.is_file()) else { return Ok((None, None)) };
        let Ok(input) = format::input(&format!("file:{text}")) else { return Ok((None, None)) };
        let Some(stream) = input.streams().best(media::Type::Audio) else { return Ok((None, None)) };
        let codec = stream.parameters().id();
        if !known.contains(&codec) {
            let name = output.format().name().to_owned();
            return Ok((
                None,
                Some(format!("the sound ({}) is left out: {name} cannot hold it", codec.name())),
            ));
        }
        let (from, time_base) = (stream.index(), stream.time_base());
        let mut parameters = stream.parameters();
        // SAFETY: `parameters` is a living AVCodecParameters of ours. 0 lets the container choose its own tag.
        unsafe { (*parameters.as_mut_ptr()).codec_tag = 0 };
        let video = input.streams().best(media::Type::Video);
        // FFmpeg's word for an unknown start is the least i64.
        let start = video.filter(|video| video.start_time() != i64::MIN).map_or(0, |video| {
            let seconds = video.start_time() as f64 * f64::from(video.time_base());
            (seconds / f64::from(time_base)).round() as i64
        });
        let mut target = output.add_stream(encoder::find(codec::Id::None))?;
        target.set_parameters(parameters);
        target.set_time_base(time_base);
        let to = target.index();
        Ok((Some(Self { input, from, to, time_base, start, waiting: None, is_finished: false }), None))
    }

    /// Copies what sounds before `seconds` after the video's first frame.
    pub(super) fn copy_until(&mut self, seconds: f64, output: &mut Output) -> Result<(), Error> {
        while let Some(mut packet) = self.next_packet() {
            let time = packet.pts().or(packet.dts()).unwrap_or(self.start) - self.start;
            if time as f64 * f64::from(self.time_base) > seconds {
                self.waiting = Some(packet);
                return Ok(());
            }
            // Before the first picture: players would shift the video by it.
            if time < 0 {
                continue;
            }
            packet.set_pts(packet.pts().map(|ticks| ticks - self.start));
            packet.set_dts(packet.dts().map(|ticks| ticks - self.start));
            packet.set_stream(self.to);
            packet.set_position(-1);
            let written = output.stream(self.to).map_or(self.time_base, |stream| stream.time_base());
            packet.rescale_ts(self.time_base, written);
            packet.write_interleaved(output)?;
        }
        Ok(())
    }

    /// The next packet of the sound. A file that breaks here has no more of it.
    fn next_packet(&mut self) -> Option<Packet> {
        if let Some(packet) = self.waiting.take() {
            return Some(packet);
        }
        while !self.is_finished {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.from => return Some(packet),
                Ok(()) => {}
                Err(_) => self.is_finished = true,
            }
        }
        None
    }
}
