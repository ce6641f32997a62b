//! How fast the engine `holistic` is, compared with the original if that is installed.
//!
//! ```text
//! cargo bench --bench holistic -- VIDEO...
//! ```
//!
//! Needs the models (`OPPOSE_MODELS` or the folder `models`). Prints the time of each net on one thread, with
//! and without its unused outputs; then, in alternating runs, the frames per second of this program and of
//! pose-format's (in `.venv`, as `scripts/test.sh` installs it, or beside `OPPOSE_PYTHON`), including start-up,
//! loading, decoding and writing.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oppose::engine::holistic::Options;
use oppose::engine::holistic::models::{Models, needed};
use oppose::pose::Pose;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How often each program runs.
const ROUNDS: usize = 5;

fn main() -> Outcome<()> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named =
        |variable, path| std::env::var_os(variable).map_or_else(|| checkout.join(path), PathBuf::from);
    let (models, python) = (named("OPPOSE_MODELS", "models"), named("OPPOSE_PYTHON", ".venv/bin/python"));
    nets(&Models::open(&models, &Options::new())?)?;

    let videos: Vec<PathBuf> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").map(PathBuf::from).collect();
    let (Some(first), true) = (videos.first(), python.exists()) else {
        println!("name videos, and install pose-format (scripts/test.sh does), to compare with the original");
        return Ok(());
    };
    let one = tempfile::tempdir()?;
    let several = tempfile::tempdir()?;
    fs::copy(first, one.path().join("0").with_extension(first.extension().unwrap_or_default()))?;
    for (i, video) in videos.iter().enumerate() {
        let name = several.path().join(i.to_string()).with_extension(video.extension().unwrap_or_default());
        fs::copy(video, name)?;
    }
    let bench = Bench { models, programs: python.with_file_name("") };
    bench.compare("one clip, video_to_pose", one.path(), &one_process_per_video)?;
    if videos.len() > 1 {
        bench.compare(
            "several clips, video_to_pose one after another",
            several.path(),
            &one_process_per_video,
        )?;
        bench.compare(
            "several clips, videos_to_poses with one process per core",
            several.path(),
            &one_process_per_core,
        )?;
    }
    Ok(())
}

/// Times each net.
fn nets(models: &Models) -> Outcome<()> {
    println!("{:36} {:>10} {:>10}", "net, one thread", "used", "whole");
    for model in &needed(&Options::new()) {
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

struct Bench {
    models: PathBuf,
    /// The folder that contains the original's programs.
    programs: PathBuf,
}

impl Bench {
    /// Runs both programs alternately on a folder of videos.
    fn compare(&self, what: &str, folder: &Path, original: &Original) -> Outcome<()> {
        println!("{what}:");
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let mut ours = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
            ours.arg(folder).args(["--engine", "holistic", "--progress", "none"]);
            ours.env("OPPOSE_MODELS", &self.models);
            let (ours, frames) = timed(vec![ours], folder)?;
            let (theirs, their_frames) = timed(original(&self.programs, folder)?, folder)?;
            if frames != their_frames {
                return Err(format!("we wrote {frames} frames, the original {their_frames}").into());
            }
            let rate = |seconds: f64| frames as f64 / seconds;
            println!(
                "  {frames} frames: ours {ours:.2} s, {:.1} frames/s; theirs {theirs:.2} s, {:.1} frames/s; \
                 ratio {:.2}",
                rate(ours),
                rate(theirs),
                theirs / ours
            );
            ratios.push(theirs / ours);
        }
        ratios.sort_by(f64::total_cmp);
        let (slowest, fastest) = (ratios[0], ratios[ROUNDS - 1]);
        println!("  {:.2} times as fast (median; {slowest:.2} to {fastest:.2})", ratios[ROUNDS / 2]);
        Ok(())
    }
}

/// Gives the original's commands for a folder of videos. Takes the folder of its programs, then that of the videos.
type Original = dyn Fn(&Path, &Path) -> Outcome<Vec<Command>>;

fn one_process_per_video(programs: &Path, folder: &Path) -> Outcome<Vec<Command>> {
    let mut commands = Vec::new();
    for entry in fs::read_dir(folder)? {
        let video = entry?.path();
        let mut command = Command::new(programs.join("video_to_pose"));
        command.args(["--format", "mediapipe", "-i"]).arg(&video).arg("-o").arg(video.with_extension("pose"));
        commands.push(command);
    }
    Ok(commands)
}

fn one_process_per_core(programs: &Path, folder: &Path) -> Outcome<Vec<Command>> {
    let cores = std::thread::available_parallelism()?.to_string();
    let mut command = Command::new(programs.join("videos_to_poses"));
    command.args(["--format", "mediapipe", "--num-workers", &cores, "--directory"]).arg(folder);
    Ok(vec![command])
}

/// The seconds that the commands take one after another, and the number of frames in the files they write, which
/// are removed for the next run.
fn timed(commands: Vec<Command>, folder: &Path) -> Outcome<(f64, usize)> {
    let start = Instant::now();
    for mut command in commands {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !status.success() {
            return Err(format!("{command:?}: {status}").into());
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let mut frames = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pose") {
            frames += Pose::read_file(&path)?.frames();
            fs::remove_file(path)?;
        }
    }
    Ok((seconds, frames))
}
