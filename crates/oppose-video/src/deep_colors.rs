//! Colours of video with ten or twelve bits, in 4:2:0.
//!
//! FFmpeg's versions convert it differently: up to 7, chroma is not interpolated where it lies, and the vector code for BGR
//! rounds otherwise than the code for RGB. Version 8 interpolates. These are its numbers for RGB with bilinear
//! interpolation, as PyAV 18 asks for, whatever FFmpeg this program was built with.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;

/// Bits of the values between the steps.
const WORKING_BITS: u32 = 15;
/// Chroma lies on every other column of luma, and between two rows: to the middle of two columns it is a quarter of the way
/// to the next sample, and so it is from each row to the nearest row of chroma.
const NEAR: u32 = 3;
const FAR: u32 = 1;
/// Number of sums of luma and chroma that have a value, and where that of 0 and grey lies, for luma of 16 to 235 and for
/// that of 0 to 255.
const SUMS: usize = 2048;
const HEADROOM: i64 = 512;
const LIMITED_ORIGIN: i64 = 326;
const FULL_ORIGIN: i64 = 384;

/// The bits of a frame that is converted here; `None` where libswscale does it.
pub(super) fn depth(frame: &frame::Video) -> Option<u32> {
    let has_whole_chroma = frame.width().is_multiple_of(2) && frame.height().is_multiple_of(2);
    match frame.format() {
        Pixel::YUV420P10LE if has_whole_chroma => Some(10),
        Pixel::YUV420P12LE if has_whole_chroma => Some(12),
        _ => None,
    }
}

/// The conversion for one matrix and range.
pub(super) struct DeepColors {
    /// The level for each sum of luma and chroma.
    levels: [u8; SUMS],
    /// What each value of chroma adds to the sum; the origin is in those of v and, for blue, of u.
    red_v: [i64; 256],
    green_v: [i64; 256],
    green_u: [i64; 256],
    blue_u: [i64; 256],
    /// The two planes of chroma in the middle of each two columns, kept for their memory.
    chroma: [Vec<u16>; 2],
}

impl DeepColors {
    /// From the factors of `[red v, blue u, green u, green v]` in 1/65536, the last two taken off.
    pub(super) fn new([red_v, blue_u, green_u, green_v]: [i32; 4], is_full_range: bool) -> Self {
        let (luma, black, origin) = match is_full_range {
            true => (1 << 16, 0, FULL_ORIGIN),
            false => ((1_i64 << 16) * 255 / 219, 16 << 16, LIMITED_ORIGIN),
        };
        let start = -(384 << 16) - HEADROOM * luma - black;
        let level = |sum: usize| ((start + luma * sum as i64 + 0x8000) >> 16).clamp(0, 255) as u8;
        let additions = |factor: i64, origin: i64| {
            let factor = if is_full_range { factor * 224 / 255 } else { factor };
            // In units of luma.
            let factor = ((factor << 16) + 0x8000) / luma;
            std::array::from_fn(|chroma| origin - (factor >> 9) + ((factor * chroma as i64) >> 16))
        };
        let origin = HEADROOM + origin;
        Self {
            levels: std::array::from_fn(level),
            red_v: additions(red_v.into(), origin),
            green_v: additions(-i64::from(green_v), origin),
            green_u: additions(-i64::from(green_u), 0),
            blue_u: additions(blue_u.into(), origin),
            chroma: [Vec::new(), Vec::new()],
        }
    }

    /// Converts a frame of so many bits into `bgr`, which holds width * height * 3 bytes. `false` where the frame has not
    /// all its rows.
    pub(super) fn run(&mut self, frame: &frame::Video, depth: u32, bgr: &mut [u8]) -> bool {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let mut chroma = std::mem::take(&mut self.chroma);
        let is_whole = chroma.iter_mut().enumerate().all(|(i, chroma)| {
            chroma.clear();
            let mut rows = (0..height / 2).map(|y| row(frame, 1 + i, y, width / 2));
            rows.all(|row| row.map(|row| spread(row, depth, chroma)).is_some())
        });
        let is_done = is_whole
            && bgr.chunks_exact_mut(3 * width).enumerate().all(|(y, bgr)| {
                // Of the two rows of chroma around it, the near one and the far one.
                let near = y / 2;
                let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(height / 2 - 1) };
                let rows = |plane: &[u16]| {
                    let start = |y: usize| y * (width / 2);
                    plane[start(near)..].iter().zip(&plane[start(far)..]).take(width / 2).map(mean).collect()
                };
                let [u, v]: [Vec<usize>; 2] = [rows(&chroma[0]), rows(&chroma[1])];
                let luma = row(frame, 0, y, width);
                luma.map(|luma| self.convert_row(luma, depth, [&u, &v], bgr)).is_some()
            });
        self.chroma = chroma;
        is_done
    }

    fn convert_row(&self, luma: &[u8], depth: u32, [u, v]: [&[usize]; 2], bgr: &mut [u8]) {
        let chroma = u.iter().zip(v).flat_map(|(&u, &v)| [(u, v); 2]);
        for ((pixel, luma), (u, v)) in bgr.as_chunks_mut().0.iter_mut().zip(luma.as_chunks().0).zip(chroma) {
            let luma = i64::from((sample(*luma, depth) + (1 << 6)) >> 7);
            let level = |sum: i64| {
                usize::try_from(luma + sum).ok().and_then(|sum| self.levels.get(sum)).copied().unwrap_or(0)
            };
            *pixel = [level(self.blue_u[u]), level(self.green_v[v] + self.green_u[u]), level(self.red_v[v])];
        }
    }
}

/// The bytes of so many samples of a row of a plane.
fn row(frame: &frame::Video, plane: usize, y: usize, samples: usize) -> Option<&[u8]> {
    let start = y.checked_mul(frame.stride(plane))?;
    frame.data(plane).get(start..)?.get(..2 * samples)
}

/// A sample in working bits.
fn sample(bytes: [u8; 2], depth: u32) -> u32 {
    u32::from(u16::from_le_bytes(bytes)).min((1 << depth) - 1) << (WORKING_BITS - depth)
}

/// Adds a row of chroma in the middle of each two columns, in working bits.
fn spread(row: &[u8], depth: u32, chroma: &mut Vec<u16>) {
    let samples = row.as_chunks().0;
    let next = samples.iter().skip(1).chain(samples.last());
    chroma.extend(samples.iter().zip(next).map(|(&one, &next)| {
        let sum = NEAR * sample(one, depth) + FAR * sample(next, depth);
        (sum / (NEAR + FAR)) as u16
    }));
}

/// Chroma between two rows, in 8 bits.
fn mean((&near, &far): (&u16, &u16)) -> usize {
    let sum = NEAR * u32::from(near) + FAR * u32::from(far);
    // From 17 bits to 8, rounded.
    (((sum + (1 << 8)) >> 9) as usize).min(255)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BT601: [i32; 4] = [104_597, 132_201, 25_675, 53_279];

    fn convert(width: u32, height: u32, [luma, u, v]: [fn(usize) -> u16; 3], is_full_range: bool) -> Vec<u8> {
        let mut frame = frame::Video::new(Pixel::YUV420P10LE, width, height);
        for (plane, value) in [luma, u, v].into_iter().enumerate() {
            let samples = if plane == 0 { width as usize } else { width as usize / 2 };
            let stride = frame.stride(plane);
            for row in frame.data_mut(plane).chunks_mut(stride) {
                for (x, bytes) in row.chunks_exact_mut(2).take(samples).enumerate() {
                    bytes.copy_from_slice(&value(x).to_le_bytes());
                }
            }
        }
        let mut bgr = vec![0; (width * height * 3) as usize];
        assert!(DeepColors::new(BT601, is_full_range).run(&frame, 10, &mut bgr));
        bgr
    }

    #[test]
    fn levels_are_those_of_ffmpegs_table() {
        // Which makes white and grey a little too dark.
        for (luma, level) in [(64, 0), (940, 253), (502, 126)] {
            let value: fn(usize) -> u16 = match luma {
                64 => |_| 64,
                940 => |_| 940,
                _ => |_| 502,
            };
            assert_eq!(convert(16, 4, [value, |_| 512, |_| 512], false), vec![level; 16 * 4 * 3]);
        }
        assert_eq!(convert(16, 2, [|_| 1023, |_| 512, |_| 512], true), vec![255; 16 * 2 * 3]);
    }

    #[test]
    fn samples_of_too_many_bits_are_no_panic() {
        convert(16, 4, [|_| u16::MAX, |_| u16::MAX, |_| 0], false);
    }

    #[test]
    fn chroma_changes_between_its_samples() {
        let bgr = convert(16, 2, [|_| 502, |_| 512, |x| if x < 4 { 512 } else { 912 }], false);
        let red: Vec<u8> = bgr[..48].iter().skip(2).step_by(3).copied().collect();
        // The fourth sample of chroma belongs to columns 6 and 7, of which a quarter is the fifth one's.
        assert_eq!(red[..6], [126; 6]);
        assert!(red[6] == red[7] && red[6] > 150 && red[6] < red[8], "{red:?}");
    }
}
