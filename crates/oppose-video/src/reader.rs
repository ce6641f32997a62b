//! A video file, a picture or a pipe, frame by frame.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{self, packet, threading};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Codec, Dictionary, Packet, Rational, Stream, frame};

use tracing::debug;

use super::container::{self, Bytes};
use super::ending::Ending;
use super::rotation::Orientation;
use super::scaler::{self, Scaler};
use super::timing::{Announced, Timing};
use super::tracks::{self, Seen};
use super::{
    Colors, DecodeSummary, Frame, FramePool, FrameRate, MAX_PIXELS, Note, Options, RateSource, STDIN, Source,
    SourceError, VideoError, VideoInfo, check_size, pages, structure,
};

/// Number of unused buffers kept for later frames. More are in use only if the consumer holds on to frames.
const POOLED_FRAMES: usize = 64;

/// Up to this size (320x240) one thread decodes thousands of frames per second, and starting more takes longer than
/// decoding a short clip.
const SMALL_PIXELS: u64 = 76_800;

/// A pixel aspect beyond this is not believed: anamorphic film has up to 2.
const MAX_PIXEL_ASPECT: f64 = 4.0;

/// Largest number of packets that are read ahead to tell tracks apart or to find a frame rate that no header announces.
const READ_AHEAD_PACKETS: usize = 500;

/// Largest number of bytes of these packets.
const READ_AHEAD_BYTES: usize = 64 << 20;

/// Number of frames that are enough for a first estimate of the frame rate.
const RATE_FRAMES: u64 = 30;

/// Largest gap between two frames, in intervals of a constant rate, if no frame is missing.
const MAX_WOBBLE: f64 = 1.75;

/// FFmpeg's name for a TIFF picture.
const TIFF: &str = "tiff_pipe";

/// Formats that do not store a frame rate: what FFmpeg reports for them is a guess.
const HAVE_NO_RATE: [&str; 2] = ["gif", "apng"];

/// A frame rate that is this many times another contradicts it.
const CONTRADICTION: f64 = 1.25;

/// If a smaller share of the packets than this yields a frame, in percent, the index or the frames are not what they seem.
/// In interlaced video, the two fields of a frame may come in separate packets.
const MIN_DECODED: u64 = 45;

/// Smallest size of a frame in a transport stream, in bytes: one of its packets.
const TRANSPORT_PACKET: u64 = 188;

/// Smallest size of a frame in other MPEG streams, in bytes.
const MIN_FRAME: u64 = 32;

/// A video read by FFmpeg.
pub(super) struct Reader {
    input: Input,
    decoder: codec::decoder::Video,
    stream: usize,
    ending: Ending,
    info: VideoInfo,
    /// The frame rate set by the caller.
    given_rate: Option<FrameRate>,
    /// Packets that were read ahead.
    read_ahead: VecDeque<Packet>,
    /// Why reading failed. The frames that the decoder still holds are delivered first.
    failure: Option<ffmpeg::Error>,
    notes: Vec<Note>,
    /// Number of packets of the stream that should each yield a frame.
    packets: u64,
    /// Number of packets of the stream.
    all_packets: u64,
    /// Number of frames in the index, 0 without one, and the frame rate that follows from it.
    indexed_frames: u64,
    index_rate: f64,
    colors: Colors,
    stored_size: (u32, u32),
    pixel_aspect: f64,
    is_picture: bool,
    orientation: Orientation,
    scaler: Scaler,
    keeps_planes: bool,
    /// The frame as it is stored, if it has to be rotated.
    stored: Vec<u8>,
    pool: FramePool,
    decoded: frame::Video,
    /// Whether `decoded` holds a frame that has not been delivered yet.
    pending: bool,
    /// Whether the decoder knows that no packet follows.
    draining: bool,
    timing: Timing,
    frames: u64,
    damaged_packets: u64,
}

impl Reader {
    /// Opens a file, or standard input for [`STDIN`], and decodes its first frame.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, VideoError> {
        start_ffmpeg();
        // A pipe can be opened and read only once.
        let file = (path != Path::new(STDIN) && path.is_file()).then_some(path);
        let opened = Bytes::open(path).and_then(|bytes| Self::of_bytes(bytes, file, options));
        match file {
            None if path == Path::new(STDIN) => opened.map_err(|error| match error {
                VideoError::Broken { .. } | VideoError::NoFrames => VideoError::BrokenPipe,
                error => error,
            }),
            None => opened,
            Some(path) => opened.map_err(|error| explain(error, path)),
        }
    }

    /// Reads a video from `bytes`. If they come from a file, `file` tells more about its end.
    fn of_bytes(bytes: Bytes, file: Option<&Path>, options: &Options) -> Result<Self, VideoError> {
        let mut input = container::open(bytes)?;
        let mut ahead = ReadAhead::default();
        if options.track.is_none() && tracks::need_a_look(&input) {
            ahead.read(&mut input, tracks::are_told_apart);
        }
        let (index, note) = tracks::choose(&input, &ahead.seen, options.track)?;
        let is_picture = is_picture(&input);
        let stream = stream(&input, index)?;
        let announced = announced_rates(&stream, HAVE_NO_RATE.contains(&input.format().name()));
        // A pipe is not read ahead unless there is no other way: its writer may take its time.
        let is_rate_open = announced.average.is_none() || (file.is_some() && !announced.is_indexed);
        if is_rate_open && !is_picture && options.frame_rate.is_none() {
            ahead.read(&mut input, |_, seen| seen.get(&index).is_some_and(|&frames| frames > RATE_FRAMES));
        }
        let stream = self::stream(&input, index)?;
        let parameters = stream.parameters();
        debug!(format = input.format().name(), stream = index, codec = ?parameters.id(), "opened a video");
        let time_base = stream.time_base();
        let may_jump = container::clock_may_jump(&input);
        // If the header's average and that of the first frames contradict each other, the frames decide.
        let first_frames = ahead.rate(index, time_base);
        let is_contradicted = |average: &FrameRate| {
            let ratio = first_frames.map_or(1.0, |rate| rate.as_f64() / average.as_f64());
            !(1.0 / CONTRADICTION..=CONTRADICTION).contains(&ratio)
        };
        let is_wrong = announced.average.as_ref().is_some_and(is_contradicted);
        let own_rate = announced.average.filter(|_| !is_wrong).or(first_frames).or(announced.base);
        let own_rate = own_rate.unwrap_or(FrameRate::DEFAULT);
        let frame_rate = match options.frame_rate {
            Some(given) => given,
            None if is_picture => FrameRate::DEFAULT,
            None => own_rate,
        };
        let indexed_frames = u64::try_from(stream.frames()).unwrap_or(0);
        let announced_frames = match (is_picture, indexed_frames) {
            (true, _) => Some(1),
            (false, 1..) if !is_wrong => Some(indexed_frames),
            (false, _) => estimated_frames(&input, &stream, own_rate, file),
        };
        let ending = Ending::announced(&input, &stream, announced.average.unwrap_or(own_rate), file);
        let matrix = stream
            .side_data()
            .find(|data| data.kind() == packet::side_data::Type::DisplayMatrix)
            .map(|data| data.data().to_vec());
        let mut notes: Vec<Note> = note.into_iter().collect();
        if let Some(pages @ 2..) = file.filter(|_| input.format().name() == TIFF).and_then(pages::of_tiff) {
            notes.push(Note::Pages { pages });
        }

        let name = parameters.id().name();
        let codec =
            codec::decoder::find(parameters.id()).ok_or_else(|| VideoError::NoDecoder(name.to_owned()))?;
        // With the limit below, the decoder refuses larger frames, but does not say how large they are. So the header's size is
        // checked first, through the only view of a context that shows it before it is opened. If the header has none, the
        // first frame tells.
        let header = codec::Context::from_parameters(parameters.clone()).map_err(VideoError::decoder)?;
        let header = header.encoder().video().map_err(VideoError::decoder)?;
        if (header.width(), header.height()) != (0, 0) {
            check_size(header.width(), header.height())?;
        }
        let mut limit = Dictionary::new();
        limit.set("max_pixels", &MAX_PIXELS.to_string());
        let is_small = (1..=SMALL_PIXELS).contains(&(u64::from(header.width()) * u64::from(header.height())));
        let threads = options.threads.unwrap_or(if is_small { 1 } else { 0 });
        let decoder = open_decoder(parameters, codec, threads, limit)?;

        let mut reader = Self {
            input,
            decoder,
            stream: index,
            ending,
            // The first frame tells the size.
            info: VideoInfo::new(0, 0, frame_rate).with_announced_frames(announced_frames),
            given_rate: options.frame_rate,
            read_ahead: ahead.packets,
            failure: ahead.failure,
            notes,
            packets: 0,
            all_packets: 0,
            indexed_frames,
            index_rate: announced.average.unwrap_or(own_rate).as_f64(),
            colors: options.colors,
            stored_size: (0, 0),
            pixel_aspect: 1.0,
            is_picture,
            orientation: Orientation::default(),
            scaler: Scaler::new(options.colors),
            keeps_planes: options.keep_planes,
            stored: Vec::new(),
            pool: FramePool::new(POOLED_FRAMES),
            decoded: frame::Video::empty(),
            pending: false,
            draining: false,
            timing: Timing::new(time_base, announced, may_jump),
            frames: 0,
            damaged_packets: 0,
        };
        reader.decode_first(options, matrix.as_deref())?;
        Ok(reader)
    }

    /// Takes from the first frame what headers may leave open: the true size, and an orientation that is stored only with
    /// the frame (EXIF).
    fn decode_first(&mut self, options: &Options, matrix: Option<&[u8]>) -> Result<(), VideoError> {
        if !self.decode() {
            return Err(match self.failure.take() {
                Some(error) => VideoError::broken(0, error),
                None => VideoError::NoFrames,
            });
        }
        self.pending = true;
        let (width, height) = (self.decoded.width(), self.decoded.height());
        check_size(width, height)?;
        self.stored_size = (width, height);
        let exif = self.decoded.side_data(frame::side_data::Type::DisplayMatrix);
        let matrix = matrix.or_else(|| exif.as_ref().map(frame::SideData::data));
        let tag = self.decoded.metadata().get("Orientation").map(str::to_owned);
        self.orientation = Orientation::choose(options.rotate, matrix, tag.as_deref());
        (self.info.width, self.info.height) = self.orientation.upright(width, height);
        self.pixel_aspect = self.upright_pixel_aspect();
        Ok(())
    }

    /// In pictures, the aspect is that of their resolution in print, which is often nonsense.
    fn upright_pixel_aspect(&self) -> f64 {
        let stored = f64::from(self.decoded.aspect_ratio());
        let plausible = 1.0 / MAX_PIXEL_ASPECT..=MAX_PIXEL_ASPECT;
        if self.is_picture || !plausible.contains(&stored) {
            return 1.0;
        }
        match self.orientation.upright(1, 2) {
            (1, _) => stored,
            _ => 1.0 / stored,
        }
    }

    /// Decodes the next frame to `self.decoded`; `false` after the last. If reading fails, the frames that the decoder still
    /// holds come before the error.
    fn decode(&mut self) -> bool {
        loop {
            match self.decoder.receive_frame(&mut self.decoded) {
                Ok(()) => {
                    // The decoder has made up part of this frame.
                    self.damaged_packets += u64::from(self.decoded.has_decode_errors());
                    return true;
                }
                Err(ffmpeg::Error::Eof) => return false,
                Err(ffmpeg::Error::Other { errno: EAGAIN }) => {}
                Err(_) => {
                    self.damaged_packets += 1;
                    continue;
                }
            }
            if self.draining {
                return false;
            }
            match self.next_packet() {
                Ok(Some(packet)) => {
                    if self.decoder.send_packet(&packet).is_err() {
                        self.damaged_packets += 1;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => self.failure = Some(error),
            }
            self.draining = true;
            // This fails only when the decoder has nothing left, which the next call reports.
            let _ = self.decoder.send_eof();
        }
    }

    /// The next packet of the stream; `None` at the end of the file.
    fn next_packet(&mut self) -> Result<Option<Packet>, ffmpeg::Error> {
        loop {
            let packet = match self.read_ahead.pop_front() {
                Some(packet) => packet,
                None => match self.failure.take() {
                    Some(error) => return Err(error),
                    None => match read_packet(&mut self.input)? {
                        Some(packet) => packet,
                        None => return Ok(None),
                    },
                },
            };
            if let Some(stream) = self.input.stream(packet.stream()) {
                self.ending.add(&packet, stream.time_base());
            }
            if packet.stream() == self.stream {
                self.all_packets += 1;
                self.packets += u64::from(packet.size() > 0 && !container::is_discarded(&packet));
                return Ok(Some(packet));
            }
        }
    }

    /// Copies the planes of the decoded frame if they are wanted, upright, and of the kind that engines support.
    fn in_planes(&self, timestamp: Option<Duration>) -> Option<Frame> {
        if !self.keeps_planes || !self.orientation.is_upright() {
            return None;
        }
        let matrix = scaler::matrix(&self.decoded, self.colors)?;
        let planes = 0..self.decoded.planes();
        // A frame that is stored from the bottom up has negative strides.
        if !planes.clone().all(|plane| i32::try_from(self.decoded.stride(plane)).is_ok()) {
            return None;
        }
        let size = (self.decoded.width(), self.decoded.height());
        self.pool.planes(self.frames, timestamp, size, matrix, |mut bytes| {
            for plane in planes {
                let width = self.decoded.plane_width(plane) as usize;
                let rows = self.decoded.data(plane).chunks(self.decoded.stride(plane).max(1));
                let (packed, rest) = bytes.split_at_mut(width * self.decoded.plane_height(plane) as usize);
                for (packed, row) in packed.chunks_exact_mut(width.max(1)).zip(rows) {
                    packed.copy_from_slice(&row[..width]);
                }
                bytes = rest;
            }
        })
    }

    /// Converts the decoded frame to one from the pool.
    fn in_pixels(&mut self, timestamp: Option<Duration>) -> Result<Frame, VideoError> {
        let (width, height) = (self.decoded.width() as usize, self.decoded.height() as usize);
        let mut converted = true;
        let frame = self.pool.frame(self.frames, timestamp, self.info.width, self.info.height, |upright| {
            if self.orientation.is_upright() {
                converted = self.scaler.run(&self.decoded, upright);
            } else {
                self.stored.resize(upright.len(), 0);
                converted = self.scaler.run(&self.decoded, &mut self.stored);
                self.orientation.apply(&self.stored, width, height, upright);
            }
        });
        if !converted {
            let format = format!("{:?}", self.decoded.format());
            return Err(VideoError::PixelFormat { frame: self.frames, format });
        }
        Ok(frame)
    }

    /// Delivers the decoded frame.
    fn deliver(&mut self) -> Result<Frame, VideoError> {
        let found = (self.decoded.width(), self.decoded.height());
        if found != self.stored_size {
            let expected = self.stored_size;
            return Err(VideoError::SizeChanged { frame: self.frames, expected, found });
        }
        let timestamp = self.timing.add(self.frames, self.decoded.timestamp(), self.decoded.repeat() > 0.0);
        let frame = match self.in_planes(timestamp) {
            Some(frame) => frame,
            None => self.in_pixels(timestamp)?,
        };
        self.frames += 1;
        Ok(frame)
    }

    /// Checks after the last frame that the video was read to its end.
    fn check_end(&self) -> Result<(), VideoError> {
        let frames = self.frames;
        let is_cut_off = || self.ending.is_cut_off(self.all_packets, self.indexed_frames);
        let announced = self.info.announced_frames.unwrap_or(0);
        let failure = self.failure.or_else(|| container::read_error(&self.input));
        match failure {
            // Some demuxers return frames beyond the end of the file as damaged ones.
            Some(ffmpeg::Error::InvalidData) | None if is_cut_off() => {
                return Err(VideoError::Truncated { frames, announced });
            }
            Some(error) => return Err(VideoError::broken(frames, error)),
            None => {}
        }
        if frames.saturating_mul(100) < self.packets.saturating_mul(MIN_DECODED) {
            return Err(VideoError::Undecodable { frames, packets: self.packets });
        }
        Ok(())
    }

    /// Notes that there were fewer frames than the index announces, if the video is shorter too. (An AVI file counts its
    /// pauses, and an edit list leaves frames out.)
    fn fewer_frames(&self) -> Option<Note> {
        let (announced, found) = (self.indexed_frames, self.all_packets);
        let is_mp4 = self.input.format().name().starts_with("mov");
        let is_short =
            |found: u64| announced.saturating_sub(found) > FEW_FRAMES.max(announced / FEW_OF_FRAMES);
        let reached = (self.ending.reached() * self.index_rate).ceil() as u64;
        let is_missing = is_short(found) && is_short(reached) && !is_mp4 && self.draining;
        is_missing.then_some(Note::FewerFrames { announced, found })
    }
}

/// Up to this many frames fewer than in the index are only a different way of counting.
const FEW_FRAMES: u64 = 5;

/// So is one in this many.
const FEW_OF_FRAMES: u64 = 50;

/// Packets that are read before the decoder needs them.
#[derive(Default)]
struct ReadAhead {
    packets: VecDeque<Packet>,
    bytes: usize,
    seen: Seen,
    failure: Option<ffmpeg::Error>,
}

impl ReadAhead {
    /// Reads until it is enough, too much, or the end of the file.
    fn read(&mut self, input: &mut Input, is_enough: impl Fn(&Input, &Seen) -> bool) {
        while !is_enough(input, &self.seen)
            && self.packets.len() < READ_AHEAD_PACKETS
            && self.bytes < READ_AHEAD_BYTES
            && self.failure.is_none()
        {
            match read_packet(input) {
                Ok(Some(packet)) => {
                    self.bytes += packet.size();
                    *self.seen.entry(packet.stream()).or_default() += u64::from(packet.size() > 0);
                    self.packets.push_back(packet);
                }
                Ok(None) => return,
                Err(error) => self.failure = Some(error),
            }
        }
    }

    /// The frame rate of a stream according to the packets read.
    fn rate(&self, stream: usize, time_base: Rational) -> Option<FrameRate> {
        let packets = self.packets.iter().filter(|packet| packet.stream() == stream);
        let mut times: Vec<i64> = packets.filter_map(|packet| packet.pts().or(packet.dts())).collect();
        times.sort_unstable();
        let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        gaps.sort_unstable();
        // Timestamps that jump say nothing.
        let longest = gaps.get(gaps.len() / 2)?.saturating_mul(MANY_USUAL_GAPS);
        gaps.retain(|&gap| gap <= longest);
        let time_base = (time_base.numerator(), time_base.denominator());
        FrameRate::measured(gaps.len() as u64, gaps.iter().sum(), time_base)
    }
}

/// A gap of this many usual ones is not the time between two frames.
const MANY_USUAL_GAPS: i64 = 10;

/// The next packet of any stream; `None` at the end of the file.
fn read_packet(input: &mut Input) -> Result<Option<Packet>, ffmpeg::Error> {
    loop {
        // A new packet each time: reading into one that is full would leak its contents.
        let mut packet = Packet::empty();
        match packet.read(input) {
            Ok(()) => return Ok(Some(packet)),
            Err(ffmpeg::Error::Other { errno: EAGAIN }) => {}
            Err(ffmpeg::Error::Eof) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

impl Source for Reader {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        Ok(Reader::next_frame(self)?)
    }

    fn summary(&self) -> DecodeSummary {
        Reader::summary(self)
    }

    fn pixel_aspect(&self) -> f64 {
        self.pixel_aspect
    }
}

impl Reader {
    /// The next frame, or `None` after the last.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, VideoError> {
        if std::mem::take(&mut self.pending) || self.decode() {
            return self.deliver().map(Some);
        }
        if let Some(films @ 2..) = self.ending.films() {
            let note = Note::MoreFilms { films };
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.check_end().map(|()| None)
    }

    fn summary(&self) -> DecodeSummary {
        let found = self.timing.rate().filter(|_| !self.is_picture);
        let (rate, source) = match (self.given_rate, found) {
            (Some(given), _) => (Some(given), RateSource::Given),
            (None, Some((rate, source))) => (Some(rate), source),
            (None, None) => (None, RateSource::default()),
        };
        let own_rate = found.map_or(self.info.frame_rate, |(rate, _)| rate);
        // Frames of a constant rate may wobble, as in telecined film, but not as much as a gap in which a frame is missing.
        let is_constant = matches!(found, Some((_, RateSource::Constant)));
        let is_variable = |(_, longest): (Duration, Duration)| {
            !is_constant || longest.as_secs_f64() * own_rate.as_f64() > MAX_WOBBLE
        };
        let mut summary = DecodeSummary::new(self.frames);
        summary.damaged_packets = self.damaged_packets;
        summary.variable_rate = self.timing.variable(own_rate).filter(|gaps| is_variable(*gaps));
        summary.frame_rate = rate;
        summary.rate_source = source;
        summary.notes = self.notes.clone();
        summary.notes.extend(self.timing.note());
        summary.notes.extend(self.fewer_frames());
        summary
    }
}

/// Registers FFmpeg's error messages and, before FFmpeg 4, its formats, without which nothing can be opened.
pub(super) fn start_ffmpeg() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // This cannot fail: the registrations return nothing.
        let _ = ffmpeg::init();
        // FFmpeg would write to standard error; what matters is returned as errors.
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
    });
}

/// A more exact error for a file that cannot be opened than FFmpeg's own.
fn explain(error: VideoError, path: &Path) -> VideoError {
    match error {
        VideoError::Unrecognized(_) | VideoError::NoVideoStream(_) if structure::lacks_index(path) => {
            VideoError::NoIndex
        }
        VideoError::Unrecognized(_)
        | VideoError::NoFrames
        | VideoError::Broken { .. }
        | VideoError::Decoder(_)
        | VideoError::Size { width: 0, height: 0 }
            if structure::is_animated_webp(path) =>
        {
            VideoError::AnimatedWebp
        }
        error => error,
    }
}

fn stream(input: &Input, index: usize) -> Result<Stream<'_>, VideoError> {
    input.stream(index).ok_or_else(|| VideoError::NoVideoStream("nothing".to_owned()))
}

fn open_decoder(
    parameters: codec::Parameters,
    codec: Codec,
    threads: usize,
    options: Dictionary<'_>,
) -> Result<codec::decoder::Video, VideoError> {
    let mut context = codec::Context::from_parameters(parameters).map_err(VideoError::decoder)?;
    let threading = threading::Config::kind(threading::Type::Frame);
    context.set_threading(threading::Config { count: threads, ..threading });
    let opened = context.decoder().open_as_with(codec, options).map_err(VideoError::decoder)?;
    opened.video().map_err(VideoError::decoder)
}

/// Whether this is a single picture, which has a demuxer of its own.
fn is_picture(input: &Input) -> bool {
    let format = input.format();
    format.name().ends_with("_pipe") || format.name() == "image2pipe"
}

/// What the header says about the frame rate.
fn announced_rates(stream: &Stream<'_>, is_guessed: bool) -> Announced {
    let exact = |rate: Rational| {
        FrameRate::new(u32::try_from(rate.numerator()).ok()?, u32::try_from(rate.denominator()).ok()?)
    };
    let average = exact(stream.avg_frame_rate());
    let seconds = stream.duration() as f64 * f64::from(stream.time_base());
    let by_index = stream.frames() as f64 / seconds;
    let is_indexed = seconds > 0.0
        && average.is_some_and(|average| (average.as_f64() / by_index - 1.0).abs() < INDEX_PRECISION);
    Announced { average, base: exact(stream.rate()), is_indexed, is_guessed }
}

/// The fraction as a frame rate. FFmpeg stores averages as fractions of small numbers.
const INDEX_PRECISION: f64 = 1e-3;

/// An estimate from the duration of the video track, or else of the whole file, which is in microseconds. There is none
/// if timestamps jump or start again, which makes nonsense of both.
fn estimated_frames(input: &Input, stream: &Stream<'_>, rate: FrameRate, file: Option<&Path>) -> Option<u64> {
    let own = stream.duration() as f64 * f64::from(stream.time_base());
    // FFmpeg marks an unknown start with the smallest i64. Matroska's tag counts from the beginning of the file.
    let start =
        if stream.start_time() > 0 { stream.start_time() } else { 0 } as f64 * f64::from(stream.time_base());
    let tagged = || stream.metadata().get("DURATION").and_then(clock_time).map(|end| end - start);
    let whole = || input.duration() as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE);
    let seconds = if own > 0.0 { own } else { tagged().unwrap_or_else(whole) };
    let frames = (seconds * rate.as_f64()).round();
    if !(1.0..1e12).contains(&frames) {
        return None;
    }
    let size = file.and_then(|file| file.metadata().ok()).map_or(u64::MAX, |found| found.len());
    let min_bytes = if input.format().name() == "mpegts" { TRANSPORT_PACKET } else { MIN_FRAME };
    let is_possible = !container::clock_may_jump(input) || frames as u64 <= size / min_bytes;
    is_possible.then_some(frames as u64)
}

/// The seconds of a time in the form of Matroska's tags: 00:00:02.023000000.
fn clock_time(text: &str) -> Option<f64> {
    let mut parts = text.trim().splitn(3, ':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(3600.0 * hours + 60.0 * minutes + seconds).filter(|seconds| *seconds > 0.0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom};

    use ffmpeg_next::format::context::StreamIo;

    use super::*;

    /// A file whose last third before the index cannot be read, as on a damaged disk.
    struct Failing {
        file: File,
        damaged: std::ops::Range<u64>,
    }

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let position = self.file.stream_position()?;
            if self.damaged.contains(&position) {
                return Err(io::Error::from_raw_os_error(5));
            }
            let left = self.damaged.start.checked_sub(position).unwrap_or(u64::MAX);
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            self.file.read(&mut buffer[..most])
        }
    }

    impl Seek for Failing {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.file.seek(to)
        }
    }

    #[test]
    fn a_read_error_drains_the_decoder_and_is_told() {
        start_ffmpeg();
        let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clips");
        // With B-frames, and with a frame waiting in each of several threads.
        for (name, threads) in [
            ("h264_25.mkv", 1),
            ("h264_25.mkv", 4),
            ("h264_25.mp4", 4),
            ("h264_25.ts", 4),
            ("mjpeg_25.avi", 4),
        ] {
            let path = clips.join(name);
            let size = path.metadata().unwrap().len();
            let damaged = size * 2 / 3..size * 9 / 10;
            let failing = Failing { file: File::open(&path).unwrap(), damaged };
            let bytes = Bytes::new(StreamIo::from_read_seek(failing), path.extension()).unwrap();
            let options = Options { threads: Some(threads), ..Options::default() };
            let opened = Reader::of_bytes(bytes, None, &options);
            let mut reader = opened.unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut frames = 0;
            let error = loop {
                match reader.next_frame() {
                    Ok(Some(_)) => frames += 1,
                    Ok(None) => panic!("{name}: {frames} frames passed for the whole video"),
                    Err(error) => break error,
                }
            };
            let VideoError::Broken { frames: found, source } = error else { panic!("{name}: {error}") };
            assert_eq!((found, source.0), (frames, ffmpeg::Error::Other { errno: 5 }), "{name}");
            assert!(frames >= reader.packets - 1, "{name}: {frames} of {} packets", reader.packets);
            assert!(frames > 20, "{name}: {frames}");
        }
    }

    #[test]
    fn durations_of_matroska_are_read() {
        assert_eq!(clock_time("00:01:02.500000000"), Some(62.5));
        assert_eq!(clock_time("00:00:00.000000000"), None);
        assert_eq!(clock_time("soon"), None);
    }
}
