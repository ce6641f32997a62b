//! `oppose-native report`: a corpus at a glance, as one page for the browser.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use oppose::output_file::write_file;
use oppose::report::{Collector, Options, Progress, ReportError, Thumbnails, Totals};

use super::Outcome;
use super::signals::Signals;
use super::terminal::{print, printable, say_error};
use super::thumbnails;

/// The options of `report`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Folders of .pose files and journals, searched recursively, or single .pose files
    #[arg(required = true, value_name = "FOLDER|POSE")]
    inputs: Vec<PathBuf>,

    /// Write the page to this file, replacing an existing page [default: report.html in the folder]
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,

    /// Also read this journal, if it is not in the folder; can be repeated
    #[arg(long, value_name = "FILE")]
    journal: Vec<PathBuf>,

    /// Give the N worst files a contact sheet of twelve frames with all points; the others get three frames
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=500))]
    worst: u32,

    /// A folder with the videos, arranged as the .pose files are; needed only if a video is neither where the
    /// journal says nor beside its .pose file; can be repeated
    #[arg(long, value_name = "FOLDER")]
    videos: Vec<PathBuf>,

    /// Leave out the frames of the videos behind the contact sheets of the worst files
    #[arg(long, conflicts_with = "videos")]
    no_thumbnails: bool,

    /// Keep rewriting the page while a run is under way, until Ctrl-C
    #[arg(long)]
    watch: bool,

    /// Rewrite the page every N seconds with --watch
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "watch", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("{} does not exist; check the path", printable(.0))]
    Missing(PathBuf),
    #[error("cannot write a page for the browser to {}: expected a name ending in .html", printable(.0))]
    Suffix(PathBuf),
    #[error("cannot write {}", printable(path))]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Writes the page, once or repeatedly.
pub fn run(arguments: &Arguments) -> Outcome {
    let written = Signals::listen().map_err(PageError::Signals).and_then(|signals| {
        let written = write(arguments, &signals);
        if signals.cancel.is_cancelled() { Ok(signals.outcome()) } else { written }
    });
    written.unwrap_or_else(|error| {
        say_error(&error, "");
        Outcome::NothingRan
    })
}

fn write(arguments: &Arguments, signals: &Signals) -> Result<Outcome, PageError> {
    let output = match (&arguments.output, arguments.inputs.as_slice()) {
        (Some(output), _) => output.clone(),
        (None, [folder]) if folder.is_dir() => folder.join("report.html"),
        (None, _) => PathBuf::from("report.html"),
    };
    check_name(&output)?;
    if let Some(missing) = arguments.inputs.iter().find(|input| !input.exists()) {
        return Err(PageError::Missing(missing.clone()));
    }
    let mut options = Options {
        journals: arguments.journal.clone(),
        worst: arguments.worst as usize,
        ..Options::default()
    };
    if !arguments.no_thumbnails {
        options.thumbnails =
            Some(Thumbnails::new(thumbnails::command).with_folders(arguments.videos.clone()));
    }
    if arguments.watch {
        options.progress = Some(Progress { every_seconds: arguments.interval, ..Progress::default() });
    }
    let mut collector = Collector::default();
    loop {
        let totals = write_page(&mut collector, &arguments.inputs, &options, &output, &|| {
            signals.cancel.is_cancelled()
        })?;
        let Totals { files, done, failed, unreadable, pictured, .. } = totals;
        let pictures = match pictured {
            0 => String::new(),
            // Whoever passes the page on has to know that people can be recognised in it.
            _ => format!("; with frames of {pictured} videos (--no-thumbnails leaves them out)"),
        };
        print(format_args!(
            "{}: files: {files}, unreadable: {unreadable}; videos done: {done}, failed: {failed}{pictures}",
            printable(&output)
        ));
        if !arguments.watch {
            return Ok(if unreadable == 0 { Outcome::AllDone } else { Outcome::SomeFailed });
        }
        let next = Instant::now() + Duration::from_secs(arguments.interval);
        while Instant::now() < next {
            if signals.cancel.is_cancelled() {
                return Ok(signals.outcome());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Refuses a name that could be that of a video.
pub fn check_name(output: &Path) -> Result<(), PageError> {
    let suffix = output.extension().unwrap_or_default().to_ascii_lowercase();
    let is_page = suffix == OsStr::new("html") || suffix == OsStr::new("htm");
    if is_page { Ok(()) } else { Err(PageError::Suffix(output.to_owned())) }
}

/// Collects and writes a page, which appears complete or not at all.
pub fn write_page(
    collector: &mut Collector,
    inputs: &[PathBuf],
    options: &Options,
    output: &Path,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Totals, PageError> {
    let report = collector.collect(inputs, options, is_cancelled)?;
    let page = report.to_html()?;
    write_file(output, page.as_bytes(), true)
        .map_err(|source| PageError::Write { path: output.to_owned(), source })?;
    Ok(report.totals)
}
