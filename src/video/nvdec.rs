//! NVIDIA's decoders (NVDEC), as FFmpeg offers them beside its own.

use ffmpeg_next::codec::{self, decoder};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Codec, Dictionary};

/// Where videos are decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decoder {
    /// By the processor.
    #[default]
    Processor,
    /// By the GPU of this number (NVDEC): upright video of 8 bits in 4:2:0 with even sides, in a format that FFmpeg has
    /// such a decoder for ([`formats`]). The processor decodes everything else.
    Gpu(usize),
}

/// Names of formats, as FFmpeg has them for its own decoders and for NVIDIA's.
const NAMES: [(codec::Id, &str); 6] = [
    (codec::Id::H264, "h264"),
    (codec::Id::HEVC, "hevc"),
    (codec::Id::VP8, "vp8"),
    (codec::Id::VP9, "vp9"),
    (codec::Id::AV1, "av1"),
    (codec::Id::MPEG2VIDEO, "mpeg2"),
];

fn find(name: &str) -> Option<Codec> {
    decoder::find_by_name(&format!("{name}_cuvid"))
}

/// The formats for which the FFmpeg that is here has NVIDIA's decoders; whether there is a GPU is not asked.
pub fn formats() -> Vec<&'static str> {
    super::reader::start_ffmpeg();
    NAMES.iter().map(|(_, name)| *name).filter(|name| find(name).is_some()).collect()
}

/// What is to be opened for a video, and how; `None` where the processor decodes it. `plain` is what the file's header
/// says of it.
pub(super) fn choose(
    decoder: Decoder,
    format: codec::Id,
    plain: &decoder::Video,
    is_upright: bool,
) -> Option<(Codec, Dictionary<'static>)> {
    let Decoder::Gpu(gpu) = decoder else { return None };
    let is_plain = matches!(plain.format(), Pixel::YUV420P | Pixel::YUVJ420P);
    if !is_plain || !is_upright || plain.width() % 2 == 1 || plain.height() % 2 == 1 {
        return None;
    }
    let (_, name) = NAMES.iter().find(|(id, _)| *id == format)?;
    let mut options = Dictionary::new();
    options.set("gpu", &gpu.to_string());
    Some((find(name)?, options))
}
