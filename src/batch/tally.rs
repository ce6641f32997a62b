//! The outcomes of several videos, and how long the rest will take.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use serde::Serialize;

use super::journal::VideoState;
use super::{Job, list};
use crate::output_file::{folder_of, write_file};
use crate::pipeline::{Progress, Report};

/// Counts videos as they end.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of videos, including those that are skipped.
    of: usize,
    done: usize,
    skipped: usize,
    ended_in_run: usize,
    failures: Vec<Failure>,
    /// Outputs of the videos that are done or were done before: they are no longer failures.
    complete: HashSet<PathBuf>,
    frames: u64,
    seconds_of_video: f64,
    started: Option<Instant>,
    /// Bytes of each video to be processed: all that is known about its length beforehand.
    work: HashMap<PathBuf, u64>,
    /// Bytes that have not been processed, including those in progress.
    work_left: u64,
    work_done: u64,
    /// The share of each video in progress that is done.
    in_work: HashMap<PathBuf, f64>,
}

/// A video that failed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The video, or a folder that cannot be read.
    pub video: PathBuf,
    /// The output that it would have had. `None` for a folder.
    pub output: Option<PathBuf>,
    /// Why, as the end of a sentence that begins with the video's name.
    pub reason: String,
    /// Whether it crashed the program twice. The next run skips it unless [asked](super::Options::retry_crashed) to
    /// retry it.
    pub crashed: bool,
}

/// The outcome of a batch.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Videos whose files were written.
    pub done: usize,
    /// Videos whose files existed already.
    pub skipped: usize,
    /// Videos that failed, and folders that could not be read.
    pub failed: usize,
    /// Videos that are neither, because the run was stopped.
    pub left: usize,
    /// Frames that were processed.
    pub frames: u64,
    /// Seconds from the first frame to the end.
    pub seconds: f64,
    /// Frames per second of the whole batch.
    pub frames_per_second: f64,
    /// Hours of video per hour.
    pub hours_of_video_per_hour: f64,
    /// The failures.
    pub failures: Vec<Failure>,
    /// A [list](super::list) of the failed videos, if one was written.
    pub failed_list: Option<PathBuf>,
}

impl Tally {
    /// A tally of this many videos.
    pub(super) fn new(of: usize) -> Self {
        Self { of, ..Self::default() }
    }

    /// How many videos there are, including those that are skipped.
    pub fn videos(&self) -> usize {
        self.of
    }

    /// How many of them need no more work: done, skipped or failed.
    pub fn ended(&self) -> usize {
        self.done + self.skipped + self.failures.len()
    }

    /// How many of them failed.
    pub fn failures(&self) -> usize {
        self.failures.len()
    }

    /// Whether there are several videos.
    pub fn has_several(&self) -> bool {
        self.of > 1
    }

    /// Adds videos that are to be processed.
    pub(super) fn expect(&mut self, jobs: &[Job], states: &HashMap<PathBuf, VideoState>) {
        let work = |job: &Job| (job.video.clone(), VideoState::work(states.get(&job.video).copied()));
        self.work = jobs.iter().map(work).collect();
        self.work_left = jobs.iter().map(|job| self.work_of(&job.video)).sum();
    }

    /// What is known about the length of a video that is to be processed, in bytes.
    pub fn work_of(&self, video: &Path) -> u64 {
        self.work.get(video).copied().unwrap_or(1)
    }

    /// How many videos have not ended.
    pub fn left(&self) -> usize {
        self.of.saturating_sub(self.done + self.skipped + self.failures.len())
    }

    /// A video has been started.
    pub(super) fn started(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    /// A video has made progress.
    pub(super) fn progress(&mut self, video: &Path, progress: Progress) {
        let Some(announced) = progress.announced_frames else { return };
        let share = (progress.frames as f64 / announced.max(1) as f64).min(1.0);
        match self.in_work.get_mut(video) {
            Some(so_far) => *so_far = share,
            None => _ = self.in_work.insert(video.to_owned(), share),
        }
    }

    /// A video is complete.
    pub(super) fn done(&mut self, video: &Path, report: &Report) {
        self.done += 1;
        self.complete.insert(absolute(&report.output));
        self.frames += report.frames;
        self.seconds_of_video += report.frames as f64 / report.frame_rate.as_f64();
        self.work_done += self.work_of(video);
        self.end(video);
    }

    /// A video needs no work, which is known before any is processed.
    pub(super) fn skipped(&mut self, output: &Path) {
        self.skipped += 1;
        self.complete.insert(absolute(output));
    }

    /// A video no longer needs work.
    pub(super) fn exists(&mut self, video: &Path, output: &Path) {
        self.skipped += 1;
        self.complete.insert(absolute(output));
        self.end(video);
    }

    /// A video has failed.
    pub(super) fn failed(&mut self, video: &Path, output: &Path, reason: &str, crashed: bool) {
        self.failures.push(Failure {
            video: video.to_owned(),
            output: Some(output.to_owned()),
            reason: reason.to_owned(),
            crashed,
        });
        self.end(video);
    }

    /// Something that may contain videos cannot be read.
    pub(super) fn unreadable(&mut self, path: &Path, reason: &str) {
        self.of += 1;
        self.failures.push(Failure {
            video: path.to_owned(),
            output: None,
            reason: reason.to_owned(),
            crashed: false,
        });
    }

    fn end(&mut self, video: &Path) {
        self.ended_in_run += usize::from(self.work.contains_key(video));
        self.work_left = self.work_left.saturating_sub(self.work_of(video));
        self.in_work.remove(video);
    }

    /// How many videos of this run have ended, one way or another, without those that were skipped before it.
    pub fn ended_in_run(&self) -> usize {
        self.ended_in_run
    }

    /// Whether an output is complete.
    pub fn is_complete(&self, output: &Path) -> bool {
        self.complete.contains(&absolute(output))
    }

    /// How long the rest will take at the speed so far. Videos that were skipped or failed say nothing about the
    /// speed.
    pub fn time_left(&self) -> Option<Duration> {
        let in_work: f64 = self.in_work.iter().map(|(video, share)| share * self.work_of(video) as f64).sum();
        let done = self.work_done as f64 + in_work;
        let left = self.work_left as f64 - in_work;
        let elapsed = self.started?.elapsed().as_secs_f64();
        (done > 0.0).then(|| Duration::try_from_secs_f64((elapsed * left / done).max(0.0)).ok()).flatten()
    }

    /// Writes the failed videos to a file for `--list`, each with its output and the reason. Entries that are in
    /// the file already stay, except for those that this run has retried or found complete. If nothing failed,
    /// there is no file.
    ///
    /// # Errors
    /// It cannot be read or written, or the existing file is not such a list.
    pub(super) fn write_failed(&self, list: &Path) -> io::Result<()> {
        let _lock = lock_folder_of(list);
        let before = read_failed(list)?;
        let failed: Vec<(PathBuf, PathBuf, &str)> = self
            .failures
            .iter()
            .filter_map(|Failure { video, output, reason, .. }| {
                // Absolute, so that the list works from every folder.
                Some((absolute(video), absolute(output.as_ref()?), reason.as_str()))
            })
            .collect();
        let tried: HashSet<&Path> = failed.iter().map(|(_, output, _)| output.as_path()).collect();
        let mut lines = Vec::new();
        for line in list::lines(&before) {
            let is_settled =
                |output: &PathBuf| self.complete.contains(output) || tried.contains(output.as_path());
            if !line.output.as_ref().is_some_and(is_settled) {
                lines.extend(line.raw);
                lines.push(b'\n');
            }
        }
        for (video, output, reason) in &failed {
            list::add_line(&mut lines, video, output, Some(reason));
        }
        match lines.is_empty() {
            _ if lines == before => Ok(()),
            true => fs::remove_file(list),
            false => write_file(list, &lines, true),
        }
    }

    /// The outcome of the batch; `failed_list` names the failed videos.
    pub(super) fn summary(&self, failed_list: Option<PathBuf>) -> Summary {
        let seconds = self.started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        let each = |of: f64| if seconds > 0.0 { of / seconds } else { 0.0 };
        Summary {
            done: self.done,
            skipped: self.skipped,
            failed: self.failures.len(),
            left: self.left(),
            frames: self.frames,
            seconds,
            frames_per_second: each(self.frames as f64),
            hours_of_video_per_hour: each(self.seconds_of_video),
            failures: self.failures.clone(),
            failed_list,
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Keeps other runs into the same folder from changing the list at the same time, if the file system has locks.
/// They need milliseconds; a lock that is held for longer is not waited for.
fn lock_folder_of(list: &Path) -> Option<File> {
    let folder = File::open(folder_of(list)).ok()?;
    for _ in 0..40 {
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(25)),
            Ok(()) | Err(TryLockError::Error(_)) => break,
        }
    }
    Some(folder)
}

/// A list of failed videos as it is; empty if there is none.
fn read_failed(list: &Path) -> io::Result<Vec<u8>> {
    match list.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Ok(found) if !found.is_file() => return Err(io::Error::other("it is a link or no regular file")),
        found => found?,
    };
    let bytes = fs::read(list)?;
    let is_entry =
        |line: list::Line<'_>| line.video.is_absolute() && line.output.is_some_and(|at| at.is_absolute());
    let is_list = list::lines(&bytes).all(is_entry);
    match is_list {
        true => Ok(bytes),
        false => Err(io::Error::other("it already exists and is not a list of failed videos")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_failed_videos_keeps_what_was_not_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("oppose.failed.list");
        let path = |name: &str| folder.path().join(name);
        let mut first = Tally::new(3);
        for name in ["a", "b\tof two\nlines", "c"] {
            first.failed(&path(name), &path(name).with_extension("pose"), "a\treason", false);
        }
        first.write_failed(&list).unwrap();
        let videos =
            || -> Vec<PathBuf> { list::lines(&fs::read(&list).unwrap()).map(|line| line.video).collect() };
        assert_eq!(videos(), [path("a"), path("b\tof two\nlines"), path("c")]);

        // A run that was stopped at once, and one of other videos.
        Tally::new(5).write_failed(&list).unwrap();
        let mut other = Tally::new(2);
        other.failed(&path("d"), &path("d.pose"), "new", false);
        other.exists(&path("a"), &path("a.pose"));
        other.unreadable(&path("secret"), "permission denied");
        other.write_failed(&list).unwrap();
        assert_eq!(videos(), [path("b\tof two\nlines"), path("c"), path("d")]);

        let mut last = Tally::new(3);
        for name in ["b\tof two\nlines", "c", "d"] {
            last.skipped(&path(name).with_extension("pose"));
        }
        last.write_failed(&list).unwrap();
        assert!(!list.exists());
    }

    #[test]
    fn what_is_no_list_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (list, target) = (folder.path().join("x.failed.list"), folder.path().join("notes"));
        let mut tally = Tally::new(1);
        tally.failed(Path::new("/a"), Path::new("/a.pose"), "reason", false);
        fs::write(&list, "my notes\n").unwrap();
        assert!(tally.write_failed(&list).is_err());
        assert_eq!(fs::read_to_string(&list).unwrap(), "my notes\n");
        fs::rename(&list, &target).unwrap();
        std::os::unix::fs::symlink(&target, &list).unwrap();
        assert!(tally.write_failed(&list).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "my notes\n");
    }
}
