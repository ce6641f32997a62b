//! A net as a back end runs it.

/// A convolutional net, validated: every layer reads what an earlier one has made, and has all its
/// weights.
///
/// Its size is free: tensors have channels and a stride, the number of input pixels to one of theirs.
/// Activations belong to the convolution before them.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// What flows between the layers. The first is the net's input.
    pub tensors: Vec<Tensor>,
    /// The layers in the order in which they can run; each makes a tensor of its own.
    pub layers: Vec<Layer>,
    /// Index of the tensor with the result.
    pub output: usize,
}

/// A stack of planes that a layer makes and others read: channels × (height / stride) × (width / stride).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in the prototxt. Not unique: an activation's output bears the name of its input.
    pub name: String,
    /// Number of planes.
    pub channels: usize,
    /// Input pixels to a pixel of this tensor, in each direction.
    pub stride: usize,
}

/// A step of a net.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Name in the prototxt.
    pub name: String,
    /// Indices of the tensors it reads: one, or several for a concatenation.
    pub inputs: Vec<usize>,
    /// Index of the tensor it makes.
    pub output: usize,
    /// What it does.
    pub operation: Operation,
}

/// What a layer does.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Weighted sums of each pixel's neighbourhood in all input channels.
    Convolution(Convolution),
    /// The largest of each 2 × 2 pixels, at half the size.
    MaxPooling,
    /// All channels of the inputs, one input after the other.
    Concatenation,
}

/// A convolution that keeps the size: stride 1, padded with zeros by half its kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// Height and width of the kernel; odd.
    pub kernel: usize,
    /// Output channels × input channels × kernel rows × kernel columns.
    pub weights: Vec<f32>,
    /// What is added to each output channel.
    pub bias: Vec<f32>,
    /// What becomes of the sums.
    pub activation: Activation,
}

/// What becomes of a convolution's sums.
#[derive(Clone, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// Negative values become 0.
    Relu,
    /// Negative values are multiplied by their channel's slope.
    PRelu(Vec<f32>),
}

impl Graph {
    /// Number of channels of the input.
    pub fn input_channels(&self) -> usize {
        self.tensors.first().map_or(0, |input| input.channels)
    }

    /// Number of channels of the result.
    pub fn output_channels(&self) -> usize {
        self.tensors.get(self.output).map_or(0, |output| output.channels)
    }

    /// Multiplications and additions for an input of this size, in convolutions.
    pub fn operations(&self, width: usize, height: usize) -> u64 {
        let of = |layer: &Layer| match &layer.operation {
            Operation::Convolution(convolution) => {
                let stride = self.tensors[layer.output].stride;
                2 * convolution.weights.len() as u64 * ((width / stride) * (height / stride)) as u64
            }
            Operation::MaxPooling | Operation::Concatenation => 0,
        };
        self.layers.iter().map(of).sum()
    }
}
