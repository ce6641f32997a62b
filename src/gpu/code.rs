//! Which GPUs a shared library holds code for, read from the file without loading it.
//!
//! CUDA's compiler puts the code for GPUs into "fat binaries": a header (magic number, version 1, size of the
//! header 16, size of what follows) and then entries, each with a header of its own that says whether it is
//! machine code for one architecture or PTX, which the driver compiles for any later one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;

use super::ComputeCapability;

/// Starts a fat binary, in the file's byte order.
const MAGIC: [u8; 4] = 0xBA55_ED50_u32.to_le_bytes();
/// Fat binaries lie at multiples of this.
const ALIGNMENT: usize = 8;
/// Size in bytes of the header of a fat binary.
const HEADER: usize = 16;
/// Size in bytes of the part of an entry's header that is read here.
const ENTRY: usize = 32;
/// Larger files are not read.
const LARGEST: u64 = 4 << 30;

/// The code for GPUs in a library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceCode {
    /// Architectures there is machine code for.
    pub machine: BTreeSet<ComputeCapability>,
    /// Architectures there is PTX for.
    pub ptx: BTreeSet<ComputeCapability>,
}

impl DeviceCode {
    /// Reads a library's file.
    ///
    /// # Errors
    /// The file cannot be read, or is too large to be a library.
    pub fn read(library: &Path) -> io::Result<Self> {
        let length = fs::metadata(library)?.len();
        if length > LARGEST {
            let text = format!("{length} bytes are too many for a library (at most {LARGEST})");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut bytes = Vec::new();
        File::open(library)?.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(Self::find(&bytes))
    }

    /// Finds the fat binaries in a library's bytes.
    pub fn find(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEADER) {
            // Sizes are foreign: whatever they say, the search goes on behind the header.
            if let Some(entries) = fat_binary(rest) {
                found.add(entries);
            }
            at += ALIGNMENT;
        }
        found
    }

    fn add(&mut self, mut entries: &[u8]) {
        while let Some(entry) = entries.get(..ENTRY) {
            let (kind, header, size) = (u16_at(entry, 0), u32_at(entry, 4), u64_at(entry, 8));
            let number = u32_at(entry, 28);
            let architecture = ComputeCapability { major: number / 10, minor: number % 10 };
            match kind {
                1 if number > 0 => self.ptx.insert(architecture),
                2 if number > 0 => self.machine.insert(architecture),
                _ => return,
            };
            let next = usize::try_from(size).ok().and_then(|size| size.checked_add(header as usize));
            match next.and_then(|next| entries.get(next..)).filter(|_| header > 0) {
                Some(rest) => entries = rest,
                None => return,
            }
        }
    }

    /// Whether there is no code for GPUs at all.
    pub fn is_empty(&self) -> bool {
        self.machine.is_empty() && self.ptx.is_empty()
    }

    /// Whether a GPU runs it: machine code runs on its own generation from its own revision on, PTX on
    /// whatever came later.
    pub fn runs_on(&self, gpu: ComputeCapability) -> bool {
        self.machine.iter().any(|code| code.major == gpu.major && code.minor <= gpu.minor)
            || self.ptx.iter().any(|code| *code <= gpu)
    }
}

/// The entries of the fat binary that starts here, if one does.
fn fat_binary(bytes: &[u8]) -> Option<&[u8]> {
    let header = bytes.get(..HEADER).filter(|header| header.starts_with(&MAGIC))?;
    let known = u16_at(header, 4) == 1 && usize::from(u16_at(header, 6)) == HEADER;
    let size = usize::try_from(u64_at(header, 8)).ok().filter(|_| known)?;
    bytes.get(HEADER..HEADER.checked_add(size)?)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// So many bytes; 0 beyond the end.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes.get(at + i).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capability(number: u32) -> ComputeCapability {
        ComputeCapability { major: number / 10, minor: number % 10 }
    }

    /// A fat binary with entries of (kind, architecture, content).
    fn fat(entries: &[(u16, u32, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, architecture, content) in entries {
            let mut entry = vec![0; 64];
            entry[..2].copy_from_slice(&kind.to_le_bytes());
            entry[4..8].copy_from_slice(&64_u32.to_le_bytes());
            entry[8..16].copy_from_slice(&(content.len() as u64).to_le_bytes());
            entry[28..32].copy_from_slice(&architecture.to_le_bytes());
            body.extend(entry);
            body.extend_from_slice(content);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0, 16, 0]);
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn code_is_found_wherever_it_lies() {
        let mut library = vec![0x7f; 24];
        library.extend(fat(&[(2, 30, &[1; 16]), (2, 70, &[2; 8])]));
        library.extend([0; 8]);
        library.extend(fat(&[(2, 75, &[3; 24]), (1, 75, b"ptx code")]));
        let code = DeviceCode::find(&library);
        assert_eq!(code.machine, BTreeSet::from([30, 70, 75].map(capability)));
        assert_eq!(code.ptx, BTreeSet::from([capability(75)]));
        assert!(DeviceCode::find(b"a library without").is_empty());
    }

    #[test]
    fn machine_code_runs_on_its_generation_and_ptx_on_later_ones() {
        let old = DeviceCode::find(&fat(&[(2, 30, &[0; 8]), (2, 70, &[0; 8]), (2, 75, &[0; 8])]));
        let runs = |code: &DeviceCode| [35, 61, 70, 75, 80, 90].map(|gpu| code.runs_on(capability(gpu)));
        assert_eq!(runs(&old), [true, false, true, true, false, false]);
        let with_ptx = DeviceCode::find(&fat(&[(2, 70, &[0; 8]), (1, 70, &[0; 8])]));
        assert_eq!(runs(&with_ptx), [false, false, true, true, true, true]);
    }

    #[test]
    fn damaged_sizes_end_the_search_of_one_binary_only() {
        let mut damaged = fat(&[(2, 70, &[0; 8]), (2, 75, &[0; 8])]);
        damaged[16 + 8..16 + 16].copy_from_slice(&u64::MAX.to_le_bytes());
        damaged.extend(fat(&[(2, 61, &[0; 8])]));
        let code = DeviceCode::find(&damaged);
        assert!(code.machine.contains(&capability(61)), "{code:?}");
        let mut truncated = fat(&[(2, 70, &[0; 8])]);
        truncated.truncate(40);
        assert!(DeviceCode::find(&truncated).is_empty());
    }
}
