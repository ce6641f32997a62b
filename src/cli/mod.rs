//! The command line: what was typed becomes checked settings, settings become calls of the library.

mod compare;
mod convert;
mod doctor;
mod engine;
mod engine_process;
mod estimate;
pub mod estimation;
mod events;
mod generate;
mod holistic_options;
mod inspect;
mod logs;
mod memory;
mod neighbours;
mod openpose_options;
mod overlays;
mod people;
mod points;
mod progress;
mod render;
mod report;
mod signals;
mod slurm;
mod stderr_filter;
mod terminal;
mod thumbnails;
mod view;
mod workers;

use oppose::Chain;
use std::env;
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Video in, .pose out
///
/// Finds the keypoints of the people in every frame of a video (body, face and hands) and writes them as
/// one .pose file, the binary format of the pose-format library.
#[derive(Debug, Parser)]
#[command(
    name = "oppose-native",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = MANUAL
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    estimate: estimate::Arguments,
    #[command(flatten)]
    logs: logs::LogArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what each engine needs, what is missing on this machine and what to do about it
    Doctor(doctor::Arguments),
    /// Summarise .pose files and their quality: one file, or a folder sorted worst first
    Inspect(inspect::Arguments),
    /// Measure how far two .pose files of the same video differ
    Compare(compare::Arguments),
    /// Convert OpenPose JSON to .pose, .pose to OpenPose JSON or CSV, or old .pose versions to 0.2
    Convert(convert::Arguments),
    /// Draw a .pose file over its video, as a video, GIF, pictures or contact sheet
    Render(render::Arguments),
    /// Write an HTML report of a whole corpus: runs, distributions, a table of files, contact sheets
    Report(report::Arguments),
    /// Write an HTML page that plays a video with one or two .pose files drawn over it
    View(view::Arguments),
    /// Process videos on a SLURM cluster: submit, status, resume
    Slurm(slurm::Arguments),
    /// Generate manual pages and shell completions
    Generate(generate::Arguments),
    /// What OpenPose's own process is started with
    #[command(name = engine_process::NAME, hide = true)]
    EngineProcess(estimate::Arguments),
    /// What a worker process is started with
    #[command(name = workers::NAME, hide = true)]
    Worker(estimate::Arguments),
    /// What a process that draws an overlay is started with
    #[command(name = overlays::NAME, hide = true)]
    DrawOverlay(estimate::Arguments),
    /// What a process that makes pictures for a page is started with
    #[command(name = thumbnails::NAME, hide = true)]
    MakeThumbnails(thumbnails::Arguments),
}

const MANUAL: &str = "\
Examples:
  oppose-native video.mp4                  writes video.pose beside it
  oppose-native video.mp4 -o poses/        writes poses/video.pose
  oppose-native clips/ -o poses/           every video in a folder; the nets are loaded once
  oppose-native frames/ --fps 29.97        a folder of pictures, in natural order
  ffmpeg ... -f matroska - | oppose-native - -o out.pose
  oppose-native render video.mp4 video.pose -o look.mp4
  oppose-native render video.mp4 video.pose --sheet look.png
  oppose-native inspect poses/             a table of all files, worst first
  oppose-native report poses/              the same as an HTML page with charts and contact sheets
  oppose-native view video.mp4 video.pose  a page that plays the video with the skeleton over it

Coming from OpenPose or pose-format:
  Options of OpenPose's program (--video, --image_dir, --face, --hand, --display 0 ...) and of pose-format's
  scripts (-i, -d, --format mediapipe, --num-workers ...) mean the same here, or the program tells you what
  to type instead.

Output:
  A .pose file appears complete or not at all. If a video breaks off, the frames before that point are kept in
  NAME.partial.pose, and the video counts as failed. The file has one frame for each frame of the video, with
  coordinates in pixels of the upright frame and the exact, unrounded frame rate.

Exit status:
  0  every video is done
  1  some videos failed; the others are done
  2  nothing ran: invalid arguments, or a file or model is missing
  130, 143  stopped by SIGINT or SIGTERM: finished files are kept, unfinished ones removed

Environment:
  OPPOSE_MODELS  the models folder, unless --model-folder is given
  OPPOSE_ENGINE  the engine, unless --engine is given
  OPPOSE_LOG     what to log, such as debug, or oppose::batch=debug; takes precedence over -v
  OPPOSE_SHIM    the library liboppose_openpose.so, if it is not beside the program
";

/// How the program ended; the numbers are a contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    AllDone,
    SomeFailed,
    NothingRan,
    Signal(u8),
}

impl Outcome {
    /// Of a process that `oppose::process::run` started: it prints why it failed, and the other process shows that.
    fn of_child(ended: Result<(), Box<dyn Error>>) -> Self {
        match ended {
            Ok(()) => Self::AllDone,
            Err(error) => {
                // Control characters are escaped by the process that shows it.
                let _ = writeln!(io::stderr(), "{}", Chain(&*error));
                Self::SomeFailed
            }
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::AllDone => 0,
            Outcome::SomeFailed => 1,
            Outcome::NothingRan => 2,
            // As a shell reports a program that a signal ended.
            Outcome::Signal(signal) => 128 + signal,
        }
        .into()
    }
}

/// Runs the program as it was called.
pub fn run() -> ExitCode {
    signals::survive_file_size_limit();
    let arguments = match neighbours::translate(env::args_os(), &Cli::command()) {
        Ok(arguments) => arguments,
        Err(sentences) => {
            sentences.iter().for_each(terminal::say);
            return Outcome::NothingRan.into();
        }
    };
    let cli = Cli::parse_from(arguments);
    // What these two print is the reason why they failed.
    if !matches!(cli.command, Some(Command::DrawOverlay(_) | Command::MakeThumbnails(_))) {
        cli.logs.start();
    }
    let outcome = match cli.command {
        None => estimate::run(&cli.estimate),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments),
        Some(Command::Inspect(arguments)) => inspect::run(&arguments),
        Some(Command::Compare(arguments)) => compare::run(&arguments),
        Some(Command::Generate(arguments)) => generate::run(&arguments),
        Some(Command::Convert(arguments)) => convert::run(&arguments),
        Some(Command::Render(arguments)) => render::run(&arguments),
        Some(Command::Report(arguments)) => report::run(&arguments),
        Some(Command::View(arguments)) => view::run(&arguments),
        Some(Command::Slurm(arguments)) => slurm::run(&arguments),
        Some(Command::EngineProcess(arguments)) => engine_process::run(&arguments),
        Some(Command::Worker(arguments)) => workers::serve(&arguments),
        Some(Command::DrawOverlay(arguments)) => overlays::run(&arguments),
        Some(Command::MakeThumbnails(arguments)) => thumbnails::run(&arguments),
    };
    outcome.into()
}
