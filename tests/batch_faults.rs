//! Many videos, and what may happen meanwhile: processes are killed, the disk is full and has room again, a video ends
//! the engine. In the end every file is there, the same as undisturbed.

#![allow(clippy::unwrap_used)] // A test is a program of its own here: Clippy does not see that it is one.

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

/// It makes the videos.
const FFMPEG: Need = Need::Program("ffmpeg");

fn main() {
    let killed = |workers_too: bool| move || a_killed_run_goes_on_where_it_was(workers_too);
    let mut trials = vec![
        trial("the supervisor is killed", &[FFMPEG], killed(false)),
        trial("supervisor and workers are killed", &[FFMPEG], killed(true)),
        trial("two runs on one folder", &[FFMPEG], two_runs_on_one_folder),
        trial("a video that ends the engine", &[Need::Program("cc"), FFMPEG], a_video_that_ends_the_engine),
    ];
    let full = "the disk is full, and has room again";
    trials.push(match SmallDisk::mount(8 << 10) {
        Some(disk) => trial(full, &[FFMPEG], move || the_disk_is_full_and_has_room_again(&disk)),
        None => trial(full, &[Need::Mount], || {}),
    });
    common::run_in_turn(trials)
}

/// Videos and small nets of our own.
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

    /// The program with two workers, from the videos into `output`.
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

    /// All files are there, the same as undisturbed; nothing else is.
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

/// The outputs that a journal says are done, each with the number of times.
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
    // It may have ended by itself.
    let _ = kill_process(process, Signal::KILL);
}

fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process is there and not only its entry in the table of processes.
fn lives(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn a_killed_run_goes_on_where_it_was(workers_too: bool) {
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
    wait_for("orphans end by themselves", || (!workers.iter().any(|&worker| lives(worker))).then_some(()));

    let before: HashMap<PathBuf, SystemTime> =
        done(&poses).into_keys().map(|output| (output.clone(), modified(&output))).collect();
    assert!(before.len() < scene.videos, "it was killed too late");
    let again = scene.program(&poses).output().unwrap();
    assert!(again.status.success(), "{}", text(&again));
    scene.assert_complete(&poses, &[]);
    for (output, time) in before {
        assert_eq!(modified(&output), time, "{} was made anew", output.display());
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
    // Both may have worked on a video at the same time; one of them made its file.
    assert_eq!(done(&poses).len(), 6);
    assert!(done(&poses).values().all(|&times| times == 1), "{:?}", done(&poses));
}

fn the_disk_is_full_and_has_room_again(disk: &SmallDisk) {
    let scene = Scene::new(12);
    let poses = disk.path().join("poses");
    let mut command = scene.program(&poses);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("a video", || (!done(&poses).is_empty()).then_some(()));
    let ballast = disk.path().join("ballast");
    // It ends where the disk does.
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

fn a_video_that_ends_the_engine() {
    let scene = Scene::new(0);
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"]).arg(scene.path("shim.so"));
    output(compile.arg(repository("tests/stand_in/openpose_stand_in.c")));
    // The stand-in dies of pictures that begin with a white pixel.
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
    let told = text(&ended);
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.contains("failed twice, the second time alone: ") && told.contains("SIGABRT"), "{told}");
    let made = ["a.pose", "b.pose", "c.pose", "d.pose", "oppose.failed.list", "oppose.jsonl"];
    assert_eq!(names(&poses), made, "{told}");
    let failed = fs::read_to_string(poses.join("oppose.failed.list")).unwrap();
    assert!(failed.lines().count() == 1 && failed.contains("videos/bad.mkv\t"), "{failed}");
}
