//! The options of the command line for programs that hold this library: the Python module takes the same ones, in the same
//! spelling, with the same defaults and checks.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Args as _, Command, FromArgMatches as _};

use super::estimate::Arguments;
use super::progress;
use super::workers::WorkerSlot;
use crate::engine::Engine;
use crate::engines;
use crate::pipeline::{self, Cancel};
use crate::video::{self, DecodeSummary};

/// Why an engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The library's error.
    #[error(transparent)]
    Engine(#[from] engines::OpenError),
    /// It runs only in a process of its own.
    #[error(
        "the engine openpose runs in a process of its own, which only the program starts: run oppose-native, or \
         oppose.run in Python"
    )]
    Process,
}

/// Options that concern how a run is organised rather than how a video is estimated: they mean nothing for a single
/// video whose result stays in memory.
const OF_RUNS: [&str; 17] = [
    "inputs",
    "list",
    "recursive",
    "dry_run",
    "journal",
    "output",
    "overwrite",
    "retry_crashed",
    "allow_mixed_engines",
    "keep_suffix",
    "timestamps",
    "progress",
    "render",
    "gpus",
    "workers",
    "stall_timeout",
    "engine_log",
];

/// How videos are estimated, as the options of the command line say it.
#[derive(Debug)]
pub struct Estimation(Arguments);

/// Options that cannot be used; the message says which, and what was expected.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OptionsError(String);

impl Estimation {
    /// Reads options as they are typed: `--engine=holistic`, `--track`.
    ///
    /// # Errors
    /// One of them does not exist, has no such value, or is about runs of several videos.
    pub fn parse(options: impl IntoIterator<Item = OsString>) -> Result<Self, OptionsError> {
        let command = Arguments::augment_args(Command::new("oppose").disable_help_flag(true));
        // The name of the program, and an input, which the program cannot do without.
        let typed = ["oppose".into(), "-".into()].into_iter().chain(options);
        let matches = command.try_get_matches_from(typed).map_err(in_short)?;
        let is_typed = |name: &&&str| matches.value_source(name) == Some(ValueSource::CommandLine);
        // The first is the input above.
        if let Some(name) = OF_RUNS[1..].iter().find(is_typed) {
            let name = name.replace('_', "-");
            return Err(OptionsError(format!(
                "--{name} is an option of runs over several videos: use it with oppose.run"
            )));
        }
        Arguments::from_arg_matches(&matches).map(|arguments| Self(arguments.embedded())).map_err(in_short)
    }

    /// The names of all options, with underscores, in alphabetical order: those of runs over several videos too.
    pub fn names() -> Vec<String> {
        let command = Arguments::augment_args(Command::new("oppose").disable_help_flag(true));
        let names = command.get_arguments().flat_map(|argument| {
            let aliases = argument.get_all_aliases().unwrap_or_default();
            let names = argument.get_long().into_iter().chain(aliases);
            names.map(|name| name.replace('-', "_")).collect::<Vec<_>>()
        });
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Opens the engine. `note` is called with what is worth knowing about the choice.
    ///
    /// # Errors
    /// The engine lacks something, or runs only in a process of its own.
    pub fn open_engine(&self, note: &dyn Fn(&str)) -> Result<Box<dyn Engine>, OpenError> {
        if self.0.lacks_process() {
            return Err(OpenError::Process);
        }
        Ok(self.0.open_engine(WorkerSlot::default(), note).map_err(|error| error.0)?)
    }

    /// How videos are opened for this engine.
    pub fn video_options(&self, engine: &dyn Engine) -> video::Options {
        self.0.video_options().with_keep_planes(engine.takes_planes())
    }

    /// How videos are processed, until `cancel` is set.
    pub fn pipeline_options(&self, cancel: Cancel) -> pipeline::Options {
        self.0.pipeline_options(cancel)
    }
}

/// What is worth knowing about a video that was decoded, one sentence each.
pub fn remarks(decoding: &DecodeSummary) -> Vec<String> {
    progress::remarks(decoding)
}

/// Without the name of the program and the summary of its use.
fn in_short(error: clap::Error) -> OptionsError {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let end = text.find("\n\nUsage:").or_else(|| text.find("\n\nFor more information"));
    OptionsError(text[..end.unwrap_or(text.len())].trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<Estimation, String> {
        Estimation::parse(options.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_those_of_the_program() {
        let estimation = parse(&["--engine=holistic", "--fps=30000/1001", "--max-people=2"]).unwrap();
        assert_eq!(estimation.0.video_options().frame_rate.unwrap().to_string(), "30000/1001");
        assert_eq!(estimation.pipeline_options(Cancel::default()).people.max_people, Some(2));
    }

    #[test]
    fn wrong_options_are_named() {
        assert!(parse(&["--fsp=25"]).unwrap_err().contains("unexpected argument '--fsp'"));
        let error = parse(&["--engine=none"]).unwrap_err();
        assert!(
            error.contains("'none'") && error.contains("holistic") && !error.contains("Usage"),
            "{error}"
        );
        let error = parse(&["--workers=2"]).unwrap_err();
        assert!(error.contains("--workers") && error.contains("oppose.run"), "{error}");
    }

    #[test]
    fn all_options_of_runs_exist() {
        let command = Arguments::augment_args(Command::new("oppose"));
        for name in OF_RUNS {
            assert!(command.get_arguments().any(|argument| argument.get_id() == name), "{name}");
        }
    }

    #[test]
    fn openpose_is_left_to_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let option = format!("--model-folder={}", folder.path().display());
        let Err(error) = parse(&["--engine=openpose", &option]).unwrap().open_engine(&|_| {}) else {
            panic!("an engine in a process of its own");
        };
        assert!(matches!(error, OpenError::Process), "{error}");
    }
}
