//! The structure of files, as far as FFmpeg does not report it: whether a file ends where its parts say.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

/// Whether a file is as long as its parts announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// It is, or the missing part holds no frames.
    Whole,
    /// It ends within a part that holds frames.
    Cut,
    /// This kind of file does not say.
    Unknown,
}

/// What the parts of a file tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub length: Length,
    /// Number of recordings one after another, each with a header of its own.
    pub films: u64,
    /// Whether it is an MP4 file without an index.
    pub lacks_index: bool,
}

impl Found {
    fn only(length: Length) -> Self {
        Self { length, films: 1, lacks_index: false }
    }
}

/// Inspects the parts of a file; `format` is FFmpeg's name (the first of several).
///
/// # Errors
/// It cannot be read.
pub(super) fn inspect(format: &str, path: &Path) -> io::Result<Found> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut parts = Parts { file: BufReader::with_capacity(1 << 16, file), position: 0, size };
    match format {
        "avi" => riff(&mut parts).map(Found::only),
        "flv" => flv(&mut parts),
        "mov" => boxes(&mut parts),
        "matroska" => matroska(&mut parts).map(Found::only),
        _ => Ok(Found::only(Length::Unknown)),
    }
}

/// Whether this is an MP4 or MOV file that lacks its index.
pub(super) fn lacks_index(path: &Path) -> bool {
    inspect("mov", path).is_ok_and(|found| found.lacks_index)
}

/// Whether this is an animated WebP.
pub(super) fn is_animated_webp(path: &Path) -> bool {
    let look = || -> io::Result<bool> {
        let mut head = [0; 21];
        File::open(path)?.read_exact(&mut head)?;
        // The extended header's flags, of which the second bit means animation.
        Ok(&head[..4] == b"RIFF" && &head[8..16] == b"WEBPVP8X" && head[20] & 2 != 0)
    };
    look().unwrap_or(false)
}

/// A file that is read part by part.
struct Parts {
    file: BufReader<File>,
    position: u64,
    size: u64,
}

impl Parts {
    /// The next bytes; `None` if the file ends before they do.
    fn take<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {
                self.position += N as u64;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Skips this many bytes; `false` if the file ends before.
    fn skip(&mut self, bytes: u64) -> io::Result<bool> {
        let end = self.position.saturating_add(bytes);
        if end > self.size {
            return Ok(false);
        }
        self.file.seek_relative(bytes as i64)?;
        self.position = end;
        Ok(true)
    }

    fn is_at_end(&self) -> bool {
        self.position >= self.size
    }
}

/// AVI: RIFF chunks, later ones for what does not fit into the first.
fn riff(parts: &mut Parts) -> io::Result<Length> {
    let mut length = Length::Unknown;
    while let Some([b'R', b'I', b'F', b'F', size @ ..]) = parts.take::<8>()? {
        // A recording that was not finished has no size.
        let size = u64::from(u32::from_le_bytes(size));
        if size == 0 {
            return Ok(Length::Unknown);
        }
        if !parts.skip(size)? {
            return Ok(Length::Cut);
        }
        length = Length::Whole;
        if size % 2 == 1 && !parts.skip(1)? {
            break;
        }
    }
    Ok(length)
}

/// The boxes that an MP4 or MOV file may begin with.
const FIRST_BOXES: [&[u8; 4]; 10] =
    [b"ftyp", b"mdat", b"moov", b"free", b"wide", b"skip", b"pnot", b"moof", b"styp", b"sidx"];

/// MP4: boxes, of which `moov` is the index and `mdat` holds the frames.
fn boxes(parts: &mut Parts) -> io::Result<Found> {
    let (mut indices, mut boxes) = (0, 0_u64);
    let length = loop {
        if parts.is_at_end() {
            break if boxes > 0 { Length::Whole } else { Length::Unknown };
        }
        let Some([a, b, c, d, kind @ ..]) = parts.take::<8>()? else {
            break if boxes > 0 { Length::Cut } else { Length::Unknown };
        };
        if boxes == 0 && !FIRST_BOXES.contains(&&kind) {
            break Length::Unknown;
        }
        boxes += 1;
        indices += u64::from(&kind == b"moov");
        let size = match u32::from_be_bytes([a, b, c, d]) {
            // To the end of the file.
            0 => break Length::Whole,
            1 => match parts.take::<8>()?.map(u64::from_be_bytes) {
                Some(size) if size >= 16 => size - 16,
                Some(_) => break Length::Unknown,
                None => break Length::Cut,
            },
            size if size >= 8 => u64::from(size) - 8,
            // Damage: nothing is known about the rest.
            _ => break Length::Unknown,
        };
        if !parts.skip(size)? {
            let holds_frames = [b"mdat", b"moof", b"moov"].contains(&&kind);
            break if holds_frames { Length::Cut } else { Length::Whole };
        }
    };
    Ok(Found { length, films: indices.max(1), lacks_index: boxes > 0 && indices == 0 })
}

/// FLV: tags, each with its size before and after it.
fn flv(parts: &mut Parts) -> io::Result<Found> {
    let mut films = 0;
    let length = loop {
        if parts.is_at_end() {
            break Length::Whole;
        }
        let Some(beginning) = parts.take::<4>()? else { break Length::Cut };
        let size = match beginning {
            [b'F', b'L', b'V', _] => {
                films += 1;
                // Flags, the header's length, and the size of the tag before, which does not exist.
                5 + 4
            }
            [8 | 9 | 18, size @ ..] => {
                let [a, b, c] = size.map(u64::from);
                // The rest of the header, the data, and the size after it, which may be missing at the end of the file.
                let size = 7 + (a << 16 | b << 8 | c);
                if !parts.skip(size)? {
                    break Length::Cut;
                }
                if parts.is_at_end() {
                    break Length::Whole;
                }
                4
            }
            _ => break Length::Unknown,
        };
        if !parts.skip(size)? {
            break Length::Whole;
        }
    };
    Ok(Found { films: u64::max(films, 1), ..Found::only(length) })
}

/// Matroska's numbers of elements.
mod id {
    pub const EBML: u64 = 0x1a45_dfa3;
    pub const SEGMENT: u64 = 0x1853_8067;
    pub const CLUSTER: u64 = 0x1f43_b675;
    /// Elements inside a cluster.
    pub const IN_CLUSTER: [u64; 6] = [0xe7, 0xa3, 0xa0, 0xa7, 0xab, 0xec];
    /// The list of elements and their positions; an entry of it; the entry's element and position.
    pub const SEEK_HEAD: u64 = 0x114d_9b74;
    pub const SEEK: u64 = 0x4dbb;
    pub const SEEK_ID: u64 = 0x53ab;
    pub const SEEK_POSITION: u64 = 0x53ac;
}

/// Matroska and WebM: a segment, which holds clusters of frames. In live recordings the length of both is unknown, so the
/// frames themselves are inspected. If a file is cut off between two elements, its list of elements tells whether only
/// elements without frames are missing.
fn matroska(parts: &mut Parts) -> io::Result<Length> {
    let Some((id::EBML, Some(size))) = element(parts)? else { return Ok(Length::Unknown) };
    if !parts.skip(size)? {
        return Ok(Length::Unknown);
    }
    let Some((id::SEGMENT, segment)) = element(parts)? else { return Ok(Length::Unknown) };
    let start = parts.position;
    let end = segment.map(|size| start.saturating_add(size));
    if end.is_some_and(|end| end <= parts.size) {
        return Ok(Length::Whole);
    }
    // The position at which elements without frames begin.
    let mut listed = Vec::new();
    let mut listed_id = 0;
    let mut holds_frames = false;
    loop {
        let position = parts.position;
        if parts.is_at_end() && end.is_none() {
            return Ok(Length::Whole);
        }
        let Some((id, size)) = element(parts)? else {
            // Nothing, or only the beginning of an element.
            let is_cut = holds_frames && !listed.contains(&position);
            return Ok(if is_cut { Length::Cut } else { Length::Whole });
        };
        holds_frames = id == id::CLUSTER || id::IN_CLUSTER.contains(&id);
        match (id, size) {
            // The parts of these elements follow, like those of an element of unknown size.
            (id::SEEK_HEAD | id::SEEK, _) | (_, None) => continue,
            (id::SEEK_ID, Some(size @ 0..=8)) => listed_id = integer(parts, size)?,
            (id::SEEK_POSITION, Some(size @ 0..=8)) => {
                let position = integer(parts, size)?;
                if listed_id != id::CLUSTER && listed.len() < MAX_LISTED {
                    listed.push(start.saturating_add(position));
                }
            }
            (_, Some(size)) => {
                if !parts.skip(size)? {
                    return Ok(if holds_frames { Length::Cut } else { Length::Whole });
                }
            }
        }
    }
}

/// Largest number of listed elements that are read: a file has about five.
const MAX_LISTED: usize = 1000;

/// An integer of `bytes` bytes; those beyond the end of the file count as absent.
fn integer(parts: &mut Parts, bytes: u64) -> io::Result<u64> {
    let mut value = 0;
    for _ in 0..bytes {
        let Some([byte]) = parts.take::<1>()? else { break };
        value = value << 8 | u64::from(byte);
    }
    Ok(value)
}

/// An element's number and size; the size is absent if it is unknown. `None` at the end of the file and for damage.
fn element(parts: &mut Parts) -> io::Result<Option<(u64, Option<u64>)>> {
    let Some(id) = number(parts, 4)? else { return Ok(None) };
    let Some(size) = number(parts, 8)? else { return Ok(None) };
    let (Number { bits: id, .. }, Number { bits, bytes }) = (id, size);
    // Without the bit that marks the length.
    let value = bits & !(1 << (7 * bytes));
    let is_open = value == (1 << (7 * bytes)) - 1;
    Ok(Some((id, (!is_open).then_some(value))))
}

struct Number {
    bits: u64,
    bytes: u32,
}

/// A number of variable length: it begins with as many zero bits as bytes follow.
fn number(parts: &mut Parts, longest: u32) -> io::Result<Option<Number>> {
    let Some([first]) = parts.take::<1>()? else { return Ok(None) };
    let bytes = first.leading_zeros() + 1;
    if bytes > longest {
        return Ok(None);
    }
    let mut bits = u64::from(first);
    for _ in 1..bytes {
        let Some([next]) = parts.take::<1>()? else { return Ok(None) };
        bits = bits << 8 | u64::from(next);
    }
    Ok(Some(Number { bits, bytes }))
}
