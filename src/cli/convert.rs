//! `oppose-native convert`: OpenPose's JSON to `.pose`, `.pose` to OpenPose's JSON or CSV, old versions of `.pose` to
//! 0.2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use oppose::output_file::{OutputFile, write_file};
use oppose::pose::openpose_json::{self, JsonError, JsonFolder};
use oppose::pose::{
    FramePose, Header, PoseError, PoseWriter, Selection, Skeleton, UnknownLegs, openpose_137,
};
use oppose::video::{self, FrameRate, Rotate, STDIN, SourceError};

use super::Outcome;
use super::inspect::read_pose;
use super::points::PointArguments;
use super::terminal::{frames, printable, say, say_error};

/// The options of `convert`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A folder of OpenPose's JSON files, or a .pose file; - reads a .pose file from standard input
    input: PathBuf,

    /// Write a .pose file, a .csv file, or JSON files into a folder
    #[arg(short, long, value_name = "FILE|FOLDER")]
    output: PathBuf,

    /// Take the frame rate, size and number of frames from the video that the JSON files were made from
    #[arg(long, value_name = "VIDEO", conflicts_with = "size")]
    video: Option<PathBuf>,

    /// Set the frame rate of the JSON files, or replace that of a .pose file, for example 25 or 30000/1001
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    fps: Option<FrameRate>,

    /// Set the width and height of the frames that the JSON files belong to
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<(u16, u16)>,

    /// Rotate the video as OpenPose saw it
    #[arg(long, default_value_t, value_name = "auto|none|90|180|270")]
    rotate: Rotate,

    /// Write numbers in JSON with this many significant digits (OpenPose writes 6). From .pose to .pose: round the
    /// numbers as if they had gone through such JSON, to compare with a file that did
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
    Video(#[from] SourceError),
    #[error(
        "JSON files do not hold the frame rate and size: give --video VIDEO, or --fps RATE and --size WxH"
    )]
    NoSize,
    #[error(
        "{} has the components {found}; only OpenPose's 137 points can be written as its JSON",
        printable(path)
    )]
    NotOpenPose { path: PathBuf, found: String },
    #[error("cannot write {}", printable(path))]
    Write { path: PathBuf, source: io::Error },
    #[error("{} exists already; --overwrite replaces it", printable(.0))]
    Exists(PathBuf),
    #[error("--json-precision is for .pose to JSON and .pose to .pose")]
    Precision,
    #[error(
        "--video and --size are for JSON files; a .pose file has a size, and --fps RATE corrects its frame rate"
    )]
    SizeOfPose,
    #[error("OpenPose's JSON holds no frame rate, so --fps has no effect on it; leave it out")]
    RateOfJson,
    #[error(
        "a folder of JSON files becomes a .pose file, and {} is not the name of one; make FILE.pose first and convert \
         that", printable(.0)
    )]
    JsonTo(PathBuf),
    #[error(
        "the JSON files go up to frame {}, but {} has {video_frames} frames: they were not made of this video. Give the \
         right one, or --fps RATE and --size WxH in its place to convert all the same",
        .json_frames - 1, printable(.video)
    )]
    Longer { video: PathBuf, video_frames: u64, json_frames: u64 },
    #[error(
        "the JSON files have points as far as {x:.0}, {y:.0}, but the frames of {} are {width}x{height}: they were made of \
         another video, or of this one in another size or turned otherwise (--rotate). Give the right one, or --fps RATE \
         and --size WxH in its place to convert all the same",
        printable(.video)
    )]
    Outside { video: PathBuf, x: f32, y: f32, width: u32, height: u32 },
    #[error("--points and --hide-legs are for .pose to .pose")]
    Points,
    #[error(transparent)]
    Legs(#[from] UnknownLegs),
}

/// Converts.
pub fn run(arguments: &Arguments) -> Outcome {
    let suffix = arguments.output.extension().and_then(|suffix| suffix.to_str());
    let is_folder = arguments.input.is_dir();
    let done = match (is_folder, suffix) {
        (true, _) | (_, Some("csv")) if arguments.json_precision.is_some() => Err(ConvertError::Precision),
        (true, Some("csv" | "json")) => Err(ConvertError::JsonTo(arguments.output.clone())),
        (true, _) if !arguments.points.are_default() => Err(ConvertError::Points),
        (true, _) => from_json(arguments),
        // A file that is not a .pose file is named for what it is first.
        _ if arguments.video.is_some() || arguments.size.is_some() => {
            read_pose(&arguments.input).map_err(ConvertError::from).and(Err(ConvertError::SizeOfPose))
        }
        (false, Some("pose")) => rewrite(arguments),
        _ if !arguments.points.are_default() => Err(ConvertError::Points),
        (false, Some("csv")) => to_csv(arguments),
        (false, _) if arguments.fps.is_some() => Err(ConvertError::RateOfJson),
        (false, _) => to_json(arguments),
    };
    match done {
        Ok(()) => Outcome::AllDone,
        Err(error) => {
            // The library knows no options.
            let exists = matches!(error, ConvertError::Pose(PoseError::Exists(_)));
            say_error(&error, if exists { " (--overwrite)" } else { "" });
            Outcome::NothingRan
        }
    }
}

/// A folder of JSON files becomes a `.pose` file.
fn from_json(arguments: &Arguments) -> Result<(), ConvertError> {
    let folder = JsonFolder::open(&arguments.input)?;
    let (frame_rate, (width, height), video_frames) = match (&arguments.video, arguments.fps, arguments.size)
    {
        (Some(video), fps, _) => {
            let (of_video, size, frames) = of_video(video, arguments.rotate)?;
            (fps.unwrap_or(of_video), size, Some(frames))
        }
        (None, Some(fps), Some((width, height))) => (fps, (width.into(), height.into()), None),
        _ => return Err(ConvertError::NoSize),
    };
    if let (Some(video), Some(video_frames)) = (&arguments.video, video_frames)
        && folder.frames() > video_frames
    {
        let (video, json_frames) = (video.clone(), folder.frames());
        return Err(ConvertError::Longer { video, video_frames, json_frames });
    }
    // The last frames of a video may have no file.
    let frames = video_frames.unwrap_or_else(|| folder.frames());
    let (output, fps) = (&arguments.output, frame_rate.as_f32());
    let header = Header::new(openpose_137(), width, height)?;
    let mut writer = PoseWriter::options().overwrite(arguments.overwrite).create(output, &header, fps)?;
    let mut pose = FramePose::default();
    let mut reach = Reach::new(width, height);
    let mut coco_bodies = 0;
    for frame in 0..frames {
        coco_bodies += folder.read(frame, &mut pose)?.coco_bodies;
        reach.add(&pose);
        writer.write(&pose)?;
    }
    if let Some(video) = arguments.video.clone().filter(|_| reach.is_of_another_frame()) {
        return Err(ConvertError::Outside { video, x: reach.x, y: reach.y, width, height });
    }
    writer.finish()?;
    let missing = frames - folder.files() as u64;
    let missing = if missing > 0 { format!(", {missing} of them without a file") } else { String::new() };
    let output = printable(&arguments.output);
    say(format_args!("{output}: {frames} frames at {frame_rate} per second{missing}"));
    if folder.frames() < frames {
        say(format_args!(
            "{output}: the JSON files end at frame {}, the video has {frames}: from there on nobody is in the file. Is \
             it the right video, and are all files there?",
            folder.frames() - 1
        ));
    }
    if coco_bodies > 0 {
        say(format_args!(
            "{output}: {coco_bodies} bodies are of OpenPose's model COCO, with 18 points: they are in the places that \
             BODY_25 has for them, and MidHip and the feet count as not found. To have these too, estimate the video \
             again with BODY_25"
        ));
    }
    if let Some(doubt) = reach.doubt() {
        say(format_args!("{output}: {doubt}"));
    }
    Ok(())
}

/// If all people are within this share of a frame's width and of its height, they were probably found in smaller
/// frames: in a video, somebody comes near the lower or the right edge.
const SMALL_SHARE: f32 = 0.68;

/// If more than this share of the bodies' points is outside the frame, they cannot be OpenPose's for this frame:
/// now and then it finds one in the margin with which it pads its net's input.
const OUTSIDE_SHARE: f64 = 0.05;

/// The extent of the points of bodies. Hands and faces, which OpenPose looks for around them, may lie outside the
/// frame.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    width: f32,
    height: f32,
    /// The farthest to the right and the lowest.
    x: f32,
    y: f32,
    /// The largest absolute coordinate.
    largest: f32,
    found: usize,
    outside: usize,
}

impl Reach {
    fn new(width: u32, height: u32) -> Self {
        Self { width: width as f32, height: height as f32, ..Self::default() }
    }

    fn add(&mut self, pose: &FramePose) {
        let body = openpose_137().components[0].points.len();
        let coordinates = pose.coordinates().chunks_exact(2 * pose.points());
        for (coordinates, confidences) in coordinates.zip(pose.confidences().chunks_exact(pose.points())) {
            let points = coordinates.chunks_exact(2).zip(confidences).take(body);
            for (at, _) in points.filter(|(_, confidence)| **confidence > 0.0) {
                self.found += 1;
                (self.x, self.y) = (self.x.max(at[0]), self.y.max(at[1]));
                self.largest = self.largest.max(at[0].abs()).max(at[1].abs());
                // Farther than rounding brings them.
                let is_outside = at[0] > 1.01 * self.width + 2.0 || at[1] > 1.01 * self.height + 2.0;
                self.outside += usize::from(is_outside);
            }
        }
    }

    /// The share of the frame's width and of its height within which everybody is; `None` if there is nobody.
    fn share(self) -> Option<f32> {
        (self.found > 0).then(|| (self.x / self.width).max(self.y / self.height))
    }

    fn is_of_another_frame(self) -> bool {
        self.outside as f64 > OUTSIDE_SHARE * self.found as f64
    }

    /// What looks wrong about the points in frames of this size, if anything.
    fn doubt(self) -> Option<String> {
        let Self { width, height, x, y, .. } = self;
        match self.share()? {
            _ if self.outside > 0 => Some(format!(
                "{} of {} points of bodies are outside of frames of {width}x{height}, as far as {x:.0}, {y:.0}: is the size \
                 right?",
                self.outside, self.found
            )),
            share if share < SMALL_SHARE && self.largest <= 1.0 => Some(
                "all coordinates are between -1 and 1: OpenPose was asked for shares of the frame (keypoint_scale), but \
                 a .pose file is expected to hold pixels"
                    .into(),
            ),
            share if share < SMALL_SHARE => Some(format!(
                "all bodies lie within {x:.0}x{y:.0} of frames of {width}x{height}: is it the video, in the size, that \
                 the JSON files were made of?"
            )),
            _ => None,
        }
    }
}

/// Frame rate, size and number of frames, which only decoding tells for certain.
fn of_video(path: &Path, rotate: Rotate) -> Result<(FrameRate, (u32, u32), u64), SourceError> {
    let mut video = video::open(path, &video::Options::default().with_rotate(rotate))?;
    let info = video.info().clone();
    let mut frames = 0;
    while video.next_frame()?.is_some() {
        frames += 1;
    }
    // What the frames have shown is better than what the header told.
    let frame_rate = video.summary().frame_rate.unwrap_or(info.frame_rate);
    Ok((frame_rate, (info.width, info.height), frames))
}

/// A `.pose` file becomes one of the newest version.
fn rewrite(arguments: &Arguments) -> Result<(), ConvertError> {
    let pose = read_pose(&arguments.input)?;
    let fps = arguments.fps.map_or(pose.fps, FrameRate::as_f32);
    let output = &arguments.output;
    let selection =
        Selection::new(&pose.header.skeleton, arguments.points.points(), arguments.points.hides_legs())?;
    let mut header = pose.header.clone();
    header.skeleton = selection.skeleton().clone();
    let mut writer = PoseWriter::options().overwrite(arguments.overwrite).create(output, &header, fps)?;
    writer.reserve_people(pose.people());
    let (mut all, mut frame) = (FramePose::default(), FramePose::default());
    for index in 0..pose.frames() {
        pose.copy_frame(index, &mut all);
        selection.apply(&all, &mut frame);
        if let Some(digits) = arguments.json_precision {
            let round = |number: &mut f32| *number = openpose_json::round_to_digits(*number, digits);
            frame.coordinates_mut().iter_mut().for_each(round);
            frame.confidences_mut().iter_mut().for_each(round);
        }
        writer.write(&frame)?;
    }
    writer.finish()?;
    let rate = arguments.fps.map_or_else(String::new, |rate| format!(" at {rate} per second"));
    say(format_args!("{}: {}{rate}, version 0.2", printable(output), frames(pose.frames() as u64)));
    Ok(())
}

/// A `.pose` file becomes a folder of JSON files.
fn to_json(arguments: &Arguments) -> Result<(), ConvertError> {
    let pose = read_pose(&arguments.input)?;
    if !openpose_json::is_supported(&pose.header.skeleton) {
        let found = components(&pose.header.skeleton);
        return Err(ConvertError::NotOpenPose { path: arguments.input.clone(), found });
    }
    let folder = &arguments.output;
    fs::create_dir_all(folder).map_err(written(folder))?;
    let stem = match arguments.input == Path::new(STDIN) {
        true => "video".into(),
        false => arguments.input.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let mut frame = FramePose::default();
    for index in 0..pose.frames() {
        let path = folder.join(openpose_json::file_name(&stem, index as u64));
        pose.copy_frame(index, &mut frame);
        let digits = arguments.json_precision.unwrap_or(openpose_json::SIGNIFICANT_DIGITS);
        let text = openpose_json::to_json_with(&frame, digits)?;
        write_file(&path, text.as_bytes(), arguments.overwrite).map_err(written(&path))?;
    }
    say(format_args!("{}: {} files", printable(folder), pose.frames()));
    Ok(())
}

/// A `.pose` file becomes a table with one line per point that was found.
fn to_csv(arguments: &Arguments) -> Result<(), ConvertError> {
    let mut pose = read_pose(&arguments.input)?;
    pose.fps = arguments.fps.map_or(pose.fps, FrameRate::as_f32);
    let path = &arguments.output;
    if !arguments.overwrite && path.exists() {
        return Err(ConvertError::Exists(path.clone()));
    }
    let mut file = OutputFile::create(path).map_err(written(path))?;
    let lines = pose.write_csv(&mut file).map_err(written(path))?;
    file.finish(arguments.overwrite).map_err(written(path))?;
    say(format_args!("{}: {lines} points in {}", printable(path), frames(pose.frames() as u64)));
    Ok(())
}

/// The error for a failure to write `path`.
fn written(path: &Path) -> impl FnOnce(io::Error) -> ConvertError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::AlreadyExists => ConvertError::Exists(path),
        _ => ConvertError::Write { path, source },
    }
}

fn components(skeleton: &Skeleton) -> String {
    skeleton.components.iter().map(|component| component.name.as_str()).collect::<Vec<_>>().join(", ")
}
