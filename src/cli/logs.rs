//! What the library does, on standard error: for `-v` and `OPPOSE_LOG`.

use std::env;
use std::io;

use clap::{ArgAction, Args};
use tracing_subscriber::EnvFilter;

use super::terminal::say;

/// The environment variable that chooses what is logged, in the syntax of the crate tracing-subscriber.
const VARIABLE: &str = "OPPOSE_LOG";

/// How much is logged.
#[derive(Args, Clone, Copy, Debug)]
pub struct LogArguments {
    /// Log what happens to each video and worker to standard error; -vv also logs each step
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
}

impl LogArguments {
    /// Starts to log, if anything is to be logged. `OPPOSE_LOG` takes precedence.
    pub fn start(self) {
        let filter = match (env::var(VARIABLE).ok().filter(|text| !text.is_empty()), self.verbose) {
            (Some(text), _) => text,
            (None, 0) => return,
            (None, 1) => "info".into(),
            (None, 2) => "debug".into(),
            (None, _) => "trace".into(),
        };
        let filter = match EnvFilter::try_new(&filter) {
            Ok(filter) => filter,
            Err(error) => {
                return say(format_args!(
                    "ignoring {VARIABLE}={filter}: expected a level such as debug, or oppose::batch=debug ({error})"
                ));
            }
        };
        // A stream that cannot be written is no reason to stop working.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(false)
            .log_internal_errors(false)
            .try_init();
    }
}
