//! The formats of rows, and which one a call asks for.

use std::{
    io::{self, IsTerminal},
    path::Path,
};

use crate::CliError;

/// What rows look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people
    Table,
    /// Comma-separated values with a header
    Csv,
    /// One array of row objects
    Json,
    /// Arrow IPC: a file with `--output` (a stream in one that ends in `.arrows`), a stream otherwise
    Arrow,
    /// A Parquet file
    Parquet,
}

/// Endings of files and what they mean, the usual one of each format first.
const ENDINGS: [(&str, Format); 7] = [
    ("csv", Format::Csv),
    ("json", Format::Json),
    ("parquet", Format::Parquet),
    ("arrow", Format::Arrow),
    ("txt", Format::Table),
    ("arrows", Format::Arrow),
    ("ipc", Format::Arrow),
];

impl Format {
    /// The format of a call: `--format`, or what the file's ending says, or JSON for `--json`, or aligned columns.
    pub(crate) fn of_call(asked: Option<Self>, output: Option<&Path>, json: bool) -> Result<Self, CliError> {
        let format = match (asked, output) {
            (Some(format), _) => format,
            (None, Some(path)) => Self::of_file(path)?,
            (None, None) if json => Self::Json,
            (None, None) => Self::Table,
        };
        if format.is_binary() && output.is_none() && io::stdout().is_terminal() {
            let message = format!("{} is not printed on a terminal", format.name());
            let hint = "write it into a file with `--output FILE`, or send it to another program".to_owned();
            return Err(CliError::call(message, hint));
        }
        Ok(format)
    }

    fn of_file(path: &Path) -> Result<Self, CliError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
        let known = ENDINGS.iter().find(|(known, _)| ending.as_deref() == Some(*known));
        known.map(|(_, format)| *format).ok_or_else(|| {
            let message = format!("the name `{}` does not tell a format", path.display());
            CliError::call(
                message,
                "end it in `.csv`, `.json`, `.parquet`, `.arrow` or `.txt`, or choose one with `--format`"
                    .to_owned(),
            )
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Table => "a table",
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Arrow => "Arrow",
            Self::Parquet => "Parquet",
        }
    }

    fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }
}
