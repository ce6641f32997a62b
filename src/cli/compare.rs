//! `oppose-native compare`: how much two `.pose` files of one video differ.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use oppose::inspect::{Comparison, compare};

use super::Outcome;
use super::inspect::{read_pose, write_columns};
use super::terminal::say_error;

/// The options of `compare`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: 0 if the files agree within --within and --share (or neither is given), 1 if not, 2 if they\ncannot be compared"
)]
pub struct Arguments {
    /// A .pose file
    first: PathBuf,

    /// Another .pose file of the same video
    second: PathBuf,

    /// Count points as agreeing if they are in both files, at most this many pixels apart
    #[arg(long, value_name = "PIXELS", value_parser = parse_pixels)]
    within: Option<f32>,

    /// Require this percentage of the points to agree
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0, requires = "within", value_parser = parse_percent)]
    share: f64,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

fn parse_pixels(text: &str) -> Result<f32, String> {
    let pixels = text.parse().ok().filter(|pixels: &f32| pixels.is_finite() && *pixels >= 0.0);
    pixels.ok_or_else(|| "expected a distance in pixels, 0 or more".into())
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "expected percent, 0 to 100".into())
}

/// Prints the comparison; the outcome is whether the files agree.
pub fn run(arguments: &Arguments) -> Outcome {
    let compared = compare_files(arguments).and_then(|comparison| match print(arguments, &comparison) {
        // Who reads only the first lines closes the pipe.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(comparison),
    });
    match compared {
        Ok(comparison) => match arguments.within {
            Some(pixels) if 100.0 * comparison.within(pixels) < arguments.share => Outcome::SomeFailed,
            _ => Outcome::AllDone,
        },
        Err(error) => {
            say_error(&*error, "");
            Outcome::NothingRan
        }
    }
}

fn compare_files(arguments: &Arguments) -> Result<Comparison, Box<dyn std::error::Error>> {
    Ok(compare(&read_pose(&arguments.first)?, &read_pose(&arguments.second)?)?)
}

fn print(arguments: &Arguments, comparison: &Comparison) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.json {
        let mut value = serde_json::to_value(comparison)?;
        if let Some(pixels) = arguments.within {
            value["share_within"] = comparison.within(pixels).into();
        }
        return writeln!(out, "{value}");
    }
    let Comparison { frames, fps, offset, compared_frames, people_in_both, people_in_one, .. } = comparison;
    writeln!(out, "frames   {} and {}, {compared_frames} of them compared", frames[0], frames[1])?;
    match offset {
        0 => {}
        1.. => writeln!(out, "offset   {offset}: the second file begins earlier")?,
        _ => writeln!(out, "offset   {offset}: the second file begins later")?,
    }
    if fps[0] != fps[1] {
        writeln!(out, "rate     {} and {} frames per second", fps[0], fps[1])?;
    }
    let [first, second] = people_in_one;
    writeln!(
        out,
        "people   {people_in_both} in both, {first} only in the first, {second} only in the second"
    )?;
    for (file, parts) in ["first", "second"].into_iter().zip(&comparison.not_shared) {
        if !parts.is_empty() {
            let parts: Vec<String> =
                parts.iter().map(|part| format!("{} ({})", part.name, part.points)).collect();
            writeln!(out, "points that only the {file} file has, not compared: {}", parts.join(", "))?;
        }
    }
    writeln!(out)?;
    let head =
        ["component", "in both", "only 1st", "only 2nd", "px 50 %", "90 %", "99 %", "most", "shoulders 50 %"];
    let mut rows = vec![head.map(str::to_owned)];
    for part in &comparison.components {
        let pixels =
            |index: usize| part.pixels.map_or_else(|| "-".into(), |pixels| format!("{:.3}", pixels[index]));
        rows.push([
            part.name.clone(),
            part.in_both.to_string(),
            part.in_one[0].to_string(),
            part.in_one[1].to_string(),
            pixels(0),
            pixels(1),
            pixels(2),
            pixels(3),
            part.shoulders.map_or_else(|| "-".into(), |[median, ..]| format!("{median:.5}")),
        ]);
    }
    write_columns(&mut out, &rows, 0, "")?;
    if let Some(pixels) = arguments.within {
        writeln!(out)?;
        let share = 100.0 * comparison.within(pixels);
        writeln!(
            out,
            "{share:.2} % of the points are within {pixels} px; {} % were asked for",
            arguments.share
        )?;
    }
    Ok(())
}
