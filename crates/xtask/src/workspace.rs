//! The repository as cargo sees it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::Result;

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) metadata: Metadata,
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let metadata = MetadataCommand::new().no_deps().exec()?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let target = metadata.target_directory.clone().into_std_path_buf();
        Ok(Self { metadata, root, target })
    }

    /// A folder of ours below the target folder: environments, logs, bench data.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join("xtask").join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The release build of a binary or of an example (`examples/name`).
    pub(crate) fn built(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Every Rust file of the crates, sorted.
    pub(crate) fn rust_files(&self) -> Result<Vec<PathBuf>> {
        Self::rust_files_below(&self.root.join("crates"))
    }

    pub(crate) fn rust_files_below(folder: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        Ok(files)
    }

    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
