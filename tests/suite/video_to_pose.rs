//! The estimators in `examples/video-to-pose`, called as video-to-pose calls them.

use crate::common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use common::{Need, models, names, output, repository, short_sample, trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_oppose-native");

/// A folder like video-to-pose's, with our estimators in it, a folder of one video, and a folder `oppose` that looks like
/// the unpacked archive of the program.
fn scene() -> tempfile::TempDir {
    let scene = tempfile::tempdir().unwrap();
    let place = |name: &str| scene.path().join(name);
    for name in ["mediapipe", "openpose"] {
        let folder = place("estimators").join(name);
        fs::create_dir_all(&folder).unwrap();
        for script in ["install", "run"].map(|what| format!("{what}_{name}.sh")) {
            let source = format!("examples/video-to-pose/estimators/{name}/{script}");
            fs::copy(repository(&source), folder.join(script)).unwrap();
        }
    }
    for name in ["tools/mediapipe", "videos", "oppose"] {
        fs::create_dir_all(place(name)).unwrap();
    }
    symlink(PROGRAM, place("oppose/oppose-native")).unwrap();
    symlink(repository("scripts"), place("oppose/scripts")).unwrap();
    scene
}

/// A call of one of the scripts.
fn script(scene: &Path, name: &str) -> Command {
    let estimator = name.split_once('_').unwrap().1;
    let mut command = Command::new("bash");
    command.arg(scene.join("estimators").join(estimator).join(format!("{name}.sh"))).current_dir(scene);
    command
}

/// Asserts that the script fails with these words.
fn assert_refused(scene: &Path, name: &str, arguments: &[&str], words: &str) {
    let ended = script(scene, name).args(arguments).env_remove("OPPOSE_DIR").output().unwrap();
    let message = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && message.contains(words), "{name} {arguments:?}: {message}");
}

fn install(scene: &Path, name: &str, variables: &[(&str, &Path)]) {
    let mut command = script(scene, &format!("install_{name}"));
    output(command.arg("--slurm").env("OPPOSE_DIR", scene.join("oppose")).envs(variables.iter().copied()));
}

fn wrong_arguments_are_explained() {
    let scene = scene();
    let whole = ["--input", "videos", "--output", "poses"];
    for name in ["run_mediapipe", "run_openpose"] {
        assert_refused(scene.path(), name, &whole[..2], "Usage");
        assert_refused(
            scene.path(),
            name,
            &[&whole[..], &["--chunks", "3"]].concat(),
            "--chunks requires --slurm",
        );
        assert_refused(
            scene.path(),
            name,
            &[&whole[..], &["--lowprio"]].concat(),
            "Unknown argument: --lowprio",
        );
        assert_refused(scene.path(), name, &whole, "run install.sh");
    }
    assert_refused(scene.path(), "run_mediapipe", &[&whole[..], &["--device", "gpu"]].concat(), "on the CPU");
    assert_refused(scene.path(), "run_openpose", &[&whole[..], &["--device", "tpu"]].concat(), "cpu or gpu");
    assert_refused(scene.path(), "install_mediapipe", &[], "OPPOSE_DIR is not set");
}

fn mediapipe_writes_the_same_file_as_the_program() {
    let scene = scene();
    fs::copy(short_sample(), scene.path().join("videos/a.mp4")).unwrap();
    symlink(models(), scene.path().join("tools/mediapipe/models")).unwrap();
    install(scene.path(), "mediapipe", &[]);
    let arguments = ["--input", "videos", "--output", "poses", "--device", "cpu", "--num-workers", "1"];
    output(script(scene.path(), "run_mediapipe").args(arguments));
    let expected = scene.path().join("expected.pose");
    let setting = "model_complexity=2,smooth_landmarks=false,refine_face_landmarks=true";
    let mut program = Command::new(PROGRAM);
    program.arg("-i").arg(short_sample()).arg("-o").arg(&expected).args(["--format", "mediapipe"]);
    output(program.arg("--model-folder").arg(models()).args(["--additional-config", setting]));
    assert!(fs::read(scene.path().join("poses/a.pose")).unwrap() == fs::read(expected).unwrap());
    assert_eq!(names(&scene.path().join("videos")), ["a.mp4"], "files are left beside the videos");
}

/// The script of a submission, as passed to a stand-in for `sbatch`.
fn submitted(scene: &Path, name: &str, arguments: &[&str]) -> String {
    let programs = scene.join("programs");
    fs::create_dir_all(&programs).unwrap();
    fs::write(programs.join("sbatch"), "#!/bin/sh\ncp \"$2\" submitted\necho 17\n").unwrap();
    output(Command::new("chmod").arg("+x").arg(programs.join("sbatch")));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let all = [&["--input", "videos", "--output", name, "--slurm"], arguments].concat();
    output(script(scene, &format!("run_{name}")).args(all).env("PATH", path));
    fs::read_to_string(scene.join("submitted")).unwrap()
}

fn submissions_have_the_same_options() {
    let scene = scene();
    for video in ["a.mp4", "b.mp4", "c.mp4"] {
        fs::copy(repository("tests/clips/h264_25.mp4"), scene.path().join("videos").join(video)).unwrap();
    }
    let models: PathBuf = scene.path().join("models");
    fs::create_dir_all(models.join("pose/body_25")).unwrap();
    fs::write(models.join("pose/body_25/pose_iter_584000.caffemodel"), "").unwrap();
    install(scene.path(), "openpose", &[("OPENPOSE_MODELS", &models)]);
    let on_cpu = submitted(scene.path(), "openpose", &["--chunks", "3", "--device", "cpu"]);
    for words in ["'--engine' 'native' '--device' 'cpu'", "--array=0-2"] {
        assert!(on_cpu.contains(words), "{words:?} is not in: {on_cpu}");
    }
    assert!(!on_cpu.contains("--gpus="), "{on_cpu}");
    symlink(PROGRAM, scene.path().join("tools/mediapipe/oppose-native")).unwrap();
    let holistic = submitted(scene.path(), "mediapipe", &["--chunks", "2"]);
    for words in ["'--engine' 'holistic'", "refine_face_landmarks=true", "--array=0-1"] {
        assert!(holistic.contains(words), "{words:?} is not in: {holistic}");
    }
    assert!(!holistic.contains("--gpus="), "{holistic}");
}

fn shellcheck_finds_nothing() {
    let folder = repository("examples/video-to-pose/estimators");
    let scripts = ["mediapipe", "openpose"].into_iter().flat_map(|name| {
        let folder = &folder;
        ["install", "run"].map(|what| folder.join(name).join(format!("{what}_{name}.sh")))
    });
    output(Command::new("shellcheck").args(scripts));
}

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let nets =
        ["pose_landmark_heavy.tflite", "face_landmark_with_attention.tflite", "pose_landmark_lite.tflite"];
    let nets =
        [Need::Models, Need::Program("ffmpeg"), Need::Net(nets[0]), Need::Net(nets[1]), Need::Net(nets[2])];
    vec![
        trial("wrong_arguments_are_explained", &[], wrong_arguments_are_explained),
        trial(
            "mediapipe_writes_the_same_file_as_the_program",
            &nets,
            mediapipe_writes_the_same_file_as_the_program,
        ),
        trial("submissions_have_the_same_options", &[], submissions_have_the_same_options),
        trial("shellcheck_finds_nothing", &[Need::Program("shellcheck")], shellcheck_finds_nothing),
    ]
}
