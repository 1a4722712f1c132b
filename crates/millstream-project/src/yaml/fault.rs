//! YAML syntax errors in words that help.

use saphyr_parser::ScanError;

use super::Positions;
use crate::{Diagnostic, codes};

/// Parts of the parser's messages, what they mean for a reader, and the way out. The first that fits wins.
const EXPLANATIONS: &[(&str, &str, &str)] = &[
    ("tab", "a tab stands where YAML wants spaces", "indent with spaces: replace the tab"),
    (
        "mapping values are not allowed",
        "a `:` starts a mapping here, where none can stand",
        "put the text in quotes if the `:` belongs to it; otherwise look at the indentation of this line",
    ),
    (
        "illegal placement of ':'",
        "a `:` stands where none can",
        "put the text in quotes if the `:` belongs to it",
    ),
    ("simple key expect", "this line is not a `key: value`", "is a `:` missing after the key?"),
    ("simple key expected", "this line is not a `key: value`", "is a `:` missing after the key?"),
    (
        "did not find expected key",
        "this line does not fit the mapping above it",
        "give it the same indentation as the keys above; is a `:` or a quote missing before it?",
    ),
    (
        "did not find expected '-'",
        "this line does not fit the list above it",
        "give it the same indentation as the items above and start it with `- `",
    ),
    (
        "block sequence entries are not allowed",
        "a `-` item cannot stand here",
        "start the list on a line of its own",
    ),
    ("flow sequence, expected ',' or ']'", "the list `[…]` is not closed", "add the missing `,` or `]`"),
    ("flow mapping, did not find expected", "the mapping `{…}` is not closed", "add the missing `,` or `}`"),
    ("found unexpected end of stream", "the quoted text is not closed", "add the missing quote"),
    ("unexpected document indicator", "the quoted text is not closed", "add the missing quote"),
    (
        "unknown escape character",
        "`\\` with this letter is no escape sequence",
        "in double quotes write `\\\\` for a backslash, or use single quotes",
    ),
    (
        "trailing content after double-quoted",
        "text follows the closing quote",
        "put all of it inside the quotes",
    ),
    (
        "invalid indentation",
        "the indentation does not fit the lines above",
        "align the line with its neighbours",
    ),
    (
        "wrongly indented",
        "the indentation does not fit the lines above",
        "align the line with its neighbours",
    ),
    ("unexpected character", "no text can start with this character", "put the text in quotes"),
    (
        "unprintable character",
        "a character that cannot be printed",
        "remove it, or write it as an escape in double quotes",
    ),
    ("byte order mark", "a byte order mark stands inside the file", "remove it"),
    ("recursion limit", "too many values inside one another", "flatten the file"),
    ("misplaced bracket", "a bracket too many", "remove it, or open it before"),
];

/// The diagnostic of a syntax error.
pub(super) fn diagnostic(error: &ScanError, positions: &Positions<'_>) -> Diagnostic {
    let text = positions.text;
    // The end of the file is shown as the last thing that stands there.
    let start = match positions.byte(*error.marker()) {
        end if end >= text.trim_end().len() => {
            text.trim_end().char_indices().last().map_or(0, |(last, _)| last)
        }
        start => start,
    };
    let info = error.info();
    if let Some(diagnostic) = recognised(info, start, positions) {
        return diagnostic;
    }
    let place = if info.contains("tab") { indenting_tab(text, start) } else { None };
    let place = place.map(|tab| (tab, tab + 1));
    let missing_colon =
        if info.contains("mapping values are not allowed") { lone_word(text, start) } else { None };
    if let Some((start, end)) = missing_colon {
        return Diagnostic::error(
            codes::YAML_SYNTAX,
            "not valid YAML: this line is not a `key: value`",
            positions.location(start, end),
        )
        .with_hint("is a `:` missing after the key?");
    }
    let (start, end) = place.unwrap_or_else(|| {
        let first = text.get(start..).and_then(|rest| rest.chars().next());
        (start, start + first.filter(|c| *c != '\n' && *c != '\r').map_or(0, char::len_utf8))
    });
    let at = positions.location(start, end);
    match EXPLANATIONS.iter().find(|(part, _, _)| info.contains(part)) {
        Some((_, message, hint)) => {
            Diagnostic::error(codes::YAML_SYNTAX, format!("not valid YAML: {message}"), at).with_hint(*hint)
        }
        None => Diagnostic::error(codes::YAML_SYNTAX, format!("not valid YAML: {info}"), at),
    }
}

/// A mistake that the text shows better than the parser's words do.
fn recognised(info: &str, start: usize, positions: &Positions<'_>) -> Option<Diagnostic> {
    let text = positions.text;
    let told = |message: &str, (start, end): (usize, usize), hint: &str| {
        let at = positions.location(start, end);
        Some(Diagnostic::error(codes::YAML_SYNTAX, format!("not valid YAML: {message}"), at).with_hint(hint))
    };
    if let Some(nul) = text.find('\0') {
        let hint = "remove it; a file in UTF-16 is full of them and has to be saved as UTF-8";
        return told("a NUL character", (nul, nul + 1), hint);
    }
    if let Some(place) = conflict_marker(text) {
        let hint = "keep one of the two sides, and remove the lines `<<<<<<<`, `=======` and `>>>>>>>`";
        return told("a merge left its conflict in the file", place, hint);
    }
    if let Some((place, word)) = open_variable(text, start) {
        let hint = format!("inside `{{…}}` and `[…]`, put the whole value in quotes: `\"{word}\"`");
        return told("`${…}` stands here without quotes, so its `{` starts a mapping", place, &hint);
    }
    let rest = text.get(start..).unwrap_or_default();
    if info.contains("unknown anchor") {
        let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}' | '[' | ']');
        let alias = rest.split(ends).next().unwrap_or_default();
        let name = alias.trim_start_matches('*');
        let hint = "define the anchor before its use, or quote the text";
        return told(&format!("`*{name}` has no `&{name}` before it"), (start, start + alias.len()), hint);
    }
    if info.contains("invalid indentation") && rest.starts_with(['"', '\'']) {
        return told("the quoted text is not closed", (start, start + 1), "add the missing quote");
    }
    None
}

/// The place of the first line that Git writes around a conflict of a merge.
fn conflict_marker(text: &str) -> Option<(usize, usize)> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("<<<<<<< ") {
            return Some((start, start + line.trim_end().len()));
        }
        start += line.len();
    }
    None
}

/// `${VAR}` outside of quotes, at the `{` of which the parser stumbled: its place, and the value that it is part of.
fn open_variable(text: &str, start: usize) -> Option<((usize, usize), &str)> {
    let dollar =
        start.checked_sub(1).filter(|_| text.get(start..).is_some_and(|rest| rest.starts_with('{')))?;
    let before = text.get(..dollar).filter(|_| text.get(dollar..start) == Some("$"))?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let value_start = before
        .get(line_start..)?
        .rfind([' ', '\t', '[', '{', ','])
        .map_or(line_start, |at| line_start + at + 1);
    let variable_end = start + text.get(start..)?.find('}')? + 1;
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']');
    let value_end = variable_end + text.get(variable_end..)?.find(ends).unwrap_or(text.len() - variable_end);
    Some(((dollar, variable_end), text.get(value_start..value_end)?))
}

/// The first tab that indents a line, from the line of `start` on.
fn indenting_tab(text: &str, start: usize) -> Option<usize> {
    let from = text.get(..start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let mut line_start = from;
    for line in text.get(from..)?.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..indent].find('\t') {
            return Some(line_start + tab);
        }
        line_start += line.len();
    }
    None
}

/// The line before that of `start`, when it is a single word: the parser took both lines for one text, and
/// stumbles over the second line's `:`.
fn lone_word(text: &str, start: usize) -> Option<(usize, usize)> {
    let line_start = text.get(..start)?.rfind('\n')?;
    let before = text[..line_start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[before..line_start].trim_end();
    let word = line.trim_start();
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_word.then(|| (before + line.len() - word.len(), before + line.len()))
}
