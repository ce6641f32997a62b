//! Several processes that share the videos out: this program, started by itself.

use std::env;
use std::fs::File;
use std::io::{self, BufReader};
use std::num::{NonZeroU64, NonZeroUsize};
use std::process::Command;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use oppose::batch::{self, Job, Limits, Supervised, Told};
use oppose::gpu::{self, GpuError};
use oppose::pipeline::Stop;

use super::Outcome;
use super::estimate::{Arguments, Signals};
use super::progress::Reporter;

/// The subcommand, which users do not see.
pub const NAME: &str = "worker";

/// How a worker learns where it works; a worker's arguments are those of the process that started it.
const GPU_VARIABLE: &str = "OPPOSE_WORKER_GPU";
const THREADS_VARIABLE: &str = "OPPOSE_WORKER_THREADS";

/// How often it is told how far all videos are.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

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
    let mut tally = Tally {
        of: jobs.len(),
        ended: 0,
        failed: 0,
        frames: 0,
        done: Vec::new(),
        started: Instant::now(),
        told: None,
    };
    let ended = batch::supervise(jobs, &mut commands, limits, &signals.cancel, &mut |news| match news {
        // The others say the same.
        Supervised::Note(0, text) => reporter.note(text),
        Supervised::Note(..) => {}
        Supervised::Video(number, told) => tally.hear(&jobs[number], told, reporter),
    });
    reporter.note(&tally.line());
    let outcome = match ended {
        Ok(false) => signals.outcome(),
        Ok(true) if tally.failed == 0 && tally.ended == jobs.len() => Outcome::AllDone,
        Ok(true) => Outcome::SomeFailed,
        Err(error) => {
            reporter.note(&error.to_string());
            if tally.ended == 0 { Outcome::NothingRan } else { Outcome::SomeFailed }
        }
    };
    (outcome, tally.done)
}

/// How far all videos are.
struct Tally {
    of: usize,
    ended: usize,
    failed: usize,
    frames: u64,
    done: Vec<Job>,
    started: Instant,
    told: Option<Instant>,
}

impl Tally {
    fn hear(&mut self, job: &Job, told: &Told, reporter: &mut Reporter) {
        match told {
            Told::Started { announced_frames } => {
                reporter.started_beside_others(&job.video, *announced_frames)
            }
            Told::Progress { .. } => {
                if let Some(progress) = told.progress() {
                    reporter.progress_beside_others(&job.video, progress);
                }
            }
            Told::Done(summary) => {
                self.ended += 1;
                self.done.push(job.clone());
                if let Some(report) = summary.report(job.output.clone()) {
                    self.frames += report.frames;
                    reporter.done(&job.video, &report);
                }
            }
            Told::Failed(reason) => {
                self.ended += 1;
                self.failed += 1;
                reporter.failed(&job.video, reason);
                reporter.record_failure(&job.video, &job.output, reason);
            }
        }
        if self.told.unwrap_or(self.started).elapsed() >= LINE_INTERVAL {
            self.told = Some(Instant::now());
            reporter.note(&self.line());
        }
    }

    fn line(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let speed = self.frames as f64 / seconds.max(f64::EPSILON);
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        format!("{} of {} videos{failed}, {seconds:.0} s, {speed:.1} frames a second", self.ended, self.of)
    }
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
        |note| arguments.open_engine(Place::of_this_process(), note),
        &arguments.pipeline_options(signals.cancel.clone()),
        &arguments.video_options(Place::of_this_process()),
        BufReader::new(io::stdin()),
        File::from(news),
    )
}
