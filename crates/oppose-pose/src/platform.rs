//! What systems do differently.

use std::io;
use std::path::Path;

/// Checks whether files can be created in a folder, without creating one where the system can answer that.
///
/// # Errors
/// They cannot, or the folder does not exist.
#[cfg(unix)]
pub(crate) fn check_writable(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};

    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
}

/// Checks whether files can be created in a folder by creating an unnamed one.
///
/// # Errors
/// They cannot, or the folder does not exist.
#[cfg(not(unix))]
pub(crate) fn check_writable(folder: &Path) -> io::Result<()> {
    tempfile::tempfile_in(folder).map(drop)
}
