//! What is here, what is missing, and what to do about it: for each engine, and for the machine.

mod engines;
mod machine;
mod openpose_models;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::gpu::{self, Driver, GpuError};

/// The status of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// As it should be.
    Good,
    /// Worth knowing; the engine runs nevertheless.
    Note,
    /// The engine cannot run without it.
    Missing,
}

/// A check of one requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// The result.
    pub state: State,
    /// What was found, or why nothing was.
    pub found: String,
    /// What to do about it, if anything can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Check {
    fn good(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Good, found: found.into(), next: None }
    }

    fn note(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { state: State::Note, ..Self::good(name, found) }
    }

    fn missing(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { state: State::Missing, ..Self::good(name, found) }
    }

    fn next(self, step: impl Into<String>) -> Self {
        Self { next: Some(step.into()), ..self }
    }
}

/// An engine and what it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EngineReport {
    /// As on the command line.
    pub name: &'static str,
    /// Whether nothing it needs is missing.
    pub usable: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

impl EngineReport {
    fn new(name: &'static str, checks: Vec<Check>) -> Self {
        let usable = checks.iter().all(|check| check.state != State::Missing);
        Self { name, usable, checks }
    }
}

/// All checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// This program's version.
    pub version: &'static str,
    /// Every engine.
    pub engines: Vec<EngineReport>,
    /// Checks that belong to no single engine.
    pub machine: Vec<Check>,
}

impl Report {
    /// Whether the engine with this name can run; with `auto`, whether any can.
    pub fn usable(&self, engine: &str) -> bool {
        self.engines.iter().any(|found| (engine == "auto" || found.name == engine) && found.usable)
    }
}

/// Where to look.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The models folder, if one was named.
    pub model_folder: Option<PathBuf>,
}

impl Options {
    /// The same options with `model_folder`.
    #[must_use]
    pub fn with_model_folder(mut self, model_folder: impl Into<Option<PathBuf>>) -> Self {
        self.model_folder = model_folder.into();
        self
    }
}

/// Checks everything. Hashes and reads all models, so it takes a second or two.
pub fn examine(options: &Options) -> Report {
    let driver = gpu::detect();
    let folder = options.model_folder.as_deref();
    let models = openpose_models::checks(folder);
    Report {
        version: env!("CARGO_PKG_VERSION"),
        engines: vec![
            engines::openpose(&models, driver.as_ref()),
            engines::native(&models, driver.as_ref()),
            engines::holistic(folder),
        ],
        machine: machine::checks(driver.as_ref()),
    }
}

/// The driver's answer.
type Gpus<'a> = Result<&'a Driver, &'a GpuError>;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "oppose-native {}", self.version)?;
        for engine in &self.engines {
            writeln!(f, "\nengine {}: {}", engine.name, if engine.usable { "ready" } else { "cannot run" })?;
            write_checks(f, &engine.checks)?;
        }
        writeln!(f, "\nmachine")?;
        write_checks(f, &self.machine)
    }
}

fn write_checks(f: &mut fmt::Formatter<'_>, checks: &[Check]) -> fmt::Result {
    for check in checks {
        let mark = match check.state {
            State::Good => "ok",
            State::Note => "note",
            State::Missing => "MISSING",
        };
        writeln!(f, "  {mark:<8} {}: {}", check.name, check.found)?;
        if let Some(next) = &check.next {
            writeln!(f, "           -> {next}")?;
        }
    }
    Ok(())
}
