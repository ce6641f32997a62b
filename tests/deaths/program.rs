//! The program when its output is not read, when it is suspended or stopped, and with two engines in one folder.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Need, short_sample, signal, trial};
use oppose::batch::journal::{self, Outcome};
use oppose::pose::Pose;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::common;
use crate::scene::{Scene, poses, text, wait_for};

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let ffmpeg = || [Need::Program("ffmpeg")];
    vec![
        trial("standard error is not read", &ffmpeg(), standard_error_is_not_read),
        trial(
            "the output of other commands is not read",
            &ffmpeg(),
            the_output_of_other_commands_is_not_read,
        ),
        trial("two long videos, suspended twice", &ffmpeg(), two_long_videos_suspended_twice),
        trial("SIGTERM while a video is opened", &ffmpeg(), sigterm_while_a_video_is_opened),
        trial(
            "OpenPose runs in its own process",
            &[Need::Program("cc"), Need::Program("ffmpeg")],
            openpose_runs_in_its_own_process,
        ),
        trial(
            "two engines in one folder",
            &[Need::Models, Need::Program("ffmpeg")],
            two_engines_in_one_folder,
        ),
    ]
}

/// A stream that cannot be written to.
fn unwritable(is_full_disk: bool) -> Stdio {
    match is_full_disk {
        true => File::options().write(true).open("/dev/full").unwrap().into(),
        false => {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer.into()
        }
    }
}

fn standard_error_is_not_read() {
    let scene = Scene::new(&[("a.mp4", 3), ("b.mp4", 3)]);
    fs::write(scene.path("bad.mp4"), b"no video").unwrap();
    let mut runs = 0;
    for progress in ["none", "plain", "json"] {
        for workers in [None, Some("2")] {
            for (inputs, code, done) in [
                (&["videos/a.mp4"][..], 0, 1),
                (&["bad.mp4"], 1, 0),
                (&["videos"], 0, 2),
                (&["videos", "bad.mp4"], 1, 2),
                (&["missing.mp4"], 2, 0),
                (&["videos", "--no-such-option"], 2, 0),
            ] {
                runs += 1;
                let poses_folder = format!("poses{runs}");
                let mut command = scene.program(inputs);
                command.args(["--progress", progress, "-o", &poses_folder]);
                command.args(workers.map(|workers| ["--workers", workers]).into_iter().flatten());
                command.stderr(unwritable(runs % 2 == 0)).stdout(unwritable(runs % 3 == 0));
                let status = command.status().unwrap();
                assert_eq!(status.code(), Some(code), "{inputs:?}, {progress}, {workers:?}: {status}");
                let folder = scene.path(&poses_folder);
                assert_eq!(
                    if folder.exists() { poses(&folder).len() } else { 0 },
                    done,
                    "{inputs:?}, {progress}"
                );
            }
        }
    }
}

/// The exit code is the same as with a readable stream, or that of an output that cannot be written; never that of a panic.
fn the_output_of_other_commands_is_not_read() {
    let scene = Scene::new(&[("a.mp4", 3), ("b.mp4", 3)]);
    assert!(scene.program(&["videos", "-o", "poses"]).output().unwrap().status.success());
    fs::write(scene.path("poses/bad.pose"), b"no pose").unwrap();
    for arguments in [
        "inspect poses/a.pose",
        "inspect poses/bad.pose",
        "inspect poses",
        "inspect missing",
        "inspect poses --json",
        "compare poses/a.pose poses/b.pose",
        "compare poses/a.pose missing",
        "convert poses/a.pose a.csv",
        "convert poses/bad.pose b.csv",
        "render videos/a.mp4 poses/a.pose -o a.gif",
        "render missing poses/a.pose -o b.gif",
        "doctor",
        "slurm status poses",
        "slurm submit videos elsewhere --dry-run",
        "generate completions bash",
        "--help",
        "--version",
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let normal = scene.bare(&words).output().unwrap();
        let _ = fs::remove_file(scene.path("a.csv"));
        let _ = fs::remove_file(scene.path("a.gif"));
        for is_full_disk in [true, false] {
            let mut command = scene.bare(&words);
            let status = command.stderr(unwritable(is_full_disk)).stdout(Stdio::null()).status().unwrap();
            assert_eq!(status.code(), normal.status.code(), "{arguments}: {status}");
            let _ = fs::remove_file(scene.path("a.csv"));
            let _ = fs::remove_file(scene.path("a.gif"));
            let mut command = scene.bare(&words);
            let status = command.stdout(unwritable(is_full_disk)).stderr(Stdio::null()).status().unwrap();
            assert!(status.code().is_some_and(|code| (0..=2).contains(&code)), "{arguments}: {status}");
            let _ = fs::remove_file(scene.path("a.csv"));
            let _ = fs::remove_file(scene.path("a.gif"));
        }
    }
}

fn signal_group(process: &Child, signal: Signal) {
    let group = Pid::from_raw(process.id().try_into().unwrap()).unwrap();
    kill_process_group(group, signal).unwrap();
}

/// Time during which all processes are suspended, as by SLURM, a freezer or Ctrl-Z, does not count as a stall. And with two
/// videos, each worker takes one.
fn two_long_videos_suspended_twice() {
    let scene = Scene::new(&[("a.mp4", 1500), ("b.mp4", 1500)]);
    let poses_folder = scene.path("poses");
    let mut command = scene.program(&["videos", "-o", "poses", "--workers", "2", "--stall-timeout", "5"]);
    let mut run = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("both videos", || {
        let entries = journal::read(&poses_folder.join(journal::NAME)).unwrap_or_default();
        (entries.len() == 2 || run.try_wait().unwrap().is_some()).then_some(())
    });
    for _ in 0..2 {
        assert!(run.try_wait().unwrap().is_none(), "it ended before it could be suspended");
        signal_group(&run, Signal::STOP);
        thread::sleep(Duration::from_secs(7));
        signal_group(&run, Signal::CONT);
        thread::sleep(Duration::from_millis(300));
    }
    let output = run.wait_with_output().unwrap();
    let printed = text(&output);
    assert!(output.status.success(), "{printed}");
    assert!(!printed.contains("tried once more") && printed.contains("2 done"), "{printed}");
    let entries = journal::read(&poses_folder.join(journal::NAME)).unwrap();
    let done = entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Done { frames: 1500, .. }));
    let mut workers: Vec<_> = done.map(|entry| entry.worker).collect();
    workers.sort();
    assert_eq!(workers, [Some(0), Some(1)], "{entries:?}");
}

/// Whether a process has a handler for SIGTERM.
fn handles_sigterm(process: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (15 - 1) != 0
}

/// Opening a pipe that nobody writes to blocks for ever.
fn sigterm_while_a_video_is_opened() {
    let scene = Scene::new(&[("a.mp4", 3)]);
    assert!(Command::new("mkfifo").arg(scene.path("pipe.mp4")).status().unwrap().success());
    assert!(scene.program(&["videos/a.mp4", "-o", "a.pose"]).output().unwrap().status.success());
    for arguments in [
        &["pipe.mp4", "-o", "pipe.pose"][..],
        &["pipe.mp4", "videos/a.mp4", "-o", "poses"],
        &["pipe.mp4", "videos/a.mp4", "-o", "poses", "--workers", "2", "--overwrite"],
        &["render", "pipe.mp4", "a.pose", "-o", "a.gif"],
    ] {
        let mut command = match arguments[0] {
            "render" => scene.bare(arguments),
            _ => scene.program(arguments),
        };
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("a signal handler", || handles_sigterm(&run).then_some(()));
        // Long enough to be blocked at the pipe; otherwise the test is merely easier to pass.
        thread::sleep(Duration::from_secs(2));
        assert!(run.try_wait().unwrap().is_none(), "{arguments:?} has ended");
        signal(run.id(), Signal::TERM);
        let started = Instant::now();
        let status = wait_for("the run to end", || run.try_wait().unwrap());
        assert!(started.elapsed() < Duration::from_secs(60), "{arguments:?}: {:?}", started.elapsed());
        assert_eq!((status.code(), status.signal()), (Some(143), None), "{arguments:?}");
        let left: Vec<String> =
            common::names(&scene.path("")).into_iter().filter(|name| name.ends_with(".tmp")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The child processes of a process.
fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| list.split_whitespace().map(|child| child.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

/// Neither the program nor its worker loads the library, whose crash would kill them too. And if the program is terminated
/// while OpenPose does not answer, all of its processes end.
fn openpose_runs_in_its_own_process() {
    let scene = Scene::new(&[("a.mp4", 9), ("b.mp4", 9)]);
    let library = scene.path("shim.so");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library);
    common::output(compile.arg(common::repository("tests/stand_in/openpose_stand_in.c")));
    for (inputs, has_worker) in [(&["videos"][..], true), (&["videos/a.mp4"], false)] {
        let mut command = scene.bare(inputs);
        command.args(["-o", "poses", "--engine", "openpose", "--model-folder", "models"]);
        command.env("OPPOSE_SHIM", &library).env("OPPOSE_STAND_IN", "stall:3");
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let loads = |process: u32| {
            let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
            maps.contains("shim.so")
        };
        let first = |process: u32| children(process).first().copied();
        let (parents, engine) = wait_for("OpenPose's process", || {
            let child = first(run.id())?;
            let (parents, engine) = match has_worker {
                true => (vec![run.id(), child], first(child)?),
                false => (vec![run.id()], child),
            };
            loads(engine).then_some((parents, engine))
        });
        thread::sleep(Duration::from_millis(500));
        assert!(!parents.iter().any(|&parent| loads(parent)));
        signal(run.id(), Signal::TERM);
        let status = wait_for("the run to end", || run.try_wait().unwrap());
        assert_eq!(status.code(), Some(143), "{inputs:?}: {status}");
        for process in parents.into_iter().chain([engine]) {
            wait_for("all processes to end", || {
                (!Path::new(&format!("/proc/{process}/exe")).exists()).then_some(())
            });
        }
    }
}

fn points(path: &Path) -> usize {
    Pose::read_header(path).unwrap().skeleton.points()
}

fn two_engines_in_one_folder() {
    // The engine is known from the journal, or without one from the skeletons of the files.
    for keeps_journal in [true, false] {
        let scene = Scene::new(&[("c.mp4", 3)]);
        for name in ["a.mp4", "b.mp4"] {
            fs::copy(short_sample(), scene.path("videos").join(name)).unwrap();
        }
        let poses_folder = scene.path("poses");
        let mut holistic =
            scene.bare(&["videos/a.mp4", "videos/b.mp4", "-o", "poses", "--engine", "holistic"]);
        let first = holistic.arg("--model-folder").arg(common::models()).output().unwrap();
        assert!(first.status.success(), "{}", text(&first));
        if !keeps_journal {
            fs::remove_file(poses_folder.join(journal::NAME)).unwrap();
        }
        let native = |options: &[&str]| {
            scene.program(&[&["videos", "-o", "poses"], options].concat()).output().unwrap()
        };
        let refused = native(&[]);
        let printed = text(&refused);
        assert_eq!(refused.status.code(), Some(2), "{printed}");
        let reason = if keeps_journal { "the engine was holistic and is native now" } else { "576 points" };
        for word in [reason, "--overwrite", "--allow-mixed-engines", "must not be mixed"] {
            assert!(printed.contains(word), "{word}: {printed}");
        }
        assert_eq!(poses(&poses_folder), ["a.pose", "b.pose"], "{printed}");
        assert_eq!(points(&poses_folder.join("a.pose")), 576);

        if keeps_journal {
            // Separate runs into the same folder: of one video, and as a task of SLURM.
            fs::write(scene.path("list"), "videos/c.mp4\tposes/c.pose\n").unwrap();
            fs::create_dir_all(poses_folder.join(".oppose/run-1")).unwrap();
            let task = ["--list", "list", "--journal", "poses/.oppose/run-1/journal-0.jsonl"];
            for arguments in [&["videos/c.mp4", "-o", "poses"][..], &task] {
                let refused = scene.program(arguments).output().unwrap();
                let printed = text(&refused);
                assert!(
                    refused.status.code() == Some(2) && printed.contains(reason),
                    "{arguments:?}: {printed}"
                );
            }
            let named = scene.program(&["videos/c.mp4", "-o", "poses/c.pose"]).output().unwrap();
            assert!(named.status.success(), "{}", text(&named));
            fs::remove_file(poses_folder.join("c.pose")).unwrap();
        }
        let mixed = native(&["--allow-mixed-engines"]);
        assert!(mixed.status.success(), "{}", text(&mixed));
        let found = ["a.pose", "b.pose", "c.pose"].map(|name| points(&poses_folder.join(name)));
        assert_eq!(found, [576, 576, 137]);

        let replaced = native(&["--overwrite"]);
        assert!(replaced.status.success(), "{}", text(&replaced));
        let found = ["a.pose", "b.pose", "c.pose"].map(|name| points(&poses_folder.join(name)));
        assert_eq!(found, [137; 3]);
        // Now all files are from one engine.
        let again = native(&[]);
        assert!(again.status.success() && text(&again).contains("3 skipped"), "{}", text(&again));
    }
}
