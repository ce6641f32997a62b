//! `oppose-native render`: a `.pose` file over its video, or alone.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use oppose::inspect::normalized;
use oppose::pipeline::Cancel;
use oppose::pose::Pose;
use oppose::render::{OverlayOptions, RenderError, contact_sheet, overlay};
use oppose::video::{self, EncodeError, Rotate, Source};

use super::Outcome;
use super::inspect::read_pose;
use super::signals::Signals;
use super::terminal::{frames, printable, say, say_error};

/// The options of `render`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("target").args(["output", "sheet"]).required(true).multiple(true))]
pub struct Arguments {
    /// The video the file was made from, and the .pose file; or the .pose file alone, drawn on white
    #[arg(value_names = ["VIDEO", "POSE"], num_args = 0..=2)]
    inputs: Vec<PathBuf>,

    /// Write this file (.mp4, .mov or .mkv with H.264, .webm, .gif), or PNG pictures into this folder
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: Option<PathBuf>,

    /// Show two .pose files of the same video side by side
    #[arg(long, num_args = 2, value_names = ["POSE", "POSE"], conflicts_with = "sheet")]
    side_by_side: Vec<PathBuf>,

    /// Crop the frames to the person
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "sheet")]
    crop: Option<Crop>,

    /// Replace an existing file
    #[arg(long)]
    overwrite: bool,

    /// Write frames spread evenly over the clip as one PNG picture
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,

    /// Set the columns of the contact sheet
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    columns: u32,

    /// Set the rows of the contact sheet
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rows: u32,

    /// Rotate the frames as when the .pose file was made
    #[arg(long, default_value_t, value_name = "auto|none|90|180|270")]
    rotate: Rotate,

    /// Show this video track, counted from 0, as when the .pose file was made
    #[arg(long, alias = "video_track", value_name = "N")]
    video_track: Option<usize>,
}

/// Which part of the frames to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Crop {
    /// the area where the most visible person is during the whole clip
    Person,
}

/// Why nothing can be drawn.
#[derive(Debug, thiserror::Error)]
enum InputError {
    #[error("expected [VIDEO] POSE, or [VIDEO] --side-by-side POSE POSE; found {0} files")]
    Count(usize),
    #[error("--sheet shows frames of the video; give it before the .pose file")]
    SheetWithoutVideo,
    #[error("{} is an input; give the output another name", printable(.0))]
    Same(PathBuf),
    #[error("cannot write the sheet, a PNG picture, to {}: expected a name ending in .png", printable(.0))]
    SheetSuffix(PathBuf),
    #[error("a video on standard input can only be read once, so it cannot be drawn on; save it to a file")]
    StandardInput,
}

/// Draws the overlay or the contact sheet.
pub fn run(arguments: &Arguments) -> Outcome {
    let stopped = Signals::listen().map_err(Into::into).and_then(|signals| {
        let drawn = draw(arguments, &signals.cancel);
        if signals.cancel.is_cancelled() && drawn.is_err() { Ok(signals.outcome()) } else { drawn }
    });
    stopped.unwrap_or_else(|error| {
        // The library knows no options.
        let exists = matches!(
            error.downcast_ref(),
            Some(RenderError::Encoder(EncodeError::Exists(_)) | RenderError::FolderNotEmpty(_))
        );
        say_error(&*error, if exists { " (--overwrite)" } else { "" });
        Outcome::NothingRan
    })
}

fn draw(arguments: &Arguments, cancel: &Cancel) -> Result<Outcome, Box<dyn std::error::Error>> {
    let (video, poses) = arguments.files()?;
    for target in arguments.output.iter().chain(&arguments.sheet) {
        // A target that is not there yet is none of the inputs.
        let is_target = |input: &&PathBuf| same_file(input, target);
        if let Some(same) = video.iter().copied().chain(poses.iter().copied()).find(is_target) {
            return Err(InputError::Same(same.clone()).into());
        }
    }
    if let Some(sheet) = arguments.sheet.as_ref().filter(|sheet| !is_png(sheet)) {
        return Err(InputError::SheetSuffix(sheet.clone()).into());
    }
    let paths = poses;
    let poses = paths.iter().map(|path| read_pose(path)).collect::<Result<Vec<_>, _>>()?;
    for (path, pose) in paths.iter().zip(&poses) {
        if let Some(reason) = normalized(pose) {
            say(format_args!(
                "{}: {reason}, so little or nothing will be seen; give the file as the estimator wrote it",
                printable(path)
            ));
        }
    }
    let open = |path: &PathBuf| -> Result<Box<dyn Source>, Box<dyn std::error::Error>> {
        let options = video::Options::default()
            .with_rotate(arguments.rotate)
            .with_track(arguments.video_track)
            // The rate that the file was made with: pictures and some headers do not know it.
            .with_frame_rate(video::FrameRate::from_f32(poses[0].fps));
        Ok(video::open(path, &options)?)
    };
    if let Some(target) = &arguments.sheet {
        let mut video = open(video.ok_or(InputError::SheetWithoutVideo)?)?;
        let sheet = contact_sheet(video.as_mut(), &poses[0], arguments.columns, arguments.rows)?;
        sheet.save(target)?;
        let (width, height) = sheet.size();
        say(format_args!("{}: {width}x{height}", printable(target)));
    }
    if let Some(target) = &arguments.output {
        let options = OverlayOptions {
            crop_to_person: arguments.crop == Some(Crop::Person),
            audio: video.cloned(),
            overwrite: arguments.overwrite,
            cancel: cancel.clone(),
        };
        let source = video.map(open).transpose()?;
        write(source, &poses.iter().collect::<Vec<_>>(), target, &options)?;
    }
    Ok(Outcome::AllDone)
}

/// Writes the overlay and describes it.
pub fn write(
    video: Option<Box<dyn Source>>,
    poses: &[&Pose],
    target: &Path,
    options: &OverlayOptions,
) -> Result<(), RenderError> {
    let drawn = overlay(video, poses, target, options)?;
    if let Some(reason) = drawn.audio_left_out {
        say(format_args!("{}: {reason}", printable(target)));
    }
    let (width, height) = drawn.size;
    say(format_args!("{}: {}, {width}x{height}", printable(target), frames(drawn.frames)));
    Ok(())
}

fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("png"))
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

impl Arguments {
    /// The video, if one is given, and the pose files.
    fn files(&self) -> Result<(Option<&PathBuf>, Vec<&PathBuf>), InputError> {
        let mut inputs: Vec<&PathBuf> = self.inputs.iter().collect();
        let mut poses: Vec<&PathBuf> = self.side_by_side.iter().collect();
        if poses.is_empty() {
            poses.extend(inputs.pop());
        }
        match (inputs[..].first(), poses.is_empty() || inputs.len() > 1) {
            (_, true) => Err(InputError::Count(self.inputs.len())),
            (Some(video), _) if video.as_os_str() == video::STDIN => Err(InputError::StandardInput),
            (video, _) => Ok((video.copied(), poses)),
        }
    }
}
