//! The main job: videos in, `.pose` files out.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::mem;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use oppose::batch::{self, Batch, BatchError, Ended, Inputs, Job, Plan, PlanError, list};
use oppose::engine::{Engine, EngineError};
use oppose::pipeline::{self, Cancel};
use oppose::video::{self, Colors, Rotate};

use super::Outcome;
use super::engine::{EngineArguments, OpenError};
use super::overlays::{self, Process};
use super::people::{MaxPeople, PeopleArguments};
use super::progress::{Reporter, Style};
use super::signals::{SUPERVISOR_PATIENCE, Signals};
use super::terminal::say_error;
use super::workers::{WorkerArguments, WorkerSlot, WorkersError};

/// The options of the main job.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Videos, pictures, folders of videos, folders of pictures, or - for a video on standard input
    #[arg(required_unless_present = "list", value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Also process the videos listed in FILE: one path per line, optionally followed by a tab and the output path; - reads
    /// the list from standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,

    /// Recurse into subfolders and mirror the folder structure in the output
    #[arg(short, long)]
    recursive: bool,

    /// Process only those videos in folders whose names end in one of these, as they are written: .mp4, or .mp4,.webm
    /// [default: every video]
    #[arg(long, alias = "video_suffixes", value_name = "SUFFIX,...", value_delimiter = ',')]
    video_suffixes: Vec<String>,

    /// Print the videos that would be processed, in the format of --list, and exit
    #[arg(long, alias = "dry_run")]
    dry_run: bool,

    /// Append a line of JSON to FILE for each video [default: oppose.jsonl in the folder of the .pose files, for several
    /// videos]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Write to this file (ending in .pose, for one video) or into this folder [default: beside each video]
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,

    /// Replace existing .pose files instead of skipping their videos
    #[arg(long)]
    overwrite: bool,

    /// Retry videos that crashed the program twice instead of skipping them as failed
    #[arg(long, alias = "retry_crashed")]
    retry_crashed: bool,

    /// Write into folders that hold results of another engine, other models or other settings
    #[arg(long, alias = "allow_mixed_engines")]
    allow_mixed_engines: bool,

    /// Write video.mp4.pose instead of video.pose, so that a.mp4 and a.mov do not clash
    #[arg(long, alias = "keep_suffix")]
    keep_suffix: bool,

    /// Keep at most N people per frame; 0 or -1 keeps all, as in OpenPose [default: all; with the engine holistic one, and
    /// each further one takes as much time again]
    #[arg(
        long,
        alias = "number_people_max",
        alias = "number-people-max",
        value_name = "N",
        allow_negative_numbers = true
    )]
    max_people: Option<MaxPeople>,

    /// Rotate the frames: as the file says (auto), not at all, or clockwise by this many degrees
    #[arg(long, default_value_t, value_name = "auto|none|90|180|270")]
    rotate: Rotate,

    /// Set the frame rate of the .pose file, for example 25 or 30000/1001 [default: the video's own; 25 for pictures]
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    fps: Option<video::FrameRate>,

    /// Also write NAME.timestamps.csv beside NAME.pose: the time of each frame in seconds since the first, exact for
    /// variable frame rates too
    #[arg(long)]
    timestamps: bool,

    /// Read this video track, counted from 0 [default: the one FFmpeg considers best, preferring moving pictures]
    #[arg(long, alias = "video_track", value_name = "N")]
    video_track: Option<usize>,

    /// Convert colours by the video's tags, as players do (auto), or always by BT.601, as OpenCV up to 4 does and with it
    /// OpenPose and MediaPipe in Python; use bt601 to compare with files made by those
    #[arg(long, default_value_t, value_name = "auto|bt601")]
    colors: Colors,

    /// Show progress in this style
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    progress: Style,

    /// Also draw the keypoints over each video, as NAME.pose.mp4 beside NAME.pose (NAME.pose.webm if this FFmpeg cannot write
    /// H.264), including videos processed earlier whose overlay is missing
    #[arg(long)]
    render: bool,

    #[command(flatten)]
    people: PeopleArguments,

    #[command(flatten)]
    workers: WorkerArguments,

    #[command(flatten)]
    engine: EngineArguments,
}

impl Arguments {
    fn max_people(&self) -> MaxPeople {
        self.max_people.unwrap_or_default()
    }

    /// The slots of the workers, for this many videos.
    fn slots(&self, videos: usize) -> Result<Vec<WorkerSlot>, WorkersError> {
        self.workers.slots(videos, self.engine.sharing())
    }

    /// The engine of a worker.
    pub fn open_engine(&self, slot: WorkerSlot, note: &dyn Fn(&str)) -> Result<Box<dyn Engine>, OpenError> {
        self.engine.at(slot).open(self.max_people(), note)
    }

    /// The same, for a library in a program that is not oppose-native.
    pub fn embedded(self) -> Self {
        Self { engine: self.engine.embedded(), ..self }
    }

    /// Whether OpenPose was selected in a program that cannot start a process for it.
    pub fn lacks_process(&self) -> bool {
        self.engine.lacks_process()
    }

    /// How videos are processed, until `cancel` is set.
    pub fn pipeline_options(&self, cancel: Cancel) -> pipeline::Options {
        pipeline::Options {
            overwrite: self.overwrite,
            people: self.people.options(self.max_people()),
            timestamps: self.timestamps,
            cancel,
        }
    }

    /// The videos and their outputs.
    fn inputs(&self) -> Inputs {
        let mut inputs = Inputs::new(&self.inputs);
        inputs.list = self.list.clone();
        inputs.recursive = self.recursive;
        inputs.output = self.output.clone();
        inputs.keep_suffix = self.keep_suffix;
        inputs.suffixes = self.video_suffixes.clone();
        inputs
    }

    fn batch_options(&self) -> batch::Options {
        batch::Options {
            overwrite: self.overwrite,
            retry_crashed: self.retry_crashed,
            allow_mixed_engines: self.allow_mixed_engines,
            journal: self.journal.clone(),
            colors: self.colors,
            ..batch::Options::default()
        }
    }

    /// How videos are opened.
    pub fn video_options(&self) -> video::Options {
        video::Options::default()
            .with_rotate(self.rotate)
            .with_frame_rate(self.fps)
            .with_colors(self.colors)
            .with_track(self.video_track)
            // Beside others, a worker decodes with its share of the threads too.
            .with_threads(WorkerSlot::of_this_process().threads.map(NonZeroUsize::get))
    }

    /// OpenPose in this process.
    pub fn open_openpose(&self) -> Result<Box<dyn Engine>, EngineError> {
        self.engine.at(WorkerSlot::of_this_process()).open_openpose(self.max_people())
    }
}

/// Why nothing ran.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Workers(#[from] WorkersError),
    #[error("cannot start this program again as a worker")]
    Program(#[source] std::io::Error),
    #[error(
        "standard input is one of several videos: it can be processed only alone, as in `oppose-native - -o \
         FILE.pose`"
    )]
    StandardInputAmongOthers,
    #[error(
        "--render reads the video once more, which standard input cannot be: save the video to a file, or draw the \
         .pose file alone afterwards with `oppose-native render FILE.pose -o FILE.mp4`"
    )]
    RenderStandardInput,
    #[error("cannot write the list to standard output")]
    Print(#[source] std::io::Error),
    #[error("cannot listen for signals")]
    Signals(#[from] std::io::Error),
}

impl StartError {
    /// The options that help.
    fn hint(&self) -> &'static str {
        match self {
            Self::Plan(error) | Self::Batch(BatchError::Plan(error)) => plan_hint(error),
            Self::Batch(BatchError::ReadJournal { .. } | BatchError::WriteJournal { .. }) => {
                "; choose another journal with --journal"
            }
            Self::Batch(BatchError::MixedEngines(_)) => {
                ": choose another folder with --output, process all videos again with --overwrite, or mix them on \
                 purpose with --allow-mixed-engines"
            }
            _ => "",
        }
    }
}

/// The options that help.
pub fn plan_hint(error: &PlanError) -> &'static str {
    match error {
        PlanError::NamelessInput => " (--output FILE.pose)",
        PlanError::OneFileForMany { .. } | PlanError::OutputIsFile(_) => " (--output)",
        PlanError::List { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "; check the path (--list)"
        }
        PlanError::CreateFolder { .. } | PlanError::NotWritable { .. } => {
            "; choose another for the output (--output)"
        }
        PlanError::Clash { .. } => " (--keep-suffix)",
        _ => "",
    }
}

/// Processes all videos.
pub fn run(arguments: &Arguments) -> Outcome {
    match start(arguments) {
        Ok(outcome) => outcome,
        Err(error) => {
            say_error(&error, error.hint());
            Outcome::NothingRan
        }
    }
}

fn start(arguments: &Arguments) -> Result<Outcome, StartError> {
    let plan = Plan::new(&arguments.inputs())?;
    let is_standard_input = plan.jobs.iter().any(|job| job.video.as_os_str() == video::STDIN);
    if arguments.render && is_standard_input {
        return Err(StartError::RenderStandardInput);
    }
    if plan.jobs.len() > 1 && is_standard_input {
        return Err(StartError::StandardInputAmongOthers);
    }
    // One video stays in this process; among several none must be able to end the run.
    let is_batch = (plan.jobs.len() > 1 || arguments.list.is_some()) && !is_standard_input;
    let batch = Batch::new(plan, arguments.batch_options())?;
    let mut reporter = Reporter::new(arguments.progress);
    if arguments.dry_run {
        print_plan(batch.left())?;
    }
    reporter.skipped(batch.done());
    reporter.crashed_before(batch.crashed());
    for (path, reason) in batch.problems() {
        reporter.trouble(path, reason);
    }
    if arguments.dry_run {
        return Ok(Outcome::AllDone);
    }
    let signals = match is_batch {
        true => Signals::listen_with(SUPERVISOR_PATIENCE)?,
        false => Signals::listen()?,
    };
    let run = Run { arguments, signals: &signals, batch, reporter };
    match is_batch {
        true => run.in_workers(),
        false => run.in_this_process(),
    }
}

/// Prints what would be processed, as a list that `--list` takes.
fn print_plan(jobs: &[Job]) -> Result<(), StartError> {
    let mut lines = Vec::new();
    for job in jobs {
        list::add_line(&mut lines, &job.video, &job.output, None);
    }
    let mut output = std::io::stdout();
    match output.write_all(&lines).and_then(|()| output.flush()) {
        // A reader that has gone away has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(StartError::Print(error)),
        _ => Ok(()),
    }
}

/// What both ways of processing videos share.
struct Run<'a> {
    arguments: &'a Arguments,
    signals: &'a Signals,
    batch: Batch,
    reporter: Reporter,
}

impl Run<'_> {
    /// Processes the videos in worker processes.
    fn in_workers(mut self) -> Result<Outcome, StartError> {
        let slots = self.arguments.slots(self.batch.left().len())?;
        let commands: Result<Vec<_>, _> = slots.iter().map(WorkerSlot::command).collect();
        let mut commands = commands.map_err(StartError::Program)?;
        let jobs = self.jobs();
        self.reporter.set_workers(slots.len().min(self.batch.left().len()));
        let limits = self.arguments.workers.limits();
        let Self { batch, reporter, signals, .. } = &mut self;
        let ended = batch.in_workers(&mut commands, limits, &signals.cancel, &mut |event, state| {
            reporter.handle(event, state);
        })?;
        Ok(self.finish(&jobs, ended, Process::Own(limits)))
    }

    /// Processes a single video in this process.
    fn in_this_process(mut self) -> Result<Outcome, StartError> {
        let arguments = self.arguments;
        let slot = arguments.slots(self.batch.left().len())?.first().copied().unwrap_or_default();
        let jobs = self.jobs();
        let Self { batch, reporter, signals, .. } = &mut self;
        let reporter = RefCell::new(reporter);
        let mut is_first = true;
        let open = || {
            let is_first = mem::take(&mut is_first);
            arguments.open_engine(slot, &|text| {
                if is_first {
                    reporter.borrow().note(text);
                }
            })
        };
        let options = arguments.pipeline_options(signals.cancel.clone());
        let ended =
            batch.in_this_process(open, &options, &arguments.video_options(), &mut |event, state| {
                reporter.borrow_mut().handle(event, state);
            })?;
        Ok(self.finish(&jobs, ended, Process::This))
    }

    /// All videos, also those that are done.
    fn jobs(&self) -> Vec<Job> {
        self.batch.done().iter().map(|(job, _)| job).chain(self.batch.left()).cloned().collect()
    }

    /// Draws the overlays, each of which uses all processors, and reports the outcome of all videos.
    fn finish(mut self, jobs: &[Job], ended: Ended, process: Process) -> Outcome {
        let is_drawn = match ended {
            Ended::Completed if self.arguments.render => self.draw(jobs, process),
            _ => true,
        };
        let has_several = self.batch.tally().has_several();
        let (summary, list_error) = self.batch.finish();
        if let Some(error) = list_error {
            self.reporter.note(&format!("cannot write the list of failed videos: {error}"));
        }
        if has_several {
            self.reporter.finish(&summary);
        }
        match self.signals.cancel.is_cancelled() {
            true => self.signals.outcome(),
            false if is_drawn && summary.failed == 0 && summary.left == 0 => Outcome::AllDone,
            false => Outcome::SomeFailed,
        }
    }

    /// Draws the overlays that are missing or older than their `.pose` files. Returns whether all succeeded.
    fn draw(&mut self, jobs: &[Job], process: Process) -> bool {
        let options = self.arguments.video_options();
        let mut is_drawn = true;
        for job in jobs.iter().filter(|job| self.batch.tally().is_complete(&job.output)) {
            if self.signals.cancel.is_cancelled() {
                return false;
            }
            if overlays::is_missing(job) {
                is_drawn &= overlays::draw(job, process, &options, &self.signals.cancel, &mut self.reporter);
            }
        }
        is_drawn
    }
}
