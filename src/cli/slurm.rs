//! `oppose-native slurm`: the videos of a folder over a cluster's GPUs. SLURM does the scheduling.

use std::collections::HashMap;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand};
use oppose::batch::Job;
use oppose::batch::journal::{self, Entry};
use oppose::batch::slurm::{Run, Settings};
use oppose::pose::Pose;
use oppose::video;

use super::Outcome;
use super::plan::{self, Inputs, PlanError};

/// What `slurm` is told.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: SlurmCommand,
}

#[derive(Debug, Subcommand)]
enum SlurmCommand {
    /// Submit the videos of a folder as one array of jobs
    Submit(Box<SubmitArguments>),
    /// Say what is done, running, failed and left
    Status(StatusArguments),
    /// Submit what is missing, as the last submission did
    Resume(ResumeArguments),
}

#[derive(Args, Debug)]
struct SubmitArguments {
    /// A folder of videos, or a video
    input: PathBuf,

    /// Folder of the .pose files, which all nodes see
    output: PathBuf,

    /// Tasks that share the videos out, by their length
    #[arg(long, alias = "chunks", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    jobs: u32,

    /// Tasks that run at a time [default: as many as the cluster lets]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,

    /// Work on folders with all folders in them; the output folder gets the same tree
    #[arg(short, long)]
    recursive: bool,

    /// Write video.mp4.pose in place of video.pose
    #[arg(long)]
    keep_suffix: bool,

    /// Container image to run in, with apptainer or singularity as the node has it [default: this program]
    #[arg(long, value_name = "FILE")]
    sif: Option<PathBuf>,

    /// GPUs of a task; none asks for no GPU
    #[arg(long, value_name = "TYPE:N", default_value = "V100:1")]
    gpus: String,

    /// Partition
    #[arg(long, value_name = "NAME", default_value = "lowprio")]
    partition: String,

    /// Time limit of a task; what is not done by then goes on in another job
    #[arg(long, value_name = "TIME", default_value = "24:00:00")]
    time: String,

    /// Memory of a task
    #[arg(long, value_name = "SIZE", default_value = "16G")]
    mem: String,

    /// Processors of a task
    #[arg(long, value_name = "N", default_value = "4")]
    cpus: String,

    /// Further option of sbatch, as in --sbatch=--account=lab; can be given several times
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,

    /// Print the script, and submit nothing
    #[arg(long)]
    dry_run: bool,

    /// Options of oppose-native for each task, behind --
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

#[derive(Args, Debug)]
struct StatusArguments {
    /// Folder of the .pose files
    output: PathBuf,
}

#[derive(Args, Debug)]
struct ResumeArguments {
    /// Folder of the .pose files
    output: PathBuf,

    /// Print the script, and submit nothing
    #[arg(long)]
    dry_run: bool,
}

/// Why nothing was submitted, or nothing can be told.
#[derive(Debug, thiserror::Error)]
enum SlurmError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("cannot {what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("no submission in {}: `oppose-native slurm submit` makes one", .0.display())]
    NoRun(PathBuf),
    #[error("cannot start {program}: {source}; is this a node from which jobs are submitted?")]
    Start { program: &'static str, source: io::Error },
    #[error("{program} says: {words}")]
    Refused { program: &'static str, words: String },
}

/// Does what was asked.
pub fn run(arguments: &Arguments) -> Outcome {
    let done = match &arguments.command {
        SlurmCommand::Submit(arguments) => submit(arguments),
        SlurmCommand::Status(arguments) => status(&arguments.output),
        SlurmCommand::Resume(arguments) => resume(arguments),
    };
    match done {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("{error}");
            Outcome::NothingRan
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SlurmError {
    move |source| SlurmError::Io { what, path: path.to_owned(), source }
}

fn submit(arguments: &SubmitArguments) -> Result<Outcome, SlurmError> {
    let output = &arguments.output;
    std::fs::create_dir_all(output).map_err(failed("create the folder", output))?;
    let output = output.canonicalize().map_err(failed("read", output))?;
    // The tasks work in another folder. What does not exist is told of when it is planned.
    let input = [arguments.input.canonicalize().unwrap_or_else(|_| arguments.input.clone())];
    let inputs = Inputs { paths: &input, list: None, recursive: arguments.recursive };
    let jobs = plan::plan(inputs, Some(&output), arguments.keep_suffix)?;
    plan::check_outputs(&jobs)?;

    let mut sbatch = vec![
        format!("--partition={}", arguments.partition),
        format!("--time={}", arguments.time),
        format!("--mem={}", arguments.mem),
        format!("--cpus-per-task={}", arguments.cpus),
    ];
    if arguments.gpus != "none" {
        sbatch.push(format!("--gpus={}", arguments.gpus));
    }
    sbatch.extend(arguments.sbatch.iter().cloned());
    let image = match &arguments.sif {
        Some(image) => Some(image.canonicalize().map_err(failed("find the image", image))?),
        None => None,
    };
    let settings = Settings {
        jobs: arguments.jobs as usize,
        limit: arguments.limit.map(|limit| limit as usize),
        sbatch,
        image,
        program: env::current_exe().map_err(failed("find", Path::new("this program")))?,
        options: arguments.options.clone(),
    };
    submit_missing(&output, jobs, &settings, arguments.dry_run)
}

fn resume(arguments: &ResumeArguments) -> Result<Outcome, SlurmError> {
    let output = arguments.output.canonicalize().map_err(failed("read", &arguments.output))?;
    let runs = Run::all(&output).map_err(failed("read", &output))?;
    let last = runs.last().ok_or_else(|| SlurmError::NoRun(output.clone()))?;
    let settings = last.settings().map_err(failed("read the settings in", &last.folder))?;
    submit_missing(&output, all_jobs(&runs)?, &settings, arguments.dry_run)
}

/// The videos of all submissions, each once.
fn all_jobs(runs: &[Run]) -> Result<Vec<Job>, SlurmError> {
    let mut jobs = Vec::new();
    let mut known = HashMap::new();
    for run in runs {
        for job in run.jobs().map_err(failed("read the lists in", &run.folder))? {
            if known.insert(job.output.clone(), ()).is_none() {
                jobs.push(job);
            }
        }
    }
    Ok(jobs)
}

fn submit_missing(
    output: &Path,
    jobs: Vec<Job>,
    settings: &Settings,
    dry_run: bool,
) -> Result<Outcome, SlurmError> {
    let of = jobs.len();
    let missing: Vec<Job> = jobs.into_iter().filter(|job| Pose::check_file(&job.output).is_err()).collect();
    if missing.is_empty() {
        println!("all {of} videos are done");
        return Ok(Outcome::AllDone);
    }
    let count = missing.len();
    let jobs: Vec<(Job, u64)> =
        missing.into_iter().map(|job| (length(&job.video), job)).map(|(work, job)| (job, work)).collect();
    let run = Run::prepare(output, &jobs, settings).map_err(failed("write the submission into", output))?;
    let script = run.script();
    if dry_run {
        print!("{}", std::fs::read_to_string(&script).map_err(failed("read", &script))?);
        std::fs::remove_dir_all(&run.folder).map_err(failed("remove", &run.folder))?;
        return Ok(Outcome::AllDone);
    }
    let array = call("sbatch", Command::new("sbatch").arg("--parsable").arg(&script))?;
    let array = array.trim().split(';').next().unwrap_or_default().to_owned();
    run.keep_array(&array).map_err(failed("write into", &run.folder))?;
    println!(
        "{count} of {of} videos submitted as array {array}; logs in {}",
        run.folder.join("logs").display()
    );
    println!("oppose-native slurm status {}", output.display());
    Ok(Outcome::AllDone)
}

/// How much there is to do: frames where the file announces them, else its size in what a frame may take.
fn length(path: &Path) -> u64 {
    const BYTES_OF_A_FRAME: u64 = 10_000;
    let announced =
        video::open(path, &video::Options::default()).ok().and_then(|video| video.info().announced_frames);
    announced.unwrap_or_else(|| path.metadata().map_or(1, |file| file.len() / BYTES_OF_A_FRAME))
}

fn call(program: &'static str, command: &mut Command) -> Result<String, SlurmError> {
    let output = command.output().map_err(|source| SlurmError::Start { program, source })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(SlurmError::Refused { program, words });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn status(output: &Path) -> Result<Outcome, SlurmError> {
    let output = output.canonicalize().map_err(failed("read", output))?;
    let runs = Run::all(&output).map_err(failed("read", &output))?;
    if runs.is_empty() {
        return Err(SlurmError::NoRun(output));
    }
    let jobs = all_jobs(&runs)?;
    let mut told: HashMap<PathBuf, Entry> = HashMap::new();
    for run in &runs {
        for path in run.journals().map_err(failed("read", &run.folder))? {
            for entry in journal::read(&path).map_err(failed("read the journal", &path))? {
                told.insert(entry.output.clone(), entry);
            }
        }
    }
    let is_done: Vec<bool> = jobs.iter().map(|job| Pose::check_file(&job.output).is_ok()).collect();
    let done = is_done.iter().filter(|done| **done).count();
    let mut failures = Vec::new();
    for (job, _) in jobs.iter().zip(&is_done).filter(|(_, done)| !**done) {
        if let Some(Entry { outcome: journal::Outcome::Failed { reason }, .. }) = told.get(&job.output) {
            failures.push((job, reason));
        }
    }
    let left = jobs.len() - done - failures.len();
    let running = running(&runs);
    println!("{done} of {} videos done, {} failed, {left} left", jobs.len(), failures.len());
    match &running {
        Some(tasks) => println!("{tasks} tasks running or waiting"),
        None => println!("squeue cannot be asked here"),
    }
    let times = told.values().filter_map(|entry| match &entry.outcome {
        journal::Outcome::Done { frames, seconds, .. } => Some((*frames, *seconds)),
        journal::Outcome::Failed { .. } => None,
    });
    let (frames, seconds) =
        times.fold((0, 0.0), |(frames, seconds), (more, longer)| (frames + more, seconds + longer));
    if done > 0 && seconds > 0.0 {
        println!(
            "{:.1} frames a second and task, {:.1} s a video",
            frames as f64 / seconds,
            seconds / done as f64
        );
        if let Some(tasks @ 1..) = running {
            println!("about {:.1} hours left", seconds / done as f64 * left as f64 / tasks as f64 / 3600.0);
        }
    }
    for (job, reason) in failures {
        println!("failed: {}: {reason}", job.video.display());
    }
    if left > 0 && running == Some(0) {
        println!("nothing is running: oppose-native slurm resume {}", output.display());
    }
    Ok(if done == jobs.len() { Outcome::AllDone } else { Outcome::SomeFailed })
}

/// Tasks that SLURM has in its queue.
fn running(runs: &[Run]) -> Option<usize> {
    let arrays: Vec<String> = runs.iter().filter_map(Run::array).collect();
    let mut tasks = 0;
    for array in arrays {
        let mut command = Command::new("squeue");
        command.args(["--noheader", "--array", "--format=%i", "--jobs", &array]);
        match call("squeue", &mut command) {
            Ok(lines) => tasks += lines.lines().filter(|line| !line.trim().is_empty()).count(),
            // It does not know jobs that ended some time ago.
            Err(SlurmError::Refused { .. }) => {}
            Err(_) => return None,
        }
    }
    Some(tasks)
}
