//! Models computed by a formula: nets with the structure of OpenPose's, and weights of our own.
//!
//! The structure is a matter of fact (layers, their names, sizes and order); the prototxt text is written
//! here. The weights come from SplitMix64; every filter sums to 0 over its input, so that signals neither
//! vanish nor explode on their way through fifty layers. The recordings in `tests/data/golden-synthetic` were made with the
//! same formula, and so with the same bytes.
#![allow(dead_code)] // No test program uses all of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use oppose::engine::native::model::Net;

/// How large the nets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A few channels: the nets with which the recordings were made.
    Small,
    /// As many channels as the nets of `meaningful_models.rs` need.
    Narrow,
    /// As many channels as OpenPose's own nets.
    Full,
}

impl Size {
    /// Channels of a tensor that has `full` of them in OpenPose's nets and `small` in the small ones.
    fn channels(self, small: usize, full: usize) -> usize {
        match self {
            Self::Small => small,
            Self::Narrow => full.min(72),
            Self::Full => full,
        }
    }
}

/// The two files of a net.
pub struct MadeUpModel {
    pub prototxt: String,
    pub caffemodel: Vec<u8>,
}

/// Makes a net.
pub fn make(net: Net, size: Size) -> MadeUpModel {
    make_with_kernels(net, size, &[7])
}

/// Makes a net in which these sizes of convolution kernels, repeated in order, replace OpenPose's 7 × 7.
pub fn make_with_kernels(net: Net, size: Size, kernels: &[usize]) -> MadeUpModel {
    let mut description = describe(net, size);
    let mut kernels = kernels.iter().cycle();
    for layer in &mut description.layers {
        if let Kind::Convolution { kernel: kernel @ 7, .. } = &mut layer.kind {
            *kernel = *kernels.next().expect("sizes");
        }
    }
    MadeUpModel { prototxt: description.prototxt(), caffemodel: description.caffemodel(&recipe(net, size)) }
}

fn recipe(net: Net, size: Size) -> Recipe {
    match (net, size) {
        (Net::Body25, Size::Small) => Recipe { seed: 28, heat: (0.5, -0.5), affinity: (0.3, 0.5) },
        (Net::Face, Size::Small) => Recipe { seed: 79, heat: (0.9, -0.3), affinity: (0.0, 0.0) },
        (_, Size::Small) => Recipe { seed: 24, heat: (0.8, -0.3), affinity: (0.0, 0.0) },
        (Net::Body25, _) => Recipe { seed: 25, heat: (0.3, -0.55), affinity: (0.1, 0.5) },
        (Net::Face, _) => Recipe { seed: 70, heat: (0.3, -0.3), affinity: (0.0, 0.0) },
        _ => Recipe { seed: 21, heat: (0.3, -0.3), affinity: (0.0, 0.0) },
    }
}

/// The layers of a net.
pub fn describe(net: Net, size: Size) -> Description {
    match net {
        Net::Body25 => body_25(size),
        Net::Face => cpm(Names::FACE, 71, size),
        Net::Hand => cpm(Names::HAND, 22, size),
        net => panic!("no formula for {net:?}"),
    }
}

/// Writes the body, face and hand net into a folder with the layout of OpenPose's models folder.
pub fn write(folder: &Path, size: Size) {
    write_all(folder, |net| make(net, size));
}

/// Writes the body, face and hand net that `make` returns into a folder.
pub fn write_all(folder: &Path, make: impl Fn(Net) -> MadeUpModel) {
    for net in [Net::Body25, Net::Face, Net::Hand] {
        let model = make(net);
        let files = [(net.prototxt(), model.prototxt.as_bytes()), (net.caffemodel(), &model.caffemodel)];
        for (name, bytes) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be created");
            fs::write(path, bytes).expect("the file can be written");
        }
    }
}

/// Seed and spread of the weights; gain and bias of layers without an activation.
struct Recipe {
    seed: u64,
    heat: (f64, f64),
    affinity: (f64, f64),
}

const FIRST_GAIN: f64 = 6.0;
const HIDDEN_GAIN: f64 = 0.63;
const HIDDEN_BIAS: f64 = 1.5;

/// The layers of a net, from which its two files are written.
pub struct Description {
    name: &'static str,
    layers: Vec<Layer>,
}

pub struct Layer {
    pub name: String,
    pub kind: Kind,
    inputs: Vec<String>,
    output: String,
}

#[derive(Clone, Copy)]
pub enum Kind {
    Convolution { outputs: usize, kernel: usize },
    Relu,
    PRelu,
    Pooling,
    Concatenation,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Convolution { .. } => "Convolution",
            Self::Relu => "ReLU",
            Self::PRelu => "PReLU",
            Self::Pooling => "Pooling",
            Self::Concatenation => "Concat",
        }
    }
}

/// The names that differ between the face and the hand net.
struct Names {
    pools: [&'static str; 3],
    concatenation: &'static str,
    /// Channels of the hidden layers of the small net.
    small: usize,
}

impl Names {
    const FACE: Self =
        Self { pools: ["pool1", "pool2", "pool3"], concatenation: "features_in_stage_", small: 3 };
    const HAND: Self = Self {
        pools: ["pool1_stage1", "pool2_stage1", "pool3_stage1"],
        concatenation: "concat_stage",
        small: 5,
    };
}

fn body_25(size: Size) -> Description {
    let hidden = |full| size.channels(6, full);
    let features = size.channels(8, 128);
    let mut net = Description { name: "OpenPose - BODY_25", layers: vec![] };
    let mut top = net.trunk(&Names::HAND.pools, &hidden, &["conv4_1"]);
    for (name, outputs) in [("conv4_2", hidden(512)), ("conv4_3_CPM", hidden(256)), ("conv4_4_CPM", features)]
    {
        top = net.convolution(name, &top, name, outputs, 3);
        net.activation(&name.replace("conv", "prelu"), Kind::PRelu, name);
    }
    let features = top.as_str();
    let mut stage = |branch: &str, number: usize, input: &str, outputs: usize| {
        let (block, last) = if number == 0 { (96, 256) } else { (128, 512) };
        let mut top = input.to_owned();
        for position in 1..=5 {
            let mut thirds = Vec::new();
            for third in 0..3 {
                let name = format!("Mconv{position}_stage{number}_{branch}_{third}");
                top = net.convolution(&name, &top, &name, hidden(block), 3);
                net.activation(&name.replace("Mconv", "Mprelu"), Kind::PRelu, &name);
                thirds.push(name);
            }
            top = net.concatenation(&format!("Mconv{position}_stage{number}_{branch}_concat"), &thirds);
        }
        let name = format!("Mconv6_stage{number}_{branch}");
        net.convolution(&name, &top, &name, hidden(last), 1);
        net.activation(&name.replace("Mconv", "Mprelu"), Kind::PRelu, &name);
        let output = format!("Mconv7_stage{number}_{branch}");
        net.convolution(&output, &name, &output, outputs, 1);
        // The inputs of the branch's next stage.
        let (branch, next, others) = match (branch, number) {
            ("L2", 0..3) => ("L2", number + 1, vec![output.clone()]),
            ("L2", _) => ("L1", 0, vec![output.clone()]),
            ("L1", 0) => ("L1", 1, vec![output.clone(), "Mconv7_stage3_L2".into()]),
            _ => return net.concatenation("net_output", &[output, "Mconv7_stage3_L2".into()]),
        };
        let inputs = [vec![features.to_owned()], others].concat();
        net.concatenation(&format!("concat_stage{next}_{branch}"), &inputs)
    };
    let mut input = features.to_owned();
    for number in 0..4 {
        input = stage("L2", number, &input, 52);
    }
    for number in 0..2 {
        input = stage("L1", number, &input, 26);
    }
    net
}

fn cpm(names: Names, outputs: usize, size: Size) -> Description {
    let hidden = |full| size.channels(names.small, full);
    let features = size.channels(6, 128);
    let mut net = Description { name: "", layers: vec![] };
    let deep = ["conv4_1", "conv4_2", "conv4_3", "conv4_4", "conv5_1", "conv5_2"];
    let top = net.trunk(&names.pools, &hidden, &deep);
    let shared = net.hidden("conv5_3_CPM", &top, features, 3);
    let top = net.hidden("conv6_1_CPM", &shared, hidden(512), 1);
    let mut maps = net.convolution("conv6_2_CPM", &top, "conv6_2_CPM", outputs, 1);
    for stage in 2..=6 {
        let name = format!("{}{stage}", names.concatenation);
        let mut top = net.concatenation(&name, &[maps, shared.clone()]);
        for position in 1..=5 {
            top = net.hidden(&format!("Mconv{position}_stage{stage}"), &top, hidden(128), 7);
        }
        top = net.hidden(&format!("Mconv6_stage{stage}"), &top, hidden(128), 1);
        let name = format!("Mconv7_stage{stage}");
        maps = net.convolution(&name, &top, if stage == 6 { "net_output" } else { &name }, outputs, 1);
    }
    net
}

impl Description {
    /// The first layers of the VGG net, and the layers of 512 channels that `deep` names.
    fn trunk(&mut self, pools: &[&str; 3], hidden: &impl Fn(usize) -> usize, deep: &[&str]) -> String {
        let mut top = "image".to_owned();
        for (block, layers, outputs) in [(1, 2, 64), (2, 2, 128), (3, 4, 256)] {
            for layer in 1..=layers {
                top = self.hidden(&format!("conv{block}_{layer}"), &top, hidden(outputs), 3);
            }
            top = self.add(pools[block - 1], Kind::Pooling, &[top], pools[block - 1]);
        }
        for name in deep {
            top = self.hidden(name, &top, hidden(512), 3);
        }
        top
    }

    /// A convolution and its ReLU.
    fn hidden(&mut self, name: &str, input: &str, outputs: usize, kernel: usize) -> String {
        let top = self.convolution(name, input, name, outputs, kernel);
        self.activation(&format!("{name}_relu"), Kind::Relu, name);
        top
    }

    fn convolution(
        &mut self,
        name: &str,
        input: &str,
        output: &str,
        outputs: usize,
        kernel: usize,
    ) -> String {
        self.add(name, Kind::Convolution { outputs, kernel }, &[input.to_owned()], output)
    }

    fn activation(&mut self, name: &str, kind: Kind, tensor: &str) {
        self.add(name, kind, &[tensor.to_owned()], tensor);
    }

    fn concatenation(&mut self, name: &str, inputs: &[String]) -> String {
        self.add(name, Kind::Concatenation, inputs, name)
    }

    fn add(&mut self, name: &str, kind: Kind, inputs: &[String], output: &str) -> String {
        let (name, inputs) = (name.to_owned(), inputs.to_vec());
        self.layers.push(Layer { name, kind, inputs, output: output.to_owned() });
        output.to_owned()
    }

    pub fn prototxt(&self) -> String {
        let mut text = format!("name: \"{}\"\ninput: \"image\"\n", self.name);
        text.push_str("input_dim: 1\ninput_dim: 3\ninput_dim: 16\ninput_dim: 16\n");
        for layer in &self.layers {
            let _ = write!(text, "layer {{ name: \"{}\" type: \"{}\"", layer.name, layer.kind.name());
            for input in &layer.inputs {
                let _ = write!(text, " bottom: \"{input}\"");
            }
            let _ = write!(text, " top: \"{}\"", layer.output);
            let _ = match layer.kind {
                Kind::Convolution { outputs, kernel } => {
                    let pad = kernel / 2;
                    write!(
                        text,
                        " convolution_param {{ num_output: {outputs} pad: {pad} kernel_size: {kernel} }}"
                    )
                }
                Kind::Pooling => write!(text, " pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }}"),
                _ => Ok(()),
            };
            text.push_str(" }\n");
        }
        text
    }

    /// Number of channels of a tensor.
    fn channels(&self, tensor: &str) -> usize {
        if tensor == "image" {
            return 3;
        }
        let maker = self.layers.iter().find(|layer| layer.output == tensor).expect("a layer that writes it");
        match maker.kind {
            Kind::Convolution { outputs, .. } => outputs,
            Kind::Concatenation => maker.inputs.iter().map(|input| self.channels(input)).sum(),
            _ => self.channels(&maker.inputs[0]),
        }
    }

    /// Channels of each tensor that a concatenation of this name joins, or of the tensor itself.
    fn groups(&self, tensor: &str) -> Vec<usize> {
        let joins = |layer: &&Layer| layer.output == tensor && matches!(layer.kind, Kind::Concatenation);
        match self.layers.iter().find(joins) {
            Some(layer) => layer.inputs.iter().map(|input| self.channels(input)).collect(),
            None => vec![self.channels(tensor)],
        }
    }

    fn caffemodel(&self, recipe: &Recipe) -> Vec<u8> {
        self.caffemodel_with(|index, layer, shape| {
            let &[outputs, inputs, height, width] = shape else {
                let slope = |random| (0.05 + random as f64 / 16_777_216.0 * 0.1) as f32;
                return vec![Random::new(recipe.seed, index, 0).take(shape[0]).map(slope).collect()];
            };
            let is_activated = self
                .layers
                .iter()
                .any(|next| matches!(next.kind, Kind::Relu | Kind::PRelu) && next.inputs[0] == layer.output);
            let is_first = index == 0;
            let (gain, bias) = match (is_first, is_activated, outputs) {
                (true, ..) => (FIRST_GAIN, Bias::Constant(HIDDEN_BIAS)),
                (_, true, _) => (HIDDEN_GAIN, Bias::Constant(HIDDEN_BIAS)),
                (_, false, 52) => (recipe.affinity.0, Bias::Random(recipe.affinity.1)),
                _ => (recipe.heat.0, Bias::Constant(recipe.heat.1)),
            };
            let groups = self.groups(&layer.inputs[0]);
            let shape = [outputs, inputs, height, width];
            let weights = weights(Random::new(recipe.seed, index, 0), shape, &groups, gain, is_first);
            let bias = Random::new(recipe.seed, index, 1).take(outputs).map(|random| match bias {
                Bias::Constant(bias) => bias as f32,
                Bias::Random(scale) => ((random as f64 / 8_388_608.0 - 1.0) * scale) as f32,
            });
            vec![weights, bias.collect()]
        })
    }

    /// The caffemodel with the values that the function returns for a layer, given its index and the shape of its first
    /// blob: weights and bias of a convolution, or slopes of a PReLU.
    pub fn caffemodel_with(
        &self,
        mut values: impl FnMut(usize, &Layer, &[usize]) -> Vec<Vec<f32>>,
    ) -> Vec<u8> {
        let mut model = message(1, self.name.as_bytes());
        for (index, layer) in self.layers.iter().enumerate() {
            let shape = match layer.kind {
                Kind::Convolution { outputs, kernel } => {
                    vec![outputs, self.groups(&layer.inputs[0]).iter().sum(), kernel, kernel]
                }
                Kind::PRelu => vec![self.channels(&layer.output)],
                _ => continue,
            };
            let mut content = message(1, layer.name.as_bytes());
            content.extend(message(2, layer.kind.name().as_bytes()));
            for input in &layer.inputs {
                content.extend(message(3, input.as_bytes()));
            }
            content.extend(message(4, layer.output.as_bytes()));
            for (position, values) in values(index, layer, &shape).iter().enumerate() {
                let shape = if position == 0 { &shape[..] } else { &shape[..1] };
                content.extend(message(7, &blob(shape, values)));
            }
            model.extend(message(100, &content));
        }
        model
    }
}

enum Bias {
    Constant(f64),
    Random(f64),
}

/// SplitMix64, its upper 24 bits.
struct Random(u64);

impl Random {
    fn new(seed: u64, layer: usize, blob: usize) -> Self {
        let stream = (4 * layer + blob + 1) as u64;
        Self(seed.wrapping_add(0xD1B5_4A32_D192_ED03_u64.wrapping_mul(stream)))
    }
}

impl Iterator for Random {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Some(((z ^ (z >> 31)) >> 40) as u32)
    }
}

/// Random weights with a mean of 0: in the first layer over each filter, otherwise per tap over each group of
/// input channels, so that a value common to all channels has no effect.
fn weights(random: Random, shape: [usize; 4], groups: &[usize], gain: f64, is_first: bool) -> Vec<f32> {
    let [outputs, inputs, height, width] = shape;
    let taps = height * width;
    let count = (inputs * taps) as f64;
    let random: Vec<u32> = random.take(outputs * inputs * taps).collect();
    let mut weights = Vec::with_capacity(random.len());
    for filter in random.chunks_exact(inputs * taps) {
        if is_first {
            let mean = filter.iter().map(|&value| u64::from(value)).sum::<u64>() as f64 / count;
            let scale = gain * (3.0 / (0.35 * count)).sqrt() / 8_388_608.0;
            weights.extend(filter.iter().map(|&value| ((f64::from(value) - mean) * scale) as f32));
            continue;
        }
        let mut rest = filter;
        for &group in groups {
            let (values, others) = rest.split_at(group * taps);
            rest = others;
            let spread = if group > 1 { group as f64 / (group as f64 - 1.0) } else { 1.0 };
            let scale = gain * (3.0 / (0.35 * count) * spread).sqrt() / 8_388_608.0;
            let mut sums = vec![0u64; taps];
            for channel in values.chunks_exact(taps) {
                sums.iter_mut().zip(channel).for_each(|(sum, &value)| *sum += u64::from(value));
            }
            let means: Vec<f64> = match group {
                1 => vec![8_388_608.0; taps],
                _ => sums.iter().map(|&sum| sum as f64 / group as f64).collect(),
            };
            for channel in values.chunks_exact(taps) {
                let weight = |(&value, &mean): (&u32, &f64)| ((f64::from(value) - mean) * scale) as f32;
                weights.extend(channel.iter().zip(&means).map(weight));
            }
        }
    }
    weights
}

/// A protobuf field of bytes.
pub fn message(field: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 12);
    varint(field << 3 | 2, &mut bytes);
    varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn varint(mut number: u64, bytes: &mut Vec<u8>) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn blob(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut dimensions = Vec::new();
    shape.iter().for_each(|&axis| varint(axis as u64, &mut dimensions));
    [message(5, &values), message(7, &message(1, &dimensions))].concat()
}
