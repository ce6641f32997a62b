//! FFmpeg's colour conversion, from the decoder's pixel format to packed BGR.
//!
//! ffmpeg-next's own scaler has no setting for the colour matrix of a video, cannot move to another thread, and
//! cannot write to memory that is not FFmpeg's; so libswscale is called directly, only here.
#![allow(unsafe_code)]

use std::ptr;

use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;

use super::deep_colors::{self, DeepColors};
use super::{ColorMatrix, Colors};

/// Largest number of pixels that FFmpeg's vector code writes at once. If the length of a row is not a multiple of it, the
/// last block is written in full all the same.
const BLOCK: u32 = 64;

/// The properties of a frame that decide how it is converted.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    format: Pixel,
    width: u32,
    height: u32,
    color_space: ffmpeg_next::color::Space,
    color_range: ffmpeg_next::color::Range,
}

impl Key {
    fn of(frame: &frame::Video, colors: Colors) -> Self {
        let (color_space, color_range) = tags(frame, colors);
        Self {
            format: frame.format(),
            width: frame.width(),
            height: frame.height(),
            color_space,
            color_range,
        }
    }
}

/// The tags that are used. With OpenCV, libswscale knows only the pixel format.
fn tags(frame: &frame::Video, colors: Colors) -> (ffmpeg_next::color::Space, ffmpeg_next::color::Range) {
    match colors {
        Colors::Auto => (frame.color_space(), frame.color_range()),
        Colors::Bt601 => (ffmpeg_next::color::Space::Unspecified, ffmpeg_next::color::Range::Unspecified),
    }
}

/// A converter for frames of one kind, replaced when the kind changes.
#[derive(Default)]
pub(super) struct Scaler {
    colors: Colors,
    context: Option<(Key, Context)>,
    /// For frames of more than 8 bits.
    deep: Option<(Key, DeepColors)>,
    /// Rows with room after them, for sizes whose packed rows have none.
    padded: Vec<u8>,
}

impl Scaler {
    pub(super) fn new(colors: Colors) -> Self {
        Self { colors, ..Self::default() }
    }

    /// Converts `frame` to `bgr`, which holds width * height * 3 bytes. Returns `false` if FFmpeg cannot
    /// convert this format.
    pub(super) fn run(&mut self, frame: &frame::Video, bgr: &mut [u8]) -> bool {
        let key = Key::of(frame, self.colors);
        if let Some(depth) = deep_colors::depth(frame) {
            let known = self.deep.take().filter(|(known, _)| *known == key);
            let (_, deep) = self.deep.insert(known.unwrap_or_else(|| {
                let is_full_range = key.color_range == ffmpeg_next::color::Range::JPEG;
                (key, DeepColors::new(factors(key.color_space), is_full_range))
            }));
            return deep.run(frame, depth, bgr);
        }
        let context = match self.context.take().filter(|(known, _)| *known == key) {
            Some((_, context)) => context,
            None => match Context::new(&key) {
                Some(context) => context,
                None => return false,
            },
        };
        let (_, context) = self.context.insert((key, context));
        let row = key.width as usize * 3;
        if key.width.is_multiple_of(BLOCK) {
            return context.run(frame, bgr, row);
        }
        let stride = key.width.next_multiple_of(BLOCK) as usize * 3;
        self.padded.resize(stride * key.height as usize, 0);
        let converted = context.run(frame, &mut self.padded, stride);
        for (packed, padded) in bgr.chunks_exact_mut(row).zip(self.padded.chunks_exact(stride)) {
            packed.copy_from_slice(&padded[..row]);
        }
        converted
    }
}

/// libswscale's number of a colour space. Unnamed and unusual ones count as BT.601.
fn space(space: ffmpeg_next::color::Space) -> i32 {
    let space = ffi::AVColorSpace::from(space) as i32;
    if matches!(space, 1..=7 | 9 | 10) { space } else { ffi::SWS_CS_DEFAULT }
}

/// The colour matrix of a frame's planes; `None` if they are not 8-bit luma and chroma in 4:2:0.
pub(super) fn matrix(frame: &frame::Video, colors: Colors) -> Option<ColorMatrix> {
    let (color_space, color_range) = tags(frame, colors);
    let is_full_range = match (frame.format(), color_range) {
        (Pixel::YUV420P | Pixel::YUVJ420P, ffmpeg_next::color::Range::JPEG) => true,
        (Pixel::YUV420P | Pixel::YUVJ420P, ffmpeg_next::color::Range::MPEG) => false,
        (Pixel::YUV420P, _) => false,
        (Pixel::YUVJ420P, _) => true,
        _ => return None,
    };
    Some(ColorMatrix::new(factors(color_space), is_full_range))
}

/// What red and blue add of v and u, and green takes off of u and v, in 1/65536.
fn factors(color_space: ffmpeg_next::color::Space) -> [i32; 4] {
    // SAFETY: FFmpeg has a table of four numbers for every colour space that `space` gives, which is static.
    unsafe { *ffi::sws_getCoefficients(space(color_space)).cast::<[i32; 4]>() }
}

/// An owned `SwsContext`.
struct Context(ptr::NonNull<ffi::SwsContext>);

// SAFETY: a SwsContext belongs to no thread; it is only ever used through `&mut`.
unsafe impl Send for Context {}

impl Context {
    fn new(key: &Key) -> Option<Self> {
        let (width, height) = (i32::try_from(key.width).ok()?, i32::try_from(key.height).ok()?);
        let format = key.format.into();
        // SAFETY: plain values and null pointers, which mean no filters and no parameters. The flag is the one that
        // the ffmpeg program uses, so that the pixels are the same.
        let context = unsafe {
            ffi::sws_getContext(
                width,
                height,
                format,
                width,
                height,
                ffi::AVPixelFormat::AV_PIX_FMT_BGR24,
                ffmpeg_next::software::scaling::Flags::BICUBIC.bits(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            )
        };
        let mut context = Self(ptr::NonNull::new(context)?);
        context.set_colors(key);
        Some(context)
    }

    /// Sets the frame's own matrix and range if it names them, as the ffmpeg program does.
    fn set_colors(&mut self, key: &Key) {
        let (mut inverse, mut table) = (ptr::null_mut(), ptr::null_mut());
        let (mut source_range, mut range, mut brightness, mut contrast, mut saturation) = (0, 0, 0, 0, 0);
        // SAFETY: the context is alive and all pointers are to locals. The tables that come back belong to
        // the context or are static, and are only handed back to it.
        unsafe {
            let known = ffi::sws_getColorspaceDetails(
                self.0.as_ptr(),
                &raw mut inverse,
                &raw mut source_range,
                &raw mut table,
                &raw mut range,
                &raw mut brightness,
                &raw mut contrast,
                &raw mut saturation,
            );
            // RGB sources have no such details.
            if known < 0 {
                return;
            }
            match key.color_range {
                ffmpeg_next::color::Range::JPEG => source_range = 1,
                ffmpeg_next::color::Range::MPEG => source_range = 0,
                ffmpeg_next::color::Range::Unspecified => {}
            }
            let coefficients = ffi::sws_getCoefficients(space(key.color_space));
            ffi::sws_setColorspaceDetails(
                self.0.as_ptr(),
                coefficients,
                source_range,
                table,
                range,
                brightness,
                contrast,
                saturation,
            );
        }
    }

    /// Converts to rows of `stride` bytes.
    fn run(&mut self, frame: &frame::Video, rows: &mut [u8], stride: usize) -> bool {
        let height = frame.height();
        let Ok(line) = i32::try_from(stride) else { return false };
        assert!(rows.len() >= stride * height as usize, "a row for every line of the frame");
        let target = [rows.as_mut_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut()];
        let lines = [line, 0, 0, 0];
        // SAFETY: the frame has the format and size the context was made for (`Key`), so its planes hold
        // what is read; `rows` holds `height` rows of `stride` bytes (asserted), each with room for whole blocks
        // of FFmpeg's vector code (`BLOCK`; a test looks behind the last row).
        let converted = unsafe {
            let source = frame.as_ptr();
            ffi::sws_scale(
                self.0.as_ptr(),
                (*source).data.as_ptr().cast(),
                (*source).linesize.as_ptr(),
                0,
                height as i32,
                target.as_ptr(),
                lines.as_ptr(),
            )
        };
        converted == height as i32
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context came from sws_getContext and is freed once.
        unsafe { ffi::sws_freeContext(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_behind_the_last_row() {
        crate::reader::start_ffmpeg();
        let formats = [Pixel::YUV420P, Pixel::YUVJ420P, Pixel::YUV422P, Pixel::YUV444P, Pixel::NV12];
        for format in formats.into_iter().chain([Pixel::YUV420P10LE, Pixel::RGB24, Pixel::BGRA, Pixel::GRAY8])
        {
            for width in 16..=272 {
                let frame = frame::Video::new(format, width, 16);
                let key = Key::of(&frame, Colors::Auto);
                let stride = width.next_multiple_of(BLOCK) as usize * 3;
                let mut rows = vec![0xab; stride * 16 + 256];
                assert!(Context::new(&key).unwrap().run(&frame, &mut rows, stride));
                let behind = &rows[stride * 16..];
                assert!(behind.iter().all(|&byte| byte == 0xab), "{format:?}, {width} wide");
            }
        }
    }
}
