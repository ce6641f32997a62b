//! Why an engine cannot start or continue.

use std::error::Error;
use std::fmt;

/// What an [`EngineError`] means for the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineErrorKind {
    /// The engine refuses this video, for example because its frames are too small, and stays usable.
    Unsuitable,
    /// The device, usually a GPU, cannot be used or has failed. The engine gives no more results; another device may work.
    Device,
    /// The engine could not be opened, or has failed and gives no more results.
    Failed,
}

/// Why an engine cannot start, refuses a video, or cannot continue.
///
/// Prints as the engine's own error, which [`downcast_ref`](Self::downcast_ref) returns.
#[derive(Debug)]
pub struct EngineError {
    kind: EngineErrorKind,
    error: Box<dyn Error + Send + Sync>,
}

impl EngineError {
    /// An error of this kind.
    pub fn new(kind: EngineErrorKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, error: error.into() }
    }

    /// An error that makes a video unsuitable; the engine stays usable.
    pub fn unsuitable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(EngineErrorKind::Unsuitable, error)
    }

    /// An error after which the engine is dead, or because of which it cannot be opened.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(EngineErrorKind::Failed, error)
    }

    /// What it means for the engine.
    pub fn kind(&self) -> EngineErrorKind {
        self.kind
    }

    /// The engine's own error, if it is of this type.
    pub fn downcast_ref<T: Error + 'static>(&self) -> Option<&T> {
        self.error.downcast_ref()
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // This error prints as the engine's own error, so the chain continues after that.
        self.error.source()
    }
}
