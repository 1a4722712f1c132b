//! `cargo xtask check`: everything that can be judged without running Millstream's tests.

mod boxed;
mod layers;
mod opening;
mod size;
mod unused;
mod words;

use crate::{Result, Workspace, generate, process};

/// The names of the checks, cheap ones first.
const NAMES: [&str; 8] = ["fmt", "layers", "unused", "size", "opening", "boxed", "clippy", "generated"];

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let tighten = arguments.iter().any(|argument| argument == "--tighten");
    let wanted: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| *argument != "--tighten").collect();
    if let Some(unknown) = wanted.iter().find(|name| !NAMES.contains(name)) {
        return Err(format!("`{unknown}` is not a check: {}", NAMES.join(", ")).into());
    }
    let mut failed = Vec::new();
    for name in NAMES.into_iter().filter(|name| wanted.is_empty() || wanted.contains(name)) {
        println!("== {name}");
        let outcome = match name {
            "fmt" => process::run(process::cargo(&workspace.root).args(["fmt", "--all", "--check"])),
            "layers" => layers::check(workspace),
            "unused" => unused::check(workspace),
            "size" => size::check(workspace, tighten),
            "opening" => opening::check(workspace),
            "boxed" => boxed::check(workspace),
            "clippy" => clippy(workspace),
            _ => generate::check(workspace),
        };
        if let Err(error) = outcome {
            eprintln!("{error}");
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

/// Runs clippy on the release profile, so that build scripts and procedural macros are shared with the tests and the
/// demo.
fn clippy(workspace: &Workspace) -> Result<()> {
    let mut command = process::cargo(&workspace.root);
    command.args(["clippy", "--release", "--quiet", "--workspace", "--all-targets"]);
    command.args(["--features", "millstream/full", "--", "-D", "warnings"]);
    process::run(&mut command)
}
