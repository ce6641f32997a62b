//! Why an engine cannot start or go on.

use std::error::Error;
use std::fmt;

/// What follows from an [`EngineError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineErrorKind {
    /// This video does not suit the engine, for example because its frames are too small. The engine is as usable as
    /// before.
    Unsuitable,
    /// The device, a GPU as a rule, cannot be used, or no longer. The engine gives no more results; another device may
    /// work.
    Device,
    /// The engine could not be opened, or has failed and gives no more results.
    Failed,
}

/// Why an engine cannot start, refuses a video or cannot go on.
///
/// Prints as the engine's own error, which [`downcast_ref`](Self::downcast_ref) gives back.
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

    /// The video does not suit the engine, which stays usable.
    pub fn unsuitable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(EngineErrorKind::Unsuitable, error)
    }

    /// The engine has failed, or cannot be opened.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(EngineErrorKind::Failed, error)
    }

    /// What follows from it.
    pub fn kind(&self) -> EngineErrorKind {
        self.kind
    }

    /// The engine's own error, where it is of this type.
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
        // This error prints as the engine's own, so the chain goes on behind it.
        self.error.source()
    }
}
