//! Differences between operating systems.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::path::Path;

pub(crate) use system::{
    check_writable, host_name, is_removed, new_file_permissions, open_to_lock, permissions_to_keep,
};

#[cfg(unix)]
mod system {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};

    use rustix::fs::{Access, OFlags, access};

    use super::*;

    /// Checks that files can be created in a folder, without creating one.
    ///
    /// # Errors
    /// They cannot, or the folder does not exist.
    pub(crate) fn check_writable(folder: &Path) -> io::Result<()> {
        access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
    }

    /// The name of this machine.
    pub(crate) fn host_name() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// The permissions of a new file, which the umask reduces: with tempfile's default of 0600 colleagues could not read the
    /// result.
    pub(crate) fn new_file_permissions() -> Option<Permissions> {
        Some(Permissions::from_mode(0o666))
    }

    /// The permissions that a file takes over from the one that it replaces.
    pub(crate) fn permissions_to_keep(replaced: &Metadata) -> Permissions {
        Permissions::from_mode(replaced.mode() & 0o777)
    }

    /// Whether an open file has been removed.
    pub(crate) fn is_removed(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.nlink() == 0)
    }

    /// Opens a file to lock it, without following a link or blocking on a pipe. Some file systems lock only files that are
    /// open for writing.
    pub(crate) fn open_to_lock(path: &Path) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let open = |write| File::options().read(true).write(write).custom_flags(flags).open(path);
        open(true).or_else(|_| open(false))
    }
}

#[cfg(not(unix))]
mod system {
    use super::*;

    pub(crate) fn check_writable(folder: &Path) -> io::Result<()> {
        // The system cannot answer this without a file being created.
        tempfile::tempfile_in(folder).map(drop)
    }

    pub(crate) fn host_name() -> String {
        std::env::var("COMPUTERNAME").unwrap_or_else(|_| "host".to_owned())
    }

    pub(crate) fn new_file_permissions() -> Option<Permissions> {
        // They are inherited from the folder.
        None
    }

    pub(crate) fn permissions_to_keep(replaced: &Metadata) -> Permissions {
        replaced.permissions()
    }

    pub(crate) fn is_removed(_: &File) -> io::Result<bool> {
        // An open file cannot be removed.
        Ok(false)
    }

    pub(crate) fn open_to_lock(path: &Path) -> io::Result<File> {
        match path.symlink_metadata()?.is_file() {
            true => File::options().read(true).write(true).open(path),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}
