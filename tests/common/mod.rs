//! Shared by the test programs: paths, commands, and tests that report why they cannot run.
#![allow(dead_code)] // No test program uses all of it.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};

/// Something external that a test needs.
pub enum Need {
    /// A Python that can import this module: `$OPPOSE_PYTHON`, or the one in `.venv` that `scripts/test.sh` creates.
    Python(&'static str),
    /// A program in `PATH`.
    Program(&'static str),
    /// The models: `$OPPOSE_MODELS`, or the folder `models`.
    Models,
    /// A net of the engine `holistic` that not every models folder has.
    Net(&'static str),
    /// A file of test data that is too large for the repository or not ours to publish: in `$OPPOSE_SHARED`, or in
    /// `shared` beside the checkout.
    Shared(&'static str),
    /// The real OpenPose: a build without a GPU, with its program, in `$OPENPOSE_DIR`.
    OpenPose,
    /// pose-format's viewer for browsers, the npm package `pose-viewer`, in `$POSE_VIEWER_DIR`, and Chromium.
    PoseViewer,
    /// An NVIDIA GPU that the engine can use.
    Gpu,
    /// No GPU: for tests of the messages without one.
    NoGpu,
    /// Minutes of run time, which `$OPPOSE_LONG_TESTS` permits.
    LongTests,
    /// The permission to mount a file system; listed only after an attempt was refused.
    Mount,
    /// The permission to create a PID namespace; listed only after an attempt was refused.
    Namespace,
}

impl Need {
    /// Why the need is not met, if it is not.
    fn missing(&self) -> Option<String> {
        match self {
            Self::Python("oppose") => (!can_import("oppose")).then(|| {
                "no Python with the package oppose; scripts/build-wheel.sh builds it, OPPOSE_PYTHON names the Python \
                 in which it is installed"
                    .to_owned()
            }),
            Self::Python(module) => (!can_import(module)).then(|| {
                format!(
                    "no Python with {module}; scripts/test.sh installs it, MediaPipe for Python up to 3.12"
                )
            }),
            Self::Program(name) => {
                let found =
                    Command::new(name).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
                found.is_err().then(|| format!("no program {name}"))
            }
            Self::Models => {
                let folder = models().join("holistic");
                (!folder.is_dir()).then(|| "no models; scripts/fetch-models.sh fetches them".to_owned())
            }
            Self::Net(name) => (!models().join("holistic").join(name).is_file())
                .then(|| format!("no {name} among the models; scripts/fetch-models.sh fetches it")),
            Self::OpenPose => openpose_program()
                .is_none()
                .then(|| "no OpenPose; OPENPOSE_DIR names the folder of a build of it".to_owned()),
            Self::PoseViewer => match pose_viewer() {
                None => {
                    Some("no pose-viewer; POSE_VIEWER_DIR names the folder of the npm package".to_owned())
                }
                Some(_) => Self::Program("chromium").missing(),
            },
            Self::Gpu => oppose::gpu::detect().err().map(|error| format!("no GPU: {error}")),
            Self::NoGpu => oppose::gpu::detect().is_ok().then(|| "there is a GPU".to_owned()),
            Self::LongTests => env::var_os("OPPOSE_LONG_TESTS")
                .is_none()
                .then(|| "takes minutes; OPPOSE_LONG_TESTS=1 runs it".to_owned()),
            Self::Mount => Some("this user may not mount a small file system".to_owned()),
            Self::Namespace => Some("this user may not create a PID namespace".to_owned()),
            Self::Shared(file) => (!shared(file).exists()).then(|| format!("no {file} in the shared folder")),
        }
    }
}

/// Whether Python can import a module. Tried once per module, since importing MediaPipe takes seconds.
fn can_import(module: &'static str) -> bool {
    static ANSWERS: Mutex<BTreeMap<&str, bool>> = Mutex::new(BTreeMap::new());
    *ANSWERS.lock().expect("no panic while it is held").entry(module).or_insert_with(|| {
        let import = Command::new(python()).args(["-c", &format!("import {module}")]).output();
        import.is_ok_and(|output| output.status.success())
    })
}

/// A test that is reported as ignored, with the reason in its name, if a need is not met.
pub fn trial(name: &str, needs: &[Need], test: impl FnOnce() + Send + 'static) -> Trial {
    match needs.iter().find_map(Need::missing) {
        None => Trial::test(name, move || {
            test();
            Ok(())
        }),
        Some(reason) => {
            let name = format!("{name} (skipped: {reason})");
            Trial::test(name, || Err(Failed::from(reason))).with_ignored_flag(true)
        }
    }
}

/// Runs the tests and ends the program.
pub fn run(trials: Vec<Trial>) -> ! {
    libtest_mimic::run(&Arguments::from_args(), trials).exit()
}

/// The tests of each module.
pub type Modules = Vec<(&'static str, Vec<Trial>)>;

/// Prefixes the tests with the names of their modules: `cargo test --test suite batch` runs those of one module.
fn with_module_names(modules: Modules) -> Vec<Trial> {
    let named = |(module, trials): (&'static str, Vec<Trial>)| {
        trials.into_iter().map(move |trial| trial.with_kind(module))
    };
    modules.into_iter().flat_map(named).collect()
}

/// Runs the tests of several modules and ends the program.
pub fn run_modules(modules: Modules) -> ! {
    run(with_module_names(modules))
}

/// Runs the tests of several modules, one test at a time.
pub fn run_modules_one_at_a_time(modules: Modules) -> ! {
    run_one_at_a_time(with_module_names(modules))
}

/// Runs the tests one at a time, whatever the command line says, for tests that measure their own process.
pub fn run_one_at_a_time(trials: Vec<Trial>) -> ! {
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit()
}

/// A path in this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The first 20 frames of the sample, for tests that do not depend on the number of frames.
pub fn short_sample() -> &'static Path {
    static SHORT: OnceLock<PathBuf> = OnceLock::new();
    SHORT.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("short_sample.mp4");
        // Another test program may be reading the existing file.
        let own = path.with_file_name(format!("short_sample-{}.mp4", std::process::id()));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-y", "-i"]).arg(repository("assets/sample.mp4"));
        output(ffmpeg.args(["-frames:v", "20", "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p"]).arg(&own));
        std::fs::rename(&own, &path).unwrap();
        path
    })
}

/// The Python whose packages we compare with.
pub fn python() -> PathBuf {
    env::var_os("OPPOSE_PYTHON").map_or_else(|| repository(".venv/bin/python"), PathBuf::from)
}

/// The models folder.
pub fn models() -> PathBuf {
    env::var_os("OPPOSE_MODELS").map_or_else(|| repository("models"), PathBuf::from)
}

/// `openpose.bin` of the build in `$OPENPOSE_DIR`.
pub fn openpose_program() -> Option<PathBuf> {
    let program = Path::new(&env::var_os("OPENPOSE_DIR")?).join("build/examples/openpose/openpose.bin");
    program.exists().then_some(program)
}

/// The npm package `pose-viewer`.
pub fn pose_viewer() -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("POSE_VIEWER_DIR")?);
    folder.join("dist/pose-viewer/pose-viewer.esm.js").exists().then_some(folder)
}

/// A file of the test data outside this repository.
pub fn shared(file: &str) -> PathBuf {
    env::var_os("OPPOSE_SHARED").map_or_else(|| repository("../shared"), PathBuf::from).join(file)
}

/// The names of a folder's entries, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("a name in UTF-8")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// Runs a script of `tests/python` and returns what it prints.
pub fn run_python<I: AsRef<std::ffi::OsStr>>(script: &str, arguments: impl IntoIterator<Item = I>) -> String {
    let mut command = Command::new(python());
    command.arg(repository("tests/python").join(script)).args(arguments);
    output(&mut command)
}

/// Runs a command that must succeed and returns what it prints.
pub fn output(command: &mut Command) -> String {
    String::from_utf8(bytes(command)).expect("text")
}

/// Sends a signal to a process; false if it has already ended.
pub fn signal(process: u32, signal: Signal) -> bool {
    let process = Pid::from_raw(process.try_into().expect("a process number")).expect("not 0");
    kill_process(process, signal).is_ok()
}

/// Runs a command that must succeed and returns the bytes that it prints.
pub fn bytes(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    output.stdout
}
