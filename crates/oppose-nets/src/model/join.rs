//! Combines a net's description and its trained values into a [`Graph`].

use std::collections::HashMap;

use super::caffemodel::Caffemodel;
use super::error::GraphError;
use super::graph::{Activation, Convolution, Graph, Layer, Operation, Tensor};
use super::prototxt::{Extent, LayerText, NetText, Shape};

/// The result's name in all of OpenPose's nets.
const OUTPUT: &str = "net_output";
/// Largest net stride. OpenPose's nets have 8; a net input is only a multiple of 16.
const MAX_STRIDE: usize = 16;
/// Largest number of channels, so that sums cannot overflow. OpenPose's nets have at most 528.
const MAX_CHANNELS: usize = 1 << 16;

/// Combines a prototxt and a caffemodel.
pub(super) fn join(net: &NetText<'_>, model: &Caffemodel<'_>) -> Result<Graph, GraphError> {
    let mut joint =
        Joint { model, graph: Graph { tensors: vec![], layers: vec![], output: 0 }, names: HashMap::new() };
    if let Some(name) = net.input {
        joint.add_input(name, net.input_shape)?;
    }
    for layer in &net.layers {
        joint.add(layer)?;
    }
    let output = joint.names.get(OUTPUT).ok_or(GraphError::NoOutput)?;
    joint.graph.output = output.tensor;
    Ok(joint.graph)
}

/// What a name refers to at this point of the net.
struct Named {
    tensor: usize,
    /// Whether a layer has read it, after which no activation may change it.
    is_read: bool,
}

struct Joint<'a> {
    model: &'a Caffemodel<'a>,
    graph: Graph,
    names: HashMap<&'a str, Named>,
}

impl<'a> Joint<'a> {
    fn add_input(&mut self, name: &'a str, shape: Shape) -> Result<(), GraphError> {
        let channels = usize::try_from(shape.dimensions[1]).unwrap_or(0);
        if shape.count != 4 || channels == 0 || channels > MAX_CHANNELS || !self.graph.tensors.is_empty() {
            return Err(GraphError::NoInput);
        }
        self.add_tensor(name, channels, 1);
        Ok(())
    }

    fn add(&mut self, layer: &LayerText<'a>) -> Result<(), GraphError> {
        match layer.kind {
            "Input" => match layer.outputs[..] {
                [output] => self.add_input(output, layer.input_shape),
                _ => Err(GraphError::NoInput),
            },
            "Convolution" | "CONVOLUTION" => self.add_convolution(layer),
            "ReLU" | "RELU" | "PReLU" | "PRELU" => self.add_activation(layer),
            "Pooling" | "POOLING" => self.add_pooling(layer),
            "Concat" | "CONCAT" => self.add_concatenation(layer),
            _ => Err(GraphError::UnknownType { layer: layer.name.into(), found: layer.kind.into() }),
        }
    }

    fn add_convolution(&mut self, layer: &LayerText<'a>) -> Result<(), GraphError> {
        let (input, output) = self.one_to_one(layer)?;
        let settings = &layer.convolution;
        let extent = |what, extent: Extent, expected, is_right: fn(u32) -> bool| {
            let Extent { height, width, .. } = extent;
            let is_right = height == width && is_right(height);
            require(layer, what, format_args!("{height}x{width}"), expected, is_right)
        };
        extent("kernel", settings.kernel, "a square of odd side up to 15", |side| {
            side % 2 == 1 && side <= 15
        })?;
        extent("stride", settings.stride, "1", |stride| stride <= 1)?;
        extent("dilation", settings.dilation, "1", |dilation| dilation <= 1)?;
        let group = settings.group.unwrap_or(1);
        require(layer, "group", format_args!("{group}"), "1", group == 1)?;
        let kernel = settings.kernel.height as usize;
        let (high, wide) = (settings.padding.height as usize, settings.padding.width as usize);
        let pads = high == kernel / 2 && wide == kernel / 2;
        require(layer, "padding", format_args!("{high}x{wide}"), "half the kernel", pads)?;
        let outputs = settings.outputs as usize;
        let range = "1 to 65536";
        require(
            layer,
            "num_output",
            format_args!("{outputs}"),
            range,
            (1..=MAX_CHANNELS).contains(&outputs),
        )?;

        let Tensor { channels, stride, .. } = self.graph.tensors[input];
        let weights = self.blob(layer, 0, "weights", &[outputs, channels, kernel, kernel])?;
        let bias = match settings.no_bias {
            true => vec![0.0; outputs],
            false => self.blob(layer, 1, "bias", &[outputs])?,
        };
        let activation = Activation::None;
        let operation = Operation::Convolution(Convolution { kernel, weights, bias, activation });
        self.add_layer(layer, vec![input], output, outputs, stride, operation);
        Ok(())
    }

    /// An activation becomes part of the convolution whose sums it changes in place.
    fn add_activation(&mut self, layer: &LayerText<'a>) -> Result<(), GraphError> {
        let is_in_place = layer.inputs.len() == 1 && layer.inputs == layer.outputs;
        let name = layer.inputs.first().copied().unwrap_or("");
        let named = self.names.get(name).ok_or_else(|| unknown_tensor(layer, name))?;
        let tensor = named.tensor;
        // Only the layer that wrote this tensor last can be changed, and only before another layer reads the tensor.
        let maker = self.graph.layers.iter().position(|maker| maker.output == tensor);
        let is_unread = is_in_place && !named.is_read;
        let sums = maker.and_then(|maker| match &self.graph.layers[maker].operation {
            Operation::Convolution(Convolution { activation: Activation::None, .. }) => Some(maker),
            _ => None,
        });
        let (Some(maker), true) = (sums, is_unread) else {
            return Err(GraphError::Unsupported {
                layer: layer.name.into(),
                what: "its place",
                found: format!("{:?} to {:?}", layer.inputs, layer.outputs),
                expected: "an activation in place, directly behind a convolution,",
            });
        };
        let activation = if layer.kind.starts_with('R') {
            let slope = layer.negative_slope;
            require(layer, "negative_slope", format_args!("{slope}"), "0", slope == 0.0)?;
            Activation::Relu
        } else {
            let channels = self.graph.tensors[tensor].channels;
            Activation::PRelu(match layer.channel_shared {
                true => self.blob(layer, 0, "slopes", &[])?.repeat(channels),
                false => self.blob(layer, 0, "slopes", &[channels])?,
            })
        };
        if let Operation::Convolution(convolution) = &mut self.graph.layers[maker].operation {
            convolution.activation = activation;
        }
        Ok(())
    }

    fn add_pooling(&mut self, layer: &LayerText<'a>) -> Result<(), GraphError> {
        let (input, output) = self.one_to_one(layer)?;
        let settings = &layer.pooling;
        let method = settings.method.unwrap_or("MAX");
        require(layer, "pool", format_args!("{method}"), "MAX", matches!(method, "MAX" | "0"))?;
        for (what, Extent { height, width, .. }, expected, side) in [
            ("kernel", settings.kernel, "2x2", 2),
            ("stride", settings.stride, "2x2", 2),
            ("padding", settings.padding, "0x0", 0),
        ] {
            let is_right = height == side && width == side && !settings.global;
            require(layer, what, format_args!("{height}x{width}"), expected, is_right)?;
        }
        let Tensor { channels, stride, .. } = self.graph.tensors[input];
        let stride = stride * 2;
        require(layer, "stride of the result", format_args!("{stride}"), "up to 16", stride <= MAX_STRIDE)?;
        self.add_layer(layer, vec![input], output, channels, stride, Operation::MaxPooling);
        Ok(())
    }

    fn add_concatenation(&mut self, layer: &LayerText<'a>) -> Result<(), GraphError> {
        let axis = layer.concat_axis.unwrap_or(1);
        require(layer, "axis", format_args!("{axis}"), "1", axis == 1)?;
        let inputs: Vec<usize> =
            layer.inputs.iter().map(|name| self.read(layer, name)).collect::<Result<_, _>>()?;
        let tensors = || inputs.iter().map(|&input| &self.graph.tensors[input]);
        let stride = tensors().map(|tensor| tensor.stride).max().unwrap_or(0);
        let channels = tensors().map(|tensor| tensor.channels).sum();
        let is_right = stride > 0 && tensors().all(|tensor| tensor.stride == stride);
        require(layer, "its inputs", format_args!("{:?}", layer.inputs), "tensors of one size", is_right)?;
        require(layer, "channels", format_args!("{channels}"), "up to 65536", channels <= MAX_CHANNELS)?;
        let output = one_output(layer)?;
        self.add_layer(layer, inputs, output, channels, stride, Operation::Concatenation);
        Ok(())
    }

    fn add_layer(
        &mut self,
        layer: &LayerText<'a>,
        inputs: Vec<usize>,
        output: &'a str,
        channels: usize,
        stride: usize,
        operation: Operation,
    ) {
        let output = self.add_tensor(output, channels, stride);
        self.graph.layers.push(Layer { name: layer.name.into(), inputs, output, operation });
    }

    fn add_tensor(&mut self, name: &'a str, channels: usize, stride: usize) -> usize {
        let tensor = self.graph.tensors.len();
        self.graph.tensors.push(Tensor { name: name.into(), channels, stride });
        self.names.insert(name, Named { tensor, is_read: false });
        tensor
    }

    fn one_to_one(&mut self, layer: &LayerText<'a>) -> Result<(usize, &'a str), GraphError> {
        let found = layer.inputs.len();
        require(layer, "number of inputs", format_args!("{found}"), "1", found == 1)?;
        Ok((self.read(layer, layer.inputs[0])?, one_output(layer)?))
    }

    fn read(&mut self, layer: &LayerText<'a>, name: &str) -> Result<usize, GraphError> {
        let named = self.names.get_mut(name).ok_or_else(|| unknown_tensor(layer, name))?;
        named.is_read = true;
        Ok(named.tensor)
    }

    fn blob(
        &self,
        layer: &LayerText<'a>,
        index: usize,
        blob: &'static str,
        shape: &[usize],
    ) -> Result<Vec<f32>, GraphError> {
        let missing = || GraphError::MissingBlob { layer: layer.name.into(), blob };
        let values = self.model.blobs(layer.name).get(index).ok_or_else(missing)?;
        if !values.is(shape) {
            let expected = shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
            let found = values.to_string();
            return Err(GraphError::MisshapenBlob { layer: layer.name.into(), blob, found, expected });
        }
        Ok(values.to_vec())
    }
}

fn one_output<'a>(layer: &LayerText<'a>) -> Result<&'a str, GraphError> {
    let found = layer.outputs.len();
    require(layer, "number of outputs", format_args!("{found}"), "1", found == 1)?;
    Ok(layer.outputs[0])
}

fn unknown_tensor(layer: &LayerText<'_>, tensor: &str) -> GraphError {
    GraphError::UnknownTensor { layer: layer.name.into(), tensor: tensor.into() }
}

fn require(
    layer: &LayerText<'_>,
    what: &'static str,
    found: std::fmt::Arguments<'_>,
    expected: &'static str,
    is_right: bool,
) -> Result<(), GraphError> {
    match is_right {
        true => Ok(()),
        false => Err(GraphError::Unsupported {
            layer: layer.name.into(),
            what,
            found: found.to_string(),
            expected,
        }),
    }
}
