//! `oppose-native convert`: OpenPose's JSON to `.pose`, `.pose` to OpenPose's JSON or CSV, `.pose` 0.1 to 0.2.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use oppose::pose::openpose_json::{self, JsonError, JsonFolder};
use oppose::pose::{FramePose, Pose, PoseError, PoseWriter, Selection, Skeleton, UnknownLegs, openpose_137};
use oppose::video::{self, FrameRate, Rotate, VideoError};

use super::Outcome;
use super::points::PointArguments;

/// What `convert` is told.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A folder of OpenPose's JSON files, or a .pose file
    input: PathBuf,

    /// A .pose file, a .csv file, or a folder for JSON files
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: PathBuf,

    /// The video that the JSON files were made of: its frame rate, size and number of frames are taken
    #[arg(long, value_name = "VIDEO", conflicts_with_all = ["fps", "size"])]
    video: Option<PathBuf>,

    /// Frames per second of the JSON files, for example 25 or 30000/1001
    #[arg(long, value_name = "RATE", requires = "size")]
    fps: Option<FrameRate>,

    /// Width and height of the frames of the JSON files
    #[arg(long, value_name = "WxH", requires = "fps", value_parser = parse_size)]
    size: Option<(u16, u16)>,

    /// Turn the video, as OpenPose saw it
    #[arg(long, default_value_t, value_name = "auto|none|90|180|270")]
    rotate: Rotate,

    /// Significant digits of numbers in JSON, of which OpenPose writes 6. From .pose to .pose: round the numbers as if
    /// they had gone through such JSON, to compare with a file that did
    #[arg(long, value_name = "DIGITS", value_parser = clap::value_parser!(u8).range(1..=9))]
    json_precision: Option<u8>,

    /// Replace files that exist
    #[arg(long)]
    overwrite: bool,

    #[command(flatten)]
    points: PointArguments,
}

fn parse_size(text: &str) -> Result<(u16, u16), String> {
    let sides =
        text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    match sides {
        Some((width @ 1.., height @ 1..)) => Ok((width, height)),
        _ => Err("expected width and height up to 65535, such as 1280x720".into()),
    }
}

#[derive(Debug, thiserror::Error)]
enum ConvertError {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error(transparent)]
    Pose(#[from] PoseError),
    #[error(transparent)]
    Video(#[from] VideoError),
    #[error(
        "JSON files do not hold the frame rate and size: give --video VIDEO, or --fps RATE and --size WxH"
    )]
    NoSize,
    #[error(
        "{} has the components {found}; only OpenPose's 137 points can be written as its JSON", path.display()
    )]
    NotOpenPose { path: PathBuf, found: String },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} exists already; --overwrite replaces it", .0.display())]
    Exists(PathBuf),
    #[error("--json-precision is for .pose to JSON and .pose to .pose")]
    Precision,
    #[error("--points and --hide-legs are for .pose to .pose")]
    Points,
    #[error(transparent)]
    Legs(#[from] UnknownLegs),
}

/// Converts.
pub fn run(arguments: &Arguments) -> Outcome {
    let suffix = arguments.output.extension().and_then(|suffix| suffix.to_str());
    let done = match (arguments.input.is_dir(), suffix) {
        (true, _) | (_, Some("csv")) if arguments.json_precision.is_some() => Err(ConvertError::Precision),
        (false, Some("pose")) => rewrite(arguments),
        _ if !arguments.points.are_default() => Err(ConvertError::Points),
        (true, _) => from_json(arguments),
        (false, Some("csv")) => to_csv(arguments),
        (false, _) => to_json(arguments),
    };
    match done {
        Ok(()) => Outcome::AllDone,
        Err(error) => {
            eprintln!("{error}");
            Outcome::NothingRan
        }
    }
}

/// A folder of JSON files becomes a `.pose` file.
fn from_json(arguments: &Arguments) -> Result<(), ConvertError> {
    let folder = JsonFolder::open(&arguments.input)?;
    let (frame_rate, (width, height), video_frames) = match (&arguments.video, arguments.fps, arguments.size)
    {
        (Some(video), ..) => of_video(video, arguments.rotate)?,
        (None, Some(fps), Some((width, height))) => (fps, (width.into(), height.into()), 0),
        _ => return Err(ConvertError::NoSize),
    };
    // The last frames of a video may have no file.
    let frames = folder.frames().max(video_frames);
    let (output, fps) = (&arguments.output, frame_rate.as_f32());
    let mut writer = PoseWriter::create(output, openpose_137(), width, height, fps, arguments.overwrite)?;
    let mut pose = FramePose::default();
    for frame in 0..frames {
        folder.read(frame, &mut pose)?;
        writer.write(&pose)?;
    }
    writer.finish()?;
    let missing = frames - folder.files() as u64;
    let missing = if missing > 0 { format!(", {missing} of them without a file") } else { String::new() };
    eprintln!("{}: {frames} frames at {frame_rate} a second{missing}", arguments.output.display());
    Ok(())
}

/// Frame rate, size and number of frames, which only decoding tells for certain.
fn of_video(path: &Path, rotate: Rotate) -> Result<(FrameRate, (u32, u32), u64), VideoError> {
    let mut video = video::open(path, &video::Options { rotate, ..video::Options::default() })?;
    let info = video.info().clone();
    let mut frames = 0;
    while video.next_frame()?.is_some() {
        frames += 1;
    }
    Ok((info.frame_rate, (info.width, info.height), frames))
}

/// A `.pose` file becomes one of the newest version.
fn rewrite(arguments: &Arguments) -> Result<(), ConvertError> {
    let pose = Pose::read_file(&arguments.input)?;
    let header = &pose.header;
    let (width, height) = (header.width.into(), header.height.into());
    let output = &arguments.output;
    let selection =
        Selection::new(&header.skeleton, arguments.points.points(), arguments.points.hides_legs())?;
    let mut writer =
        PoseWriter::create(output, selection.skeleton(), width, height, pose.fps, arguments.overwrite)?;
    let (mut all, mut frame) = (FramePose::default(), FramePose::default());
    for index in 0..pose.frames() {
        pose.copy_frame(index, &mut all);
        selection.apply(&all, &mut frame);
        if let Some(digits) = arguments.json_precision {
            let round = |number: &mut f32| *number = openpose_json::through_text(*number, digits);
            frame.coordinates_mut().iter_mut().for_each(round);
            frame.confidences_mut().iter_mut().for_each(round);
        }
        writer.write(&frame)?;
    }
    writer.finish()?;
    eprintln!("{}: {} frames, version 0.2", arguments.output.display(), pose.frames());
    Ok(())
}

/// A `.pose` file becomes a folder of JSON files.
fn to_json(arguments: &Arguments) -> Result<(), ConvertError> {
    let pose = Pose::read_file(&arguments.input)?;
    if !openpose_json::is_openpose(&pose.header.skeleton) {
        let found = components(&pose.header.skeleton);
        return Err(ConvertError::NotOpenPose { path: arguments.input.clone(), found });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ConvertError::Write { path, source }
    };
    let folder = &arguments.output;
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let stem = arguments.input.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut frame = FramePose::default();
    for index in 0..pose.frames() {
        let path = folder.join(openpose_json::file_name(&stem, index as u64));
        if !arguments.overwrite && path.exists() {
            return Err(ConvertError::Exists(path));
        }
        pose.copy_frame(index, &mut frame);
        let digits = arguments.json_precision.unwrap_or(openpose_json::DIGITS);
        fs::write(&path, openpose_json::to_json_with(&frame, digits)).map_err(failed(&path))?;
    }
    eprintln!("{}: {} files", folder.display(), pose.frames());
    Ok(())
}

/// A `.pose` file becomes a table with a line for each point that was found.
fn to_csv(arguments: &Arguments) -> Result<(), ConvertError> {
    let pose = Pose::read_file(&arguments.input)?;
    let path = &arguments.output;
    if !arguments.overwrite && path.exists() {
        return Err(ConvertError::Exists(path.clone()));
    }
    let failed = |source| ConvertError::Write { path: path.clone(), source };
    // Whole or not at all; the permissions are what the user's mask leaves of these.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    let lines = pose.write_csv(&mut file).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    eprintln!("{}: {lines} points in {} frames", path.display(), pose.frames());
    Ok(())
}

fn components(skeleton: &Skeleton) -> String {
    skeleton.components.iter().map(|component| component.name.as_str()).collect::<Vec<_>>().join(", ")
}
