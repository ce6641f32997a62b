//! The program as a user calls it: the files it writes, its messages and its exit codes.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;
use crate::small_disk;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Need, models, names, output, repository, trial};
use oppose::pose::{FramePose, Header, Pose, PoseWriter, openpose_137};
use rustix::process::Signal;
use serde_json::Value;
use small_disk::SmallDisk;

const PROGRAM: &str = env!("CARGO_BIN_EXE_oppose-native");

/// The program in a folder, with the models.
fn program(folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).env("OPPOSE_MODELS", models()).env_remove("OPPOSE_ENGINE");
    command
}

/// Runs the program; returns its exit code and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    exit_code_and_message(program(folder).args(arguments).output().unwrap())
}

fn exit_code_and_message(output: Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

/// Asserts that the program refuses to run, with this exit code and these words in its message.
#[track_caller]
fn assert_refused(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let (ended, text) = run(folder, arguments);
    assert_eq!(ended, code, "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: {word:?} is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

fn folder_with(clips: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for clip in clips {
        fs::copy(repository("tests/clips").join(clip), folder.path().join(clip)).unwrap();
    }
    folder
}

fn pose(folder: &Path, name: &str) -> Pose {
    Pose::read_file(&folder.join(name)).unwrap()
}

fn ffmpeg(arguments: &[&str], target: &Path) {
    output(Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(target));
}

const PATTERN: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2"];

fn a_video_becomes_a_file_beside_it() {
    let folder = folder_with(&["h264_2997_bframes.mp4", "rot90.mp4"]);
    let (code, text) = run(folder.path(), &["h264_2997_bframes.mp4"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("60 frames at 30000/1001"), "{text}");
    assert!(!text.contains("INFO:"), "the runtime's greeting is shown: {text}");
    let written = pose(folder.path(), "h264_2997_bframes.pose");
    assert_eq!((written.frames(), written.fps, written.people()), (60, 29.97003, 1));
    assert_eq!((written.header.width, written.header.height), (320, 240));
    assert_eq!(run(folder.path(), &["rot90.mp4", "--rotate", "none", "-o", "stored.pose"]).0, 0);
    assert_eq!(pose(folder.path(), "stored.pose").header.width, 320);
    assert_eq!(run(folder.path(), &["rot90.mp4", "-o", "upright.pose"]).0, 0);
    assert_eq!(pose(folder.path(), "upright.pose").header.width, 240);
}

fn a_real_person_is_found() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(repository("assets/sample.mp4"), folder.path().join("sample.mp4")).unwrap();
    let (code, text) = run(folder.path(), &["sample.mp4"]);
    assert_eq!(code, 0, "{text}");
    let written = pose(folder.path(), "sample.pose");
    assert_eq!(written.frames(), 90);
    // The sample always shows one person's face: all points of its mesh are within the frame.
    let face = 33..33 + 468;
    for (frame, confidences) in written.confidences().chunks(576).enumerate() {
        assert!(confidences[face.clone()].iter().all(|&confidence| confidence == 1.0), "frame {frame}");
    }
    let in_picture = |point: &[f32]| (0.0..480.0).contains(&point[0]) && (0.0..480.0).contains(&point[1]);
    for frame in written.coordinates().chunks(576 * 3) {
        assert!(frame[33 * 3..501 * 3].chunks(3).all(in_picture));
    }
    let (code, text) = run(folder.path(), &["render", "sample.mp4", "sample.pose", "--sheet", "sheet.png"]);
    assert_eq!((code, text.contains("1440x1440")), (0, true), "{text}");
    let png = fs::read(folder.path().join("sheet.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
}

fn the_videos_of_a_folder_are_processed_one_by_one() {
    let folder = folder_with(&["h264_25.mp4", "vp9_30.webm", "odd_444.mp4"]);
    fs::write(folder.path().join("broken.mp4"), "no video").unwrap();
    fs::write(folder.path().join("notes.txt"), "no video").unwrap();
    let (code, text) = run(folder.path(), &[".", "-o", "poses"]);
    assert_eq!(code, 1, "one of four should fail: {text}");
    assert!(text.contains("broken.mp4: expected a video"), "{text}");
    let poses = folder.path().join("poses");
    assert!(text.contains("3 done, 1 failed: ") && text.contains("failed: ./broken.mp4: expected"), "{text}");
    assert_eq!(
        names(&poses),
        ["h264_25.pose", "odd_444.pose", "oppose.failed.list", "oppose.jsonl", "vp9_30.pose"]
    );
    // Videos that are done are skipped.
    let before = fs::metadata(poses.join("h264_25.pose")).unwrap().modified().unwrap();
    let (code, text) = run(folder.path(), &[".", "-o", "poses"]);
    assert_eq!(code, 1, "{text}");
    assert_eq!(text.matches("skipped: ").count(), 3, "{text}");
    assert!(text.contains("0 done, 3 skipped, 1 failed\n"), "{text}");
    assert_eq!(fs::metadata(poses.join("h264_25.pose")).unwrap().modified().unwrap(), before);
    assert_eq!(run(folder.path(), &["h264_25.mp4", "-o", "poses", "--overwrite"]).0, 0);
    assert!(fs::metadata(poses.join("h264_25.pose")).unwrap().modified().unwrap() > before);
}

fn progress_can_be_json() {
    let folder = folder_with(&["h264_25.mp4"]);
    fs::write(folder.path().join("broken.mp4"), "no video").unwrap();
    let ran = program(folder.path()).args([".", "--progress", "json", "--workers", "1"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let text = String::from_utf8(ran.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    // Whether progress is reported depends on the speed of the machine.
    let lines: Vec<Value> = lines.filter(|line: &Value| line["event"] != "progress").collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["failed", "started", "done", "summary"]);
    assert_eq!((lines[2]["frames"].as_u64(), lines[2]["frame_rate"].as_str()), (Some(50), Some("25")));
}

fn logs_are_shown_on_request() {
    let folder = folder_with(&["h264_25.mp4", "vp9_30.webm"]);
    let logged = |arguments: &[&str], filter: &str| {
        let mut command = program(folder.path());
        command.args([".", "-o", "poses", "--overwrite"]).args(arguments).env("OPPOSE_LOG", filter);
        let (code, text) = exit_code_and_message(command.output().unwrap());
        assert_eq!(code, 0, "{text}");
        text
    };
    let is_logged = |text: &str| text.contains("oppose::pipeline::scheduler: wrote a .pose file");
    assert!(!is_logged(&logged(&[], "")));
    // The files are written by a worker process.
    assert!(is_logged(&logged(&["-v"], "")));
    let text = logged(&["-v"], "oppose::batch=debug");
    assert!(text.contains("started a worker process") && !is_logged(&text), "{text}");
    let text = logged(&[], "=what=");
    assert!(text.contains("ignoring OPPOSE_LOG==what=: expected a level"), "{text}");
}

fn wrong_arguments_are_refused_before_anything_starts() {
    let folder = folder_with(&["h264_25.mp4", "h264_25.mkv", "odd_444.mp4"]);
    let at = folder.path();
    assert_refused(at, &[], 2, &["Usage"]);
    assert_refused(at, &["absent.mp4"], 2, &["absent.mp4 does not exist; check the path"]);
    assert_refused(at, &["h264_25.mp4", "absent.mp4"], 2, &["does not exist"]);
    assert_refused(
        at,
        &["h264_25.mp4", "h264_25.mkv"],
        2,
        &["would both become h264_25.pose", "--keep-suffix"],
    );
    assert_refused(at, &["h264_25.mp4", "odd_444.mp4", "-o", "one.pose"], 2, &["2 videos", "give a folder"]);
    assert_refused(at, &["-"], 2, &["standard input", "--output FILE.pose"]);
    assert_refused(at, &["h264_25.mp4", "--fps", "fast"], 2, &["30000/1001"]);
    assert_refused(at, &["h264_25.mp4", "--fps", "-5"], 2, &["invalid value '-5'", "30000/1001"]);
    assert_refused(at, &["h264_25.mp4", "--rotate", "45"], 2, &["expected auto, none, 90, 180 or 270"]);
    assert_refused(at, &["h264_25.mp4", "--engine", "magic"], 2, &["holistic"]);
    assert_eq!(names(at).len(), 3, "something was written: {:?}", names(at));
    fs::create_dir(at.join("empty")).unwrap();
    assert_refused(at, &["empty"], 2, &["no videos or pictures in the folder empty", "mp4", "png"]);
}

fn missing_models_are_named_with_the_folders_searched() {
    let folder = folder_with(&["h264_25.mp4"]);
    let at = folder.path();
    assert_refused(at, &["h264_25.mp4", "--model-folder", "nowhere"], 2, &["nowhere", "OPPOSE_MODELS"]);
    let native = ["h264_25.mp4", "--model-folder", "nowhere", "--engine", "native"];
    assert_refused(at, &native, 2, &["nowhere", "OpenPose's own"]);
    // A copy of the program, so that the checkout's own models are not found beside it.
    let copy = at.join("oppose-copy");
    fs::copy(PROGRAM, &copy).unwrap();
    let mut bare = Command::new(&copy);
    bare.current_dir(at).env_remove("OPPOSE_MODELS").env("XDG_DATA_HOME", at.join("data"));
    let (code, text) = exit_code_and_message(bare.arg("h264_25.mp4").output().unwrap());
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("data/oppose/models") && text.contains("OPPOSE_MODELS"), "{text}");
    assert!(text.contains("pip install oppose-native") && text.contains("scripts/fetch-models.sh"), "{text}");
    // The layout of an archive or a checkout, and that of the Python package.
    fs::create_dir(at.join("scripts")).unwrap();
    fs::write(at.join("scripts/fetch-models.sh"), "").unwrap();
    let text = exit_code_and_message(bare.output().unwrap()).1;
    assert!(text.contains(&format!("run {}", at.join("scripts/fetch-models.sh").display())), "{text}");
    fs::write(at.join("_native.pyi"), "").unwrap();
    let text = exit_code_and_message(bare.output().unwrap()).1;
    assert!(text.contains("install the package again") && !text.contains("scripts/"), "{text}");
    fs::remove_file(at.join("_native.pyi")).unwrap();
    // A folder that is named hides the models elsewhere.
    fs::create_dir_all(at.join("models/holistic")).unwrap();
    let (code, text) = exit_code_and_message(bare.args(["--model-folder", "nowhere"]).output().unwrap());
    assert_eq!(code, 2, "{text}");
    let expected = format!(
        "{} has it, and is found if you name no models folder, not even in OPPOSE_MODELS\n",
        at.join("models").display()
    );
    assert!(text.contains(&expected), "{text}");

    // A net that differs from the published one is never run.
    let tampered = at.join("tampered/holistic");
    fs::create_dir_all(&tampered).unwrap();
    for entry in fs::read_dir(models().join("holistic")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, tampered.join(path.file_name().unwrap())).unwrap();
    }
    let net = tampered.join("face_landmark.tflite");
    let mut bytes = fs::read(&net).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&net, bytes).unwrap();
    assert_refused(
        at,
        &["h264_25.mp4", "--model-folder", "tampered"],
        2,
        &["face_landmark.tflite", "SHA-256"],
    );
    fs::remove_file(&net).unwrap();
    assert_refused(at, &["h264_25.mp4", "--model-folder", "tampered"], 2, &["face_landmark.tflite"]);
}

fn bad_videos_fail_with_an_explanation() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("empty.mp4"), "").unwrap();
    assert_refused(at, &["empty.mp4"], 1, &["empty.mp4: the file is empty (0 bytes)"]);
    fs::write(at.join("text.mp4"), "no video\n".repeat(99)).unwrap();
    assert_refused(at, &["text.mp4"], 1, &["text.mp4: expected a video, but its format is not recognised"]);
    fs::write(at.join("dot.ppm"), b"P6\n1 1\n255\n\x01\x02\x03").unwrap();
    assert_refused(at, &["dot.ppm"], 1, &["dot.ppm: frames are 1x1 pixels; each side must be 16 to 65535"]);
    assert!(names(at).iter().all(|name| !name.contains("pose")), "{:?}", names(at));
}

fn generated_bad_videos_fail_with_an_explanation() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1"], &at.join("sound.mp4"));
    assert_refused(at, &["sound.mp4"], 1, &["sound.mp4: expected a video stream, found only audio"]);

    let path = at.join("cut.mp4");
    ffmpeg(&[&PATTERN[..], &["-c:v", "libx264", "-movflags", "+faststart"]].concat(), &path);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_refused(
        at,
        &["cut.mp4"],
        1,
        &["cut.mp4: the file is cut off: it announces 50 frames", "cut.partial.pose"],
    );
    assert!((1..50).contains(&pose(at, "cut.partial.pose").frames()));
    assert!(!at.join("cut.pose").exists());
    fs::write(&path, &whole[..600]).unwrap();
    assert_refused(at, &["cut.mp4"], 1, &["cut.mp4: "]);

    let stream = ["-c:v", "libx264", "-f", "mpegts"];
    ffmpeg(&[&PATTERN[..], &stream].concat(), &at.join("a.ts"));
    ffmpeg(&[&PATTERN[..], &["-vf", "scale=160:120"], &stream].concat(), &at.join("b.ts"));
    let both = [fs::read(at.join("a.ts")).unwrap(), fs::read(at.join("b.ts")).unwrap()].concat();
    fs::write(at.join("both.ts"), both).unwrap();
    assert_refused(
        at,
        &["both.ts"],
        1,
        &["frame 50 is 160x120 pixels, those before it 320x240", "both.partial.pose"],
    );
    assert_eq!(pose(at, "both.partial.pose").frames(), 50);

    ffmpeg(&["-f", "lavfi", "-i", "color=size=20000x100:rate=1:duration=1"], &at.join("wide.png"));
    assert_eq!(run(at, &["wide.png"]).0, 0);
    assert_eq!(pose(at, "wide.pose").header.width, 20000);
}

fn an_unwritable_folder_is_refused_at_the_start() {
    let folder = folder_with(&["h264_25.mp4"]);
    // Not even root can create files there.
    assert_refused(folder.path(), &["h264_25.mp4", "-o", "/proc/poses"], 2, &["/proc/poses"]);
    assert_refused(folder.path(), &["h264_25.mp4", "-o", "h264_25.mp4/poses"], 2, &["h264_25.mp4/poses"]);
}

fn a_full_disk_fails_and_leaves_nothing(disk: SmallDisk) {
    let folder = folder_with(&["h264_25.mp4"]);
    let target = disk.path().to_str().unwrap();
    assert_refused(
        folder.path(),
        &["h264_25.mp4", "-o", target],
        1,
        &["cannot write", "No space left on device"],
    );
    assert!(names(disk.path()).is_empty(), "{:?}", names(disk.path()));

    // More frames than are kept in memory: writing fails while frames arrive, not only at the end.
    let long = disk.path().join("long.pose");
    let mut writer =
        PoseWriter::create(&long, &Header::new(openpose_137(), 640, 480).unwrap(), 25.0).unwrap();
    let frame = FramePose::new(1, 137, 2);
    let full = (0..2000).find_map(|_| writer.write(&frame).err()).unwrap();
    assert!(full.to_string().contains("cannot write"), "{full}");
    drop(writer);
    assert!(names(disk.path()).is_empty(), "{:?}", names(disk.path()));
}

fn a_folder_without_write_permission_is_refused() {
    let disk = tempfile::tempdir().unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "ro", "tmpfs"]).arg(disk.path());
    assert!(mount.status().unwrap().success());
    let folder = folder_with(&["h264_25.mp4"]);
    let target = disk.path().to_str().unwrap();
    assert_refused(
        folder.path(),
        &["h264_25.mp4", "-o", target],
        2,
        &["cannot write into the folder", "--output"],
    );
    assert!(Command::new("umount").arg(disk.path()).status().unwrap().success());
}

fn a_signal_ends_the_run_between_two_frames() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(
        &["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=600", "-preset", "ultrafast"],
        &folder.path().join("long.mp4"),
    );
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = program(folder.path());
        let child = command.args(["long.mp4"]).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        let asked = Instant::now();
        assert!(common::signal(child.id(), signal));
        let (ended, text) = exit_code_and_message(child.wait_with_output().unwrap());
        assert_eq!(ended, code, "{text}");
        assert!(text.contains("stopped before the end"), "{text}");
        assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
        assert_eq!(names(folder.path()), ["long.mp4"], "files are left behind");
    }
}

fn a_killed_run_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(
        &["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=600", "-preset", "ultrafast"],
        &folder.path().join("long.mp4"),
    );
    let mut child = program(folder.path()).args(["long.mp4"]).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(folder.path()), ["long.mp4"]);
}

fn the_help_names_every_option() {
    let text = output(Command::new(PROGRAM).arg("--help"));
    for word in ["--output", "--engine", "--max-people", "--overwrite", "--rotate", "Exit status", "render"] {
        assert!(text.contains(word), "{word}");
    }
}

fn manual_pages_and_completions_are_generated() {
    let scene = tempfile::tempdir().unwrap();
    let generate = |arguments: &[&str]| {
        output(Command::new(PROGRAM).arg("generate").args(arguments).current_dir(scene.path()))
    };
    generate(&["man", "-o", "man"]);
    let page = fs::read_to_string(scene.path().join("man/oppose-native-inspect.1")).unwrap();
    assert!(page.contains("\\-\\-plot"), "{page}");
    for shell in ["zsh", "fish"] {
        let script = generate(&[shell]);
        assert!(script.contains("inspect") && script.contains("json-precision"), "{shell}");
    }
    generate(&["bash", "-o", "complete.bash"]);
    let complete = "source complete.bash; COMP_WORDS=(oppose-native insp); COMP_CWORD=1; \
                    _oppose__native oppose-native insp oppose-native; echo ${COMPREPLY[@]}";
    let completed = output(Command::new("bash").args(["-c", complete]).current_dir(scene.path()));
    assert_eq!(completed.trim(), "inspect");
}

/// The name of a test, its needs, and the test.
type Test = (&'static str, Vec<Need>, fn());

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let models = || vec![Need::Models];
    let both = || vec![Need::Models, Need::Program("ffmpeg")];
    let tests: Vec<Test> = vec![
        ("a_video_becomes_a_file_beside_it", models(), a_video_becomes_a_file_beside_it),
        ("a_real_person_is_found", models(), a_real_person_is_found),
        (
            "the_videos_of_a_folder_are_processed_one_by_one",
            models(),
            the_videos_of_a_folder_are_processed_one_by_one,
        ),
        ("progress_can_be_json", models(), progress_can_be_json),
        ("logs_are_shown_on_request", models(), logs_are_shown_on_request),
        (
            "wrong_arguments_are_refused_before_anything_starts",
            vec![],
            wrong_arguments_are_refused_before_anything_starts,
        ),
        (
            "missing_models_are_named_with_the_folders_searched",
            models(),
            missing_models_are_named_with_the_folders_searched,
        ),
        ("bad_videos_fail_with_an_explanation", models(), bad_videos_fail_with_an_explanation),
        (
            "generated_bad_videos_fail_with_an_explanation",
            both(),
            generated_bad_videos_fail_with_an_explanation,
        ),
        (
            "an_unwritable_folder_is_refused_at_the_start",
            models(),
            an_unwritable_folder_is_refused_at_the_start,
        ),
        ("a_signal_ends_the_run_between_two_frames", both(), a_signal_ends_the_run_between_two_frames),
        ("a_killed_run_leaves_nothing", both(), a_killed_run_leaves_nothing),
        ("the_help_names_every_option", vec![], the_help_names_every_option),
        ("manual_pages_and_completions_are_generated", vec![], manual_pages_and_completions_are_generated),
    ];
    let mut trials: Vec<_> = tests.into_iter().map(|(name, needs, test)| trial(name, &needs, test)).collect();
    // 50 frames of 576 points take 470 kB.
    let (full, read_only) =
        ("a_full_disk_fails_and_leaves_nothing", "a_folder_without_write_permission_is_refused");
    match SmallDisk::mount(300) {
        Some(disk) => {
            trials.push(trial(full, &models(), move || a_full_disk_fails_and_leaves_nothing(disk)));
            trials.push(trial(read_only, &models(), a_folder_without_write_permission_is_refused));
        }
        None => {
            trials.push(trial(full, &[Need::Mount], || {}));
            trials.push(trial(read_only, &[Need::Mount], || {}));
        }
    }
    trials
}
