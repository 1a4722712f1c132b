//! How problems of a project look: place, source line underlined, label, hint; and a count at the end. Credentials
//! are covered in all of it.

use std::fmt::Write;

use annotate_snippets::{AnnotationKind, Level as SnippetLevel, Renderer, Snippet, renderer::DecorStyle};
use millstream_project::{Diagnostic, Level, Location, SourceMap, cover};
use millstream_sql::SqlError;

use crate::human;

/// Longest column that is underlined as it is; a longer line (minified JSON in a YAML file) is shown in part.
const TERMINAL_WIDTH_MAX: usize = 140;

/// Every problem in the order of files and places, then a line that counts them. Empty without problems.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], files: &SourceMap, colour: bool) -> String {
    let renderer = renderer(colour);
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&render_one(diagnostic, files, &renderer));
        text.push_str("\n\n");
    }
    let errors = number_of(diagnostics, Level::Error);
    let warnings = number_of(diagnostics, Level::Warning);
    let counts: Vec<String> = [(errors, "error"), (warnings, "warning")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| human::count(number, noun))
        .collect();
    if !counts.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", counts.join(", "));
    }
    text
}

/// A wrong statement with the fault underlined; `None` when the fault has no place in it.
pub(crate) fn statement(sql: &str, error: &SqlError, colour: bool) -> Option<String> {
    let SqlError::Invalid { code, message, place: Some(place), label, hint } = error else { return None };
    let mut files = SourceMap::default();
    let file = files.add("query".into(), sql.into());
    let at = Location { file, start: place.start, end: place.end };
    let diagnostic =
        Diagnostic { label: label.clone(), hint: hint.clone(), ..Diagnostic::error(code, message, at) };
    Some(render_one(&diagnostic, &files, &renderer(colour)))
}

/// How many problems have this level.
#[must_use]
pub fn number_of(diagnostics: &[Diagnostic], level: Level) -> u64 {
    diagnostics.iter().map(|diagnostic| u64::from(diagnostic.level == level)).sum()
}

/// Line and column of a byte in a text, both from 1; columns count characters.
#[must_use]
pub fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let mut end = byte.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn renderer(colour: bool) -> Renderer {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii).term_width(TERMINAL_WIDTH_MAX)
}

fn render_one(diagnostic: &Diagnostic, files: &SourceMap, renderer: &Renderer) -> String {
    let level = match diagnostic.level {
        Level::Error => SnippetLevel::ERROR,
        Level::Warning => SnippetLevel::WARNING,
    };
    let message = cover(&diagnostic.message).text;
    let title = level.primary_title(message.as_ref()).id(diagnostic.code);
    let hint = diagnostic.hint.as_deref().map(|hint| cover(hint).text);
    let hint = hint.as_deref().map(|hint| SnippetLevel::HELP.message(hint));
    let label = diagnostic.label.as_deref().map(|label| cover(label).text);
    let place = diagnostic.at.and_then(|at| files.get(at.file).map(|file| (at, file)));
    match place {
        Some((at, file)) => {
            let covered = cover(&file.text);
            let at = Location { start: covered.offset(at.start), end: covered.offset(at.end), ..at };
            let annotation =
                AnnotationKind::Primary.span(underlined(&covered.text, at)).label(label.as_deref());
            let snippet = Snippet::source(covered.text.as_ref())
                .path(file.path.display().to_string())
                .annotation(annotation);
            let group = title.element(snippet);
            renderer.render(&[hint.into_iter().fold(group, |group, hint| group.element(hint))])
        }
        None => {
            let group = annotate_snippets::Group::with_title(title);
            renderer.render(&[hint.into_iter().fold(group, |group, hint| group.element(hint))])
        }
    }
}

/// The bytes to underline: inside the text, on character boundaries, and only the first line of a place that
/// spans several (the start of a block says enough).
fn underlined(text: &str, at: Location) -> std::ops::Range<usize> {
    let floor = |mut byte: usize| {
        byte = byte.min(text.len());
        while !text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    };
    let start = floor(at.start);
    let end = floor(at.end).max(start);
    let first_line_end = text[start..end].find('\n').map_or(end, |newline| start + newline);
    start..first_line_end.max(start)
}
