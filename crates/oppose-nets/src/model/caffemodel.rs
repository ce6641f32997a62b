//! The trained values of a caffemodel: which layers have which blobs, of which shape.
//!
//! A caffemodel is one protobuf message. Both of its generations are read: `layer` (field 100) and the
//! older `layers` (field 2), blobs with a `shape` and blobs with `num`, `channels`, `height`, `width`,
//! values packed into one field and values one by one.

use std::fmt;

use super::error::CaffemodelError;
use super::wire::{Fields, Value};

/// OpenPose's largest net has 239 layers.
const MAX_LAYERS: usize = 1024;
/// A convolution has two: weights and bias.
const MAX_BLOBS: usize = 4;

/// The layers of a caffemodel that have values.
#[derive(Debug)]
pub(super) struct Caffemodel<'a> {
    layers: Vec<TrainedLayer<'a>>,
}

#[derive(Debug)]
struct TrainedLayer<'a> {
    name: &'a str,
    blobs: Vec<Blob<'a>>,
}

/// Values with a shape, still in the file.
#[derive(Debug)]
pub(super) struct Blob<'a> {
    shape: [u64; 4],
    axes: usize,
    /// Number of values in the file, whatever the shape says.
    values: usize,
    message: Fields<'a>,
}

impl<'a> Caffemodel<'a> {
    /// Scans the bytes of a caffemodel without copying values.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, CaffemodelError> {
        let mut layers = Vec::new();
        for field in Fields::new(bytes) {
            let (layer, name, blobs) = match field? {
                (100, Value::Bytes(layer)) => (layer, 1, 7),
                (2, Value::Bytes(layer)) => (layer, 4, 6),
                _ => continue,
            };
            let offset = layer.offset();
            let layer = TrainedLayer::parse(layer, name, blobs)?;
            if layer.blobs.is_empty() {
                continue;
            }
            if layers.len() == MAX_LAYERS {
                return Err(CaffemodelError::TooMany {
                    offset,
                    what: "layers with values",
                    limit: MAX_LAYERS,
                });
            }
            layers.push(layer);
        }
        Ok(Self { layers })
    }

    /// The blobs of the layer with this name. If a name occurs twice, the later one counts, as in Caffe.
    pub(super) fn blobs(&self, layer: &str) -> &[Blob<'a>] {
        let layer = self.layers.iter().rev().find(|candidate| candidate.name == layer);
        layer.map_or(&[], |layer| &layer.blobs)
    }
}

impl<'a> TrainedLayer<'a> {
    fn parse(layer: Fields<'a>, name_field: u64, blobs_field: u64) -> Result<Self, CaffemodelError> {
        let mut name = "";
        let mut blobs = Vec::new();
        for field in layer {
            match field? {
                (number, Value::Bytes(text)) if number == name_field => name = text.text()?,
                (number, Value::Bytes(blob)) if number == blobs_field => {
                    if blobs.len() == MAX_BLOBS {
                        let (offset, what) = (blob.offset(), "blobs of a layer");
                        return Err(CaffemodelError::TooMany { offset, what, limit: MAX_BLOBS });
                    }
                    blobs.push(Blob::parse(blob)?);
                }
                _ => {}
            }
        }
        Ok(Self { name, blobs })
    }
}

impl<'a> Blob<'a> {
    fn parse(message: Fields<'a>) -> Result<Self, CaffemodelError> {
        let mut blob = Self { shape: [0; 4], axes: 0, values: 0, message: message.clone() };
        let mut old_shape = [0; 4];
        let mut is_old = false;
        for field in message {
            match field? {
                (axis @ 1..=4, Value::Varint(dimension)) => {
                    old_shape[axis as usize - 1] = dimension;
                    is_old = true;
                }
                (5, Value::Bytes(packed)) => {
                    if packed.bytes().len() % 4 != 0 {
                        return Err(packed.malformed("values of four bytes each"));
                    }
                    blob.values += packed.bytes().len() / 4;
                }
                (5, Value::Fixed32(_)) => blob.values += 1,
                (7, Value::Bytes(shape)) => blob.parse_shape(shape)?,
                _ => {}
            }
        }
        if is_old {
            (blob.shape, blob.axes) = (old_shape, 4);
        }
        Ok(blob)
    }

    fn parse_shape(&mut self, shape: Fields<'a>) -> Result<(), CaffemodelError> {
        for field in shape {
            match field? {
                (1, Value::Varint(dimension)) => self.push_axis(dimension, self.message.offset())?,
                (1, Value::Bytes(mut packed)) => {
                    while !packed.bytes().is_empty() {
                        let offset = packed.offset();
                        self.push_axis(packed.varint()?, offset)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn push_axis(&mut self, dimension: u64, offset: usize) -> Result<(), CaffemodelError> {
        let limit = self.shape.len();
        let slot = self.shape.get_mut(self.axes);
        *slot.ok_or(CaffemodelError::TooMany { offset, what: "axes of a blob", limit })? = dimension;
        self.axes += 1;
        Ok(())
    }

    /// Whether the blob has this shape and the right number of values. Leading axes of 1 are ignored: the older
    /// form writes a bias of 64 values as 1x1x1x64.
    pub(super) fn is(&self, expected: &[usize]) -> bool {
        fn inner<T: Copy + PartialEq + From<u8>>(shape: &[T]) -> &[T] {
            let first = shape.iter().position(|&axis| axis != T::from(1)).unwrap_or(shape.len());
            &shape[first..]
        }
        let count = expected.iter().try_fold(1usize, |count, &axis| count.checked_mul(axis));
        let (found, expected) = (inner(&self.shape[..self.axes]), inner(expected));
        count == Some(self.values)
            && found.len() == expected.len()
            && found.iter().zip(expected).all(|(&found, &expected)| found == expected as u64)
    }

    /// Copies the values from the file.
    pub(super) fn to_vec(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.values);
        for (number, value) in self.message.clone().flatten() {
            match (number, value) {
                (5, Value::Bytes(packed)) => {
                    let (floats, _) = packed.bytes().as_chunks();
                    values.extend(floats.iter().map(|&bytes| f32::from_le_bytes(bytes)));
                }
                (5, Value::Fixed32(bytes)) => values.push(f32::from_le_bytes(bytes)),
                _ => {}
            }
        }
        values
    }
}

impl fmt::Display for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, axis) in self.shape[..self.axes].iter().enumerate() {
            write!(f, "{}{axis}", if position == 0 { "" } else { "x" })?;
        }
        let count = self.shape[..self.axes].iter().try_fold(1u64, |count, &axis| count.checked_mul(axis));
        if self.axes == 0 || count != Some(self.values as u64) {
            write!(f, " with {} values", self.values)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        let tag = number << 3 | 2;
        let mut bytes = Vec::new();
        for mut number in [tag, content.len() as u64] {
            while number > 0x7f {
                bytes.push(number as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
        }
        [bytes, content.to_vec()].concat()
    }

    #[test]
    fn old_and_new_layers_are_read_alike() {
        let values: Vec<u8> = [1.5f32, -2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let new = [field(5, &values), field(7, &field(1, &[3]))].concat();
        let new = field(100, &[field(1, b"a"), field(2, b"PReLU"), field(7, &new)].concat());
        let unpacked: Vec<u8> = values.chunks(4).flat_map(|v| [&[0x2d], v].concat()).collect();
        let old = [&[0x08, 1, 0x10, 1, 0x18, 1, 0x20, 3], &unpacked[..]].concat();
        let old = field(2, &[field(6, &old), field(4, b"a")].concat());
        for bytes in [new, old] {
            let model = Caffemodel::parse(&bytes).unwrap();
            let [blob] = model.blobs("a") else { panic!("{model:?}") };
            assert!(blob.is(&[3]) && blob.is(&[1, 3]) && !blob.is(&[3, 1]) && !blob.is(&[4]), "{blob}");
            assert_eq!(blob.to_vec(), [1.5, -2.0, 3.0]);
            assert!(model.blobs("b").is_empty());
        }
    }

    #[test]
    fn a_shape_without_values_is_reported() {
        let blob = field(7, &field(1, &[64, 3, 3, 3]));
        let bytes = field(100, &[field(1, b"a"), field(7, &blob)].concat());
        let model = Caffemodel::parse(&bytes).unwrap();
        assert!(!model.blobs("a")[0].is(&[64, 3, 3, 3]));
        assert_eq!(model.blobs("a")[0].to_string(), "64x3x3x3 with 0 values");
    }
}
