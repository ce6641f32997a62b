//! The contents of a prototxt: a net's input and its layers, in order, with their settings.
//!
//! Both generations of Caffe's description are read: `layer` with a quoted type, and the older `layers`
//! with a word in capitals.

use super::error::PrototxtError;
use super::text::{Text, Value};

/// OpenPose's largest net has 239 layers.
const MAX_LAYERS: usize = 1024;
/// Concat layers of OpenPose's nets have at most three inputs.
const MAX_TENSORS_OF_A_LAYER: usize = 64;

/// The description of a net.
#[derive(Debug, Default)]
pub(super) struct NetText<'a> {
    /// Name of the input, if it is not declared by an `Input` layer.
    pub(super) input: Option<&'a str>,
    /// Its shape.
    pub(super) input_shape: Shape,
    pub(super) layers: Vec<LayerText<'a>>,
}

/// The description of a layer; the settings of other types than its own keep their defaults.
#[derive(Debug, Default)]
pub(super) struct LayerText<'a> {
    pub(super) name: &'a str,
    /// `Convolution`, or `CONVOLUTION` in the older form.
    pub(super) kind: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) convolution: ConvolutionText,
    pub(super) pooling: PoolingText<'a>,
    pub(super) concat_axis: Option<i64>,
    pub(super) negative_slope: f32,
    pub(super) channel_shared: bool,
    pub(super) input_shape: Shape,
}

/// The first four dimensions of a shape, and how many it has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    pub(super) dimensions: [i64; 4],
    pub(super) count: usize,
}

/// A setting with a value per axis, given once for both or one by one; 0 if it is not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) height: u32,
    pub(super) width: u32,
    count: usize,
}

/// Settings of a convolution.
#[derive(Debug, Default)]
pub(super) struct ConvolutionText {
    pub(super) outputs: u32,
    pub(super) kernel: Extent,
    pub(super) padding: Extent,
    pub(super) stride: Extent,
    pub(super) dilation: Extent,
    pub(super) group: Option<u32>,
    pub(super) no_bias: bool,
}

/// Settings of a pooling.
#[derive(Debug, Default)]
pub(super) struct PoolingText<'a> {
    pub(super) method: Option<&'a str>,
    pub(super) kernel: Extent,
    pub(super) padding: Extent,
    pub(super) stride: Extent,
    pub(super) global: bool,
}

impl Shape {
    fn push(&mut self, dimension: i64) {
        if let Some(slot) = self.dimensions.get_mut(self.count) {
            *slot = dimension;
        }
        self.count = self.count.saturating_add(1);
    }
}

impl Extent {
    /// A value of the repeated field: the first is for both axes, a second one for the width.
    fn push(&mut self, value: u32) {
        if self.count == 0 {
            self.height = value;
        }
        self.width = value;
        self.count = self.count.saturating_add(1);
    }
}

/// Reads a prototxt.
pub(super) fn parse(text: &str) -> Result<NetText<'_>, PrototxtError> {
    let mut net = NetText::default();
    let mut text = Text::new(text);
    while let Some((name, value)) = text.field()? {
        match (name, value) {
            ("input", Value::Quoted(name)) => net.input = net.input.or(Some(name)),
            ("input_dim", Value::Word(word)) => net.input_shape.push(number(&text, word)?),
            ("input_shape", Value::Message) => shape(&mut text, &mut net.input_shape)?,
            ("layer" | "layers", Value::Message) => {
                if net.layers.len() == MAX_LAYERS {
                    return Err(too_many(&text, "layers", MAX_LAYERS));
                }
                net.layers.push(layer(&mut text)?);
            }
            (_, Value::Message) => text.skip_message()?,
            _ => {}
        }
    }
    Ok(net)
}

fn layer<'a>(text: &mut Text<'a>) -> Result<LayerText<'a>, PrototxtError> {
    let mut layer = LayerText::default();
    while let Some((name, value)) = text.field()? {
        match (name, value) {
            ("name", Value::Quoted(name)) => layer.name = name,
            ("type", Value::Quoted(kind) | Value::Word(kind)) => layer.kind = kind,
            ("bottom", Value::Quoted(tensor)) => push_tensor(text, &mut layer.inputs, tensor)?,
            ("top", Value::Quoted(tensor)) => push_tensor(text, &mut layer.outputs, tensor)?,
            ("convolution_param", Value::Message) => convolution(text, &mut layer.convolution)?,
            ("pooling_param", Value::Message) => pooling(text, &mut layer.pooling)?,
            ("concat_param", Value::Message) => {
                each(text, |text, name, word| {
                    if matches!(name, "axis" | "concat_dim") {
                        layer.concat_axis = Some(number(text, word)?);
                    }
                    Ok(())
                })?;
            }
            ("relu_param", Value::Message) => {
                each(text, |text, name, word| {
                    if name == "negative_slope" {
                        layer.negative_slope = number(text, word)?;
                    }
                    Ok(())
                })?;
            }
            ("prelu_param", Value::Message) => {
                each(text, |text, name, word| {
                    if name == "channel_shared" {
                        layer.channel_shared = number(text, word)?;
                    }
                    Ok(())
                })?;
            }
            ("input_param", Value::Message) => {
                while let Some((name, value)) = text.field()? {
                    match (name, value) {
                        ("shape", Value::Message) => shape(text, &mut layer.input_shape)?,
                        (_, Value::Message) => text.skip_message()?,
                        _ => {}
                    }
                }
            }
            (_, Value::Message) => text.skip_message()?,
            _ => {}
        }
    }
    Ok(layer)
}

fn convolution(text: &mut Text<'_>, settings: &mut ConvolutionText) -> Result<(), PrototxtError> {
    each(text, |text, name, word| {
        match name {
            "num_output" => settings.outputs = number(text, word)?,
            "kernel_size" => settings.kernel.push(number(text, word)?),
            "kernel_h" => settings.kernel.height = number(text, word)?,
            "kernel_w" => settings.kernel.width = number(text, word)?,
            "pad" => settings.padding.push(number(text, word)?),
            "pad_h" => settings.padding.height = number(text, word)?,
            "pad_w" => settings.padding.width = number(text, word)?,
            "stride" => settings.stride.push(number(text, word)?),
            "stride_h" => settings.stride.height = number(text, word)?,
            "stride_w" => settings.stride.width = number(text, word)?,
            "dilation" => settings.dilation.push(number(text, word)?),
            "group" => settings.group = Some(number(text, word)?),
            "bias_term" => settings.no_bias = !number::<bool>(text, word)?,
            _ => {}
        }
        Ok(())
    })
}

fn pooling<'a>(text: &mut Text<'a>, settings: &mut PoolingText<'a>) -> Result<(), PrototxtError> {
    each(text, |text, name, word| {
        match name {
            "pool" => settings.method = Some(word),
            "kernel_size" => settings.kernel.push(number(text, word)?),
            "kernel_h" => settings.kernel.height = number(text, word)?,
            "kernel_w" => settings.kernel.width = number(text, word)?,
            "pad" => settings.padding.push(number(text, word)?),
            "pad_h" => settings.padding.height = number(text, word)?,
            "pad_w" => settings.padding.width = number(text, word)?,
            "stride" => settings.stride.push(number(text, word)?),
            "stride_h" => settings.stride.height = number(text, word)?,
            "stride_w" => settings.stride.width = number(text, word)?,
            "global_pooling" => settings.global = number(text, word)?,
            _ => {}
        }
        Ok(())
    })
}

fn shape(text: &mut Text<'_>, shape: &mut Shape) -> Result<(), PrototxtError> {
    each(text, |text, name, word| {
        if name == "dim" {
            shape.push(number(text, word)?);
        }
        Ok(())
    })
}

/// All words of the message that was opened last.
fn each<'a>(
    text: &mut Text<'a>,
    mut use_word: impl FnMut(&Text<'a>, &'a str, &'a str) -> Result<(), PrototxtError>,
) -> Result<(), PrototxtError> {
    while let Some((name, value)) = text.field()? {
        match value {
            Value::Word(word) => use_word(text, name, word)?,
            Value::Quoted(_) => {}
            Value::Message => text.skip_message()?,
        }
    }
    Ok(())
}

fn push_tensor<'a>(text: &Text<'a>, list: &mut Vec<&'a str>, name: &'a str) -> Result<(), PrototxtError> {
    if list.len() == MAX_TENSORS_OF_A_LAYER {
        return Err(too_many(text, "inputs or outputs of a layer", MAX_TENSORS_OF_A_LAYER));
    }
    list.push(name);
    Ok(())
}

fn number<T: std::str::FromStr>(text: &Text<'_>, word: &str) -> Result<T, PrototxtError> {
    word.parse().map_err(|_| PrototxtError::Syntax {
        line: text.line(),
        expected: "a value of the field's type",
        found: word.chars().take(32).collect(),
    })
}

fn too_many(text: &Text<'_>, what: &'static str, limit: usize) -> PrototxtError {
    PrototxtError::TooMany { line: text.line(), what, limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_of_layers() {
        let net = parse(
            r#"input: "image" input_dim: 1 input_dim: 3 input_dim: 16 input_dim: 16
               layer { name: "a" type: "Convolution" bottom: "image" top: "a"
                       param { lr_mult: 1 } convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
               layers { name: "b" type: CONVOLUTION bottom: "a" top: "b"
                        convolution_param { num_output: 5 kernel_h: 1 kernel_w: 7 bias_term: false } }"#,
        )
        .unwrap();
        assert_eq!((net.input, net.input_shape.dimensions), (Some("image"), [1, 3, 16, 16]));
        let [a, b] = &net.layers[..] else { panic!("{net:?}") };
        assert_eq!(
            (a.name, a.kind, &a.inputs[..], &a.outputs[..]),
            ("a", "Convolution", &["image"][..], &["a"][..])
        );
        assert_eq!((a.convolution.kernel.height, a.convolution.kernel.width), (3, 3));
        assert_eq!((b.kind, b.convolution.no_bias), ("CONVOLUTION", true));
        assert_eq!((b.convolution.kernel.height, b.convolution.kernel.width), (1, 7));
    }

    #[test]
    fn wrong_numbers_are_refused() {
        let text = "layer { convolution_param { num_output:\n 99999999999 } }";
        assert!(matches!(parse(text), Err(PrototxtError::Syntax { line: 2, .. })));
        let text = "layer { } ".repeat(MAX_LAYERS + 1);
        assert!(matches!(parse(&text), Err(PrototxtError::TooMany { .. })));
    }
}
