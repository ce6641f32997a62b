//! What the user sees while videos are worked on: a bar, plain lines, or JSON lines.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use oppose::batch::journal::{Journal, Outcome, VideoState};
use oppose::batch::{self, Job, VideoUpdate};
use oppose::pipeline::{PipelineError, Progress, Report};
use oppose::video::{DecodeSummary, FrameRate, Note, RateSource};

use super::events::Event;
use super::tally::Tally;
use super::terminal::{self, printable};

/// How often a plain or JSON line is written.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// So many lines are read; of more the number is told.
const SCREEN: usize = 20;

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// A bar on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// A line every five seconds
    Plain,
    /// A JSON object a line on standard output
    Json,
    /// Nothing but the result of each video
    None,
}

/// Tells the user what becomes of the videos.
pub struct Reporter {
    style: Style,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    journal: Option<Journal>,
    tally: Tally,
    /// Worker processes; 0 where the video is processed in this one.
    workers: usize,
    /// Remarks that were shown: all workers say the same at their start.
    notes: HashSet<String>,
    /// Videos that were begun and have not ended, by worker and place among the jobs.
    begun: BTreeSet<(usize, usize)>,
}

impl Reporter {
    /// A reporter of so many videos, in this style; `Auto` is settled by whether standard error is a terminal.
    pub fn new(style: Style, videos: usize) -> Self {
        let style = match style {
            Style::Auto if !io::stderr().is_terminal() => Style::Plain,
            style => style,
        };
        Self {
            style,
            bar: None,
            last_line: None,
            journal: None,
            tally: Tally::new(videos),
            workers: 0,
            notes: HashSet::new(),
            begun: BTreeSet::new(),
        }
    }

    /// These videos are to be worked on. Keeps a journal from now on.
    pub fn expect(&mut self, jobs: &[Job], journal: Option<Journal>) {
        let states: HashMap<PathBuf, VideoState> =
            jobs.iter().filter_map(|job| Some((job.video.clone(), VideoState::of(&job.video)?))).collect();
        self.tally.expect(jobs, &states);
        self.journal = journal;
        if let Some(journal) = &mut self.journal {
            journal.expect(states);
        }
    }

    /// What is known of the length of an expected video, in bytes.
    pub fn work_of(&self, video: &Path) -> u64 {
        self.tally.work_of(video)
    }

    /// The videos are processed by this many worker processes.
    pub fn set_workers(&mut self, workers: usize) {
        self.workers = workers;
    }

    /// How many of the videos to be processed have ended.
    pub fn ended(&self) -> usize {
        self.tally.ended_in_run()
    }

    /// Whether a video failed.
    pub fn has_failures(&self) -> bool {
        self.tally.has_failures()
    }

    /// Whether the file of a video is complete.
    pub fn is_done(&self, output: &Path) -> bool {
        self.tally.is_complete(output)
    }

    /// Something happened in the batch.
    pub fn handle(&mut self, jobs: &[Job], event: &batch::Event<'_>) {
        match *event {
            batch::Event::Ready { worker, engine } => {
                if let Some(journal) = &mut self.journal {
                    journal.set_engine(worker, engine.clone());
                }
            }
            batch::Event::Video { worker, video, update } => self.update(worker, video, &jobs[video], update),
            batch::Event::Died { worker, reason, suspects } => {
                for &video in suspects {
                    self.begun.remove(&(worker, video));
                }
                let names: Vec<String> =
                    suspects.iter().map(|&video| printable(&jobs[video].video).to_string()).collect();
                let names = match names.as_slice() {
                    [] => String::new(),
                    [name] => format!("; {name} will be tried once more, alone"),
                    names => format!("; {} will be tried once more, each alone", names.join(" and ")),
                };
                self.note(&format!("{reason}{names}"));
            }
            batch::Event::Note { worker, text } => {
                let is_new = self.notes.insert(text.to_owned());
                match self.workers {
                    _ if !is_new => {}
                    0 | 1 => self.note(text),
                    _ => self.note(&format!("worker {worker}: {text}")),
                }
            }
            _ => {}
        }
    }

    fn update(&mut self, worker: usize, number: usize, job: &Job, update: &VideoUpdate) {
        let Job { video, output } = job;
        if update.is_end() {
            self.begun.remove(&(worker, number));
        }
        let is_alone = self.workers < 2;
        match update {
            VideoUpdate::Opening => {
                self.begun.insert((worker, number));
                // Where this process and its workers are killed, the next run begins with the other videos.
                self.record(worker, video, output, Outcome::Started);
            }
            VideoUpdate::Started { announced_frames } if is_alone => self.started(video, *announced_frames),
            VideoUpdate::Started { announced_frames } => {
                self.started_beside_others(video, *announced_frames);
            }
            VideoUpdate::Progress(progress) if is_alone => self.progress(video, *progress),
            VideoUpdate::Progress(progress) => self.progress_beside_others(video, *progress),
            VideoUpdate::Done(report) => self.done(worker, video, report),
            VideoUpdate::Exists => self.exists(video, output),
            VideoUpdate::Failed { reason, is_crash } => {
                self.failed(worker, video, output, reason, *is_crash);
            }
            _ => {}
        }
    }

    /// The user stopped the run: the videos that were being processed were not the reason.
    pub fn stopped(&mut self, jobs: &[Job]) {
        self.clear();
        for (worker, number) in std::mem::take(&mut self.begun) {
            let Job { video, output } = &jobs[number];
            self.record(worker, video, output, Outcome::Stopped);
            if self.workers == 0 {
                self.trouble(video, &PipelineError::Cancelled.to_string());
            }
        }
    }

    /// A journal that cannot be written is no reason to lose results.
    fn record(&mut self, worker: usize, video: &Path, output: &Path, outcome: Outcome) {
        let written = self.journal.as_mut().map(|journal| journal.add(worker, video, output, outcome));
        if let Some(Err(error)) = written {
            self.note(&format!(
                "{} is missing in the journal, which cannot be written: {error}",
                printable(video)
            ));
        }
    }

    /// A remark that concerns the whole run.
    pub fn note(&self, text: &str) {
        if self.style != Style::Json {
            self.say(text);
        }
    }

    /// A video begins.
    fn started(&mut self, video: &Path, announced_frames: Option<u64>) {
        self.last_line = Some(Instant::now());
        self.tally.started();
        match self.style {
            Style::Auto => {
                let bar = match announced_frames {
                    Some(frames) => ProgressBar::new(frames),
                    None => ProgressBar::no_length(),
                };
                let template = match announced_frames {
                    Some(_) => "{prefix} {wide_bar} {human_pos}/{human_len} frames, {msg}",
                    None => "{prefix} {spinner} {human_pos} frames, {msg}",
                };
                // The templates are constants; the default style stands in were one mistyped.
                bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
                bar.set_prefix(printable(video).to_string());
                self.bar = Some(bar);
            }
            Style::Json => Event::Started { video, announced_frames }.emit(),
            Style::Plain | Style::None => {}
        }
    }

    /// A frame is done.
    fn progress(&mut self, video: &Path, progress: Progress) {
        self.tally.progress(video, progress);
        if let Some(bar) = &self.bar {
            bar.set_position(progress.frames);
            let left = progress.time_left().map(|left| format!(", {} left", HumanDuration(left)));
            let all = self.of_all("; ");
            bar.set_message(format!(
                "{:.1} fps{}{all}",
                progress.frames_per_second(),
                left.unwrap_or_default()
            ));
            return;
        }
        if self.style == Style::None || self.last_line.is_some_and(|last| last.elapsed() < LINE_INTERVAL) {
            return;
        }
        self.last_line = Some(Instant::now());
        if self.style == Style::Json {
            return self.emit_progress(video, progress);
        }
        let seconds_left = progress.time_left().map(|left| left.as_secs_f64());
        let of = progress.announced_frames.map(|frames| format!("/{frames}")).unwrap_or_default();
        let left = seconds_left.map(|seconds| format!(", {seconds:.0} s left")).unwrap_or_default();
        let fps = progress.frames_per_second();
        let all = self.of_all("; ");
        self.say(&format!("{}: {}{of} frames, {fps:.1} fps{left}{all}", printable(video), progress.frames));
    }

    /// How far all videos are, behind `separator`; nothing where there is one.
    fn of_all(&self, separator: &str) -> String {
        if self.tally.has_several() { format!("{separator}{}", self.tally.line()) } else { String::new() }
    }

    fn emit_progress(&self, video: &Path, progress: Progress) {
        let all = self.tally.time_left().map(|left| left.as_secs_f64());
        Event::progress(video, progress, all).emit();
    }

    /// A video begins, among others that are worked on.
    fn started_beside_others(&mut self, video: &Path, announced_frames: Option<u64>) {
        self.tally.started();
        self.last_line.get_or_insert_with(Instant::now);
        if self.style == Style::Json {
            Event::Started { video, announced_frames }.emit();
        }
    }

    /// Frames of a video are done, among others that are worked on.
    fn progress_beside_others(&mut self, video: &Path, progress: Progress) {
        self.tally.progress(video, progress);
        if self.style == Style::Json {
            return self.emit_progress(video, progress);
        }
        if self.style != Style::None && self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL) {
            self.last_line = Some(Instant::now());
            self.say(&self.tally.line());
        }
    }

    /// A video is complete.
    fn done(&mut self, worker: usize, video: &Path, report: &Report) {
        self.clear();
        self.tally.done(video, report);
        self.record(worker, video, &report.output, Outcome::done(report));
        let seconds = report.elapsed.as_secs_f64();
        if self.style == Style::Json {
            return Event::Done {
                video,
                output: &report.output,
                frames: report.frames,
                announced_frames: report.announced_frames,
                frames_with_people: report.frames_with_people,
                people: report.people,
                frame_rate: report.frame_rate.to_string(),
                frame_rate_source: report.decoding.rate_source,
                variable_rate: report.decoding.variable_rate.is_some(),
                notes: report.decoding.notes.iter().map(Note::to_string).collect(),
                damaged_packets: report.decoding.damaged_packets,
                seconds,
            }
            .emit();
        }
        self.say(&format!(
            "{}: {} frames at {} a second, people in {} of them ({:.1} s, {:.1} fps)",
            printable(&report.output),
            report.frames,
            readable(report.frame_rate),
            report.frames_with_people,
            seconds,
            report.frames as f64 / seconds.max(f64::EPSILON),
        ));
        if let Some(text) = of_rate(&report.decoding) {
            self.say(&format!("{}: {text}", printable(video)));
        }
        for note in &report.decoding.notes {
            let hint = match note {
                Note::Tracks { .. } => "; --video-track chooses another",
                _ => "",
            };
            self.say(&format!("{}: {note}{hint}", printable(video)));
        }
        if report.decoding.damaged_packets > 0 {
            self.say(&format!(
                "{}: {} pieces are damaged; frames may be missing or spoilt there",
                printable(video),
                report.decoding.damaged_packets
            ));
        }
    }

    /// Videos need no work.
    pub fn skipped(&mut self, videos: &[(Job, u64)]) {
        for (Job { video, output }, frames) in videos {
            self.tally.skipped(output);
            if self.style == Style::Json || videos.len() <= SCREEN {
                let output = printable(output);
                let reason = format!("{output} exists, with {frames} frames; --overwrite makes it again");
                self.say_skipped(video, &reason);
            }
        }
        if videos.len() > SCREEN {
            self.note(&format!("{} videos are skipped: their .pose files exist, complete", videos.len()));
        }
    }

    /// The program crashed twice on these videos in an earlier run: they are not tried again.
    pub fn crashed_before(&mut self, videos: &[(Job, String)]) {
        for (Job { video, output }, reason) in videos {
            let reason = format!("skipped: {reason} (in an earlier run; --retry-crashed tries it again)");
            self.tally.failed(video, output, &reason);
            self.trouble(video, &reason);
        }
    }

    /// A video needs no work any more.
    fn exists(&mut self, video: &Path, output: &Path) {
        self.tally.exists(video, output);
        self.say_skipped(video, &format!("{} exists by now", printable(output)));
    }

    fn say_skipped(&self, video: &Path, reason: &str) {
        match self.style {
            Style::Json => Event::Skipped { video, reason }.emit(),
            _ => self.say(&format!("{}: skipped: {reason}", printable(video))),
        }
    }

    /// A video did not work out.
    pub fn failed(&mut self, worker: usize, video: &Path, output: &Path, reason: &str, is_crash: bool) {
        self.tally.failed(video, output, reason);
        self.record(worker, video, output, Outcome::Failed { reason: reason.into(), crashed: is_crash });
        self.trouble(video, reason);
    }

    /// Something that may hold videos cannot be looked at.
    pub fn unreadable(&mut self, path: &Path, reason: &str) {
        self.tally.unreadable(path, reason);
        self.trouble(path, reason);
    }

    /// Something went wrong with a video that is done, or will be.
    pub fn trouble(&mut self, video: &Path, reason: &str) {
        self.clear();
        match self.style {
            Style::Json => Event::Failed { video, reason }.emit(),
            _ => self.say(&format!("{}: {reason}", printable(video))),
        }
    }

    /// All videos have ended, or no more will. Of several says what became of them; writes the failed ones into
    /// `failed_list`, where there is a place for it.
    pub fn finish(&mut self, failed_list: Option<PathBuf>) {
        self.clear();
        let written = failed_list.as_ref().map(|list| self.tally.write_failed(list));
        if let (Some(Err(error)), Some(list)) = (&written, &failed_list) {
            self.note(&format!("cannot write the list of failed videos {}: {error}", printable(list)));
        }
        if !self.tally.has_several() {
            return;
        }
        let list = failed_list.filter(|list| matches!(written, Some(Ok(()))) && list.exists());
        let summary = self.tally.summary(list);
        match self.style {
            Style::Json => Event::Summary(&summary).emit(),
            _ => summary.lines().iter().for_each(|line| self.say(line)),
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        terminal::say(text);
    }
}

/// A rate for people to read: 30000/1001 is well known, other fractions say little.
fn readable(rate: FrameRate) -> String {
    match rate.denominator() {
        1 | 1001 => rate.to_string(),
        _ if rate.as_f64() < 1.0 => format!("{:.6}", rate.as_f64()),
        _ => format!("{:.3}", rate.as_f64()),
    }
}

/// What has to be known of the frame rate, where it is not simply that of the file.
fn of_rate(decoding: &DecodeSummary) -> Option<String> {
    let gaps = decoding.variable_rate.map(|(shortest, longest)| {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        format!("{:.1} to {:.1} ms between frames", milliseconds(shortest), milliseconds(longest))
    });
    let exact = "--timestamps writes the time of each frame";
    match (decoding.rate_source, gaps) {
        (RateSource::Given, Some(gaps)) => Some(format!(
            "variable frame rate, {gaps}; the .pose file holds every frame and the rate of --fps"
        )),
        (RateSource::Average, gaps) => {
            let gaps = gaps.map(|gaps| format!(", {gaps}")).unwrap_or_default();
            Some(format!(
                "variable frame rate{gaps}; the .pose file holds every frame and the file's average rate; {exact}"
            ))
        }
        (RateSource::Measured, gaps) => {
            let gaps = gaps.map(|gaps| format!(", {gaps}")).unwrap_or_default();
            Some(format!(
                "the frame rate was measured from the frames, as the file gives none or a wrong one{gaps}; {exact}"
            ))
        }
        (_, Some(gaps)) => {
            Some(format!("the frame rate is constant but for gaps, {gaps}; frames may be missing there"))
        }
        (_, None) => None,
    }
}
