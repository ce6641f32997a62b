//! `oppose-native slurm`: the videos of a folder over a cluster's GPUs. SLURM does the scheduling.

mod status;
mod submit;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::{Args, Subcommand};
use oppose::Chain;
use oppose::batch::journal::{self, Entry};
use oppose::batch::slurm::Run;
use oppose::batch::{Job, PlanError};
use oppose::process::{self, ProcessError};

use self::status::status;
use self::submit::{resume, submit};
use super::Outcome;
use super::estimate::plan_hint;
use super::report::PageError;
use super::terminal::{printable, say_error};

/// How long SLURM may take to answer: a busy controller takes a minute or two.
const PATIENCE: Duration = Duration::from_secs(300);

/// The options of `slurm`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: SlurmCommand,
}

#[derive(Debug, Subcommand)]
enum SlurmCommand {
    /// Submit the videos of a folder as one array of jobs
    Submit(Box<SubmitArguments>),
    /// Show how many videos are done, running, failed and left
    Status(StatusArguments),
    /// Submit the missing videos again, with the options of the last submission
    Resume(ResumeArguments),
}

#[derive(Args, Debug)]
struct SubmitArguments {
    /// A folder of videos, or a video
    input: PathBuf,

    /// Folder for the .pose files, on a file system that all nodes share
    output: PathBuf,

    /// Divide the videos among this many tasks, balanced by file size
    #[arg(long, alias = "chunks", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    jobs: u32,

    /// Run at most this many tasks at a time [default: as many as the cluster allows]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,

    /// Recurse into subfolders and mirror the folder structure in the output
    #[arg(short, long)]
    recursive: bool,

    /// Process only those videos in folders whose names end in one of these, as they are written: .mp4, or .mp4,.webm
    /// [default: every video]
    #[arg(long, alias = "video_suffixes", value_name = "SUFFIX,...", value_delimiter = ',')]
    video_suffixes: Vec<String>,

    /// Write video.mp4.pose instead of video.pose
    #[arg(long)]
    keep_suffix: bool,

    /// Run in this container image, with the node's apptainer or singularity [default: run this program directly]
    #[arg(long, value_name = "FILE")]
    sif: Option<PathBuf>,

    /// Request these GPUs for each task; none requests no GPU
    #[arg(long, value_name = "TYPE:N", default_value = "V100:1")]
    gpus: String,

    /// Submit to this partition
    #[arg(long, value_name = "NAME", default_value = "lowprio")]
    partition: String,

    /// Limit each task to this time; what is not done by then continues in another job
    #[arg(long, value_name = "TIME", default_value = "24:00:00")]
    time: String,

    /// Request this much memory for each task
    #[arg(long, value_name = "SIZE", default_value = "16G")]
    mem: String,

    /// Request this many processors for each task
    #[arg(long, value_name = "N", default_value = "4")]
    cpus: String,

    /// Pass this option to sbatch, as in --sbatch=--account=lab; can be repeated
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,

    /// Also submit videos that crashed the program twice
    #[arg(long, alias = "retry_crashed")]
    retry_crashed: bool,

    /// Print the job script and submit nothing
    #[arg(long)]
    dry_run: bool,

    /// Options of oppose-native for each task, after --
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

#[derive(Args, Debug)]
struct StatusArguments {
    /// Folder of the .pose files
    output: PathBuf,

    /// Also write an HTML report of the folder that shows the progress of the run
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct ResumeArguments {
    /// Folder of the .pose files
    output: PathBuf,

    /// Also submit videos that crashed the program twice
    #[arg(long, alias = "retry_crashed")]
    retry_crashed: bool,

    /// Print the job script and submit nothing
    #[arg(long)]
    dry_run: bool,
}

/// Why nothing was submitted, or nothing can be shown.
#[derive(Debug, thiserror::Error)]
enum SlurmError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("cannot {what} {}", printable(path))]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("no submission in {}: `oppose-native slurm submit` creates one", printable(.0))]
    NoRun(PathBuf),
    #[error("the option {0:?} has a line break in it, which a line of #SBATCH cannot hold")]
    LineBreak(String),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("{0}")]
    Unknown(String),
    #[error("cannot start {program} (is this a node from which jobs are submitted?)")]
    Start { program: &'static str, source: io::Error },
    #[error("{program} failed: {words}")]
    Refused { program: &'static str, words: String },
    #[error("{program} gave no answer: {how}; look at `squeue` before you try again")]
    Unanswered { program: &'static str, how: String },
}

impl SlurmError {
    /// The options that help.
    fn hint(&self) -> &'static str {
        match self {
            Self::Plan(error) => plan_hint(error),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => "; check the path",
            _ => "",
        }
    }
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments) -> Outcome {
    let done = match &arguments.command {
        SlurmCommand::Submit(arguments) => submit(arguments),
        SlurmCommand::Status(arguments) => status(&arguments.output, arguments.html.as_deref()),
        SlurmCommand::Resume(arguments) => resume(arguments),
    };
    match done {
        Ok(outcome) => outcome,
        Err(error) => {
            say_error(&error, error.hint());
            Outcome::NothingRan
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SlurmError {
    move |source| SlurmError::Io { what, path: path.to_owned(), source }
}

/// The videos of all submissions, each once.
fn all_jobs(runs: &[Run]) -> Result<Vec<Job>, SlurmError> {
    let mut jobs = Vec::new();
    let mut known = HashSet::new();
    for run in runs {
        for job in run.jobs().map_err(failed("read the lists in", &run.folder))? {
            if known.insert(job.output.clone()) {
                jobs.push(job);
            }
        }
    }
    Ok(jobs)
}

/// The journals of all submissions, and that of runs without SLURM.
fn journals(output: &Path, runs: &[Run]) -> Result<Vec<PathBuf>, SlurmError> {
    let mut journals = vec![output.join(journal::NAME)];
    for run in runs {
        journals.extend(run.journals().map_err(failed("read", &run.folder))?);
    }
    Ok(journals)
}

/// What all those journals say.
fn entries(output: &Path, runs: &[Run]) -> Result<Vec<Entry>, SlurmError> {
    journal::read_all(&journals(output, runs)?).map_err(failed("read the journals in", output))
}

fn call(program: &'static str, command: &mut Command) -> Result<String, SlurmError> {
    process::output(command, PATIENCE).map_err(|error| match error {
        ProcessError::Start(source) => SlurmError::Start { program, source },
        ProcessError::Reported(words) => SlurmError::Refused { program, words },
        other => SlurmError::Unanswered { program, how: Chain(&other).to_string() },
    })
}

/// A task that SLURM has in its queue.
#[derive(Clone, Copy, Debug)]
struct Task {
    number: usize,
    is_running: bool,
}

/// The tasks of a submission that are in the queue; `None` if SLURM does not answer.
fn queued(run: &Run) -> Option<Vec<Task>> {
    let Some(array) = run.array() else { return Some(Vec::new()) };
    let mut command = Command::new("squeue");
    command.args(["--noheader", "--array", "--format=%K %t", "--jobs", &array]);
    let lines = match call("squeue", &mut command) {
        Ok(lines) => lines,
        // It does not know jobs that ended some time ago.
        Err(SlurmError::Refused { .. }) => return Some(Vec::new()),
        Err(_) => return None,
    };
    let task = |line: &str| {
        let (number, state) = line.trim().split_once(' ')?;
        // One that is completing does nothing more.
        let is_alive = state != "CG";
        is_alive.then_some(Task { number: number.parse().ok()?, is_running: state != "PD" })
    };
    Some(lines.lines().filter_map(task).collect())
}
