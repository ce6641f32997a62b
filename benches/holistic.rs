//! How fast the engine `holistic` is, beside the original where that is installed.
//!
//! ```text
//! OPPOSE_PYTHON=.venv/bin/python cargo bench --bench holistic -- VIDEO...
//! ```
//!
//! Needs the models (`OPPOSE_MODELS` or the folder `models`) and the program `ffmpeg`, which decodes for this
//! bench. Prints the time of each net on one thread, with and without its unused outputs; then, in turns and
//! several times, the frames per second of this engine and of pose-format's programs, everything included:
//! start, loading, decoding.

use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oppose::engine::Engine;
use oppose::engine::holistic::models::{ALL, Models};
use oppose::engine::holistic::{Holistic, Options};
use oppose::pose::FramePose;
use oppose::video::{Frame, FramePool, FrameRate, VideoInfo};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Turns of ours and theirs.
const ROUNDS: usize = 3;

fn main() -> Outcome<()> {
    let videos: Vec<PathBuf> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").map(PathBuf::from).collect();
    let models = std::env::var_os("OPPOSE_MODELS").map_or_else(|| PathBuf::from("models"), PathBuf::from);
    nets(&models)?;
    if videos.is_empty() {
        println!("name videos to measure frames per second");
        return Ok(());
    }
    let programs =
        std::env::var_os("OPPOSE_PYTHON").and_then(|python| Some(Path::new(&python).parent()?.to_owned()));
    let folder = tempfile::tempdir()?;
    for (i, video) in videos.iter().enumerate() {
        let suffix = video.extension().unwrap_or_default().to_string_lossy().into_owned();
        std::fs::copy(video, folder.path().join(format!("{i}.{suffix}")))?;
    }
    let theirs = programs.as_deref().map(|programs| {
        let mut command = Command::new(programs.join("video_to_pose"));
        command.args(["--format", "mediapipe", "-i"]).arg(&videos[0]);
        command.arg("-o").arg(folder.path().join("one.pose"));
        (command, folder.path())
    });
    compare("one clip", &models, &videos[..1], theirs)?;
    if videos.len() > 1 {
        let theirs = programs.as_deref().map(|programs| {
            let mut command = Command::new(programs.join("videos_to_poses"));
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            command.args(["--format", "mediapipe", "--num-workers", &cores.to_string(), "--directory"]);
            command.arg(folder.path());
            (command, folder.path())
        });
        compare("several clips", &models, &videos, theirs)?;
    }
    Ok(())
}

/// The time of each net.
fn nets(models: &Path) -> Outcome<()> {
    let models = Models::open(models)?;
    println!("{:36} {:>10} {:>10}", "net, one thread", "used", "whole");
    for model in &ALL {
        let mut nets = [models.load(model)?, models.load_whole(model)?];
        let mut best = [Duration::MAX; 2];
        for _ in 0..50 {
            for (net, best) in nets.iter_mut().zip(&mut best) {
                let start = Instant::now();
                net.run()?;
                *best = start.elapsed().min(*best);
            }
        }
        let [used, whole] = best.map(|time| format!("{:.2} ms", time.as_secs_f64() * 1e3));
        println!("{:36} {used:>10} {whole:>10}", model.name());
    }
    Ok(())
}

/// Ours and theirs in turns.
fn compare(
    what: &str,
    models: &Path,
    videos: &[PathBuf],
    mut theirs: Option<(Command, &Path)>,
) -> Outcome<()> {
    println!("{what}:");
    let (mut ours_best, mut theirs_best) = (Duration::MAX, Duration::MAX);
    let mut frames = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        frames = ours(models, videos)?;
        let elapsed = start.elapsed();
        ours_best = ours_best.min(elapsed);
        print!(
            "  ours {:.2} s, {:.1} frames/s",
            elapsed.as_secs_f64(),
            frames as f64 / elapsed.as_secs_f64()
        );
        if let Some((theirs, folder)) = &mut theirs {
            // What has its pose already is passed over.
            for file in std::fs::read_dir(folder)?.filter_map(Result::ok).map(|file| file.path()) {
                if file.extension().is_some_and(|extension| extension == "pose") {
                    std::fs::remove_file(file)?;
                }
            }
            let start = Instant::now();
            let status = theirs.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            let elapsed = start.elapsed();
            theirs_best = theirs_best.min(elapsed);
            if !status.success() {
                return Err(format!("{theirs:?}: {status}").into());
            }
            let rate = frames as f64 / elapsed.as_secs_f64();
            print!("; theirs {:.2} s, {rate:.1} frames/s", elapsed.as_secs_f64());
        }
        println!();
    }
    if theirs.is_some() {
        let times = theirs_best.as_secs_f64() / ours_best.as_secs_f64();
        println!("  {frames} frames: {times:.2} times as fast, best against best");
    }
    Ok(())
}

/// Runs the engine over some videos; says how many frames they had.
fn ours(models: &Path, videos: &[PathBuf]) -> Outcome<usize> {
    let mut engine = Holistic::open(models, Options::default())?;
    let (mut pose, mut frames) = (FramePose::default(), 0);
    for video in videos {
        let (width, height) = size(video)?;
        let frame_rate = FrameRate::DEFAULT;
        engine.start_video(&VideoInfo { width, height, frame_rate, announced_frames: None })?;
        let mut in_flight = 0;
        decode(video, width, height, |frame| {
            if in_flight == engine.capacity() {
                engine.pop(&mut pose)?;
                in_flight -= 1;
            }
            in_flight += 1;
            frames += 1;
            Ok(engine.push(frame)?)
        })?;
        while engine.pop(&mut pose)? {}
    }
    Ok(frames)
}

/// Width and height of a video.
fn size(video: &Path) -> Outcome<(u32, u32)> {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "stream=width,height",
        "-of",
        "csv=p=0",
    ]);
    let output = String::from_utf8(command.arg(video).output()?.stdout)?;
    let (width, height) = output.trim().split_once(',').ok_or("ffprobe gives no size")?;
    Ok((width.parse()?, height.parse()?))
}

/// Hands over each frame of a video.
fn decode(video: &Path, width: u32, height: u32, mut take: impl FnMut(Frame) -> Outcome<()>) -> Outcome<()> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(video).args(["-f", "rawvideo", "-pix_fmt", "bgr24", "-"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut pipe = child.stdout.take().ok_or("no pipe")?;
    let pool = FramePool::new(16);
    for index in 0.. {
        let mut whole = Ok(());
        let frame = pool.frame(index, None, width, height, |pixels| whole = pipe.read_exact(pixels));
        if whole.is_err() {
            break;
        }
        take(frame)?;
    }
    child.wait()?;
    Ok(())
}
