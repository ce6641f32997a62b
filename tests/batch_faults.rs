//! Faults during a run over many videos: processes are killed, the disk fills up and is freed, a video kills the engine.
//! In the end every file exists, and equals that of an undisturbed run.

#![allow(clippy::unwrap_used)] // Clippy does not recognise tests without the standard harness.

mod common;
#[path = "common/made_up_models.rs"]
mod made_up_models;
#[path = "common/small_disk.rs"]
mod small_disk;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{Need, names, output, repository, short_sample, trial};
use made_up_models::Size;
use oppose::batch::journal::{self, Outcome};
use rustix::process::{Pid, Signal, kill_process};
use small_disk::SmallDisk;
use tempfile::TempDir;

/// Creates the videos.
const FFMPEG: Need = Need::Program("ffmpeg");

fn main() {
    let killed = |workers_too: bool| move || a_killed_run_resumes(workers_too);
    let mut trials = vec![
        trial("the supervisor is killed", &[FFMPEG], killed(false)),
        trial("supervisor and workers are killed", &[FFMPEG], killed(true)),
        trial("two runs on one folder", &[FFMPEG], two_runs_on_one_folder),
        trial("a video that kills the engine", &[Need::Program("cc"), FFMPEG], a_video_that_kills_the_engine),
    ];
    let full = "the disk fills up and is freed";
    trials.push(match SmallDisk::mount(8 << 10) {
        Some(disk) => trial(full, &[FFMPEG], move || the_disk_fills_up_and_is_freed(&disk)),
        None => trial(full, &[Need::Mount], || {}),
    });
    common::run_one_at_a_time(trials)
}

/// Videos and small made-up nets.
struct Scene {
    folder: TempDir,
    videos: usize,
}

impl Scene {
    fn new(videos: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        made_up_models::write(&folder.path().join("models"), Size::Small);
        fs::create_dir(folder.path().join("videos")).unwrap();
        for number in 0..videos {
            let video = folder.path().join(format!("videos/{number}.mp4"));
            fs::copy(short_sample(), video).unwrap();
        }
        Self { folder, videos }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with two workers, which processes the videos into `output`.
    fn program(&self, output: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
        command.arg(self.path("videos")).arg("-o").arg(output).args(["--workers", "2", "--progress", "json"]);
        command.args([
            "--engine",
            "native",
            "--device",
            "cpu",
            "--threads",
            "1",
            "--net_resolution",
            "-1x80",
        ]);
        command.args(["--face_net_resolution", "64x64", "--hand_net_resolution", "64x64"]);
        command.args(["--max-people", "1", "--model-folder"]).arg(self.path("models")).stdin(Stdio::null());
        command
    }

    /// Asserts that all files exist and equal those of an undisturbed run, and that there are no others.
    fn assert_complete(&self, output: &Path, besides: &[&str]) {
        let undisturbed = self.path("undisturbed");
        assert!(self.program(&undisturbed).output().unwrap().status.success());
        let mut expected = names(&undisturbed);
        expected.extend(besides.iter().map(|&name| name.to_owned()));
        expected.sort();
        assert_eq!(names(output), expected);
        for name in names(&undisturbed).iter().filter(|name| name.ends_with(".pose")) {
            let same = fs::read(output.join(name)).unwrap() == fs::read(undisturbed.join(name)).unwrap();
            assert!(same, "{name} differs");
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The outputs that are done according to the journal, and how many times each.
fn done(folder: &Path) -> HashMap<PathBuf, usize> {
    let mut done = HashMap::new();
    for entry in journal::read(&folder.join(journal::NAME)).unwrap() {
        if matches!(entry.outcome, Outcome::Done { .. }) {
            *done.entry(entry.output).or_default() += 1;
        }
    }
    done
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().unwrap().modified().unwrap()
}

fn children(process: &Child) -> Vec<u32> {
    let task = format!("/proc/{0}/task/{0}/children", process.id());
    let list = fs::read_to_string(task).unwrap_or_default();
    list.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn kill(process: u32) {
    let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
    // It may already have ended.
    let _ = kill_process(process, Signal::KILL);
}

fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process is running: a zombie is not.
fn is_running(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn a_killed_run_resumes(workers_too: bool) {
    let scene = Scene::new(12);
    let poses = scene.path("poses");
    let mut command = scene.program(&poses);
    let mut supervisor = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("two videos", || (done(&poses).len() >= 2).then_some(()));
    let workers = children(&supervisor);
    assert_eq!(workers.len(), 2);
    supervisor.kill().unwrap();
    if workers_too {
        workers.iter().copied().for_each(kill);
    }
    supervisor.wait().unwrap();
    wait_for("the orphans to end", || (!workers.iter().any(|&worker| is_running(worker))).then_some(()));

    let before: HashMap<PathBuf, SystemTime> =
        done(&poses).into_keys().map(|output| (output.clone(), modified(&output))).collect();
    assert!(before.len() < scene.videos, "the run was killed too late");
    let again = scene.program(&poses).output().unwrap();
    assert!(again.status.success(), "{}", text(&again));
    scene.assert_complete(&poses, &[]);
    for (output, time) in before {
        assert_eq!(modified(&output), time, "{} was written again", output.display());
    }
    assert!(done(&poses).values().all(|&times| times == 1), "{:?}", done(&poses));
}

fn two_runs_on_one_folder() {
    let scene = Scene::new(6);
    let poses = scene.path("poses");
    let run = || {
        let mut command = scene.program(&poses);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for run in [run(), run()] {
        let ended = run.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", text(&ended));
    }
    scene.assert_complete(&poses, &[]);
    // Both may have processed a video at the same time; only one of them wrote its file.
    assert_eq!(done(&poses).len(), 6);
    assert!(done(&poses).values().all(|&times| times == 1), "{:?}", done(&poses));
}

fn the_disk_fills_up_and_is_freed(disk: &SmallDisk) {
    let scene = Scene::new(12);
    let poses = disk.path().join("poses");
    let mut command = scene.program(&poses);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("a video", || (!done(&poses).is_empty()).then_some(()));
    let ballast = disk.path().join("ballast");
    // Fails when the disk is full.
    assert!(
        !Command::new("cp").arg("/dev/zero").arg(&ballast).stderr(Stdio::null()).status().unwrap().success()
    );
    let ended = run.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended));
    assert!(
        text(&ended).contains("No space left on device") && text(&ended).contains("make room"),
        "{}",
        text(&ended)
    );
    assert!(names(&poses).iter().all(|name| !name.starts_with('.')), "{:?}", names(&poses));

    fs::remove_file(&ballast).unwrap();
    let again = scene.program(&poses).output().unwrap();
    assert!(again.status.success(), "{}", text(&again));
    scene.assert_complete(&poses, &[]);
}

fn a_video_that_kills_the_engine() {
    let scene = Scene::new(0);
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"]).arg(scene.path("shim.so"));
    output(compile.arg(repository("tests/stand_in/openpose_stand_in.c")));
    // The stand-in aborts on frames whose first pixel is white.
    for (name, colour) in [("a", "black"), ("b", "black"), ("bad", "white"), ("c", "black"), ("d", "black")] {
        let mut ffmpeg = Command::new("ffmpeg");
        let source = format!("color={colour}:size=64x64:rate=25:duration=1");
        ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "ffv1", "-pix_fmt", "bgr0"]);
        output(ffmpeg.arg(scene.path("videos").join(name).with_extension("mkv")));
    }
    let poses = scene.path("poses");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.arg(scene.path("videos")).arg("-o").arg(&poses).args(["--workers", "2", "--progress", "json"]);
    command.args(["--engine", "openpose", "--model-folder"]).arg(scene.path("models"));
    command.env("OPPOSE_SHIM", scene.path("shim.so")).env("OPPOSE_STAND_IN", "abort-white");
    let ended = command.output().unwrap();
    let printed = text(&ended);
    assert_eq!(ended.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("failed twice, the second time alone: ") && printed.contains("SIGABRT"),
        "{printed}"
    );
    let expected = ["a.pose", "b.pose", "c.pose", "d.pose", "oppose.failed.list", "oppose.jsonl"];
    assert_eq!(names(&poses), expected, "{printed}");
    let failed = fs::read_to_string(poses.join("oppose.failed.list")).unwrap();
    assert!(failed.lines().count() == 1 && failed.contains("videos/bad.mkv\t"), "{failed}");
}
