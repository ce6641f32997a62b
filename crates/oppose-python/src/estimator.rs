//! An engine that estimates one video after another.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::bounded;
use oppose::cli::estimation::{self, Estimation, OpenError};
use oppose::engine::{Engine, EngineError, models};
use oppose::pipeline::{self, PipelineError, Report};
use oppose::pose::{Pose, PoseError};
use oppose::video::{self, FrameRate, Source, VideoError};
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::driver::{Feed, Latest, Watch};
use crate::errors;
use crate::frames::{self, Frames};
use crate::pose::Numbers;

/// Frames that wait between the caller's iterator and the pipeline, which has a queue of its own.
const WAITING: usize = 1;

/// Looks for models in this folder too, which came with the package.
#[pyfunction]
pub fn set_models(folder: PathBuf) {
    models::set_shipped(folder);
}

/// The names of all options of the program that estimate or organise, with underscores.
#[pyfunction]
pub fn option_names() -> Vec<String> {
    Estimation::names()
}

/// An engine and how it is used. It opens when it is first needed, and again where it died.
#[pyclass(frozen)]
pub struct Estimator {
    estimation: Estimation,
    engine: Mutex<Option<Box<dyn Engine>>>,
}

/// A pose, and what has to be known of how it came about.
#[derive(IntoPyObject)]
struct Estimated {
    pose: Numbers,
    remarks: Vec<String>,
}

/// Why there is no pose.
enum Failure {
    Open(OpenError),
    Engine(EngineError),
    Video(VideoError),
    Pipeline(PipelineError),
    Read(PoseError),
}

impl Failure {
    fn into_exception(self, python: Python<'_>) -> PyErr {
        match self {
            Self::Open(error) => errors::open(&error),
            Self::Engine(error) => errors::engine(&error),
            Self::Video(error) => errors::video(&error),
            Self::Pipeline(error) => errors::pipeline(python, &error),
            Self::Read(error) => errors::pose(&error),
        }
    }
}

#[pymethods]
impl Estimator {
    /// Options as the program takes them: `--engine=holistic`.
    #[new]
    fn new(options: Vec<OsString>) -> PyResult<Self> {
        let estimation = Estimation::parse(options).map_err(|error| errors::options(&error))?;
        Ok(Self { estimation, engine: Mutex::new(None) })
    }

    /// Opens the engine, if it is not open. Returns what it is, as JSON, and remarks on the choice.
    fn open(&self, python: Python<'_>) -> PyResult<(String, Vec<String>)> {
        let opened = python.detach(|| {
            let mut engine = self.engine();
            let remarks = self.opened(&mut engine)?;
            let engine = engine.as_mut().map(|engine| engine.info());
            Ok((engine.transpose().map_err(Failure::Engine)?, remarks))
        });
        let (info, remarks) = opened.map_err(|failure: Failure| failure.into_exception(python))?;
        Ok((serde_json::to_string(&info).unwrap_or_default(), remarks))
    }

    /// Estimates a video.
    #[pyo3(signature = (video, on_progress=None))]
    fn estimate(
        &self,
        python: Python<'_>,
        video: PathBuf,
        on_progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Estimated> {
        let watch = Watch { python, on_progress };
        let open = |engine: &dyn Engine| video::open(&video, &self.estimation.video_options(engine));
        self.run(&watch, None, open)
    }

    /// Estimates what an iterator yields: height, width, and bytes of blue, green and red.
    #[pyo3(signature = (frames, frame_rate, announced_frames=None, on_progress=None))]
    fn estimate_frames(
        &self,
        python: Python<'_>,
        frames: Bound<'_, PyIterator>,
        frame_rate: &str,
        announced_frames: Option<u64>,
        on_progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Estimated> {
        let frame_rate: FrameRate = frame_rate.parse().map_err(|error| errors::frames(format!("{error}")))?;
        let Some(first) = frames::next(&frames, 0)? else {
            return Err(errors::frames("there are no frames: the iterator yielded nothing".into()));
        };
        let info = frames::info(&first, frame_rate, announced_frames)?;
        let (sender, receiver) = bounded(WAITING);
        let feed = Feed { frames, first, sender };
        let watch = Watch { python, on_progress };
        let source = Box::new(Frames { info, frames: receiver, count: 0 });
        self.run(&watch, Some(feed), |_| Ok(source))
    }
}

impl Estimator {
    /// An engine that panicked is replaced like one that died.
    fn engine(&self) -> MutexGuard<'_, Option<Box<dyn Engine>>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the engine, if it is not open; remarks on the choice.
    fn opened(&self, engine: &mut Option<Box<dyn Engine>>) -> Result<Vec<String>, Failure> {
        if engine.is_some() {
            return Ok(Vec::new());
        }
        let remarks = Mutex::new(Vec::new());
        let note = |text: &str| {
            if let Ok(mut remarks) = remarks.lock() {
                remarks.push(text.to_owned());
            }
        };
        *engine = Some(self.estimation.open_engine(&note).map_err(Failure::Open)?);
        Ok(remarks.into_inner().unwrap_or_default())
    }

    fn run(
        &self,
        watch: &Watch<'_, '_>,
        feed: Option<Feed<'_>>,
        open: impl FnOnce(&dyn Engine) -> Result<Box<dyn Source>, VideoError> + Send,
    ) -> PyResult<Estimated> {
        let python = watch.python;
        let folder = tempfile::tempdir().map_err(|error| errors::temporary(&error))?;
        let output = folder.path().join("video.pose");
        let work = |cancel: &pipeline::Cancel, latest: &Latest| {
            let mut engine = self.engine();
            self.opened(&mut engine)?;
            let Some(running) = engine.as_mut() else {
                return Err(Failure::Pipeline(PipelineError::Cancelled));
            };
            let source = open(running.as_ref()).map_err(Failure::Video)?;
            let options = self.estimation.pipeline_options(cancel.clone());
            let run = pipeline::run(source, running.as_mut(), &output, &options, &mut |progress| {
                latest.set(progress);
            });
            if let Err(PipelineError::Engine { .. }) = run {
                *engine = None;
            }
            let report = run.map_err(Failure::Pipeline)?;
            Ok((read(&output)?, report))
        };
        let (pose, Report { decoding, .. }) =
            watch.run(feed, work)?.map_err(|failure: Failure| failure.into_exception(python))?;
        Ok(Estimated { pose: Numbers::new(python, &pose)?, remarks: estimation::remarks(&decoding) })
    }
}

fn read(output: &Path) -> Result<Pose, Failure> {
    Pose::read_file(output).map_err(Failure::Read)
}
