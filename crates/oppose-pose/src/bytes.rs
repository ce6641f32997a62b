//! Little-endian values from a slice that may end anywhere.

use super::PoseError;

/// A position in foreign bytes. Memory is allocated only for what is known to be there.
#[derive(Clone)]
pub(super) struct Bytes<'a> {
    all: &'a [u8],
    offset: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        Self { all, offset: 0 }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn left(&self) -> usize {
        self.all.len() - self.offset
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.all[self.offset..]
    }

    /// The next `count` bytes; errors call them `what`.
    pub(super) fn take(&mut self, count: u64, what: &'static str) -> Result<&'a [u8], PoseError> {
        let available = self.left();
        let (Ok(length), true) = (usize::try_from(count), count <= available as u64) else {
            return Err(PoseError::Truncated { what, offset: self.offset, needed: count, available });
        };
        let bytes = &self.all[self.offset..self.offset + length];
        self.offset += length;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], PoseError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, PoseError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, PoseError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn f32(&mut self, what: &'static str) -> Result<f32, PoseError> {
        self.array(what).map(f32::from_le_bytes)
    }

    /// `count` floats.
    pub(super) fn floats(&mut self, count: u64, what: &'static str) -> Result<Vec<f32>, PoseError> {
        let bytes = self.take(count.saturating_mul(4), what)?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// A length and as many bytes of text.
    pub(super) fn text(&mut self, what: &'static str) -> Result<String, PoseError> {
        let length = self.u16(what)?;
        let offset = self.offset;
        let bytes = self.take(u64::from(length), what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| PoseError::Name { offset })
    }
}
