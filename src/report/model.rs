//! The contents of a report: numbers from `.pose` files and journals.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use serde::Serialize;

use super::encoding::{PageSkeleton, Sketch, SketchSize, timelines};
use super::explanations::Explanation;
use super::html::PageError;
use super::runs::{Recorded, RunInfo, UnderWay};
use super::thumbnails::{ThumbnailRequest, Thumbnails};
use crate::Chain;
use crate::batch::journal::{self, Outcome};
use crate::batch::slurm::Run;
use crate::inspect::{Inspection, inspect};
use crate::pose::{Pose, PoseError, Skeleton, files_below};
use crate::printable::printable;

/// Number of spans in a timeline.
const SPANS: usize = 64;
/// Components of a timeline: the engines' files have up to five.
const TIMELINE_COMPONENTS: usize = 16;
/// Number of different skeletons that a page draws. A corpus has one or two; files with others are still in the
/// table.
const MAX_SKELETONS: usize = 16;
/// How many files are read at the same time.
const BATCH: usize = 64;
/// Longest reason of a failure, in characters: a line of a journal may have a megabyte.
const MAX_REASON: usize = 2000;
/// Longest file name in the page, in characters.
const MAX_FILE_NAME: usize = 500;
/// Longest sketch of a row, in letters of base64.
const MAX_SKETCH: usize = 16_384;

/// How long all pictures of a page may take together.
const THUMBNAIL_PATIENCE: Duration = Duration::from_secs(60);
/// Letters of base64 that all pictures of a page may have together.
const THUMBNAIL_LETTERS: usize = 4 << 20;

/// What every file gets.
const ROW_SKETCH: SketchSize = SketchSize { frames: 3, people: 2, points: 25, is_fine: false };
/// What the worst files get.
const WORST_SKETCH: SketchSize = SketchSize { frames: 12, people: 8, points: 1000, is_fine: true };

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A folder of `.pose` files cannot be read.
    #[error(transparent)]
    Pose(#[from] PoseError),
    /// A journal cannot be read.
    #[error("cannot read the journal {}", printable(path))]
    Journal {
        /// Which one.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The page cannot be rendered.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The caller asked to stop.
    #[error("stopped before the report was complete; nothing was written")]
    Cancelled,
}

/// What to include in a report besides the files.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Journals to read besides those that are found in the folders: `oppose.jsonl`, and those of SLURM tasks.
    pub journals: Vec<PathBuf>,
    /// How many of the worst files get a contact sheet of twelve frames with all points; the others get three
    /// frames.
    pub worst: usize,
    /// The progress of a run that is under way. What is unknown is taken from the journals.
    pub progress: Option<Progress>,
    /// How to get pictures from the videos of the worst files; `None` for no pictures.
    pub thumbnails: Option<Thumbnails>,
}

impl Default for Options {
    fn default() -> Self {
        Self { journals: Vec::new(), worst: 24, progress: None, thumbnails: None }
    }
}

impl Options {
    /// The same options with `journals`.
    #[must_use]
    pub fn with_journals(mut self, journals: Vec<PathBuf>) -> Self {
        self.journals = journals;
        self
    }

    /// The same options with `worst`.
    #[must_use]
    pub fn with_worst(mut self, worst: usize) -> Self {
        self.worst = worst;
        self
    }

    /// The same options with `progress`.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Into<Option<Progress>>) -> Self {
        self.progress = progress.into();
        self
    }

    /// The same options with `thumbnails`.
    #[must_use]
    pub fn with_thumbnails(mut self, thumbnails: impl Into<Option<Thumbnails>>) -> Self {
        self.thumbnails = thumbnails.into();
        self
    }
}

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The interval in seconds at which the page is rewritten, so that a browser reloads it.
    pub every_seconds: u64,
    /// Number of videos, if it is known.
    pub of: Option<usize>,
    /// Videos that are neither done nor failed.
    pub left: Option<usize>,
    /// Tasks of the cluster that are running.
    pub tasks: Option<usize>,
    /// The time that the rest will take at the present speed.
    pub seconds_left: Option<f64>,
}

/// Sums over the corpus.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// `.pose` files that were read.
    pub files: usize,
    /// Videos that the journals call done.
    pub done: usize,
    /// Videos whose last attempt failed.
    pub failed: usize,
    /// Videos that were started and have no outcome yet: they are running, or their run was killed.
    pub begun: usize,
    /// Videos that the user stopped.
    pub stopped: usize,
    /// `.pose` files that cannot be read.
    pub unreadable: usize,
    /// Videos that the journals call done, and whose files are not among those that were read.
    pub missing: usize,
    /// Frames in the files.
    pub frames: u64,
    /// Their length.
    pub seconds: f64,
    /// Files with frames of their videos in the page.
    pub pictured: usize,
    /// Frames per second of computing time and worker, according to the journals; `None` if they have no video that
    /// is done.
    pub speed: Option<f64>,
}

/// A video that failed, or a file that cannot be read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The video or file, made safe to show.
    pub file: String,
    /// Why, made safe to show.
    pub reason: String,
    /// Whether it ended the engine or its process.
    pub crashed: bool,
    /// Index of the entry in [`Report::explanations`] that explains it.
    pub explanation: Option<usize>,
}

/// A `.pose` file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row {
    /// Its path relative to the folder, made safe to show.
    pub file: String,
    /// The result of [`inspect`].
    pub inspection: Inspection,
    /// Index of its skeleton in the page.
    pub(super) skeleton: Option<usize>,
    pub(super) timelines: Vec<String>,
    pub(super) sketch: Option<Sketch>,
    path: PathBuf,
}

/// A component of a row, in the order of the page: share of the frames, confidences, jitter in pixels and in
/// shoulder widths, jumps. See [`crate::inspect::ComponentInspection`].
pub type Component = (f64, Option<[f32; 3]>, Option<f32>, Option<f32>, usize);

/// A corpus at a glance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Its title, made safe to show.
    pub title: String,
    /// When it was created, in seconds since 1970.
    pub made: u64,
    /// What the files were computed by, according to the journals.
    pub runs: Vec<RunInfo>,
    /// Sums.
    pub totals: Totals,
    /// The progress of a run that is under way.
    pub progress: Option<Progress>,
    /// What failed, by file name.
    pub failures: Vec<Failure>,
    /// What those failures mean.
    pub explanations: Vec<&'static Explanation>,
    /// The files, the worst first.
    pub rows: Vec<Row>,
    pub(super) skeletons: Vec<PageSkeleton>,
}

/// Creates reports. The second report of a collector reads only what has changed since the first.
#[derive(Debug, Default)]
pub struct Collector {
    known: HashMap<PathBuf, (Stamp, Row)>,
    skeletons: Vec<Skeleton>,
    /// Those of the worst files.
    pictures: HashMap<PathBuf, (Stamp, Vec<Option<String>>)>,
}

/// What shows whether a file is still the same.
type Stamp = (u64, Option<SystemTime>);

/// The result of reading a file, or why it cannot be read.
type Reading = Result<(Row, Skeleton), String>;

impl Collector {
    /// Reads `.pose` files and folders of them, with their journals. A file that cannot be read is one of the
    /// failures. `is_cancelled` is called now and then.
    ///
    /// # Errors
    /// A folder or a journal cannot be read, or the caller asked to stop.
    pub fn collect(
        &mut self,
        inputs: &[PathBuf],
        options: &Options,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Report, ReportError> {
        let mut files = Vec::new();
        let mut unreadable: Vec<(PathBuf, String)> = Vec::new();
        let mut journals = options.journals.clone();
        // Outputs of the videos that were submitted to a cluster.
        let mut submitted = HashSet::new();
        for input in inputs {
            if !input.is_dir() {
                files.push((input.clone(), shown_file(input)));
                continue;
            }
            match files_below(input) {
                Ok(below) => {
                    let name = |path: &PathBuf| shown_file(path.strip_prefix(input).unwrap_or(path));
                    files.extend(below.files.into_iter().map(|path| (path.clone(), name(&path))));
                    unreadable
                        .extend(below.problems.iter().map(|error| (input.clone(), Chain(error).to_string())));
                }
                // A run may have failed throughout, or have only begun.
                Err(PoseError::NoFiles(_)) if has_journal(input) => {}
                Err(error) => return Err(error.into()),
            }
            journals.push(input.join(journal::NAME));
            let failed = |source| ReportError::Journal { path: input.clone(), source };
            for run in Run::all(input).map_err(failed)? {
                journals.extend(run.journals().map_err(failed)?);
                if options.progress.is_some() {
                    submitted.extend(run.jobs().map_err(failed)?.into_iter().map(|job| job.output));
                }
            }
        }
        let mut seen = HashSet::new();
        files.retain(|(path, _)| seen.insert(path.clone()));
        let mut rows = self.rows(&files, &mut unreadable, is_cancelled)?;
        rows.sort_by(|a, b| b.inspection.faults.total_cmp(&a.inspection.faults));
        for row in rows.iter_mut().take(options.worst) {
            if is_cancelled() {
                return Err(ReportError::Cancelled);
            }
            // One that was replaced meanwhile keeps its small sketch.
            if row.skeleton.is_some()
                && let Ok(pose) = Pose::read_file(&row.path)
                && self.skeletons.get(row.skeleton.unwrap_or(usize::MAX)) == Some(&pose.header.skeleton)
                && let Some(sketch) = Sketch::new(&pose, WORST_SKETCH)
                && sketch.data.len() <= 64 * MAX_SKETCH
            {
                row.sketch = Some(sketch);
            }
        }

        let made = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let mut entries = Vec::new();
        let mut under_way = UnderWay::default();
        seen.clear();
        for path in journals {
            if seen.insert(path.clone()) {
                let of_one = journal::read(&path).map_err(|source| ReportError::Journal { path, source })?;
                under_way.add(&of_one, made);
                entries.extend(of_one);
            }
        }
        entries.sort_by_key(|entry| entry.time);
        let recorded = Recorded::new(entries);
        under_way.submitted(&submitted, &recorded);
        if let Some(thumbnails) = &options.thumbnails {
            let worst = rows.iter_mut().take(options.worst);
            self.add_pictures(worst, inputs, &recorded, thumbnails, is_cancelled)?;
        }
        let totals = totals(&rows, &unreadable, &recorded);
        let (failures, explanations) = failures(unreadable, &recorded);
        let title = inputs.iter().map(|input| shown_file(input)).collect::<Vec<_>>().join(", ");
        Ok(Report {
            title: truncated(&title, MAX_FILE_NAME),
            made,
            runs: recorded.runs,
            progress: options.progress.clone().map(|progress| under_way.complete(progress, &totals)),
            totals,
            failures,
            explanations,
            rows,
            skeletons: self.skeletons.iter().map(PageSkeleton::new).collect(),
        })
    }

    /// The files that can be read, and those that cannot.
    fn rows(
        &mut self,
        files: &[(PathBuf, String)],
        unreadable: &mut Vec<(PathBuf, String)>,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Row>, ReportError> {
        let mut known = std::mem::take(&mut self.known);
        let mut rows = Vec::with_capacity(files.len());
        for batch in files.chunks(BATCH) {
            if is_cancelled() {
                return Err(ReportError::Cancelled);
            }
            let read: Vec<(Stamp, Option<Reading>)> = batch
                .par_iter()
                .map(|(path, name)| {
                    let stamp = fs::metadata(path).map(|found| stamp(&found)).unwrap_or_default();
                    let is_known = known.get(path).is_some_and(|(known, _)| *known == stamp);
                    (stamp, (!is_known).then(|| read(path, name)))
                })
                .collect();
            for ((path, _), (stamp, read)) in batch.iter().zip(read) {
                let row = match read {
                    None => known.remove(path).map(|(_, row)| row),
                    Some(Ok((mut row, skeleton))) => {
                        row.skeleton = self.intern(skeleton);
                        Some(row)
                    }
                    Some(Err(reason)) => {
                        unreadable.push((path.clone(), reason));
                        None
                    }
                };
                if let Some(row) = row {
                    self.known.insert(path.clone(), (stamp, row.clone()));
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }

    /// Puts frames of the videos, if these are found, behind the contact sheets. Frames that are known already are
    /// not decoded again.
    fn add_pictures<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a mut Row>,
        inputs: &[PathBuf],
        recorded: &Recorded,
        thumbnails: &Thumbnails,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ReportError> {
        let mut known = std::mem::take(&mut self.pictures);
        let end = Instant::now() + THUMBNAIL_PATIENCE;
        let mut letters = 0;
        for row in rows {
            let Some(sketch) = &mut row.sketch else { continue };
            let stamp = fs::metadata(&row.path).map(|found| stamp(&found)).unwrap_or_default();
            let pictures = match known.remove(&row.path) {
                Some((known, pictures)) if known == stamp && pictures.len() == sketch.frames.len() => {
                    pictures
                }
                _ if Instant::now() >= end => continue,
                _ => {
                    let below = inputs.iter().find_map(|input| row.path.strip_prefix(input).ok());
                    let below = below.filter(|below| *below != Path::new(""));
                    let name = row.path.file_name().map(Path::new);
                    let places = below.or(name).into_iter();
                    let places = places
                        .flat_map(|below| thumbnails.folders.iter().map(move |folder| folder.join(below)));
                    let Some(video) = recorded.video_of(&row.path, places) else { continue };
                    // Where there is no room for files, there are no pictures.
                    let Ok(folder) = tempfile::tempdir() else { return Ok(()) };
                    let size = (row.inspection.width.into(), row.inspection.height.into());
                    let frames = sketch.frames.iter().map(|&frame| frame as u64).collect();
                    ThumbnailRequest::new(video, size, frames, folder.path()).fetch(thumbnails, is_cancelled)
                }
            };
            if is_cancelled() {
                return Err(ReportError::Cancelled);
            }
            letters += pictures.iter().flatten().map(String::len).sum::<usize>();
            if letters > THUMBNAIL_LETTERS {
                break;
            }
            if pictures.iter().any(Option::is_some) {
                sketch.pictures.clone_from(&pictures);
            }
            self.pictures.insert(row.path.clone(), (stamp, pictures));
        }
        Ok(())
    }

    /// The index of a skeleton among the different ones.
    fn intern(&mut self, skeleton: Skeleton) -> Option<usize> {
        if let Some(index) = self.skeletons.iter().position(|known| *known == skeleton) {
            return Some(index);
        }
        (self.skeletons.len() < MAX_SKELETONS).then(|| {
            self.skeletons.push(skeleton);
            self.skeletons.len() - 1
        })
    }
}

fn has_journal(folder: &Path) -> bool {
    folder.join(journal::NAME).exists() || Run::all(folder).is_ok_and(|runs| !runs.is_empty())
}

fn stamp(found: &Metadata) -> Stamp {
    (found.len(), found.modified().ok())
}

fn read(path: &Path, name: &str) -> Reading {
    let pose = Pose::read_file(path).map_err(|error| Chain(&error).to_string())?;
    let sketch = Sketch::new(&pose, ROW_SKETCH).filter(|sketch| sketch.data.len() <= MAX_SKETCH);
    let row = Row {
        file: name.to_owned(),
        inspection: inspect(&pose),
        skeleton: None,
        timelines: timelines(&pose, SPANS, TIMELINE_COMPONENTS),
        sketch,
        path: path.to_owned(),
    };
    Ok((row, pose.header.skeleton))
}

fn totals(rows: &[Row], unreadable: &[(PathBuf, String)], recorded: &Recorded) -> Totals {
    let mut totals = Totals { files: rows.len(), unreadable: unreadable.len(), ..Totals::default() };
    for Row { inspection, .. } in rows {
        totals.frames += inspection.frames as u64;
        totals.seconds += inspection.seconds.unwrap_or(0.0);
    }
    let has_pictures = |row: &&Row| row.sketch.as_ref().is_some_and(|sketch| !sketch.pictures.is_empty());
    totals.pictured = rows.iter().filter(has_pictures).count();
    let here: HashSet<PathBuf> = rows.iter().filter_map(|row| std::path::absolute(&row.path).ok()).collect();
    for (output, entry) in &recorded.last {
        match entry.outcome {
            Outcome::Done { .. } => {
                totals.done += 1;
                totals.missing += usize::from(!here.contains(output) && !output.exists());
            }
            Outcome::Failed { .. } => totals.failed += 1,
            Outcome::Started { .. } => totals.begun += 1,
            Outcome::Stopped => totals.stopped += 1,
        }
    }
    totals.speed = (recorded.seconds > 0.0).then(|| recorded.frames as f64 / recorded.seconds);
    totals
}

fn failures(
    unreadable: Vec<(PathBuf, String)>,
    recorded: &Recorded,
) -> (Vec<Failure>, Vec<&'static Explanation>) {
    let mut failed: Vec<(PathBuf, String, bool)> =
        unreadable.into_iter().map(|(path, reason)| (path, reason, false)).collect();
    failed.extend(recorded.last.values().filter_map(|entry| match &entry.outcome {
        Outcome::Failed { reason, crashed } => Some((entry.video.clone(), reason.clone(), *crashed)),
        _ => None,
    }));
    failed.sort_by(|a, b| natord::compare(&a.0.to_string_lossy(), &b.0.to_string_lossy()));
    let mut explanations: Vec<&'static Explanation> = Vec::new();
    let mut explain = |reason: &str| {
        let explanation = Explanation::of(reason)?;
        let known = explanations.iter().position(|known| *known == explanation);
        Some(known.unwrap_or_else(|| {
            explanations.push(explanation);
            explanations.len() - 1
        }))
    };
    let failure = |(path, reason, crashed): (PathBuf, String, bool)| Failure {
        file: shown_file(&path),
        explanation: explain(&reason),
        reason: truncated(&crate::printable::printable_message(&reason), MAX_REASON),
        crashed,
    };
    let failures = failed.into_iter().map(failure).collect();
    (failures, explanations)
}

fn shown_file(path: &Path) -> String {
    truncated(&printable(path).to_string(), MAX_FILE_NAME)
}

fn truncated(text: &str, max_letters: usize) -> String {
    match text.char_indices().nth(max_letters) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A row as the page's script reads it: the numbers of `inspect --json`, those of components as [`Component`] without
/// their names, which the skeleton has.
#[derive(Serialize)]
pub(super) struct PageRow<'a> {
    file: &'a str,
    skeleton: Option<usize>,
    version: f32,
    width: u16,
    height: u16,
    fps: f32,
    frame_rate: &'a str,
    frames: usize,
    seconds: Option<f64>,
    people: usize,
    frames_with_people: f64,
    components: Vec<Component>,
    jumps: usize,
    swaps: usize,
    faults: f64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    timelines: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    sketch: Option<&'a Sketch>,
}

impl Row {
    /// The row with its pictures, or without those that a large page has no room for.
    pub(super) fn for_page(&self, has_timelines: bool, has_sketch: bool) -> PageRow<'_> {
        let found = &self.inspection;
        let component = |part: &crate::inspect::ComponentInspection| {
            (part.present, part.confidence, part.jitter_pixels, part.jitter_shoulders, part.jumps)
        };
        PageRow {
            file: &self.file,
            skeleton: self.skeleton,
            version: found.version,
            width: found.width,
            height: found.height,
            fps: found.fps,
            frame_rate: &found.frame_rate,
            frames: found.frames,
            seconds: found.seconds,
            people: found.people,
            frames_with_people: found.frames_with_people,
            components: found.components.iter().map(component).collect(),
            jumps: found.jumps,
            swaps: found.swaps,
            faults: found.faults,
            timelines: if has_timelines { &self.timelines } else { &[] },
            sketch: self.sketch.as_ref().filter(|_| has_sketch),
        }
    }
}
