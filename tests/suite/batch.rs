//! Several processes that divide the videos among themselves: the files equal those of a single process, whatever
//! happens to the workers.

#![allow(clippy::unwrap_used)] // Clippy does not recognise tests without the standard harness.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Need, names, short_sample, trial};
use oppose::batch::journal;

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let needs = [Need::Models, Need::Program("ffmpeg")];
    vec![
        trial("workers make the same files as one process", &needs, workers_make_the_same_files),
        trial("a folder is distributed over the cores", &needs, a_folder_is_distributed_over_the_cores),
        trial("killed workers lose nothing", &needs, killed_workers_lose_nothing),
        trial("a bad video among good ones", &needs, a_bad_video_among_good_ones),
        trial("a video that never ends is abandoned", &needs, a_video_that_never_ends_is_abandoned),
        trial("a signal stops all processes", &needs, a_signal_stops_all_processes),
        trial("trees, lists and the journal", &needs, trees_lists_and_the_journal),
        trial("missing GPUs are reported", &[Need::NoGpu], missing_gpus_are_reported),
        trial(
            "a GPU that does not exist is reported",
            &[Need::Gpu, Need::Models],
            a_gpu_that_does_not_exist_is_reported,
        ),
    ]
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.args(["--engine", "holistic", "--progress", "json"]).arg("--model-folder").arg(common::models());
    command.stdin(Stdio::null());
    command
}

/// Copies of the short sample.
fn videos(folder: &Path, count: usize) -> PathBuf {
    let videos = folder.join("videos");
    fs::create_dir(&videos).unwrap();
    for index in 0..count {
        fs::copy(short_sample(), videos.join(format!("{index}.mp4"))).unwrap();
    }
    videos
}

fn run(videos: &Path, output: &Path, options: &[&str]) -> Output {
    program().arg(videos).arg("-o").arg(output).args(options).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The file that one process writes for the short sample.
fn expected(folder: &Path) -> Vec<u8> {
    let output = folder.join("expected.pose");
    assert!(run(short_sample(), &output, &[]).status.success());
    fs::read(output).unwrap()
}

fn assert_complete(output: &Path, count: usize, expected: &[u8]) {
    let mut all: Vec<String> = (0..count).map(|index| format!("{index}.pose")).collect();
    all.sort();
    assert_eq!(poses(output), all);
    for name in all {
        assert!(fs::read(output.join(&name)).unwrap() == expected, "{name} differs");
    }
}

fn workers_make_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let (videos, output) = (videos(folder.path(), 5), folder.path().join("poses"));
    let done = run(&videos, &output, &["--workers", "3"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(text(&done.stdout).matches("\"event\":\"done\"").count(), 5);
    assert_complete(&output, 5, &expected(folder.path()));
}

fn a_folder_is_distributed_over_the_cores() {
    let folder = tempfile::tempdir().unwrap();
    let (videos, output) = (videos(folder.path(), 4), folder.path().join("poses"));
    let mut command = program();
    command.arg(&videos).arg("-o").arg(&output).stdout(Stdio::null()).stderr(Stdio::null());
    let mut supervisor = command.spawn().unwrap();
    let mut workers = 0;
    while supervisor.try_wait().unwrap().is_none() {
        workers = workers_of(&supervisor).len().max(workers);
        thread::sleep(Duration::from_millis(10));
    }
    let cores = thread::available_parallelism().unwrap().get();
    assert_eq!(workers, cores.min(4));
    assert_complete(&output, 4, &expected(folder.path()));
}

/// The process IDs of the workers.
fn workers_of(supervisor: &Child) -> Vec<i32> {
    let task = format!("/proc/{0}/task/{0}/children", supervisor.id());
    fs::read_to_string(task)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn signal(process: i32, signal: rustix::process::Signal) {
    if let Some(process) = rustix::process::Pid::from_raw(process) {
        // It may already have ended.
        let _ = rustix::process::kill_process(process, signal);
    }
}

fn killed_workers_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected(folder.path());
    let (videos, output) = (videos(folder.path(), 6), folder.path().join("poses"));
    let mut command = program();
    command.arg(&videos).arg("-o").arg(&output).args(["--workers", "2"]);
    let mut supervisor = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A video may cause one death, so there are too few kills for any video to be hit twice.
    let mut killed = 0;
    let started = Instant::now();
    while supervisor.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(120) {
        thread::sleep(Duration::from_millis(100));
        if killed < 2
            && poses(&output).len() > killed
            && let Some(&worker) = workers_of(&supervisor).first()
        {
            signal(worker, rustix::process::Signal::KILL);
            killed += 1;
        }
    }
    let done = supervisor.wait_with_output().unwrap();
    println!("{killed} workers killed");
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    assert!(killed > 0, "no worker was killed");
    assert_complete(&output, 6, &expected);
}

/// The entries of an output folder, without the journal and the list of failed videos.
fn poses(folder: &Path) -> Vec<String> {
    let all = if folder.exists() { names(folder) } else { Vec::new() };
    all.into_iter().filter(|name| name != journal::NAME && !name.ends_with(".failed.list")).collect()
}

fn a_bad_video_among_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (videos, output) = (videos(folder.path(), 3), folder.path().join("poses"));
    fs::write(videos.join("bad.mp4"), b"no video at all").unwrap();
    let done = run(&videos, &output, &["--workers", "2"]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("bad.mp4"), "{}", text(&done.stdout));
    assert_complete(&output, 3, &expected(folder.path()));
}

fn a_video_that_never_ends_is_abandoned() {
    let folder = tempfile::tempdir().unwrap();
    let (videos, output) = (videos(folder.path(), 2), folder.path().join("poses"));
    let pipe = videos.join("pipe.mp4");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Both ends are open, and nothing is ever written.
    let silence = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let options = ["--workers", "2", "--stall-timeout", "4"];
    let mut command = program();
    command.args([&videos.join("0.mp4"), &videos.join("1.mp4"), &pipe]).arg("-o").arg(&output).args(options);
    let done = command.output().unwrap();
    drop(silence);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    let printed = text(&done.stdout);
    assert!(
        printed.contains("pipe.mp4")
            && printed.contains("failed twice")
            && printed.contains("reported no progress for 4 s"),
        "{printed}"
    );
    assert_complete(&output, 2, &expected(folder.path()));
}

fn a_signal_stops_all_processes() {
    let folder = tempfile::tempdir().unwrap();
    let (videos, output) = (videos(folder.path(), 40), folder.path().join("poses"));
    let mut command = program();
    command.arg(&videos).arg("-o").arg(&output).args(["--workers", "2"]);
    let mut supervisor = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while poses(&output).is_empty() && started.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(50));
    }
    let workers = workers_of(&supervisor);
    assert_eq!(workers.len(), 2);
    signal(supervisor.id() as i32, rustix::process::Signal::TERM);
    assert_eq!(supervisor.wait().unwrap().code(), Some(143));
    for worker in workers {
        assert!(!Path::new(&format!("/proc/{worker}/exe")).exists(), "worker {worker} is still running");
    }
    let expected = expected(folder.path());
    let left = poses(&output);
    assert!(!left.is_empty() && left.len() < 40, "{left:?}");
    for name in left {
        assert!(fs::read(output.join(&name)).unwrap() == expected, "{name} is not complete");
    }
}

fn trees_lists_and_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, output) = (folder.path().join("tree"), folder.path().join("poses"));
    fs::create_dir_all(tree.join("deep/er")).unwrap();
    for name in ["a.mp4", "deep/b.MP4", "deep/er/a.mp4"] {
        fs::copy(short_sample(), tree.join(name)).unwrap();
    }
    fs::write(tree.join("deep/notes.txt"), b"no video").unwrap();
    fs::write(tree.join("deep/bad.mov"), b"no video").unwrap();

    let planned = run(&tree, &output, &["--recursive", "--dry-run"]);
    let line = |video: &str, pose: &str| {
        format!("{}\t{}\n", tree.join(video).display(), output.join(pose).display())
    };
    let expected_plan = [
        line("a.mp4", "a.pose"),
        line("deep/b.MP4", "deep/b.pose"),
        line("deep/bad.mov", "deep/bad.pose"),
        line("deep/er/a.mp4", "deep/er/a.pose"),
    ];
    assert_eq!(text(&planned.stdout), expected_plan.concat());
    assert!(!output.exists());

    let done = run(&tree, &output, &["--recursive"]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    let entries = journal::read(&output.join(journal::NAME)).unwrap();
    let outcome =
        |name: &str| &entries.iter().rfind(|entry| entry.output == output.join(name)).unwrap().outcome;
    for name in ["a.pose", "deep/b.pose", "deep/er/a.pose"] {
        let journal::Outcome::Done { frames: 20, present, .. } = outcome(name) else { panic!("{entries:?}") };
        assert_eq!(present["FACE_LANDMARKS"], 1.0, "{entries:?}");
        assert!(present["LEFT_HAND_LANDMARKS"] < 1.0, "{entries:?}");
        assert!(fs::read(output.join(name)).unwrap() == expected(folder.path()), "{name} differs");
    }
    assert!(matches!(outcome("deep/bad.pose"), journal::Outcome::Failed { .. }), "{entries:?}");

    let ended = entries.iter().filter(|entry| !matches!(entry.outcome, journal::Outcome::Started { .. }));
    for engine in ended.map(|entry| &entry.engine) {
        assert_eq!((engine.name.as_str(), engine.device.as_str()), ("holistic", "cpu"));
        let hash = &engine.models["holistic/pose_landmark_full.tflite"];
        assert!(hash.starts_with("sha256:e9a5c5cb"), "{hash}");
    }

    // An output that is complete and as long as the journal says is skipped; any other is renamed and computed again.
    let (cut, other) = (output.join("a.pose"), output.join("deep/er/a.pose"));
    let whole = fs::read(&cut).unwrap();
    fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let empty = oppose::pose::Pose::from_frames(oppose::pose::holistic_576(), 9, 9, 25.0, []).unwrap();
    fs::write(&other, empty.to_bytes().unwrap()).unwrap();
    let again = run(&tree, &output, &["--recursive"]);
    let printed = text(&again.stdout);
    assert!(printed.contains("deep/b.pose exists, with 20 frames"), "{printed}");
    assert_eq!(printed.matches("\"event\":\"done\"").count(), 2, "{printed}");
    assert!(printed.contains("\"done\":2,\"skipped\":1,\"failed\":1,\"left\":0"), "{printed}");
    for path in [&cut, &other] {
        assert!(fs::read(path).unwrap() == whole, "{} differs", path.display());
        assert!(path.with_file_name("a.replaced.pose").exists());
    }

    // The failed videos are kept in a list until they are done.
    let failed = output.join("oppose.failed.list");
    assert!(fs::read_to_string(&failed).unwrap().contains("deep/bad.mov\t"));
    fs::copy(tree.join("a.mp4"), tree.join("deep/bad.mov")).unwrap();
    let mut command = program();
    let repaired = command.arg("--list").arg(&failed).arg("-o").arg(&output).output().unwrap();
    assert!(repaired.status.success(), "{}", text(&repaired.stderr));
    assert!(fs::read(output.join("deep/bad.pose")).unwrap() == whole);
    assert!(run(&tree, &output, &["--recursive"]).status.success());
    assert!(!failed.exists());

    let file = cut;
    let list = folder.path().join("list");
    let lines = format!(
        "{}\t{}\r\n\n{}\n",
        tree.join("a.mp4").display(),
        file.display(),
        tree.join("deep/b.MP4").display()
    );
    fs::write(&list, lines).unwrap();
    let mut command = program();
    let listed =
        command.arg("--list").arg(&list).arg("-o").arg(folder.path()).args(["--overwrite"]).output().unwrap();
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    assert!(fs::read(&file).unwrap() == whole && fs::read(folder.path().join("b.pose")).unwrap() == whole);
}

fn missing_gpus_are_reported() {
    let sample = common::repository("assets/sample.mp4");
    let folder = tempfile::tempdir().unwrap();
    let done = run(&sample, &folder.path().join("a.pose"), &["--gpus", "all"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("NVIDIA driver"), "{}", text(&done.stderr));
    let done = run(&sample, &folder.path().join("a.pose"), &["--gpus", "first"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("expected all, or indices such as 0,2"), "{}", text(&done.stderr));
}

fn a_gpu_that_does_not_exist_is_reported() {
    let found = oppose::gpu::detect().unwrap().gpus.len();
    let folder = tempfile::tempdir().unwrap();
    let done =
        run(&videos(folder.path(), 2), &folder.path().join("poses"), &["--gpus", &format!("0,{found}")]);
    assert!(
        text(&done.stderr).contains(&format!("GPU {found}, but there are {found}")),
        "{}",
        text(&done.stderr)
    );
}
