//! A disk that fills up quickly.

use std::path::Path;
use std::process::{Command, Stdio};

/// A separate file system. Mounting it may not be permitted to this user.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub fn mount(kibibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={kibibytes}k");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // If it cannot be unmounted, it is gone after the next shutdown.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
