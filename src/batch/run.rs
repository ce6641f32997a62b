//! A batch from its plan to its summary.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::process::Command;

use tracing::info;

use super::journal::{self, Journal, Outcome, Recorded, VideoState};
use super::message::VideoUpdate;
use super::plan::{self, Plan, PlanError};
use super::resume::{self, Conflict, Sorted};
use super::supervisor::{Limits, SupervisorError, supervise};
use super::tally::{Summary, Tally};
use super::{Ended, Event, Job, run_in_process};
use crate::Chain;
use crate::engine::{Engine, EngineError, EngineInfo};
use crate::pipeline::{self, Cancel};
use crate::pose::PoseError;
use crate::video::{self, Colors};

/// Settings of a [`Batch`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Process videos again whose `.pose` files exist.
    pub overwrite: bool,
    /// Retry videos that crashed the program twice in earlier runs.
    pub retry_crashed: bool,
    /// Add to a folder that holds results of another engine, other models or other settings.
    pub allow_mixed_engines: bool,
    /// The journal; if `None`, [`Plan::journal`].
    pub journal: Option<PathBuf>,
    /// How colours are converted, for the journal.
    pub colors: Colors,
}

impl Options {
    /// The same options with `overwrite`.
    #[must_use]
    pub fn with_overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// The same options with `retry_crashed`.
    #[must_use]
    pub fn with_retry_crashed(mut self, retry_crashed: bool) -> Self {
        self.retry_crashed = retry_crashed;
        self
    }

    /// The same options with `allow_mixed_engines`.
    #[must_use]
    pub fn with_allow_mixed_engines(mut self, allow_mixed_engines: bool) -> Self {
        self.allow_mixed_engines = allow_mixed_engines;
        self
    }

    /// The same options with `journal`.
    #[must_use]
    pub fn with_journal(mut self, journal: impl Into<Option<PathBuf>>) -> Self {
        self.journal = journal.into();
        self
    }

    /// The same options with `colors`.
    #[must_use]
    pub fn with_colors(mut self, colors: Colors) -> Self {
        self.colors = colors;
        self
    }
}

/// Why a batch cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// An output folder cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The journal cannot be read.
    #[error("cannot read the journal {}", path.display())]
    ReadJournal {
        /// The journal.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The journal cannot be written.
    #[error("cannot write the journal {}", path.display())]
    WriteJournal {
        /// The journal.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The folder holds results that must not be mixed with those of this engine.
    #[error(
        "{} was made otherwise: {}. Results of different engines must not be mixed in one folder",
        .0.output.display(), .0.difference
    )]
    MixedEngines(Conflict),
    /// No worker process could be started, or none is left.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    /// The engine cannot be opened.
    #[error(transparent)]
    Engine(Box<dyn Error + Send + Sync>),
}

impl From<EngineError> for BatchError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error.into())
    }
}

/// The state of a batch when an [`Event`] happens.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct State<'a> {
    /// The videos of this run, to which the indices in events refer.
    pub jobs: &'a [Job],
    /// How many have ended, and how long the rest will take.
    pub tally: &'a Tally,
}

/// Many videos on their way to `.pose` files, and what earlier runs have done.
///
/// Complete videos are skipped. A journal records the outcome of each video and what computed it; a run that was
/// interrupted, for whatever reason, continues where it stopped when it is started again.
#[derive(Debug)]
pub struct Batch {
    plan: Plan,
    options: Options,
    /// What the journal says about the outputs.
    recorded: HashMap<PathBuf, Recorded>,
    sorted: Sorted,
    journal_path: Option<PathBuf>,
    journal: Option<Journal>,
    tally: Tally,
    /// Videos that have been started and have not ended, by worker and index among the jobs.
    begun: BTreeSet<(usize, usize)>,
}

impl Batch {
    /// Reads the journal and checks the outputs to find out what is left to do. Changes nothing.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn new(mut plan: Plan, options: Options) -> Result<Self, BatchError> {
        let journal_path = options.journal.clone().or_else(|| plan.journal.clone());
        let entries = journal::read_all(journal_path.as_slice()).map_err(|source| {
            BatchError::ReadJournal { path: journal_path.clone().unwrap_or_default(), source }
        })?;
        let recorded = journal::recorded(entries);
        let jobs = mem::take(&mut plan.jobs);
        let mut tally = Tally::new(jobs.len());
        let sorted =
            resume::sort(jobs, &recorded, resume::Options::new(options.overwrite, options.retry_crashed));
        for (job, _) in &sorted.done {
            tally.skipped(&job.output);
        }
        for (job, reason) in &sorted.crashed {
            tally.failed(&job.video, &job.output, &format!("{reason} (in an earlier run)"), true);
        }
        for (path, reason) in &plan.problems {
            tally.unreadable(path, reason);
        }
        let (journal, begun) = (None, BTreeSet::new());
        Ok(Self { plan, options, recorded, sorted, journal_path, journal, tally, begun })
    }

    /// The videos that are left to process.
    pub fn left(&self) -> &[Job] {
        &self.sorted.left
    }

    /// The videos that are skipped because their files are complete, and the frames of each.
    pub fn done(&self) -> &[(Job, u64)] {
        &self.sorted.done
    }

    /// The videos that are skipped because they crashed the program twice in an earlier run, and how.
    pub fn crashed(&self) -> &[(Job, String)] {
        &self.sorted.crashed
    }

    /// Folders that cannot be read and links that lead nowhere, with the reason.
    pub fn problems(&self) -> &[(PathBuf, String)] {
        &self.plan.problems
    }

    /// How many videos have ended.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Processes the videos with one worker process for each of `commands`, which must call
    /// [`serve`](super::serve). One that dies costs no other video: see [`supervise`]. Blocks until all are done;
    /// `events` is called on this thread.
    ///
    /// # Errors
    /// An output folder or the journal cannot be written, the folder holds results of another engine, or no worker
    /// can start. What was done until then is kept.
    pub fn in_workers(
        &mut self,
        commands: &mut [Command],
        limits: Limits,
        cancel: &Cancel,
        events: &mut dyn FnMut(&Event<'_>, State<'_>),
    ) -> Result<Ended, BatchError> {
        let mut jobs = self.begin(events)?;
        if commands.len() > 1 {
            // The longest first: a long one at the end would keep one worker busy long after the others.
            jobs.sort_by_cached_key(|job| {
                (resume::interruptions(job, &self.recorded), Reverse(self.tally.work_of(&job.video)))
            });
        }
        self.run(&jobs, cancel, events, |jobs, events| Ok(supervise(jobs, commands, limits, cancel, events)?))
    }

    /// Processes the videos in this process, one after another, with the engine that `open` returns, and with a new
    /// one after that dies: see [`run_in_process`]. Blocks until all are done; `events` is called on this thread.
    ///
    /// # Errors
    /// An output folder or the journal cannot be written, the folder holds results of another engine, or `open`
    /// fails. What was done until then is kept.
    pub fn in_this_process<E: Into<Box<dyn Error + Send + Sync>>>(
        &mut self,
        mut open: impl FnMut() -> Result<Box<dyn Engine>, E>,
        options: &pipeline::Options,
        video_options: &video::Options,
        events: &mut dyn FnMut(&Event<'_>, State<'_>),
    ) -> Result<Ended, BatchError> {
        let jobs = self.begin(events)?;
        let mut open = || open().map_err(|error| BatchError::Engine(error.into()));
        self.run(&jobs, &options.cancel, events, |jobs, events| {
            run_in_process(jobs, &mut open, options, video_options, events)
        })
    }

    /// Writes the list of failed videos beside the journal, and returns the outcome of the batch.
    pub fn finish(self) -> (Summary, Option<io::Error>) {
        let list = self.journal_path.map(|journal| journal.with_extension("failed.list"));
        let error = list.as_ref().and_then(|list| self.tally.write_failed(list).err());
        let list = list.filter(|list| error.is_none() && list.exists());
        (self.tally.summary(list), error)
    }

    /// Makes room for the outputs and opens the journal.
    fn begin(&mut self, events: &mut dyn FnMut(&Event<'_>, State<'_>)) -> Result<Vec<Job>, BatchError> {
        info!(
            left = self.sorted.left.len(),
            done = self.sorted.done.len(),
            crashed = self.sorted.crashed.len(),
            journal = ?self.journal_path,
            "beginning a batch"
        );
        let done = self.sorted.done.iter().map(|(job, _)| job);
        plan::sweep(self.sorted.left.iter().chain(done));
        let state = State { jobs: &[], tally: &self.tally };
        self.sorted.set_aside(&mut |output, reason, aside| {
            events(&Event::SetAside { output, reason, aside }, state);
        });
        plan::check_outputs(&self.sorted.left)?;
        let jobs = mem::take(&mut self.sorted.left);
        let unknown = mem::take(&mut self.sorted.unknown);
        if let Some(path) = &self.journal_path
            && (!jobs.is_empty() || !unknown.is_empty())
        {
            let journal = Journal::open(path);
            let mut journal =
                journal.map_err(|source| BatchError::WriteJournal { path: path.clone(), source })?;
            journal.set_colors(self.options.colors);
            self.journal = Some(journal);
        }
        let states: HashMap<PathBuf, VideoState> =
            jobs.iter().filter_map(|job| Some((job.video.clone(), VideoState::of(&job.video)?))).collect();
        self.tally.expect(&jobs, &states);
        if let Some(journal) = &mut self.journal {
            journal.expect(states);
        }
        self.report_unknown(unknown, events);
        Ok(jobs)
    }

    /// Videos whose outputs cannot be read count as failed.
    fn report_unknown(
        &mut self,
        unknown: Vec<(Job, PoseError)>,
        events: &mut dyn FnMut(&Event<'_>, State<'_>),
    ) {
        let (jobs, errors): (Vec<Job>, Vec<PoseError>) = unknown.into_iter().unzip();
        for (video, error) in errors.iter().enumerate() {
            let update = VideoUpdate::Failed { reason: Chain(error).to_string(), is_crash: false };
            self.on_event(&jobs, &Event::Video { worker: 0, video, update: &update }, events);
        }
    }

    fn run(
        &mut self,
        jobs: &[Job],
        cancel: &Cancel,
        events: &mut dyn FnMut(&Event<'_>, State<'_>),
        process: impl FnOnce(&[Job], &mut dyn FnMut(Event<'_>)) -> Result<Ended, BatchError>,
    ) -> Result<Ended, BatchError> {
        if jobs.is_empty() {
            return Ok(Ended::Completed);
        }
        let neighbours = self.neighbours(jobs);
        let mut refused = None;
        let processed = process(jobs, &mut |event| {
            if let Event::Ready { engine, .. } = event
                && let Some(conflict) = self.conflict(engine, &neighbours)
            {
                refused = Some(conflict);
                cancel.cancel();
            }
            if refused.is_none() {
                self.on_event(jobs, &event, events);
            }
        });
        if let Some(conflict) = refused {
            return Err(BatchError::MixedEngines(conflict));
        }
        match processed {
            Ok(Ended::Cancelled) => {
                self.stopped(jobs, events);
                Ok(Ended::Cancelled)
            }
            Ok(ended) => Ok(ended),
            Err(error) if self.tally.ended_in_run() == 0 => Err(error),
            Err(error) => {
                let reason = Chain(&error).to_string();
                events(&Event::GaveUp { reason: &reason }, State { jobs, tally: &self.tally });
                Ok(Ended::Completed)
            }
        }
    }

    /// What the journals of other runs into the same folders say. Only their engines are used.
    fn neighbours(&self, jobs: &[Job]) -> HashMap<PathBuf, Recorded> {
        if self.may_mix() {
            return HashMap::new();
        }
        let journals = self.plan.neighbouring_journals(jobs, self.journal_path.as_deref());
        journal::read_all(&journals).map(journal::recorded).unwrap_or_default()
    }

    fn may_mix(&self) -> bool {
        self.options.overwrite || self.options.allow_mixed_engines
    }

    /// A result that must not be mixed with those of this engine.
    fn conflict(
        &self,
        engine: &EngineInfo,
        neighbours: &HashMap<PathBuf, Recorded>,
    ) -> Option<resume::Conflict> {
        if self.may_mix() {
            return None;
        }
        resume::conflict(engine, &self.recorded, &self.sorted.done)
            .or_else(|| resume::conflict(engine, neighbours, &[]))
    }

    /// Counts and records what happened, then passes it on.
    fn on_event(&mut self, jobs: &[Job], event: &Event<'_>, events: &mut dyn FnMut(&Event<'_>, State<'_>)) {
        match *event {
            Event::Ready { worker, engine } => {
                if let Some(journal) = &mut self.journal {
                    journal.set_engine(worker, engine.clone());
                }
            }
            Event::Died { worker, suspects, .. } => {
                for &video in suspects {
                    self.begun.remove(&(worker, video));
                }
            }
            Event::Video { worker, video, update } => self.count(worker, video, &jobs[video], update),
            _ => {}
        }
        events(event, State { jobs, tally: &self.tally });
        if let Event::Video { worker, video, update } = *event
            && let Some(outcome) = recorded_outcome(update, self.tally.left())
        {
            self.record(worker, video, jobs, outcome, events);
        }
    }

    fn count(&mut self, worker: usize, number: usize, job: &Job, update: &VideoUpdate) {
        let Job { video, output } = job;
        if update.is_end() {
            self.begun.remove(&(worker, number));
        }
        match update {
            VideoUpdate::Opening => _ = self.begun.insert((worker, number)),
            VideoUpdate::Started { .. } => self.tally.started(),
            VideoUpdate::Progress(progress) => self.tally.progress(video, *progress),
            VideoUpdate::Done(report) => self.tally.done(video, report),
            VideoUpdate::Exists => self.tally.exists(video, output),
            VideoUpdate::Failed { reason, is_crash } => self.tally.failed(video, output, reason, *is_crash),
        }
    }

    /// The user stopped the run: the videos that were being processed are not to blame.
    fn stopped(&mut self, jobs: &[Job], events: &mut dyn FnMut(&Event<'_>, State<'_>)) {
        for (worker, video) in mem::take(&mut self.begun) {
            events(&Event::Stopped { worker, video }, State { jobs, tally: &self.tally });
            self.record(worker, video, jobs, Outcome::Stopped, events);
        }
    }

    /// A journal that cannot be written is no reason to lose results.
    fn record(
        &mut self,
        worker: usize,
        video: usize,
        jobs: &[Job],
        outcome: Outcome,
        events: &mut dyn FnMut(&Event<'_>, State<'_>),
    ) {
        let Some(journal) = &mut self.journal else { return };
        let job: &Job = &jobs[video];
        if let Err(error) = journal.add(worker, &job.video, &job.output, outcome) {
            let state = State { jobs, tally: &self.tally };
            events(&Event::NotRecorded { video, error: &error }, state);
        }
    }
}

/// What the journal records of it. `left` videos of the run have not ended.
fn recorded_outcome(update: &VideoUpdate, left: usize) -> Option<Outcome> {
    match update {
        // If this process and its workers are killed, the next run begins with the other videos.
        VideoUpdate::Opening => Some(Outcome::Started { left: Some(left) }),
        VideoUpdate::Done(report) => Some(Outcome::done(report)),
        VideoUpdate::Failed { reason, is_crash } => {
            Some(Outcome::Failed { reason: reason.clone(), crashed: *is_crash })
        }
        _ => None,
    }
}
