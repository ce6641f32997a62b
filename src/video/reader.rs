//! A video file, a picture or a pipe, frame by frame.

use std::fs;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{self, packet, threading};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Codec, Dictionary, Packet, Rational, Stream, frame, media};

use super::ending::Ending;
use super::rotation::Orientation;
use super::scaler::{self, Scaler};
use super::timing::Timing;
use super::{
    DecodeSummary, Frame, FramePool, FrameRate, MAX_PIXELS, Options, STDIN, Source, SourceError, VideoError,
    VideoInfo, check_size,
};

/// Unused buffers kept for later frames. More are in use than this only where the consumer holds them.
const POOLED_FRAMES: usize = 64;

/// Up to here (320x240) one thread decodes thousands of frames a second, and starting more takes longer than a short
/// clip has to offer.
const SMALL_PIXELS: u64 = 76_800;

/// Pixels that are longer than this are not believed: anamorphic film has up to 2.
const LONGEST_PIXEL: f64 = 4.0;

/// A video that FFmpeg reads.
pub(super) struct Reader {
    input: Input,
    decoder: codec::decoder::Video,
    stream: usize,
    time_base: Rational,
    ending: Ending,
    info: VideoInfo,
    stored_size: (u32, u32),
    pixel_aspect: f64,
    is_picture: bool,
    orientation: Orientation,
    scaler: Scaler,
    keeps_planes: bool,
    /// The frame as it is stored, where it has to be turned.
    stored: Vec<u8>,
    pool: FramePool,
    decoded: frame::Video,
    /// Whether `decoded` holds a frame that was not delivered yet.
    pending: bool,
    /// Whether the decoder was told that nothing follows.
    draining: bool,
    first_timestamp: Option<i64>,
    timing: Timing,
    frames: u64,
    damaged_packets: u64,
}

impl Reader {
    /// Opens a file, or standard input for [`STDIN`], and decodes its first frame.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, VideoError> {
        start_ffmpeg();
        let input = ffmpeg::format::input(&url(path)?).map_err(VideoError::Unrecognised)?;
        let stream = best_stream(&input)?;
        let index = stream.index();
        let parameters = stream.parameters();
        let time_base = stream.time_base();
        let is_picture = is_picture(&input);
        let frame_rate = frame_rate(&stream, options.frame_rate, is_picture);
        let announced_frames = match (is_picture, stream.frames()) {
            (true, _) => Some(1),
            (false, frames @ 1..) => Some(frames as u64),
            (false, _) => estimated_frames(&input, frame_rate),
        };
        let ending = Ending::announced(&input, &stream, frame_rate, path);
        let matrix = stream
            .side_data()
            .find(|data| data.kind() == packet::side_data::Type::DisplayMatrix)
            .map(|data| data.data().to_vec());

        let name = parameters.id().name();
        let codec =
            codec::decoder::find(parameters.id()).ok_or_else(|| VideoError::NoDecoder(name.to_owned()))?;
        // With its limit the decoder refuses a larger size, but does not name it: the header's is looked at before,
        // through the one view of a context that shows it unopened. Only the first frame knows where the header is
        // silent.
        let header = codec::Context::from_parameters(parameters.clone()).map_err(VideoError::Decoder)?;
        let header = header.encoder().video().map_err(VideoError::Decoder)?;
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
            time_base,
            ending,
            info: VideoInfo { width: 0, height: 0, frame_rate, announced_frames },
            stored_size: (0, 0),
            pixel_aspect: 1.0,
            is_picture,
            orientation: Orientation::default(),
            scaler: Scaler::default(),
            keeps_planes: options.keep_planes,
            stored: Vec::new(),
            pool: FramePool::new(POOLED_FRAMES),
            decoded: frame::Video::empty(),
            pending: false,
            draining: false,
            first_timestamp: None,
            timing: Timing::default(),
            frames: 0,
            damaged_packets: 0,
        };
        match reader.decode_first(options, matrix.as_deref()) {
            Ok(()) => Ok(reader),
            Err(VideoError::Broken { .. } | VideoError::NoFrames) if path == Path::new(STDIN) => {
                Err(VideoError::BrokenPipe)
            }
            Err(error) => Err(error),
        }
    }

    /// The first frame settles what headers may leave open: the true size, and an orientation that stands
    /// only with the frame (EXIF).
    fn decode_first(&mut self, options: &Options, matrix: Option<&[u8]>) -> Result<(), VideoError> {
        if !self.decode()? {
            return Err(VideoError::NoFrames);
        }
        self.pending = true;
        let (width, height) = (self.decoded.width(), self.decoded.height());
        check_size(width, height)?;
        self.stored_size = (width, height);
        let exif = self.decoded.side_data(frame::side_data::Type::DisplayMatrix);
        let matrix = matrix.or_else(|| exif.as_ref().map(frame::SideData::data));
        self.orientation = Orientation::choose(options.rotate, matrix);
        (self.info.width, self.info.height) = self.orientation.upright(width, height);
        self.pixel_aspect = self.upright_pixel_aspect();
        Ok(())
    }

    /// What pictures say of it is their resolution in print, which is often nonsense.
    fn upright_pixel_aspect(&self) -> f64 {
        let stored = f64::from(self.decoded.aspect_ratio());
        let plausible = 1.0 / LONGEST_PIXEL..=LONGEST_PIXEL;
        if self.is_picture || !plausible.contains(&stored) {
            return 1.0;
        }
        match self.orientation.upright(1, 2) {
            (1, _) => stored,
            _ => 1.0 / stored,
        }
    }

    /// Decodes the next frame into `self.decoded`; `false` after the last.
    fn decode(&mut self) -> Result<bool, VideoError> {
        loop {
            match self.decoder.receive_frame(&mut self.decoded) {
                Ok(()) => {
                    // The decoder made something up here.
                    self.damaged_packets += u64::from(self.decoded.has_decode_errors());
                    return Ok(true);
                }
                Err(ffmpeg::Error::Eof) => return Ok(false),
                Err(ffmpeg::Error::Other { errno: EAGAIN }) => {}
                Err(_) => {
                    self.damaged_packets += 1;
                    continue;
                }
            }
            if self.draining {
                return Ok(false);
            }
            match self.next_packet()? {
                Some(packet) => {
                    if self.decoder.send_packet(&packet).is_err() {
                        self.damaged_packets += 1;
                    }
                }
                None => {
                    self.draining = true;
                    // The decoder refuses only when it has nothing left, which the next call tells.
                    let _ = self.decoder.send_eof();
                }
            }
        }
    }

    /// The next packet of the stream; `None` at the end of the file.
    fn next_packet(&mut self) -> Result<Option<Packet>, VideoError> {
        loop {
            // A new one each time: reading into one that is full would lose what it holds.
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) => {
                    if let Some(stream) = self.input.stream(packet.stream()) {
                        self.ending.add(&packet, stream.time_base());
                    }
                    if packet.stream() == self.stream {
                        return Ok(Some(packet));
                    }
                }
                Err(ffmpeg::Error::Other { errno: EAGAIN }) => {}
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(source) => return Err(VideoError::Broken { frames: self.frames, source }),
            }
        }
    }

    fn timestamp(&mut self) -> Option<Duration> {
        let ticks = self.decoded.timestamp()?;
        let first = *self.first_timestamp.get_or_insert(ticks);
        Duration::try_from_secs_f64(ticks.checked_sub(first)? as f64 * f64::from(self.time_base)).ok()
    }

    /// Copies the planes of the decoded frame, where they are wanted, upright and of the kind that engines know.
    fn in_planes(&self, timestamp: Option<Duration>) -> Option<Frame> {
        if !self.keeps_planes || !self.orientation.is_upright() {
            return None;
        }
        let matrix = scaler::matrix(&self.decoded)?;
        let planes = 0..self.decoded.planes();
        // A picture that is stored from the bottom up has negative strides.
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

    /// Converts the decoded frame into one of the pool's.
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

    /// Hands the decoded frame out.
    fn deliver(&mut self) -> Result<Frame, VideoError> {
        let found = (self.decoded.width(), self.decoded.height());
        if found != self.stored_size {
            let expected = self.stored_size;
            return Err(VideoError::SizeChanged { frame: self.frames, expected, found });
        }
        let timestamp = self.timestamp();
        let frame = match self.in_planes(timestamp) {
            Some(frame) => frame,
            None => self.in_pixels(timestamp)?,
        };
        self.timing.add(timestamp);
        self.frames += 1;
        Ok(frame)
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
        if std::mem::take(&mut self.pending) || self.decode()? {
            return self.deliver().map(Some);
        }
        if self.ending.is_cut_off() {
            let announced = self.info.announced_frames.unwrap_or(0);
            return Err(VideoError::Truncated { frames: self.frames, announced });
        }
        Ok(None)
    }

    fn summary(&self) -> DecodeSummary {
        let tick = Duration::try_from_secs_f64(f64::from(self.time_base)).unwrap_or_default();
        DecodeSummary {
            frames: self.frames,
            damaged_packets: self.damaged_packets,
            variable_rate: self.timing.variable(self.info.frame_rate, tick),
        }
    }
}

/// Registers the words of FFmpeg's errors and, before FFmpeg 4, its formats: without, nothing opens.
pub(super) fn start_ffmpeg() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It cannot fail: the registrations return nothing.
        let _ = ffmpeg::init();
        // FFmpeg writes to standard error on its own; what matters comes back as errors.
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
    });
}

/// The path as FFmpeg takes it: with its protocol, so that a colon in a name is no protocol.
fn url(path: &Path) -> Result<String, VideoError> {
    if path == Path::new(STDIN) {
        return Ok("pipe:0".to_owned());
    }
    let failed = |source| VideoError::Read { path: path.to_owned(), source };
    if !path.try_exists().map_err(failed)? {
        return Err(VideoError::not_found(path));
    }
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_file() {
        if metadata.len() == 0 {
            return Err(VideoError::Empty);
        }
        // FFmpeg's words for a refusal are no help; the system's are.
        fs::File::open(path).map_err(failed)?;
    }
    let text = path.to_str().ok_or_else(|| VideoError::PathNotUtf8(path.to_owned()))?;
    Ok(format!("file:{text}"))
}

/// The video stream to decode; cover art of a sound file is none.
fn best_stream(input: &Input) -> Result<Stream<'_>, VideoError> {
    let moving = |stream: &Stream<'_>| {
        stream.parameters().medium() == media::Type::Video
            && !stream.disposition().contains(Disposition::ATTACHED_PIC)
    };
    let best = input.streams().best(media::Type::Video).filter(moving);
    best.or_else(|| input.streams().find(moving)).ok_or_else(|| {
        let mut kinds: Vec<String> = input
            .streams()
            .map(|stream| format!("{:?}", stream.parameters().medium()).to_lowercase())
            .map(|kind| if kind == "video" { "a cover picture".to_owned() } else { kind })
            .collect();
        kinds.dedup();
        VideoError::NoVideoStream(if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") })
    })
}

fn open_decoder(
    parameters: codec::Parameters,
    codec: Codec,
    threads: usize,
    options: Dictionary<'_>,
) -> Result<codec::decoder::Video, VideoError> {
    let mut context = codec::Context::from_parameters(parameters).map_err(VideoError::Decoder)?;
    let threading = threading::Config::kind(threading::Type::Frame);
    context.set_threading(threading::Config { count: threads, ..threading });
    let opened = context.decoder().open_as_with(codec, options).map_err(VideoError::Decoder)?;
    opened.video().map_err(VideoError::Decoder)
}

/// Single pictures come through demuxers of their own.
fn is_picture(input: &Input) -> bool {
    let format = input.format();
    format.name().ends_with("_pipe") || format.name() == "image2"
}

/// The average rate; where it cannot be right, the base rate. Pictures have none, so they take `given`.
fn frame_rate(stream: &Stream<'_>, given: Option<FrameRate>, is_picture: bool) -> FrameRate {
    let exact = |rate: Rational| {
        FrameRate::new(u32::try_from(rate.numerator()).ok()?, u32::try_from(rate.denominator()).ok()?)
    };
    let own = || exact(stream.avg_frame_rate()).or_else(|| exact(stream.rate()));
    let rate = if is_picture { given } else { own().or(given) };
    rate.unwrap_or(FrameRate::DEFAULT)
}

/// From the file's duration, which is in microseconds.
fn estimated_frames(input: &Input, rate: FrameRate) -> Option<u64> {
    let seconds = input.duration() as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE);
    (seconds > 0.0).then(|| (seconds * rate.as_f64()).round() as u64).filter(|&frames| frames > 0)
}
