//! The messages when OpenPose fails, stalls or dies, tested with a stand-in that does so on request. OpenPose's results are
//! not tested here.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;
use crate::made_up_models;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Need, names, output, repository, trial};
use made_up_models::Size;
use oppose::pose::Pose;
use rustix::process::Signal;
use tempfile::TempDir;

const CLIP: &str = "tests/clips/h264_25.mp4";

/// A folder with models and the stand-in.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        made_up_models::write(&folder.path().join("models"), Size::Small);
        let mut compile = Command::new("cc");
        compile
            .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(folder.path().join("shim.so"));
        output(compile.arg(repository("tests/stand_in/openpose_stand_in.c")));
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program on the clip, with a stand-in that causes `fault`.
    fn program(&self, fault: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
        command.arg(repository(CLIP)).arg("-o").arg(self.path("out.pose"));
        command
            .args(["--engine", "openpose", "--progress", "none", "--model-folder"])
            .arg(self.path("models"));
        command.env("OPPOSE_SHIM", self.path("shim.so")).env("OPPOSE_STAND_IN", fault);
        command
    }

    /// The exit code and everything that the user reads.
    fn run(&self, command: &mut Command) -> (i32, String) {
        let ended = command.output().unwrap();
        assert!(ended.stdout.is_empty(), "{}", String::from_utf8_lossy(&ended.stdout));
        (ended.status.code().unwrap(), String::from_utf8(ended.stderr).unwrap())
    }

    fn assert_prints(&self, fault: &str, code: i32, words: &[&str]) {
        let (found, text) = self.run(&mut self.program(fault));
        assert_eq!(found, code, "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in: {text}"));
    }

    fn frames(&self, file: &str) -> Vec<f32> {
        let pose = Pose::read_file(&self.path(file)).unwrap();
        (0..pose.frames()).map(|frame| pose.coordinates()[frame * 2 * 137]).collect()
    }
}

/// Frames `0..count` in order, by the number that the stand-in wrote into them.
fn in_order(count: usize) -> Vec<f32> {
    (0..count).map(|frame| frame as f32).collect()
}

fn without_faults_frames_come_in_order() {
    let scene = Scene::new();
    // A message says that the models are not the published ones.
    let words = [
        "out.pose: ",
        "not the files OpenPose's authors published: pose/body_25/pose_iter_584000.caffemodel, face/",
    ];
    scene.assert_prints("", 0, &words);
    let frames = scene.frames("out.pose");
    assert!(frames.len() > 10);
    assert_eq!(frames, in_order(frames.len()));
}

/// The shim itself, compiled against headers that stand in for OpenPose.
fn the_shim_returns_what_openpose_found() {
    let scene = Scene::new();
    let mut compile = Command::new("c++");
    compile.args(["-std=c++11", "-shared", "-fPIC", "-Wall", "-Wextra", "-pedantic", "-Werror", "-pthread"]);
    compile.arg("-isystem").arg(repository("tests/stand_in/openpose/include"));
    output(compile.arg(repository("ffi/openpose_shim.cpp")).arg("-o").arg(scene.path("shim.so")));
    scene.assert_prints("", 0, &["out.pose: "]);
    let frames = scene.frames("out.pose");
    assert!(frames.len() > 10);
    assert_eq!(frames, in_order(frames.len()));
    let pose = Pose::read_file(&scene.path("out.pose")).unwrap();
    assert!(pose.confidences().iter().all(|&confidence| confidence == 1.0), "body, face and hands");
}

fn the_frames_before_a_death_are_kept() {
    let scene = Scene::new();
    let words = [CLIP, "SIGABRT", "at frame 3", "Check failed: on request", "out.partial.pose"];
    scene.assert_prints("abort:3", 1, &words);
    assert_eq!(scene.frames("out.partial.pose"), in_order(3));
    assert_eq!(names(scene.folder.path()), ["models", "out.partial.pose", "shim.so"]);
    scene.assert_prints("", 0, &["out.pose: "]);
    assert_eq!(names(scene.folder.path()), ["models", "out.pose", "shim.so"]);
}

fn other_videos_are_processed_after_a_death() {
    let scene = Scene::new();
    let copies = scene.path("copies");
    fs::create_dir(&copies).unwrap();
    for name in ["a.mp4", "b.mp4", "c.mp4"] {
        fs::copy(repository(CLIP), copies.join(name)).unwrap();
    }
    // The stand-in aborts after this many frames since it was started: during the second video. The third video gets a new
    // OpenPose, in which the retry of the second also hits the limit. That proves nothing about the video, which a fresh
    // OpenPose then processes to its end.
    let frames = {
        scene.assert_prints("", 0, &[]);
        scene.frames("out.pose").len()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.arg(&copies).args(["--engine", "openpose", "--progress", "none", "--model-folder"]);
    command.arg(scene.path("models")).env("OPPOSE_SHIM", scene.path("shim.so"));
    let (code, text) = scene.run(command.env("OPPOSE_STAND_IN", format!("abort:{}", frames + 2)));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("b.mp4 will be tried once more, alone") && text.contains("at frame 2"), "{text}");
    let expected = ["a.mp4", "a.pose", "b.mp4", "b.pose", "c.mp4", "c.pose", "oppose.jsonl"];
    assert_eq!(names(&copies), expected, "{text}");
}

fn failures_are_explained() {
    let scene = Scene::new();
    scene.assert_prints("fail:2", 1, &["OpenPose failed: The stand-in fails;", "out.partial.pose"]);
    scene.assert_prints("reorder:2", 1, &["frame 3 in place of frame 2"]);
    scene.assert_prints("open", 2, &["OpenPose failed: The stand-in does not open\n"]);
    scene.assert_prints("version", 2, &["is version 99 of the OpenPose shim, this program needs 1"]);
    let assert_refused = |change: &dyn Fn(&mut Command), words: &[&str]| {
        let mut command = scene.program("");
        change(&mut command);
        let (code, text) = scene.run(&mut command);
        assert_eq!(code, 2, "{text}");
        words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in: {text}"));
    };
    let nowhere = scene.path("nowhere.so");
    assert_refused(
        &|command| _ = command.env("OPPOSE_SHIM", &nowhere),
        &["openpose is not installed", "nowhere.so"],
    );
    let text_file = repository("README.md");
    assert_refused(
        &|command| _ = command.env("OPPOSE_SHIM", &text_file),
        &["README.md does not load (it needs the OpenPose it was built with"],
    );
    assert_refused(&|command| _ = command.args(["--net_resolution", "-1x100"]), &["multiples of 16"]);
    let face = scene.path("models/face/pose_iter_116000.caffemodel");
    let whole = fs::read(&face).unwrap();
    let damaged: [(&[u8], &str); 3] =
        [(&whole[..whole.len() / 2], "is the download complete"), (b"", "has no weights"), (b"garbage!", "")];
    for (bytes, words) in damaged {
        fs::write(&face, bytes).unwrap();
        assert_refused(&|_| (), &["face/pose_iter_116000.caffemodel", words]);
    }
    fs::remove_file(&face).unwrap();
    assert_refused(&|_| (), &["face/pose_iter_116000.caffemodel is missing; copy"]);
    assert_eq!(names(scene.folder.path()), ["models", "out.partial.pose", "shim.so"]);
}

fn a_missing_gpu_is_reported() {
    Scene::new().assert_prints("gpu", 2, &["this OpenPose needs a GPU", "driver", "--engine native"]);
}

/// OpenPose's process does not outlive the program, whether that is terminated or killed.
fn a_stalled_openpose_is_ended() {
    let scene = Scene::new();
    for signal in [Signal::TERM, Signal::KILL] {
        let mut command = scene.program("stall:3");
        let mut program = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let child = wait_for(|| children(program.id()).first().copied());
        // Before some frames have been pushed, there is nothing to stall.
        thread::sleep(Duration::from_millis(500));
        assert!(common::signal(program.id(), signal));
        if signal == Signal::TERM {
            // A second signal ends a program that waits for a library.
            thread::sleep(Duration::from_millis(300));
            assert!(common::signal(program.id(), signal));
        }
        program.wait().unwrap();
        wait_for(|| (!Path::new(&format!("/proc/{child}")).exists()).then_some(()));
    }
    assert_eq!(names(scene.folder.path()), ["models", "shim.so"]);
}

fn children(process: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn wait_for<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "timed out");
        thread::sleep(Duration::from_millis(20));
    }
}

fn the_output_of_openpose_goes_to_the_log() {
    let scene = Scene::new();
    let log = scene.path("log.txt");
    let (code, text) = scene.run(scene.program("").arg("--engine-log").arg(&log));
    assert_eq!(code, 0, "{text}");
    assert!(fs::read_to_string(&log).unwrap().contains("printed where the program's replies would be"));
    assert!(!text.contains("printed"), "{text}");
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let needs = [Need::Program("cc")];
    vec![
        trial("without_faults_frames_come_in_order", &needs, without_faults_frames_come_in_order),
        trial(
            "the_shim_returns_what_openpose_found",
            &[Need::Program("c++"), Need::Program("cc")],
            the_shim_returns_what_openpose_found,
        ),
        trial("the_frames_before_a_death_are_kept", &needs, the_frames_before_a_death_are_kept),
        trial("other_videos_are_processed_after_a_death", &needs, other_videos_are_processed_after_a_death),
        trial("failures_are_explained", &needs, failures_are_explained),
        trial("a_missing_gpu_is_reported", &[Need::Program("cc"), Need::NoGpu], a_missing_gpu_is_reported),
        trial("a_stalled_openpose_is_ended", &needs, a_stalled_openpose_is_ended),
        trial("the_output_of_openpose_goes_to_the_log", &needs, the_output_of_openpose_goes_to_the_log),
    ]
}
