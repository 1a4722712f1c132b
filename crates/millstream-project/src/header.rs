//! Splits a SQL file into its header, YAML in a comment, and the query.

use crate::{Diagnostic, FileId, Location, codes};

const OPEN: &str = "/*---";
const CLOSE: &str = "---*/";

/// Byte ranges of a SQL file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// The YAML between the marks; `None` without a header.
    pub(crate) header: Option<std::ops::Range<usize>>,
    /// Where the query's text starts.
    pub(crate) sql: usize,
}

/// Finds the header; a malformed one is an error with its place.
pub(crate) fn split(text: &str, file: FileId) -> Result<Split, Box<Diagnostic>> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = text.len() - body.trim_start().len();
    let rest = &text[start..];
    let at = |start: usize, length: usize| Location { file, start, end: start + length };
    if !rest.starts_with(OPEN) {
        let comment = rest.strip_prefix("/*").map(str::trim_start);
        if comment.is_some_and(|comment| comment.starts_with("---")) {
            let message = "this comment looks like a header, but is not one";
            let diagnostic = Diagnostic::error(codes::WRONG_HEADER, message, at(start, 2));
            return Err(Box::new(
                diagnostic.with_hint(format!("start the header with `{OPEN}`, without a space")),
            ));
        }
        return Ok(Split { header: None, sql: text.len() - body.len() });
    }
    let yaml = start + OPEN.len();
    let Some(end) = text[yaml..].find("*/").map(|end| yaml + end) else {
        let diagnostic =
            Diagnostic::error(codes::WRONG_HEADER, "the header is not closed", at(start, OPEN.len()));
        return Err(Box::new(diagnostic.with_hint(format!("end it with `{CLOSE}`"))));
    };
    match text[yaml..end].strip_suffix("---") {
        Some(header) => Ok(Split { header: Some(yaml..yaml + header.len()), sql: end + 2 }),
        None => {
            let diagnostic =
                Diagnostic::error(codes::WRONG_HEADER, "the comment ends inside of the header", at(end, 2));
            Err(Box::new(diagnostic.with_hint(format!(
                "end the header with `{CLOSE}`; `*/` cannot occur in it, since SQL comments end there"
            ))))
        }
    }
}
