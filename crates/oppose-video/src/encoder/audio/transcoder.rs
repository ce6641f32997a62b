//! Decodes sound that a container cannot hold and encodes it as a kind that it can: at 48 kHz, in mono or stereo.

use ffmpeg_next::codec::{self, decoder, encoder};
use ffmpeg_next::format::context::Output;
use ffmpeg_next::software::resampling;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{ChannelLayout, Error, Packet, Rational, format, frame};

use super::super::kind::{AudioEncoder, Kind};

/// Samples per second of the sound written.
const RATE: u32 = 48_000;

const BITS_PER_CHANNEL: usize = 64_000;

/// Samples by which a timestamp may be off before silence is inserted or sound is cut: a tenth of a second. Lips do not
/// need to match better, and containers round.
const TOLERANCE: i64 = RATE as i64 / 10;

/// Samples farther than this from the beginning, about 700 years, are damage.
const FARTHEST: f64 = (1_u64 << 45) as f64;

/// Samples per frame if the encoder accepts any number.
const ANY_FRAME: usize = 1024;

/// The function that receives the encoded packets.
type Write<'a> = dyn FnMut(Packet) -> Result<(), Error> + 'a;

/// Converts packets of one codec to packets of another.
pub(super) struct Transcoder {
    decoder: decoder::Audio,
    time_base: Rational,
    resampler: resampling::Context,
    encoder: encoder::Audio,
    layout: ChannelLayout,
    samples: format::Sample,
    /// Samples that do not fill a frame of the encoder yet: one row per channel, or one row with all channels interleaved.
    waiting: Vec<Vec<f32>>,
    /// Index of the first waiting sample, counted from the video's first frame.
    position: i64,
    has_begun: bool,
}

impl Transcoder {
    /// `None` if FFmpeg lacks a decoder or encoder, or they cannot be connected.
    pub(super) fn open(
        parameters: codec::Parameters,
        time_base: Rational,
        kind: &Kind,
        output: &Output,
    ) -> Option<Self> {
        let mut decoder = codec::Context::from_parameters(parameters).ok()?.decoder();
        decoder.set_packet_time_base(time_base);
        let decoder = decoder.audio().ok()?;
        let AudioEncoder { name, samples } = *kind.audio_encoder.as_ref()?;
        let layout = if decoder.channels() > 1 { ChannelLayout::STEREO } else { ChannelLayout::MONO };
        let encoder = open_encoder(name, samples, layout, output)?;
        let input = resampling::context::Definition {
            format: decoder.format(),
            channel_layout: known(decoder.channel_layout(), decoder.channels()),
            rate: decoder.rate(),
        };
        let resampler = resampler(input, samples, layout).ok()?;
        let rows = if samples.is_planar() { layout.channels() as usize } else { 1 };
        let waiting = vec![Vec::new(); rows];
        Some(Self {
            decoder,
            time_base,
            resampler,
            encoder,
            layout,
            samples,
            waiting,
            position: 0,
            has_begun: false,
        })
    }

    /// The codec of the packets.
    pub(super) fn parameters(&self) -> codec::Parameters {
        codec::Parameters::from(&self.encoder)
    }

    /// The unit of the packets' timestamps.
    pub(super) fn time_base(&self) -> Rational {
        Rational(1, RATE as i32)
    }

    /// Passes the packets that this packet completes to `write`. Damaged packets are left out.
    pub(super) fn push(&mut self, packet: &Packet, write: &mut Write<'_>) -> Result<(), Error> {
        match self.decoder.send_packet(packet) {
            Ok(()) => self.decode(write),
            Err(_) => Ok(()),
        }
    }

    /// Passes the remaining packets to `write`.
    pub(super) fn finish(&mut self, write: &mut Write<'_>) -> Result<(), Error> {
        // It fails only when it has nothing left.
        if self.decoder.send_eof().is_ok() {
            self.decode(write)?;
        }
        let mut last = self.room(0);
        if self.resampler.flush(&mut last).is_ok() {
            self.place(None, &last, write)?;
        }
        // The last frame may be shorter.
        self.encode(1, write)?;
        self.encoder.send_eof()?;
        self.drain(write)
    }

    fn decode(&mut self, write: &mut Write<'_>) -> Result<(), Error> {
        let mut decoded = frame::Audio::empty();
        while self.decoder.receive_frame(&mut decoded).is_ok() {
            let seconds = decoded.timestamp().map(|ticks| ticks as f64 * f64::from(self.time_base));
            let at = seconds.map(|seconds| (seconds * f64::from(RATE)).clamp(-FARTHEST, FARTHEST) as i64);
            if let Ok(converted) = self.convert(&mut decoded) {
                self.place(at, &converted, write)?;
            }
        }
        Ok(())
    }

    fn convert(&mut self, decoded: &mut frame::Audio) -> Result<frame::Audio, Error> {
        let layout = known(decoded.channel_layout(), decoded.channels());
        decoded.set_channel_layout(layout);
        let found = resampling::context::Definition {
            format: decoded.format(),
            channel_layout: layout,
            rate: decoded.rate(),
        };
        if *self.resampler.input() != found {
            self.resampler = resampler(found, self.samples, self.layout)?;
        }
        let mut converted = self.room(decoded.samples());
        self.resampler.run(decoded, &mut converted)?;
        Ok(converted)
    }

    /// A frame with room for the result of `samples` more samples and of those that the resampler still holds.
    fn room(&self, samples: usize) -> frame::Audio {
        let kept = self.resampler.delay().map_or(0, |delay| delay.output.max(0) as usize);
        let rate = self.resampler.input().rate.max(1) as usize;
        frame::Audio::new(self.samples, samples * RATE as usize / rate + kept + 32, self.layout)
    }

    /// Appends samples to those that wait, and encodes all complete frames. Before a gap, the last frame is padded with
    /// silence; samples that overlap, or come before the first picture, are cut.
    fn place(&mut self, at: Option<i64>, samples: &frame::Audio, write: &mut Write<'_>) -> Result<(), Error> {
        let next = self.position + self.waiting_samples() as i64;
        let late = at.map_or(0, |at| at - next);
        let tolerance = if self.has_begun { TOLERANCE } else { 0 };
        let mut cut = 0;
        if late > tolerance {
            let whole = self.waiting_samples().next_multiple_of(self.frame_samples()) * self.values();
            self.waiting.iter_mut().for_each(|row| row.resize(whole, 0.0));
            self.encode(self.frame_samples(), write)?;
            self.position = next + late;
        } else if late < -tolerance {
            cut = usize::try_from(-late).unwrap_or(usize::MAX).min(samples.samples());
        }
        self.has_begun |= cut < samples.samples();
        let first = cut * self.values();
        for (index, row) in self.waiting.iter_mut().enumerate() {
            row.extend(&samples.plane::<f32>(index)[first..]);
        }
        self.encode(self.frame_samples(), write)
    }

    /// Encodes frames as long as at least `min_samples` wait.
    fn encode(&mut self, min_samples: usize, write: &mut Write<'_>) -> Result<(), Error> {
        while self.waiting_samples() >= min_samples {
            let count = self.waiting_samples().min(self.frame_samples());
            let mut frame = frame::Audio::new(self.samples, count, self.layout);
            frame.set_rate(RATE);
            frame.set_pts(Some(self.position));
            let values = count * self.values();
            for (index, row) in self.waiting.iter_mut().enumerate() {
                frame.plane_mut::<f32>(index).copy_from_slice(&row[..values]);
                row.drain(..values);
            }
            self.position += count as i64;
            self.encoder.send_frame(&frame)?;
            self.drain(write)?;
        }
        Ok(())
    }

    fn waiting_samples(&self) -> usize {
        self.waiting[0].len() / self.values()
    }

    /// Number of values per sample in a row.
    fn values(&self) -> usize {
        if self.samples.is_planar() { 1 } else { self.layout.channels() as usize }
    }

    /// Number of samples that the encoder takes at once.
    fn frame_samples(&self) -> usize {
        match self.encoder.frame_size() {
            0 => ANY_FRAME,
            size => size as usize,
        }
    }

    /// Passes the packets that the encoder has ready to `write`.
    fn drain(&mut self, write: &mut Write<'_>) -> Result<(), Error> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => write(packet)?,
                Err(Error::Eof | Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The layout that a decoder reports, or the usual one for its number of channels.
fn known(layout: ChannelLayout, channels: u16) -> ChannelLayout {
    if layout.is_empty() { ChannelLayout::default(i32::from(channels)) } else { layout }
}

fn resampler(
    input: resampling::context::Definition,
    samples: format::Sample,
    layout: ChannelLayout,
) -> Result<resampling::Context, Error> {
    let resampling::context::Definition { format, channel_layout, rate } = input;
    resampling::Context::get(format, channel_layout, rate, samples, layout, RATE)
}

fn open_encoder(
    name: &str,
    samples: format::Sample,
    layout: ChannelLayout,
    output: &Output,
) -> Option<encoder::Audio> {
    let found = encoder::find_by_name(name)?;
    let mut context = codec::Context::new_with_codec(found);
    if output.format().flags().contains(format::Flags::GLOBAL_HEADER) {
        context.set_flags(codec::Flags::GLOBAL_HEADER);
    }
    let mut audio = context.encoder().audio().ok()?;
    audio.set_rate(RATE as i32);
    audio.set_channel_layout(layout);
    audio.set_format(samples);
    audio.set_bit_rate(BITS_PER_CHANNEL * layout.channels() as usize);
    audio.set_time_base(Rational(1, RATE as i32));
    audio.open_as(found).ok()
}
