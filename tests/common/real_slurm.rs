//! A real SLURM with one node and two pretend GPUs, started by the scripts in the shared folder.
#![allow(dead_code)] // No test program uses all of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{self, names};

/// Everything that a program has printed.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A SLURM that is stopped at the end of the test.
pub struct Slurm {
    root: PathBuf,
}

impl Slurm {
    pub fn start(root: PathBuf) -> Self {
        let up = Command::new("bash").arg(common::shared("slurm/slurm-up.sh")).arg(&root).output().unwrap();
        assert!(up.status.success(), "{}", text(&up));
        Self { root }
    }

    pub fn call(&self, command: &mut Command) -> String {
        let output = command.env("SLURM_CONF", self.root.join("slurm.conf")).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output));
        text(&output)
    }

    pub fn client(&self, program: &str, arguments: &[&str]) -> String {
        self.call(Command::new("timeout").arg("20").arg(program).args(arguments))
    }

    pub fn status(&self, poses: &Path) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
        let output = command
            .args(["slurm", "status"])
            .arg(poses)
            .env("SLURM_CONF", self.root.join("slurm.conf"))
            .output()
            .unwrap();
        text(&output)
    }

    /// Waits until this many videos are done.
    pub fn wait(&self, poses: &Path, done: usize) {
        let started = Instant::now();
        while poses_in(poses) < done {
            assert!(
                started.elapsed() < Duration::from_secs(180),
                "{}\n{}",
                self.status(poses),
                self.client("squeue", &[])
            );
            self.hurry();
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// Starts requeued jobs at once, which SLURM delays by two minutes.
    pub fn hurry(&self) {
        for job in
            self.client("squeue", &["--noheader", "--array", "--states=PENDING", "--format=%i"]).lines()
        {
            let job = format!("JobId={}", job.trim());
            let mut update = Command::new("timeout");
            update.args(["20", "scontrol", "update", &job, "StartTime=now"]);
            // It may have started already.
            let _ = update.env("SLURM_CONF", self.root.join("slurm.conf")).output();
        }
    }

    /// Whether it has nothing to do.
    pub fn is_idle(&self) -> bool {
        self.client("squeue", &["--noheader"]).trim().is_empty()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // If it cannot be stopped, the next shutdown stops it.
        let _ = Command::new("bash").arg(common::shared("slurm/slurm-down.sh")).arg(&self.root).output();
    }
}

/// The number of `.pose` files in a folder.
pub fn poses_in(folder: &Path) -> usize {
    names(folder).iter().filter(|name| name.ends_with(".pose") && !name.starts_with('.')).count()
}
