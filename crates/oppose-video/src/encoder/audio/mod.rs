//! Copies the sound of one file to another: packet by packet, or re-encoded if the container cannot hold it.
//!
//! One field that ffmpeg-next does not expose is set directly.
#![allow(unsafe_code)]

mod packets;
mod transcoder;

use std::path::Path;

use ffmpeg_next::format::context::Output;
use ffmpeg_next::{Error, Packet, Rational, codec, encoder};

use super::kind::Kind;
use packets::AudioPackets;
use transcoder::Transcoder;

/// A stream of sound that is being copied.
pub(super) struct Audio {
    packets: AudioPackets,
    target: Target,
    /// `None` if the packets are copied unchanged.
    transcoder: Option<Transcoder>,
    /// The timestamp of the last packet that was copied unchanged.
    last: Option<i64>,
}

/// The stream of the output.
#[derive(Clone, Copy)]
struct Target {
    stream: usize,
    /// The unit of the timestamps of the packets written to it.
    time_base: Rational,
}

impl Audio {
    /// Adds a stream for the sound of `source` to `output`. If there is none, there may be a reason to report. A source
    /// without sound, or whose sound cannot be opened, is not an error.
    pub(super) fn open(
        source: &Path,
        output: &mut Output,
        kind: &Kind,
    ) -> Result<(Option<Self>, Option<String>), Error> {
        let Some(packets) = AudioPackets::open(source) else { return Ok((None, None)) };
        let Some(parameters) = packets.parameters() else { return Ok((None, None)) };
        let codec = parameters.id();
        if kind.audio.contains(&codec) {
            let target = Target::add(output, parameters, packets.time_base())?;
            return Ok((Some(Self { packets, target, transcoder: None, last: None }), None));
        }
        let transcoder = Transcoder::open(parameters, packets.time_base(), kind, output);
        let Some(transcoder) = transcoder else {
            let (container, codec) = (kind.container, codec.name());
            let why = match &kind.audio_encoder {
                Some(encoder) => format!(", and this FFmpeg cannot turn it into {}", encoder.name),
                None => String::new(),
            };
            let reason = format!("the sound ({codec}) is left out: {container} cannot hold it{why}");
            return Ok((None, Some(reason)));
        };
        let target = Target::add(output, transcoder.parameters(), transcoder.time_base())?;
        Ok((Some(Self { packets, target, transcoder: Some(transcoder), last: None }), None))
    }

    /// Writes the sound up to `seconds` after the video's first frame.
    pub(super) fn write_until(&mut self, seconds: f64, output: &mut Output) -> Result<(), Error> {
        let target = self.target;
        while let Some(packet) = self.packets.next_before(seconds) {
            match &mut self.transcoder {
                Some(transcoder) => {
                    transcoder.push(&packet, &mut |encoded| target.write(encoded, output))?;
                }
                None => {
                    // Left out: packets before the first picture, by which players would shift the video, and packets without
                    // a timestamp or with one that goes back, which are damage that no container accepts.
                    let time = packet.dts().or(packet.pts()).filter(|&time| time >= 0);
                    if time > self.last {
                        self.last = time;
                        target.write(packet, output)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes the rest: sound that continues after the last picture is part of the clip.
    pub(super) fn finish(&mut self, output: &mut Output) -> Result<(), Error> {
        self.write_until(f64::INFINITY, output)?;
        let target = self.target;
        match &mut self.transcoder {
            Some(transcoder) => transcoder.finish(&mut |encoded| target.write(encoded, output)),
            None => Ok(()),
        }
    }
}

impl Target {
    fn add(
        output: &mut Output,
        mut parameters: codec::Parameters,
        time_base: Rational,
    ) -> Result<Self, Error> {
        // SAFETY: `parameters` is a living AVCodecParameters of ours. 0 lets the container choose its own tag.
        unsafe { (*parameters.as_mut_ptr()).codec_tag = 0 };
        let mut stream = output.add_stream(encoder::find(codec::Id::None))?;
        stream.set_parameters(parameters);
        stream.set_time_base(time_base);
        Ok(Self { stream: stream.index(), time_base })
    }

    fn write(self, mut packet: Packet, output: &mut Output) -> Result<(), Error> {
        packet.set_stream(self.stream);
        packet.set_position(-1);
        let written = output.stream(self.stream).map_or(self.time_base, |stream| stream.time_base());
        packet.rescale_ts(self.time_base, written);
        packet.write_interleaved(output)
    }
}
