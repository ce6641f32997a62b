//! `oppose-native doctor`: its findings, its advice and its exit codes.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;
use crate::made_up_models;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Need, models, output, repository, trial};
use made_up_models::Size;
use oppose::engine::native::model::Net;
use serde_json::Value;

/// The program in a folder, without access to this machine's models, OpenPose and GPUs.
fn doctor(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.arg("doctor").current_dir(folder).env("OPPOSE_MODELS", folder.join("models"));
    command.env("OPPOSE_SHIM", folder.join("no-shim.so")).env("CUDA_VISIBLE_DEVICES", "");
    for variable in ["OPPOSE_ENGINE", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "SLURM_JOB_ID"] {
        command.env_remove(variable);
    }
    command
}

/// The exit code and the findings.
fn findings(command: &mut Command) -> (i32, Value) {
    let output = command.arg("--json").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{text}");
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code().unwrap(), json)
}

fn engine<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["engines"].as_array().unwrap().iter().find(|engine| engine["name"] == name).unwrap()
}

/// The checks with this state, each as a text with its name, finding and advice.
fn checks_in_state(checks: &Value, state: &str) -> Vec<String> {
    let checks = checks.as_array().unwrap().iter().filter(|check| check["state"] == state);
    checks.map(|check| format!("{}: {} -> {}", check["name"], check["found"], check["next"])).collect()
}

fn with_models() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    made_up_models::write(&folder.path().join("models"), Size::Small);
    folder
}

fn missing_engines_are_reported_with_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = findings(&mut doctor(folder.path()));
    assert_eq!(code, 2, "{report}");
    for (name, advice) in
        [("holistic", "OPPOSE_MODELS"), ("native", "--model-folder"), ("openpose", "use the container")]
    {
        let engine = engine(&report, name);
        assert_eq!(engine["usable"], false, "{report}");
        let missing = checks_in_state(&engine["checks"], "missing");
        assert!(missing.iter().any(|text| text.contains(advice)), "{name}: {missing:?}");
    }
    let machine = checks_in_state(&report["machine"], "good").join("\n");
    assert!(machine.contains("libavcodec "), "{machine}");
}

fn the_exit_status_is_that_of_the_requested_engine() {
    let folder = with_models();
    let code = |engine: &str| findings(doctor(folder.path()).args(["--engine", engine])).0;
    assert_eq!([code("native"), code("auto"), code("holistic"), code("openpose")], [0, 0, 2, 2]);
    assert_eq!(findings(doctor(folder.path()).env("OPPOSE_ENGINE", "holistic")).0, 2);
    let plain = doctor(folder.path()).output().unwrap();
    let text = String::from_utf8(plain.stdout).unwrap();
    assert!(text.contains("engine native: ready") && text.contains("engine holistic: cannot run"), "{text}");
    assert!(text.contains("not the published file (MD5 "), "{text}");
    assert_eq!(plain.status.code(), Some(0));
}

fn a_damaged_model_is_found() {
    let folder = with_models();
    let face = folder.path().join("models").join(Net::Face.caffemodel());
    let bytes = fs::read(&face).unwrap();
    fs::write(&face, &bytes[..bytes.len() / 2]).unwrap();
    let (code, report) = findings(doctor(folder.path()).args(["--engine", "native"]));
    assert_eq!(code, 2);
    let missing = checks_in_state(&engine(&report, "native")["checks"], "missing");
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].contains("face/pose_iter_116000.caffemodel"), "{missing:?}");
    assert!(missing[0].contains("e747180d728fa4e4418c465828384333"), "{missing:?}");
    fs::remove_file(folder.path().join("models").join(Net::Hand.prototxt())).unwrap();
    let (_, report) = findings(&mut doctor(folder.path()));
    assert_eq!(checks_in_state(&engine(&report, "native")["checks"], "missing").len(), 2);
}

fn the_published_holistic_models_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = findings(doctor(folder.path()).arg("--model-folder").arg(models()));
    assert_eq!(code, 0, "{report}");
    let good = checks_in_state(&engine(&report, "holistic")["checks"], "good");
    assert!(good[0].contains("6 nets") && good[1].contains("LiteRT"), "{good:?}");
    // Each setting that needs its own net can be used, or a note says why not.
    let notes = checks_in_state(&engine(&report, "holistic")["checks"], "note");
    for setting in ["model_complexity=0", "model_complexity=2", "refine_face_landmarks", "--hands thorough"] {
        let can = good.iter().any(|text| text.contains(setting) && text.contains("can be used"));
        let cannot = notes.iter().any(|text| text.contains(setting) && text.contains("cannot be read"));
        assert!(can != cannot, "{setting}: {good:?} {notes:?}");
    }
}

/// Compiles the stand-in for the driver, and returns its folder.
fn stand_in_driver(folder: &Path) -> PathBuf {
    let target = folder.join("driver");
    fs::create_dir(&target).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(target.join("libcuda.so"));
    output(compile.arg(repository("tests/stand_in/libcuda.c")));
    // Under the name that the loader would otherwise find in a real driver.
    fs::copy(target.join("libcuda.so"), target.join("libcuda.so.1")).unwrap();
    target
}

/// Compiles a stand-in for OpenPose with machine code for these architectures.
fn stand_in_openpose(folder: &Path, architectures: &[u8]) -> PathBuf {
    let path = folder.join("libopenpose.so.stand-in");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&path);
    output(compile.arg(repository("tests/stand_in/openpose_stand_in.c")));
    let mut entries = Vec::new();
    for architecture in architectures {
        let mut entry = [0_u8; 64];
        (entry[0], entry[4], entry[28]) = (2, 64, *architecture);
        entries.extend(entry);
    }
    let mut library = fs::read(&path).unwrap();
    library.extend([0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0]);
    library.extend((entries.len() as u64).to_le_bytes());
    library.extend(entries);
    fs::write(&path, library).unwrap();
    path
}

fn gpus_are_compared_with_the_architectures_of_openpose() {
    let folder = with_models();
    let driver = stand_in_driver(folder.path());
    let openpose = stand_in_openpose(folder.path(), &[30, 35, 50, 52, 60, 61, 70, 75]);
    let with_gpus = |gpus: &str| {
        let mut command = doctor(folder.path());
        command.env("OPPOSE_SHIM", &openpose).env("OPPOSE_STAND_IN", "gpu");
        findings(command.env("LD_LIBRARY_PATH", &driver).env("STAND_IN_GPUS", gpus)).1
    };
    let gpu_checks = |report: &Value, state: &str| -> Vec<String> {
        let checks = checks_in_state(&engine(report, "openpose")["checks"], state);
        checks.into_iter().filter(|text| text.starts_with("\"GPU")).collect()
    };

    let report = with_gpus("Tesla V100-SXM2-32GB:70;NVIDIA H100 80GB HBM3:90");
    let (good, note) = (gpu_checks(&report, "good"), gpu_checks(&report, "note"));
    assert!(good.len() == 1 && good[0].contains("GPU 0 (Tesla V100-SXM2-32GB)"), "{good:?}");
    assert!(note.len() == 1 && note[0].contains("compute capability 9.0"), "{note:?}");
    assert!(note[0].contains("was built for 3.0, 3.5, 5.0, 5.2, 6.0, 6.1, 7.0, 7.5"), "{note:?}");
    assert!(note[0].contains("--engine native"), "{note:?}");
    let machine = checks_in_state(&report["machine"], "good").join("\n");
    assert!(machine.contains("supports CUDA up to 12.4"), "{machine}");
    assert!(machine.contains("32 GiB, GPU-11111111-1111-1111-1111-111111111111"), "{machine}");

    let report = with_gpus("NVIDIA A100-SXM4-80GB:80");
    assert_eq!(gpu_checks(&report, "missing").len(), 1, "{report}");
    assert_eq!(engine(&report, "openpose")["usable"], false);

    let mut command = doctor(folder.path());
    let (code, report) = findings(command.args(["--engine", "openpose"]).env("OPPOSE_SHIM", &openpose));
    assert_eq!(code, 0, "a build for the CPU needs no GPU: {report}");
    assert_eq!(gpu_checks(&report, "note").len(), 1, "{report}");
}

fn driver_failures_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let driver = stand_in_driver(folder.path());
    let notes = |settings: &[(&str, &str)]| {
        let mut command = doctor(folder.path());
        command.env("LD_LIBRARY_PATH", &driver).envs(settings.iter().copied());
        let (_, report) = findings(&mut command);
        checks_in_state(&report["machine"], "note").join("\n")
    };
    let v100 = ("STAND_IN_GPUS", "Tesla V100:70");
    let text = notes(&[v100, ("STAND_IN_INIT", "100"), ("CUDA_VISIBLE_DEVICES", "7")]);
    assert!(text.contains("shows no GPU; CUDA_VISIBLE_DEVICES is \\\"7\\\""), "{text}");
    let text = notes(&[("STAND_IN_GPUS", "")]);
    assert!(text.contains("shows no GPU"), "{text}");
    let text = notes(&[v100, ("STAND_IN_CUDA", "9020")]);
    assert!(text.contains("CUDA up to 9.2, but 10.0 or later"), "{text}");
    let text = notes(&[v100, ("STAND_IN_INIT", "803")]);
    assert!(text.contains("cuInit returned CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"), "{text}");
    let text = notes(&[v100, ("STAND_IN_INIT", "34")]);
    assert!(text.contains("stub"), "{text}");
    fs::write(driver.join("libcuda.so"), "no library").unwrap();
    fs::write(driver.join("libcuda.so.1"), "no library").unwrap();
    let text = notes(&[v100]);
    assert!(text.contains("no NVIDIA driver"), "{text}");
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let compiler = [Need::Program("cc")];
    vec![
        trial(
            "missing_engines_are_reported_with_the_next_step",
            &[],
            missing_engines_are_reported_with_the_next_step,
        ),
        trial(
            "the_exit_status_is_that_of_the_requested_engine",
            &[],
            the_exit_status_is_that_of_the_requested_engine,
        ),
        trial("a_damaged_model_is_found", &[], a_damaged_model_is_found),
        trial(
            "the_published_holistic_models_are_recognised",
            &[Need::Models],
            the_published_holistic_models_are_recognised,
        ),
        trial(
            "gpus_are_compared_with_the_architectures_of_openpose",
            &compiler,
            gpus_are_compared_with_the_architectures_of_openpose,
        ),
        trial("driver_failures_are_explained", &compiler, driver_failures_are_explained),
    ]
}
