//! The kinds of files that can be written, and their encoders.

use std::path::Path;

use ffmpeg_next::codec::{self, encoder};
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::format::{Pixel, Sample};
use ffmpeg_next::{Dictionary, Rational, color};

use crate::FrameRate;

/// A kind of file: its suffix, FFmpeg's name of the container, the encoders in order of preference and their pixel format,
/// the sound that it can hold, and the encoder for other sound.
pub(super) struct Kind {
    pub suffix: &'static str,
    pub container: &'static str,
    pub encoders: &'static [&'static str],
    pub pixels: Pixel,
    pub audio: &'static [codec::Id],
    pub audio_encoder: Option<AudioEncoder>,
}

/// An encoder of sound: FFmpeg's name of it, and the sample format that it takes.
pub(super) struct AudioEncoder {
    pub name: &'static str,
    pub samples: Sample,
}

impl Kind {
    /// Whether FFmpeg has one of the encoders.
    pub fn is_available(&self) -> bool {
        self.encoders.iter().any(|name| encoder::find_by_name(name).is_some())
    }
}

const H264: &[&str] = &["libx264", "libopenh264"];
const MP4_AUDIO: &[codec::Id] =
    &[codec::Id::AAC, codec::Id::MP3, codec::Id::AC3, codec::Id::EAC3, codec::Id::OPUS, codec::Id::ALAC];
const MKV_AUDIO: &[codec::Id] = &[
    codec::Id::AAC,
    codec::Id::MP2,
    codec::Id::MP3,
    codec::Id::AC3,
    codec::Id::EAC3,
    codec::Id::OPUS,
    codec::Id::VORBIS,
    codec::Id::FLAC,
    codec::Id::ALAC,
    codec::Id::PCM_S16LE,
    codec::Id::PCM_S24LE,
    codec::Id::PCM_F32LE,
    codec::Id::PCM_U8,
];
const WEBM_AUDIO: &[codec::Id] = &[codec::Id::OPUS, codec::Id::VORBIS];

const AAC: Option<AudioEncoder> = Some(AudioEncoder { name: "aac", samples: Sample::F32(Type::Planar) });
const OPUS: Option<AudioEncoder> = Some(AudioEncoder { name: "libopus", samples: Sample::F32(Type::Packed) });

const KINDS: [Kind; 5] = [
    Kind {
        suffix: "mp4",
        container: "mp4",
        encoders: H264,
        pixels: Pixel::YUV420P,
        audio: MP4_AUDIO,
        audio_encoder: AAC,
    },
    Kind {
        suffix: "mov",
        container: "mov",
        encoders: H264,
        pixels: Pixel::YUV420P,
        audio: MP4_AUDIO,
        audio_encoder: AAC,
    },
    Kind {
        suffix: "mkv",
        container: "matroska",
        encoders: H264,
        pixels: Pixel::YUV420P,
        audio: MKV_AUDIO,
        audio_encoder: AAC,
    },
    Kind {
        suffix: "webm",
        container: "webm",
        encoders: &["libvpx-vp9", "libvpx"],
        pixels: Pixel::YUV420P,
        audio: WEBM_AUDIO,
        audio_encoder: OPUS,
    },
    // One palette for all frames, dithered by the scaler: a GIF has 256 colours.
    Kind {
        suffix: "gif",
        container: "gif",
        encoders: &["gif"],
        pixels: Pixel::RGB8,
        audio: &[],
        audio_encoder: None,
    },
];

/// The kind that the suffix of a path names.
pub(super) fn kind(path: &Path) -> Option<&'static Kind> {
    let suffix = path.extension()?.to_str()?;
    KINDS.iter().find(|kind| kind.suffix.eq_ignore_ascii_case(suffix))
}

/// The suffixes of all kinds that FFmpeg has an encoder for.
pub(super) fn available_suffixes() -> String {
    let suffixes = KINDS.iter().filter(|kind| kind.is_available()).map(|kind| format!(".{}", kind.suffix));
    suffixes.collect::<Vec<_>>().join(", ")
}

/// `None` if FFmpeg has none of the encoders.
pub(super) fn open_encoder(
    kind: &Kind,
    width: u32,
    height: u32,
    rate: FrameRate,
    time_base: Rational,
    wants_header: bool,
) -> Option<Result<encoder::Video, ffmpeg_next::Error>> {
    let (name, found) = kind.encoders.iter().find_map(|&name| Some((name, encoder::find_by_name(name)?)))?;
    let open = || {
        let mut context = codec::Context::new_with_codec(found);
        if wants_header {
            context.set_flags(codec::Flags::GLOBAL_HEADER);
        }
        let threads = codec::threading::Config::kind(codec::threading::Type::Frame);
        context.set_threading(codec::threading::Config { count: 0, ..threads });
        let mut video = context.encoder().video()?;
        video.set_width(width);
        video.set_height(height);
        video.set_format(kind.pixels);
        video.set_time_base(time_base);
        video.set_frame_rate(Some(rational(rate)));
        if kind.pixels == Pixel::YUV420P {
            // libswscale's default conversion from RGB; tagged, so that players apply its inverse.
            video.set_colorspace(color::Space::SMPTE170M);
            video.set_color_range(color::Range::MPEG);
        }
        let settings: &[(&str, &str)] = match name {
            // FFmpeg 3 ends an MP4 track with the last frame in decoding order, and hides those that are
            // shown later.
            "libx264" if format_version() < 58 => &[("preset", "veryfast"), ("crf", "20"), ("bf", "0")],
            "libx264" => &[("preset", "veryfast"), ("crf", "20")],
            "libvpx-vp9" => {
                &[("crf", "31"), ("b", "0"), ("deadline", "realtime"), ("cpu-used", "7"), ("row-mt", "1")]
            }
            "libvpx" => &[("crf", "10"), ("b", "4M"), ("deadline", "realtime"), ("cpu-used", "4")],
            _ => &[],
        };
        video.open_as_with(found, settings.iter().copied().collect::<Dictionary<'_>>())
    };
    Some(open())
}

/// The major version of libavformat.
fn format_version() -> u32 {
    ffmpeg_next::format::version() >> 16
}

pub(super) fn rational(rate: FrameRate) -> Rational {
    // Both come from FFmpeg's i32 or are a few thousand; no frame rate has larger ones.
    let side = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    Rational(side(rate.numerator()), side(rate.denominator()))
}
