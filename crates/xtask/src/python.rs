//! Python environments with pinned packages, for services and peers that tests and benches compare with.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, Workspace, process};

/// Feast, which tests and benches share: it takes minutes to install.
pub(crate) const FEAST: [&str; 1] = ["feast[redis,duckdb]==0.67.0"];

/// The environment variables that keep the peers from sending usage statistics, and pip from looking for a newer one.
const QUIET: [(&str, &str); 3] =
    [("DO_NOT_TRACK", "1"), ("GX_ANALYTICS_ENABLED", "false"), ("PIP_DISABLE_PIP_VERSION_CHECK", "1")];

#[derive(Clone, Debug)]
pub(crate) struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// The environment `name` with exactly `packages`, made when it is missing or was made for others.
    pub(crate) fn with(workspace: &Workspace, name: &str, packages: &[&str]) -> Result<Self> {
        let folder = workspace.scratch("python")?.join(name);
        let stamp = folder.join("packages.txt");
        let wanted = packages.join("\n");
        let python = Self { interpreter: folder.join("bin").join("python") };
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) && python.answers() {
            return Ok(python);
        }
        eprintln!("     Installing Python packages: {}", packages.join(", "));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        process::output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut install = python.command();
        install.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"]).args(packages);
        process::output(&mut install)?;
        fs::write(&stamp, wanted)?;
        Ok(python)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.envs(QUIET);
        command
    }

    pub(crate) fn interpreter(&self) -> &Path {
        &self.interpreter
    }

    fn answers(&self) -> bool {
        process::output(self.command().args(["-c", "pass"])).is_ok()
    }
}
