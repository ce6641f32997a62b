//! The engine `openpose` with the real library: a build of OpenPose 1.5.1 without a GPU in `$OPENPOSE_DIR`, which must also
//! have been set when this program was built.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;
use crate::openpose_json;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Need, names, output, shared, trial};
use openpose_json::{
    FACES_AND_HANDS_OF_SMALL_NETS, as_rgb, compare_with_golden, of_openpose, of_program, photographs,
};
use oppose::Chain;
use oppose::engine::Engine;
use oppose::engine::native;
use oppose::engine::openpose::{OpenPose, Options};
use oppose::pose::FramePose;
use oppose::video::{Frame, FrameRate, VideoInfo};

fn small_nets() -> PathBuf {
    shared("golden/models-small")
}

/// Compares with the library's own program on the same video: all frames, in order, to the six digits of its JSON.
fn results_equal_those_of_its_own_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let video = as_rgb(&shared("media/crowd.avi"), 205, path("video.mkv"));
    let options = [&FACES_AND_HANDS_OF_SMALL_NETS[..], &["--net_resolution", "-1x176"]].concat();
    let theirs = of_openpose(&video, &small_nets(), &path("json"), 2, &options);
    let engine = [&options[..], &["--engine", "openpose"]].concat();
    let ours = of_program(&video, &small_nets(), &path("ours.pose"), &engine);
    assert_eq!((ours.len(), theirs.len()), (205, 205));
    let mut people = 0;
    for (frame, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours.len(), theirs.len(), "people of frame {frame}");
        people += ours.len();
        for (ours, theirs) in ours.iter().flatten().flatten().zip(theirs.iter().flatten().flatten()) {
            // Half of the last of six digits, and the rounding of f32.
            let tolerance = theirs.abs() * 6e-6 + 1e-9;
            assert!((ours - theirs).abs() <= tolerance, "frame {frame}: {ours} instead of {theirs}");
        }
    }
    println!("{people} people in 205 frames");
}

/// Compares with goldens that were made on another CPU. If a heat map of a face or hand has two nearly equal maxima, the
/// other one may be chosen.
fn goldens() {
    let folder = tempfile::tempdir().unwrap();
    for (case, options) in photographs() {
        let golden = shared("golden").join(case);
        let options = [&options[..], &["--engine", "openpose"]].concat();
        let target = folder.path().join("out.pose");
        let _ = fs::remove_file(&target);
        let found = of_program(&golden.join("image.png"), &small_nets(), &target, &options);
        compare_with_golden(case, &found[0], &golden);
    }
}

fn engine(width: u32, height: u32) -> OpenPose {
    let crops = native::CropResolution::new(96).unwrap();
    let keypoints = native::Options {
        net_resolution: "64x64".parse().unwrap(),
        face_net_resolution: crops,
        hand_net_resolution: crops,
        ..native::Options::default()
    };
    let mut engine = OpenPose::open(&small_nets(), Options::default().with_keypoints(keypoints)).unwrap();
    let frame_rate = FrameRate::DEFAULT;
    engine.start_video(&VideoInfo::new(width, height, frame_rate)).unwrap();
    engine
}

/// A frame of one colour with a grey in a corner that depends on its number.
fn frame(number: u64, side: u32) -> Frame {
    let mut pixels = vec![40; side as usize * side as usize * 3];
    pixels[..600].fill((number % 251) as u8);
    Frame::new(number, None, side, side, pixels).unwrap()
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// OpenPose's results do not name their frame, but the engine checks the number that is passed along.
fn twenty_thousand_frames_take_no_more_memory_than_a_thousand() {
    let mut engine = engine(64, 64);
    let mut pose = FramePose::default();
    let mut early = 0;
    let mut popped = 0;
    for number in 0..20_000 {
        if number >= engine.capacity() as u64 {
            popped += u64::from(engine.pop(&mut pose).unwrap());
        }
        engine.push(frame(number, 64)).unwrap();
        if number == 1000 {
            early = resident();
        }
    }
    while engine.pop(&mut pose).unwrap() {
        popped += 1;
    }
    assert_eq!(popped, 20_000);
    let late = resident();
    println!("{} MB after 1,000 frames, {} MB after 20,000", early >> 20, late >> 20);
    assert!(late < early + (16 << 20));
}

fn fifty_engines_in_sequence_take_no_more_memory() {
    let mut early = 0;
    for number in 0..50 {
        let mut engine = engine(64, 64);
        let mut pose = FramePose::default();
        (0..3).for_each(|number| engine.push(frame(number, 64)).unwrap());
        assert!(engine.pop(&mut pose).unwrap());
        // Two frames are still in flight when it is dropped.
        drop(engine);
        if number == 9 {
            early = resident();
        }
    }
    let late = resident();
    println!("{} MB after 10 engines, {} MB after 50", early >> 20, late >> 20);
    assert!(late < early + (32 << 20));
}

/// A frame that would corrupt OpenPose's memory is refused.
fn frames_that_would_crash_it_are_refused() {
    let crops = native::CropResolution::new(96).unwrap();
    let keypoints = native::Options {
        face_net_resolution: crops,
        hand_net_resolution: crops,
        ..native::Options::default()
    };
    let mut engine = OpenPose::open(&small_nets(), Options::default().with_keypoints(keypoints)).unwrap();
    let narrow = VideoInfo::new(16, 1600, FrameRate::DEFAULT);
    let error = engine.start_video(&narrow).unwrap_err().to_string();
    assert!(error.contains("16x1600"), "{error}");
    // Also if the video announced a different size.
    for (width, height) in [(16, 1600), (1, 1)] {
        let pixels = vec![0; width as usize * height as usize * 3];
        let error = engine.push(Frame::new(0, None, width, height, pixels).unwrap()).unwrap_err().to_string();
        assert!(error.contains(&format!("{width}x{height}")), "{error}");
    }
    engine.push(frame(0, 64)).unwrap();
    assert!(engine.pop(&mut FramePose::default()).unwrap());
}

/// Two OpenPoses may have the same name and version and yet be incompatible. This one has no functions at all.
fn an_openpose_that_the_shim_was_not_built_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let name = "libopenpose.so.1.5.1";
    fs::write(path("empty.c"), "").unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", &format!("-Wl,-soname,{name}"), "-o"]).arg(path(name));
    output(compile.arg(path("empty.c")));
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.arg(shared("media/crowd.avi")).arg("-o").arg(path("out.pose"));
    command.args(["--engine", "openpose", "--progress", "none", "--model_folder"]).arg(small_nets());
    let ended = command.env("LD_LIBRARY_PATH", folder.path()).output().unwrap();
    let text = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{text}");
    assert!(text.contains("does not load (") && text.contains("the OpenPose it was built with"), "{text}");
    assert_eq!(names(folder.path()), ["empty.c", name]);
}

/// Truncated, garbage or empty: with each, OpenPose would crash or find nobody.
fn damaged_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&small_nets(), folder.path());
    let body = folder.path().join("pose/body_25/pose_iter_584000.caffemodel");
    let whole = fs::read(&body).unwrap();
    for bytes in [&whole[..whole.len() - 7], b"no protobuf at all", b""] {
        fs::write(&body, bytes).unwrap();
        let error = Chain(&OpenPose::open(folder.path(), Options::default()).unwrap_err()).to_string();
        assert!(error.contains("pose_iter_584000.caffemodel"), "{error}");
    }
    fs::write(&body, &whole).unwrap();
    let prototxt = folder.path().join("hand/pose_deploy.prototxt");
    let text = fs::read_to_string(&prototxt).unwrap();
    fs::write(&prototxt, text.replacen("num_output: ", "num_output: 1", 1)).unwrap();
    let error = Chain(&OpenPose::open(folder.path(), Options::default()).unwrap_err()).to_string();
    assert!(error.contains("hand/pose_deploy.prototxt"), "{error}");
}

fn copy_folder(from: &Path, to: &Path) {
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            fs::create_dir(&to).unwrap();
            copy_folder(&from, &to);
        } else {
            fs::write(&to, fs::read(&from).unwrap()).unwrap();
        }
    }
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let needs = [Need::OpenPose, Need::Shared("golden/models-small"), Need::Program("ffmpeg")];
    vec![
        trial("results_equal_those_of_its_own_program", &needs, results_equal_those_of_its_own_program),
        trial("goldens", &needs, goldens),
        trial(
            "twenty_thousand_frames_take_no_more_memory_than_a_thousand",
            &needs,
            twenty_thousand_frames_take_no_more_memory_than_a_thousand,
        ),
        trial(
            "fifty_engines_in_sequence_take_no_more_memory",
            &needs,
            fifty_engines_in_sequence_take_no_more_memory,
        ),
        trial("frames_that_would_crash_it_are_refused", &needs, frames_that_would_crash_it_are_refused),
        trial("damaged_models_are_refused", &needs, damaged_models_are_refused),
        trial(
            "an_openpose_that_the_shim_was_not_built_for_is_refused",
            &[Need::OpenPose, Need::Shared("golden/models-small"), Need::Program("cc")],
            an_openpose_that_the_shim_was_not_built_for_is_refused,
        ),
    ]
}
