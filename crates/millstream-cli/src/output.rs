//! Standard output for results, standard error for everything else, and the few styles in use.

use std::io::{self, IsTerminal, Write};

use anstream::AutoStream;
use clap::builder::styling::{AnsiColor, Style};
use millstream_project::cover;
use serde::Serialize;

use crate::CliError;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const CAUTION: Style = AnsiColor::Yellow.on_default();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const COMMAND: Style = AnsiColor::Cyan.on_default();

/// Text in a style. The style is dropped by the stream when it is not a terminal.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints a result as it is. The text may carry styles.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(CliError::Output)
}

/// Prints a result and a line break.
pub(crate) fn print_line(text: &str) -> Result<(), CliError> {
    print(&format!("{text}\n"))
}

/// Prints one JSON document, indented on a terminal and on one line otherwise.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    let text = if io::stdout().is_terminal() {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    print_line(&text.map_err(|error| CliError::Format(error.into()))?)
}

/// Prints to standard error, where nothing is data: credentials are covered. A vanished terminal is no reason to stop
/// working.
pub(crate) fn tell(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_all(cover(text).text.as_bytes()).and_then(|()| stderr.write_all(b"\n"));
}

/// Whether what goes to standard error may carry colour.
pub(crate) fn colour_on_stderr() -> bool {
    AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// The terminal's width in columns; `None` when standard output is no terminal.
pub(crate) fn terminal_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(width.0))
}
