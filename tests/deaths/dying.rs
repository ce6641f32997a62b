//! An engine that dies according to a plan, in whichever process it runs, and small videos for it.

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

/// How many frames each video has; few enough that frames of several videos are in flight together.
pub const FRAMES: [u64; 6] = [3, 1, 2, 4, 2, 3];

/// How many frames may be in flight.
const CAPACITY: usize = 4;

/// When the engine dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Instant {
    /// When it is opened.
    Open,
    /// When this video starts.
    Start(usize),
    /// When this frame of this video is pushed.
    Frame(usize, u64),
    /// When the result of this frame of this video is popped, after those of all frames before it.
    Result(usize, u64),
    /// At a flush while frames of this video are in flight.
    Flush(usize),
    /// While idle: after the last result of this video, with nothing in flight.
    Idle(usize),
}

/// How it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// It returns an error.
    Error,
    /// It calls `abort`.
    Abort,
    /// It is killed by this signal.
    Signal(i32),
    /// Its stack overflows.
    Overflow,
    /// It exits with status 0.
    Exit,
    /// It never returns.
    Hang,
    /// Like `Hang`; in addition, a process that it started keeps its standard output open.
    HangWithChild,
    /// It panics.
    Panic,
    /// It returns an error, and hangs when it is dropped.
    HangWhenDropped,
}

/// When, how and how often the engine dies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub instant: Instant,
    pub way: Way,
    /// After how many further calls the death is noticed. Until then calls succeed.
    pub noticed_after: usize,
    /// Whether results still come out until the death is noticed.
    pub delivers: bool,
    /// If it happens only once: a file that is created when it happens.
    pub once: Option<PathBuf>,
}

impl Plan {
    pub fn always(instant: Instant, way: Way) -> Self {
        Self { instant, way, noticed_after: 0, delivers: false, once: None }
    }

    pub fn noticed_after(self, calls: usize) -> Self {
        Self { noticed_after: calls, ..self }
    }

    /// Results still come out until the death is noticed.
    pub fn delivering(self) -> Self {
        Self { delivers: true, ..self }
    }

    /// Only once; `flag` is a path that does not exist yet.
    pub fn once(self, flag: &Path) -> Self {
        Self { once: Some(flag.to_owned()), ..self }
    }

    /// Whether it happens now. If it happens only once, later calls return `false`.
    fn is_due(&self) -> bool {
        self.once.as_ref().is_none_or(|flag| File::create_new(flag).is_ok())
    }
}

/// The engine. It recognises a video by its colour, as [`videos`] makes them, and returns the video and the frame index as
/// coordinates.
pub struct Dying {
    plan: Option<Plan>,
    /// The video that was started last.
    started: usize,
    in_flight: VecDeque<(usize, u64)>,
    /// If it is dead, after how many calls that is noticed.
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

    /// Dies if the plan says so.
    fn die_if_planned(&mut self, instant: Instant) {
        if let Some(plan) = &self.plan
            && self.dead.is_none()
            && plan.instant == instant
            && plan.is_due()
        {
            self.dead = Some(plan.noticed_after);
        }
    }

    /// Called by every call except a wait for a result that will never come: fails once the death is noticed.
    fn check_alive(&mut self) -> Result<(), EngineError> {
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

/// Dies, or returns the error with which to die.
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
        Way::Panic => panic!("the engine panics as planned"),
        Way::Hang => hang(),
        Way::HangWithChild => {
            // It inherits this process's standard output, and nobody waits for it.
            let child = Command::new("sleep").arg("60").stdin(process::Stdio::null()).spawn();
            drop(child.unwrap());
            hang();
        }
    }
    EngineError::failed("the engine has died as planned")
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
        // The width of a video encodes its number.
        let video = (info.width as usize - 32) / 2;
        if self.in_flight.is_empty() && self.started != video {
            self.die_if_planned(Instant::Idle(self.started));
        }
        self.started = video;
        self.die_if_planned(Instant::Start(video));
        self.check_alive()
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        let video = usize::from(frame.pixels()[0].saturating_add(10) / 40) - 1;
        assert_eq!(video, self.started, "the colour {} of frame {}", frame.pixels()[0], frame.index());
        self.in_flight.push_back((video, frame.index()));
        self.die_if_planned(Instant::Frame(video, frame.index()));
        self.check_alive()
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        for video in self.in_flight.iter().map(|&(video, _)| video).collect::<Vec<_>>() {
            self.die_if_planned(Instant::Flush(video));
        }
        self.check_alive()
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        let Some(&(video, index)) = self.in_flight.front() else {
            self.check_alive()?;
            return Ok(false);
        };
        self.die_if_planned(Instant::Result(video, index));
        match (self.dead, &self.plan) {
            // No more results come out.
            (Some(_), Some(plan)) if !plan.delivers => return Err(die(plan.way)),
            _ => self.check_alive()?,
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

/// How a file differs from what the engine computes for this video, if it does.
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
    (found != expected).then(|| format!("{found:?} instead of {expected:?}"))
}

/// The role of a process that this program starts of itself.
const ROLE: &str = "OPPOSE_TEST_ROLE";
const PLAN: &str = "OPPOSE_TEST_PLAN";
/// The device that the engine reports.
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

/// If this program started itself: acts in the role that the environment names. Returns whether it did.
pub fn run_as_child() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    let plan: Option<Plan> = serde_json::from_str(&std::env::var(PLAN).unwrap()).unwrap();
    match role.as_str() {
        "engine" => isolated::serve(Dying::open(plan), io::stdin().lock(), io::stdout()).unwrap(),
        _ => {
            let (options, video_options) = (pipeline::Options::default(), video::Options::default());
            let input = BufReader::new(io::stdin());
            // The death of the engine has already been reported.
            let _ = batch::serve(|_| Dying::open(plan), &options, &video_options, input, io::stdout());
        }
    }
    true
}
