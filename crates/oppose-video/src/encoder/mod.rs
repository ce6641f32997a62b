//! Encoding pictures to a video file: H.264 in mp4, mov or mkv, VP9 in webm, or GIF.

mod audio;
mod error;
mod kind;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ffmpeg_next::codec::encoder;
use ffmpeg_next::format::{self, Pixel};
use ffmpeg_next::software::scaling;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Packet, Rational, frame};

use audio::Audio;
pub use error::EncodeError;
use kind::{Kind, available_suffixes, kind, open_encoder, rational};

use super::reader::start_ffmpeg;
use super::{FfmpegError, FrameRate, container};
use oppose_pose::output_file::OutputFile;

/// The files written have at least this many ticks per second, so that a timestamp is off by a few microseconds at most.
const TICKS_PER_SECOND: i64 = 90_000;

/// Largest number of ticks per second that every container supports.
const MAX_TICKS_PER_SECOND: i64 = 1 << 24;

/// Ticks per second of a GIF.
const GIF_TICKS_PER_SECOND: i32 = 100;

/// The shortest time that a picture of a GIF can be shown, in ticks: viewers show it for ten ticks if it is shorter.
const MIN_GIF_TICKS: i64 = 2;

/// The longest time that a picture of a GIF can be shown, in ticks; after that it is repeated.
const MAX_GIF_TICKS: i64 = 60_000;

/// Size, frame rate and sound of a video that is written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EncoderOptions {
    /// Width of the pictures in pixels.
    pub width: u32,
    /// Height of the pictures in pixels.
    pub height: u32,
    /// The frame rate; if it varies, the average.
    pub frame_rate: FrameRate,
    /// A file whose sound is copied, unchanged if the container can hold it, otherwise as AAC or Opus.
    pub audio: Option<PathBuf>,
    /// Replace a file that exists.
    pub overwrite: bool,
}

impl EncoderOptions {
    /// A video without sound, which replaces no file, with pictures of this size in pixels.
    pub fn new(width: u32, height: u32, frame_rate: FrameRate) -> Self {
        Self { width, height, frame_rate, audio: None, overwrite: false }
    }

    /// The same options with `audio`.
    #[must_use]
    pub fn with_audio(mut self, audio: impl Into<Option<PathBuf>>) -> Self {
        self.audio = audio.into();
        self
    }

    /// The same options with `overwrite`.
    #[must_use]
    pub fn with_overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }
}

/// Writes one video, picture by picture, in constant memory. The file appears complete or not at all.
///
/// Odd sides are padded by repeating the last column or row: the H.264 that every player supports stores one colour per 2x2
/// pixels.
pub struct Encoder {
    path: PathBuf,
    overwrite: bool,
    file: OutputFile,
    container: format::context::Output,
    encoder: encoder::Video,
    scaler: scaling::Context,
    audio: Option<Audio>,
    left_out: Option<String>,
    /// The picture as it is given, padded to even sides.
    picture: frame::Video,
    converted: frame::Video,
    size: (usize, usize),
    time_base: Rational,
    ticks_per_frame: i64,
    last_tick: Option<i64>,
    is_gif: bool,
    /// The tick of the picture of a GIF that has not been written yet.
    waiting: Option<i64>,
    seconds_per_frame: f64,
    /// The end of the last picture given, in seconds.
    end: f64,
}

impl Encoder {
    /// Whether the suffix is that of a kind of video that can be written.
    pub fn can_write(path: &Path) -> bool {
        kind(path).is_some()
    }

    /// Whether this FFmpeg, too, can write this kind of video: it may have been built without an encoder for H.264.
    pub fn is_available(path: &Path) -> bool {
        start_ffmpeg();
        kind(path).is_some_and(Kind::is_available)
    }

    /// Begins a file of the kind that its suffix says.
    ///
    /// # Errors
    /// The suffix is unknown, the file exists and is not to be replaced, or FFmpeg or the system refuses.
    pub fn create(path: &Path, options: &EncoderOptions) -> Result<Self, EncodeError> {
        start_ffmpeg();
        let kind = kind(path).ok_or_else(|| EncodeError::Suffix(path.to_owned()))?;
        if !options.overwrite && path.symlink_metadata().is_ok() {
            return Err(EncodeError::Exists(path.to_owned()));
        }
        let ffmpeg = |error| EncodeError::Ffmpeg { path: path.to_owned(), source: FfmpegError(error) };
        let file = OutputFile::create(path)
            .map_err(|error| EncodeError::Io { path: path.to_owned(), source: error })?;
        let url = file.temporary_path().to_str().filter(|text| !text.contains('\0'));
        let url = format!("file:{}", url.ok_or_else(|| EncodeError::PathNotUtf8(path.to_owned()))?);
        let mut container = format::output_as(&url, kind.container).map_err(ffmpeg)?;

        let even = |side: u32| if kind.pixels == Pixel::YUV420P { side.next_multiple_of(2) } else { side };
        let (width, height) = (even(options.width), even(options.height));
        let is_gif = kind.container == "gif";
        let (time_base, ticks_per_frame) =
            if is_gif { gif_time_base(options.frame_rate) } else { time_base(options.frame_rate) };
        let wants_header = container.format().flags().contains(format::Flags::GLOBAL_HEADER);
        let encoder = open_encoder(kind, width, height, options.frame_rate, time_base, wants_header)
            .ok_or_else(|| EncodeError::NoEncoder {
                missing: kind.encoders.join(", "),
                instead: available_suffixes(),
            })?
            .map_err(ffmpeg)?;
        let mut stream = container.add_stream(encoder.codec()).map_err(ffmpeg)?;
        stream.set_parameters(&encoder);
        stream.set_time_base(time_base);
        let rate = rational(options.frame_rate);
        stream.set_avg_frame_rate(rate);
        stream.set_rate(rate);

        let (audio, left_out) = match &options.audio {
            None => (None, None),
            Some(source) => Audio::open(source, &mut container, kind).map_err(ffmpeg)?,
        };
        container.write_header().map_err(ffmpeg)?;

        let scaler = scaling::Context::get(
            Pixel::RGBA,
            width,
            height,
            kind.pixels,
            width,
            height,
            scaling::Flags::BILINEAR,
        )
        .map_err(ffmpeg)?;
        Ok(Self {
            path: path.to_owned(),
            overwrite: options.overwrite,
            file,
            container,
            encoder,
            scaler,
            audio,
            left_out,
            picture: frame::Video::new(Pixel::RGBA, width, height),
            converted: frame::Video::new(kind.pixels, width, height),
            size: (options.width as usize, options.height as usize),
            time_base,
            ticks_per_frame,
            last_tick: None,
            is_gif,
            waiting: None,
            seconds_per_frame: 1.0 / options.frame_rate.as_f64(),
            end: 0.0,
        })
    }

    /// Why the sound is not in the file, if it was asked for but can neither be copied nor converted.
    pub fn audio_left_out(&self) -> Option<&str> {
        self.left_out.as_deref()
    }

    /// Appends a picture: four bytes per pixel (red, green, blue and one that is ignored), row by row from the top left.
    /// `time` counts from the first picture; without it, the picture follows the last one by the frame rate. In a GIF,
    /// pictures that come faster than viewers show them are left out.
    ///
    /// # Errors
    /// The picture has another size, or FFmpeg refuses.
    pub fn write(&mut self, rgba: &[u8], time: Option<Duration>) -> Result<(), EncodeError> {
        let (width, height) = self.size;
        let expected = width * height * 4;
        if rgba.len() != expected {
            return Err(EncodeError::PictureSize { found: rgba.len(), expected });
        }
        let seconds = time.map_or(self.end, |time| time.as_secs_f64());
        self.end = self.end.max(seconds + self.seconds_per_frame);
        if self.is_gif {
            return self.write_gif(rgba, seconds).map_err(|error| self.failed(error));
        }
        self.fill(rgba);
        let next = self.last_tick.map_or(0, |tick| tick + self.ticks_per_frame);
        let tick = time.map_or(next, |time| (time.as_secs_f64() / f64::from(self.time_base)).round() as i64);
        // Timestamps that repeat or go back are damage in the source; those in the file must increase.
        let tick = self.last_tick.map_or(tick, |last| tick.max(last + 1));
        self.last_tick = Some(tick);
        self.encode(tick).map_err(|error| self.failed(error))
    }

    /// Writes a picture only when the next one tells how long it is shown: it may be too short for viewers.
    fn write_gif(&mut self, rgba: &[u8], seconds: f64) -> Result<(), ffmpeg_next::Error> {
        let tick = (seconds / f64::from(self.time_base)).round() as i64;
        if self.waiting.is_some_and(|waiting| tick < waiting.saturating_add(MIN_GIF_TICKS)) {
            return Ok(());
        }
        self.write_waiting(tick)?;
        self.fill(rgba);
        self.waiting = Some(tick);
        Ok(())
    }

    /// Writes the waiting picture as often as needed for it to be shown until `end`.
    fn write_waiting(&mut self, end: i64) -> Result<(), ffmpeg_next::Error> {
        let Some(mut tick) = self.waiting.take() else { return Ok(()) };
        loop {
            self.last_tick = Some(tick);
            self.encode(tick)?;
            if end - tick <= MAX_GIF_TICKS {
                return Ok(());
            }
            tick += MAX_GIF_TICKS / 2;
        }
    }

    fn end_gif(&mut self) -> Result<(), ffmpeg_next::Error> {
        let end = (self.end / f64::from(self.time_base)).round() as i64;
        let is_too_short = self.waiting.is_some_and(|waiting| end - waiting < MIN_GIF_TICKS);
        if !is_too_short || self.last_tick.is_none() {
            self.write_waiting(end)?;
        }
        let last = self.last_tick.map_or(0, |last| end - last);
        container::set_final_delay(&mut self.container, last.max(MIN_GIF_TICKS));
        Ok(())
    }

    /// Completes the file and renames it to its path.
    ///
    /// # Errors
    /// The disk is full, or a file has been created at the path meanwhile and is not to be replaced.
    pub fn finish(mut self) -> Result<(), EncodeError> {
        self.end().map_err(|error| self.failed(error))?;
        let Self { path, file, overwrite, container, .. } = self;
        // Closes the file.
        drop(container);
        file.finish(overwrite).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => EncodeError::Exists(path.clone()),
            _ => EncodeError::Io { path: path.clone(), source: error },
        })
    }

    /// Copies a picture to FFmpeg's memory, with the last column or row repeated if a side is odd.
    fn fill(&mut self, rgba: &[u8]) {
        let (width, height) = self.size;
        let (stride, rows) = (self.picture.stride(0), self.picture.height() as usize);
        let padded = self.picture.width() as usize > width;
        for (y, row) in self.picture.data_mut(0).chunks_mut(stride).take(rows).enumerate() {
            let source = &rgba[y.min(height - 1) * width * 4..][..width * 4];
            row[..width * 4].copy_from_slice(source);
            if padded {
                row[width * 4..][..4].copy_from_slice(&source[(width - 1) * 4..]);
            }
        }
    }

    fn encode(&mut self, tick: i64) -> Result<(), ffmpeg_next::Error> {
        // A new frame each time, because the encoder keeps the one it was given.
        self.converted =
            frame::Video::new(self.converted.format(), self.picture.width(), self.picture.height());
        self.scaler.run(&self.picture, &mut self.converted)?;
        self.converted.set_pts(Some(tick));
        self.encoder.send_frame(&self.converted)?;
        self.drain()
    }

    /// Writes the packets that the encoder has ready.
    fn drain(&mut self) -> Result<(), ffmpeg_next::Error> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(ffmpeg_next::Error::Eof | ffmpeg_next::Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(error) => return Err(error),
            }
            if packet.duration() == 0 {
                packet.set_duration(self.ticks_per_frame);
            }
            let seconds = packet.pts().unwrap_or(0) as f64 * f64::from(self.time_base);
            if let Some(audio) = &mut self.audio {
                audio.write_until(seconds, &mut self.container)?;
            }
            packet.set_stream(0);
            let written = self.container.stream(0).map_or(self.time_base, |stream| stream.time_base());
            packet.rescale_ts(self.time_base, written);
            packet.write_interleaved(&mut self.container)?;
        }
    }

    fn end(&mut self) -> Result<(), ffmpeg_next::Error> {
        if self.is_gif {
            self.end_gif()?;
        }
        self.encoder.send_eof()?;
        self.drain()?;
        if let Some(audio) = &mut self.audio {
            audio.finish(&mut self.container)?;
        }
        self.container.write_trailer()
    }

    fn failed(&self, error: ffmpeg_next::Error) -> EncodeError {
        EncodeError::Ffmpeg { path: self.path.clone(), source: FfmpegError(error) }
    }
}

/// The length of a tick and the number of ticks per frame, which is a whole number.
fn time_base(rate: FrameRate) -> (Rational, i64) {
    let (numerator, denominator) = (i64::from(rate.numerator()), i64::from(rate.denominator()));
    if numerator > MAX_TICKS_PER_SECOND {
        return (Rational(1, TICKS_PER_SECOND as i32), (TICKS_PER_SECOND * denominator / numerator).max(1));
    }
    let times = (TICKS_PER_SECOND + numerator - 1) / numerator;
    (Rational(1, (numerator * times) as i32), denominator * times)
}

/// The same for a GIF, whose ticks have a fixed length.
fn gif_time_base(rate: FrameRate) -> (Rational, i64) {
    let ticks = (f64::from(GIF_TICKS_PER_SECOND) / rate.as_f64()).round() as i64;
    (Rational(1, GIF_TICKS_PER_SECOND), ticks.max(MIN_GIF_TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_a_whole_number_of_ticks() {
        for (numerator, denominator) in
            [(25, 1), (30000, 1001), (50, 1), (359, 12), (24000, 1001), (29970, 1000)]
        {
            let rate = FrameRate::new(numerator, denominator).unwrap();
            let (unit, ticks) = time_base(rate);
            let seconds = ticks as f64 * f64::from(unit);
            assert!((seconds * rate.as_f64() - 1.0).abs() < 1e-12, "{rate}: {unit:?} {ticks}");
            assert!(unit.denominator() >= 90_000);
        }
    }
}
