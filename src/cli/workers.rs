//! Several processes that share the videos out: this program, started by itself.

use std::env;
use std::fs::File;
use std::io::{self, BufReader};
use std::num::{NonZeroU64, NonZeroUsize};
use std::process::Command;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use clap::Args;
use oppose::batch::{self, Job, Limits, Supervised, Told};
use oppose::gpu::{self, GpuError};
use oppose::pipeline::Stop;

use super::Outcome;
use super::engine::OpenError;
use super::estimate::Arguments;
use super::progress::Reporter;
use super::signals::Signals;

/// The subcommand, which users do not see.
pub const NAME: &str = "worker";

/// How a worker learns where it works; a worker's arguments are those of the process that started it.
const GPU_VARIABLE: &str = "OPPOSE_WORKER_GPU";
const THREADS_VARIABLE: &str = "OPPOSE_WORKER_THREADS";

/// What concerns processes.
#[derive(Args, Debug)]
pub struct WorkerArguments {
    /// GPUs that share the videos out, a process each: all, or numbers as in 0,2 [default: one, that of --gpu]
    #[arg(long, value_name = "all|LIST")]
    gpus: Option<Gpus>,

    /// Processes that share the videos out; on several GPUs so many for each, else the threads are shared too
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,

    /// Seconds without a sign of life after which a worker process is ended and its video tried again; only with
    /// several processes
    #[arg(long, alias = "stall_timeout", value_name = "SECONDS")]
    stall_timeout: Option<NonZeroU64>,
}

/// Which GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gpus {
    All,
    These(Vec<usize>),
}

impl FromStr for Gpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let numbers: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
        numbers.map(Self::These).map_err(|_| "expected all, or numbers as in 0,2".into())
    }
}

/// Where a worker works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its GPU, where it was given one.
    pub gpu: Option<usize>,
    /// Its share of the threads, where they are shared.
    pub threads: Option<NonZeroUsize>,
}

impl Place {
    /// Where the process that started this one wants it to work.
    pub fn of_this_process() -> Self {
        let value = |name: &str| env::var(name).ok();
        Self {
            gpu: value(GPU_VARIABLE).and_then(|gpu| gpu.parse().ok()),
            threads: value(THREADS_VARIABLE).and_then(|threads| threads.parse().ok()),
        }
    }
}

/// Why videos cannot be shared out.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error(
        "--gpus names GPU {number}, but there are {found}, numbered from 0 (`oppose-native doctor` lists them)"
    )]
    Number { number: usize, found: usize },
}

impl WorkerArguments {
    /// Where each worker works; one place means this process.
    pub fn places(&self) -> Result<Vec<Place>, WorkersError> {
        let each = self.workers.map_or(1, NonZeroUsize::get);
        let Some(gpus) = &self.gpus else {
            let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
            let threads = if each > 1 { NonZeroUsize::new((cores / each).max(1)) } else { None };
            return Ok(vec![Place { gpu: None, threads }; each]);
        };
        let found = gpu::detect()?.gpus.len();
        let numbers = match gpus {
            Gpus::All => (0..found).collect(),
            Gpus::These(numbers) => numbers.clone(),
        };
        if let Some(&number) = numbers.iter().find(|&&number| number >= found) {
            return Err(WorkersError::Number { number, found });
        }
        let places = numbers.into_iter().map(|number| Place { gpu: Some(number), threads: None });
        Ok(places.flat_map(|place| vec![place; each]).collect())
    }

    /// When a worker is ended.
    pub fn limits(&self) -> Limits {
        Limits { stall: self.stall_timeout.map(|seconds| Duration::from_secs(seconds.get())) }
    }
}

/// Shares the videos out to a process at each place. Gives the videos that are done too.
pub fn run(
    jobs: &[Job],
    places: &[Place],
    limits: Limits,
    signals: &Signals,
    reporter: &mut Reporter,
) -> (Outcome, Vec<Job>) {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            reporter.note(&format!("cannot start this program once more as a worker: {error}"));
            return (Outcome::NothingRan, Vec::new());
        }
    };
    let command = |place: &Place| {
        let mut command = Command::new(&program);
        command.arg(NAME).args(env::args_os().skip(1));
        place.gpu.map(|gpu| command.env(GPU_VARIABLE, gpu.to_string()));
        place.threads.map(|threads| command.env(THREADS_VARIABLE, threads.to_string()));
        command
    };
    let mut commands: Vec<Command> = places.iter().map(command).collect();
    let (mut done, mut ended, mut failed) = (Vec::new(), 0, 0);
    let supervised = batch::supervise(jobs, &mut commands, limits, &signals.cancel, &mut |news| match news {
        // The others say the same.
        Supervised::Note(0, text) => reporter.note(text),
        Supervised::Note(..) => {}
        Supervised::Ready(engine) => reporter.set_engine(engine.clone()),
        Supervised::Video(number, told) => {
            let job = &jobs[number];
            failed += usize::from(matches!(told, Told::Failed(_)));
            ended += usize::from(matches!(told, Told::Done(_) | Told::Exists | Told::Failed(_)));
            if hear(job, told, reporter) {
                done.push(job.clone());
            }
        }
    });
    let outcome = match supervised {
        Ok(false) => signals.outcome(),
        Ok(true) if failed == 0 && ended == jobs.len() => Outcome::AllDone,
        Ok(true) => Outcome::SomeFailed,
        Err(error) => {
            reporter.note(&error.to_string());
            if ended == 0 { Outcome::NothingRan } else { Outcome::SomeFailed }
        }
    };
    (outcome, done)
}

/// Tells what became of a video; whether it is done.
fn hear(job: &Job, told: &Told, reporter: &mut Reporter) -> bool {
    match told {
        Told::Started { announced_frames } => reporter.started_beside_others(&job.video, *announced_frames),
        Told::Progress { .. } => {
            if let Some(progress) = told.progress() {
                reporter.progress_beside_others(&job.video, progress);
            }
        }
        Told::Done(summary) => match summary.report(job.output.clone()) {
            Some(report) => reporter.done(&job.video, &report),
            None => reporter.trouble(&job.video, "is done, but the worker says nonsense of it"),
        },
        Told::Exists => reporter.exists(&job.video, &job.output),
        Told::Failed(reason) | Told::EngineFailed(reason) => reporter.failed(&job.video, &job.output, reason),
    }
    matches!(told, Told::Done(_))
}

/// Serves the process that started this one.
pub fn serve(arguments: &Arguments) -> Outcome {
    match serve_pipes(arguments) {
        Ok(Ok(())) => Outcome::AllDone,
        Ok(Err(Stop::Cancelled | Stop::Engine)) => Outcome::SomeFailed,
        Err(error) => {
            eprintln!("worker: {error}");
            Outcome::SomeFailed
        }
    }
}

fn serve_pipes(arguments: &Arguments) -> io::Result<Result<(), Stop>> {
    // Whatever becomes of the other process, this one does not outlive it for long: it ends between two frames.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let signals = Signals::listen()?;
    // What libraries print must not get between the news.
    let news = rustix::io::dup(io::stdout())?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    batch::serve(
        |note| {
            let opened = arguments.open_engine(Place::of_this_process(), note)?;
            let description = opened.describe().map_err(OpenError::Describe)?;
            Ok::<_, OpenError>((opened.engine, description))
        },
        &arguments.pipeline_options(signals.cancel.clone()),
        &arguments.video_options(),
        BufReader::new(io::stdin()),
        File::from(news),
    )
}
