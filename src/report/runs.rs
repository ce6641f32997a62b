//! What journals say about a corpus: by what it was computed, and how each video ended.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::batch::journal::{Entry, Outcome};
use crate::engine::EngineInfo;

/// More descriptions of engines than this are not kept: a corpus has a few.
const MOST_RUNS: usize = 50;

/// One engine with one set of models and settings, and what it computed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunInfo {
    /// The engine, its device, precision, models and settings.
    pub engine: EngineInfo,
    /// The version of this program.
    pub version: String,
    /// By which matrix colours were converted.
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
    /// From the entries of all journals, in the order of time.
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
        } else if self.runs.len() < MOST_RUNS {
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
