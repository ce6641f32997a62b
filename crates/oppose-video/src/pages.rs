//! TIFF files with several pages, of which FFmpeg reads only the first.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// More are not counted: the pages of a damaged file may form a circle.
const MAX_PAGES: u64 = 10_000;

/// The number of pages of a TIFF file; `None` if it cannot be determined.
pub(super) fn of_tiff(path: &Path) -> Option<u64> {
    count(&mut File::open(path).ok()?).ok().flatten()
}

fn count(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    let is_little = match &head[..4] {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return Ok(None),
    };
    let long = |bytes: [u8; 4]| if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    let mut next = long([head[4], head[5], head[6], head[7]]);
    let mut pages = 0;
    while next != 0 && pages < MAX_PAGES {
        pages += 1;
        file.seek(SeekFrom::Start(next.into()))?;
        let mut entries = [0; 2];
        file.read_exact(&mut entries)?;
        let entries = if is_little { u16::from_le_bytes(entries) } else { u16::from_be_bytes(entries) };
        file.seek(SeekFrom::Current(12 * i64::from(entries)))?;
        let mut bytes = [0; 4];
        file.read_exact(&mut bytes)?;
        next = long(bytes);
    }
    Ok(Some(pages))
}
