//! Automation of this repository: `cargo xtask check | test | bench | generate`.
//!
//! May touch: everything in the repository and its target folder, cargo, Python from the machine. Must not: be
//! needed to build or run Millstream, or depend on its crates (it must build in seconds).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command for people")]
#![allow(clippy::disallowed_methods, reason = "this is an edge: it reads the environment itself")]

mod bench;
mod check;
mod debian;
mod generate;
mod process;
mod python;
mod test;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

/// Faults are for the developer who runs the command, so text is enough.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const USAGE: &str = "\
cargo xtask check [NAME…]          all checks, or: fmt, layers, unused, size, opening, generated, clippy
cargo xtask check size --tighten   write the smaller sizes into crates/xtask/ratchet.toml
cargo xtask test [ARGUMENTS…]      all tests with their services; arguments go to `cargo test`
cargo xtask bench [NAME…] [--quick] [--large] [--feast] [--rounds N]
cargo xtask bench build            packages, time and size of a cold build: twenty minutes
cargo xtask generate [--check]     docs/reference from the binary";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else { return Err(USAGE.into()) };
    let workspace = Workspace::load()?;
    match command.as_str() {
        "check" => check::run(&workspace, rest),
        "test" => test::run(&workspace, rest),
        "bench" => bench::run(&workspace, rest),
        "generate" => generate::run(&workspace, rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => Err(format!("`{unknown}` is not a task\n{USAGE}").into()),
    }
}
