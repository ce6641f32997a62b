//! `oppose-native`: video in, `.pose` out.

use std::process::ExitCode;

fn main() -> ExitCode {
    oppose::cli::run()
}
