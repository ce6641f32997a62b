//! Worker processes: this program, started again.

use std::env;
use std::io;
use std::num::NonZeroUsize;
use std::process::Command;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use clap::Args;
use oppose::batch::{self, Limits};
use oppose::gpu::{self, GpuError};
use oppose::pipeline::Stop;
use oppose::process;

use super::Outcome;
use super::estimate::Arguments;
use super::memory;
use super::signals::Signals;
use super::terminal::say;

/// The hidden subcommand.
pub const NAME: &str = "worker";

/// Tells a worker its slot; its arguments are those of the process that started it.
const GPU_VARIABLE: &str = "OPPOSE_WORKER_GPU";
const THREADS_VARIABLE: &str = "OPPOSE_WORKER_THREADS";

/// Options that concern worker processes.
#[derive(Args, Debug)]
pub struct WorkerArguments {
    /// Distribute the videos over these GPUs, one worker process per GPU: all, or indices such as 0,2 [default: the GPU
    /// of --gpu]
    #[arg(long, value_name = "all|LIST")]
    gpus: Option<Gpus>,

    /// Start this many worker processes (per GPU with --gpus; otherwise they divide the CPU threads) [default: with
    /// the engine holistic one per processor, as far as there are videos and memory; else 1]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,

    /// Kill and replace a worker that has reported no progress for SECONDS, and retry its video alone; 0 disables this
    #[arg(long, alias = "stall_timeout", value_name = "SECONDS", default_value_t = 1800)]
    stall_timeout: u64,
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
        numbers.map(Self::These).map_err(|_| "expected all, or indices such as 0,2".into())
    }
}

/// The slot of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerSlot {
    /// Its GPU, if it was given one.
    pub gpu: Option<usize>,
    /// Its share of the threads, if they are divided.
    pub threads: Option<NonZeroUsize>,
}

impl WorkerSlot {
    /// The slot that the process that started this one has chosen.
    pub fn of_this_process() -> Self {
        let value = |name: &str| env::var(name).ok();
        Self {
            gpu: value(GPU_VARIABLE).and_then(|gpu| gpu.parse().ok()),
            threads: value(THREADS_VARIABLE).and_then(|threads| threads.parse().ok()),
        }
    }

    /// The command that starts a worker in this slot.
    pub fn command(&self) -> io::Result<Command> {
        let mut command = process::this_program()?;
        command.arg(NAME).args(env::args_os().skip(1));
        if let Some(gpu) = self.gpu {
            command.env(GPU_VARIABLE, gpu.to_string());
        }
        if let Some(threads) = self.threads {
            command.env(THREADS_VARIABLE, threads.to_string());
        }
        Ok(command)
    }
}

/// How several videos are distributed if no number of workers was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One worker processes all: its engine uses the whole device.
    OneWorker,
    /// One worker for each share of this many threads, because the engine cannot use more for one video without loss.
    Threads(usize),
}

/// The memory that a worker takes: with the largest nets 300 MB for small videos, 400 MB for 1920x1080; there is
/// room for somewhat larger ones.
const WORKER_MEMORY: u64 = 512 << 20;

impl Sharing {
    /// The number of workers for this many videos, cores and bytes of memory.
    fn workers(self, videos: usize, cores: usize, memory: Option<u64>) -> usize {
        let Self::Threads(threads) = self else { return 1 };
        let room =
            memory.map_or(usize::MAX, |memory| usize::try_from(memory / WORKER_MEMORY).unwrap_or(usize::MAX));
        videos.min(cores / threads.max(1)).min(room).max(1)
    }
}

/// Why the videos cannot be distributed as requested.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error("--gpus names GPU {number}, but there are {found}, numbered from 0 (see `oppose-native doctor`)")]
    Number { number: usize, found: usize },
}

impl WorkerArguments {
    /// The slots of the workers, at least one, for this many videos and an engine for which they are best
    /// distributed `by`.
    pub fn slots(&self, videos: usize, by: Sharing) -> Result<Vec<WorkerSlot>, WorkersError> {
        let Some(gpus) = &self.gpus else {
            let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
            let automatic = || by.workers(videos, cores, memory::available());
            let workers = self.workers.map_or_else(automatic, NonZeroUsize::get);
            let threads = if workers > 1 { NonZeroUsize::new((cores / workers).max(1)) } else { None };
            return Ok(vec![WorkerSlot { gpu: None, threads }; workers]);
        };
        let each = self.workers.map_or(1, NonZeroUsize::get);
        let found = gpu::detect()?.gpus.len();
        let numbers = match gpus {
            Gpus::All => (0..found).collect(),
            Gpus::These(numbers) => numbers.clone(),
        };
        if let Some(&number) = numbers.iter().find(|&&number| number >= found) {
            return Err(WorkersError::Number { number, found });
        }
        let slots = numbers.into_iter().map(|number| WorkerSlot { gpu: Some(number), threads: None });
        Ok(slots.flat_map(|slot| vec![slot; each]).collect())
    }

    /// When a worker is killed.
    pub fn limits(&self) -> Limits {
        match self.stall_timeout {
            0 => Limits::default(),
            seconds => Limits::stall(Duration::from_secs(seconds)),
        }
    }
}

/// Serves the process that started this one.
pub fn serve(arguments: &Arguments) -> Outcome {
    match serve_pipes(arguments) {
        Ok(Ok(())) => Outcome::AllDone,
        Ok(Err(_)) => Outcome::SomeFailed,
        Err(error) => {
            say(format_args!("worker: {error}"));
            Outcome::SomeFailed
        }
    }
}

fn serve_pipes(arguments: &Arguments) -> io::Result<Result<(), Stop>> {
    // A signal ends it between two frames.
    let signals = Signals::listen()?;
    batch::serve_supervisor(
        |note| arguments.open_engine(WorkerSlot::of_this_process(), note),
        &arguments.pipeline_options(signals.cancel.clone()),
        &arguments.video_options(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_as_many_as_cores_videos_and_memory_allow() {
        let workers = |videos, cores, memory| Sharing::Threads(1).workers(videos, cores, memory);
        assert_eq!(workers(100, 16, None), 16);
        assert_eq!(workers(3, 16, None), 3);
        assert_eq!(workers(100, 16, Some(5 * WORKER_MEMORY)), 5);
        assert_eq!(workers(100, 16, Some(0)), 1);
        assert_eq!(workers(1, 1, None), 1);
    }

    #[test]
    fn threads_that_were_asked_for_leave_room_for_fewer_workers() {
        assert_eq!(Sharing::Threads(4).workers(100, 16, None), 4);
        assert_eq!(Sharing::Threads(32).workers(100, 16, None), 1);
        assert_eq!(Sharing::OneWorker.workers(100, 16, None), 1);
    }
}
