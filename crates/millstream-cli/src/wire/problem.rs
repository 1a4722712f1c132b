//! `check --json`, and the answer of any command to a project with errors.

use millstream_project::{Diagnostic, Level, SourceMap, cover};
use serde::Serialize;

use crate::diagnostics::{line_and_column, number_of};

/// All problems and their number.
#[derive(Clone, Debug, Serialize)]
pub struct CheckDocument {
    pub errors: u64,
    pub warnings: u64,
    pub problems: Vec<Problem>,
}

/// One problem. Lines and columns count from 1, columns in characters; the end is exclusive.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub code: &'static str,
    pub level: &'static str,
    pub message: String,
    pub file: Option<String>,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub end_line: Option<usize>,
    pub end_column: Option<usize>,
    pub label: Option<String>,
    pub hint: Option<String>,
}

impl CheckDocument {
    #[must_use]
    pub fn new(diagnostics: &[Diagnostic], files: &SourceMap) -> Self {
        Self {
            errors: number_of(diagnostics, Level::Error),
            warnings: number_of(diagnostics, Level::Warning),
            problems: diagnostics.iter().map(|diagnostic| Problem::new(diagnostic, files)).collect(),
        }
    }
}

impl Problem {
    #[must_use]
    pub fn new(diagnostic: &Diagnostic, files: &SourceMap) -> Self {
        let place = diagnostic.at.and_then(|at| files.get(at.file).map(|file| (at, file)));
        let start = place.map(|(at, file)| line_and_column(&file.text, at.start));
        let end = place.map(|(at, file)| line_and_column(&file.text, at.end));
        Self {
            code: diagnostic.code,
            level: match diagnostic.level {
                Level::Error => "error",
                Level::Warning => "warning",
            },
            message: open(&diagnostic.message),
            file: place.map(|(_, file)| file.path.display().to_string()),
            line: start.map(|(line, _)| line),
            column: start.map(|(_, column)| column),
            end_line: end.map(|(line, _)| line),
            end_column: end.map(|(_, column)| column),
            label: diagnostic.label.as_deref().map(open),
            hint: diagnostic.hint.as_deref().map(open),
        }
    }
}

/// A text without its credentials.
fn open(text: &str) -> String {
    cover(text).text.into_owned()
}
