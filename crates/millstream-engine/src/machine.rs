//! The memory of the machine, or of the container that the process runs in.

use std::{fs, path::Path};

/// The share of the memory that queries and tables may take, as `(numerator, denominator)`. The rest is for files that are
/// read and written, for the online store, and for other programs.
const SHARE: (u64, u64) = (1, 4);
/// The memory that is assumed for a machine that does not say what it has, in bytes.
const UNKNOWN_BYTES: u64 = 2 << 30;
/// The least share in bytes: with less, sorts fail.
const SHARE_MIN: u64 = 64 << 20;

/// The bound on memory of a process whose user does not name one.
#[must_use]
pub fn memory_share() -> u64 {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = cgroup_files(&own).into_iter().filter_map(|file| limit(&fs::read_to_string(file).ok()?));
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    share(limits.chain(machine).min().unwrap_or(UNKNOWN_BYTES))
}

fn share(bytes: u64) -> u64 {
    (bytes / SHARE.1 * SHARE.0).max(SHARE_MIN)
}

/// Files that may hold a limit, from the text of `/proc/self/cgroup`: of the process's own group and of those around it, in
/// both versions of the interface.
fn cgroup_files(own: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let groups = Path::new(path).ancestors();
        files.extend(
            groups.map(|group| format!("{root}{}/{name}", group.display().to_string().trim_end_matches('/'))),
        );
    }
    files
}

/// A limit in bytes; `None` for `max`, which means no limit.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `MemTotal` of `/proc/meminfo`.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_own_group_and_of_those_around_it_are_looked_for() {
        let files = cgroup_files("0::/user.slice/job\n");
        let expected =
            ["/user.slice/job", "/user.slice", ""].map(|group| format!("/sys/fs/cgroup{group}/memory.max"));
        assert_eq!(files, expected);
        let files = cgroup_files("5:cpu,cpuacct:/a\n4:memory:/docker/x\n");
        let expected = ["/docker/x", "/docker", ""]
            .map(|group| format!("/sys/fs/cgroup/memory{group}/memory.limit_in_bytes"));
        assert_eq!(files, expected);
        assert!(cgroup_files("").is_empty());
    }

    #[test]
    fn figures_are_read_and_shared() {
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("2147483648\n"), Some(2 << 30));
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       24 kB\n"), Some(24 << 10));
        assert_eq!(share(8 << 30), 2 << 30);
        assert_eq!(share(1 << 20), SHARE_MIN);
    }
}
