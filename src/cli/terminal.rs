//! Text for people, on standard error and standard output.
//!
//! Escape sequences in file names and messages are disarmed, see [`oppose::printable`]. And a stream that cannot be
//! written (a full disk, a closed pipe) is no reason to stop working, which is what `eprintln!` and `println!` would do:
//! they panic.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};

use oppose::Chain;
pub use oppose::printable::printable;
use oppose::printable::printable_message;

/// Writes a message and a line break to standard error. Escape sequences in it are disarmed; line breaks are kept.
pub fn say(message: impl Display) {
    // One write for the whole line, so that lines of several processes do not mix.
    let _ = io::stderr().write_all(line(message).as_bytes());
}

/// Writes an error and its causes to standard error, followed by `hint`: which option helps, or nothing.
pub fn say_error(error: &(dyn Error + 'static), hint: &str) {
    say(format_args!("{}{hint}", Chain(error)));
}

/// The same for standard output. For results that a program reads, use `io::stdout()` and report its errors.
pub fn print(message: impl Display) {
    let _ = io::stdout().write_all(line(message).as_bytes());
}

fn line(message: impl Display) -> String {
    let mut line = printable_message(message);
    line.push('\n');
    line
}

/// A number of frames in words: `1 frame`, `90 frames`.
pub fn frames(number: u64) -> String {
    format!("{number} frame{}", if number == 1 { "" } else { "s" })
}
