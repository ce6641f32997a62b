//! What has become of several videos, and how long the rest takes.

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::HumanDuration;
use oppose::batch::Job;
use oppose::pipeline::{Progress, Report};
use serde::Serialize;

use super::plan;
use super::terminal::printable;

/// Counts videos as they end.
#[derive(Debug, Default)]
pub struct Tally {
    /// Videos there are, with those that are skipped.
    of: usize,
    done: usize,
    skipped: usize,
    failures: Vec<Failure>,
    frames: u64,
    seconds_of_video: f64,
    started: Option<Instant>,
    /// Bytes of each video that is to be worked on: what is known of its length beforehand.
    work: HashMap<PathBuf, u64>,
    /// Bytes that are not worked on yet, with those in work.
    work_left: u64,
    work_done: u64,
    /// The share of each video in work that is done.
    in_work: HashMap<PathBuf, f64>,
}

/// A video that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    video: PathBuf,
    output: PathBuf,
    reason: String,
}

/// What became of all videos.
#[derive(Debug, Serialize)]
pub struct Summary {
    done: usize,
    skipped: usize,
    failed: usize,
    /// Neither, because the run was stopped.
    left: usize,
    frames: u64,
    seconds: f64,
    frames_per_second: f64,
    /// How many hours of video are done in an hour.
    hours_of_video_per_hour: f64,
    failures: Vec<Failure>,
    /// A file for `--list` that has the failed ones.
    failed_list: Option<PathBuf>,
}

impl Tally {
    /// Of so many videos.
    pub fn new(of: usize) -> Self {
        Self { of, ..Self::default() }
    }

    /// Whether there are several videos.
    pub fn has_several(&self) -> bool {
        self.of > 1
    }

    /// These are to be worked on.
    pub fn expect(&mut self, jobs: &[Job]) {
        self.work = jobs.iter().map(|job| (job.video.clone(), plan::work(&job.video))).collect();
        self.work_left = jobs.iter().map(|job| self.work_of(&job.video)).sum();
    }

    fn work_of(&self, video: &Path) -> u64 {
        self.work.get(video).copied().unwrap_or(1)
    }

    /// A video begins.
    pub fn started(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    /// A video is so far.
    pub fn progress(&mut self, video: &Path, progress: Progress) {
        let Some(announced) = progress.announced_frames else { return };
        let share = (progress.frames as f64 / announced.max(1) as f64).min(1.0);
        match self.in_work.get_mut(video) {
            Some(so_far) => *so_far = share,
            None => _ = self.in_work.insert(video.to_owned(), share),
        }
    }

    /// A video is complete.
    pub fn done(&mut self, video: &Path, report: &Report) {
        self.done += 1;
        self.frames += report.frames;
        self.seconds_of_video += report.frames as f64 / report.frame_rate.as_f64();
        self.work_done += self.work_of(video);
        self.ended(video);
    }

    /// A video needs no work, which is known before any is worked on.
    pub fn skipped(&mut self) {
        self.skipped += 1;
    }

    /// A video needs no work any more.
    pub fn exists(&mut self, video: &Path) {
        self.skipped += 1;
        self.ended(video);
    }

    /// A video did not work out.
    pub fn failed(&mut self, video: &Path, output: &Path, reason: &str) {
        let reason = reason.to_owned();
        self.failures.push(Failure { video: video.to_owned(), output: output.to_owned(), reason });
        self.ended(video);
    }

    fn ended(&mut self, video: &Path) {
        self.work_left = self.work_left.saturating_sub(self.work_of(video));
        self.in_work.remove(video);
    }

    /// How long the rest takes at the speed so far. What was skipped or failed tells nothing of the speed.
    pub fn time_left(&self) -> Option<Duration> {
        let in_work: f64 = self.in_work.iter().map(|(video, share)| share * self.work_of(video) as f64).sum();
        let done = self.work_done as f64 + in_work;
        let left = self.work_left as f64 - in_work;
        let elapsed = self.started?.elapsed().as_secs_f64();
        (done > 0.0).then(|| Duration::try_from_secs_f64((elapsed * left / done).max(0.0)).ok()).flatten()
    }

    /// How far all are, in a few words.
    pub fn line(&self) -> String {
        let ended = self.done + self.skipped + self.failures.len();
        let failed = match self.failures.len() {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let left =
            self.time_left().map(|left| format!(", about {} left", HumanDuration(left))).unwrap_or_default();
        format!("{ended} of {} videos{failed}{left}", self.of)
    }

    /// Writes the failed ones as a file for `--list`, each with its output and the reason; without any, removes what an
    /// earlier run has left. A name with a tab or a line break cannot stand in a list.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_failed(&self, list: &Path) -> io::Result<()> {
        if self.failures.is_empty() {
            return match std::fs::remove_file(list) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let mut lines = Vec::new();
        for Failure { video, output, reason } in &self.failures {
            if plan::is_listable(video) && plan::is_listable(output) {
                let reason = reason.replace(['\t', '\n', '\r'], " ");
                // So that it serves from every folder.
                let (video, output) = (std::path::absolute(video)?, std::path::absolute(output)?);
                let parts = [video.as_os_str().as_bytes(), output.as_os_str().as_bytes(), reason.as_bytes()];
                lines.extend(parts.join(&b'\t'));
                lines.push(b'\n');
            }
        }
        std::fs::write(list, lines)
    }

    /// What became of all; `failed_list` has the failed ones.
    pub fn summary(&self, failed_list: Option<PathBuf>) -> Summary {
        let seconds = self.started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        let each = |of: f64| if seconds > 0.0 { of / seconds } else { 0.0 };
        Summary {
            done: self.done,
            skipped: self.skipped,
            failed: self.failures.len(),
            left: self.of.saturating_sub(self.done + self.skipped + self.failures.len()),
            frames: self.frames,
            seconds,
            frames_per_second: each(self.frames as f64),
            hours_of_video_per_hour: each(self.seconds_of_video),
            failures: self.failures.clone(),
            failed_list,
        }
    }
}

impl Summary {
    /// For people to read.
    pub fn lines(&self) -> Vec<String> {
        let Self { done, skipped, failed, left, frames, seconds, .. } = self;
        let mut counts = vec![format!("{done} done")];
        for (count, what) in [(skipped, "skipped"), (failed, "failed"), (left, "left")] {
            if *count > 0 {
                counts.push(format!("{count} {what}"));
            }
        }
        let mut lines = vec![counts.join(", ")];
        if *frames > 0 {
            lines[0] += &format!(
                ": {frames} frames in {seconds:.1} s, {:.1} frames a second, {:.2} hours of video an hour",
                self.frames_per_second, self.hours_of_video_per_hour
            );
        }
        lines.extend(
            self.failures
                .iter()
                .map(|Failure { video, reason, .. }| format!("failed: {}: {reason}", printable(video))),
        );
        if let Some(list) = &self.failed_list {
            lines.push(format!(
                "to try the failed ones again, give --list {} in place of the videos",
                printable(list)
            ));
        }
        lines
    }
}
