//! Reads a `.tflite` file, which is a [flat buffer](https://flatbuffers.dev/internals/) with TensorFlow Lite's schema.

/// Field numbers of the tables in TensorFlow Lite's schema.
pub mod field {
    pub const MODEL_VERSION: usize = 0;
    pub const MODEL_OPERATOR_CODES: usize = 1;
    pub const MODEL_SUBGRAPHS: usize = 2;
    pub const MODEL_DESCRIPTION: usize = 3;
    pub const MODEL_BUFFERS: usize = 4;
    pub const MODEL_METADATA: usize = 6;
    pub const MODEL_SIGNATURES: usize = 7;
    pub const BUFFER_DATA: usize = 0;
    /// The older of two fields for the same number: one byte, which is enough for the operators used here.
    pub const CODE_NUMBER: usize = 0;
    pub const SUBGRAPH_TENSORS: usize = 0;
    pub const SUBGRAPH_INPUTS: usize = 1;
    pub const SUBGRAPH_OUTPUTS: usize = 2;
    pub const SUBGRAPH_OPERATORS: usize = 3;
    pub const SUBGRAPH_NAME: usize = 4;
    pub const TENSOR_SHAPE: usize = 0;
    pub const TENSOR_TYPE: usize = 1;
    pub const TENSOR_BUFFER: usize = 2;
    pub const OPERATOR_CODE: usize = 0;
    pub const OPERATOR_INPUTS: usize = 1;
    pub const OPERATOR_OUTPUTS: usize = 2;
    pub const OPERATOR_OPTIONS: usize = 4;
}

/// TensorFlow Lite's operator numbers.
pub mod operator {
    pub const ADD: u8 = 0;
    pub const CONVOLUTION: u8 = 3;
    pub const DEPTHWISE_CONVOLUTION: u8 = 4;
    pub const DEQUANTIZE: u8 = 6;
    pub const MAX_POOL: u8 = 17;
    pub const MULTIPLY: u8 = 18;
    pub const RELU: u8 = 19;
    pub const RESHAPE: u8 = 22;
    pub const RESIZE_BILINEAR: u8 = 23;
    pub const PAD: u8 = 34;
    pub const PRELU: u8 = 54;
}

/// The bytes of a file. Every read is checked.
pub struct FlatBuffer<'a>(pub &'a [u8]);

/// A vector of 4-byte items: its length is at `start`, and the items follow it.
#[derive(Clone, Copy)]
pub struct Vector {
    pub start: usize,
    pub length: usize,
}

impl Vector {
    /// The position of item `i`.
    pub fn item(self, i: usize) -> Option<usize> {
        (i < self.length).then(|| self.start + 4 + 4 * i)
    }
}

impl FlatBuffer<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(*self.0.get(at..)?.first_chunk()?))
    }

    pub fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.0.get(at..)?.first_chunk()?))
    }

    /// The position that the offset at `at` refers to.
    pub fn follow(&self, at: usize) -> Option<usize> {
        at.checked_add(self.u32(at)? as usize).filter(|&to| to < self.0.len())
    }

    /// The graph, if the file has only one, and no signatures, which would refer to it.
    pub fn only_graph(&self) -> Option<usize> {
        let root = self.follow(0)?;
        let graphs = self.vector(root, field::MODEL_SUBGRAPHS)?;
        if graphs.length != 1 || self.vector(root, field::MODEL_SIGNATURES).is_some_and(|v| v.length > 0) {
            return None;
        }
        self.follow(graphs.item(0)?)
    }

    /// The position of the value of field `field` of the table at `table`; `None` if the field is absent.
    pub fn field(&self, table: usize, field: usize) -> Option<usize> {
        // A table starts with the signed distance back to the list of its fields' positions.
        let back = self.u32(table)? as i32;
        let places = usize::try_from(i64::try_from(table).ok()? - i64::from(back)).ok()?;
        let entry = 4 + 2 * field;
        if entry + 2 > usize::from(self.u16(places)?) {
            return None;
        }
        match self.u16(places + entry)? {
            0 => None,
            place => Some(table + usize::from(place)),
        }
    }

    /// The vector in field `field` of the table at `table`; `None` if the field is absent.
    pub fn vector(&self, table: usize, field: usize) -> Option<Vector> {
        let start = self.follow(self.field(table, field)?)?;
        let length = self.u32(start)? as usize;
        // Every item has 4 bytes. A length beyond the file is refused before anything is allocated for it.
        (length <= (self.0.len() - start) / 4).then_some(Vector { start, length })
    }

    /// The tensor numbers in a vector of an operator, without absent tensors (-1).
    pub fn tensors(&self, operator: usize, field: usize) -> Option<Vec<usize>> {
        let Some(vector) = self.vector(operator, field) else { return Some(Vec::new()) };
        let mut tensors = Vec::with_capacity(vector.length);
        for i in 0..vector.length {
            match self.u32(vector.item(i)?)? as i32 {
                -1 => {}
                tensor => tensors.push(usize::try_from(tensor).ok()?),
            }
        }
        Some(tensors)
    }

    /// The positions of the tables in a vector.
    pub fn tables(&self, table: usize, number: usize) -> Option<Vec<usize>> {
        let vector = self.vector(table, number)?;
        (0..vector.length).map(|i| self.follow(vector.item(i)?)).collect()
    }

    /// A field of one byte; 0 if it is absent.
    pub fn byte(&self, table: usize, number: usize) -> Option<u8> {
        self.field(table, number).map_or(Some(0), |place| self.0.get(place).copied())
    }

    /// A field of four bytes; 0 if it is absent.
    pub fn number(&self, table: usize, number: usize) -> Option<u32> {
        self.field(table, number).map_or(Some(0), |place| self.u32(place))
    }

    /// The number of an operator, which need not be one of those in [`operator`], from the file's list of numbers.
    pub fn operator_number(&self, operator: usize, codes: Vector) -> Option<u8> {
        let code = self.number(operator, field::OPERATOR_CODE)?;
        self.byte(self.follow(codes.item(code as usize)?)?, field::CODE_NUMBER)
    }
}
