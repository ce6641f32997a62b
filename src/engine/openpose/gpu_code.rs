//! For which GPUs a library has code: OpenPose ends the whole process if a GPU is not among them.
//!
//! CUDA's compiler puts a library's GPU code into "fat binaries": a header of 16 bytes (magic number, version,
//! header size, size of all that follows) and entries, each with a header of its own that names its kind (text
//! for the driver to compile, or machine code) and its architecture. Their layout is not documented by NVIDIA;
//! it has been the same since CUDA 4 and is what `cuobjdump --list-elf` reads.

use std::collections::BTreeSet;
use std::fmt;

use crate::gpu::ComputeCapability;

/// `0xBA55ED50`, little endian.
const MAGIC: [u8; 4] = [0x50, 0xed, 0x55, 0xba];
const HEADER: usize = 16;
/// Where an entry's header tells its kind.
const ENTRY_HEADER_SIZE: usize = 4;
const ENTRY_SIZE: usize = 8;
const ENTRY_ARCHITECTURE: usize = 28;
const TEXT: u16 = 1;
const MACHINE_CODE: u16 = 2;

/// The GPU code of some libraries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuCode {
    /// Architectures with machine code, 75 for compute capability 7.5.
    machine: BTreeSet<u32>,
    /// Architectures with text that a driver compiles for them and all later ones.
    text: BTreeSet<u32>,
}

impl GpuCode {
    /// Adds the GPU code of a library, given its whole file. Damaged entries are skipped.
    pub fn add(&mut self, library: &[u8]) {
        let mut rest = library;
        while let Some(start) = find(rest) {
            rest = &rest[start..];
            let size = number(rest, ENTRY_SIZE, 8).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
            let end = HEADER.saturating_add(size).min(rest.len());
            self.add_entries(rest.get(HEADER..end).unwrap_or(&[]));
            rest = &rest[MAGIC.len()..];
        }
    }

    fn add_entries(&mut self, mut entries: &[u8]) {
        while let (Some(kind), Some(header), Some(size), Some(architecture)) = (
            number(entries, 0, 2),
            number(entries, ENTRY_HEADER_SIZE, 4),
            number(entries, ENTRY_SIZE, 8),
            number(entries, ENTRY_ARCHITECTURE, 4),
        ) {
            match (kind as u16, architecture as u32) {
                (TEXT, architecture @ 10..1000) => _ = self.text.insert(architecture),
                (MACHINE_CODE, architecture @ 10..1000) => _ = self.machine.insert(architecture),
                _ => return,
            }
            let Some(next) = header.checked_add(size).and_then(|next| usize::try_from(next).ok()) else {
                return;
            };
            let Some(rest) = entries.get(next.max(1)..) else { return };
            entries = rest;
        }
    }

    /// Whether there is any: a library for the CPU has none.
    pub fn is_empty(&self) -> bool {
        self.machine.is_empty() && self.text.is_empty()
    }

    /// Whether it runs on such a GPU: machine code runs on its own architecture and on later revisions of it, text
    /// on its own architecture and all later ones.
    pub fn runs_on(&self, gpu: ComputeCapability) -> bool {
        let here = 10 * gpu.major + gpu.minor;
        self.machine.iter().any(|code| code / 10 == gpu.major && *code <= here)
            || self.text.iter().any(|&code| code <= here)
    }
}

/// `3.0, 3.5, 7.5`
impl fmt::Display for GpuCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, code) in self.machine.union(&self.text).enumerate() {
            let later = if self.text.contains(code) { " and later" } else { "" };
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{}.{}{later}", code / 10, code % 10)?;
        }
        Ok(())
    }
}

fn find(bytes: &[u8]) -> Option<usize> {
    // By its rarest byte: a library has hundreds of megabytes.
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|&byte| byte == MAGIC[1]) {
        let start = (from + at).checked_sub(1);
        if let Some(start) = start.filter(|&start| bytes[start..].starts_with(&MAGIC)) {
            return Some(start);
        }
        from += at + 1;
    }
    None
}

/// A whole number of `size` bytes, least significant first.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + size)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u16, architecture: u32, code: &[u8]) -> Vec<u8> {
        let mut entry = vec![0; 64];
        entry[..2].copy_from_slice(&kind.to_le_bytes());
        entry[ENTRY_HEADER_SIZE..][..4].copy_from_slice(&64u32.to_le_bytes());
        entry[ENTRY_SIZE..][..8].copy_from_slice(&(code.len() as u64).to_le_bytes());
        entry[ENTRY_ARCHITECTURE..][..4].copy_from_slice(&architecture.to_le_bytes());
        entry.extend(code);
        entry
    }

    fn library(entries: &[Vec<u8>]) -> Vec<u8> {
        let entries = entries.concat();
        let mut bytes = b"\x7fELF something else".to_vec();
        bytes.extend(MAGIC);
        bytes.extend([1, 0, 16, 0]);
        bytes.extend((entries.len() as u64).to_le_bytes());
        bytes.extend(entries);
        bytes.extend(b"the end");
        bytes
    }

    fn code(bytes: &[u8]) -> GpuCode {
        let mut code = GpuCode::default();
        code.add(bytes);
        code
    }

    #[test]
    fn machine_code_runs_on_its_own_architecture_only() {
        let code = code(&library(&[entry(MACHINE_CODE, 30, b"abc"), entry(MACHINE_CODE, 70, &[0x50; 9])]));
        assert_eq!(code.to_string(), "3.0, 7.0");
        let runs = |major, minor| code.runs_on(ComputeCapability { major, minor });
        assert_eq!([runs(3, 5), runs(7, 0), runs(7, 5)], [true; 3]);
        assert_eq!([runs(6, 1), runs(8, 0), runs(9, 0), runs(2, 0)], [false; 4]);
    }

    #[test]
    fn text_runs_on_later_architectures() {
        let code = code(&library(&[entry(TEXT, 75, b"//")]));
        assert_eq!(code.to_string(), "7.5 and later");
        assert!(code.runs_on(ComputeCapability { major: 9, minor: 0 }));
        assert!(!code.runs_on(ComputeCapability { major: 7, minor: 0 }));
    }

    #[test]
    fn no_bytes_are_too_strange() {
        assert!(code(b"no GPU code at all").is_empty());
        let whole = library(&[entry(MACHINE_CODE, 75, b"abc")]);
        for length in 0..whole.len() {
            code(&whole[..length]);
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] = 0xff;
            code(&damaged);
        }
    }
}
