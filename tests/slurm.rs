//! A real SLURM, of one node with two pretend GPUs: submitted, preempted, cancelled, resumed; in the end every file is
//! there, the same as undisturbed.

#![allow(clippy::unwrap_used)] // A test is a program of its own here: Clippy does not see that it is one.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use common::{Need, names, trial};

fn main() {
    let needs = [Need::Models, Need::Shared("slurm"), Need::Program("sinfo")];
    common::run_in_turn(vec![
        trial("nothing is submitted without SLURM", &[Need::Models], nothing_is_submitted_without_slurm),
        trial("preempted, cancelled and resumed", &needs, preempted_cancelled_and_resumed),
    ])
}

const CLIPS: usize = 12;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.args(arguments);
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn clips(folder: &Path) -> PathBuf {
    let clips = folder.join("clips");
    fs::create_dir(&clips).unwrap();
    for index in 0..CLIPS {
        fs::copy(common::repository("assets/sample.mp4"), clips.join(format!("clip {index}.mp4"))).unwrap();
    }
    clips
}

fn submit(clips: &Path, poses: &Path) -> Command {
    let mut command = program(&["slurm", "submit"]);
    command.arg(clips).arg(poses).args(["--jobs", "4", "--mem", "2G", "--cpus", "1", "--time", "10", "--"]);
    command.args(["--engine", "holistic", "--model-folder"]).arg(fs::canonicalize(common::models()).unwrap());
    command
}

fn nothing_is_submitted_without_slurm() {
    let folder = tempfile::tempdir().unwrap();
    let clips = clips(folder.path());
    let poses = folder.path().join("poses");
    let none = program(&["slurm", "status"]).arg(folder.path()).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none).contains("no submission in"), "{}", text(&none));

    let mut dry = program(&["slurm", "submit"]);
    let dry =
        dry.arg(&clips).arg(&poses).args(["--jobs", "3", "--limit", "2", "--sif", "Cargo.toml", "--dry-run"]);
    let dry = dry.current_dir(common::repository("")).output().unwrap();
    let script = text(&dry);
    assert!(dry.status.success(), "{script}");
    for part in [
        "--array=0-2%2\n",
        "--gpus=V100:1\n",
        "--partition=lowprio\n",
        "module load apptainer",
        "exec --nv '/",
    ] {
        assert!(script.contains(part), "{part}: {script}");
    }
    let checked = Command::new("bash").arg("-n").arg("-c").arg(&script).status().unwrap();
    assert!(checked.success());

    let refused = submit(&clips, &poses).env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains("cannot start sbatch"), "{}", text(&refused));
}

/// A SLURM that ends with the test.
struct Slurm {
    root: PathBuf,
}

impl Slurm {
    fn start(root: PathBuf) -> Self {
        let up = Command::new("bash").arg(common::shared("slurm/slurm-up.sh")).arg(&root).output().unwrap();
        assert!(up.status.success(), "{}", text(&up));
        Self { root }
    }

    fn call(&self, command: &mut Command) -> String {
        let output = command.env("SLURM_CONF", self.root.join("slurm.conf")).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output));
        text(&output)
    }

    fn client(&self, program: &str, arguments: &[&str]) -> String {
        self.call(Command::new("timeout").arg("20").arg(program).args(arguments))
    }

    fn status(&self, poses: &Path) -> String {
        let mut command = program(&["slurm", "status"]);
        let output = command.arg(poses).env("SLURM_CONF", self.root.join("slurm.conf")).output().unwrap();
        text(&output)
    }

    /// Waits until that many videos are done.
    fn wait(&self, poses: &Path, done: usize) {
        let started = Instant::now();
        while poses_in(poses) < done {
            assert!(
                started.elapsed() < Duration::from_secs(180),
                "{}\n{}",
                self.status(poses),
                self.client("squeue", &[])
            );
            // Requeued jobs wait for two minutes unless they are told not to.
            for job in
                self.client("squeue", &["--noheader", "--array", "--states=PENDING", "--format=%i"]).lines()
            {
                let job = format!("JobId={}", job.trim());
                let mut update = Command::new("timeout");
                update.args(["20", "scontrol", "update", &job, "StartTime=now"]);
                // It may have started by itself.
                let _ = update.env("SLURM_CONF", self.root.join("slurm.conf")).output();
            }
            thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // What cannot be stopped here is stopped with the machine.
        let _ = Command::new("bash").arg(common::shared("slurm/slurm-down.sh")).arg(&self.root).output();
    }
}

fn poses_in(folder: &Path) -> usize {
    names(folder).iter().filter(|name| name.ends_with(".pose") && !name.starts_with('.')).count()
}

fn preempted_cancelled_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (clips, poses) = (clips(folder.path()), folder.path().join("poses"));
    let slurm = Slurm::start(folder.path().join("slurm"));
    let submitted = slurm.call(&mut submit(&clips, &poses));
    assert!(submitted.contains("12 of 12 videos submitted as array"), "{submitted}");
    slurm.wait(&poses, 1);

    // Somebody more important takes both GPUs for a moment.
    slurm.client("sbatch", &["--partition=high", "--gpus=V100:2", "--output=/dev/null", "--wrap", "sleep 2"]);
    slurm.wait(&poses, 4);

    slurm.client("scancel", &["--name=oppose"]);
    let started = Instant::now();
    while !slurm.client("squeue", &["--noheader"]).trim().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", slurm.client("squeue", &[]));
        thread::sleep(Duration::from_millis(200));
    }
    let left = CLIPS - poses_in(&poses);
    let status = slurm.status(&poses);
    assert!(
        left > 0 && status.contains(&format!("0 failed, {left} left")) && status.contains("slurm resume"),
        "{status}"
    );

    let resumed = slurm.call(program(&["slurm", "resume"]).arg(&poses));
    assert!(resumed.contains(&format!("{left} of 12 videos submitted")), "{resumed}");
    slurm.wait(&poses, CLIPS);
    let status = slurm.status(&poses);
    assert!(status.contains("12 of 12 videos done, 0 failed, 0 left"), "{status}");
    assert!(slurm.call(program(&["slurm", "resume"]).arg(&poses)).contains("all 12 videos are done"));

    let expected = folder.path().join("expected.pose");
    let mut alone = program(&["--engine", "holistic", "--model-folder"]);
    alone.arg(common::models()).arg(common::repository("assets/sample.mp4")).arg("-o").arg(&expected);
    assert!(alone.status().unwrap().success());
    let expected = fs::read(expected).unwrap();
    for name in names(&poses) {
        match name.as_str() {
            ".oppose" => {}
            name => {
                assert!(name.ends_with(".pose") && !name.starts_with('.'), "{name} was left behind");
                assert!(fs::read(poses.join(name)).unwrap() == expected, "{name} differs");
            }
        }
    }
}
