//! What the user sees while videos are worked on: a bar, plain lines, or JSON lines.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use oppose::batch::journal::{Journal, Outcome};
use oppose::pipeline::{Progress, Report};
use serde::Serialize;

/// How often a plain or JSON line is written.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

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
}

/// A line of `--progress json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Started {
        video: &'a Path,
        announced_frames: Option<u64>,
    },
    Progress {
        video: &'a Path,
        frames: u64,
        announced_frames: Option<u64>,
        frames_per_second: f64,
        seconds_left: Option<f64>,
    },
    Done {
        video: &'a Path,
        output: &'a Path,
        frames: u64,
        announced_frames: Option<u64>,
        frames_with_people: u64,
        people: usize,
        frame_rate: String,
        variable_rate: bool,
        damaged_packets: u64,
        seconds: f64,
    },
    Skipped {
        video: &'a Path,
        reason: &'a str,
    },
    Failed {
        video: &'a Path,
        reason: &'a str,
    },
}

impl<'a> Event<'a> {
    fn progress(video: &'a Path, progress: Progress) -> Self {
        Self::Progress {
            video,
            frames: progress.frames,
            announced_frames: progress.announced_frames,
            frames_per_second: progress.frames_per_second(),
            seconds_left: progress.time_left().map(|left| left.as_secs_f64()),
        }
    }
}

impl Reporter {
    /// A reporter for this style; `Auto` is settled by whether standard error is a terminal.
    pub fn new(style: Style) -> Self {
        let style = match style {
            Style::Auto if !io::stderr().is_terminal() => Style::Plain,
            style => style,
        };
        Self { style, bar: None, last_line: None, journal: None }
    }

    /// Keeps a journal from now on.
    pub fn keep(&mut self, journal: Option<Journal>) {
        self.journal = journal;
    }

    /// Writes into the journal that a video failed.
    pub fn record_failure(&mut self, video: &Path, output: &Path, reason: &str) {
        self.record(video, output, Outcome::Failed { reason: reason.into() });
    }

    /// A journal that cannot be written is no reason to lose results.
    fn record(&mut self, video: &Path, output: &Path, outcome: Outcome) {
        let written = self.journal.as_mut().map(|journal| journal.add(video, output, outcome));
        if let Some(Err(error)) = written {
            self.note(&format!("cannot write the journal, and goes on without: {error}"));
            self.journal = None;
        }
    }

    /// A remark that concerns the whole run.
    pub fn note(&self, text: &str) {
        if self.style != Style::Json {
            self.say(text);
        }
    }

    /// A video begins.
    pub fn started(&mut self, video: &Path, announced_frames: Option<u64>) {
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
                // The templates are constants; the default style stands in were one mistyped.
                bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
                bar.set_prefix(video.display().to_string());
                self.bar = Some(bar);
            }
            Style::Json => emit(&Event::Started { video, announced_frames }),
            Style::Plain | Style::None => {}
        }
    }

    /// A frame is done.
    pub fn progress(&mut self, video: &Path, progress: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_position(progress.frames);
            let left = progress.time_left().map(|left| format!(", {} left", HumanDuration(left)));
            bar.set_message(format!("{:.1} fps{}", progress.frames_per_second(), left.unwrap_or_default()));
            return;
        }
        if self.style == Style::None || self.last_line.is_some_and(|last| last.elapsed() < LINE_INTERVAL) {
            return;
        }
        self.last_line = Some(Instant::now());
        if self.style == Style::Json {
            return emit(&Event::progress(video, progress));
        }
        let seconds_left = progress.time_left().map(|left| left.as_secs_f64());
        let of = progress.announced_frames.map(|frames| format!("/{frames}")).unwrap_or_default();
        let left = seconds_left.map(|seconds| format!(", {seconds:.0} s left")).unwrap_or_default();
        let fps = progress.frames_per_second();
        self.say(&format!("{}: {}{of} frames, {fps:.1} fps{left}", video.display(), progress.frames));
    }

    /// A video begins, among others that are worked on.
    pub fn started_beside_others(&self, video: &Path, announced_frames: Option<u64>) {
        if self.style == Style::Json {
            emit(&Event::Started { video, announced_frames });
        }
    }

    /// Frames of a video are done, among others that are worked on.
    pub fn progress_beside_others(&self, video: &Path, progress: Progress) {
        if self.style == Style::Json {
            emit(&Event::progress(video, progress));
        }
    }

    /// A video is complete.
    pub fn done(&mut self, video: &Path, report: &Report) {
        self.clear();
        self.record(video, &report.output, Outcome::done(report));
        let seconds = report.elapsed.as_secs_f64();
        if self.style == Style::Json {
            return emit(&Event::Done {
                video,
                output: &report.output,
                frames: report.frames,
                announced_frames: report.announced_frames,
                frames_with_people: report.frames_with_people,
                people: report.people,
                frame_rate: report.frame_rate.to_string(),
                variable_rate: report.decoding.variable_rate.is_some(),
                damaged_packets: report.decoding.damaged_packets,
                seconds,
            });
        }
        self.say(&format!(
            "{}: {} frames at {} a second, people in {} of them ({:.1} s, {:.1} fps)",
            report.output.display(),
            report.frames,
            report.frame_rate,
            report.frames_with_people,
            seconds,
            report.frames as f64 / seconds.max(f64::EPSILON),
        ));
        if let Some((shortest, longest)) = report.decoding.variable_rate {
            self.say(&format!(
                "{}: variable frame rate, {:.1} to {:.1} ms between frames; the .pose file holds every frame and the \
                 average rate",
                video.display(),
                shortest.as_secs_f64() * 1e3,
                longest.as_secs_f64() * 1e3,
            ));
        }
        if let Some(announced) =
            report.announced_frames.filter(|&announced| is_short(report.frames, announced))
        {
            self.say(&format!(
                "{}: its header announces {announced} frames, it holds {}; is it whole?",
                video.display(),
                report.frames
            ));
        }
        if report.decoding.damaged_packets > 0 {
            self.say(&format!(
                "{}: {} pieces are damaged; frames may be missing or spoilt there",
                video.display(),
                report.decoding.damaged_packets
            ));
        }
    }

    /// A video needs no work.
    pub fn skipped(&mut self, video: &Path, reason: &str) {
        match self.style {
            Style::Json => emit(&Event::Skipped { video, reason }),
            _ => self.say(&format!("{}: skipped: {reason}", video.display())),
        }
    }

    /// A video did not work out.
    pub fn failed(&mut self, video: &Path, reason: &str) {
        self.clear();
        match self.style {
            Style::Json => emit(&Event::Failed { video, reason }),
            _ => self.say(&format!("{}: {reason}", video.display())),
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        eprintln!("{text}");
    }
}

/// Whether so many frames fewer than announced are more than an estimate's error.
fn is_short(frames: u64, announced: u64) -> bool {
    announced.saturating_sub(frames) > 5.max(announced / 50)
}

/// Writes one JSON line. A reader that has gone away is no reason to stop working.
fn emit(event: &Event<'_>) {
    if let Ok(mut line) = serde_json::to_vec(event) {
        line.push(b'\n');
        let _ = io::stdout().write_all(&line);
    }
}
