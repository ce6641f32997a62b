//! `oppose-native inspect`: what is in `.pose` files, the worst first.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use oppose::inspect::{Inspection, Part, Timeline, inspect};
use oppose::pose::{Pose, PoseError, files_below};
use oppose::video::STDIN;
use serde::Serialize;

use super::Outcome;
use super::terminal::{printable, say, say_error};

/// The meaning of the columns.
const COLUMNS: &str = "\
Several files are shown as a table, worst first:
  faults      shares of frames without body, without face, without the less visible hand,
              with a jump and with a swap, added up; 0 is best
  body ...    share of frames in which it was found; for hands, the less visible one
  jumps       frames in which something moved faster than people do: 12.5 shoulder widths
              per second
  swaps       frames in which people changed rows

For a single file, one line per component:
  confidence  the 10th, 50th and 90th percentile of the confidence of the points found
  jitter      how much points tremble: their median acceleration, in pixels per frame², and in
              shoulder widths";

/// The options of `inspect`.
#[derive(Args, Debug)]
#[command(after_help = COLUMNS)]
pub struct Arguments {
    /// .pose files, or folders, which are searched recursively
    #[arg(required = true, value_name = "POSE|FOLDER")]
    inputs: Vec<PathBuf>,

    /// Print one line of JSON per file
    #[arg(long)]
    json: bool,

    /// Plot the confidence and presence of each component over time (one file only)
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    plot: Option<PathBuf>,
}

/// A file and what is in it, as JSON.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    #[serde(flatten)]
    inspection: &'a Inspection,
}

/// Prints the results. Files that cannot be read are reported, and the others inspected.
pub fn run(arguments: &Arguments) -> Outcome {
    let (files, problems) = match files(&arguments.inputs) {
        Ok(found) => found,
        Err(error) => {
            say_error(&error, "");
            return Outcome::NothingRan;
        }
    };
    if let (Some(_), count @ 2..) = (&arguments.plot, files.len()) {
        say(format_args!("--plot draws one file; found {count}"));
        return Outcome::NothingRan;
    }
    problems.iter().for_each(|problem| say_error(problem, ""));
    let mut inspected = Vec::new();
    for file in &files {
        match inspect_file(file, arguments.plot.as_deref()) {
            Ok(inspection) => inspected.push((file.as_path(), inspection)),
            Err(error) => say_error(&*error, ""),
        }
    }
    inspected.sort_by(|a, b| b.1.faults.total_cmp(&a.1.faults));
    match print(&inspected, arguments.json, files.len() > 1) {
        // Who reads only the first lines closes the pipe.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(format_args!("cannot write to standard output: {error}"));
            Outcome::SomeFailed
        }
        _ if inspected.len() == files.len() && problems.is_empty() => Outcome::AllDone,
        _ if inspected.is_empty() => Outcome::NothingRan,
        _ => Outcome::SomeFailed,
    }
}

/// The files, and the folders that could not be read.
fn files(inputs: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PoseError>), PoseError> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for input in inputs {
        if input.is_dir() {
            let below = files_below(input)?;
            files.extend(below.files);
            problems.extend(below.problems);
        } else {
            files.push(input.clone());
        }
    }
    Ok((files, problems))
}

fn inspect_file(file: &Path, plot: Option<&Path>) -> Result<Inspection, Box<dyn std::error::Error>> {
    let pose = read_pose(file)?;
    if let Some(plot) = plot {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Timeline::new(&pose, &name).save(plot)?;
    }
    Ok(inspect(&pose))
}

/// Reads a `.pose` file, or standard input for `-`.
pub fn read_pose(file: &Path) -> Result<Pose, PoseError> {
    match file == Path::new(STDIN) {
        true => Pose::read_from(io::stdin().lock(), Path::new("standard input")),
        false => Pose::read_file(file),
    }
}

fn print(inspected: &[(&Path, Inspection)], json: bool, table: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        for (file, inspection) in inspected {
            serde_json::to_writer(&mut out, &Line { file: file.to_string_lossy().into_owned(), inspection })?;
            writeln!(out)?;
        }
    } else if table && !inspected.is_empty() {
        print_table(&mut out, inspected)?;
    } else {
        for (file, inspection) in inspected {
            print_one(&mut out, file, inspection)?;
        }
    }
    out.flush()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn print_one(out: &mut impl Write, file: &Path, found: &Inspection) -> io::Result<()> {
    let Inspection { version, width, height, frames, people, jumps, swaps, .. } = found;
    writeln!(out, "{}", printable(file))?;
    let frame_rate = match found.frame_rate.contains('/') {
        true => format!("{} ({})", found.fps, found.frame_rate),
        false => found.frame_rate.clone(),
    };
    let seconds = found.seconds.map_or_else(String::new, |seconds| format!(", {seconds:.2} s"));
    writeln!(
        out,
        "  version {version:?}, {width}x{height} pixels, {frames} frames at {frame_rate} per second{seconds}"
    )?;
    let somebody = percent(found.frames_with_people);
    writeln!(
        out,
        "  people: at most {people}, somebody in {somebody} of the frames, {jumps} frames with a jump, {swaps} with a swap \
         of rows"
    )?;
    writeln!(out)?;
    let head = ["component", "points", "seen", "confidence 10/50/90 %", "jitter px", "shoulders", "jumps"];
    let mut rows = vec![head.map(str::to_owned)];
    for part in &found.components {
        let none = || "-".to_owned();
        rows.push([
            part.name.clone(),
            part.points.to_string(),
            percent(part.present),
            part.confidence
                .map_or_else(none, |[low, middle, high]| format!("{low:.2} {middle:.2} {high:.2}")),
            part.jitter_pixels.map_or_else(none, |jitter| format!("{jitter:.2}")),
            part.jitter_shoulders.map_or_else(none, |jitter| format!("{jitter:.4}")),
            part.jumps.to_string(),
        ]);
    }
    write_columns(out, &rows, 0, "  ")
}

fn print_table(out: &mut impl Write, inspected: &[(&Path, Inspection)]) -> io::Result<()> {
    let head = ["faults", "frames", "seconds", "people", "body", "face", "hands", "jumps", "swaps", "file"];
    let mut rows = vec![head.map(str::to_owned)];
    for (file, found) in inspected {
        // Of the hands the one seen less.
        let seen = |part| {
            let those = found.components.iter().filter(|component| Part::of(&component.name) == Some(part));
            those.map(|part| part.present).min_by(f64::total_cmp).map_or_else(|| "-".into(), percent)
        };
        rows.push([
            format!("{:.3}", found.faults),
            found.frames.to_string(),
            found.seconds.map_or_else(|| "-".into(), |seconds| format!("{seconds:.2}")),
            found.people.to_string(),
            seen(Part::Body),
            seen(Part::Face),
            seen(Part::Hand),
            found.jumps.to_string(),
            found.swaps.to_string(),
            printable(file).to_string(),
        ]);
    }
    write_columns(out, &rows, head.len() - 1, "")
}

/// Aligns rows in columns: numbers to the right, the column of names to the left.
pub fn write_columns<const N: usize>(
    out: &mut impl Write,
    rows: &[[String; N]],
    names: usize,
    indent: &str,
) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let mut line = indent.to_owned();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column > 0 { "  " } else { "" };
            line += &match column == names {
                true => format!("{gap}{cell:<width$}"),
                false => format!("{gap}{cell:>width$}"),
            };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
