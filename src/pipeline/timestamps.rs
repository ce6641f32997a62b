//! When each frame is shown, as a table beside the `.pose` file, which holds only one rate.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::output_file::{OutputFile, folder_of};
use crate::pose::PoseError;

/// The first line of the table.
const HEADING: &[u8] = b"frame,time\n";

/// Writes the table in constant memory. It appears complete or not at all; a writer that is dropped, or a process
/// that is killed, leaves nothing behind.
pub(super) struct TimestampWriter {
    path: PathBuf,
    overwrite: bool,
    /// A file without a name.
    spool: BufWriter<File>,
    frames: u64,
}

impl TimestampWriter {
    /// Begins the table that belongs to the `.pose` file at `output`.
    ///
    /// # Errors
    /// There is another file of its name and `overwrite` is false, or the folder cannot be written to.
    pub(super) fn create(output: &Path, overwrite: bool) -> Result<Self, PoseError> {
        let path = output.with_extension("timestamps.csv");
        // A table without its .pose file is left over from a run that was stopped between the two.
        let overwrite = overwrite || is_table(&path);
        if !overwrite && path.symlink_metadata().is_ok() {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, "another file has this name");
            return Err(failed(&path, source));
        }
        let begin = || {
            let mut spool = BufWriter::new(tempfile::tempfile_in(folder_of(&path))?);
            spool.write_all(HEADING)?;
            Ok(spool)
        };
        let spool = begin().map_err(|source| failed(&path, source))?;
        Ok(Self { path, overwrite, spool, frames: 0 })
    }

    /// Adds the next frame.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn write(&mut self, time: Option<Duration>) -> Result<(), PoseError> {
        let frame = self.frames;
        self.frames += 1;
        let written = match time {
            Some(time) => writeln!(self.spool, "{frame},{}.{:09}", time.as_secs(), time.subsec_nanos()),
            None => writeln!(self.spool, "{frame},"),
        };
        written.map_err(|source| failed(&self.path, source))
    }

    /// Completes the table and renames it to its path.
    ///
    /// # Errors
    /// The disk is full, or a file has been created at the path meanwhile and is not to be replaced.
    pub(super) fn finish(self) -> Result<(), PoseError> {
        let Self { path, overwrite, spool, .. } = self;
        let join = || {
            let mut spool = spool.into_inner().map_err(io::IntoInnerError::into_error)?;
            spool.rewind()?;
            let mut file = OutputFile::create(&path)?;
            io::copy(&mut spool, &mut file)?;
            file.sync()?;
            file.finish(overwrite)
        };
        join().map_err(|source| failed(&path, source))
    }
}

fn is_table(path: &Path) -> bool {
    let mut beginning = [0; HEADING.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut beginning)).is_ok() && beginning == HEADING
}

fn failed(path: &Path, error: io::Error) -> PoseError {
    PoseError::Io { what: "write", path: path.to_owned(), source: error.into() }
}
