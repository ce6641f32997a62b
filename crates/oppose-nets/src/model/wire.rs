//! Reads protobuf's binary format field by field from the bytes of a file: nothing is copied, and no
//! length is trusted before it fits into the remaining bytes.

use super::error::CaffemodelError;

/// The value of a field, by its encoding.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// A whole number.
    Varint(u64),
    /// Eight bytes; no field that is read here has this encoding.
    Fixed64,
    /// A message, a string or packed numbers.
    Bytes(Fields<'a>),
    /// Four bytes.
    Fixed32([u8; 4]),
}

/// The fields of a message, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    /// Position of `bytes` in the file.
    offset: usize,
}

impl<'a> Fields<'a> {
    /// The fields of a whole file.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// The remaining bytes.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Position in the file.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// The remaining bytes as text.
    pub(super) fn text(&self) -> Result<&'a str, CaffemodelError> {
        std::str::from_utf8(self.bytes).map_err(|_| self.malformed("text"))
    }

    /// The next whole number.
    pub(super) fn varint(&mut self) -> Result<u64, CaffemodelError> {
        let start = self.clone();
        let mut number = 0;
        for position in 0..10 {
            let [byte] = *self.take().ok_or_else(|| start.malformed("a number that ends in the file"))?;
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(start.malformed("a number of at most ten bytes"))
    }

    /// The error that something else was expected at this position.
    pub(super) fn malformed(&self, expected: &'static str) -> CaffemodelError {
        CaffemodelError::Malformed { offset: self.offset, expected }
    }

    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, tail) = self.bytes.split_first_chunk()?;
        (self.bytes, self.offset) = (tail, self.offset + N);
        Some(head)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), CaffemodelError> {
        let start = self.clone();
        let ends = "a field that ends in the file";
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take::<8>().map(|_| Value::Fixed64).ok_or_else(|| start.malformed(ends))?,
            2 => {
                let length = self.varint()?;
                let split =
                    usize::try_from(length).ok().and_then(|length| self.bytes.split_at_checked(length));
                let (bytes, rest) = split.ok_or_else(|| start.malformed(ends))?;
                let value = Fields { bytes, offset: self.offset };
                *self = Fields { bytes: rest, offset: self.offset + bytes.len() };
                Value::Bytes(value)
            }
            5 => self.take().map(|&bytes| Value::Fixed32(bytes)).ok_or_else(|| start.malformed(ends))?,
            _ => return Err(start.malformed("a protobuf field")),
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    /// Number of the field and its value.
    type Item = Result<(u64, Value<'a>), CaffemodelError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.bytes = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_encodings() {
        let bytes =
            [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 0, 0, 0x80, 0x3f, 0x21, 0, 0, 0, 0, 0, 0, 0, 0];
        let fields: Vec<_> = Fields::new(&bytes).map(Result::unwrap).collect();
        assert!(matches!(fields[0], (1, Value::Varint(150))));
        assert!(
            matches!(&fields[1], (2, Value::Bytes(text)) if text.text() == Ok("hi") && text.offset() == 5)
        );
        assert!(matches!(fields[2], (3, Value::Fixed32(bytes)) if f32::from_le_bytes(bytes) == 1.0));
        assert!(matches!(fields[3], (4, Value::Fixed64)));
    }

    #[test]
    fn malformed_fields_are_refused() {
        let cases: [&[u8]; 5] = [&[0x08], &[0x12, 0x7f, 1], &[0x1d, 0], &[0x0b], &[0xff; 11]];
        for bytes in cases {
            let last = Fields::new(bytes).last().unwrap();
            assert!(
                matches!(last, Err(CaffemodelError::Malformed { offset: 0 | 1, .. })),
                "{bytes:?}: {last:?}"
            );
        }
    }
}
