//! Whole pictures with known keypoints: drawn people in, keypoints out. The errors are printed (`-- --nocapture`).
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::coloured_people;
use crate::made_up_models;
use crate::meaningful_models;
use crate::reference_executor;

use std::sync::LazyLock;

use coloured_people::{BODY_POINTS, Person, draw};
use made_up_models::Size;
use oppose::engine::native::assemble::Parity;
use oppose::engine::native::model::{Graph, Net};
use oppose::engine::native::{Backend, Estimator, Options};
use oppose::pose::FramePose;
use reference_executor::ReferenceBackend;

/// In pixels, along each axis.
const TOLERANCE: f32 = 2.0;
/// Width and height of frames: 1.7 times the net's input, with room for ten people; and the size of the net's input.
const LARGE: (usize, usize) = (1104, 624);
const AS_NET: (usize, usize) = (656, 368);

fn nets(size: Size) -> Vec<(Net, Graph)> {
    let graph = |net| {
        let model = meaningful_models::make(net, size);
        Graph::from_bytes(model.prototxt.as_bytes(), &model.caffemodel).expect("a net")
    };
    [Net::Body25, Net::Face, Net::Hand].map(|net| (net, graph(net))).into()
}

/// Shared, since most tests use them.
static NARROW: LazyLock<Vec<(Net, Graph)>> = LazyLock::new(|| nets(Size::Narrow));

/// The back end under test.
fn backend(nets: &[(Net, Graph)]) -> impl Backend {
    ReferenceBackend(nets)
}

/// Checks frame after frame that exactly these people are found, with their 137 keypoints.
fn check(nets: &[(Net, Graph)], parity: Parity, (width, height): (usize, usize), frames: &[Vec<Person>]) {
    let options = Options { parity, ..Options::default() };
    let mut estimator = Estimator::new(backend(nets), options).expect("usable options");
    let mut pose = FramePose::default();
    for people in frames {
        estimator.estimate(&draw(width, height, people), &mut pose).expect("a result");
        assert_eq!(pose.people(), people.len(), "people of {people:?}");
        let mut found: Vec<&[f32]> = pose.coordinates().chunks_exact(2 * 137).collect();
        for person in people {
            let truth = person.keypoints();
            let off = |at: &[f32]| (at[0] - truth[1].0).hypot(at[1] - truth[1].1);
            let nearest = |a: &&&[f32], b: &&&[f32]| off(&a[2..4]).total_cmp(&off(&b[2..4]));
            let nearest = *found.iter().min_by(nearest).expect("a person left");
            found.retain(|other| *other != nearest);
            let places = nearest.chunks_exact(2);
            let errors = places.zip(&truth).map(|(at, (x, y))| (at[0] - x).abs().max((at[1] - y).abs()));
            let errors: Vec<f32> = errors.collect();
            let worst = |errors: &[f32]| errors.iter().copied().fold(0.0, f32::max);
            let (body, rest) = errors.split_at(BODY_POINTS);
            println!("body within {:.2}, face and hands within {:.2}", worst(body), worst(rest));
            for (point, error) in errors.iter().enumerate() {
                assert!(*error <= TOLERANCE, "keypoint {point} of {person:?} is off by {error}");
            }
        }
        assert!(
            pose.confidences().iter().all(|&confidence| confidence > 0.1),
            "a keypoint has a low confidence"
        );
    }
}

/// People in two rows of five, off the nets' grid.
fn crowd(count: usize) -> Vec<Person> {
    let person = |index: usize| Person {
        x: 110.0 + 220.7 * (index % 5) as f32,
        y: 2.0 + 298.3 * (index / 5) as f32,
        scale: 0.9 + 0.002 * (index % 7) as f32,
    };
    (0..count).map(person).collect()
}

#[test]
fn nobody_is_found_in_an_empty_picture() {
    check(&NARROW, Parity::Cuda, LARGE, &[vec![]]);
}

#[test]
fn one_person_moves_and_grows() {
    let person = |frame: usize| {
        let frame = frame as f32;
        vec![Person { x: 300.0 + 93.7 * frame, y: 10.0 + 3.3 * frame, scale: 1.0 + 0.23 * frame }]
    };
    check(&NARROW, Parity::Cuda, LARGE, &[person(0), person(1), person(2), person(3)]);
}

#[test]
fn two_people_move_apart() {
    let people = |frame: usize| {
        let way = 11.3 * frame as f32;
        vec![
            Person { x: 420.0 - way, y: 30.0 + way, scale: 1.3 },
            Person { x: 800.0 + way, y: 40.0, scale: 1.6 },
        ]
    };
    check(&NARROW, Parity::Cuda, LARGE, &[people(0), people(1), people(2)]);
}

#[test]
fn ten_people_stay_apart() {
    check(&NARROW, Parity::Cuda, LARGE, &[crowd(10)]);
}

#[test]
fn frames_of_the_nets_size_work() {
    check(&NARROW, Parity::Cuda, AS_NET, &[crowd(2)]);
}

/// Its bicubic interpolation moves peaks by up to one net pixel, so the frame is not larger than the net's input here.
#[test]
fn parity_with_the_cpu_build_works() {
    check(&NARROW, Parity::Cpu, AS_NET, &[crowd(2)]);
}

#[test]
fn nets_of_full_size_work() {
    check(&nets(Size::Full), Parity::Cuda, LARGE, &[crowd(1)]);
}
