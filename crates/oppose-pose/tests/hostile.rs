//! Damaged `.pose` files, and files that are something else, are errors: they cause no panic and take no more memory
//! than their size justifies.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

#[path = "../../../tests/common/thread_memory.rs"]
mod thread_memory;

use std::fs;
use std::io::Read as _;
use std::path::Path;

use oppose_pose::{Component, FramePose, Pose, Skeleton, openpose_137};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use thread_memory::measured;

/// Reads a file and checks that reading took no more memory than a small multiple of its size: a name takes 24 bytes
/// as a string and as little as 2 in the file.
fn read(bytes: &[u8]) -> Option<Pose> {
    let (pose, usage) = measured(|| Pose::from_bytes(bytes));
    assert!(usage.peak <= 32 * bytes.len() + 4096, "{} bytes for a file of {}", usage.peak, bytes.len());
    pose.ok()
}

/// Generates so many cases; a failing one is printed, not stored.
fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })
}

fn component() -> impl Strategy<Value = Component> {
    let points = prop::collection::vec("[a-zA-Z0-9_]{0,8}", 1..6);
    let colors = prop::collection::vec(any::<[u16; 3]>(), 0..4);
    ("[a-z_]{1,12}", "[XYZ]{1,3}C", points, any::<Vec<(u16, u16)>>(), colors).prop_map(
        |(name, format, points, limbs, colors)| {
            let count = points.len() as u16;
            let limbs = limbs.into_iter().map(|(from, to)| (from % count, to % count)).collect();
            Component { name, format, points, limbs, colors }
        },
    )
}

fn pose() -> impl Strategy<Value = Pose> {
    let skeleton = prop::collection::vec(component(), 1..4).prop_map(|components| Skeleton { components });
    let counts = prop::collection::vec(0..4_usize, 0..6);
    (skeleton, counts, any::<[u16; 2]>(), 1.0..1000.0_f32, any::<u32>()).prop_map(
        |(skeleton, counts, [width, height], fps, seed)| {
            let frame = |&people: &usize| {
                let mut frame = FramePose::new(people, skeleton.points(), skeleton.dimensions());
                let mut value = seed as f32;
                for number in frame.coordinates_mut() {
                    value = value * 0.7 + 1.0;
                    *number = value;
                }
                frame.confidences_mut().fill(0.5);
                frame
            };
            let frames: Vec<FramePose> = counts.iter().map(frame).collect();
            Pose::from_frames(&skeleton, width.into(), height.into(), fps, &frames).unwrap()
        },
    )
}

#[test]
fn reading_is_safe() {
    let mut runner = runner();
    runner
        .run(&pose(), |pose| {
            prop_assert_eq!(read(&pose.to_bytes().unwrap()), Some(pose));
            Ok(())
        })
        .unwrap();

    let random = prop::collection::vec(any::<u8>(), 0..400);
    runner
        .run(&random, |bytes| {
            read(&bytes);
            Ok(())
        })
        .unwrap();

    // A real header with a byte changed, cut anywhere: this reaches every part of the reader.
    let frames = vec![FramePose::new(2, 137, 2); 3];
    let whole = Pose::from_frames(openpose_137(), 640, 480, 25.0, &frames).unwrap().to_bytes().unwrap();
    let change = (0..whole.len(), any::<u8>(), 0..=whole.len());
    runner
        .run(&change, |(place, value, length)| {
            let mut bytes = whole.clone();
            bytes[place] = value;
            bytes.truncate(length);
            read(&bytes);
            Ok(())
        })
        .unwrap();
}

/// Version 0.0: a file with so many people in each frame.
fn first_version(skeleton: &Skeleton, people: &[u16]) -> Vec<u8> {
    let mut bytes = Pose::from_frames(skeleton, 640, 480, 25.0, &[]).unwrap().to_bytes().unwrap();
    bytes.truncate(bytes.len() - 10);
    bytes[..4].fill(0);
    bytes.extend(25_u16.to_le_bytes());
    bytes.extend((people.len() as u16).to_le_bytes());
    for &count in people {
        bytes.extend(count.to_le_bytes());
        for person in 0..count {
            bytes.extend(person.to_le_bytes());
            let values = skeleton.components.iter().map(|part| part.points.len() * part.format.len()).sum();
            bytes.extend((0..values).flat_map(|value| (value as f32).to_le_bytes()));
        }
    }
    bytes
}

#[test]
fn the_first_version_is_safe_to_read() {
    let mut runner = runner();
    let whole = first_version(openpose_137(), &[1, 0, 2, 1]);
    assert!(read(&whole).is_some());
    let change = (0..whole.len(), any::<u8>(), 0..=whole.len());
    runner
        .run(&change, |(place, value, length)| {
            let mut bytes = whole.clone();
            bytes[place] = value;
            bytes.truncate(length);
            read(&bytes);
            Ok(())
        })
        .unwrap();
    // A frame without people takes two bytes, but one frame with a crowd would make all frames as large.
    let part = |name: &str| name.to_owned();
    let component =
        Component { name: part("a"), format: part("C"), points: vec![part("p")], ..Component::default() };
    let crowd =
        first_version(&Skeleton { components: vec![component] }, &[&[65_000_u16][..], &[0; 65_000]].concat());
    let (result, usage) = measured(|| Pose::from_bytes(&crowd));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("as many people as the fullest is 16900260000"), "{error}");
    assert!(usage.peak < crowd.len(), "refused before anything is allocated: {} bytes", usage.peak);
}

/// The seeds of the fuzzer have to be valid, so that fuzzing reaches the body of the file.
#[test]
fn fuzzing_seeds_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/pose_reader");
    let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(seeds.len(), 8);
    for seed in seeds {
        let bytes = fs::read(&seed).unwrap();
        assert!(read(&bytes).is_some(), "{}: {:?}", seed.display(), Pose::from_bytes(&bytes));
    }
}

#[test]
fn each_kind_of_damage_has_its_own_message() {
    let frames = vec![FramePose::new(1, 137, 2); 2];
    let whole = Pose::from_frames(openpose_137(), 640, 480, 25.0, &frames).unwrap().to_bytes().unwrap();
    let message = |bytes: &[u8]| Pose::from_bytes(bytes).unwrap_err().to_string();
    let changed = |place: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[place..place + bytes.len()].copy_from_slice(bytes);
        message(&file)
    };
    assert!(message(b"").contains("this is not a .pose file: it is empty"));
    assert!(message(&whole[..3]).contains("the version needs 4 bytes at byte 0, 3 are left"));
    assert!(message(&whole[..whole.len() - 1]).contains("the body needs"));
    assert!(message(&[&whole[..], b"!"].concat()).contains("1 bytes follow the last frame"));
    assert!(changed(0, &7.5_f32.to_le_bytes()).contains("version 7.5"));
    // The number of people, ten bytes before the numbers begin.
    let people = whole.len() - 2 * 137 * 3 * 4 - 2;
    assert!(changed(people, &[255, 255]).contains("the body needs"));
    // The first component's name begins at byte 14, its format at 33.
    assert!(changed(14, &[255]).contains("not UTF-8"));
    assert!(changed(33, b"XYZ").contains("expected letters ending in C"));
    let empty = Pose::from_frames(&Skeleton::default(), 1, 1, 25.0, &[]).unwrap();
    assert!(message(&empty.to_bytes().unwrap()).contains("names no points"));
    // A few bytes that claim four thousand million frames without people.
    let mut empty = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[]).unwrap().to_bytes().unwrap();
    let frames = empty.len() - 6;
    empty[frames..frames + 4].fill(255);
    assert!(message(&empty).contains("frames without people is 4294967295"));
}

#[test]
fn an_endless_input_that_is_no_pose_file_is_refused_after_its_beginning() {
    let mut zeros = std::io::repeat(0).take(1 << 30);
    Pose::read_from(&mut zeros, Path::new("zeros")).unwrap_err();
    assert!(zeros.limit() >= (1 << 30) - (2 << 20), "{} bytes are left", zeros.limit());
}
