//! Flags and process environment, resolved once before a command runs.

use std::{ffi::OsString, io::IsTerminal, path::PathBuf};

use millstream_types::ByteSize;

use crate::{arguments::GlobalArguments, log};

/// The variable that overrides what `-v` logs, in the syntax of `tracing_subscriber::EnvFilter`.
const LOG_VARIABLE: &str = "MILLSTREAM_LOG";

/// Plain values that every command may use.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The folder of `--project`, as typed.
    pub(crate) project: Option<PathBuf>,
    /// The name of the environment, from `--environment` or else `MILLSTREAM_ENVIRONMENT`; `None` is the project's default.
    pub(crate) environment: Option<String>,
    /// The memory to use, from `--memory` or else `MILLSTREAM_MEMORY`; `None` is the environment's, or a share of the
    /// machine's.
    pub(crate) memory: Option<ByteSize>,
    pub(crate) json: bool,
    /// The folder in which the command was given; `None` when it was removed meanwhile.
    pub(crate) folder: Option<PathBuf>,
    /// Whether standard error is a terminal on which lines can be redrawn.
    pub(crate) live: bool,
    /// The command as typed, without the program's name; for the record of runs.
    pub(crate) line: String,
    log: String,
    log_format: log::Format,
}

impl Settings {
    /// Precedence: flag, then variable, then default. `--no-color` takes effect for the whole process here.
    pub(crate) fn resolve(arguments: &GlobalArguments, line: String, is_server: bool) -> Self {
        if arguments.no_color {
            anstream::ColorChoice::Never.write_global();
        }
        let by_flag = match arguments.verbose {
            // Whoever reads a server's log was not there; a command says itself what its user should know.
            0 if is_server => "warn,audit=info",
            0 => "error",
            1 => "warn,millstream=info,audit=info",
            2 => "info,millstream=debug,audit=debug",
            _ => "debug,millstream=trace",
        };
        Self {
            project: arguments.project.clone(),
            // An empty variable is what a shell leaves of an unset one.
            environment: arguments.environment.clone().filter(|name| !name.is_empty()),
            memory: arguments.memory,
            json: arguments.json,
            folder: current_folder(),
            live: std::io::stderr().is_terminal() && variable("TERM").is_none_or(|term| term != "dumb"),
            line,
            log_format: arguments.log_format,
            log: arguments
                .log
                .clone()
                .or_else(|| variable(LOG_VARIABLE).filter(|filter| !filter.is_empty()))
                .unwrap_or_else(|| by_flag.to_owned()),
        }
    }

    /// Sends log lines to standard error.
    pub(crate) fn start_logging(&self) {
        log::start(&self.log, self.log_format);
    }
}

/// The arguments as one line, quoted where a shell would need it.
pub(crate) fn typed_line(arguments: &[OsString]) -> String {
    let words = arguments.iter().skip(1).map(|word| {
        let word = word.to_string_lossy();
        let is_plain = |c: char| c.is_alphanumeric() || "-_./:=+,@%*".contains(c);
        if !word.is_empty() && word.chars().all(is_plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// How a user calls this program again: `None` when `millstream` is on the search path, or else the program's file.
pub(crate) fn program_off_path() -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let is_found = std::env::split_paths(&path).any(|folder| folder.join("millstream").is_file());
    if is_found { None } else { std::env::current_exe().ok() }
}

/// A variable of the process environment; also what `${VAR}` in a project file stands for.
#[allow(clippy::disallowed_methods, reason = "this is the edge where the environment enters")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[allow(clippy::disallowed_methods, reason = "this is the edge where the environment enters")]
fn current_folder() -> Option<PathBuf> {
    std::env::current_dir().ok()
}
