//! Files that appear complete or not at all.
//!
//! An [`OutputFile`] is written under a temporary name in the folder of its target and renamed when it is complete, so that a
//! full disk or a kill never leaves half a file. Other names (hard links) of a file that is replaced keep its old contents.
//! The process that writes it holds a lock on it; [`remove_unfinished`] removes unfinished files that nobody has locked.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::platform;

const UNFINISHED_SUFFIX: &str = ".tmp";

/// A file that has not changed for so long is taken for abandoned, whatever machine it comes from.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// A file being written; dropped before [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    destination: Destination,
}

#[derive(Debug)]
enum Destination {
    /// A locked file beside the target.
    Beside(NamedTempFile),
    /// A device or pipe, which cannot be replaced by a rename.
    Direct(File),
}

impl OutputFile {
    /// Begins a file for `path`, where nothing changes until it is finished. Devices and pipes are written to directly.
    ///
    /// # Errors
    /// The folder does not exist or cannot be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::create_in(folder_of(path), path)
    }

    /// Like [`create`](Self::create), with the temporary file in another folder of the same file system.
    pub(crate) fn create_in(folder: &Path, path: &Path) -> io::Result<Self> {
        let destination = match is_special(path) {
            true => Destination::Direct(File::options().write(true).open(path)?),
            false => Destination::Beside(locked_file(folder, path)?),
        };
        Ok(Self { path: path.to_owned(), destination })
    }

    /// The path of the unfinished file, for libraries that open files by name.
    pub fn temporary_path(&self) -> &Path {
        match &self.destination {
            Destination::Beside(file) => file.path(),
            Destination::Direct(_) => &self.path,
        }
    }

    /// Blocks until the bytes are on the disk.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn sync(&self) -> io::Result<()> {
        match &self.destination {
            Destination::Beside(file) => file.as_file().sync_all(),
            Destination::Direct(_) => Ok(()),
        }
    }

    /// Renames the file to its path. If it replaces a file, it takes over that file's permissions.
    ///
    /// # Errors
    /// A file exists and `overwrite` is false ([`io::ErrorKind::AlreadyExists`]), or the system refuses.
    pub fn finish(self, overwrite: bool) -> io::Result<()> {
        let path = self.path.clone();
        self.finish_as(&path, overwrite)
    }

    /// Like [`finish`](Self::finish), under another name in the same folder.
    pub(crate) fn finish_as(self, path: &Path, overwrite: bool) -> io::Result<()> {
        let Destination::Beside(file) = self.destination else { return Ok(()) };
        if !overwrite {
            return file.persist_noclobber(path).map(drop).map_err(|error| error.error);
        }
        if let Ok(replaced) = fs::metadata(path)
            && replaced.is_file()
        {
            file.as_file().set_permissions(platform::permissions_to_keep(&replaced))?;
        }
        file.persist(path).map(drop).map_err(|error| error.error)
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.destination {
            Destination::Beside(file) => file.as_file_mut().write(bytes),
            Destination::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.destination {
            Destination::Beside(file) => file.as_file_mut().flush(),
            Destination::Direct(file) => file.flush(),
        }
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.destination {
            Destination::Beside(file) => file.as_file_mut().seek(to),
            Destination::Direct(file) => file.seek(to),
        }
    }
}

/// Writes a whole file like [`fs::write`], but so that it appears complete or not at all.
///
/// # Errors
/// A file exists and `overwrite` is false ([`io::ErrorKind::AlreadyExists`]), or the system refuses.
pub fn write_file(path: &Path, bytes: &[u8], overwrite: bool) -> io::Result<()> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes)?;
    file.finish(overwrite)
}

/// The folder that contains a path: `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Devices, pipes and this process's own streams are written to instead of being replaced.
fn is_special(path: &Path) -> bool {
    let is_stream = path.starts_with("/dev") || path.starts_with("/proc");
    let found = fs::metadata(path);
    found.is_ok_and(|found| !found.is_dir() && (is_stream || !found.is_file()))
}

/// A new file with a lock on it.
fn locked_file(folder: &Path, path: &Path) -> io::Result<NamedTempFile> {
    let prefix = unfinished_prefix(path);
    loop {
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(UNFINISHED_SUFFIX);
        if let Some(permissions) = platform::new_file_permissions() {
            builder.permissions(permissions);
        }
        let file = builder.tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // Another process may have removed it as abandoned before it was locked.
            Ok(()) if platform::is_removed(file.as_file())? => {}
            Err(TryLockError::WouldBlock) => {}
            // A file system without locks will do: `remove_unfinished` judges by age there.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// The beginning of the name of an unfinished file.
fn unfinished_prefix(path: &Path) -> String {
    // At most 60 characters of the file's name and 40 bytes of the host's: file systems allow 255 bytes.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let host = host();
    let room = 200_usize.saturating_sub(host.len());
    let mut name: String = name.chars().take(60).collect();
    while name.len() > room {
        name.pop();
    }
    format!(".{name}.{host}-{}.", std::process::id())
}

/// At most 40 bytes of this machine's name, without dots.
fn host() -> String {
    let mut host = platform::host_name().replace(['.', '/'], "_");
    while host.len() > 40 {
        host.pop();
    }
    host
}

/// The host in the name of an unfinished file: `.NAME.HOST-PROCESS.RANDOM.tmp`.
fn maker(name: &str) -> Option<&str> {
    let name = name.strip_prefix('.')?.strip_suffix(UNFINISHED_SUFFIX)?;
    let (host, process) = name.rsplit('.').nth(1)?.rsplit_once('-')?;
    process.parse::<u32>().is_ok().then_some(host)
}

/// Removes the unfinished files that killed processes have left in a folder. Errors are ignored: what cannot be removed does
/// no harm.
///
/// A file is kept while the process that writes it holds the lock on it, in whatever container or PID namespace it runs. If
/// locks say nothing (the file is from another machine, or the file system has no locks), it is removed after a day.
pub fn remove_unfinished(folder: &Path) {
    let host = host();
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(maker) = maker(&name.to_string_lossy()).map(str::to_owned) else { continue };
        let path = entry.path();
        let Some(file) = open_unfinished(&path) else { continue };
        let may_go = match file.try_lock() {
            Ok(()) => maker == host || is_abandoned(&file),
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(_)) => is_abandoned(&file),
        };
        if may_go {
            // See above.
            let _ = fs::remove_file(&path);
        }
    }
}

/// Opens a regular file to lock it.
fn open_unfinished(path: &Path) -> Option<File> {
    let file = platform::open_to_lock(path).ok()?;
    file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
}

fn is_abandoned(file: &File) -> bool {
    let modified = file.metadata().and_then(|found| found.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > ABANDONED))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_abandoned_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        // From processes that have ended, even one with this process's own number: in containers every program is
        // process 1.
        let dead = unfinished_prefix(Path::new("b.c.pose")) + "Xy12" + UNFINISHED_SUFFIX;
        let foreign = dead.replace(&host(), "elsewhere");
        let old = dead.replace(&host(), "far_away");
        let others = ["a.pose", ".a.pose.x1.tmp", ".tmp", foreign.as_str()];
        for name in others.iter().chain([&dead.as_str(), &old.as_str()]) {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let opened = File::options().write(true).open(folder.path().join(&old)).unwrap();
        opened.set_modified(std::time::SystemTime::now() - 2 * ABANDONED).unwrap();
        drop(opened);
        remove_unfinished(folder.path());
        let mut left = others.to_vec();
        left.sort_unstable();
        assert_eq!(names(folder.path()), left);
    }

    #[test]
    fn a_file_in_use_is_kept_and_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pose");
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        remove_unfinished(folder.path());
        file.finish(false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["a.pose"]);
    }

    #[test]
    fn a_replaced_file_passes_on_its_mode_and_keeps_its_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("video"));
        fs::write(&path, b"precious").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(&path, &link).unwrap();
        assert_eq!(write_file(&path, b"new", false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        write_file(&path, b"new", true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!((fs::read(&path).unwrap(), fs::read(&link).unwrap()), (b"new".into(), b"precious".into()));
        // A link is replaced, not followed.
        symlink(&link, folder.path().join("c")).unwrap();
        write_file(&folder.path().join("c"), b"other", true).unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"precious");
        assert_eq!(names(folder.path()), ["a", "c", "video"]);
    }

    #[test]
    fn devices_are_written_to() {
        write_file(Path::new("/dev/null"), b"text", true).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn long_names_leave_room_for_the_suffix() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x".repeat(250), "語".repeat(83), "🙂".repeat(62)] {
            write_file(&folder.path().join(name), b"", false).unwrap();
        }
    }
}
