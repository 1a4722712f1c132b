//! `*File` to `*Spec`: every rule that needs more than one value, with defaults filled.

mod aggregate;
mod check;
mod check_body;
mod circuit;
mod columns;
mod connection;
mod dataset;
mod environment;
mod feature;
mod housekeeping;
mod landing;
mod needs;
mod partition;
mod pattern;
mod project;
mod schedule;
mod source;
mod steps;
mod stream;
mod table;
mod tables;
mod telemetry;
mod test;
mod webhook;

pub use columns::check_columns;
pub(crate) use connection::connection;
pub(crate) use dataset::dataset;
pub(crate) use feature::{Features, features};
pub(crate) use pattern::Patterns;
pub(crate) use project::{Defaults, Project, project};
pub(crate) use source::{DefinedSources, sources};
pub(crate) use table::table;
pub use tables::FindTables;
pub(crate) use test::tests;

use crate::{Diagnostic, FileId, Location, decode::Faults, variables::Values};

/// What the rules of every file need.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) faults: &'a Faults,
    pub(crate) values: Values<'a>,
    pub(crate) defaults: &'a Defaults,
    pub(crate) patterns: &'a Patterns,
    pub(crate) file: FileId,
    /// The whole file.
    pub(crate) text: &'a str,
}

impl Context<'_> {
    /// The start of the file, for what concerns the file as a whole.
    pub(crate) fn start(&self) -> Location {
        Location { file: self.file, start: 0, end: 0 }
    }

    fn error(&self, code: &'static str, message: impl Into<String>, at: Location, hint: impl Into<String>) {
        self.faults.push(Diagnostic::error(code, message, at).with_hint(hint));
    }
}
