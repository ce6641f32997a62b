//! Frames, and where they come from.
//!
//! The vocabulary is always there: implement [`Source`] for frames of your own. With the feature `video`, `open` decodes
//! video files, pictures, folders of pictures and pipes, and `Encoder` writes videos.

pub use oppose_core::{
    ColorMatrix, DecodeSummary, Frame, FramePool, FrameRate, FrameRateError, FrameSizeError, MAX_PIXELS,
    MAX_SIDE, MIN_SIDE, Note, Planes, RateSource, Source, SourceError, VideoInfo,
};
#[cfg(feature = "video")]
pub use oppose_video::{
    Colors, EncodeError, Encoder, EncoderOptions, FfmpegError, Input, OVERLAY_SUFFIXES, Options,
    PICTURE_SUFFIXES, Rotate, STDIN, VIDEO_SUFFIXES, VideoError, VideosBelow, ffmpeg_version, open,
    videos_below,
};
