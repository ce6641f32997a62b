//! `oppose-native`: video in, `.pose` out.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
