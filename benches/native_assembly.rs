//! What the work around OpenPose's nets costs: every stage of `engine::native::assemble`, and reading the nets.
//!
//! ```text
//! cargo bench --bench native_assembly
//! ```
//!
//! A frame of 1280 x 720 with one, two, ten and forty people, a net input of 656 x 368, crops of 368 x 368; medians,
//! on one thread. The nets' outputs are synthetic: stick figures on noise.

#[path = "../tests/common/made_up_models.rs"]
mod made_up_models;

use std::hint::black_box;
use std::time::{Duration, Instant};

use oppose::engine::native::assemble::body::{BODY_25, Thresholds};
use oppose::engine::native::assemble::crop::{self, Part};
use oppose::engine::native::assemble::heat_maps::{Merge, NetOutput};
use oppose::engine::native::assemble::people::{Assembly, People};
use oppose::engine::native::assemble::rectangles::Rectangle;
use oppose::engine::native::assemble::size::{NetResolution, Scale, Size, net_size, net_to_frame, scales};
use oppose::engine::native::assemble::warp::{Interpolation, Warp};
use oppose::engine::native::assemble::{Keypoint, Parity, peaks};
use oppose::engine::native::model::{Graph, Net};
use oppose::video::Frame;

const FRAME: Size = Size { width: 1280, height: 720 };
const CROP: Size = Size { width: 368, height: 368 };

fn main() {
    let net = net_size(NetResolution::default(), FRAME).expect("a size");
    let mut scale = Vec::new();
    scales(net, FRAME, 1, 0.25, &mut scale).expect("a scale");
    let bytes = (0..FRAME.pixels() * 3).map(|index| (index * 7 + index / 997) as u8).collect();
    let frame = Frame::new(0, None, FRAME.width as u32, FRAME.height as u32, bytes).expect("a frame");

    let mut warp = Warp::default();
    let mut planes = vec![0.0; 3 * net.pixels()];
    report("net input, bilinear", || warp.net_input(&frame, scale[0], &mut planes));
    let double = Scale { factor: 1.5, size: net };
    report("net input, bicubic", || warp.net_input(&frame, double, &mut planes));
    let rectangle = Rectangle { x: 300.0, y: 200.0, side: 150.0 };
    let placement = crop::placement(rectangle, Part::LeftHand, CROP.width);
    let mut planes = vec![0.0; 3 * CROP.pixels()];
    report("crop of a hand or face", || {
        warp.planes(&frame, placement, Interpolation::Bilinear, CROP, &mut planes)
    });

    for parity in [Parity::Cuda, Parity::Cpu] {
        for people in [1, 2, 10, 40] {
            bodies(parity, people, net, &scale);
        }
        for (name, points) in [("face", 70), ("hand", 21)] {
            let size = Size { width: 46, height: 46 };
            let values = noise((points + 1) * size.pixels());
            let outputs = [NetOutput { values: &values, size }];
            let mut merge = Merge::new(parity);
            let (mut plane, mut found) = (Vec::new(), vec![Keypoint::default(); points]);
            report(&format!("{parity}: points of a {name}"), || {
                let mut maps = merge.merge(&outputs, &[Scale { factor: 1.0, size: CROP }]);
                crop::keypoints(&mut maps, placement, &mut plane, &mut found);
            });
        }
    }

    let folder = tempfile::tempdir().expect("a folder");
    made_up_models::write(folder.path(), made_up_models::Size::Full);
    for net in [Net::Body25, Net::Face, Net::Hand] {
        report(&format!("reading the full-size net {net:?}"), || {
            let graph: Graph = net.read(folder.path()).expect("a net");
            black_box(&graph);
        });
    }
}

fn bodies(parity: Parity, people: usize, net: Size, scale: &[Scale]) {
    let size = Size { width: net.width / 8, height: net.height / 8 };
    let values = stick_people(size, people);
    let outputs = [NetOutput { values: &values, size }];
    let mut merge = Merge::new(parity);
    let mut plane = vec![0.0; net.pixels()];
    let mut found = vec![Vec::new(); 25];
    let (factor, thresholds) = (net_to_frame(FRAME, net), Thresholds::new(false));
    report(&format!("{parity}, {people} people: heat maps and peaks"), || {
        let mut maps = merge.merge(&outputs, scale);
        for (part, peaks) in found.iter_mut().enumerate() {
            maps.plane(part, &mut plane);
            peaks::find(&plane, net, thresholds.peak, factor, parity, peaks);
        }
    });
    let (mut assembly, mut assembled) = (Assembly::default(), People::default());
    report(&format!("{parity}, {people} people: people"), || {
        let maps = merge.merge(&outputs, scale);
        assembly.assemble(&maps, &found, &BODY_25, thresholds, parity, factor, &mut assembled);
    });
    println!("    {} found, {} peaks", assembled.scores.len(), found.iter().map(Vec::len).sum::<usize>());
}

/// The parts of a standing person, in fifths of their height from the hip.
#[rustfmt::skip]
const PERSON: [(f32, f32); 25] = [
    (0.0, -2.0), (0.0, -1.5), (-0.5, -1.5), (-0.7, -0.8), (-0.8, -0.2), (0.5, -1.5), (0.7, -0.8), (0.8, -0.2),
    (0.0, 0.0), (-0.3, 0.0), (-0.35, 1.0), (-0.4, 2.0), (0.3, 0.0), (0.35, 1.0), (0.4, 2.0), (-0.1, -2.2),
    (0.1, -2.2), (-0.25, -2.1), (0.25, -2.1), (0.55, 2.3), (0.7, 2.25), (0.35, 2.2), (-0.55, 2.3), (-0.7, 2.25),
    (-0.35, 2.2),
];

/// A plausible output of the body net for people in several rows.
fn stick_people(size: Size, people: usize) -> Vec<f32> {
    let mut values: Vec<f32> = noise(78 * size.pixels()).iter().map(|value| value * 0.04).collect();
    let rows = (people as f32 / 4.0).sqrt().ceil() as usize;
    let columns = people.div_ceil(rows);
    for person in 0..people {
        let cell = (size.width as f32 / columns as f32, size.height as f32 / rows as f32);
        let middle = ((person % columns) as f32 + 0.5, (person / columns) as f32 + 0.5);
        let unit = (cell.1 / 5.5).min(cell.0 / 1.8);
        // Not exactly between two cells: two equal neighbours are not a peak.
        let middle = (middle.0 * cell.0 + 0.3, middle.1 * cell.1 + 0.2);
        let position = PERSON.map(|(x, y)| (middle.0 + x * unit, middle.1 + y * unit));
        let mut each = |channel: usize, value: &dyn Fn(f32, f32) -> Option<f32>| {
            let plane = &mut values[channel * size.pixels()..][..size.pixels()];
            for (index, pixel) in plane.iter_mut().enumerate() {
                if let Some(value) = value((index % size.width) as f32, (index / size.width) as f32) {
                    *pixel = value;
                }
            }
        };
        for (part, at) in position.iter().enumerate() {
            each(part, &|x, y| {
                let square = (x - at.0).powi(2) + (y - at.1).powi(2);
                (square < 6.0).then(|| 0.8 * (-square).exp())
            });
        }
        for (limb, &(from, to)) in BODY_25.limbs.iter().enumerate() {
            let (a, b) = (position[from], position[to]);
            let length = (b.0 - a.0).hypot(b.1 - a.1);
            let unit = ((b.0 - a.0) / length, (b.1 - a.1) / length);
            let is_near = |x: f32, y: f32| {
                let (along, across) = ((x - a.0, y - a.1), (y - a.1) * unit.0 - (x - a.0) * unit.1);
                let along = along.0 * unit.0 + along.1 * unit.1;
                across.abs() < 1.2 && (-0.7..length + 0.7).contains(&along)
            };
            let plane = BODY_25.affinity_plane(limb);
            each(plane, &|x, y| is_near(x, y).then_some(0.8 * unit.0));
            each(plane + 1, &|x, y| is_near(x, y).then_some(0.8 * unit.1));
        }
    }
    values
}

/// Values from -0.5 to 0.5.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

fn report(what: &str, mut run: impl FnMut()) {
    run();
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..15).map(time).collect();
    times.sort_unstable();
    println!("{:>9.3} ms  {what}", times[times.len() / 2].as_secs_f64() * 1e3);
}
