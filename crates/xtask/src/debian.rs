//! Programs from Debian's packages, which tests and benches need beside Rust.

use std::process::{Command, Stdio};

use crate::{Result, process};

/// Finds `program`, or installs Debian's `package` where that is allowed, without starting a service.
///
/// # Errors
///
/// The program is not there and cannot be installed; the message says what to install.
pub(crate) fn provide(program: &str, package: &str) -> Result<()> {
    if is_there(program) {
        return Ok(());
    }
    let installed = install(package);
    match installed {
        Ok(()) if is_there(program) => Ok(()),
        Ok(()) => Err(format!("Debian's package `{package}` brought no `{program}`").into()),
        Err(error) => Err(format!(
            "`{program}` is not installed (Debian's package `{package}`), and installing it failed: {error}"
        )
        .into()),
    }
}

/// Installs a package without starting a service.
pub(crate) fn install(package: &str) -> Result<()> {
    // A fresh machine has no list of packages, or an old one; it is fetched only when it is needed.
    fetch(package)
        .or_else(|_| process::output(&mut apt(&["update", "--quiet"])).and_then(|_| fetch(package)))
        .map(|_| ())
}

/// Whether the program can be started. How it ends does not matter: not every program knows `--version`.
fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

fn fetch(package: &str) -> Result<String> {
    process::output(&mut apt(&["install", "--yes", "--quiet", "--no-install-recommends", package]))
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}
