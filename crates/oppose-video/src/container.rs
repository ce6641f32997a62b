//! Opening files for FFmpeg, so that no file can make it open another one.
//!
//! FFmpeg treats any text file that looks like a playlist or a script as one, and then opens every file that it names
//! with the rights of the user who runs this program. Therefore FFmpeg opens nothing here: it reads bytes that we read
//! for it, formats that consist of other files are refused before their header is read, and the callback through which
//! FFmpeg opens further files refuses.
//!
//! ffmpeg-next cannot choose the format in advance or set these callbacks, so libavformat is called directly.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::ptr;

use ffmpeg_next::format::context::{Input, Output, StreamIo};
use ffmpeg_next::util::error::{EINVAL, ENOMEM};
use ffmpeg_next::{Dictionary, Error, Packet, ffi};

use super::{STDIN, VideoError};

/// FFmpeg's names of the formats that consist of other files, or are scripts that it would run.
const OPEN_OTHERS: [&str; 14] = [
    "applehttp",
    "avisynth",
    "concat",
    "dash",
    "dvdvideo",
    "hls",
    "imf",
    "rtp",
    "rtsp",
    "sap",
    "sdp",
    "vapoursynth",
    "vobsub",
    "webm_dash_manifest",
];

/// FFmpeg's name for numbered pictures, which it opens one by one.
const NUMBERED_PICTURES: &str = "image2";

/// Its name for pictures that come as one stream of bytes.
const PICTURE_STREAM: &CStr = c"image2pipe";

/// Protocols that FFmpeg may use: none has this name.
const NO_PROTOCOL: &str = "none";

/// Length of the longest suffix that is passed to FFmpeg; it knows none that is longer.
const MAX_SUFFIX: usize = 16;

/// Bytes for FFmpeg to read.
pub(super) struct Bytes {
    pub(super) io: StreamIo,
    /// A name for FFmpeg, which recognizes some formats only by their suffix. No file has this name.
    name: CString,
}

impl Bytes {
    /// The bytes of a file, or of standard input for [`STDIN`].
    pub(super) fn open(path: &Path) -> Result<Self, VideoError> {
        let failed = |error| VideoError::Read { path: path.to_owned(), source: error };
        if path == Path::new(STDIN) {
            let input = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
            return Self::new(StreamIo::from_read(File::from(input)), None);
        }
        if !path.try_exists().map_err(failed)? {
            return Err(VideoError::not_found(path));
        }
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_file() && metadata.len() == 0 {
            return Err(VideoError::Empty);
        }
        let file = File::open(path).map_err(failed)?;
        // Named pipes and terminals cannot seek.
        let io = if metadata.is_file() { StreamIo::from_read_seek(file) } else { StreamIo::from_read(file) };
        Self::new(io, path.extension())
    }

    /// Bytes from elsewhere; `suffix` is the one that a file with these bytes would have.
    pub(super) fn new(io: Result<StreamIo, Error>, suffix: Option<&OsStr>) -> Result<Self, VideoError> {
        let is_plain = |suffix: &&str| {
            suffix.len() <= MAX_SUFFIX && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let suffix = suffix.and_then(OsStr::to_str).filter(is_plain);
        let name = suffix.map_or_else(|| "video".to_owned(), |suffix| format!("video.{suffix}"));
        // Letters and digits contain no zero.
        let name = CString::new(name).unwrap_or_default();
        Ok(Self { io: io.map_err(VideoError::unrecognized)?, name })
    }
}

/// Opens the video in these bytes and finds its streams.
///
/// # Errors
/// The format is unknown, or consists of other files.
pub(super) fn open(bytes: Bytes) -> Result<Input, VideoError> {
    let Bytes { mut io, name } = bytes;
    // SAFETY: `io` and `name` live until the end of this function, `io` longer where the result takes it over. A zeroed
    // pointer is a null pointer, which stands for "not known"; formats are static.
    let format = unsafe {
        let mut format = std::mem::zeroed();
        let score = ffi::av_probe_input_buffer2(
            io.as_mut_ptr(),
            &raw mut format,
            name.as_ptr(),
            ptr::null_mut(),
            0,
            0,
        );
        if score < 0 || format.is_null() {
            return Err(VideoError::unrecognized(if score < 0 { score.into() } else { Error::InvalidData }));
        }
        match CStr::from_ptr((*format).name).to_string_lossy() {
            numbered if numbered == NUMBERED_PICTURES => ffi::av_find_input_format(PICTURE_STREAM.as_ptr()),
            known if known.split(',').any(|name| OPEN_OTHERS.contains(&name)) => {
                return Err(VideoError::OpensOthers(known.into_owned()));
            }
            _ => format,
        }
    };
    if format.is_null() {
        return Err(VideoError::unrecognized(Error::InvalidData));
    }
    let mut options = Dictionary::new();
    options.set("protocol_whitelist", NO_PROTOCOL);
    // SAFETY: as above. The context is ours until it is wrapped or closed; FFmpeg frees it where opening fails.
    unsafe {
        let name_of_format = CStr::from_ptr((*format).name).to_string_lossy();
        // Inherited by every context that a demuxer opens inside this one.
        options.set("format_whitelist", &name_of_format);
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(VideoError::unrecognized(Error::Other { errno: ENOMEM }));
        }
        (*context).pb = io.as_mut_ptr();
        (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        (*context).io_open = Some(refuse);
        let mut options = options.disown();
        let opened = ffi::avformat_open_input(&raw mut context, name.as_ptr(), format, &raw mut options);
        // FFmpeg returns the options that it did not understand; they are freed here.
        drop(Dictionary::own(options));
        if opened < 0 {
            return Err(VideoError::unrecognized(opened.into()));
        }
        let input = Input::wrap_with_custom_io(context, io);
        match ffi::avformat_find_stream_info(context, ptr::null_mut()) {
            found if found < 0 => Err(VideoError::unrecognized(found.into())),
            _ => Ok(input),
        }
    }
}

/// The callback through which FFmpeg opens other files: it refuses.
unsafe extern "C" fn refuse(
    _context: *mut ffi::AVFormatContext,
    file: *mut *mut ffi::AVIOContext,
    _url: *const c_char,
    _flags: c_int,
    _options: *mut *mut ffi::AVDictionary,
) -> c_int {
    // SAFETY: FFmpeg passes the address of a pointer of its own.
    unsafe { *file = ptr::null_mut() };
    ffi::AVERROR(EINVAL)
}

/// Whether timestamps may jump in this format, because it is made to be cut and joined: MPEG's streams.
pub(super) fn clock_may_jump(input: &Input) -> bool {
    // SAFETY: an open context has a format, which is static.
    unsafe { (*(*input.as_ptr()).iformat).flags & ffi::AVFMT_TS_DISCONT != 0 }
}

/// The error with which reading failed, if it did. Many demuxers report it as the end of the file.
pub(super) fn read_error(input: &Input) -> Option<Error> {
    // SAFETY: an open context that was given its bytes keeps pointing to them.
    let error = unsafe { (*input.as_ptr()).pb.as_ref().map_or(0, |bytes| bytes.error) };
    (error < 0).then(|| Error::from(error)).filter(|error| *error != Error::Eof)
}

/// Whether a packet, from before the beginning of an edit list, is decoded only for the sake of those after it.
pub(super) fn is_discarded(packet: &Packet) -> bool {
    use ffmpeg_next::packet::Ref as _;
    // SAFETY: the packet is alive.
    unsafe { (*packet.as_ptr()).flags & ffi::AV_PKT_FLAG_DISCARD != 0 }
}

/// Sets how long the last picture of a GIF is shown, in hundredths of a second: known once the others are written.
pub(super) fn set_final_delay(output: &mut Output, ticks: i64) {
    // SAFETY: an open context of a muxer with options of its own has them in `priv_data`; a muxer without is left alone.
    // The name ends in a zero. That FFmpeg does not know the option is no error: the delay is then that of the others.
    unsafe {
        let options = (*output.as_mut_ptr()).priv_data;
        if !options.is_null() {
            let _ = ffi::av_opt_set_int(options, c"final_delay".as_ptr(), ticks, 0);
        }
    }
}
