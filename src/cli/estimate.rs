//! The main job: videos in, `.pose` files out.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use oppose::batch::journal::{self, Journal, Recorded};
use oppose::batch::resume::{self, Sorted};
use oppose::batch::{self, Ended, Job, SupervisorError, list, slurm};
use oppose::engine::{Engine, EngineError};
use oppose::output_file::folder_of;
use oppose::pipeline::{self, Cancel};
use oppose::video::{self, Colors, Rotate};

use super::Outcome;
use super::engine::{EngineArguments, OpenError};
use super::overlays::{self, Place};
use super::people::PeopleArguments;
use super::plan::{self, Inputs, Plan, PlanError};
use super::progress::{Reporter, Style};
use super::signals::{SUPERVISOR_PATIENCE, Signals};
use super::terminal::{printable, say};
use super::workers::{WorkerArguments, WorkerSlot, WorkersError};

/// The options of the main job.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Videos, pictures, folders of videos, folders of pictures, or - for a video on standard input
    #[arg(required_unless_present = "list", value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Also process the videos listed in FILE: one path per line, optionally followed by a tab and the output path; - is
    /// standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,

    /// Recurse into subfolders and mirror the folder structure in the output
    #[arg(short, long)]
    recursive: bool,

    /// Print what would be done, as a list that --list takes, and do nothing
    #[arg(long, alias = "dry_run")]
    dry_run: bool,

    /// Append a line of JSON to FILE for each video [default: oppose.jsonl in the folder of the .pose files, for several
    /// videos]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Where to write: a file ending in .pose (for one video) or a folder [default: beside each video]
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,

    /// Replace .pose files that exist; without it their videos are skipped
    #[arg(long)]
    overwrite: bool,

    /// Try videos again on which the program crashed twice; without it they are skipped as failed
    #[arg(long, alias = "retry_crashed")]
    retry_crashed: bool,

    /// Process the videos even where the output folder holds results of another engine, models or settings
    #[arg(long, alias = "allow_mixed_engines")]
    allow_mixed_engines: bool,

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
    pub fn open_engine(&self, slot: WorkerSlot, note: &dyn Fn(&str)) -> Result<Box<dyn Engine>, OpenError> {
        self.engine.at(slot).open(self.max_people(), note)
    }

    /// How videos are processed, until `cancel` says stop.
    pub fn pipeline_options(&self, cancel: Cancel) -> pipeline::Options {
        pipeline::Options {
            overwrite: self.overwrite,
            people: self.people.options(self.max_people()),
            timestamps: self.timestamps,
            cancel,
        }
    }

    /// Where the journal is kept, if one is: of several videos or a list in the folder of the outputs, if they have one
    /// in common. Retrying a list of failed videos continues the journal that lies beside the list.
    fn journal(&self, jobs: &[Job]) -> Option<PathBuf> {
        if self.journal.is_some() {
            return self.journal.clone();
        }
        if jobs.len() <= 1 && self.list.is_none() {
            return None;
        }
        let is_folder = |output: &Path| output.extension() != Some(OsStr::new("pose")) || output.is_dir();
        match &self.output {
            Some(output) => is_folder(output).then(|| output.join(journal::NAME)),
            None => self.journal_of_list().or_else(|| Some(self.common_folder(jobs)?.join(journal::NAME))),
        }
    }

    /// The journal of the run that wrote the list of failed videos.
    fn journal_of_list(&self) -> Option<PathBuf> {
        let list = self.list.as_ref()?;
        let name = list.file_name()?.as_bytes().strip_suffix(b".failed.list")?;
        let journal = list.with_file_name(OsStr::from_bytes(&[name, b".jsonl"].concat()));
        journal.is_file().then_some(journal)
    }

    /// The folder of all outputs that lie beside their videos: the one folder that was given, or the parent of all.
    fn common_folder<'a>(&'a self, jobs: &'a [Job]) -> Option<&'a Path> {
        if let ([folder], None) = (&self.inputs[..], &self.list)
            && folder.is_dir()
        {
            return Some(folder);
        }
        let mut folders = jobs.iter().map(|job| folder_of(&job.output));
        let first = folders.next()?;
        folders.all(|folder| folder == first).then_some(first)
    }

    /// The journals of other runs into the folders of these outputs, with SLURM or without.
    fn neighbouring_journals(&self, jobs: &[Job], own: Option<&Path>) -> Vec<PathBuf> {
        let is_named = self.output.as_ref().is_some_and(|output| !output.is_dir() && jobs.len() == 1);
        let outputs = jobs.iter().filter(|_| !is_named).filter_map(|job| job.output.parent());
        // The tasks of a submission keep theirs in FOLDER/.oppose/run-N.
        let submitted = own.into_iter().flat_map(Path::ancestors).find(|path| path.ends_with(slurm::FOLDER));
        let folders: BTreeSet<&Path> = outputs.chain(submitted.and_then(Path::parent)).collect();
        let mut journals = BTreeSet::new();
        for folder in folders {
            // Folders that cannot be read have nothing to say.
            journals.insert(folder.join(journal::NAME));
            let runs = slurm::Run::all(folder).unwrap_or_default();
            journals.extend(runs.iter().flat_map(|run| run.journals().unwrap_or_default()));
        }
        journals.into_iter().filter(|journal| Some(journal.as_path()) != own).collect()
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
    Workers(#[from] WorkersError),
    #[error(transparent)]
    Engine(#[from] OpenError),
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    #[error("cannot start this program again as a worker: {0}")]
    Program(std::io::Error),
    #[error(
        "standard input is one of several videos: it can be processed only alone, as in `oppose-native - -o \
         FILE.pose`"
    )]
    StandardInputAmongOthers,
    #[error("{0}")]
    MixedEngines(String),
    #[error("cannot write the journal {}: {source}", printable(path))]
    Journal { path: PathBuf, source: std::io::Error },
    #[error("cannot read the journal {}: {source}; give another with --journal", printable(path))]
    ReadJournal { path: PathBuf, source: std::io::Error },
    #[error(
        "--render reads the video once more, which standard input cannot be: save the video to a file, or draw the \
         .pose file alone afterwards with `oppose-native render FILE.pose -o FILE.mp4`"
    )]
    RenderStandardInput,
    #[error("cannot write the list to standard output: {0}")]
    Print(std::io::Error),
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Processes all videos.
pub fn run(arguments: &Arguments) -> Outcome {
    match start(arguments) {
        Ok(outcome) => outcome,
        Err(error) => {
            say(error);
            Outcome::NothingRan
        }
    }
}

fn start(arguments: &Arguments) -> Result<Outcome, StartError> {
    let inputs =
        Inputs { paths: &arguments.inputs, list: arguments.list.as_deref(), recursive: arguments.recursive };
    let Plan { jobs, problems } = plan::plan(inputs, arguments.output.as_deref(), arguments.keep_suffix)?;
    let is_standard_input = |job: &Job| job.video.as_os_str() == video::STDIN;
    if arguments.render && jobs.iter().any(is_standard_input) {
        return Err(StartError::RenderStandardInput);
    }
    if jobs.len() > 1 && jobs.iter().any(is_standard_input) {
        return Err(StartError::StandardInputAmongOthers);
    }
    // One video stays in this process; among several none must be able to end the run.
    let is_batch = (jobs.len() > 1 || arguments.list.is_some()) && !jobs.iter().any(is_standard_input);
    if !arguments.dry_run {
        plan::sweep(&jobs);
    }
    let journal = arguments.journal(&jobs);
    let mut reporter = Reporter::new(arguments.progress, jobs.len());
    let entries = journal::read_all(journal.as_slice())
        .map_err(|source| StartError::ReadJournal { path: journal.clone().unwrap_or_default(), source })?;
    let recorded = journal::recorded(entries);
    let options = resume::Options::new(arguments.overwrite, arguments.retry_crashed);
    let mut sorted = resume::sort(jobs, &recorded, options);
    if arguments.dry_run {
        print_plan(&sorted)?;
        reporter.skipped(&sorted.done);
        reporter.crashed_before(&sorted.crashed);
        for (path, reason) in &problems {
            reporter.unreadable(path, reason);
        }
        return Ok(Outcome::AllDone);
    }
    sorted.set_aside(&mut |output, reason, aside| {
        reporter.note(&format!(
            "{} {reason}; renamed to {} and will be made again",
            printable(output),
            printable(aside)
        ));
    });
    plan::check_outputs(&sorted.left)?;
    let is_journal_needed = !sorted.left.is_empty() || !sorted.unknown.is_empty();
    let opened = match &journal {
        Some(path) if is_journal_needed => {
            let journal = Journal::open(path);
            let mut journal = journal.map_err(|source| StartError::Journal { path: path.clone(), source })?;
            journal.set_colors(arguments.colors);
            Some(journal)
        }
        _ => None,
    };
    reporter.skipped(&sorted.done);
    reporter.crashed_before(&sorted.crashed);
    reporter.expect(&sorted.left, opened);
    for (path, reason) in &problems {
        reporter.unreadable(path, reason);
    }
    for (job, error) in &sorted.unknown {
        reporter.failed(0, &job.video, &job.output, &error.to_string(), false);
    }
    let mut has_failures = !sorted.unknown.is_empty() || !sorted.crashed.is_empty() || !problems.is_empty();
    let signals = match is_batch {
        true => Signals::listen_with(SUPERVISOR_PATIENCE)?,
        false => Signals::listen()?,
    };
    if arguments.render {
        let jobs: Vec<Job> = sorted.done.iter().map(|(job, _)| job.clone()).collect();
        let options = arguments.video_options();
        let place = if is_batch { Place::Apart(arguments.workers.limits()) } else { Place::Here };
        has_failures |= !overlays::draw_missing(&jobs, place, &options, &signals.cancel, &mut reporter);
        if signals.cancel.is_cancelled() {
            return Ok(signals.outcome());
        }
    }
    // What other runs into the same folders say is asked only about engines.
    let neighbours = match arguments.overwrite || arguments.allow_mixed_engines {
        true => HashMap::new(),
        false => journal::read_all(&arguments.neighbouring_journals(&sorted.left, journal.as_deref()))
            .map(journal::recorded)
            .unwrap_or_default(),
    };
    let conflict = |engine: &_| match arguments.overwrite || arguments.allow_mixed_engines {
        true => None,
        false => resume::conflict(engine, &recorded, &sorted.done)
            .or_else(|| resume::conflict(engine, &neighbours, &[])),
    };
    let run = Run { arguments, signals: &signals, recorded: &recorded, conflict: &conflict };
    let outcome = match (sorted.left.is_empty(), is_batch) {
        (true, _) => Outcome::AllDone,
        (false, true) => run.in_workers(sorted.left, &mut reporter)?,
        (false, false) => run.in_this_process(&sorted.left, &mut reporter)?,
    };
    reporter.finish(journal.map(|journal| journal.with_extension("failed.list")));
    match outcome {
        Outcome::AllDone if has_failures => Ok(Outcome::SomeFailed),
        outcome => Ok(outcome),
    }
}

/// Prints what would be processed, as a list that `--list` takes.
fn print_plan(sorted: &Sorted) -> Result<(), StartError> {
    let mut lines = Vec::new();
    for job in &sorted.left {
        list::add_line(&mut lines, &job.video, &job.output, None);
    }
    let mut output = std::io::stdout();
    match output.write_all(&lines).and_then(|()| output.flush()) {
        // A reader that has gone away has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(StartError::Print(error)),
        _ => Ok(()),
    }
}

/// What all ways to process videos share.
struct Run<'a> {
    arguments: &'a Arguments,
    signals: &'a Signals,
    /// What the journal knows of the outputs.
    recorded: &'a HashMap<PathBuf, Recorded>,
    /// Finds results that must not be mixed with those of an engine.
    conflict: &'a dyn Fn(&oppose::engine::EngineInfo) -> Option<resume::Conflict>,
}

impl Run<'_> {
    /// Processes the videos in worker processes. Their overlays are drawn afterwards: each takes all processors.
    fn in_workers(&self, mut jobs: Vec<Job>, reporter: &mut Reporter) -> Result<Outcome, StartError> {
        let slots = self.arguments.workers.slots()?;
        if slots.len() > 1 {
            // The longest first: a long one that came last would keep one worker long after the others.
            jobs.sort_by_cached_key(|job| {
                (resume::interruptions(job, self.recorded), Reverse(reporter.work_of(&job.video)))
            });
        }
        let commands: Result<Vec<_>, _> = slots.iter().map(WorkerSlot::command).collect();
        let mut commands = commands.map_err(StartError::Program)?;
        reporter.set_workers(slots.len().min(jobs.len()));
        let limits = self.arguments.workers.limits();
        let mut refused = None;
        let supervised = batch::supervise(&jobs, &mut commands, limits, &self.signals.cancel, &mut |event| {
            self.check(&event, &mut refused);
            if refused.is_none() {
                reporter.handle(&jobs, &event);
            }
        });
        if let Some(reason) = refused {
            return Err(StartError::MixedEngines(reason));
        }
        let outcome = match supervised {
            Ok(ended) => self.outcome(ended, &jobs, reporter),
            Err(error) if reporter.ended() == 0 => return Err(error.into()),
            Err(error) => {
                reporter.note(&error.to_string());
                Outcome::SomeFailed
            }
        };
        Ok(self.draw_done(&jobs, Place::Apart(limits), outcome, reporter))
    }

    /// Processes a single video in this process.
    fn in_this_process(&self, jobs: &[Job], reporter: &mut Reporter) -> Result<Outcome, StartError> {
        let arguments = self.arguments;
        let slot = arguments.workers.slots()?.first().copied().unwrap_or_default();
        let mut refused = None;
        let mut engines = 0;
        let reporter_cell = std::cell::RefCell::new(&mut *reporter);
        let run = batch::run_in_process(
            jobs,
            || {
                engines += 1;
                let is_first = engines == 1;
                arguments.open_engine(slot, &|text| {
                    if is_first {
                        reporter_cell.borrow().note(text);
                    }
                })
            },
            &arguments.pipeline_options(self.signals.cancel.clone()),
            &arguments.video_options(),
            &mut |event| {
                self.check(&event, &mut refused);
                if refused.is_none() {
                    reporter_cell.borrow_mut().handle(jobs, &event);
                }
            },
        );
        if let Some(reason) = refused {
            return Err(StartError::MixedEngines(reason));
        }
        let outcome = match run {
            Ok(ended) => self.outcome(ended, jobs, reporter),
            Err(error) if engines <= 1 => return Err(error.into()),
            Err(error) => {
                reporter.note(&error.to_string());
                Outcome::SomeFailed
            }
        };
        Ok(self.draw_done(jobs, Place::Here, outcome, reporter))
    }

    /// Draws the overlays of the videos that are done, where they are asked for.
    fn draw_done(
        &self,
        jobs: &[Job],
        place: Place,
        mut outcome: Outcome,
        reporter: &mut Reporter,
    ) -> Outcome {
        if !self.arguments.render {
            return outcome;
        }
        let options = self.arguments.video_options();
        for job in jobs {
            if !reporter.is_done(&job.output) {
                continue;
            }
            if self.signals.cancel.is_cancelled() {
                return self.signals.outcome();
            }
            if !overlays::draw(job, place, &options, &self.signals.cancel, reporter) {
                outcome = Outcome::SomeFailed;
            }
        }
        outcome
    }

    /// Stops the run where an engine is not the one whose results are there.
    fn check(&self, event: &batch::Event<'_>, refused: &mut Option<String>) {
        if let batch::Event::Ready { engine, .. } = event
            && let Some(conflict) = (self.conflict)(engine)
        {
            *refused = Some(format!(
                "{} was made otherwise: {}. Results of different engines must not be mixed in one folder: give another \
                 folder with --output, make everything again with --overwrite, or mix them on purpose with \
                 --allow-mixed-engines",
                printable(&conflict.output),
                conflict.difference
            ));
            self.signals.cancel.cancel();
        }
    }

    fn outcome(&self, ended: Ended, jobs: &[Job], reporter: &mut Reporter) -> Outcome {
        match ended {
            Ended::Cancelled => {
                reporter.stopped(jobs);
                self.signals.outcome()
            }
            Ended::Completed if reporter.has_failures() || reporter.ended() < jobs.len() => {
                Outcome::SomeFailed
            }
            Ended::Completed => Outcome::AllDone,
        }
    }
}
