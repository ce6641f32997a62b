//! Reads the graph of a `.tflite` file, as far as it can be computed here.

use crate::flat_buffer::{FlatBuffer, field, operator};

/// The most values of a tensor. Those of MediaPipe's nets have at most 3 million.
const MAX_VALUES: usize = 1 << 26;

/// A graph: its operators in execution order, and the tensors between them.
#[derive(Debug)]
pub struct Graph {
    pub tensors: Vec<Tensor>,
    pub operators: Vec<Operator>,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

/// An array of computed or constant values.
#[derive(Debug)]
pub struct Tensor {
    pub shape: Vec<usize>,
    /// Its values, if they are constant floating-point numbers.
    pub constant: Option<Vec<f32>>,
    /// Its values, if they are constant integers.
    whole: Option<Vec<i32>>,
}

impl Tensor {
    /// Number of its values.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Height, width and channels, if it is a single image. None of them is 0.
    pub fn image(&self) -> Option<[usize; 3]> {
        match *self.shape {
            [1, height, width, channels] if self.values() > 0 => Some([height, width, channels]),
            _ => None,
        }
    }
}

/// An operator, and the tensors it reads and computes.
#[derive(Debug)]
pub struct Operator {
    pub kind: Kind,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

/// How the window of an operator moves over an image.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub stride: usize,
    /// Whether the image is padded so that the size of the result depends on the stride only.
    pub same: bool,
}

/// The activation function of an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Nothing,
    /// Values below 0 become 0.
    Relu,
    /// Values are limited to 0 to 6.
    Relu6,
}

impl Activation {
    /// The smallest and the largest result.
    pub fn range(self) -> [f32; 2] {
        match self {
            Self::Nothing => [f32::NEG_INFINITY, f32::INFINITY],
            Self::Relu => [0.0, f32::INFINITY],
            Self::Relu6 => [0.0, 6.0],
        }
    }
}

/// An operation on each value with a constant of its channel.
#[derive(Clone, Copy, Debug)]
pub enum Channelwise {
    Multiply,
    Add,
    /// Values below 0 are multiplied by the constant.
    Prelu,
}

/// What an operator does.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Convolution(Window, Activation),
    Depthwise(Window, Activation),
    Add(Activation),
    /// The second input holds the constants.
    Channelwise(Channelwise),
    /// An activation that is an operator of its own.
    Relu,
    /// Adds zeros: above, below, left, right.
    Pad([usize; 4]),
    /// Appends channels of zeros.
    Widen,
    /// The maximum of each two by two values.
    MaxPool,
    /// Doubles the height and width, interpolating between the centers of pixels.
    Double,
    Reshape,
    /// Anything else.
    Other,
}

/// TensorFlow Lite's codes for the types of tensors.
mod tensor_type {
    pub const FLOAT32: u8 = 0;
    pub const FLOAT16: u8 = 1;
    pub const INT32: u8 = 2;
}

impl Graph {
    /// `None` if it is not a `.tflite` file with a single graph.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let file = FlatBuffer(bytes);
        let graph = file.only_graph()?;
        let root = file.follow(0)?;
        let tables = file.tables(graph, field::SUBGRAPH_TENSORS)?;
        let mut tensors =
            tables.into_iter().map(|table| file.tensor(root, table)).collect::<Option<Vec<_>>>()?;
        let count = tensors.len();
        let numbers = |table, number| {
            let numbers = file.tensors(table, number)?;
            numbers.iter().all(|&tensor| tensor < count).then_some(numbers)
        };
        let codes = file.vector(root, field::MODEL_OPERATOR_CODES)?;
        let mut operators = Vec::new();
        for table in file.tables(graph, field::SUBGRAPH_OPERATORS)? {
            let number = file.operator_number(table, codes)?;
            let inputs = numbers(table, field::OPERATOR_INPUTS)?;
            let outputs = numbers(table, field::OPERATOR_OUTPUTS)?;
            if let (operator::DEQUANTIZE, [from], [to]) = (number, &*inputs, &*outputs)
                && let Some(values) = tensors[*from].constant.take()
            {
                // The weights are stored in half precision, and this operator converts them to single precision.
                tensors[*to].constant = Some(values);
                continue;
            }
            let kind = file.kind(number, table, &tensors, &inputs, &outputs).unwrap_or(Kind::Other);
            operators.push(Operator { kind, inputs, outputs });
        }
        let (inputs, outputs) =
            (numbers(graph, field::SUBGRAPH_INPUTS)?, numbers(graph, field::SUBGRAPH_OUTPUTS)?);
        let mut graph = Self { tensors, operators, inputs, outputs };
        graph.join_activations();
        Some(graph)
    }

    /// Merges each activation into the operator before it, if nothing else reads that operator's output.
    fn join_activations(&mut self) {
        for i in 0..self.operators.len() {
            let Operator { kind: Kind::Relu, inputs, outputs } = &self.operators[i] else { continue };
            let (&[input], outputs) = (&**inputs, outputs.clone()) else { continue };
            if self.readers(input).count() > 1 || self.outputs.contains(&input) {
                continue;
            }
            let Some(maker) = self.operators.iter_mut().find(|maker| *maker.outputs == [input]) else {
                continue;
            };
            if let Kind::Convolution(_, activation) | Kind::Depthwise(_, activation) | Kind::Add(activation) =
                &mut maker.kind
                && *activation == Activation::Nothing
            {
                *activation = Activation::Relu;
                maker.outputs = outputs;
                self.operators[i] = Operator { kind: Kind::Other, inputs: Vec::new(), outputs: Vec::new() };
            }
        }
    }

    /// The operators that read a tensor.
    pub fn readers(&self, tensor: usize) -> impl Iterator<Item = usize> {
        let reads = move |&(_, operator): &(usize, &Operator)| operator.inputs.contains(&tensor);
        self.operators.iter().enumerate().filter(reads).map(|(i, _)| i)
    }
}

impl FlatBuffer<'_> {
    fn tensor(&self, root: usize, tensor: usize) -> Option<Tensor> {
        let mut shape = Vec::new();
        if let Some(sizes) = self.vector(tensor, field::TENSOR_SHAPE) {
            for i in 0..sizes.length {
                shape.push(usize::try_from(self.u32(sizes.item(i)?)? as i32).ok()?);
            }
        }
        shape
            .iter()
            .try_fold(1_usize, |all, &size| all.checked_mul(size))
            .filter(|&all| all <= MAX_VALUES)?;
        let buffers = self.vector(root, field::MODEL_BUFFERS)?;
        let buffer = self.follow(buffers.item(self.number(tensor, field::TENSOR_BUFFER)? as usize)?)?;
        let mut read = Tensor { shape, constant: None, whole: None };
        let Some(place) = self.field(buffer, field::BUFFER_DATA) else { return Some(read) };
        let start = self.follow(place)?;
        let bytes = self.0.get(start + 4..)?.get(..self.u32(start)? as usize)?;
        let kind = self.byte(tensor, field::TENSOR_TYPE)?;
        let (halves, _) = bytes.as_chunks::<2>();
        let (words, _) = bytes.as_chunks::<4>();
        let expected = read.values();
        match kind {
            tensor_type::FLOAT16 if halves.len() == expected => {
                read.constant = Some(halves.iter().map(|&half| single(u16::from_le_bytes(half))).collect());
            }
            tensor_type::FLOAT32 if words.len() == expected => {
                read.constant = Some(words.iter().map(|&word| f32::from_le_bytes(word)).collect());
            }
            tensor_type::INT32 if words.len() == expected => {
                read.whole = Some(words.iter().map(|&word| i32::from_le_bytes(word)).collect());
            }
            _ => {}
        }
        Some(read)
    }

    /// What an operator does, by its code in the schema. `None` if it is not supported.
    fn kind(
        &self,
        number: u8,
        table: usize,
        tensors: &[Tensor],
        inputs: &[usize],
        outputs: &[usize],
    ) -> Option<Kind> {
        let options = self.field(table, field::OPERATOR_OPTIONS).and_then(|place| self.follow(place));
        let byte = |number| options.map_or(Some(0), |options| self.byte(options, number));
        let whole = |number| options.map_or(Some(0), |options| self.number(options, number));
        let activation = |number| match byte(number)? {
            0 => Some(Activation::Nothing),
            1 => Some(Activation::Relu),
            3 => Some(Activation::Relu6),
            _ => None,
        };
        let window = || {
            let stride = whole(1)?;
            let window = Window { stride: stride as usize, same: byte(0)? == 0 };
            (whole(2)? == stride && (1..=4).contains(&stride)).then_some(window)
        };
        // Missing dilation factors are 1.
        let undilated = |number: usize| {
            options
                .and_then(|options| self.field(options, number))
                .is_none_or(|place| self.u32(place) == Some(1))
        };
        let image = |list: &[usize], i: usize| tensors[*list.get(i)?].image();
        // An image and one constant for each of its channels.
        let channelwise = |operation| {
            let [height, width, channels] = image(inputs, 0)?;
            let constants = &tensors[*inputs.get(1)?];
            let fits = constants.constant.is_some()
                && constants.values() == channels
                && constants.shape.last() == Some(&channels)
                && image(outputs, 0)? == [height, width, channels];
            fits.then_some(Kind::Channelwise(operation))
        };
        match number {
            operator::MULTIPLY if activation(0)? == Activation::Nothing => channelwise(Channelwise::Multiply),
            operator::PRELU => channelwise(Channelwise::Prelu),
            operator::RELU => Some(Kind::Relu),
            operator::ADD if tensors[*inputs.get(1)?].constant.is_some() => {
                (activation(0)? == Activation::Nothing).then(|| channelwise(Channelwise::Add))?
            }
            operator::ADD => {
                let shape = &tensors[*inputs.first()?].shape;
                let same =
                    *shape == tensors[*inputs.get(1)?].shape && *shape == tensors[*outputs.first()?].shape;
                same.then_some(Kind::Add(activation(0)?))
            }
            operator::CONVOLUTION if undilated(4) && undilated(5) => {
                Some(Kind::Convolution(window()?, activation(3)?))
            }
            operator::DEPTHWISE_CONVOLUTION if undilated(5) && undilated(6) && whole(3)? == 1 => {
                Some(Kind::Depthwise(window()?, activation(4)?))
            }
            operator::MAX_POOL => {
                let by_two = whole(1)? == 2 && whole(2)? == 2 && whole(3)? == 2 && whole(4)? == 2;
                let [height, width, channels] = image(inputs, 0)?;
                // The last row or column of an odd size is ignored.
                let fits = image(outputs, 0)? == [height / 2, width / 2, channels];
                (by_two && fits && activation(5)? == Activation::Nothing).then_some(Kind::MaxPool)
            }
            operator::RESHAPE => Some(Kind::Reshape),
            operator::RESIZE_BILINEAR => {
                let [height, width, channels] = image(inputs, 0)?;
                let doubled = image(outputs, 0)? == [2 * height, 2 * width, channels];
                (doubled && byte(2)? == 0 && byte(3)? == 1).then_some(Kind::Double)
            }
            operator::PAD => match *tensors[*inputs.get(1)?].whole.as_deref()? {
                [0, 0, above, below, left, right, 0, 0] => {
                    let zeros =
                        [above, below, left, right].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
                    zeros.iter().all(|&count| count <= 8).then_some(Kind::Pad(zeros))
                }
                [0, 0, 0, 0, 0, 0, 0, more] => {
                    let [height, width, channels] = image(inputs, 0)?;
                    let widened = [height, width, channels.checked_add(usize::try_from(more).ok()?)?];
                    (image(outputs, 0)? == widened).then_some(Kind::Widen)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// Converts half precision to single precision.
fn single(half: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(half >> 15) << 31, u32::from(half >> 10) & 31, u32::from(half) & 0x3FF);
    match exponent {
        // Subnormal: a multiple of 2^-24.
        0 => f32::from_bits((fraction as f32 * f32::from_bits(0x3380_0000)).to_bits() | sign),
        31 => f32::from_bits(sign | 0x7F80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}
