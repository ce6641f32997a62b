//! MediaPipe Holistic: body, face and both hands of one person or, on request, of several, on any CPU.
//!
//! The default engine: it needs no GPU and no OpenPose models. It computes what the Python package
//! `mediapipe` 0.10.21 computes in `solutions.holistic`, with the same nets and, given the same pixels, to the last
//! bit. [`Options`] are the original's settings; without any, it gives the 576 points that pose-format's
//! `video_to_pose --format mediapipe` writes.
//!
//! # Arithmetic
//! What is found in one frame decides where the next one is looked at, so that a different last bit soon becomes
//! pixels. Each stage therefore follows the calculators of MediaPipe and the functions of OpenCV operation by
//! operation: `f32` where they have `float`, in the same order. Do not simplify a formula here without running
//! `cargo test --test originals holistic`.
//!
//! # Limits
//! * One person: the one detected with the highest confidence. Other people in the frame are found only with
//!   [`Options::with_max_people`]. A person is followed until lost.
//! * Hands are missed now and then, above all fast or blurred ones: they are looked for only where the body's
//!   wrists and knuckles suggest; [`Hands::Thorough`] adds a search of its own. The points of a missed hand or face
//!   are 0 with confidence 0.
//! * The body's points are always estimated, even outside the picture; their confidence says how visible they are.
//! * z is a rough guess. The last 33 points are metres, but x and y are multiplied by the frame's width and
//!   height, as pose-format writes them.
//!
//! # Files
//! Nets from the `mediapipe` 0.10.21 package, two more from the npm package `@mediapipe/pose`, and the shared library
//! of LiteRT 2.3.0, all under the Apache License 2.0. Which nets are needed depends on the options. They are read from
//! the folder `holistic` of the models folder, where `scripts/fetch-models.sh` puts them, and checked against their
//! published SHA-256. Nothing is downloaded at run time.
//!
//! # Stages
//! `body` finds a person with their landmarks and follows them; `hand` (twice) and `face` look where the body's landmarks
//! put hands and face; `palm` looks for hands a second time, on request. They share `geometry`, `warp` (crops), `detector`,
//! `one_euro` (smoothing) and `tracking`; `litert` runs the nets, two of them rewritten so that they give the same bits here
//! as in MediaPipe (`models`, `attention`). The body in the next frame is looked for at the same time as the hands and the
//! face in this one.

mod attention;
mod blend;
// Public for the tests that compare each stage with recordings of MediaPipe, but not part of the interface.
#[doc(hidden)]
pub mod body;
mod detector;
#[doc(hidden)]
pub mod face;
#[doc(hidden)]
pub mod geometry;
#[doc(hidden)]
pub mod hand;
mod litert;
#[doc(hidden)]
pub mod models;
mod net;
mod one_euro;
mod options;
mod output;
mod palm;
mod perspective;
mod schedule;
mod tracking;
mod warp;

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;
use std::thread::{self, ScopedJoinHandle};

use self::body::{Body, BodyTracker};
use self::face::{Face, FaceTracker};
use self::geometry::Size;
use self::hand::{Hand, HandTracker};
pub use self::litert::LiteRtError;
pub use self::models::{FOLDER, FileProblem, LoadError, ModelsError};
use self::models::{Models, hashes};
pub use self::options::{Complexity, Hands, Options};
use self::output::Found;
use self::schedule::{Failure, Schedule, Stage};
use super::{Engine, EngineError, EngineInfo};
use crate::pose::{FramePose, Selection, Skeleton};
use oppose_core::{Frame, VideoInfo};

/// The engine's name.
pub const NAME: &str = "holistic";

/// Body, left hand, right hand, face.
const STAGES: usize = 4;

/// Frames in flight: enough for the body to run ahead while both hands are looked at.
const CAPACITY: usize = 8;

/// Why the engine cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HolisticError {
    /// The nets cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The system gives no thread.
    #[error("no thread can be started")]
    Thread(#[from] std::io::Error),
    /// The runtime failed on a frame.
    #[error(transparent)]
    Run(#[from] LiteRtError),
    /// A defect of this program.
    #[error("estimation panicked ({0}); this is a defect of this program, please report it")]
    Panic(String),
    /// More frames were pushed than may be in flight.
    #[error("{0} frames are in flight already: pop a result before the next push")]
    Full(usize),
    /// A failure has been reported before.
    #[error("the engine has failed before and gives no more results")]
    Stopped,
}

impl From<Failure<LiteRtError>> for HolisticError {
    fn from(failure: Failure<LiteRtError>) -> Self {
        match failure {
            Failure::Stage(error) => Self::Run(error),
            Failure::Panic(message) => Self::Panic(message),
            Failure::Stopped => Self::Stopped,
        }
    }
}

impl From<HolisticError> for EngineError {
    fn from(error: HolisticError) -> Self {
        Self::failed(error)
    }
}

/// A frame on its way through the four stages.
struct Job {
    frame: Frame,
    /// Nothing tracked so far carries over to this frame.
    starts_video: bool,
    /// The body of each person; `None` for a person who was not found.
    bodies: OnceLock<Vec<Option<Body>>>,
    left: OnceLock<Vec<Option<Hand>>>,
    right: OnceLock<Vec<Option<Hand>>>,
    faces: OnceLock<Vec<Option<Box<Face>>>>,
}

impl Job {
    fn bodies(&self) -> &[Option<Body>] {
        self.bodies.get().map_or(&[], Vec::as_slice)
    }

    /// The people, at least one, to the last who was found.
    fn people(&self) -> Vec<Found<'_>> {
        fn part<T>(parts: &OnceLock<Vec<Option<T>>>, i: usize) -> Option<&T> {
            parts.get()?.get(i)?.as_ref()
        }
        let last = self.bodies().iter().rposition(Option::is_some).unwrap_or(0);
        let person = |i| Found {
            body: part(&self.bodies, i),
            face: part(&self.faces, i).map(Box::as_ref),
            left: part(&self.left, i),
            right: part(&self.right, i),
        };
        (0..=last).map(person).collect()
    }
}

/// The engine.
pub struct Holistic {
    schedule: Schedule<Job, LiteRtError>,
    /// The next frame is the first of a video.
    starts_video: bool,
    options: Options,
    /// What is given of all points, where it is not all of them; and room for all of them.
    selection: Option<(Selection, FramePose)>,
}

impl fmt::Debug for Holistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holistic").finish_non_exhaustive()
    }
}

impl Holistic {
    /// Loads the nets that the options need from the folder `holistic` in the models folder `folder`.
    ///
    /// # Errors
    /// Files are missing or are not the published ones (all of them are named), or the runtime refuses them.
    pub fn open(folder: &Path, options: Options) -> Result<Self, HolisticError> {
        let models = Models::open(folder, &options)?;
        let selection = options.selection().map(|selection| (selection, FramePose::default()));
        let stages = stages(&models, options)?;
        let schedule = Schedule::start(options.stage_threads(), stages)?;
        Ok(Self { schedule, starts_video: true, options, selection })
    }
}

/// The four stages, their nets loaded side by side.
fn stages(models: &Models, options: Options) -> Result<Vec<Stage<Job, LiteRtError>>, HolisticError> {
    let (body, hands, face) = thread::scope(|scope| {
        let body = scope.spawn(|| BodyTracker::load(models, &options));
        let hands = scope.spawn(|| HandTracker::load_both(models, options.hands));
        let face = FaceTracker::load(models, &options);
        (joined(body), joined(hands), face)
    });
    let (mut body, [mut left, mut right], mut face) = (body??, hands??, face?);
    // Otherwise idle threads would wait for parts that never come.
    let is_divided = body.is_divided();
    let first = Stage::first(move |job: &Job| {
        if job.starts_video {
            body.reset();
        }
        fill(&job.bodies, body.track(&job.frame))
    });
    Ok(vec![
        if is_divided { first.divided() } else { first },
        Stage::after(0, move |job: &Job| {
            if job.starts_video || options.still_images {
                left.reset();
            }
            fill(&job.left, left.track(&job.frame, job.bodies()))
        }),
        Stage::after(0, move |job: &Job| {
            if job.starts_video || options.still_images {
                right.reset();
            }
            fill(&job.right, right.track(&job.frame, job.bodies()))
        }),
        Stage::after(0, move |job: &Job| {
            if job.starts_video || options.still_images {
                face.reset();
            }
            fill(&job.faces, face.track(&job.frame, job.bodies()))
        }),
    ])
}

/// Puts a result where it belongs; each place is filled once.
fn fill<T>(place: &OnceLock<T>, result: Result<T, LiteRtError>) -> Result<(), LiteRtError> {
    let _ = place.set(result?);
    Ok(())
}

/// What a thread has loaded.
fn joined<T>(
    thread: ScopedJoinHandle<'_, Result<T, LoadError>>,
) -> Result<Result<T, LoadError>, HolisticError> {
    thread.join().map_err(|panic| HolisticError::Panic(schedule::message(panic.as_ref())))
}

impl Engine for Holistic {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        let points = self.skeleton().points();
        let mut info =
            EngineInfo::new(NAME, EngineInfo::CPU, "fp32", points).with_models(hashes(&self.options));
        for (name, value) in self.options.settings() {
            info = info.with_setting(name, value);
        }
        Ok(info)
    }

    fn skeleton(&self) -> &'static Skeleton {
        self.options.skeleton()
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn start_video(&mut self, _info: &VideoInfo) -> Result<(), EngineError> {
        self.starts_video = true;
        Ok(())
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        if self.schedule.len() >= CAPACITY {
            return Err(HolisticError::Full(CAPACITY).into());
        }
        let starts_video = std::mem::take(&mut self.starts_video);
        self.schedule.push(Job {
            frame,
            starts_video,
            bodies: OnceLock::new(),
            left: OnceLock::new(),
            right: OnceLock::new(),
            faces: OnceLock::new(),
        });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        // No stage waits for more frames.
        Ok(())
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        let Some(job) = self.schedule.pop().map_err(HolisticError::from)? else { return Ok(false) };
        let people = job.people();
        let (size, is_refined) = (Size::of(&job.frame), self.options.refine_face);
        match &mut self.selection {
            None => output::write(&people, size, is_refined, pose),
            Some((selection, all)) => {
                output::write(&people, size, is_refined, all);
                selection.apply(all, pose);
            }
        }
        Ok(true)
    }
}
