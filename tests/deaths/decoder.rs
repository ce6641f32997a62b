//! A video that crashes the decoder: a preloaded library raises SIGSEGV when it is opened.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use common::{Need, trial};

use crate::common;
use crate::real_slurm::Slurm;
use crate::scene::{Scene, make_video, poses, text, wait_for};

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let needs = || [Need::Program("cc"), Need::Program("ffmpeg")];
    let slurm = [Need::Program("cc"), Need::Program("ffmpeg"), Need::Shared("slurm"), Need::Program("sinfo")];
    vec![
        trial("a folder", &needs(), || a_folder(&[])),
        trial("a folder, two workers", &needs(), || a_folder(&["--workers", "2"])),
        trial("a list", &needs(), a_list),
        trial("overlays", &needs(), overlays),
        trial("overlays, a decoder that hangs", &needs(), hanging_overlay),
        trial("a report", &needs(), a_report),
        trial("on SLURM", &slurm, on_slurm),
    ]
}

const VIDEOS: [&str; 6] = ["a.mp4", "b.mp4", "m.mp4", "poison.mp4", "y.mp4", "z.mp4"];
const DONE: [&str; 5] = ["a.pose", "b.pose", "m.pose", "y.pose", "z.pose"];

/// Videos, one of them poisoned.
struct Poisoned {
    scene: Scene,
    library: PathBuf,
    log: PathBuf,
}

impl Poisoned {
    fn new() -> Self {
        let scene = Scene::new(&VIDEOS.map(|name| (name, 5)));
        let (library, log) = (scene.path("poison.so"), scene.path("poisoned.log"));
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library);
        common::output(compile.arg(common::repository("tests/deaths/poison.c")).arg("-ldl"));
        Self { scene, library, log }
    }

    /// Makes the command crash on the poisoned video.
    fn poison<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.library).env("OPPOSE_POISONED", &self.log)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.poison(&mut self.scene.program(arguments)).output().unwrap()
    }

    /// How many processes the video has killed.
    fn deaths(&self) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().lines().count()
    }

    fn poses(&self) -> PathBuf {
        self.scene.path("poses")
    }

    /// The outputs that are done, with their times of modification.
    fn done(&self) -> HashMap<String, SystemTime> {
        let modified = |name: &String| self.poses().join(name).metadata().unwrap().modified().unwrap();
        poses(&self.poses()).into_iter().map(|name| (name.clone(), modified(&name))).collect()
    }
}

/// Asserts that all videos but the poisoned one are done, and that the output names that one with its signal.
#[track_caller]
fn assert_poisoned(output: &Output, folder: &Path) {
    let printed = text(output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert_eq!(poses(folder), DONE, "{printed}");
    let named = printed.lines().filter(|line| line.contains("poison.mp4") && line.contains("SIGSEGV"));
    assert!(named.count() > 0, "{printed}");
    assert!(printed.contains("5 done") || printed.contains("5 skipped"), "{printed}");
    assert!(printed.contains("1 failed"), "{printed}");
    let failed = fs::read_to_string(folder.join("oppose.failed.list")).unwrap();
    assert!(failed.lines().count() == 1 && failed.contains("poison.mp4\t"), "{failed}");
}

fn a_folder(options: &[&str]) {
    let poisoned = Poisoned::new();
    let arguments = [&["videos", "-o", "poses"], options].concat();
    let first = poisoned.run(&arguments);
    assert_poisoned(&first, &poisoned.poses());
    let deaths = poisoned.deaths();
    // Two by rule, and one more for each worker in which a retry was not alone.
    assert!((2..=4).contains(&deaths), "{deaths} deaths: {}", text(&first));
    let done = poisoned.done();

    // The second run repeats nothing, and no process dies.
    let again = poisoned.run(&arguments);
    assert_poisoned(&again, &poisoned.poses());
    let printed = text(&again);
    assert!(printed.contains("--retry-crashed") && !printed.contains("tried once more"), "{printed}");
    assert_eq!((poisoned.deaths(), poisoned.done()), (deaths, done.clone()));

    let retried = poisoned.run(&[&arguments[..], &["--retry-crashed"]].concat());
    assert_poisoned(&retried, &poisoned.poses());
    let after_retry = poisoned.deaths();
    assert!(after_retry >= deaths + 2, "{}", text(&retried));

    // A different video with the same name.
    make_video(&poisoned.scene.path("videos/poison.mp4"), 7);
    let changed = poisoned.run(&arguments);
    assert_poisoned(&changed, &poisoned.poses());
    assert!(poisoned.deaths() >= after_retry + 2, "{}", text(&changed));
    assert_eq!(poisoned.done(), done);

    // The decoder is repaired.
    let repaired = poisoned.scene.program(&[&arguments[..], &["--retry-crashed"]].concat()).output().unwrap();
    assert!(repaired.status.success(), "{}", text(&repaired));
    assert_eq!(poses(&poisoned.poses()).len(), VIDEOS.len());
    assert!(!poisoned.poses().join("oppose.failed.list").exists());
    for (name, time) in done {
        assert_eq!(poisoned.done()[&name], time, "{name}");
    }
}

/// A list of one video is also processed by a worker, as in a task on a cluster.
fn a_list() {
    let poisoned = Poisoned::new();
    fs::write(poisoned.scene.path("list"), "videos/poison.mp4\n").unwrap();
    let output = poisoned.run(&["--list", "list", "-o", "poses"]);
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("poison.mp4") && printed.contains("SIGSEGV"), "{printed}");
    assert_eq!(poisoned.deaths(), 2, "{printed}");
}

/// Drawing overlays decodes videos that are done once more.
fn overlays() {
    let poisoned = Poisoned::new();
    assert!(poisoned.scene.program(&["videos", "-o", "poses"]).output().unwrap().status.success());
    let output = poisoned.run(&["videos", "-o", "poses", "--render"]);
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let named = printed.lines().filter(|line| line.contains("poison.mp4") && line.contains("SIGSEGV"));
    assert_eq!(named.count(), 1, "{printed}");
    let names = common::names(&poisoned.poses());
    let drawn: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".mp4")).collect();
    assert_eq!(drawn, DONE, "{printed}");
    assert_eq!(poses(&poisoned.poses()).len(), VIDEOS.len());
}

/// The same, with a decoder that neither crashes nor returns.
fn hanging_overlay() {
    let poisoned = Poisoned::new();
    assert!(poisoned.scene.program(&["videos", "-o", "poses"]).output().unwrap().status.success());
    let mut program = poisoned.scene.program(&["videos", "-o", "poses", "--render", "--stall-timeout", "2"]);
    let output = poisoned.poison(&mut program).env("OPPOSE_POISON", "hang").output().unwrap();
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let reason = "reported no progress for 2 s and was killed";
    let named = printed.lines().filter(|line| line.contains("poison.mp4") && line.contains(reason));
    assert_eq!(named.count(), 1, "{printed}");
    let names = common::names(&poisoned.poses());
    let drawn: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".mp4")).collect();
    assert_eq!(drawn, DONE, "{printed}");
}

/// The page lacks the frames of the poisoned video only.
fn a_report() {
    let poisoned = Poisoned::new();
    assert!(poisoned.scene.program(&["videos", "-o", "poses"]).output().unwrap().status.success());
    let mut report = poisoned.scene.bare(&["report", "poses"]);
    let output = poisoned.poison(&mut report).output().unwrap();
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert_eq!(poisoned.deaths(), 1, "{printed}");
    let page = fs::read_to_string(poisoned.poses().join("report.html")).unwrap();
    assert!(page.contains("\"file\":\"poison.pose\""), "{printed}");
}

fn on_slurm() {
    let poisoned = Poisoned::new();
    let slurm = Slurm::start(poisoned.scene.path("slurm"));
    let submit = || {
        let mut submit = poisoned.scene.bare(&["slurm", "submit", "videos", "poses"]);
        submit.args(["--jobs", "2", "--mem", "2G", "--cpus", "1", "--time", "10", "--"]);
        submit.args(poisoned.scene.engine());
        submit
    };
    let submitted = slurm.call(poisoned.poison(&mut submit()));
    assert!(submitted.contains("6 of 6 videos submitted"), "{submitted}");
    wait_for("all tasks to end", || slurm.is_idle().then_some(()));
    let status = slurm.status(&poisoned.poses());
    assert_eq!(poses(&poisoned.poses()), DONE, "{status}");
    assert!(status.contains("5 of 6 videos done, 1 failed, 0 left"), "{status}");
    assert!(status.contains("poison.mp4") && status.contains("SIGSEGV"), "{status}");
    let (deaths, done) = (poisoned.deaths(), poisoned.done());
    assert!((2..=3).contains(&deaths), "{deaths} deaths: {status}");
    let log = |task: usize| {
        let log = poisoned.poses().join(format!(".oppose/run-1/logs/{task}.log"));
        fs::read_to_string(log).unwrap_or_default()
    };
    assert!((0..2).any(|task| log(task).contains("poison.mp4")), "{}{}", log(0), log(1));

    // Submitting and resuming again skips the poisoned video.
    let mut resume = poisoned.scene.bare(&["slurm", "resume", "poses"]);
    for command in [&mut submit(), &mut resume] {
        let printed =
            text(&command.env("SLURM_CONF", poisoned.scene.path("slurm/slurm.conf")).output().unwrap());
        wait_for("all tasks to end", || slurm.is_idle().then_some(()));
        assert_eq!((poisoned.deaths(), poisoned.done()), (deaths, done.clone()), "{printed}");
        let status = slurm.status(&poisoned.poses());
        assert!(status.contains("1 failed") && status.contains("poison.mp4"), "{printed}{status}");
    }
}
