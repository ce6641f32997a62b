//! Files and folders: which are read, which are not touched, and that what is written appears completely or not at all.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;
use crate::small_disk;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;

use common::{Need, models, names, repository, shared, trial};
use oppose::batch::journal;
use oppose::output_file::OutputFile;
use oppose::pose::openpose_json::{file_name, to_json};
use oppose::pose::{FramePose, Pose, openpose_137};
use small_disk::SmallDisk;

const PROGRAM: &str = env!("CARGO_BIN_EXE_oppose-native");

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).env("OPPOSE_MODELS", models()).env_remove("OPPOSE_ENGINE");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Exit code, standard output, standard error.
fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(program(folder, arguments).output().unwrap())
}

fn clip(target: &Path) {
    fs::copy(repository("tests/clips/h264_25.mp4"), target).unwrap();
}

/// Writes a .pose file without found points for `tests/clips/h264_25.mp4`.
fn pose_of_clip(target: &Path) {
    let video = oppose::video::open(&repository("tests/clips/h264_25.mp4"), &Default::default()).unwrap();
    let (width, height) = (video.info().width, video.info().height);
    let frames = vec![FramePose::new(1, 137, 2); 50];
    let pose = Pose::from_frames(openpose_137(), width, height, 25.0, &frames).unwrap();
    fs::write(target, pose.to_bytes().unwrap()).unwrap();
}

/// The videos that a run would process, with their outputs.
fn planned(folder: &Path, arguments: &[&str]) -> (i32, Vec<String>, String) {
    let (code, list, text) = run(folder, &[arguments, &["--dry-run"]].concat());
    (code, list.lines().map(str::to_owned).collect(), text)
}

fn a_tree_is_searched_completely_and_once() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    for folder in ["tree/deep/er", "tree/pictures/10", "tree/.hidden", "elsewhere"] {
        fs::create_dir_all(at.join(folder)).unwrap();
    }
    for file in ["tree/a.mp4", "tree/._a.mp4", "tree/deep/er/b.mov", "tree/.hidden/c.mp4", "elsewhere/d.mkv"]
    {
        fs::write(at.join(file), b"").unwrap();
    }
    for picture in ["tree/pictures/10/1.png", "tree/pictures/10/2.png", "tree/deep/er/thumbnail.png"] {
        fs::write(at.join(picture), b"").unwrap();
    }
    // In a circle, out of the tree, twice to the same folder, and to nothing.
    symlink("..", at.join("tree/deep/up")).unwrap();
    symlink(at.join("elsewhere"), at.join("tree/link")).unwrap();
    symlink(at.join("elsewhere"), at.join("tree/link2")).unwrap();
    symlink("deep", at.join("tree/another")).unwrap();
    symlink("/nowhere/e.mp4", at.join("tree/e.mp4")).unwrap();
    symlink("/nowhere/folder", at.join("tree/lost")).unwrap();
    let (code, jobs, text) = planned(at, &["-r", "tree", "-o", "out"]);
    let mut jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    let linked = jobs.iter().position(|job| job.contains("d.mkv")).map(|place| jobs.remove(place)).unwrap();
    assert!(linked.starts_with("tree/link"), "{linked}");
    assert_eq!(
        jobs,
        [
            "tree/a.mp4\tout/a.pose",
            "tree/deep/er/b.mov\tout/deep/er/b.pose",
            "tree/e.mp4\tout/e.pose",
            "tree/pictures/10\tout/pictures/10.pose",
        ]
    );
    assert!(text.contains("tree/lost: is a link that leads nowhere"), "{text}");
    assert_eq!(code, 0, "a dry run only lists: {text}");
    assert!(!at.join("out").exists());
    let (_, jobs, _) = planned(&at.join("tree"), &["pictures", "-o", "out"]);
    assert_eq!(jobs, ["pictures/10\tout/10.pose"], "also without -r");
}

fn each_broken_link_is_one_failure() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    fs::create_dir(at.join("videos")).unwrap();
    clip(&at.join("videos/a.mp4"));
    symlink("/nowhere/b.mp4", at.join("videos/b.mp4")).unwrap();
    symlink("/nowhere/folder", at.join("videos/lost")).unwrap();
    let (code, _, text) = run(at, &["-r", "videos", "-o", "poses"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("videos/b.mp4 is a link to /nowhere/b.mp4, which does not exist"), "{text}");
    assert!(text.contains("1 done, 2 failed"), "{text}");
    assert!(at.join("poses/a.pose").exists());
}

fn an_unreadable_folder_is_one_failure() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    for folder in ["tree/secret", "tree/open"] {
        fs::create_dir_all(at.join(folder)).unwrap();
        fs::write(at.join(folder).join("a.mp4"), b"").unwrap();
        pose_of_clip(&at.join(folder).join("a.pose"));
    }
    fs::set_permissions(at, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(at.join("tree/secret"), Permissions::from_mode(0o0)).unwrap();
    fs::copy(PROGRAM, at.join("program")).unwrap();
    // Root can read everything, so the program runs as another user.
    let call = |arguments: &[&str]| {
        let program = at.join("program");
        let mut command = match rustix::process::geteuid().is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--clear-groups"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        ended(command.args(arguments).current_dir(at).output().unwrap())
    };
    let (_, jobs, text) = call(&["-r", "tree", "--dry-run"]);
    let (code, inspected, errors) = call(&["inspect", "tree"]);
    fs::set_permissions(at.join("tree/secret"), Permissions::from_mode(0o755)).unwrap();
    assert!(text.contains("tree/secret: cannot be read: Permission denied"), "{text}");
    assert!(jobs.is_empty() && text.contains("open/a.pose exists"), "{jobs}{text}");
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("tree/secret") && inspected.contains("tree/open/a.pose"), "{inspected}{errors}");
}

fn lists_can_contain_every_name() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    fs::write(at.join("list"), "\u{feff}a.mp4\r\n\r\n   \nb.mp4\tc.pose\n").unwrap();
    let (_, jobs, text) = planned(at, &["--list", "list", "-o", "out"]);
    assert_eq!(jobs, ["a.mp4\tout/a.pose", "b.mp4\tc.pose"], "{text}");
    for (contents, words) in [
        (&b""[..], "names no videos"),
        (b"\xef\xbb\xbf\n \r\n\n", "names no videos"),
        (b"a.mp4\n\tb.pose\n", "line 2 of the list list begins with a tab"),
        (b"\xff\xfea\0.\0m\0p\x004\0", "not plain text"),
    ] {
        fs::write(at.join("list"), contents).unwrap();
        let (code, _, text) = run(at, &["--list", "list", "-o", "out"]);
        assert!(code == 2 && text.contains(words), "{words}: {text}");
    }
    // The output of a dry run can be used as a list.
    let odd = OsStr::from_bytes(b"odd\tand\nlong \"name\" \xff.mp4");
    fs::create_dir(at.join("in")).unwrap();
    fs::write(at.join("in").join(odd), b"").unwrap();
    fs::write(at.join("list"), program(at, &["in", "-o", "out", "--dry-run"]).output().unwrap().stdout)
        .unwrap();
    let again = program(at, &["--list", "list", "--dry-run"]).output().unwrap().stdout;
    assert_eq!(again, fs::read(at.join("list")).unwrap());
    assert!(again.starts_with(b"\"in/odd\\tand\\nlong "), "{}", String::from_utf8_lossy(&again));
}

fn failed_videos_stay_in_the_list() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    for folder in ["first", "second"] {
        fs::create_dir(at.join(folder)).unwrap();
    }
    let odd = OsStr::from_bytes(b"odd\tand\nlong \x1b[31m.mp4");
    fs::write(at.join("first").join(odd), b"no video").unwrap();
    fs::write(at.join("first/bad.mp4"), b"no video").unwrap();
    clip(&at.join("second/good.mp4"));
    clip(&at.join("second/better.mp4"));
    let list = at.join("poses/oppose.failed.list");
    let lines = || fs::read(&list).map_or(0, |list| list.iter().filter(|&&byte| byte == b'\n').count());
    let (code, _, text) = run(at, &["first", "-o", "poses"]);
    assert_eq!((code, lines()), (1, 2), "{text}");
    // Control characters in names do not reach the terminal.
    assert!(!text.contains('\x1b') && text.contains("odd\\tand\\nlong \\x1b[31m.mp4"), "{text}");

    // Another run into the same folder, without failures.
    let (code, _, text) = run(at, &["second", "-o", "poses"]);
    assert_eq!((code, lines()), (0, 2), "{text}");
    clip(&at.join("first").join(odd));
    // The command that the summary suggests, without the output folder: the journal beside the list is continued.
    let journal = || fs::read_to_string(at.join("poses/oppose.jsonl")).unwrap();
    let before = journal().len();
    let (code, _, text) = run(at, &["--list", "poses/oppose.failed.list"]);
    assert_eq!((code, lines()), (1, 1), "{text}");
    assert_eq!(journal()[before..].matches(r#""outcome":"done""#).count(), 1, "{text}");
    clip(&at.join("first/bad.mp4"));
    let (code, _, text) = run(at, &["--list", "poses/oppose.failed.list", "-o", "poses"]);
    assert_eq!(code, 0, "{text}");
    assert!(!list.exists());
}

fn outputs_beside_their_videos_have_a_journal() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    fs::create_dir_all(at.join("videos/deep")).unwrap();
    for name in ["a.mp4", "b.mp4", "deep/c.mp4"] {
        clip(&at.join("videos").join(name));
    }
    fs::write(at.join("videos/bad.mp4"), b"no video").unwrap();
    let done = || {
        let journal = fs::read_to_string(at.join("videos/oppose.jsonl")).unwrap();
        journal.matches(r#""outcome":"done""#).count()
    };
    let (code, _, text) = run(at, &["videos/a.mp4", "videos/bad.mp4"]);
    assert_eq!((code, done()), (1, 1), "{text}");
    let (code, _, text) = run(at, &["-r", "videos"]);
    assert_eq!((code, done()), (1, 3), "{text}");
    assert!(text.contains("--list videos/oppose.failed.list"), "{text}");
    // Here too, a video that was still being copied is noticed.
    fs::OpenOptions::new().append(true).open(at.join("videos/a.mp4")).unwrap().write_all(&[0; 9]).unwrap();
    let (_, _, text) = run(at, &["videos"]);
    assert!(text.contains("a.replaced.pose") && done() == 4, "{text}");
}

fn only_journals_are_written_to_as_journals() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    clip(&at.join("a.mp4"));
    let video = fs::read(at.join("a.mp4")).unwrap();
    symlink("a.mp4", at.join("link")).unwrap();
    assert!(Command::new("mkfifo").arg(at.join("pipe")).status().unwrap().success());
    for (name, words) in [
        ("a.mp4", "is not a journal"),
        ("link", "symbolic link"),
        ("pipe", "not a regular file"),
        ("/dev/null", "not a regular"),
    ] {
        for more in [&[][..], &["--overwrite"]] {
            let (code, _, text) = run(at, &[&["a.mp4", "--journal", name][..], more].concat());
            assert!(code == 2 && text.contains(words), "{name}: {text}");
        }
    }
    assert!(fs::read(at.join("a.mp4")).unwrap() == video, "the video was written to");
}

fn a_video_that_has_grown_is_processed_again() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    fs::create_dir(at.join("videos")).unwrap();
    clip(&at.join("videos/a.mp4"));
    fs::copy(repository("tests/clips/h264_25.ts"), at.join("videos/b.ts")).unwrap();
    assert_eq!(run(at, &["videos", "-o", "poses"]).0, 0);
    let (code, _, text) = run(at, &["videos", "-o", "poses"]);
    assert!(code == 0 && text.contains("2 skipped"), "{text}");
    // The copy is complete only now.
    let stream = fs::read(at.join("videos/b.ts")).unwrap();
    fs::write(at.join("videos/b.ts"), [&stream[..], &stream[..]].concat()).unwrap();
    let (_, _, text) = run(at, &["videos", "-o", "poses"]);
    assert!(
        text.contains("poses/b.pose was made when its video had") && text.contains("1 skipped"),
        "{text}"
    );
    assert!(at.join("poses/b.replaced.pose").exists() && !at.join("poses/a.replaced.pose").exists());
    // The video is replaced by one of the same size.
    let file = File::options().write(true).open(at.join("videos/a.mp4")).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(60)).unwrap();
    drop(file);
    let (code, _, text) = run(at, &["videos/a.mp4", "videos/b.ts", "-o", "poses"]);
    assert!(text.contains("poses/a.pose was made before its video was last changed"), "{code} {text}");
    assert!(
        journal::read(&at.join("poses").join(journal::NAME))
            .unwrap()
            .iter()
            .all(|entry| entry.source.is_some())
    );
}

fn existing_files_are_replaced_not_overwritten() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    clip(&at.join("a.mp4"));
    pose_of_clip(&at.join("a.pose"));
    let video = fs::read(at.join("a.mp4")).unwrap();
    for name in ["sheet.png", "plot.svg", "table.csv", "frame.pose", "complete.bash"] {
        fs::hard_link(at.join("a.mp4"), at.join(name)).unwrap();
    }
    fs::set_permissions(at.join("a.mp4"), Permissions::from_mode(0o640)).unwrap();
    for arguments in [
        &["render", "a.mp4", "a.pose", "--sheet", "sheet.png"][..],
        &["inspect", "a.pose", "--plot", "plot.svg"],
        &["convert", "a.pose", "-o", "table.csv", "--overwrite"],
        &["convert", "a.pose", "-o", "frame.pose", "--overwrite"],
        &["generate", "bash", "-o", "complete.bash"],
    ] {
        let (code, _, text) = run(at, arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}");
        let target = arguments.iter().find(|word| {
            at.join(word).metadata().is_ok_and(|found| found.nlink() == 1 && **word != "a.pose")
        });
        let target = at.join(target.unwrap_or_else(|| panic!("{arguments:?} wrote through a link")));
        assert_eq!(target.metadata().unwrap().mode() & 0o777, 0o640, "{}", target.display());
        fs::remove_file(target).unwrap();
    }
    assert!(fs::read(at.join("a.mp4")).unwrap() == video, "the video was written to");
    assert_eq!(names(at), ["a.mp4", "a.pose"]);
}

fn a_full_disk_leaves_no_empty_files(disk: SmallDisk) {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    clip(&at.join("a.mp4"));
    pose_of_clip(&at.join("a.pose"));
    // All but the last few bytes are used: files can be created, but not filled.
    let mut filler = File::create(disk.path().join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    let target = |name: &str| disk.path().join(name).to_str().unwrap().to_owned();
    for arguments in [
        ["render", "a.mp4", "a.pose", "--sheet", &target("sheet.png")].as_slice(),
        &["render", "a.mp4", "a.pose", "-o", &target("pictures")],
        &["render", "a.mp4", "a.pose", "-o", &target("overlay.mp4")],
        &["inspect", "a.pose", "--plot", &target("plot.svg")],
        &["convert", "a.pose", "-o", &target("table.csv")],
        &["convert", "a.pose", "-o", &target("json")],
        &["generate", "bash", "-o", &target("complete.bash")],
        &["generate", "man", "-o", &target("man")],
    ] {
        let (code, _, text) = run(at, arguments);
        assert_eq!(code, 2, "{arguments:?}: {text}");
        for folder in ["", "pictures", "json", "man"] {
            let folder = disk.path().join(folder);
            let left = if folder.is_dir() { names(&folder) } else { Vec::new() };
            assert!(
                left.iter().all(|name| ["filler", "pictures", "json", "man"].contains(&name.as_str())),
                "{left:?}"
            );
        }
    }
}

fn a_file_size_limit_makes_the_video_fail() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    clip(&at.join("a.mp4"));
    for more in ["", "--workers 2"] {
        clip(&at.join("b.mp4"));
        let command = format!("ulimit -f 8; exec {PROGRAM} a.mp4 b.mp4 -o poses {more}");
        let mut shell = Command::new("bash");
        shell.args(["-c", &command]).current_dir(at).env("OPPOSE_MODELS", models());
        let (code, _, text) = ended(shell.output().unwrap());
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("File too large") && text.contains("2 failed"), "{text}");
        assert!(
            names(&at.join("poses")).iter().all(|name| name.starts_with("oppose.")),
            "{:?}",
            names(&at.join("poses"))
        );
    }
}

/// Runs the program such that it only removes leftover files from `folder`.
fn sweep(folder: &Path, wrapper: &[&str]) {
    let words = [wrapper, &[PROGRAM, "a.mp4", "--model-folder", "nowhere", "--engine", "holistic"]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder).env_remove("OPPOSE_ENGINE");
    let (code, _, text) = ended(command.output().unwrap());
    assert_eq!(code, 2, "{text}");
}

fn unfinished_files_are_not_touched_by_other_processes(wrapper: &'static [&'static str]) {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    clip(&at.join("a.mp4"));
    let live = OutputFile::create(&at.join("live.pose")).unwrap();
    let live_name = live.temporary_path().file_name().unwrap().to_str().unwrap().to_owned();
    // The file of a process that was killed: with the name of this very process, but not locked.
    let dead = live_name.replace("live", "dead");
    fs::write(at.join(&dead), b"").unwrap();
    sweep(at, wrapper);
    assert_eq!(names(at), [live_name.as_str(), "a.mp4"]);
    live.finish(false).unwrap();
    assert_eq!(names(at), ["a.mp4", "live.pose"]);
}

fn outputs_are_distinguished_from_other_files_beside_them() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    fs::create_dir_all(at.join("poses/deep")).unwrap();
    for name in ["a.pose", "b.partial.pose", "c.replaced.pose", ".d.pose", "._a.pose", "deep/e.pose"] {
        pose_of_clip(&at.join("poses").join(name));
    }
    symlink("..", at.join("poses/deep/up")).unwrap();
    let (code, lines, text) = run(at, &["inspect", "--json", "poses"]);
    assert_eq!((code, lines.lines().count()), (0, 2), "{lines}{text}");
    assert!(lines.contains("poses/a.pose") && lines.contains("poses/deep/e.pose"), "{lines}");
    // A file that is named explicitly is inspected.
    assert_eq!(run(at, &["inspect", "poses/b.partial.pose"]).0, 0);

    fs::create_dir(at.join("json")).unwrap();
    for name in [file_name("v", 0), format!("._{}", file_name("v", 0))] {
        fs::write(at.join("json").join(name), to_json(&FramePose::new(1, 137, 2)).unwrap()).unwrap();
    }
    let (code, _, text) = run(at, &["convert", "json", "-o", "v.pose", "--fps", "25", "--size", "64x48"]);
    assert_eq!(code, 0, "{text}");
}

fn an_unwritable_terminal_does_not_change_the_exit_code() {
    let scene = tempfile::tempdir().unwrap();
    let at = scene.path();
    fs::write(at.join("bad.pose"), b"no pose").unwrap();
    pose_of_clip(&at.join("a.pose"));
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for (arguments, code) in [
        (&["inspect", "bad.pose"][..], 2),
        (&["compare", "a.pose", "bad.pose"], 2),
        (&["convert", "a.pose", "-o", "b.pose"], 0),
        (&["slurm", "status", "."], 2),
        (&["generate", "bash", "-o", "missing/file"], 2),
        (&["render", "a.pose"], 2),
    ] {
        let status = program(at, arguments).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let models = || vec![Need::Models];
    type Test = (&'static str, Vec<Need>, fn());
    let tests: Vec<Test> = vec![
        ("a_tree_is_searched_completely_and_once", vec![], a_tree_is_searched_completely_and_once),
        ("each_broken_link_is_one_failure", models(), each_broken_link_is_one_failure),
        ("lists_can_contain_every_name", vec![], lists_can_contain_every_name),
        ("failed_videos_stay_in_the_list", models(), failed_videos_stay_in_the_list),
        ("outputs_beside_their_videos_have_a_journal", models(), outputs_beside_their_videos_have_a_journal),
        ("only_journals_are_written_to_as_journals", vec![], only_journals_are_written_to_as_journals),
        ("a_video_that_has_grown_is_processed_again", models(), a_video_that_has_grown_is_processed_again),
        ("existing_files_are_replaced_not_overwritten", vec![], existing_files_are_replaced_not_overwritten),
        ("a_file_size_limit_makes_the_video_fail", models(), a_file_size_limit_makes_the_video_fail),
        (
            "outputs_are_distinguished_from_other_files_beside_them",
            vec![],
            outputs_are_distinguished_from_other_files_beside_them,
        ),
        (
            "an_unwritable_terminal_does_not_change_the_exit_code",
            vec![],
            an_unwritable_terminal_does_not_change_the_exit_code,
        ),
    ];
    let mut trials: Vec<_> = tests.into_iter().map(|(name, needs, test)| trial(name, &needs, test)).collect();
    let as_nobody = match rustix::process::geteuid().is_root() {
        true => vec![Need::Program("setpriv")],
        false => vec![],
    };
    let unreadable = "an_unreadable_folder_is_one_failure";
    trials.push(trial(unreadable, &as_nobody, an_unreadable_folder_is_one_failure));
    let left_alone = unfinished_files_are_not_touched_by_other_processes;
    let name = "unfinished_files_are_not_touched_by_other_processes";
    trials.push(trial(name, &[], move || left_alone(&["env"])));
    let namespace: &[&str] = &["unshare", "--pid", "--fork", "--mount-proc"];
    let mut attempt = Command::new(namespace[0]);
    let can = attempt.args(&namespace[1..]).arg("true").stderr(Stdio::null()).status();
    let needs = if can.is_ok_and(|status| status.success()) { vec![] } else { vec![Need::Namespace] };
    trials.push(trial(&format!("{name}_of_another_pid_namespace"), &needs, move || left_alone(namespace)));
    let full = "a_full_disk_leaves_no_empty_files";
    match SmallDisk::mount(64) {
        Some(disk) => trials.push(trial(full, &[], move || a_full_disk_leaves_no_empty_files(disk))),
        None => trials.push(trial(full, &[Need::Mount], || {})),
    }
    let case = [Need::Shared("cases/picture_folders")];
    trials.push(trial("shared_cases_of_folders_and_lists", &case, shared_cases_of_folders_and_lists));
    trials
}

fn shared_cases_of_folders_and_lists() {
    let scene = tempfile::tempdir().unwrap();
    let (pictures, list) = (shared("cases/picture_folders"), shared("cases/list_with_bom.txt"));
    for more in [&["-r"][..], &[]] {
        let (_, jobs, text) =
            planned(scene.path(), &[&[pictures.to_str().unwrap(), "-o", "out"][..], more].concat());
        assert!(jobs.len() == 2 && jobs[0].ends_with("clip1\tout/clip1.pose"), "{jobs:?} {text}");
    }
    let (_, jobs, text) = planned(scene.path(), &["--list", list.to_str().unwrap(), "-o", "out"]);
    assert_eq!(jobs, ["a.mp4\tout/a.pose", "b.mp4\tout/b.pose"], "{text}");
}
