//! A net in the form in which back ends run it.

/// A convolutional net, validated: every layer reads only tensors of earlier layers, and has all its weights.
///
/// Its size is free: tensors have channels and a net stride, the number of input pixels per pixel of the tensor.
/// Activations belong to the convolution before them.
///
/// Neither this struct nor the ones in it are `#[non_exhaustive]`: whoever runs a graph has to know all that is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The tensors between the layers. The first is the net's input.
    pub tensors: Vec<Tensor>,
    /// The layers in an order in which they can run; each writes one tensor.
    pub layers: Vec<Layer>,
    /// Index of the tensor with the result.
    pub output: usize,
}

/// Planes that one layer writes and others read: channels × (height / stride) × (width / stride).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in the prototxt. Not unique: an activation's output has the name of its input.
    pub name: String,
    /// Number of planes.
    pub channels: usize,
    /// Net stride: input pixels per pixel of this tensor, in each direction.
    pub stride: usize,
}

/// A step of a net.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Name in the prototxt.
    pub name: String,
    /// Indices of the tensors it reads: one, or several for a concatenation.
    pub inputs: Vec<usize>,
    /// Index of the tensor it writes.
    pub output: usize,
    /// What it does.
    pub operation: Operation,
}

/// What a layer does. A back end has to know every operation, so a new one is a breaking change.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Weighted sums of each pixel's neighbourhood in all input channels.
    Convolution(Convolution),
    /// The maximum of each 2 × 2 pixels, at half the size.
    MaxPooling,
    /// The channels of all inputs, one input after another.
    Concatenation,
}

/// A convolution that keeps the size: stride 1, padded with zeros by half its kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// Height and width of the kernel; odd.
    pub kernel: usize,
    /// Output channels × input channels × kernel rows × kernel columns.
    pub weights: Vec<f32>,
    /// The bias of each output channel.
    pub bias: Vec<f32>,
    /// The activation applied to the sums.
    pub activation: Activation,
}

/// The activation of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub enum Activation {
    /// None: sums are kept.
    None,
    /// Negative values become 0.
    Relu,
    /// Negative values are multiplied by their channel's slope.
    PRelu(Vec<f32>),
}

impl Convolution {
    /// Number of input channels.
    pub fn input_channels(&self) -> usize {
        self.weights.len() / (self.bias.len() * self.kernel * self.kernel).max(1)
    }
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

    /// The largest net stride: the width and height of an input must be multiples of it.
    pub fn largest_stride(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.stride).max().unwrap_or(1)
    }

    /// Number of multiplications and additions in convolutions for an input of this size.
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
