//! Memory does not grow with the video's length.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Need, output, trial};

/// How much more a longer run may take: for the allocator's buffers, not for ours.
const SLACK_KIB: u64 = 8 << 10;

/// The example program, which a plain `cargo test` builds.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/own_engine");
    assert!(example.exists(), "{}: build it first, with cargo build --examples", example.display());
    example
}

/// Peak memory in KiB of turning this video into a file.
fn peak_memory(video: &Path, frames: u64) -> u64 {
    let printed = output(Command::new(example()).arg(video).arg(video.with_extension("pose")));
    assert!(printed.starts_with(&format!("{frames} frames in")), "{printed}");
    let peak =
        printed.lines().find_map(|line| line.strip_prefix("peak memory ")).expect("a line about memory");
    peak.trim_end_matches(" KiB").parse().unwrap()
}

fn memory_is_flat() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let ffmpeg = |arguments: &[&str], target: &Path| {
        output(Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(target));
    };
    ffmpeg(&["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=2"], &path("unit.mkv"));
    // Repeats the packets without encoding again.
    let repeat = |times: &str, target: &Path| {
        let unit = path("unit.mkv");
        ffmpeg(&["-stream_loop", times, "-i", unit.to_str().unwrap(), "-c", "copy"], target);
    };
    repeat("19", &path("short.mkv"));
    repeat("1999", &path("long.mkv"));
    let (short, long) = (peak_memory(&path("short.mkv"), 1000), peak_memory(&path("long.mkv"), 100_000));
    println!("peak memory: {short} KiB for 1,000 frames, {long} KiB for 100,000");
    assert!(long < short + SLACK_KIB, "{short} KiB for 1,000 frames, {long} KiB for 100,000");
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let needs = [Need::Program("ffmpeg")];
    vec![trial("memory_is_flat", &needs, memory_is_flat)]
}
