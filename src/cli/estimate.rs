//! The main job: videos in, `.pose` files out.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueEnum};
use oppose::engine::holistic::{self, Holistic};
use oppose::engine::{Engine, EngineError, models};
use oppose::pipeline::{self, Cancel, PipelineError};
use oppose::video::{self, Rotate};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::plan::{self, Job, PlanError};
use super::progress::{Reporter, Style};
use super::{Outcome, greeting};

/// What the main job is told.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Videos, pictures, folders of videos, folders of pictures, or - for a video on standard input
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Where to write: a file ending in .pose (for one video) or a folder [default: beside each video]
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,

    /// Replace .pose files that exist; without it their videos are skipped
    #[arg(long)]
    overwrite: bool,

    /// Write video.mp4.pose in place of video.pose, so that a.mp4 and a.mov can lie in one folder
    #[arg(long, alias = "keep_suffix")]
    keep_suffix: bool,

    /// Estimator of the keypoints
    #[arg(long, value_enum, default_value_t, env = "OPPOSE_ENGINE", value_name = "NAME")]
    engine: EngineChoice,

    /// Folder of the models [default: $OPPOSE_MODELS, the user's data folder, or models/ beside the program]
    #[arg(long, alias = "model_folder", value_name = "FOLDER")]
    model_folder: Option<PathBuf>,

    /// Keep at most this many people a frame
    #[arg(long, alias = "number_people_max", alias = "number-people-max", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    max_people: Option<u16>,

    /// Turn the frames: as the file says, not at all, or clockwise by so many degrees
    #[arg(long, default_value_t, value_name = "auto|none|90|180|270")]
    rotate: Rotate,

    /// Frames per second of a folder of pictures, for example 25 or 30000/1001 [default: 25]
    #[arg(long, value_name = "RATE")]
    fps: Option<video::FrameRate>,

    /// Threads of the estimator [default: the number of processors]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// How progress is shown
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    progress: Style,
}

/// Which estimator to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// The best that is available here
    #[default]
    Auto,
    /// MediaPipe Holistic: one person, body, face and hands; no GPU needed
    Holistic,
}

/// Why nothing ran.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Models(#[from] models::ModelsNotFound),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Works through all videos.
pub fn run(arguments: &Arguments) -> Outcome {
    match start(arguments) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("{error}");
            Outcome::NothingRan
        }
    }
}

fn start(arguments: &Arguments) -> Result<Outcome, StartError> {
    let jobs = plan::plan(&arguments.inputs, arguments.output.as_deref(), arguments.keep_suffix)?;
    let mut reporter = Reporter::new(arguments.progress);
    let jobs: Vec<Job> = jobs.into_iter().filter(|job| !is_done(job, arguments, &mut reporter)).collect();
    if jobs.is_empty() {
        return Ok(Outcome::AllDone);
    }
    plan::check_outputs(&jobs)?;
    let signals = Signals::listen()?;
    let mut engine = open_engine(arguments, &reporter)?;

    let options = pipeline::Options {
        overwrite: arguments.overwrite,
        max_people: arguments.max_people.map(usize::from),
        cancel: signals.cancel.clone(),
    };
    let mut outcome = Outcome::AllDone;
    for job in &jobs {
        match estimate(job, arguments, &mut engine, &options, &mut reporter) {
            Ok(()) => {}
            Err(PipelineError::Cancelled) => {
                reporter.failed(&job.video, &PipelineError::Cancelled.to_string());
                return Ok(signals.outcome());
            }
            Err(error) => {
                reporter.failed(&job.video, &error.to_string());
                outcome = Outcome::SomeFailed;
                if let PipelineError::Engine { .. } = error {
                    // A failed engine gives nothing more; the next video gets a new one.
                    engine = open_engine(arguments, &reporter)?;
                }
            }
        }
    }
    Ok(outcome)
}

fn estimate(
    job: &Job,
    arguments: &Arguments,
    engine: &mut Box<dyn Engine>,
    options: &pipeline::Options,
    reporter: &mut Reporter,
) -> Result<(), PipelineError> {
    let video_options =
        video::Options { rotate: arguments.rotate, frame_rate: arguments.fps, ..video::Options::default() };
    let source = video::open(&job.video, &video_options)
        .map_err(|error| PipelineError::Video { error, partial: None })?;
    reporter.started(&job.video, source.info().announced_frames);
    let report = pipeline::run(source, engine.as_mut(), &job.output, options, &mut |progress| {
        reporter.progress(&job.video, progress);
    })?;
    reporter.done(&job.video, &report);
    Ok(())
}

/// Whether the output is there already, which the user is told.
fn is_done(job: &Job, arguments: &Arguments, reporter: &mut Reporter) -> bool {
    let done = !arguments.overwrite && job.output.exists();
    if done {
        reporter.skipped(&job.video, &format!("{} exists; --overwrite makes it anew", job.output.display()));
    }
    done
}

fn open_engine(arguments: &Arguments, reporter: &Reporter) -> Result<Box<dyn Engine>, StartError> {
    let folder = models::find(arguments.model_folder.as_deref(), holistic::FOLDER.as_ref())?;
    if arguments.engine == EngineChoice::Auto {
        reporter.note("engine: holistic (MediaPipe Holistic: one person, body, face and hands)");
    }
    let options = holistic::Options { threads: arguments.threads };
    let engine = greeting::hidden(|| Holistic::open(&folder, options));
    Ok(Box::new(engine.map_err(EngineError::from)?))
}

/// SIGINT and SIGTERM end the run between two frames; a second one ends it at once.
struct Signals {
    cancel: Cancel,
    received: Arc<AtomicUsize>,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let cancel = Cancel::default();
        let received = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, cancel.flag())?;
            signal_hook::flag::register_usize(signal, Arc::clone(&received), signal as usize)?;
            signal_hook::flag::register(signal, cancel.flag())?;
        }
        Ok(Self { cancel, received })
    }

    fn outcome(&self) -> Outcome {
        // Only 2 and 15 are ever stored.
        Outcome::Signal(self.received.load(Ordering::Relaxed) as u8)
    }
}
