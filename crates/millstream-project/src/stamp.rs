//! What the file system says of a project's files, by which a change of them is noticed without reading any.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::folder::{FOLDERS, PROJECT_FILE};

/// So deep are the files of the deepest folder, `tables/<schema>/<name>.sql`.
const DEPTH_MAX: usize = 2;

/// The state of all files of a project at one moment: two that are equal were taken of the same contents, as far as times and sizes
/// tell. A file that cannot be looked at counts as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectStamp(BTreeMap<PathBuf, FileStamp>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    bytes: u64,
    changed: Option<SystemTime>,
    /// What tells files of one name and one time apart where the system says it: the file's number, and when it came to be so.
    identity: (u64, i64, i64),
}

impl ProjectStamp {
    /// Looks at the files of the project in `root`: those of its folders, hidden ones left out, and `millstream.yaml`.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let mut stamps = BTreeMap::new();
        stamp(root.join(PROJECT_FILE), &mut stamps);
        for (folder, _) in FOLDERS {
            walk(&root.join(folder), DEPTH_MAX, &mut stamps);
        }
        Self(stamps)
    }

    /// Whether each of these files is there in the other stamp too, in whatever state.
    #[must_use]
    pub fn is_among(&self, other: &Self) -> bool {
        self.0.keys().all(|path| other.0.contains_key(path))
    }
}

fn walk(folder: &Path, depth: usize, stamps: &mut BTreeMap<PathBuf, FileStamp>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        // A link counts as what it leads to.
        let is_folder =
            entry.file_type().is_ok_and(|kind| kind.is_dir() || (kind.is_symlink() && path.is_dir()));
        match is_folder {
            true if depth > 1 => walk(&path, depth - 1, stamps),
            true => {}
            false => stamp(path, stamps),
        }
    }
}

fn stamp(path: PathBuf, stamps: &mut BTreeMap<PathBuf, FileStamp>) {
    if let Ok(file) = fs::metadata(&path) {
        let stamp = FileStamp { bytes: file.len(), changed: file.modified().ok(), identity: identity(&file) };
        stamps.insert(path, stamp);
    }
}

#[cfg(unix)]
fn identity(file: &Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;

    (file.ino(), file.ctime(), file.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
}
