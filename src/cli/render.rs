//! `oppose-native render`: a `.pose` file over its video.

use std::path::PathBuf;

use clap::Args;
use oppose::pose::Pose;
use oppose::render::contact_sheet;
use oppose::video::{self, Rotate};

use super::Outcome;

/// What `render` is told.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The video the file was made from
    video: PathBuf,
    /// The .pose file
    pose: PathBuf,
    /// Write frames of the whole clip, evenly spread, as one PNG picture
    #[arg(long, value_name = "FILE")]
    sheet: PathBuf,
    /// Columns of the sheet
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    columns: u32,
    /// Rows of the sheet
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rows: u32,
    /// Turn the frames, as it was done when the file was made
    #[arg(long, default_value_t, value_name = "auto|none|90|180|270")]
    rotate: Rotate,
}

/// Draws the sheet.
pub fn run(arguments: &Arguments) -> Outcome {
    match draw(arguments) {
        Ok(()) => Outcome::AllDone,
        Err(error) => {
            eprintln!("{error}");
            Outcome::NothingRan
        }
    }
}

fn draw(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let pose = Pose::read_file(&arguments.pose)?;
    let options = video::Options { rotate: arguments.rotate, ..video::Options::default() };
    let mut video = video::open(&arguments.video, &options)?;
    let sheet = contact_sheet(video.as_mut(), &pose, arguments.columns, arguments.rows)?;
    sheet.save(&arguments.sheet)?;
    let (width, height) = sheet.size();
    eprintln!("{}: {width}x{height}", arguments.sheet.display());
    Ok(())
}
