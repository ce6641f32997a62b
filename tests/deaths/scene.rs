//! Shared by the tests of the program: a folder of small videos, and the program with small made-up nets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{self, output};
use crate::made_up_models::{self, Size};

/// A folder with `models` and `videos`.
pub struct Scene {
    folder: TempDir,
}

impl Scene {
    pub fn new(videos: &[(&str, u32)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder };
        made_up_models::write(&scene.path("models"), Size::Small);
        fs::create_dir(scene.path("videos")).unwrap();
        for &(name, frames) in videos {
            make_video(&scene.path("videos").join(name), frames);
        }
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these arguments and the options of a small and fast engine.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.args(self.engine());
        command
    }

    /// The program with these arguments and no others, in the folder.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_remove("OPPOSE_ENGINE").env_remove("OPPOSE_MODELS");
        command
    }

    /// The options of a small and fast engine.
    pub fn engine(&self) -> Vec<String> {
        let words = "--engine native --device cpu --threads 1 --max-people 1 --net_resolution -1x80 --no-face --no-hand";
        let mut options: Vec<String> = words.split(' ').map(Into::into).collect();
        options.extend(["--model-folder".into(), self.path("models").to_str().unwrap().into()]);
        options
    }
}

/// Writes a small video with this many frames.
pub fn make_video(path: &Path, frames: u32) {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=25"]);
    output(ffmpeg.args(["-frames:v", &frames.to_string(), "-c:v", "mpeg4"]).arg(path));
}

/// Everything that a program has printed.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Names of the `.pose` files in a folder.
pub fn poses(folder: &Path) -> Vec<String> {
    common::names(folder).into_iter().filter(|name| name.ends_with(".pose")).collect()
}

/// Waits until `found` returns something, and returns that.
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
