//! Reading a model takes no more memory than the model, whatever its bytes claim; and frames take none once
//! the first has shown how much is needed.
#![allow(clippy::unwrap_used)] // A test ends where something is wrong.

#[path = "common/made_up_models.rs"]
mod made_up_models;
#[path = "common/npy.rs"]
mod npy;
#[path = "common/thread_memory.rs"]
mod thread_memory;

use made_up_models::{Size, make, message};
use oppose::engine::native::assemble::size::Size as Pixels;
use oppose::engine::native::model::{Graph, Net};
use oppose::engine::native::{Backend, BackendError, Estimator, Options};
use oppose::pose::FramePose;
use oppose::video::Frame;
use thread_memory::measured;

/// Names, shapes and the lists of layers; their numbers are limited.
const STRUCTURE: usize = 1 << 20;

fn assert_bounded(what: &str, prototxt: &[u8], caffemodel: &[u8]) {
    let (_, usage) = measured(|| Graph::from_bytes(prototxt, caffemodel));
    let allowed = caffemodel.len() + 8 * prototxt.len() + STRUCTURE;
    assert!(usage.peak <= allowed, "{what}: {} bytes, allowed {allowed}", usage.peak);
}

#[test]
fn no_model_takes_more_memory_than_its_files() {
    let model = make(Net::Body25, Size::Full);
    assert_bounded("a real model", model.prototxt.as_bytes(), &model.caffemodel);

    let model = make(Net::Face, Size::Small);
    let (text, values) = (model.prototxt.as_bytes(), &model.caffemodel[..]);
    for place in (0..values.len().min(4000)).step_by(3) {
        let mut damaged = values.to_vec();
        damaged[place] ^= 0xff;
        assert_bounded("a damaged model", text, &damaged);
    }
    for place in (0..text.len()).step_by(5) {
        let mut damaged = text.to_vec();
        damaged[place] = b'9';
        assert_bounded("a damaged description", &damaged, values);
    }
    let empty_blob = message(7, &[]);
    let empty_layer = message(100, &empty_blob);
    assert_bounded("many layers", text, &empty_layer.repeat(100_000));
    assert_bounded("many blobs", text, &message(100, &empty_blob.repeat(100_000)));
    assert_bounded("a huge shape", text, &message(100, &message(7, &message(7, &message(1, &[0xff; 9])))));
    assert_bounded("many layers", "layer{}".repeat(100_000).as_bytes(), values);
    assert_bounded("many inputs", format!("layer{{{}}}", "bottom:''".repeat(100_000)).as_bytes(), values);
    assert_bounded("many messages in another", "a{".repeat(100_000).as_bytes(), values);
}

/// What the nets made of a drawn picture, whatever is asked.
struct Recorded([(Net, Vec<f32>); 3]);

impl Backend for Recorded {
    fn run(
        &mut self,
        net: Net,
        inputs: &[f32],
        size: Pixels,
        outputs: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        let (_, recorded) = self.0.iter().find(|(name, _)| *name == net).ok_or("no such net")?;
        outputs.clear();
        for _ in 0..inputs.len() / (3 * size.pixels()) {
            outputs.extend_from_slice(recorded);
        }
        Ok(())
    }

    fn batch(&self) -> usize {
        4
    }
}

#[test]
fn a_further_frame_takes_no_memory() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden-synthetic/s_320x240/");
    let load = |name: &str| npy::read(format!("{recording}{name}.npy").as_ref()).values;
    let frame = Frame::new(0, None, 320, 240, vec![100; 320 * 240 * 3]).unwrap();
    let recorded = Recorded([
        (Net::Body25, load("net_output")),
        (Net::Face, load("face_net_output")),
        (Net::Hand, load("hand_left_net_output")),
    ]);
    let options = Options {
        net_resolution: "-1x176".parse().unwrap(),
        face_net_resolution: "96x96".parse().unwrap(),
        hand_net_resolution: "96x96".parse().unwrap(),
        hand_scale_number: 2,
        number_people_max: 20,
        ..Options::default()
    };
    let mut estimator = Estimator::new(recorded, options).unwrap();
    let mut pose = FramePose::default();
    estimator.estimate(&frame, &mut pose).unwrap();
    assert_eq!(pose.people(), 20);
    assert!(pose.confidences().iter().skip(25).any(|&confidence| confidence > 0.0), "faces and hands");
    let (result, usage) = measured(|| estimator.estimate(&frame, &mut pose));
    result.unwrap();
    assert_eq!(usage.blocks, 0);
}
