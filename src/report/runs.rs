//! What journals say about a corpus: what computed it, and the outcome of each video.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::model::{Progress, Totals};
use crate::batch::journal::{Entry, Outcome, VideoState};
use crate::engine::EngineInfo;
use crate::video::VIDEO_SUFFIXES;

/// More descriptions of engines than this are not kept: a corpus has only a few.
const MAX_RUNS: usize = 50;

/// One engine with one set of models and settings, and what it computed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunInfo {
    /// The engine, its device, precision, models and settings.
    pub engine: EngineInfo,
    /// The version of this program.
    pub version: String,
    /// The matrix by which colours were converted.
    pub colors: String,
    /// Videos that it completed or that failed, counting each attempt.
    pub videos: usize,
    /// When the first of them ended, in seconds since 1970.
    pub first: u64,
    /// When the last of them ended.
    pub last: u64,
}

/// What several journals say together.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) runs: Vec<RunInfo>,
    /// The last entry of each output.
    pub(super) last: HashMap<PathBuf, Entry>,
    /// Frames of the videos that are done, and the seconds that they took.
    pub(super) frames: u64,
    pub(super) seconds: f64,
}

impl Recorded {
    /// Combines the entries of all journals, which are in order of time.
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let mut recorded = Self::default();
        for entry in entries {
            recorded.count_run(&entry);
            if let Outcome::Done { frames, seconds, .. } = entry.outcome
                && seconds.is_finite()
            {
                recorded.frames = recorded.frames.saturating_add(frames);
                recorded.seconds += seconds.max(0.0);
            }
            recorded.last.insert(entry.output.clone(), entry);
        }
        recorded
    }

    fn count_run(&mut self, entry: &Entry) {
        // Entries of videos that have not ended, and of failures before an engine was open, name no engine.
        if entry.engine == EngineInfo::default() {
            return;
        }
        let same = |run: &&mut RunInfo| {
            run.engine == entry.engine && run.version == entry.version && run.colors == entry.colors
        };
        if let Some(run) = self.runs.iter_mut().find(same) {
            run.videos += 1;
            run.last = entry.time;
        } else if self.runs.len() < MAX_RUNS {
            self.runs.push(RunInfo {
                engine: entry.engine.clone(),
                version: entry.version.clone(),
                colors: entry.colors.clone(),
                videos: 1,
                first: entry.time,
                last: entry.time,
            });
        }
    }
}

impl Recorded {
    /// The video of a `.pose` file, if it is found: at the path in the journal, beside the file, or as if the file
    /// were in one of these `places`. A video that was changed after it was processed does not count.
    pub(super) fn video_of(&self, pose: &Path, places: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
        let recorded = std::path::absolute(pose).ok().and_then(|output| self.last.get(&output));
        let is_unchanged = |video: &PathBuf| {
            let then = recorded.and_then(|entry| entry.source);
            then.is_none_or(|then| VideoState::of(video).is_some_and(|now| now.change_since(&then).is_none()))
        };
        let beside = [pose.to_owned()].into_iter().chain(places).flat_map(|place| {
            let suffixes =
                VIDEO_SUFFIXES.iter().flat_map(|suffix| [(*suffix).to_owned(), suffix.to_uppercase()]);
            // `video.mp4.pose` is of `video.mp4`.
            suffixes.chain([String::new()]).map(move |suffix| place.with_extension(suffix))
        });
        let mut videos = recorded.map(|entry| entry.video.clone()).into_iter().chain(beside);
        videos.find(|video| video.is_file() && is_unchanged(video))
    }
}

/// The progress of the runs that are under way, one per journal.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Videos that have not ended; `None` if no journal says how many.
    left: Option<usize>,
    seconds_left: Option<f64>,
}

impl UnderWay {
    /// Adds the run that wrote last into a journal, whose entries are in the order of the file. `now` is in seconds since
    /// 1970.
    pub(super) fn add(&mut self, entries: &[Entry], now: u64) {
        /// How many videos the present speed is based on.
        const RECENT: usize = 50;

        let has_ended =
            |entry: &&Entry| matches!(entry.outcome, Outcome::Done { .. } | Outcome::Failed { .. });
        let last = entries.iter().enumerate().rev();
        let started = last.filter_map(|(index, entry)| match entry.outcome {
            Outcome::Started { left } => Some((index, left?)),
            _ => None,
        });
        let Some((start, left)) = started.clone().next() else { return };
        let left = left.saturating_sub(entries[start..].iter().filter(has_ended).count());
        *self.left.get_or_insert(0) += left;
        // Backwards in time, a run has ever more videos left.
        let mut fewest = 0;
        let of_run = started.take_while(|&(_, left)| left >= std::mem::replace(&mut fewest, left));
        let Some((first, _)) = of_run.last() else { return };
        let recent = entries[first..].iter().rev().filter(has_ended).take(RECENT);
        let (count, since) = recent.fold((0, now), |(count, _), entry| (count + 1, entry.time));
        // The time of the video that ended first is not known: it began with the run, or when others ended.
        let since = if count < RECENT { entries[first].time } else { since };
        if count > 0 && left > 0 {
            let seconds = now.saturating_sub(since) as f64 / count as f64 * left as f64;
            // Tasks of a cluster work side by side.
            self.seconds_left = Some(self.seconds_left.unwrap_or(0.0).max(seconds));
        }
    }

    /// On a cluster, the journals know only of the tasks that have started: counts the submitted videos instead.
    pub(super) fn submitted(&mut self, outputs: &HashSet<PathBuf>, recorded: &Recorded) {
        let has_ended = |output: &&PathBuf| {
            let outcome = recorded.last.get(*output).map(|entry| &entry.outcome);
            matches!(outcome, Some(Outcome::Done { .. } | Outcome::Failed { .. }))
        };
        if !outputs.is_empty() {
            self.left = Some(outputs.len() - outputs.iter().filter(has_ended).count());
        }
    }

    /// Fills in what is unknown.
    pub(super) fn complete(&self, mut progress: Progress, totals: &Totals) -> Progress {
        if progress.of.is_none()
            && let Some(left) = self.left
        {
            progress.left = Some(left);
            progress.of = Some(totals.done + totals.failed + left);
            progress.seconds_left = self.seconds_left;
        }
        progress
    }
}
