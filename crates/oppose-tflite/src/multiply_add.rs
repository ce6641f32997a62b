//! Splits depthwise convolutions with 1 × 1 kernels into a multiplication and an addition.
//!
//! The XNNPACK in MediaPipe 0.10.21 rounds after the multiplication and again after the addition; that in LiteRT 2.3.0
//! computes both in one step and rounds once. With two operators, the net gives MediaPipe's results there too. Like
//! [`prune`](crate::prune), this works on the bytes of a `.tflite` file: new tables are put in front of the old file,
//! because offsets only point forward.

use crate::flat_buffer::{FlatBuffer, Vector, field, operator};

/// TensorFlow Lite's numbers for the types of an operator's options.
const ADD_OPTIONS: u32 = 11;
const MULTIPLY_OPTIONS: u32 = 21;

/// The old file stays aligned to this.
const ALIGNMENT: usize = 64;

/// Returns the net with such operators split. `None` if it is not a `.tflite` file of one graph without signatures.
pub fn split(model: &[u8]) -> Option<Vec<u8>> {
    let file = FlatBuffer(model);
    let root = file.follow(0)?;
    let graph = file.only_graph()?;
    let codes = file.vector(root, field::MODEL_OPERATOR_CODES)?;
    let tensors = file.vector(graph, field::SUBGRAPH_TENSORS)?;
    let operators = file.vector(graph, field::SUBGRAPH_OPERATORS)?;
    let old = |table: usize, number: usize| {
        file.field(table, number).and_then(|position| file.follow(position)).map_or(Value::Absent, Value::Old)
    };
    let old_items = |vector: Vector| {
        let item = |i| Some(Value::Old(file.follow(vector.item(i)?)?));
        (0..vector.length).map(item).collect::<Option<Vec<_>>>()
    };

    let mut code_items = old_items(codes)?;
    let mut tensor_items = old_items(tensors)?;
    let mut operator_items = Vec::new();
    let mut front = Front::default();
    // Tables and vectors that come after the lists that refer to them, as offsets point forward.
    let mut later: Vec<(Label, Vec<Value>, bool)> = Vec::new();
    let (multiply, add) = (code_items.len() as u32, code_items.len() as u32 + 1);
    for operator_code in [operator::MULTIPLY, operator::ADD] {
        let label = front.label();
        code_items.push(Value::New(label));
        let number = Value::Number(operator_code.into());
        later.push((label, vec![number, Value::Absent, Value::Number(1), number], true));
    }
    for i in 0..operators.length {
        let operator = file.follow(operators.item(i)?)?;
        let Some([input, weights, bias, output]) = file.one_by_one(operator, codes, tensors) else {
            operator_items.push(Value::Old(operator));
            continue;
        };
        let output_table = file.follow(tensors.item(output as usize)?)?;
        let between = tensor_items.len() as u32;
        let label = front.label();
        tensor_items.push(Value::New(label));
        // The shape of the output, the default type, which is f32, and no constant data.
        later.push((label, vec![old(output_table, field::TENSOR_SHAPE)], true));
        for (code, inputs, output, options) in [
            (multiply, [input, weights], between, MULTIPLY_OPTIONS),
            (add, [between, bias], output, ADD_OPTIONS),
        ] {
            let [table, input_list, output_list, option_table] = std::array::from_fn(|_| front.label());
            operator_items.push(Value::New(table));
            let fields = [
                Value::Number(code),
                Value::New(input_list),
                Value::New(output_list),
                Value::Number(options),
                Value::New(option_table),
            ];
            later.push((table, fields.to_vec(), true));
            later.push((input_list, inputs.map(Value::Number).to_vec(), false));
            later.push((output_list, vec![Value::Number(output)], false));
            later.push((option_table, Vec::new(), true));
        }
    }

    let [model_table, code_list, graph_list, graph_table, tensor_list, operator_list] =
        std::array::from_fn(|_| front.label());
    front.root(model_table);
    let version = file.field(root, field::MODEL_VERSION).and_then(|position| file.u32(position))?;
    front.table(
        model_table,
        &[
            Value::Number(version),
            Value::New(code_list),
            Value::New(graph_list),
            old(root, field::MODEL_DESCRIPTION),
            old(root, field::MODEL_BUFFERS),
        ],
    );
    front.vector(code_list, &code_items);
    front.vector(graph_list, &[Value::New(graph_table)]);
    front.table(
        graph_table,
        &[
            Value::New(tensor_list),
            old(graph, field::SUBGRAPH_INPUTS),
            old(graph, field::SUBGRAPH_OUTPUTS),
            Value::New(operator_list),
            old(graph, field::SUBGRAPH_NAME),
        ],
    );
    front.vector(tensor_list, &tensor_items);
    front.vector(operator_list, &operator_items);
    for (label, values, is_table) in later {
        match is_table {
            true => front.table(label, &values),
            false => front.vector(label, &values),
        }
    }
    front.finish(model)
}

impl FlatBuffer<'_> {
    /// Input, weights, bias and output of a depthwise convolution with a 1 × 1 kernel.
    fn one_by_one(&self, table: usize, codes: Vector, tensors: Vector) -> Option<[u32; 4]> {
        if self.operator_number(table, codes)? != operator::DEPTHWISE_CONVOLUTION {
            return None;
        }
        let [input, weights, bias] = self.tensors(table, field::OPERATOR_INPUTS)?[..] else { return None };
        let [output] = self.tensors(table, field::OPERATOR_OUTPUTS)?[..] else { return None };
        let shape = self.vector(self.follow(tensors.item(weights)?)?, field::TENSOR_SHAPE)?;
        let is_one = |i| self.u32(shape.item(i)?).filter(|&side| side == 1);
        is_one(1)?;
        is_one(2)?;
        Some([input, weights, bias, output].map(|tensor| tensor as u32))
    }
}

/// A position in the new part of the file, which is known only once it is written.
#[derive(Clone, Copy, Debug)]
struct Label(usize);

/// A field of a table or an item of a vector, four bytes each.
#[derive(Clone, Copy, Debug)]
enum Value {
    Absent,
    Number(u32),
    /// A reference to a position in the old file.
    Old(usize),
    /// A reference to a position in the new part.
    New(Label),
}

/// The new part of the file.
#[derive(Default)]
struct Front {
    bytes: Vec<u8>,
    /// The position of each label.
    positions: Vec<Option<usize>>,
    /// The position of each reference, and its target.
    references: Vec<(usize, Value)>,
}

impl Front {
    fn label(&mut self) -> Label {
        self.positions.push(None);
        Label(self.positions.len() - 1)
    }

    /// Writes the start of the file.
    fn root(&mut self, model: Label) {
        self.value(Value::New(model));
        self.bytes.extend(b"TFL3");
    }

    fn table(&mut self, label: Label, fields: &[Value]) {
        // The list of the fields' positions comes first; the table starts with the distance back to it.
        let list = self.bytes.len();
        self.bytes.extend((4 + 2 * fields.len() as u16).to_le_bytes());
        let present = fields.iter().filter(|value| !matches!(value, Value::Absent)).count();
        self.bytes.extend((4 + 4 * present as u16).to_le_bytes());
        let mut position = 4u16;
        for value in fields {
            let is_present = !matches!(value, Value::Absent);
            self.bytes.extend(if is_present { position } else { 0 }.to_le_bytes());
            position += if is_present { 4 } else { 0 };
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.positions[label.0] = Some(self.bytes.len());
        self.bytes.extend(((self.bytes.len() - list) as u32).to_le_bytes());
        fields.iter().for_each(|&value| self.value(value));
    }

    fn vector(&mut self, label: Label, items: &[Value]) {
        self.positions[label.0] = Some(self.bytes.len());
        self.bytes.extend((items.len() as u32).to_le_bytes());
        items.iter().for_each(|&value| self.value(value));
    }

    fn value(&mut self, value: Value) {
        match value {
            Value::Absent => {}
            Value::Number(number) => self.bytes.extend(number.to_le_bytes()),
            Value::Old(_) | Value::New(_) => {
                self.references.push((self.bytes.len(), value));
                self.bytes.extend([0; 4]);
            }
        }
    }

    /// Returns the new part followed by the old file.
    fn finish(mut self, old: &[u8]) -> Option<Vec<u8>> {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        let base = self.bytes.len();
        for (position, value) in self.references {
            let target = match value {
                Value::Old(target) => base + target,
                Value::New(label) => self.positions[label.0]?,
                Value::Absent | Value::Number(_) => continue,
            };
            let distance = u32::try_from(target.checked_sub(position)?).ok()?;
            self.bytes[position..position + 4].copy_from_slice(&distance.to_le_bytes());
        }
        self.bytes.extend(old);
        Some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one depthwise convolution with a `side` × `side` kernel: input 0, weights 1, bias 2, output 3.
    fn convolution(side: u32) -> Vec<u8> {
        let mut front = Front::default();
        let [
            model,
            codes,
            code,
            graphs,
            graph,
            tensors,
            shape,
            inputs,
            outputs,
            operators,
            operator,
            all_inputs,
        ] = std::array::from_fn(|_| front.label());
        let tensor: [Label; 4] = std::array::from_fn(|_| front.label());
        front.root(model);
        front.table(model, &[Value::Number(3), Value::New(codes), Value::New(graphs)]);
        front.vector(codes, &[Value::New(code)]);
        front.table(code, &[Value::Number(operator::DEPTHWISE_CONVOLUTION.into())]);
        front.vector(graphs, &[Value::New(graph)]);
        front.table(
            graph,
            &[Value::New(tensors), Value::New(inputs), Value::New(outputs), Value::New(operators)],
        );
        front.vector(tensors, &tensor.map(Value::New));
        tensor.into_iter().for_each(|tensor| front.table(tensor, &[Value::New(shape)]));
        front.vector(shape, &[1, side, side, 8].map(Value::Number));
        front.vector(inputs, &[Value::Number(0)]);
        front.vector(operators, &[Value::New(operator)]);
        front.table(operator, &[Value::Number(0), Value::New(all_inputs), Value::New(outputs)]);
        front.vector(all_inputs, &[0, 1, 2].map(Value::Number));
        front.vector(outputs, &[Value::Number(3)]);
        front.finish(&[]).unwrap()
    }

    /// The number, inputs and outputs of each operator.
    fn read(model: &[u8]) -> Vec<(u8, Vec<usize>, Vec<usize>)> {
        let file = FlatBuffer(model);
        let (root, graph) = (file.follow(0).unwrap(), file.only_graph().unwrap());
        let codes = file.vector(root, field::MODEL_OPERATOR_CODES).unwrap();
        let operators = file.vector(graph, field::SUBGRAPH_OPERATORS).unwrap();
        let operator = |i| {
            let operator = file.follow(operators.item(i).unwrap()).unwrap();
            let code = file.u32(file.field(operator, field::OPERATOR_CODE).unwrap()).unwrap();
            let code = file.follow(codes.item(code as usize).unwrap()).unwrap();
            (
                model[file.field(code, field::CODE_NUMBER).unwrap()],
                file.tensors(operator, field::OPERATOR_INPUTS).unwrap(),
                file.tensors(operator, field::OPERATOR_OUTPUTS).unwrap(),
            )
        };
        (0..operators.length).map(operator).collect()
    }

    #[test]
    fn a_convolution_with_a_one_by_one_kernel_becomes_two_operators() {
        assert_eq!(read(&convolution(1)), [(4, vec![0, 1, 2], vec![3])]);
        let split = split(&convolution(1)).unwrap();
        assert_eq!(read(&split), [(18, vec![0, 1], vec![4]), (0, vec![4, 2], vec![3])]);
        assert_eq!(&split[4..8], b"TFL3");
        assert_eq!(split.len() % ALIGNMENT, convolution(1).len() % ALIGNMENT);
    }

    #[test]
    fn other_files_are_unchanged_or_refused() {
        assert_eq!(read(&split(&convolution(3)).unwrap()), [(4, vec![0, 1, 2], vec![3])]);
        assert_eq!(split(&[0; 40]), None);
        assert_eq!(split(b"nonsense"), None);
    }
}
