//! Errors of the library as exceptions of the package.

use oppose::Chain;
use oppose::cli::estimation::{OpenError, OptionsError};
use oppose::engine::EngineError;
use oppose::engines;
use oppose::pipeline::PipelineError;
use oppose::pose::{Pose, PoseError};
use oppose::video::VideoError;
use pyo3::prelude::*;

use crate::pose::Numbers;

mod exceptions {
    // Their classes are written in Python, where a class can have several bases.
    pyo3::import_exception!(oppose._errors, Error);
    pyo3::import_exception!(oppose._errors, EngineError);
    pyo3::import_exception!(oppose._errors, ModelsNotFoundError);
    pyo3::import_exception!(oppose._errors, OptionsError);
    pyo3::import_exception!(oppose._errors, PoseError);
    pyo3::import_exception!(oppose._errors, VideoError);
}

/// An option that cannot be used.
pub fn options(error: &OptionsError) -> PyErr {
    exceptions::OptionsError::new_err(Chain(error).to_string())
}

/// An engine that cannot be opened.
pub fn open(error: &OpenError) -> PyErr {
    match error {
        OpenError::Engine(engines::OpenError::Models(error)) => {
            exceptions::ModelsNotFoundError::new_err(Chain(error).to_string())
        }
        OpenError::Process => exceptions::OptionsError::new_err(Chain(error).to_string()),
        error => exceptions::EngineError::new_err(Chain(error).to_string()),
    }
}

/// An engine that has failed.
pub fn engine(error: &EngineError) -> PyErr {
    exceptions::EngineError::new_err(Chain(error).to_string())
}

/// A video that cannot be opened.
pub fn video(error: &VideoError) -> PyErr {
    exceptions::VideoError::new_err(Chain(error).to_string())
}

/// Frames that cannot be a video.
pub fn frames(message: String) -> PyErr {
    exceptions::VideoError::new_err(message)
}

/// A `.pose` file that cannot be read or written.
pub fn pose(error: &PoseError) -> PyErr {
    exceptions::PoseError::new_err(Chain(error).to_string())
}

/// A folder for files of the moment that cannot be had.
pub fn temporary(error: &std::io::Error) -> PyErr {
    exceptions::Error::new_err(format!(
        "cannot write into the folder for temporary files: {error}; make room there, or name another in TMPDIR"
    ))
}

/// A video that did not become a pose; what came before its break goes with the exception.
pub fn pipeline(python: Python<'_>, error: &PipelineError) -> PyErr {
    let message = Chain(error).to_string();
    let exception = match error {
        PipelineError::Video { .. } | PipelineError::Unsuitable(_) | PipelineError::NoFrames => {
            exceptions::VideoError::new_err::<String>
        }
        PipelineError::Engine { .. } => exceptions::EngineError::new_err::<String>,
        _ => exceptions::Error::new_err::<String>,
    };
    let partial = error.partial().and_then(|path| Pose::read_file(path).ok());
    let Some(partial) = partial else { return exception(message) };
    let exception = exception(format!(
        "{message}; the frames before that are in the attribute `partial` of this exception"
    ));
    let attached = Numbers::new(python, &partial)
        .and_then(|numbers| exception.value(python).setattr("partial", numbers));
    // An exception that cannot be made is one too.
    attached.err().unwrap_or(exception)
}
