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
    if !opens(rest) {
        return match misplaced(text, start) {
            Some((place, length, hint)) => {
                let message = "this comment looks like a header, but is not read as one";
                let diagnostic = Diagnostic::error(codes::WRONG_HEADER, message, at(place, length));
                Err(Box::new(diagnostic.with_hint(hint)))
            }
            None => Ok(Split { header: None, sql: text.len() - body.len() }),
        };
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
            let is_step = text[end + 2..].starts_with(|next: char| next.is_ascii_digit());
            let hint = if is_step {
                "SQL comments end at `*/`: in a header, a cron line names the range, `0-59/15` for `*/15`"
                    .to_owned()
            } else {
                format!(
                    "end the header with `{CLOSE}`; `*/` cannot occur in it, since SQL comments end there"
                )
            };
            Err(Box::new(diagnostic.with_hint(hint)))
        }
    }
}

/// Whether a text starts with the mark. A longer line of dashes is an ornament.
fn opens(text: &str) -> bool {
    text.strip_prefix(OPEN).is_some_and(|rest| !rest.starts_with('-'))
}

/// The length of the first mark of a header between bare `---`, as other tools write it before Markdown. A comment of SQL
/// that starts so has no key in its second line.
fn bare(text: &str) -> Option<usize> {
    let mut lines = text.lines();
    lines.next().filter(|line| line.trim_end() == "---")?;
    let first = lines.find(|line| !line.trim().is_empty())?;
    let (key, _) = first.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_key && lines.any(|line| line.trim_end() == "---")).then_some(3)
}

/// A header that is written with a space, between bare marks, or that something precedes: place, length and the way out.
fn misplaced(text: &str, start: usize) -> Option<(usize, usize, &'static str)> {
    let spaced = text.get(start..)?.strip_prefix("/*").map(str::trim_start);
    if spaced.is_some_and(|rest| rest.starts_with("---") && !rest.starts_with("----"))
        && !text[start..].starts_with("/*-")
    {
        return Some((start, 2, "start the header with `/*---`, without a space"));
    }
    if let Some(length) = bare(&text[start..]) {
        return Some((start, length, "put the header into a comment: `/*---` before it, `---*/` behind it"));
    }
    let later = text.match_indices(OPEN).map(|(place, _)| place);
    let mut at_lines = later.filter(|place| text[..*place].ends_with('\n') && opens(&text[*place..]));
    at_lines.next().map(|place| (place, OPEN.len(), "move the header to the start of the file"))
}
