//! How much memory there is for this program.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that this program and its workers may take: what the machine has to spare, and no more than the limit of a
/// container or of a cluster's job. `None` where the system does not say.
pub fn available() -> Option<u64> {
    let spare = spare(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    Some(limits.fold(spare, u64::min))
}

/// `MemAvailable` of /proc/meminfo, in bytes.
fn spare(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The files that hold the limits of control groups, of both versions, from the lines of /proc/self/cgroup: those of this
/// process's group and of all groups above it. Inside a container some of them may be missing.
fn limit_files(groups: &str) -> impl Iterator<Item = PathBuf> + '_ {
    groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (root, name) = match fields.next() {
            Some("") => ("/sys/fs/cgroup", "memory.max"),
            Some("memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return Vec::new(),
        };
        let group = Path::new(fields.next().unwrap_or("/"));
        let below_root = |group: &Path| group.strip_prefix("/").unwrap_or(group).to_owned();
        group.ancestors().map(|group| Path::new(root).join(below_root(group)).join(name)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read() {
        let meminfo = "MemTotal:       24675200 kB\nMemFree:         9 kB\nMemAvailable:   23068672 kB\n";
        assert_eq!(spare(meminfo), Some(22 << 30));
        assert_eq!(spare("MemTotal: 1 kB\n"), None);
        assert_eq!(spare("MemAvailable: much\n"), None);
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn limits_of_both_versions_are_looked_for() {
        let files = |groups| limit_files(groups).map(|file| file.display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            files("0::/user/job\n"),
            [
                "/sys/fs/cgroup/user/job/memory.max",
                "/sys/fs/cgroup/user/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(
            files("4:cpuset:/a\n5:memory:/slurm\n"),
            [
                "/sys/fs/cgroup/memory/slurm/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
        assert_eq!(files(""), [""; 0]);
    }
}
