//! The CPU back end compared with a simple executor in double precision: every kind of layer, odd sizes, batches, each set
//! of instructions, several numbers of threads.

#![allow(clippy::unwrap_used)] // Clippy does not recognise tests without the standard harness.

use crate::common;
use crate::made_up_models;
use crate::npy;
use crate::reference_executor;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use common::{Need, trial};
use libtest_mimic::Trial;
use oppose::engine::Engine;
use oppose::engine::native::assemble::size::Size;
use oppose::engine::native::cpu::{Cpu, CpuError, Instructions, MAX_FRAMES, Net as CpuNet, Processor};
use oppose::engine::native::model::{Activation, Convolution, Graph, Layer, Net, Operation, Tensor};
use oppose::engine::native::{Estimator, Native, Options};
use oppose::pose::FramePose;
use oppose::video::Frame;

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let mut trials = vec![
        Trial::test("the number of threads does not change the result", || {
            the_number_of_threads_does_not_change_the_result();
            Ok(())
        }),
        Trial::test("processing frames in parallel does not change the result", || {
            parallel_frames_do_not_change_the_result();
            Ok(())
        }),
        Trial::test("a batch does not change the result", || {
            a_batch_does_not_change_the_result();
            Ok(())
        }),
        Trial::test("wrong sizes are refused", || {
            wrong_sizes_are_refused();
            Ok(())
        }),
    ];
    for net in [Net::Body25, Net::Face, Net::Hand] {
        trials.push(trial(&format!("full-size {net:?}"), &[], move || full_size(net)));
    }
    for instructions in Instructions::ALL {
        let name = |what: &str| format!("{instructions:?}: {what}");
        if !instructions.is_available() {
            let name = name("every kind of layer (skipped: not on this CPU)");
            trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
            continue;
        }
        trials.push(trial(&name("every kind of layer"), &[], move || every_kind_of_layer(instructions)));
        for case in ["s_161x121", "s_210x260", "s_320x240"] {
            let folder = common::repository("tests/data/golden-synthetic").join(case);
            trials.push(trial(&name(case), &[], move || recording(instructions, &folder)));
        }
        for case in ["a_640x480", "b_480x640", "c_210x260", "e_101x77_net64", "f_320x320_s2", "g_500x120"] {
            let folder = common::shared("golden").join(case);
            let needs = [Need::Shared("golden")];
            trials.push(trial(&name(case), &needs, move || recording(instructions, &folder)));
        }
    }
    trials
}

/// Numbers between -1 and 1, reproducible.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / 8_388_608.0 - 1.0
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Adds layers one by one.
struct Builder {
    graph: Graph,
    random: Random,
}

impl Builder {
    fn new(channels: usize, seed: u64) -> Self {
        let input = Tensor { name: "image".into(), channels, stride: 1 };
        let graph = Graph { tensors: vec![input], layers: Vec::new(), output: 0 };
        Self { graph, random: Random(seed) }
    }

    fn add(&mut self, operation: Operation, inputs: &[usize], channels: usize, stride: usize) -> usize {
        let output = self.graph.tensors.len();
        let name = format!("layer{output}");
        self.graph.tensors.push(Tensor { name: name.clone(), channels, stride });
        self.graph.layers.push(Layer { name, inputs: inputs.to_vec(), output, operation });
        self.graph.output = output;
        output
    }

    fn convolution(&mut self, input: usize, kernel: usize, outputs: usize, activation: u8) -> usize {
        let Tensor { channels, stride, .. } = self.graph.tensors[input];
        let fan_in = channels * kernel * kernel;
        let scale = (fan_in as f32).sqrt().recip();
        let weights = self.random.take(outputs * fan_in).iter().map(|value| value * scale).collect();
        let activation = match activation {
            0 => Activation::None,
            1 => Activation::Relu,
            _ => Activation::PRelu(self.random.take(outputs)),
        };
        let convolution = Convolution { kernel, weights, bias: self.random.take(outputs), activation };
        self.add(Operation::Convolution(convolution), &[input], outputs, stride)
    }

    fn pooling(&mut self, input: usize) -> usize {
        let Tensor { channels, stride, .. } = self.graph.tensors[input];
        self.add(Operation::MaxPooling, &[input], channels, stride * 2)
    }

    fn concatenation(&mut self, inputs: &[usize]) -> usize {
        let channels = inputs.iter().map(|&input| self.graph.tensors[input].channels).sum();
        let stride = self.graph.tensors[inputs[0]].stride;
        self.add(Operation::Concatenation, inputs, channels, stride)
    }
}

/// Nets of a few layers that cover everything that can happen to a tensor.
fn graphs() -> Vec<(&'static str, Graph)> {
    let mut all = Vec::new();
    for (name, channels, kernel, outputs, activation) in [
        ("1x1", 5, 1, 7, 0),
        ("1x1 of many channels", 67, 1, 130, 2),
        ("3x3", 3, 3, 16, 1),
        ("3x3 of many channels", 40, 3, 71, 2),
        ("5x5", 19, 5, 33, 1),
        ("7x7", 22, 7, 50, 2),
        ("9x9", 4, 9, 6, 0),
    ] {
        let mut builder = Builder::new(channels, outputs as u64);
        builder.convolution(0, kernel, outputs, activation);
        all.push((name, builder.graph));
    }

    let mut builder = Builder::new(3, 1);
    let wide = builder.convolution(0, 3, 20, 1);
    let pooled = builder.pooling(wide);
    builder.convolution(pooled, 7, 9, 2);
    all.push(("pooling by the convolution", builder.graph));

    let mut builder = Builder::new(3, 2);
    let first = builder.convolution(0, 3, 20, 0);
    let second = builder.convolution(0, 1, 18, 2);
    let joined = builder.concatenation(&[first, 0, second]);
    let pooled = builder.pooling(joined);
    let again = builder.pooling(first);
    let third = builder.convolution(pooled, 3, 12, 1);
    let fourth = builder.convolution(pooled, 1, 33, 1);
    let joined = builder.concatenation(&[third, again, fourth, pooled]);
    let last = builder.convolution(joined, 7, 17, 1);
    let nested = builder.concatenation(&[joined, last]);
    builder.concatenation(&[last, nested]);
    all.push(("concatenations", builder.graph));
    all
}

/// The results for all inputs, by the simple executor.
fn expected(graph: &Graph, inputs: &[f32], size: Size) -> Vec<f32> {
    let length = graph.input_channels() * size.width * size.height;
    inputs.chunks_exact(length).flat_map(|input| reference_executor::run(graph, input, size)).collect()
}

fn run(net: &mut CpuNet, inputs: &[f32], batch: usize, size: Size) -> Vec<f32> {
    let mut outputs = Vec::new();
    net.run(inputs, batch, size.width, size.height, &mut outputs).unwrap();
    outputs
}

fn assert_close(found: &[f32], expected: &[f32], limit: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= limit && found.iter().all(|value| value.is_finite()), "{what}: off by {worst}");
}

fn every_kind_of_layer(instructions: Instructions) {
    let processor = Arc::new(Processor::with_instructions(2, instructions).unwrap());
    for (name, graph) in graphs() {
        let multiple = graph.tensors.iter().map(|tensor| tensor.stride).max().unwrap();
        let mut net = CpuNet::new(graph.clone(), Arc::clone(&processor));
        // From larger to smaller and back, so that memory is reused.
        for (width, height, batch) in [(13, 9, 1), (1, 1, 2), (4, 30, 3), (31, 7, 2), (6, 5, 1), (57, 3, 1)] {
            let size = Size { width: width * multiple, height: height * multiple };
            let length = batch * graph.input_channels() * size.width * size.height;
            let inputs = Random((width * 31 + height) as u64).take(length);
            let what = format!("{name} {size:?} batch {batch}");
            assert_close(&run(&mut net, &inputs, batch, size), &expected(&graph, &inputs, size), 2e-5, &what);
        }
    }
}

/// As many channels and layers as in the real nets, on a small image.
fn full_size(net: Net) {
    let model = made_up_models::make(net, made_up_models::Size::Full);
    let graph = Graph::from_bytes(model.prototxt.as_bytes(), &model.caffemodel).unwrap();
    let size = Size { width: 48, height: 32 };
    let inputs: Vec<f32> =
        Random(3).take(3 * size.width * size.height).iter().map(|value| value / 2.0).collect();
    let expected = expected(&graph, &inputs, size);
    let mut net_on_cpu = CpuNet::new(graph, Arc::new(Processor::new(2).unwrap()));
    let found = run(&mut net_on_cpu, &inputs, 1, size);
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("full-size {net:?}: off by {worst:e}");
    assert_close(&found, &expected, 1e-4, "full size");
}

/// Compares with the outputs of the real library for the same inputs.
fn recording(instructions: Instructions, folder: &Path) {
    let processor = Arc::new(Processor::with_instructions(2, instructions).unwrap());
    for (net, input, output) in [
        (Net::Body25, "net_input", "net_output"),
        (Net::Body25, "net_input_1", "net_output_1"),
        (Net::Face, "face_crop", "face_net_output"),
        (Net::Hand, "hand_left_crop", "hand_left_net_output"),
        (Net::Hand, "hand_right_crop", "hand_right_net_output"),
    ] {
        let path = |name: &str| folder.join(format!("{name}.npy"));
        if !path(output).exists() && net != Net::Body25 || !path(input).exists() && input.ends_with("_1") {
            continue;
        }
        let model = made_up_models::make(net, made_up_models::Size::Small);
        let graph = Graph::from_bytes(model.prototxt.as_bytes(), &model.caffemodel).unwrap();
        let (input, output) = (npy::read(&path(input)), npy::read(&path(output)));
        let size = Size { width: input.shape[3], height: input.shape[2] };
        let found = run(&mut CpuNet::new(graph, Arc::clone(&processor)), &input.values, 1, size);
        assert_close(&found, &output.values, 1e-4, &format!("{net:?}"));
    }
}

/// The small net of this kind, and a random batch.
fn small_net(net: Net, batch: usize, size: Size) -> (Graph, Vec<f32>) {
    let model = made_up_models::make(net, made_up_models::Size::Small);
    let graph = Graph::from_bytes(model.prototxt.as_bytes(), &model.caffemodel).unwrap();
    (graph, Random(7).take(batch * 3 * size.width * size.height))
}

/// Frames processed in parallel, by several back ends that share their threads, give the same people as one after another.
fn parallel_frames_do_not_change_the_result() {
    let models = tempfile::tempdir().unwrap();
    made_up_models::write(models.path(), made_up_models::Size::Small);
    let options = Options { net_resolution: "-1x96".parse().unwrap(), ..Options::default() };
    let frames: Vec<Frame> = (0..11)
        .map(|index| {
            // Two sizes, so that the memory of tensors is used for both.
            let (width, height) = if index % 4 == 3 { (90, 120) } else { (160, 120) };
            let values = Random(index + 1).take((width * height * 3) as usize);
            let pixels = values.iter().map(|value| ((value + 1.0) * 127.0) as u8).collect();
            Frame::new(index, None, width, height, pixels).unwrap()
        })
        .collect();
    let copy = |frame: &Frame| {
        Frame::new(frame.index(), None, frame.width(), frame.height(), frame.pixels().to_vec()).unwrap()
    };
    let read = |threads: usize| Cpu::read(models.path(), NonZeroUsize::new(threads)).unwrap();
    let mut estimator = Estimator::new(read(1), options.clone()).unwrap();
    let mut expected = vec![FramePose::default(); frames.len()];
    for (frame, pose) in frames.iter().zip(&mut expected) {
        estimator.estimate(frame, pose).unwrap();
    }
    assert!(
        expected.iter().map(FramePose::people).sum::<usize>() > 0,
        "no people were found, so nothing was compared"
    );
    for threads in [1, 2, 5, MAX_FRAMES + 1] {
        let backends = read(threads).for_all_threads();
        assert_eq!(backends.len(), threads.min(MAX_FRAMES));
        let mut engine = Native::with_backends(backends, options.clone()).unwrap();
        let (mut found, mut pushed) = (Vec::new(), 0);
        while found.len() < frames.len() {
            while pushed < frames.len() && pushed - found.len() < engine.capacity() {
                engine.push(copy(&frames[pushed])).unwrap();
                pushed += 1;
            }
            let mut pose = FramePose::default();
            assert!(engine.pop(&mut pose).unwrap());
            found.push(pose);
        }
        assert!(!engine.pop(&mut FramePose::default()).unwrap());
        assert_eq!(found, expected, "{threads} threads");
        // The engine is dropped with frames in flight.
        (0..engine.capacity()).for_each(|_| engine.push(copy(&frames[0])).unwrap());
        assert!(engine.push(copy(&frames[0])).unwrap_err().to_string().contains("in flight already"));
    }
}

fn the_number_of_threads_does_not_change_the_result() {
    let size = Size { width: 176, height: 112 };
    for net in [Net::Body25, Net::Hand] {
        let (graph, inputs) = small_net(net, 2, size);
        let by = |threads| {
            let processor = Arc::new(Processor::new(threads).unwrap());
            assert_eq!(processor.threads(), threads);
            run(&mut CpuNet::new(graph.clone(), processor), &inputs, 2, size)
        };
        let alone = by(1);
        for threads in [2, 3, 7] {
            assert!(by(threads) == alone, "{net:?} {threads}");
        }
    }
}

fn a_batch_does_not_change_the_result() {
    let size = Size { width: 64, height: 80 };
    let (graph, inputs) = small_net(Net::Face, 3, size);
    let processor = Arc::new(Processor::new(2).unwrap());
    let mut net = CpuNet::new(graph, processor);
    let together = run(&mut net, &inputs, 3, size);
    let each: Vec<f32> =
        inputs.chunks_exact(inputs.len() / 3).flat_map(|input| run(&mut net, input, 1, size)).collect();
    assert!(together == each);
    assert!(run(&mut net, &[], 0, size).is_empty());
}

fn wrong_sizes_are_refused() {
    let (graph, inputs) = small_net(Net::Hand, 1, Size { width: 16, height: 16 });
    let mut net = CpuNet::new(graph, Arc::new(Processor::new(1).unwrap()));
    let mut outputs = Vec::new();
    for (width, height) in [(0, 16), (16, 0), (12, 16), (16, 17)] {
        let error = net.run(&inputs, 1, width, height, &mut outputs).unwrap_err();
        assert!(matches!(error, CpuError::Size { multiple: 8, .. }), "{error}");
    }
    let error = net.run(&inputs, 2, 16, 16, &mut outputs).unwrap_err();
    assert!(matches!(error, CpuError::Input { found: 768, expected: 1536 }), "{error}");
    let error = net.run(&inputs, usize::MAX, 16, 16, &mut outputs).unwrap_err();
    assert!(matches!(error, CpuError::Input { .. }), "{error}");
}
