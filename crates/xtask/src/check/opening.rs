//! Each Rust file opens by saying what it is for.

use std::fs;

use crate::{Result, Workspace};

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut silent = Vec::new();
    for path in workspace.rust_files()? {
        let text = fs::read_to_string(&path)?;
        let says = text.lines().next().and_then(|line| line.strip_prefix("//!"));
        if says.is_none_or(|words| words.trim().is_empty()) {
            silent.push(workspace.relative(&path));
        }
    }
    if silent.is_empty() {
        return Ok(());
    }
    Err(format!("these files do not open with `//!` and what they are for:\n  {}", silent.join("\n  "))
        .into())
}
