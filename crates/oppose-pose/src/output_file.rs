//! Files that appear whole or not at all.
//!
//! An [`OutputFile`] is written under a temporary name in the folder of its target and renamed when it is complete, so
//! that a full disk or a kill never leaves half a file, and other names (hard links) of the file that is replaced keep
//! their contents. While it is written, its maker holds a lock on it: [`remove_unfinished`] removes what nobody locks.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

const UNFINISHED_SUFFIX: &str = ".tmp";

/// A file that nobody has written to for so long is not being finished, on whatever machine.
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
    /// Begins a file for `path`. Nothing changes there until it is finished.
    ///
    /// # Errors
    /// The folder does not exist or cannot be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::create_in(folder_of(path), path)
    }

    /// The same with the temporary file in another folder of the same file system.
    pub(crate) fn create_in(folder: &Path, path: &Path) -> io::Result<Self> {
        let destination = match is_special(path) {
            true => Destination::Direct(File::options().write(true).open(path)?),
            false => Destination::Beside(locked_file(folder, path)?),
        };
        Ok(Self { path: path.to_owned(), destination })
    }

    /// Where the bytes are until the file is finished, for libraries that open files by name.
    pub fn temporary_path(&self) -> &Path {
        match &self.destination {
            Destination::Beside(file) => file.path(),
            Destination::Direct(_) => &self.path,
        }
    }

    /// Waits until the bytes are on the disk.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn sync(&self) -> io::Result<()> {
        match &self.destination {
            Destination::Beside(file) => file.as_file().sync_all(),
            Destination::Direct(_) => Ok(()),
        }
    }

    /// Puts the file at its place. One that is replaced hands on its permissions.
    ///
    /// # Errors
    /// There is a file already and `overwrite` is false ([`io::ErrorKind::AlreadyExists`]), or the system refuses.
    pub fn finish(self, overwrite: bool) -> io::Result<()> {
        let path = self.path.clone();
        self.finish_as(&path, overwrite)
    }

    /// The same under another name in the same folder.
    pub(crate) fn finish_as(self, path: &Path, overwrite: bool) -> io::Result<()> {
        let Destination::Beside(file) = self.destination else { return Ok(()) };
        if !overwrite {
            return file.persist_noclobber(path).map(drop).map_err(|error| error.error);
        }
        if let Ok(replaced) = fs::metadata(path)
            && replaced.is_file()
        {
            file.as_file().set_permissions(Permissions::from_mode(replaced.mode() & 0o777))?;
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

/// Writes a whole file: as [`fs::write`], but it appears complete or not at all.
///
/// # Errors
/// There is a file already and `overwrite` is false ([`io::ErrorKind::AlreadyExists`]), or the system refuses.
pub fn write_file(path: &Path, bytes: &[u8], overwrite: bool) -> io::Result<()> {
    let mut file = OutputFile::create(path)?;
    file.write_all(bytes)?;
    file.finish(overwrite)
}

/// The folder in which a path is: `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Devices, pipes and this process's own streams are written to and not replaced.
fn is_special(path: &Path) -> bool {
    let is_stream = path.starts_with("/dev") || path.starts_with("/proc");
    let found = fs::metadata(path);
    found.is_ok_and(|found| !found.is_dir() && (is_stream || !found.is_file()))
}

/// A new file with a lock on it.
fn locked_file(folder: &Path, path: &Path) -> io::Result<NamedTempFile> {
    let prefix = unfinished_prefix(path);
    loop {
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(UNFINISHED_SUFFIX)
            // What the umask leaves of these, as for any new file; private ones would be of no use to colleagues.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // Another process may have taken it for abandoned before it was locked.
            Ok(()) if file.as_file().metadata()?.nlink() == 0 => {}
            Err(TryLockError::WouldBlock) => {}
            // File systems without locks are served too: there `remove_unfinished` goes by age.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// How the name of an unfinished file begins.
fn unfinished_prefix(path: &Path) -> String {
    // At most 60 characters of the name, which are 240 bytes, and of the host's 40: file systems take 255 bytes.
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
    let name = rustix::system::uname();
    let mut host = name.nodename().to_string_lossy().replace(['.', '/'], "_");
    while host.len() > 40 {
        host.pop();
    }
    host
}

/// The machine in the name of an unfinished file: `.NAME.HOST-PROCESS.RANDOM.tmp`.
fn maker(name: &str) -> Option<&str> {
    let name = name.strip_prefix('.')?.strip_suffix(UNFINISHED_SUFFIX)?;
    let (host, process) = name.rsplit('.').nth(1)?.rsplit_once('-')?;
    process.parse::<u32>().is_ok().then_some(host)
}

/// Removes what processes that were killed have left in a folder.
///
/// A file is left alone while its maker holds the lock on it, in whatever container or PID namespace that runs. Where
/// a lock says nothing (a file of another machine, or a file system without locks), it goes after a day.
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
            // What cannot be removed does no harm.
            let _ = fs::remove_file(&path);
        }
    }
}

/// Opens a regular file, to lock it; some file systems lock only what is open for writing.
fn open_unfinished(path: &Path) -> Option<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let options = |write: bool| File::options().read(true).write(write).custom_flags(flags).open(path);
    let file = options(true).or_else(|_| options(false)).ok()?;
    file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
}

fn is_abandoned(file: &File) -> bool {
    let modified = file.metadata().and_then(|found| found.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > ABANDONED))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_nobody_writes_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        // Of processes that have ended, whatever their numbers: one of this process's own number too, as it happens
        // in containers, where every program is process 1.
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
    fn a_live_file_is_kept_and_finished() {
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
    fn a_replaced_file_hands_on_its_mode_and_keeps_its_other_names() {
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
