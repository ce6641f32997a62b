//! `oppose-native doctor`: what is here, what is missing, what to do.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use oppose::doctor::{self, Options};

use super::Outcome;

/// The options of `doctor`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Exit with status 0 if this engine can run, 2 if not; auto: if any can
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(["auto", "openpose", "native", "holistic"]),
        default_value = "auto",
        env = "OPPOSE_ENGINE",
        value_name = "NAME"
    )]
    engine: String,
    /// Look for the models in this folder
    #[arg(long, alias = "model_folder", value_name = "FOLDER")]
    model_folder: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the checks and writes their results to standard output.
pub fn run(arguments: &Arguments) -> Outcome {
    let report = doctor::examine(&Options { model_folder: arguments.model_folder.clone() });
    let text = if arguments.json {
        serde_json::to_string_pretty(&report).map(|json| json + "\n").map_err(io::Error::from)
    } else {
        Ok(report.to_string())
    };
    // Who closes the pipe early has read enough.
    match text.and_then(|text| io::stdout().write_all(text.as_bytes())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            super::terminal::say(format_args!("the findings cannot be written: {error}"));
            Outcome::NothingRan
        }
        _ if report.usable(&arguments.engine) => Outcome::AllDone,
        _ => Outcome::NothingRan,
    }
}
