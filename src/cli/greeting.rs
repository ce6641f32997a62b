//! LiteRT writes a line of greeting to standard error when it loads its first net, and nothing in its
//! interface turns that off. A user who did not ask about delegates need not read it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

/// How the greeting begins.
const GREETING: &str = "INFO: Created TensorFlow Lite XNNPACK delegate";

/// Runs `load`; what is written to standard error meanwhile is handed on afterwards, without the greeting.
pub fn hidden<T>(load: impl FnOnce() -> T) -> T {
    // Where the stream cannot be put aside, the greeting is shown: no reason to fail.
    let Ok((stderr, mut aside)) = put_aside() else { return load() };
    let loaded = load();
    if rustix::stdio::dup2_stderr(&stderr).is_ok() {
        let mut text = Vec::new();
        let _ = aside.rewind().and_then(|()| aside.read_to_end(&mut text));
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            if !line.starts_with(GREETING.as_bytes()) {
                let _ = io::stderr().write_all(line);
            }
        }
    }
    loaded
}

/// Standard error itself, and the file that takes its place.
fn put_aside() -> io::Result<(OwnedFd, File)> {
    let stderr = rustix::io::dup(io::stderr())?;
    let aside = tempfile::tempfile()?;
    rustix::stdio::dup2_stderr(&aside)?;
    Ok((stderr, aside))
}
