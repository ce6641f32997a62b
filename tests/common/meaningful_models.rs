//! Nets with weights designed by hand, which detect coloured dots in a picture as keypoints.
//!
//! The layers are OpenPose's, from `made_up_models.rs`; `coloured_people.rs` draws pictures for them (a test
//! program needs all three as modules). Each net carries one channel per keypoint from its first layers to its
//! heat maps; all other weights are 0.
//!
//! **Colours.** A keypoint is a dot of its own colour on black, a limb is a line of one colour for all limbs.
//! The colours lie on a sphere in the cube of blue, green and red, with 128 for its centre and 127 for its
//! radius, so that the net's input is `127 / 256 × direction`. One filter of one tap then sees a colour and
//! no other: `direction · input`, minus a threshold halfway to the next colour. As a sphere is convex, no
//! mixture of two colours, as interpolation produces it, is mistaken for a third. Colours near black are left out.
//! With the colours of faces and hands, the closest two are 15 degrees apart, 4.5 levels of 127: pictures
//! must reach the net as they were drawn, so a video of them is stored losslessly, in RGB.
//!
//! **From dots to peaks.** Binomial 3×3 kernels between and after the poolings turn a dot into a smooth bump
//! with a standard deviation of slightly more than one output pixel (8 net pixels). The poolings move its centre by
//! at most about one net pixel, so dots may lie anywhere and not only on the grid. Each of the two kernels after the
//! poolings shifts by a sixth of a net pixel: a dot exactly between two pixels would otherwise have two equal maxima,
//! which are not a peak. OpenPose's own position of a peak is accurate to half a net pixel: to stay within two
//! pixels, a frame should be at most 1.7 times as large as the net's input.
//!
//! **Part affinity fields.** All people have the same pose, moved and scaled, so the direction of a limb is
//! known, and its field is that direction wherever there is a line or a dot: `1 − max(0, 1 − gain × line)`
//! limits it to length 1. Fields of different limbs differ only in their direction. That suffices, since there is black
//! between the peaks of different people. The two limbs between ear and shoulder stay empty.
//!
//! **Faces and hands.** Their dots have colours of their own, of which the hands use the first 21. The face
//! net's first two layers have fewer channels than a face has keypoints, so they pass the colours on,
//! and the third layer distinguishes them; because of the pooling in between, each dot needs black around it.
#![allow(dead_code)] // No test program uses all of it.

use std::path::Path;

use oppose::engine::native::assemble::body::BODY_25;
use oppose::engine::native::model::Net;

use super::coloured_people::{Colour, FACE_POINTS, HAND_POINTS, LIMB_COLOUR, POSE, colours};
use super::made_up_models::{Layer, MadeUpModel, Size, describe, write_all};

/// Makes a net; `size` is `Narrow` or `Full`.
pub fn make(net: Net, size: Size) -> MadeUpModel {
    assert_ne!(size, Size::Small, "too few channels for one per keypoint");
    let description = describe(net, size);
    let colours = colours();
    let colours = match net {
        Net::Face => &colours[LIMB_COLOUR + 1..][..FACE_POINTS],
        Net::Hand => &colours[LIMB_COLOUR + 1..][..HAND_POINTS],
        _ => &colours[..=LIMB_COLOUR],
    };
    let caffemodel = description.caffemodel_with(|_, layer, shape| match *shape {
        [outputs, inputs, kernel, _] => {
            let mut filters = Filters::new(outputs, inputs, kernel);
            filters.fill(net, layer, colours);
            vec![filters.weights, filters.bias]
        }
        _ => vec![vec![0.0; shape[0]]],
    });
    MadeUpModel { prototxt: description.prototxt(), caffemodel }
}

/// Writes the body, face and hand net into a folder with the layout of OpenPose's models folder.
pub fn write(folder: &Path, size: Size) {
    write_all(folder, |net| make(net, size));
}

/// The layer that distinguishes the colours.
fn detector(net: Net) -> &'static str {
    if net == Net::Face { "conv2_1" } else { "conv1_1" }
}

/// The layers that distinguish colours and smooth the dots.
const TRUNK: [&str; 10] = [
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4", "conv4_1",
    "conv4_2",
];
const BINOMIAL: [f32; 3] = [0.25, 0.5, 0.25];
/// Shifts what it smooths by 0.02 output pixels.
const LEANING: [f32; 3] = [0.24, 0.5, 0.26];
/// Makes the peak of a dot 0.5 to 1 if the frame is twice as large as the body net's input.
const BODY_GAIN: f32 = 8.0;
/// Makes the peaks of faces and hands 0.2 to 1; the larger the crop, the lower the peak.
const CROP_GAIN: f32 = 3.0;
/// Makes a sample that is partly on a line count as much as one that is fully on it.
const LINE_GAIN: f32 = 4.0;

/// The weights of a convolution.
struct Filters {
    inputs: usize,
    kernel: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Filters {
    fn new(outputs: usize, inputs: usize, kernel: usize) -> Self {
        Self {
            inputs,
            kernel,
            weights: vec![0.0; outputs * inputs * kernel * kernel],
            bias: vec![0.0; outputs],
        }
    }

    fn fill(&mut self, net: Net, layer: &Layer, colours: &[Colour]) {
        let name = layer.name.as_str();
        let channels = colours.len();
        let position = TRUNK.iter().position(|layer| *layer == name);
        let detector = TRUNK.iter().position(|layer| *layer == detector(net));
        if position.is_some() && position < detector {
            // 0 is black and 1 is white, so that ReLU and maxima do not change the colours.
            let bias = if name == "conv1_1" { 0.5 } else { 0.0 };
            for channel in 0..3 {
                self.set(channel, channel, 1.0);
                self.bias[channel] = bias;
            }
        } else if position.is_some() && position == detector {
            self.detect(colours, if name == "conv1_1" { 0.0 } else { 0.5 });
        } else if position.is_some() {
            let kernel = if name.starts_with("conv4") { LEANING } else { BINOMIAL };
            let parts = if net == Net::Body25 { LIMB_COLOUR } else { channels };
            (0..parts).for_each(|channel| self.smooth(channel, kernel));
            if net == Net::Body25 {
                self.set(LIMB_COLOUR, LIMB_COLOUR, 1.0);
            }
            if net == Net::Body25 && name == "conv1_2" {
                // Limbs reach into the dots at their ends.
                (0..LIMB_COLOUR).for_each(|part| self.set(LIMB_COLOUR, part, 1.0));
            }
        } else if name.starts_with("Mconv7") && name.ends_with("L2") {
            self.affinity();
        } else {
            // Stages of face and hand read the maps of the previous stage before the features.
            let has_maps = net != Net::Body25 && name.starts_with("Mconv1_");
            let first = if has_maps { net.output_channels() } else { 0 };
            let is_heat = name.starts_with("Mconv7");
            let gain = match (is_heat, net) {
                (false, _) => 1.0,
                (true, Net::Body25) => BODY_GAIN,
                (true, _) => CROP_GAIN,
            };
            // The second and third part of BODY_25's blocks stay empty.
            if name.starts_with("Mconv") && (name.ends_with("_1") || name.ends_with("_2")) {
                return;
            }
            let is_body_heat = is_heat && net == Net::Body25;
            let count = if is_body_heat { LIMB_COLOUR } else { channels };
            (0..count).for_each(|channel| self.set(channel, first + channel, gain));
            if name.starts_with("Mconv1_") && name.ends_with("L2_0") {
                self.set(LIMB_COLOUR, LIMB_COLOUR, -LINE_GAIN);
                self.bias[LIMB_COLOUR] = 1.0;
            }
        }
    }

    /// One channel per colour, 1 at its pixels; the net's input is the colour minus `centre`.
    fn detect(&mut self, colours: &[Colour], centre: f32) {
        let scale = 256.0 / 127.0;
        for (channel, colour) in colours.iter().enumerate() {
            let gain = 1.0 / (1.0 - colour.threshold);
            for (axis, direction) in colour.direction.into_iter().enumerate() {
                self.set(channel, axis, gain * scale * direction);
            }
            let middle = scale * centre * colour.direction.iter().sum::<f32>();
            self.bias[channel] = -gain * (colour.threshold + middle);
        }
    }

    /// The part affinity fields, from a channel that is 0 on a limb and 1 elsewhere.
    fn affinity(&mut self) {
        for (limb, (&(a, b), &plane)) in BODY_25.limbs.iter().zip(BODY_25.affinity).enumerate() {
            if BODY_25.ear_limbs.contains(&limb) {
                continue;
            }
            let (dx, dy) = (POSE[b].0 - POSE[a].0, POSE[b].1 - POSE[a].1);
            for (axis, length) in [dx, dy].into_iter().enumerate() {
                let length = length / dx.hypot(dy);
                self.set(plane + axis, LIMB_COLOUR, -length);
                self.bias[plane + axis] = length;
            }
        }
    }

    /// Sets the middle tap.
    fn set(&mut self, output: usize, input: usize, weight: f32) {
        let half = self.kernel / 2;
        *self.tap(output, input, half, half) = weight;
    }

    fn smooth(&mut self, channel: usize, kernel: [f32; 3]) {
        for (y, vertical) in kernel.into_iter().enumerate() {
            for (x, horizontal) in kernel.into_iter().enumerate() {
                *self.tap(channel, channel, y, x) = vertical * horizontal;
            }
        }
    }

    fn tap(&mut self, output: usize, input: usize, y: usize, x: usize) -> &mut f32 {
        let index = ((output * self.inputs + input) * self.kernel + y) * self.kernel + x;
        &mut self.weights[index]
    }
}
