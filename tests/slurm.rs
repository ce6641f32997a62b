//! Runs on a real SLURM with one node and two pretend GPUs: submitted, preempted, cancelled and resumed. In the end every
//! file exists, and equals that of an undisturbed run.

#![allow(clippy::unwrap_used)] // Clippy does not recognise tests without the standard harness.

mod common;
#[path = "common/made_up_models.rs"]
mod made_up_models;
#[path = "common/real_slurm.rs"]
mod real_slurm;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Need, names, trial};
use oppose::batch::journal;
use oppose::batch::slurm::Run;
use oppose::output_file::OutputFile;
use real_slurm::{Slurm, poses_in, text};
use rustix::process::Signal;

fn main() {
    let needs = [Need::Models, Need::Shared("slurm"), Need::Program("sinfo")];
    let long = [Need::LongTests, Need::Shared("slurm"), Need::Program("sinfo")];
    common::run_one_at_a_time(vec![
        trial("nothing is submitted without SLURM", &[Need::Models], nothing_is_submitted_without_slurm),
        trial("a dry run writes and deletes nothing", &[], a_dry_run_writes_and_deletes_nothing),
        trial("a container sees all folders", &[], a_container_sees_all_folders),
        trial("unusual names", &needs, unusual_names),
        trial("preempted, cancelled and resumed", &needs, preempted_cancelled_and_resumed),
        trial("killed again and again", &long, killed_again_and_again),
    ])
}

const CLIPS: usize = 12;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.args(arguments);
    command
}

fn clips(folder: &Path, count: usize) -> PathBuf {
    let clips = folder.join("clips");
    fs::create_dir(&clips).unwrap();
    for index in 0..count {
        fs::copy(common::repository("assets/sample.mp4"), clips.join(format!("clip {index}.mp4"))).unwrap();
    }
    clips
}

fn submit(clips: &Path, poses: &Path) -> Command {
    let mut command = program(&["slurm", "submit"]);
    command.arg(clips).arg(poses).args(["--jobs", "4", "--mem", "2G", "--cpus", "1", "--time", "10", "--"]);
    let models = fs::canonicalize(common::models()).unwrap();
    command.args(["--engine", "holistic", "--model-folder"]).arg(models.file_name().unwrap());
    command.current_dir(models.parent().unwrap());
    command
}

fn nothing_is_submitted_without_slurm() {
    let folder = tempfile::tempdir().unwrap();
    let clips = clips(folder.path(), CLIPS);
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
        "exec --nv \\\n    --bind '/",
    ] {
        assert!(script.contains(part), "{part}: {script}");
    }
    let checked = Command::new("bash").arg("-n").arg("-c").arg(&script).status().unwrap();
    assert!(checked.success());

    let refused = submit(&clips, &poses).env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains("cannot start sbatch"), "{}", text(&refused));
}

/// Every path below a folder, with its time of modification.
fn everything_in(folder: &Path) -> Vec<(PathBuf, SystemTime)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        found.push((next.clone(), fs::metadata(&next).unwrap().modified().unwrap()));
        if next.is_dir() {
            folders.extend(fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

fn a_dry_run_writes_and_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (clips, poses) = (clips(folder.path(), 3), folder.path().join("poses"));
    // Submitting decodes nothing: only a task notices that a file is not a video.
    fs::write(clips.join("none.mp4"), b"no video").unwrap();
    let dry = |arguments: &[&str]| {
        let mut command = program(&["slurm"]);
        let output = command.args(arguments).arg("--dry-run").current_dir(folder.path()).output().unwrap();
        assert!(output.status.success() && output.stdout.starts_with(b"#!/bin/bash\n"), "{}", text(&output));
        text(&output)
    };
    let before = everything_in(folder.path());
    assert!(dry(&["submit", "clips", "poses"]).contains("#SBATCH --array=0-3\n"));
    assert_eq!(everything_in(folder.path()), before);

    // With an earlier submission, a damaged output, and a file left by a killed process.
    fs::create_dir(&poses).unwrap();
    let missing = program(&["slurm", "submit"]).arg(&clips).arg(&poses).env("PATH", "").output().unwrap();
    assert_eq!(missing.status.code(), Some(2), "no sbatch: {}", text(&missing));
    fs::write(poses.join("clip 0.pose"), b"damaged").unwrap();
    let live = OutputFile::create(&poses.join("x.pose")).unwrap();
    let left = live.temporary_path().with_extension("y.tmp");
    fs::write(&left, b"").unwrap();
    let before = everything_in(folder.path());
    for command in [&["submit", "clips", "poses"][..], &["resume", "poses"]] {
        let script = dry(command);
        assert!(script.contains("/.oppose/run-2/logs/%a.log"), "{script}");
        assert_eq!(everything_in(folder.path()), before, "{command:?}");
    }
    assert!(left.exists());
}

fn a_container_sees_all_folders() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path().canonicalize().unwrap();
    for folder in ["in", "far/away", "models", "other models", "work"] {
        fs::create_dir_all(at.join(folder)).unwrap();
    }
    fs::write(at.join("in/a.mp4"), b"").unwrap();
    fs::write(at.join("far/away/b.mp4"), b"").unwrap();
    fs::write(at.join("image.sif"), b"").unwrap();
    std::os::unix::fs::symlink(at.join("far/away/b.mp4"), at.join("in/b.mp4")).unwrap();
    let script = |options: &[&str]| {
        let mut command =
            program(&["slurm", "submit", "../in", "../out", "--dry-run", "--sif", "../image.sif"]);
        command.args(options).current_dir(at.join("work")).env("OPPOSE_MODELS", at.join("models"));
        text(&command.output().unwrap())
    };
    let bound = |folder: &str| format!("    --bind '{}' \\\n", at.join(folder).display());
    let plain = script(&[]);
    for folder in ["in", "far/away", "out", "out/.oppose/run-1", "work", "models"] {
        assert!(plain.contains(&bound(folder)), "{folder}: {plain}");
    }
    for options in
        [&["--", "--model-folder", "../other models"][..], &["--", "--model_folder=../other models"]]
    {
        let given = script(options);
        assert!(given.contains(&bound("other models")) && !given.contains(&bound("models")), "{given}");
    }
}

fn unusual_names() {
    let folder = tempfile::tempdir().unwrap();
    let slurm = Slurm::start(folder.path().join("slurm"));
    let clips = folder.path().join("clips of \"mine\"");
    fs::create_dir(&clips).unwrap();
    let short = common::short_sample();
    for name in ["100%a.mp4", "it's\ttwo\nlines \\.mp4"] {
        fs::copy(short, clips.join(name)).unwrap();
    }
    for name in ["100%% \"it's\" #1 $HOME", "two\nlines and a \\"] {
        let poses = folder.path().join(name);
        let submitted = slurm.call(&mut submit(&clips, &poses));
        assert!(submitted.contains("2 of 2 videos submitted as array"), "{submitted}");
        slurm.wait(&poses, 2);
        assert_eq!(names(&poses.join(".oppose/run-1/logs")), ["0.log", "1.log"]);
        let status = slurm.status(&poses);
        assert!(status.contains("2 of 2 videos done"), "{status}");
    }
}

fn preempted_cancelled_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (clips, poses) = (clips(folder.path(), CLIPS), folder.path().join("poses"));
    let slurm = Slurm::start(folder.path().join("slurm"));
    let submitted = slurm.call(&mut submit(&clips, &poses));
    assert!(submitted.contains("12 of 12 videos submitted as array"), "{submitted}");
    slurm.wait(&poses, 1);

    // A job of higher priority takes both GPUs for a moment.
    slurm.client("sbatch", &["--partition=high", "--gpus=V100:2", "--output=/dev/null", "--wrap", "sleep 2"]);
    slurm.wait(&poses, 4);

    slurm.client("scancel", &["--name=oppose"]);
    let started = Instant::now();
    while !slurm.is_idle() {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", slurm.client("squeue", &[]));
        thread::sleep(Duration::from_millis(200));
    }
    let left = CLIPS - poses_in(&poses);
    let status = slurm.status(&poses);
    assert!(
        left > 0 && status.contains(&format!("0 failed, {left} left")) && status.contains("slurm resume"),
        "{status}"
    );

    // From a different folder than the one that the models' path is relative to.
    let resumed = slurm.call(program(&["slurm", "resume"]).arg(&poses).current_dir(folder.path()));
    assert!(resumed.contains(&format!("{left} of 12 videos submitted")), "{resumed}");
    slurm.wait(&poses, CLIPS);
    let status = slurm.status(&poses);
    assert!(status.contains("12 of 12 videos done, 0 failed, 0 left"), "{status}");
    assert!(slurm.call(program(&["slurm", "resume"]).arg(&poses)).contains("all 12 videos are done"));

    let mut alone = program(&["--engine", "holistic", "--model-folder"]);
    alone.arg(common::models());
    assert_undisturbed(&poses, CLIPS, &mut alone);
}

/// Asserts that there are exactly `count` files, each equal to what `alone` computes from the sample.
fn assert_undisturbed(poses: &Path, count: usize, alone: &mut Command) {
    let folder = tempfile::tempdir().unwrap();
    let expected = folder.path().join("expected.pose");
    alone.arg(common::repository("assets/sample.mp4")).arg("-o").arg(&expected);
    assert!(alone.status().unwrap().success());
    let expected = fs::read(expected).unwrap();
    let names: Vec<String> = names(poses).into_iter().filter(|name| name != ".oppose").collect();
    assert_eq!(names.len(), count, "{names:?}");
    for name in names {
        assert!(name.ends_with(".pose") && !name.starts_with('.'), "{name} was left behind");
        assert!(fs::read(poses.join(&name)).unwrap() == expected, "{name} differs");
    }
}

/// A random number below `limit`.
fn random(limit: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_nanos().wrapping_mul(0x9e37_79b9_7f4a_7c15) as u64 % limit.max(1)
}

/// The processes of the tasks.
fn tasks(poses: &Path) -> Vec<u32> {
    let list = format!("--list\0{}", poses.join(".oppose").display());
    let process = |entry: fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().ok();
    let all = fs::read_dir("/proc").unwrap().flatten().filter_map(process);
    let is_task = |process: &u32| {
        let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&list)
    };
    all.filter(is_task).collect()
}

/// How often each output is recorded as done in the journals.
fn recorded(poses: &Path) -> HashMap<PathBuf, usize> {
    let mut recorded = HashMap::new();
    for run in Run::all(poses).unwrap() {
        for entry in run.journals().unwrap().iter().flat_map(|path| journal::read(path).unwrap()) {
            if matches!(entry.outcome, journal::Outcome::Done { .. }) {
                *recorded.entry(entry.output).or_default() += 1;
            }
        }
    }
    recorded
}

fn killed_again_and_again() {
    const CLIPS: usize = 200;
    const KILLS: usize = 50;
    let folder = tempfile::tempdir().unwrap();
    let (clips, poses) = (clips(folder.path(), CLIPS), folder.path().join("poses"));
    let models = folder.path().join("models");
    made_up_models::write(&models, made_up_models::Size::Small);
    let options = [
        ["--engine", "native", "--device", "cpu", "--threads", "1", "--max-people", "1"].as_slice(),
        &["--net_resolution", "-1x80", "--no-face", "--no-hand", "--model-folder", models.to_str().unwrap()],
    ];
    let slurm = Slurm::start(folder.path().join("slurm"));
    let mut submit = program(&["slurm", "submit"]);
    submit.arg(&clips).arg(&poses).args(["--jobs", "4", "--mem", "2G", "--cpus", "1", "--time", "60", "--"]);
    slurm.call(submit.args(options.concat()));

    let (mut kills, mut resumes, mut is_preempted, mut is_cancelled) = (0, 0, false, false);
    let mut finished: HashMap<PathBuf, SystemTime> = HashMap::new();
    let started = Instant::now();
    while poses_in(&poses) < CLIPS {
        assert!(started.elapsed() < Duration::from_secs(1800), "{}", slurm.status(&poses));
        for output in recorded(&poses).into_keys() {
            let modified = output.metadata().unwrap().modified().unwrap();
            finished.entry(output).or_insert(modified);
        }
        if slurm.is_idle() {
            slurm.call(program(&["slurm", "resume"]).arg(&poses));
            resumes += 1;
        }
        slurm.hurry();
        thread::sleep(Duration::from_millis(random(600)));
        let tasks = tasks(&poses);
        if kills == KILLS || tasks.is_empty() {
            continue;
        }
        if kills >= KILLS / 3 && !is_preempted {
            let priority_job =
                ["--partition=high", "--gpus=V100:2", "--output=/dev/null", "--wrap", "sleep 2"];
            slurm.client("sbatch", &priority_job);
            is_preempted = true;
        } else if kills >= KILLS * 2 / 3 && !is_cancelled {
            slurm.client("scancel", &["--name=oppose"]);
            is_cancelled = true;
        } else {
            let task = tasks[random(tasks.len() as u64) as usize];
            kills += usize::from(common::signal(task, Signal::KILL));
        }
    }
    println!(
        "{kills} kills, {resumes} resumes, {:.0} s, {} submissions",
        started.elapsed().as_secs_f64(),
        Run::all(&poses).unwrap().len()
    );
    while !slurm.is_idle() {
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!((kills, is_preempted, is_cancelled), (KILLS, true, true));
    let status = slurm.status(&poses);
    assert!(status.contains("200 of 200 videos done, 0 failed, 0 left"), "{status}");
    assert!(recorded(&poses).values().all(|&times| times == 1), "{:?}", recorded(&poses));
    for (output, time) in finished {
        assert_eq!(
            output.metadata().unwrap().modified().unwrap(),
            time,
            "{} was written again",
            output.display()
        );
    }
    assert_undisturbed(&poses, CLIPS, program(&[]).args(options.concat()));
}
