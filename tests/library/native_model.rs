//! Nets computed by a formula are read back, and errors say what is wrong with a model.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::made_up_models;

use std::fmt::Write as _;

use made_up_models::{Size, make, message};
use oppose::Chain;
use oppose::engine::native::model::{
    Activation, Graph, GraphError, ModelError, Net, Operation, PrototxtError,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// SHA-256 of the caffemodels with which the recordings of the real library were made.
const HASHES: [(Net, Size, &str); 6] = [
    (Net::Body25, Size::Small, "c929248e03e4a1ae6b0b77232f358089c6a8cdd4e7a869d393faedd54d53f70f"),
    (Net::Face, Size::Small, "ad06730a83f16130b1ce77f38e97d71acd782c8240b118ff9ff386ddc67db760"),
    (Net::Hand, Size::Small, "c456595f7998ded23f1fcad1bcf8b383bd5e31c56501be934e687cadbc486dfa"),
    (Net::Body25, Size::Full, "49f8c5c1b74d0620f83b3d6454a0204503cce0810127bf678347a4481b137469"),
    (Net::Face, Size::Full, "ea8e39db30291afc485eb7dbab530f8d0d23f268ccb2d92e5df52f11c502f4e7"),
    (Net::Hand, Size::Full, "383369b5306fdb81cbd6d1ed17f33c4fcdc006279df843a81700759039e0a0a1"),
];

#[test]
fn the_formula_reproduces_the_recorded_models() {
    for (net, size, expected) in HASHES {
        let digest = Sha256::digest(&make(net, size).caffemodel);
        let found = digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        assert_eq!(found, expected, "{net:?} {size:?}");
    }
}

#[test]
fn nets_are_read_from_a_model_folder() {
    let folder = tempfile::tempdir().unwrap();
    made_up_models::write(folder.path(), Size::Small);
    for (net, convolutions, layers, slopes) in
        [(Net::Body25, 114, 153, true), (Net::Face, 52, 60, false), (Net::Hand, 52, 60, false)]
    {
        let graph = net.read(folder.path()).unwrap();
        assert_eq!((graph.input_channels(), graph.output_channels()), (3, net.output_channels()), "{net:?}");
        assert_eq!(graph.layers.len(), layers, "{net:?}");
        let found = graph.layers.iter().filter_map(|layer| match &layer.operation {
            Operation::Convolution(convolution) => Some(convolution),
            _ => None,
        });
        assert_eq!(found.clone().count(), convolutions, "{net:?}");
        let has_slopes = found.into_iter().any(|layer| matches!(layer.activation, Activation::PRelu(_)));
        assert_eq!(has_slopes, slopes, "{net:?}");
        // Every layer reads only the results of earlier ones.
        for layer in &graph.layers {
            assert!(layer.inputs.iter().all(|&input| input < layer.output), "{net:?} {}", layer.name);
        }
    }
    // The known cost of the full-size net.
    let full = make(Net::Body25, Size::Full);
    let graph = Graph::from_bytes(full.prototxt.as_bytes(), &full.caffemodel).unwrap();
    let billions = graph.operations(496, 368) / 1_000_000_000;
    assert!((215..=218).contains(&billions), "{billions}");
}

#[test]
fn a_missing_or_wrong_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Net::Face.read(folder.path()).unwrap_err();
    assert!(matches!(&error, ModelError::Missing(path) if path.ends_with(Net::Face.prototxt())), "{error}");

    made_up_models::write(folder.path(), Size::Small);
    let (face, hand) = (folder.path().join(Net::Face.prototxt()), folder.path().join(Net::Hand.caffemodel()));
    let error = Net::Face.read_files(&face, &hand).unwrap_err();
    let expected = "\"conv1_1\": its weights are 5x3x3x3 in the caffemodel, expected 3x3x3x3";
    let words = Chain(&error).to_string();
    assert!(words.contains(expected) && words.contains("hand") && words.contains("face"), "{words}");

    let hand_text = folder.path().join(Net::Hand.prototxt());
    let error = Net::Face.read_files(&hand_text, &hand).unwrap_err();
    let source = GraphError::Output { channels: 22, stride: 8, expected: 71 };
    assert!(matches!(&error, ModelError::Graph { source: found, .. } if **found == source), "{error}");

    let error = Net::Hand.read_files(&hand, &hand).unwrap_err();
    assert!(matches!(error, ModelError::Prototxt { source: PrototxtError::NotText, .. }), "{error}");
    let error = Net::Hand.read_files(&hand_text, &hand_text).unwrap_err();
    assert!(matches!(error, ModelError::Caffemodel { .. } | ModelError::Graph { .. }), "{error}");
}

#[test]
fn a_caffemodel_cut_anywhere_is_refused() {
    let model = make(Net::Hand, Size::Small);
    for end in (0..model.caffemodel.len()).step_by(997) {
        let error = Graph::from_bytes(model.prototxt.as_bytes(), &model.caffemodel[..end]).unwrap_err();
        assert!(!error.to_string().is_empty());
    }
}

/// A net with a single 1 x 1 convolution from 3 to 2 channels.
const TINY: &str = r#"
    layer { name: "data" type: "Input" top: "image" input_param { shape { dim: [1, 3, 16, 16] } } }
    layer { name: "a" type: "Convolution" bottom: "image" top: "net_output"
            convolution_param { num_output: 2 kernel_size: 1 } }"#;

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn tiny_model(weights: &[u8], bias: &[u8]) -> Vec<u8> {
    message(100, &[message(1, b"a"), message(7, weights), message(7, bias)].concat())
}

#[test]
fn all_forms_of_blobs_give_the_same_net() {
    let (weights, bias) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.5, -0.5]);
    let packed =
        |values: &[f32], shape: &[u8]| [message(5, &floats(values)), message(7, &message(1, shape))].concat();
    // Four integers for the shape, and one field per value.
    let old = |values: &[f32], shape: [u8; 4]| {
        let shape = (1..).zip(shape).flat_map(|(field, axis)| [field << 3, axis]);
        let values = values.iter().flat_map(|value| [&[0x2d], &value.to_le_bytes()[..]].concat());
        shape.chain(values).collect::<Vec<u8>>()
    };
    let new = tiny_model(&packed(&weights, &[2, 3, 1, 1]), &packed(&bias, &[2]));
    let old =
        [message(6, &old(&weights, [2, 3, 1, 1])), message(6, &old(&bias, [1, 1, 1, 2])), message(4, b"a")];
    let old = message(2, &old.concat());
    for caffemodel in [new, old] {
        let graph = Graph::from_bytes(TINY.as_bytes(), &caffemodel).unwrap();
        let Operation::Convolution(convolution) = &graph.layers[0].operation else { panic!("{graph:?}") };
        assert_eq!((&convolution.weights[..], &convolution.bias[..]), (&weights[..], &bias[..]));
    }
}

#[test]
fn errors_name_the_layer() {
    let cases = [
        ("kernel_size: 1", "kernel_size: 2", "layer \"a\": kernel is 2x2"),
        ("kernel_size: 1", "kernel_size: 3", "layer \"a\": padding is 0x0"),
        ("kernel_size: 1", "kernel_size: 1 stride: 2", "layer \"a\": stride is 2x2"),
        ("kernel_size: 1", "kernel_size: 1 group: 3", "layer \"a\": group is 3"),
        ("num_output: 2", "num_output: 4000000000", "layer \"a\": num_output is 4000000000"),
        (
            "num_output: 2",
            "num_output: 3",
            "layer \"a\": its weights are 2x3x1x1 in the caffemodel, expected 3x3x1x1",
        ),
        ("\"Convolution\"", "\"LSTM\"", "layer \"a\": type \"LSTM\" is not supported"),
        ("name: \"a\"", "name: \"b\"", "layer \"b\": the caffemodel has no weights for it"),
        (
            "bottom: \"image\"",
            "bottom: \"x\"",
            "layer \"a\": its input \"x\" is computed by no layer before it",
        ),
        ("bottom: \"image\"", "", "layer \"a\": number of inputs is 0"),
        ("top: \"net_output\"", "top: \"x\"", "no layer computes the tensor \"net_output\""),
        ("[1, 3, 16, 16]", "[1, 3]", "the prototxt declares no input"),
    ];
    let blob =
        |values: &[f32], shape: &[u8]| [message(5, &floats(values)), message(7, &message(1, shape))].concat();
    let caffemodel = tiny_model(&blob(&[1.0; 6], &[2, 3, 1, 1]), &blob(&[0.0; 2], &[2]));
    assert!(Graph::from_bytes(TINY.as_bytes(), &caffemodel).is_ok());
    for (right, wrong, expected) in cases {
        let text = TINY.replacen(right, wrong, 1);
        assert_ne!(text, TINY);
        let found = Graph::from_bytes(text.as_bytes(), &caffemodel).unwrap_err().to_string();
        assert!(found.contains(expected), "{wrong}: {found}");
    }
}

#[test]
fn more_layers_than_any_net_are_refused() {
    let blob = message(7, &[]);
    let layer = message(100, &[message(1, b"a"), blob.clone()].concat());
    let error = Graph::from_bytes(TINY.as_bytes(), &layer.repeat(5000)).unwrap_err();
    let error = Chain(&error).to_string();
    assert!(error.contains("more than 1024 layers"), "{error}");
    let error = Graph::from_bytes(TINY.as_bytes(), &message(100, &blob.repeat(9))).unwrap_err();
    let error = Chain(&error).to_string();
    assert!(error.contains("more than 4 blobs"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in any::<Vec<u8>>(), model in any::<Vec<u8>>()) {
        let _ = Graph::from_bytes(&text, &model);
        let _ = Graph::from_bytes(TINY.as_bytes(), &model);
    }

    #[test]
    fn damaged_models_are_read_or_refused(
        text_damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        model_damage in prop::collection::vec((0..4000usize, any::<u8>()), 0..8),
    ) {
        let mut text = TINY.as_bytes().to_vec();
        for (place, byte) in text_damage {
            *place.get_mut(&mut text) = byte;
        }
        let model = make(Net::Face, Size::Small);
        let mut bytes = model.caffemodel;
        for (place, byte) in model_damage {
            bytes[place] = byte;
        }
        let _ = Graph::from_bytes(&text, &bytes);
        let _ = Graph::from_bytes(model.prototxt.as_bytes(), &bytes);
    }
}

/// The seeds of the fuzz targets pass the first checks: each description with one file of values, and each file of values
/// with one description.
#[test]
fn the_fuzz_seeds_are_complete_nets() {
    let read =
        |seed: &str| std::fs::read(format!("{}/fuzz/seeds/{seed}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let prototxts = ["prototxt/every_layer", "prototxt/first_version", "prototxt/one_convolution"];
    let caffemodels = ["caffemodel/layers", "caffemodel/unpacked", "caffemodel/first_version"];
    for prototxt in prototxts {
        Graph::from_bytes(&read(prototxt), &read(caffemodels[0]))
            .unwrap_or_else(|error| panic!("{prototxt}: {error}"));
    }
    for caffemodel in caffemodels {
        Graph::from_bytes(&read(prototxts[0]), &read(caffemodel))
            .unwrap_or_else(|error| panic!("{caffemodel}: {error}"));
    }
}
