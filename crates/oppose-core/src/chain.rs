//! Errors with their causes, as people read them.

use std::error::Error;
use std::fmt;

/// An error and all that caused it, in one line: `cannot write clip.pose: No space left on device`.
///
/// The errors of these crates say what happened and leave out why, which [`Error::source`] gives. This prints both, each
/// once, joined by `: `. An error from elsewhere that prints its cause itself is not followed by it once more.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let words = error.to_string();
            if !last.ends_with(&words) {
                write!(f, ": {words}")?;
            }
            last = words;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::EngineError;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the net")]
    struct Read(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("no pool: {0}")]
    struct Foreign(#[source] io::Error);

    #[test]
    fn every_cause_is_printed_once() {
        let read = Read(io::Error::other("the disk is gone"));
        assert_eq!(Chain(&read).to_string(), "cannot read the net: the disk is gone");
        // An engine's error prints as what it holds.
        let engine = EngineError::failed(read);
        assert_eq!(Chain(&engine).to_string(), "cannot read the net: the disk is gone");
        // As rayon's error for a pool of threads does.
        let foreign = Foreign(io::Error::other("no more threads"));
        assert_eq!(Chain(&foreign).to_string(), "no pool: no more threads");
    }
}
