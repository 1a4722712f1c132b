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
        "unknown anchor",
        "`*name` has no `&name` before it",
        "define the anchor before its use, or quote the text",
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
    let start = positions.byte(*error.marker());
    let first = positions.text.get(start..).and_then(|rest| rest.chars().next());
    let width = first.filter(|c| *c != '\n' && *c != '\r').map_or(0, char::len_utf8);
    let at = positions.location(start, start + width);
    match EXPLANATIONS.iter().find(|(part, _, _)| error.info().contains(part)) {
        Some((_, message, hint)) => {
            Diagnostic::error(codes::YAML_SYNTAX, format!("not valid YAML: {message}"), at).with_hint(*hint)
        }
        None => Diagnostic::error(codes::YAML_SYNTAX, format!("not valid YAML: {}", error.info()), at),
    }
}
