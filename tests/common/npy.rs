//! Arrays as NumPy writes them: 32-bit floats, little endian, row by row.
#![allow(dead_code)] // No test program uses all of it.

use std::fs;
use std::path::Path;

/// An array and its shape.
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Reads an `.npy` file.
pub fn read(path: &Path) -> Array {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).expect("text");
    assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split(['(', ')']).nth(1).expect("a shape");
    let shape: Vec<usize> = shape
        .split(',')
        .map(str::trim)
        .filter(|axis| !axis.is_empty())
        .map(|axis| axis.parse().expect("a number"))
        .collect();
    let (values, rest) = bytes[10 + length..].as_chunks();
    let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    assert!(rest.is_empty() && values.len() == shape.iter().product::<usize>(), "{}", path.display());
    Array { shape, values }
}
