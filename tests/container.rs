//! The definition files of the container images and the scripts that build them.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

mod common;
// The check of the build script.
#[path = "../ffi/version.rs"]
mod version;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Need, names, output, repository, trial};
use libtest_mimic::Trial;
use oppose::pose::Pose;

const DEFINITIONS: [&str; 2] = ["Singularity.def", "Singularity.native.def"];

/// A root file system to build on instead of the base image. Like the image, it has OpenPose in /openpose.
/// `tests/stand_in/container_base.sh` makes one with a stand-in for OpenPose.
const BASE_VARIABLE: &str = "OPPOSE_CONTAINER_BASE";

/// A section of a definition file.
struct Section {
    /// The text after the per cent sign: `files from build`.
    title: String,
    lines: Vec<String>,
}

/// A stage: its header and its sections.
#[derive(Default)]
struct Stage {
    header: Vec<(String, String)>,
    sections: Vec<Section>,
}

impl Stage {
    fn sections(&self, name: &str) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.title.split(' ').next() == Some(name))
    }
}

/// Splits a definition file into its stages; a line outside of all sections fails the test.
fn stages(definition: &str) -> Vec<Stage> {
    let text = fs::read_to_string(repository(definition)).unwrap();
    let mut stages: Vec<Stage> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(title) = line.strip_prefix('%') {
            let section = Section { title: title.trim().to_owned(), lines: Vec::new() };
            stages.last_mut().expect("a header comes first").sections.push(section);
        } else if line.starts_with(' ') {
            let section = stages.last_mut().and_then(|stage| stage.sections.last_mut());
            section.unwrap_or_else(|| panic!("{line}: in no section")).lines.push(line.to_owned());
        } else {
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}: no header line"));
            if key == "Bootstrap" {
                stages.push(Stage::default());
            }
            stages.last_mut().expect("Bootstrap comes first").header.push((key.into(), value.into()));
        }
    }
    stages
}

fn definitions_have_what_apptainer_requires() {
    const SECTIONS: [&str; 7] = ["files", "post", "environment", "runscript", "test", "help", "labels"];
    for definition in DEFINITIONS {
        let stages = stages(definition);
        assert_eq!(stages.len(), 2, "{definition}");
        for stage in &stages {
            let keys: Vec<&str> = stage.header.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, ["Bootstrap", "From", "Stage"], "{definition}");
            for section in &stage.sections {
                let name = section.title.split(' ').next().unwrap();
                assert!(SECTIONS.contains(&name), "{definition}: %{}", section.title);
                assert!(!section.lines.is_empty(), "{definition}: %{} is empty", section.title);
            }
        }
        for name in SECTIONS {
            assert!(stages[1].sections(name).next().is_some(), "{definition}: no %{name} at the end");
        }
    }
}

/// The sources of `%files`, without those of another stage.
fn copied_files(definition: &str) -> Vec<PathBuf> {
    let stages = stages(definition);
    let sections = stages.iter().flat_map(|stage| stage.sections("files"));
    let lines = sections.filter(|section| section.title == "files").flat_map(|section| &section.lines);
    lines.map(|line| repository(line.split_whitespace().next().unwrap())).collect()
}

fn definitions_copy_existing_files_and_all_that_cargo_reads() {
    for definition in DEFINITIONS {
        let copied = copied_files(definition);
        for path in &copied {
            assert!(path.exists(), "{definition}: {} does not exist", path.display());
        }
        for needed in ["Cargo.toml", "Cargo.lock", "build.rs", "crates", "ffi", "src", "tests", "benches"] {
            let needed = repository(needed);
            assert!(!needed.exists() || copied.contains(&needed), "{definition}: {}", needed.display());
        }
        for included in included_files() {
            let is_copied = copied.iter().any(|path| included.starts_with(path));
            assert!(is_copied, "{definition}: {} is compiled in", included.display());
        }
    }
}

/// Files outside of `src` that `include_str!` compiles in.
fn included_files() -> Vec<PathBuf> {
    let sources = output(Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "ls-files", "*.rs"]));
    let mut included = Vec::new();
    for source in sources.lines().map(repository).filter(|source| source.exists()) {
        let text = fs::read_to_string(&source).unwrap();
        for (at, _) in text.match_indices("include_str!(\"../") {
            let name = text[at..].split('"').nth(1).unwrap();
            included.push(source.parent().unwrap().join(name).canonicalize().unwrap());
        }
    }
    assert!(!included.is_empty());
    included
}

/// Writes each script of both definition files to a file.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut scripts = Vec::new();
    for definition in DEFINITIONS {
        for (number, stage) in stages(definition).iter().enumerate() {
            for name in ["post", "environment", "runscript", "test"] {
                for section in stage.sections(name) {
                    let path = folder.join(format!("{definition}.{number}.{name}.sh"));
                    fs::write(&path, format!("#!/bin/sh -e\n{}\n", section.lines.join("\n"))).unwrap();
                    scripts.push(path);
                }
            }
        }
    }
    assert_eq!(scripts.len(), 10);
    scripts
}

fn scripts_in_the_definitions_are_valid_shell() {
    let folder = tempfile::tempdir().unwrap();
    for script in scripts(folder.path()) {
        output(Command::new("sh").arg("-n").arg(&script));
    }
}

fn shellcheck_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = scripts(folder.path());
    let programs = ["scripts/build-container.sh", "scripts/slurm_build_container.sh"].map(repository);
    output(Command::new("shellcheck").args(scripts).args(programs));
}

/// A stand-in for a program, which logs its arguments and working folder and then runs `then`.
fn stand_in(folder: &Path, name: &str, then: &str) {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(name);
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo {name} 1 && exit\necho \"$PWD: {name} $*\" >> \"$CALLS\"\n{then}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes the scripts believe that the user running them is not in /etc/subuid and owns nothing.
fn become_an_ordinary_user(bin: &Path) {
    let id = bin.join("id");
    fs::write(&id, "#!/bin/sh\n[ \"$1\" = -u ] && echo 4242424 || echo nobody-of-that-name\n").unwrap();
    fs::set_permissions(&id, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Writes the image, whose path is the second to last argument.
const BUILDS: &str = "while [ $# -gt 2 ]; do shift; done; echo image > \"$1\"";

/// Runs a script in `folder`, with only the folder `bin` in it and the system's folders in `PATH`.
fn script(folder: &Path, script: &Path, arguments: &[&str], module: Option<&str>) -> (Output, String) {
    let mut command = Command::new("bash");
    command.arg(script).args(arguments).current_dir(folder).env("CALLS", folder.join("calls"));
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display()));
    command.env_remove("SLURM_SUBMIT_DIR");
    if let Some(module) = module {
        command.env("BASH_FUNC_module%%", format!("() {{ {module}\n}}"));
    }
    let output = command.output().unwrap();
    (output, fs::read_to_string(folder.join("calls")).unwrap_or_default())
}

fn an_image_is_built_with_the_installed_program() {
    let folder = tempfile::tempdir().unwrap();
    let build = repository("scripts/build-container.sh");
    stand_in(&folder.path().join("bin"), "singularity", BUILDS);
    let (output, calls) = script(folder.path(), &build, &[], None);
    assert!(output.status.success(), "{output:?}");
    assert!(calls.starts_with(&format!("{}: singularity build ", env!("CARGO_MANIFEST_DIR"))), "{calls}");
    assert!(calls.trim_end().ends_with(" Singularity.def"), "{calls}");
    assert!(folder.path().join("oppose.sif").exists());

    stand_in(&folder.path().join("bin"), "apptainer", BUILDS);
    let (output, calls) = script(folder.path(), &build, &["--native", "images/small.sif"], None);
    assert!(output.status.success(), "{output:?}");
    let last = calls.lines().last().unwrap();
    assert!(last.contains("apptainer build ") && last.ends_with(" Singularity.native.def"), "{calls}");
    assert_eq!(names(&folder.path().join("images")), ["small.sif"]);
}

fn a_build_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    stand_in(&folder.path().join("bin"), "apptainer", &format!("{BUILDS}; exit 3"));
    let build = repository("scripts/build-container.sh");
    let (output, _) = script(folder.path(), &build, &["images/oppose.sif"], None);
    assert_eq!(output.status.code(), Some(3));
    assert!(names(&folder.path().join("images")).is_empty());
}

fn apptainer_is_loaded_from_a_module() {
    let folder = tempfile::tempdir().unwrap();
    stand_in(&folder.path().join("hidden"), "apptainer", BUILDS);
    let load = format!("[ \"$*\" = \"load apptainer\" ] && PATH={}/hidden:$PATH", folder.path().display());
    let build = repository("scripts/build-container.sh");
    let (output, calls) = script(folder.path(), &build, &[], Some(&load));
    assert!(output.status.success() && calls.contains("apptainer build"), "{output:?} {calls}");

    let empty = tempfile::tempdir().unwrap();
    let (output, _) = script(empty.path(), &build, &[], Some("return 1"));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("neither apptainer nor singularity is here"), "{text}");
}

fn a_job_finds_the_checkout_it_was_submitted_from() {
    let folder = tempfile::tempdir().unwrap();
    // SLURM runs a copy of the script from a folder of its own.
    let spooled = folder.path().join("slurm_script");
    fs::copy(repository("scripts/slurm_build_container.sh"), &spooled).unwrap();
    stand_in(&folder.path().join("bin"), "apptainer", BUILDS);
    let job = |submitted: &Path| {
        let mut command = Command::new("bash");
        command.arg(&spooled).arg("oppose.sif").current_dir(folder.path());
        command.env("CALLS", folder.path().join("calls")).env("SLURM_SUBMIT_DIR", submitted);
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().join("bin").display()));
        command.output().unwrap()
    };
    for submitted in ["", "scripts"].map(repository) {
        let output = job(&submitted);
        assert!(output.status.success(), "{output:?}");
        assert!(folder.path().join("oppose.sif").exists());
        fs::remove_file(folder.path().join("oppose.sif")).unwrap();
    }
    let output = job(folder.path());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("call sbatch from the checkout"), "{text}");
}

fn an_ordinary_user_builds_without_the_fakeroot_command() {
    let build = repository("scripts/build-container.sh");
    for (program, expected) in [("apptainer", true), ("singularity", false)] {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        stand_in(&bin, program, BUILDS);
        become_an_ordinary_user(&bin);
        let (output, calls) = script(folder.path(), &build, &[], None);
        assert!(output.status.success() && calls.contains(" build --fakeroot "), "{output:?} {calls}");
        assert_eq!(calls.contains("--ignore-fakeroot-command"), expected, "{calls}");
    }
}

fn the_base_can_be_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let keeps = "while [ $# -gt 2 ]; do shift; done; echo image > \"$1\"; cp \"$2\" \"$HOME/used.def\"";
    stand_in(&folder.path().join("bin"), "apptainer", &format!("HOME={}\n{keeps}", folder.path().display()));
    let build = repository("scripts/build-container.sh");
    let headers = |base: &str| -> Vec<String> {
        let (output, _) = script(folder.path(), &build, &["--base", base], None);
        assert!(output.status.success(), "{output:?}");
        let used = fs::read_to_string(folder.path().join("used.def")).unwrap();
        used.lines()
            .filter(|line| line.starts_with("Bootstrap") || line.starts_with("From"))
            .map(str::to_owned)
            .collect()
    };
    let pinned = format!("docker://cwaffles/openpose@sha256:{}", "0".repeat(64));
    let from = format!("From: {}", &pinned["docker://".len()..]);
    assert_eq!(headers(&pinned), ["Bootstrap: docker", &from, "Bootstrap: docker", &from]);
    fs::create_dir(folder.path().join("a & b")).unwrap();
    let from = format!("From: {}", folder.path().canonicalize().unwrap().join("a & b").display());
    assert_eq!(headers("a & b"), ["Bootstrap: localimage", &from, "Bootstrap: localimage", &from]);
    let (output, _) = script(folder.path(), &build, &["--base", "absent"], None);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no absent"));
}

fn a_base_owned_by_another_user_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    stand_in(&bin, "apptainer", BUILDS);
    become_an_ordinary_user(&bin);
    fs::create_dir(folder.path().join("base")).unwrap();
    let build = repository("scripts/build-container.sh");
    let (output, calls) = script(folder.path(), &build, &["--base", "base"], None);
    assert_eq!((output.status.code(), calls.as_str()), (Some(2), ""));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("belongs to another user"), "{text}");
}

fn only_openpose_1_5_1_is_accepted() {
    let header = |version: &str| {
        format!("#include <string>\nconst std::string OPEN_POSE_VERSION_STRING = \"{version}\";\n")
    };
    assert_eq!(version::check(&header("1.5.1")), Ok(()));
    for other in ["1.5.0", "1.6.0", "1.7.0", "1.5.10", ""] {
        let reason = version::check(&header(other)).unwrap_err();
        assert!(reason.contains(&format!("OpenPose {other}, ")), "{reason}");
    }
    for silent in ["", "OPEN_POSE_VERSION_STRING", "#define OPEN_POSE \"1.5.1\""] {
        assert!(version::check(silent).unwrap_err().contains("do not say"), "{silent}");
    }
}

/// Builds the image on a local root file system, and uses it as users do.
fn an_image_is_built_and_runs(base: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("oppose.sif");
    // This also runs %test.
    output(Command::new(repository("scripts/build-container.sh")).arg("--base").arg(base).arg(&image));

    fs::copy(repository("assets/sample.mp4"), folder.path().join("video.mp4")).unwrap();
    let apptainer = |action: &str, arguments: &[&str]| {
        let mut command = Command::new("apptainer");
        command.current_dir(folder.path()).args([action, "--bind"]).arg(folder.path()).arg(&image);
        output(command.args(arguments))
    };
    let small = ["--net_resolution", "-1x160", "--number_people_max", "1"];
    let smaller = ["--face_net_resolution", "160x160", "--hand_net_resolution", "160x160"];
    apptainer("exec", &[&["oppose-native", "video.mp4"][..], &small, &smaller].concat());
    let pose = Pose::read_file(&folder.path().join("video.pose")).unwrap();
    assert_eq!((pose.frames(), pose.header.width), (90, 480));
    assert_eq!(pose.header.skeleton.components.len(), 4, "OpenPose's body, face and hands");
    assert!(apptainer("run", &["--version"]).starts_with("oppose-native "));
    assert!(apptainer("test", &[]).contains("a video became a .pose file"));
    let report = apptainer("run", &["doctor", "--json"]);
    assert!(report.contains("inside the image"), "{report}");
    // The toolchain has been removed.
    let left = apptainer("exec", &["sh", "-c", "ls -d /opt/rust /opt/cargo /opt/source 2>/dev/null || true"]);
    assert_eq!(left, "");
    // FFmpeg's run-time libraries were installed as packages.
    let packages = apptainer("exec", &["sh", "-c", "dpkg-query --show 'libavcodec[0-9]*'"]);
    assert!(packages.contains("libavcodec"), "{packages}");
    let help = output(Command::new("apptainer").arg("run-help").arg(&image));
    assert!(help.contains("Video in, .pose out"), "{help}");
}

/// The test with the real Apptainer, if it is installed and there is a base to build on.
fn real_apptainer() -> Trial {
    const NAME: &str = "an_image_is_built_and_runs";
    match env::var_os(BASE_VARIABLE).map(PathBuf::from) {
        Some(base) => trial(NAME, &[Need::Program("apptainer")], move || an_image_is_built_and_runs(&base)),
        None => {
            let name = format!("{NAME} (skipped: {BASE_VARIABLE} names no root file system with OpenPose)");
            Trial::test(name, || Ok(())).with_ignored_flag(true)
        }
    }
}

fn main() {
    common::run(vec![
        trial("definitions_have_what_apptainer_requires", &[], definitions_have_what_apptainer_requires),
        trial(
            "definitions_copy_existing_files_and_all_that_cargo_reads",
            &[],
            definitions_copy_existing_files_and_all_that_cargo_reads,
        ),
        trial("scripts_in_the_definitions_are_valid_shell", &[], scripts_in_the_definitions_are_valid_shell),
        trial("shellcheck_finds_nothing", &[Need::Program("shellcheck")], shellcheck_finds_nothing),
        trial(
            "an_image_is_built_with_the_installed_program",
            &[],
            an_image_is_built_with_the_installed_program,
        ),
        trial("a_build_that_fails_leaves_nothing_behind", &[], a_build_that_fails_leaves_nothing_behind),
        trial(
            "an_ordinary_user_builds_without_the_fakeroot_command",
            &[],
            an_ordinary_user_builds_without_the_fakeroot_command,
        ),
        trial("the_base_can_be_pinned", &[], the_base_can_be_pinned),
        trial("a_base_owned_by_another_user_is_refused", &[], a_base_owned_by_another_user_is_refused),
        trial("only_openpose_1_5_1_is_accepted", &[], only_openpose_1_5_1_is_accepted),
        trial("apptainer_is_loaded_from_a_module", &[], apptainer_is_loaded_from_a_module),
        trial(
            "a_job_finds_the_checkout_it_was_submitted_from",
            &[],
            a_job_finds_the_checkout_it_was_submitted_from,
        ),
        real_apptainer(),
    ])
}
