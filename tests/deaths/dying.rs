//! An engine that dies as it is told, in whatever process it is, and small videos for it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::thread;
use std::time::Duration;

use oppose::batch::{self, Job};
use oppose::engine::{Engine, EngineError, EngineInfo, isolated};
use oppose::pipeline;
use oppose::pose::{FramePose, Pose, Skeleton, openpose_137};
use oppose::process::this_program;
use oppose::video::{self, Frame, VideoInfo};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use crate::common;

/// How many frames each video has. All are in flight together with their neighbours'.
pub const FRAMES: [u64; 6] = [3, 1, 2, 4, 2, 3];

/// Frames in flight.
const CAPACITY: usize = 4;

/// What the engine dies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Instant {
    /// Opening it.
    Open,
    /// The start of this video.
    Start(usize),
    /// A frame of this video, as it is submitted.
    Frame(usize, u64),
    /// A frame of this video, as its result is taken: those before it have come out.
    Result(usize, u64),
    /// A flush while frames of this video are in flight.
    Flush(usize),
    /// Nothing: after the last result of this video, with nothing in flight.
    Idle(usize),
}

/// How it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// With an error.
    Error,
    /// `abort`.
    Abort,
    /// By this signal.
    Signal(i32),
    /// A stack overflow.
    Overflow,
    /// It ends the process as if all were well.
    Exit,
    /// It never returns.
    Hang,
    /// As `Hang`, and a process that it started keeps its standard output open.
    HangWithChild,
    /// With a panic.
    Panic,
    /// With an error, after which it hangs when it is dropped.
    HangWhenDropped,
}

/// A death.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub instant: Instant,
    pub way: Way,
    /// How many calls after that it is noticed. Until then calls succeed, but no result comes out,
    pub noticed_after: usize,
    /// except where results come out until then.
    pub delivers: bool,
    /// A file that is there once it has happened, where it happens only once.
    pub once: Option<PathBuf>,
}

impl Plan {
    pub fn always(instant: Instant, way: Way) -> Self {
        Self { instant, way, noticed_after: 0, delivers: false, once: None }
    }

    pub fn noticed_after(self, calls: usize) -> Self {
        Self { noticed_after: calls, ..self }
    }

    /// Results come out until it is noticed.
    pub fn delivering(self) -> Self {
        Self { delivers: true, ..self }
    }

    /// Once only: `flag` is a path at which nothing is yet.
    pub fn once(self, flag: &Path) -> Self {
        Self { once: Some(flag.to_owned()), ..self }
    }

    /// Whether it happens now, and from now on has happened.
    fn is_due(&self) -> bool {
        self.once.as_ref().is_none_or(|flag| File::create_new(flag).is_ok())
    }
}

/// The engine. It knows a video by its colour, as [`videos`] makes them, and says so with its frames' numbers.
pub struct Dying {
    plan: Option<Plan>,
    /// The video that is started next.
    started: usize,
    in_flight: VecDeque<(usize, u64)>,
    /// Dead, and to be noticed after so many calls.
    dead: Option<usize>,
}

impl Dying {
    pub fn open(plan: Option<Plan>) -> Result<Box<dyn Engine>, EngineError> {
        if let Some(plan) = &plan
            && plan.instant == Instant::Open
            && plan.is_due()
        {
            return Err(die(plan.way));
        }
        Ok(Box::new(Self { plan, started: 0, in_flight: VecDeque::new(), dead: None }))
    }

    /// Dies if this is what it dies of.
    fn may_die_of(&mut self, instant: Instant) {
        if let Some(plan) = &self.plan
            && self.dead.is_none()
            && plan.instant == instant
            && plan.is_due()
        {
            self.dead = Some(plan.noticed_after);
        }
    }

    /// Every call but a wait for a result that will never come.
    fn alive(&mut self) -> Result<(), EngineError> {
        match (&mut self.dead, &self.plan) {
            (Some(0), Some(plan)) => Err(die(plan.way)),
            (Some(calls), _) => {
                *calls -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Dies. Comes back where it is to be an error.
fn die(way: Way) -> EngineError {
    match way {
        Way::Error | Way::HangWhenDropped => {}
        Way::Abort => process::abort(),
        Way::Signal(signal) => {
            let signal = Signal::from_named_raw(signal).unwrap();
            // The first SIGSEGV only undoes the standard library's handler.
            for _ in 0..2 {
                kill_process(getpid(), signal).unwrap();
            }
            hang();
        }
        Way::Overflow => println!("{}", overflow(1)),
        Way::Exit => process::exit(0),
        Way::Panic => panic!("the engine panics as it was told"),
        Way::Hang => hang(),
        Way::HangWithChild => {
            // A shell that ends at once leaves it to nobody: its standard output is that of this process.
            let child = Command::new("sleep").arg("60").stdin(process::Stdio::null()).spawn();
            drop(child.unwrap());
            hang();
        }
    }
    EngineError::failed("the engine has died as it was told")
}

fn hang() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> u64 {
    let stack = black_box([depth; 1000]);
    overflow(depth + 1) + black_box(stack[depth as usize % 1000])
}

impl Drop for Dying {
    fn drop(&mut self) {
        if self.dead.is_some() && self.plan.as_ref().is_some_and(|plan| plan.way == Way::HangWhenDropped) {
            hang();
        }
    }
}

impl Engine for Dying {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        let device = std::env::var(DEVICE).unwrap_or("cpu".into());
        Ok(EngineInfo::new("dying", device, "fp32", openpose_137().points()))
    }

    fn skeleton(&self) -> &'static Skeleton {
        openpose_137()
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError> {
        // A video is as wide as its number says.
        let video = (info.width as usize - 32) / 2;
        if self.in_flight.is_empty() && self.started != video {
            self.may_die_of(Instant::Idle(self.started));
        }
        self.started = video;
        self.may_die_of(Instant::Start(video));
        self.alive()
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        let video = usize::from(frame.pixels()[0].saturating_add(10) / 40) - 1;
        assert_eq!(video, self.started, "the colour {} of frame {}", frame.pixels()[0], frame.index());
        self.in_flight.push_back((video, frame.index()));
        self.may_die_of(Instant::Frame(video, frame.index()));
        self.alive()
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        for video in self.in_flight.iter().map(|&(video, _)| video).collect::<Vec<_>>() {
            self.may_die_of(Instant::Flush(video));
        }
        self.alive()
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        let Some(&(video, index)) = self.in_flight.front() else {
            self.alive()?;
            return Ok(false);
        };
        self.may_die_of(Instant::Result(video, index));
        match (self.dead, &self.plan) {
            // Nothing comes out any more.
            (Some(_), Some(plan)) if !plan.delivers => return Err(die(plan.way)),
            _ => self.alive()?,
        }
        self.in_flight.pop_front();
        pose.reset(1, openpose_137().points(), openpose_137().dimensions());
        pose.coordinates_mut()[..2].copy_from_slice(&[video as f32, index as f32]);
        pose.confidences_mut()[0] = 1.0;
        Ok(true)
    }
}

/// Six small videos of different colours and widths.
pub fn videos(folder: &Path) -> Vec<Job> {
    let make = |(number, frames): (usize, u64)| {
        let video = folder.join(format!("video{number}.mkv"));
        let grey = 40 * (number + 1);
        let size = 32 + 2 * number;
        let source = format!("color=c=#{grey:02x}{grey:02x}{grey:02x}:size={size}x32:rate=25,format=bgr0");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", &source, "-frames:v", &frames.to_string()]);
        common::output(ffmpeg.args(["-c:v", "ffv1", "-pix_fmt", "bgr0"]).arg(&video));
        let output = folder.join(format!("poses/video{number}.pose"));
        Job::new(video, output)
    };
    fs::create_dir(folder.join("poses")).unwrap();
    FRAMES.into_iter().enumerate().map(make).collect()
}

/// Why a file is not what the engine makes of this video, if it is not.
pub fn fault(output: &Path, video: usize) -> Option<String> {
    let pose = match Pose::read_file(output) {
        Ok(pose) => pose,
        Err(error) => return Some(error.to_string()),
    };
    let (frames, mut frame) = (pose.frames(), FramePose::default());
    let mut found = Vec::new();
    for index in 0..frames {
        pose.copy_frame(index, &mut frame);
        found.push((frame.people(), frame.coordinates()[0], frame.coordinates()[1]));
    }
    let expected: Vec<(usize, f32, f32)> =
        (0..FRAMES[video]).map(|index| (1, video as f32, index as f32)).collect();
    (found != expected).then(|| format!("{found:?} in place of {expected:?}"))
}

/// Says what a process that this program starts of itself is to be.
const ROLE: &str = "OPPOSE_TEST_ROLE";
const PLAN: &str = "OPPOSE_TEST_PLAN";
/// The device that the engine gives for its own.
pub const DEVICE: &str = "OPPOSE_TEST_DEVICE";

/// This program as a worker of [`batch::supervise`] with this engine.
pub fn worker(plan: Option<&Plan>) -> Command {
    child("worker", plan)
}

/// This program as the process of an isolated engine.
pub fn engine_process(plan: Option<&Plan>) -> Command {
    child("engine", plan)
}

/// A command that starts this program, as such a worker.
pub fn as_worker(mut command: Command, plan: Option<&Plan>) -> Command {
    command.env(ROLE, "worker").env(PLAN, serde_json::to_string(&plan).unwrap());
    command
}

fn child(role: &str, plan: Option<&Plan>) -> Command {
    let mut command = as_worker(this_program().unwrap(), plan);
    command.env(ROLE, role);
    command
}

/// What this process is, where this program started itself.
pub fn run_as_child() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    let plan: Option<Plan> = serde_json::from_str(&std::env::var(PLAN).unwrap()).unwrap();
    match role.as_str() {
        "engine" => isolated::serve(Dying::open(plan), io::stdin().lock(), io::stdout()).unwrap(),
        _ => {
            let (options, video_options) = (pipeline::Options::default(), video::Options::default());
            let input = BufReader::new(io::stdin());
            // That the engine died has been reported.
            let _ = batch::serve(|_| Dying::open(plan), &options, &video_options, input, io::stdout());
        }
    }
    true
}
