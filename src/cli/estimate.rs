//! The main job: videos in, `.pose` files out.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::PathBuf;

use clap::Args;
use oppose::batch::Job;
use oppose::batch::journal::{self, Journal};
use oppose::engine::Engine;
use oppose::pipeline::{self, Cancel, Event, PipelineError, Stop, Video};
use oppose::pose::PoseError;
use oppose::video::{self, Colors, Rotate};

use super::Outcome;
use super::done::{self, Sorted};
use super::engine::{EngineArguments, OpenError};
use super::opened::Opened;
use super::overlays;
use super::people::PeopleArguments;
use super::plan::{self, Inputs, PlanError};
use super::progress::{Reporter, Style};
use super::signals::Signals;
use super::workers::{self, Place, WorkerArguments, WorkersError};

/// What the main job is told.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Videos, pictures, folders of videos, folders of pictures, or - for a video on standard input
    #[arg(required_unless_present = "list", value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Work on the videos of a list too: a path a line, or a path, a tab and its .pose file; - is standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,

    /// Work on folders with all folders in them; the output folder gets the same tree
    #[arg(short, long)]
    recursive: bool,

    /// Say what would be done, and do nothing
    #[arg(long, alias = "dry_run")]
    dry_run: bool,

    /// File to which a line of JSON is added for each video [default: oppose.jsonl in the output folder, for several
    /// videos]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Where to write: a file ending in .pose (for one video) or a folder [default: beside each video]
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,

    /// Replace .pose files that exist; without it their videos are skipped
    #[arg(long)]
    overwrite: bool,

    /// Write video.mp4.pose in place of video.pose, so that a.mp4 and a.mov can lie in one folder
    #[arg(long, alias = "keep_suffix")]
    keep_suffix: bool,

    /// Keep at most this many people a frame; 0 or -1, as OpenPose spells it, means all
    #[arg(
        long,
        alias = "number_people_max",
        alias = "number-people-max",
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(-1..=65535),
        allow_negative_numbers = true
    )]
    max_people: Option<i32>,

    /// Turn the frames: as the file says, not at all, or clockwise by so many degrees
    #[arg(long, default_value_t, value_name = "auto|none|90|180|270")]
    rotate: Rotate,

    /// Frames per second to write, for example 25 or 30000/1001, whatever the video says [default: the video's own; of
    /// pictures 25]
    #[arg(long, value_name = "RATE")]
    fps: Option<video::FrameRate>,

    /// Also write NAME.timestamps.csv beside NAME.pose: the time of each frame in seconds since the first, exact for
    /// variable frame rates too
    #[arg(long)]
    timestamps: bool,

    /// Which of several video tracks in a file to read, counted from 0 [default: a film sooner than a still picture,
    /// else the one FFmpeg calls best]
    #[arg(long, alias = "video_track", value_name = "N")]
    video_track: Option<usize>,

    /// How colours are converted: auto follows the video's tags, as players do; bt601 ignores them, as OpenCV up to 4
    /// does, and with it OpenPose and MediaPipe's Python users, to compare with files made by those
    #[arg(long, default_value_t, value_name = "auto|bt601")]
    colors: Colors,

    /// How progress is shown
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    progress: Style,

    /// Draw the people of each video done over it, as NAME.pose.mp4 beside NAME.pose; of videos done before too, where
    /// that is missing
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
    /// 0 and less are OpenPose's spelling of no limit; the parser sees to the upper bound.
    fn max_people(&self) -> Option<u16> {
        self.max_people.and_then(|people| u16::try_from(people).ok()).filter(|&people| people > 0)
    }

    /// The engine of a worker.
    pub fn open_engine(&self, place: Place, note: &dyn Fn(&str)) -> Result<Opened, OpenError> {
        self.engine.at(place).open(self.max_people(), note)
    }

    /// How videos are worked on, until `cancel` says stop.
    pub fn pipeline_options(&self, cancel: Cancel) -> pipeline::Options {
        pipeline::Options {
            overwrite: self.overwrite,
            people: self.people.options(self.max_people()),
            timestamps: self.timestamps,
            cancel,
        }
    }

    /// Where the journal is kept, if one is: of several videos or a list in the output folder, if there is one.
    fn journal(&self, videos: usize) -> Option<PathBuf> {
        let is_folder = |output: &&PathBuf| output.extension() != Some(OsStr::new("pose")) || output.is_dir();
        let folder = self.output.as_ref().filter(is_folder).filter(|_| videos > 1 || self.list.is_some());
        self.journal.clone().or_else(|| Some(folder?.join(journal::NAME)))
    }

    /// How videos are opened.
    pub fn video_options(&self) -> video::Options {
        video::Options {
            rotate: self.rotate,
            frame_rate: self.fps,
            colors: self.colors,
            track: self.video_track,
            ..video::Options::default()
        }
    }

    /// Draws what was found over its video, where that is asked for; whether nothing went wrong.
    fn draw(&self, job: &Job, cancel: &Cancel, reporter: &mut Reporter) -> bool {
        !self.render || overlays::draw(job, &self.video_options(), cancel, reporter)
    }

    /// OpenPose in this process.
    pub fn open_openpose(&self) -> Result<Box<dyn Engine>, OpenError> {
        self.engine.at(Place::of_this_process()).open_openpose(self.max_people())
    }
}

/// Why nothing ran.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Workers(#[from] WorkersError),
    #[error(transparent)]
    Engine(#[from] OpenError),
    #[error("cannot write the journal {}: {source}", path.display())]
    Journal { path: PathBuf, source: std::io::Error },
    #[error("cannot read the journal: {source}; give another with --journal")]
    ReadJournal { source: std::io::Error },
    #[error(
        "--render reads the video once more, which standard input cannot be: save the video to a file, or draw the \
         .pose file alone afterwards with `oppose-native render FILE.pose -o FILE.mp4`"
    )]
    RenderStandardInput,
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
    let inputs =
        Inputs { paths: &arguments.inputs, list: arguments.list.as_deref(), recursive: arguments.recursive };
    let jobs = plan::plan(inputs, arguments.output.as_deref(), arguments.keep_suffix)?;
    if arguments.render && jobs.iter().any(|job| job.video.as_os_str() == video::STDIN) {
        return Err(StartError::RenderStandardInput);
    }
    if !arguments.dry_run {
        plan::sweep(&jobs);
    }
    let journal = arguments.journal(jobs.len());
    let mut reporter = Reporter::new(arguments.progress, jobs.len());
    let mut sorted = match arguments.overwrite {
        true => Sorted { left: jobs, ..Sorted::default() },
        false => {
            let recorded = journal::recorded_frames(journal.as_slice());
            done::sort(jobs, &recorded.map_err(|source| StartError::ReadJournal { source })?)
        }
    };
    if arguments.dry_run {
        for job in &sorted.left {
            println!("{}\t{}", job.video.display(), job.output.display());
        }
        reporter.skipped(&sorted.done);
        return Ok(Outcome::AllDone);
    }
    sorted.set_aside(&|text| reporter.note(text));
    let Sorted { left, done, unknown, .. } = sorted;
    plan::check_outputs(&left)?;
    let opened = match &journal {
        Some(path) if !left.is_empty() || !unknown.is_empty() => {
            let journal = Journal::open(path);
            let mut journal = journal.map_err(|source| StartError::Journal { path: path.clone(), source })?;
            journal.set_colors(arguments.colors);
            Some(journal)
        }
        _ => None,
    };
    reporter.skipped(&done);
    reporter.expect(&left, opened);
    for (job, reason) in &unknown {
        reporter.failed(&job.video, &job.output, reason);
    }
    let signals = Signals::listen()?;
    let mut all_drawn = true;
    if arguments.render {
        let jobs: Vec<Job> = done.into_iter().map(|(job, _)| job).collect();
        let options = arguments.video_options();
        all_drawn = overlays::draw_missing(&jobs, &options, &signals.cancel, &mut reporter);
        if signals.cancel.is_cancelled() {
            return Ok(signals.outcome());
        }
    }
    let outcome = match left.is_empty() {
        true => Outcome::AllDone,
        false => work(left, arguments, &signals, &mut reporter)?,
    };
    reporter.finish(journal.map(|journal| journal.with_extension("failed.list")));
    match outcome {
        Outcome::AllDone if !unknown.is_empty() || !all_drawn => Ok(Outcome::SomeFailed),
        outcome => Ok(outcome),
    }
}

/// Works on the videos, in this process or in several.
fn work(
    mut jobs: Vec<Job>,
    arguments: &Arguments,
    signals: &Signals,
    reporter: &mut Reporter,
) -> Result<Outcome, StartError> {
    let places = arguments.workers.places()?;
    if places.len() > 1 && jobs.len() > 1 {
        // The longest first: a long one that came last would keep one process long after the others.
        jobs.sort_by_cached_key(|job| Reverse(plan::work(&job.video)));
        let limits = arguments.workers.limits();
        let (mut outcome, done) = workers::run(&jobs, &places, limits, signals, reporter);
        // Not before: each overlay takes all processors for itself.
        for job in &done {
            if signals.cancel.is_cancelled() {
                return Ok(signals.outcome());
            }
            if !arguments.draw(job, &signals.cancel, reporter) {
                outcome = Outcome::SomeFailed;
            }
        }
        return Ok(outcome);
    }
    let place = places.first().copied().unwrap_or_default();
    let open = |reporter: &mut Reporter| {
        let opened = arguments.open_engine(place, &|text| reporter.note(text))?;
        if reporter.keeps_journal() {
            reporter.set_engine(opened.describe().map_err(OpenError::Describe)?);
        }
        Ok::<_, OpenError>(opened.engine)
    };
    let mut engine = open(reporter)?;

    let options = arguments.pipeline_options(signals.cancel.clone());
    let mut left: VecDeque<Job> = jobs.into();
    let mut outcome = Outcome::AllDone;
    loop {
        let (stopped, failed) = estimate(&mut left, arguments, engine.as_mut(), &options, reporter);
        if failed {
            outcome = Outcome::SomeFailed;
        }
        match stopped {
            Ok(()) => return Ok(outcome),
            Err(Stop::Cancelled) => return Ok(signals.outcome()),
            Err(Stop::Engine) if left.is_empty() => return Ok(outcome),
            // A failed engine gives nothing more; the videos that are left get a new one.
            Err(Stop::Engine) => match open(reporter) {
                Ok(opened) => engine = opened,
                Err(error) => {
                    reporter.note(&error.to_string());
                    return Ok(outcome);
                }
            },
        }
    }
}

/// Works through the videos until the engine fails; leaves those of which nothing was told. Tells whether one failed.
fn estimate(
    left: &mut VecDeque<Job>,
    arguments: &Arguments,
    engine: &mut dyn Engine,
    options: &pipeline::Options,
    reporter: &mut Reporter,
) -> (Result<(), Stop>, bool) {
    let video_options = video::Options { keep_planes: engine.takes_planes(), ..arguments.video_options() };
    let jobs: Vec<Job> = left.drain(..).collect();
    let videos = jobs.iter().cloned().map(|job| {
        let video_options = video_options.clone();
        let open = move || video::open(&job.video, &video_options);
        Video { open: Box::new(open), output: job.output }
    });
    let mut is_told = vec![false; jobs.len()];
    let mut failed = false;
    let stopped = pipeline::run_all(videos, engine, options, &mut |number, event| {
        let video = &jobs[number].video;
        is_told[number] |= matches!(event, Event::Done(_) | Event::Failed(_));
        match event {
            Event::Started { info } => reporter.started(video, info.announced_frames),
            Event::Progress(progress) => reporter.progress(video, progress),
            Event::Done(report) => {
                reporter.done(video, &report);
                failed |= !arguments.draw(&jobs[number], &options.cancel, reporter);
            }
            Event::Failed(PipelineError::Write(PoseError::Exists(output))) => {
                // Somebody else has made it meanwhile, which is as good.
                reporter.exists(video, &output);
            }
            Event::Failed(PipelineError::Cancelled) => {
                reporter.trouble(video, &PipelineError::Cancelled.to_string())
            }
            Event::Failed(error) => {
                failed = true;
                reporter.failed(video, &jobs[number].output, &error.to_string());
            }
        }
    });
    left.extend(jobs.into_iter().zip(is_told).filter(|(_, told)| !told).map(|(job, _)| job));
    (stopped, failed)
}
