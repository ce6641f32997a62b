//! What the user sees while videos are worked on: a bar, plain lines, or JSON lines.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use oppose::batch::{self, Failure, Job, State, Summary, Tally, VideoUpdate};
use oppose::pipeline::{PipelineError, Progress, Report};
use oppose::video::{DecodeSummary, FrameRate, Note, RateSource};

use super::events::Event;
use super::terminal::{self, frames, printable};

/// How often a plain or JSON line is written.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// More skipped videos than this are summarised in one line.
const SCREEN: usize = 20;

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// a progress bar on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// a line every five seconds
    Plain,
    /// JSON on standard output, one object per line
    Json,
    /// only the result of each video
    None,
}

/// Tells the user what happens to the videos.
pub struct Reporter {
    style: Style,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    /// Number of worker processes; 0 if the video is processed in this one.
    workers: usize,
    /// Messages that were shown: all workers send the same ones when they start.
    notes: HashSet<String>,
}

impl Reporter {
    /// A reporter in this style; `Auto` depends on whether standard error is a terminal.
    pub fn new(style: Style) -> Self {
        let style = match style {
            Style::Auto if !io::stderr().is_terminal() => Style::Plain,
            style => style,
        };
        Self { style, bar: None, last_line: None, workers: 0, notes: HashSet::new() }
    }

    /// The videos are processed by this many worker processes.
    pub fn set_workers(&mut self, workers: usize) {
        self.workers = workers;
    }

    /// Something happened in the batch.
    pub fn handle(&mut self, event: &batch::Event<'_>, State { jobs, tally, .. }: State<'_>) {
        match *event {
            batch::Event::Video { worker: _, video, update } => self.update(&jobs[video], update, tally),
            batch::Event::Died { reason, suspects, .. } => {
                let names: Vec<String> =
                    suspects.iter().map(|&video| printable(&jobs[video].video).to_string()).collect();
                let names = match names.as_slice() {
                    [] => String::new(),
                    [name] => format!("; {name} will be tried once more, alone"),
                    names => format!("; {} will be tried once more, each alone", names.join(" and ")),
                };
                self.note(&format!("{reason}{names}"));
            }
            batch::Event::SetAside { output, reason, aside } => self.note(&format!(
                "{} {reason}; renamed to {} and will be made again",
                printable(output),
                printable(aside)
            )),
            batch::Event::NotRecorded { video, error } => self.note(&format!(
                "{} is missing in the journal, which cannot be written: {error}",
                printable(&jobs[video].video)
            )),
            batch::Event::Stopped { video, .. } => {
                self.clear();
                if self.workers == 0 {
                    self.trouble(&jobs[video].video, &PipelineError::Cancelled.to_string());
                }
            }
            batch::Event::GaveUp { reason } => self.note(reason),
            batch::Event::Ready { .. } => {}
            batch::Event::Note { worker, text } => {
                let is_new = self.notes.insert(text.to_owned());
                match self.workers {
                    _ if !is_new => {}
                    0 | 1 => self.note(text),
                    _ => self.note(&format!("worker {worker}: {text}")),
                }
            }
        }
    }

    fn update(&mut self, Job { video, output }: &Job, update: &VideoUpdate, tally: &Tally) {
        let is_alone = self.workers < 2;
        match update {
            VideoUpdate::Started { announced_frames } if is_alone => self.started(video, *announced_frames),
            VideoUpdate::Started { announced_frames } => {
                self.started_beside_others(video, *announced_frames);
            }
            VideoUpdate::Progress(progress) if is_alone => self.progress(video, *progress, tally),
            VideoUpdate::Progress(progress) => self.progress_beside_others(video, *progress, tally),
            VideoUpdate::Done(report) => self.done(video, report),
            VideoUpdate::Exists => self.say_skipped(video, &format!("{} exists by now", printable(output))),
            VideoUpdate::Failed { reason, .. } => self.trouble(video, reason),
            VideoUpdate::Opening => {}
        }
    }

    /// A message that concerns the whole run.
    pub fn note(&self, text: &str) {
        if self.style != Style::Json {
            self.say(text);
        }
    }

    /// A video has been started.
    fn started(&mut self, video: &Path, announced_frames: Option<u64>) {
        self.last_line = Some(Instant::now());
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
                // The templates are constants; should one be mistyped, the default style is used.
                bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
                bar.set_prefix(printable(video).to_string());
                self.bar = Some(bar);
            }
            Style::Json => Event::Started { video, announced_frames }.emit(),
            Style::Plain | Style::None => {}
        }
    }

    /// A frame is done.
    fn progress(&mut self, video: &Path, progress: Progress, tally: &Tally) {
        if let Some(bar) = &self.bar {
            bar.set_position(progress.frames);
            let left = progress.time_left().map(|left| format!(", {} left", HumanDuration(left)));
            let all = of_all(tally);
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
            return emit_progress(video, progress, tally);
        }
        let seconds_left = progress.time_left().map(|left| left.as_secs_f64());
        let of = progress.announced_frames.map(|frames| format!("/{frames}")).unwrap_or_default();
        let left = seconds_left.map(|seconds| format!(", {seconds:.0} s left")).unwrap_or_default();
        let fps = progress.frames_per_second();
        let all = of_all(tally);
        self.say(&format!("{}: {}{of} frames, {fps:.1} fps{left}{all}", printable(video), progress.frames));
    }

    /// A video has been started while others are in progress.
    fn started_beside_others(&mut self, video: &Path, announced_frames: Option<u64>) {
        self.last_line.get_or_insert_with(Instant::now);
        if self.style == Style::Json {
            Event::Started { video, announced_frames }.emit();
        }
    }

    /// Frames of a video are done while others are in progress.
    fn progress_beside_others(&mut self, video: &Path, progress: Progress, tally: &Tally) {
        if self.style == Style::Json {
            return emit_progress(video, progress, tally);
        }
        if self.style != Style::None && self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL) {
            self.last_line = Some(Instant::now());
            self.say(&line(tally));
        }
    }

    /// A video is complete.
    fn done(&mut self, video: &Path, report: &Report) {
        self.clear();
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
            "{}: {} at {} per second, people in {} of them ({:.1} s, {:.1} fps)",
            printable(&report.output),
            frames(report.frames),
            readable(report.frame_rate),
            report.frames_with_people,
            seconds,
            report.frames as f64 / seconds.max(f64::EPSILON),
        ));
        for remark in remarks(&report.decoding) {
            self.say(&format!("{}: {remark}", printable(video)));
        }
    }

    /// Videos that need no work.
    pub fn skipped(&mut self, videos: &[(Job, u64)]) {
        for (Job { video, output }, frames) in videos {
            if self.style == Style::Json || videos.len() <= SCREEN {
                let output = printable(output);
                let reason =
                    format!("{output} exists, with {}; --overwrite makes it again", self::frames(*frames));
                self.say_skipped(video, &reason);
            }
        }
        if videos.len() > SCREEN {
            self.note(&format!("{} videos are skipped: their .pose files exist, complete", videos.len()));
        }
    }

    /// Videos that crashed the program twice in an earlier run and are not retried.
    pub fn crashed_before(&mut self, videos: &[(Job, String)]) {
        for (Job { video, .. }, reason) in videos {
            self.trouble(
                video,
                &format!("skipped: {reason} (in an earlier run; --retry-crashed tries it again)"),
            );
        }
    }

    fn say_skipped(&self, video: &Path, reason: &str) {
        match self.style {
            Style::Json => Event::Skipped { video, reason }.emit(),
            _ => self.say(&format!("{}: skipped: {reason}", printable(video))),
        }
    }

    /// Something went wrong with a video that is done, or will be.
    pub fn trouble(&mut self, video: &Path, reason: &str) {
        self.clear();
        match self.style {
            Style::Json => Event::Failed { video, reason }.emit(),
            _ => self.say(&format!("{}: {reason}", printable(video))),
        }
    }

    /// All videos have ended, or no more will: prints the summary if there are several.
    pub fn finish(&mut self, summary: &Summary) {
        self.clear();
        match self.style {
            Style::Json => Event::Summary(summary).emit(),
            _ => lines(summary).iter().for_each(|line| self.say(line)),
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

/// The progress of all videos, after a semicolon; empty if there is only one.
fn of_all(tally: &Tally) -> String {
    if tally.has_several() { format!("; {}", line(tally)) } else { String::new() }
}

/// The progress of all videos, in a few words.
fn line(tally: &Tally) -> String {
    let failed = match tally.failures() {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let left = tally.time_left().map(|left| format!(", about {} left", HumanDuration(left)));
    format!("{} of {} videos{failed}{}", tally.ended(), tally.videos(), left.unwrap_or_default())
}

fn emit_progress(video: &Path, progress: Progress, tally: &Tally) {
    let all = tally.time_left().map(|left| left.as_secs_f64());
    Event::progress(video, progress, all).emit();
}

/// The outcome of all videos, one per line.
fn lines(summary: &Summary) -> Vec<String> {
    let Summary { done, skipped, failed, left, frames, seconds, failures, .. } = summary;
    let mut counts = vec![format!("{done} done")];
    for (count, what) in [(skipped, "skipped"), (failed, "failed"), (left, "left")] {
        if *count > 0 {
            counts.push(format!("{count} {what}"));
        }
    }
    let mut lines = vec![counts.join(", ")];
    if *frames > 0 {
        lines[0] += &format!(
            ": {frames} frames in {seconds:.1} s, {:.1} frames per second, {:.2} hours of video per hour",
            summary.frames_per_second, summary.hours_of_video_per_hour
        );
    }
    let failed = |failure: &Failure| format!("failed: {}: {}", printable(&failure.video), failure.reason);
    lines.extend(failures.iter().map(failed));
    if let Some(list) = &summary.failed_list {
        let crashed = if failures.iter().any(|failure| failure.crashed) { " --retry-crashed" } else { "" };
        lines.push(format!(
            "to try the failed ones again, give --list {}{crashed} in place of the videos",
            printable(list)
        ));
    }
    lines
}

/// A rate for people to read: 30000/1001 is well known, other fractions say little.
fn readable(rate: FrameRate) -> String {
    match rate.denominator() {
        1 | 1001 => rate.to_string(),
        _ if rate.as_f64() < 1.0 => format!("{:.6}", rate.as_f64()),
        _ => format!("{:.3}", rate.as_f64()),
    }
}

/// What is worth knowing about a video that was decoded, one sentence each.
pub fn remarks(decoding: &DecodeSummary) -> Vec<String> {
    let notes = decoding.notes.iter().map(|note| match note {
        Note::Tracks { .. } => format!("{note}; --video-track chooses another"),
        _ => note.to_string(),
    });
    let damage = (decoding.damaged_packets > 0).then(|| {
        format!("{} pieces are damaged; frames may be missing or spoilt there", decoding.damaged_packets)
    });
    of_rate(decoding).into_iter().chain(notes).chain(damage).collect()
}

/// What is worth knowing about the frame rate, unless it is simply that of the file.
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
