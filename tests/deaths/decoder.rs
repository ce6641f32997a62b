//! A video of which the decoder crashes: a preloaded library raises SIGSEGV where it is opened.

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

    /// Makes the command die of the poisoned video.
    fn poison<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.library).env("OPPOSE_POISONED", &self.log)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.poison(&mut self.scene.program(arguments)).output().unwrap()
    }

    /// How many processes have died of it.
    fn deaths(&self) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().lines().count()
    }

    fn poses(&self) -> PathBuf {
        self.scene.path("poses")
    }

    /// The files that are done, and when.
    fn done(&self) -> HashMap<String, SystemTime> {
        let modified = |name: &String| self.poses().join(name).metadata().unwrap().modified().unwrap();
        poses(&self.poses()).into_iter().map(|name| (name.clone(), modified(&name))).collect()
    }
}

/// All but the poisoned video are done, which is named with its signal.
#[track_caller]
fn assert_poisoned(output: &Output, folder: &Path) {
    let told = text(output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(poses(folder), DONE, "{told}");
    let named = told.lines().filter(|line| line.contains("poison.mp4") && line.contains("SIGSEGV"));
    assert!(named.count() > 0, "{told}");
    assert!(told.contains("5 done") || told.contains("5 skipped"), "{told}");
    assert!(told.contains("1 failed"), "{told}");
    let failed = fs::read_to_string(folder.join("oppose.failed.list")).unwrap();
    assert!(failed.lines().count() == 1 && failed.contains("poison.mp4\t"), "{failed}");
}

fn a_folder(options: &[&str]) {
    let poisoned = Poisoned::new();
    let arguments = [&["videos", "-o", "poses"], options].concat();
    let first = poisoned.run(&arguments);
    assert_poisoned(&first, &poisoned.poses());
    let deaths = poisoned.deaths();
    // Twice by the rule, and once more for each worker in which a retry was no proof.
    assert!((2..=4).contains(&deaths), "{deaths} deaths: {}", text(&first));
    let done = poisoned.done();

    // Nothing is done twice, and nothing dies.
    let again = poisoned.run(&arguments);
    assert_poisoned(&again, &poisoned.poses());
    let told = text(&again);
    assert!(told.contains("--retry-crashed") && !told.contains("tried once more"), "{told}");
    assert_eq!((poisoned.deaths(), poisoned.done()), (deaths, done.clone()));

    let retried = poisoned.run(&[&arguments[..], &["--retry-crashed"]].concat());
    assert_poisoned(&retried, &poisoned.poses());
    let after_retry = poisoned.deaths();
    assert!(after_retry >= deaths + 2, "{}", text(&retried));

    // Another video of the same name.
    make_video(&poisoned.scene.path("videos/poison.mp4"), 7);
    let changed = poisoned.run(&arguments);
    assert_poisoned(&changed, &poisoned.poses());
    assert!(poisoned.deaths() >= after_retry + 2, "{}", text(&changed));
    assert_eq!(poisoned.done(), done);

    // The defect is mended.
    let mended = poisoned.scene.program(&[&arguments[..], &["--retry-crashed"]].concat()).output().unwrap();
    assert!(mended.status.success(), "{}", text(&mended));
    assert_eq!(poses(&poisoned.poses()).len(), VIDEOS.len());
    assert!(!poisoned.poses().join("oppose.failed.list").exists());
    for (name, time) in done {
        assert_eq!(poisoned.done()[&name], time, "{name}");
    }
}

/// A list of one video has a worker too, as a task of a cluster does.
fn a_list() {
    let poisoned = Poisoned::new();
    fs::write(poisoned.scene.path("list"), "videos/poison.mp4\n").unwrap();
    let output = poisoned.run(&["--list", "list", "-o", "poses"]);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("poison.mp4") && told.contains("SIGSEGV"), "{told}");
    assert_eq!(poisoned.deaths(), 2, "{told}");
}

/// Overlays are drawn of videos that are done: they are decoded once more.
fn overlays() {
    let poisoned = Poisoned::new();
    assert!(poisoned.scene.program(&["videos", "-o", "poses"]).output().unwrap().status.success());
    let output = poisoned.run(&["videos", "-o", "poses", "--render"]);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let named = told.lines().filter(|line| line.contains("poison.mp4") && line.contains("SIGSEGV"));
    assert_eq!(named.count(), 1, "{told}");
    let names = common::names(&poisoned.poses());
    let drawn: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".mp4")).collect();
    assert_eq!(drawn, DONE, "{told}");
    assert_eq!(poses(&poisoned.poses()).len(), VIDEOS.len());
}

/// The same, with a decoder that neither crashes nor returns.
fn hanging_overlay() {
    let poisoned = Poisoned::new();
    assert!(poisoned.scene.program(&["videos", "-o", "poses"]).output().unwrap().status.success());
    let mut program = poisoned.scene.program(&["videos", "-o", "poses", "--render", "--stall-timeout", "2"]);
    let output = poisoned.poison(&mut program).env("OPPOSE_POISON", "hang").output().unwrap();
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let reason = "reported no progress for 2 s and was killed";
    let named = told.lines().filter(|line| line.contains("poison.mp4") && line.contains(reason));
    assert_eq!(named.count(), 1, "{told}");
    let names = common::names(&poisoned.poses());
    let drawn: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".mp4")).collect();
    assert_eq!(drawn, DONE, "{told}");
}

/// Frames of the videos are in the page, but for those of the poisoned one.
fn a_report() {
    let poisoned = Poisoned::new();
    assert!(poisoned.scene.program(&["videos", "-o", "poses"]).output().unwrap().status.success());
    let mut report = poisoned.scene.bare(&["report", "poses"]);
    let output = poisoned.poison(&mut report).output().unwrap();
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(poisoned.deaths(), 1, "{told}");
    let page = fs::read_to_string(poisoned.poses().join("report.html")).unwrap();
    assert!(page.contains("\"file\":\"poison.pose\""), "{told}");
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
    wait_for("the end of all tasks", || slurm.is_idle().then_some(()));
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

    // Submitted and resumed again, the poisoned video is left alone.
    let mut resume = poisoned.scene.bare(&["slurm", "resume", "poses"]);
    for command in [&mut submit(), &mut resume] {
        let told =
            text(&command.env("SLURM_CONF", poisoned.scene.path("slurm/slurm.conf")).output().unwrap());
        wait_for("the end of all tasks", || slurm.is_idle().then_some(()));
        assert_eq!((poisoned.deaths(), poisoned.done()), (deaths, done.clone()), "{told}");
        let status = slurm.status(&poisoned.poses());
        assert!(status.contains("1 failed") && status.contains("poison.mp4"), "{told}{status}");
    }
}
