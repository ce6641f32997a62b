//! The sound of one file into another: packet by packet as it is, or encoded anew where the container cannot hold it.
//!
//! One field of FFmpeg's is not shown by ffmpeg-next and set directly.
#![allow(unsafe_code)]

mod packets;
mod transcoder;

use std::path::Path;

use ffmpeg_next::format::context::Output;
use ffmpeg_next::{Error, Packet, Rational, codec, encoder};

use super::kind::Kind;
use packets::AudioPackets;
use transcoder::Transcoder;

/// A stream of sound on its way.
pub(super) struct Audio {
    packets: AudioPackets,
    target: Target,
    /// `None` where the packets are taken as they are.
    transcoder: Option<Transcoder>,
    /// When the last packet was that was taken as it is.
    last: Option<i64>,
}

/// The stream of the output.
#[derive(Clone, Copy)]
struct Target {
    stream: usize,
    /// The unit of the instants of what is written to it.
    time_base: Rational,
}

impl Audio {
    /// Adds a stream for the sound of `source` to `output`. Without one there may be a reason to tell. A source
    /// without sound, or none that can be opened, is no error.
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

    /// Writes what sounds before `seconds` after the video's first frame.
    pub(super) fn write_until(&mut self, seconds: f64, output: &mut Output) -> Result<(), Error> {
        let target = self.target;
        while let Some(packet) = self.packets.next_before(seconds) {
            match &mut self.transcoder {
                Some(transcoder) => {
                    transcoder.push(&packet, &mut |encoded| target.write(encoded, output))?;
                }
                None => {
                    // Before the first picture: players would shift the video by it. Without a time, or back in it,
                    // is damage, which no container takes.
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

    /// Writes all that is left: sound that goes on after the last picture is part of the clip.
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
