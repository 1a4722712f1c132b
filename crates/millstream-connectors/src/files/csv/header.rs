//! The names of a CSV file's columns.

use std::collections::HashSet;

use super::{
    CsvDialect,
    record::{RecordEnd, line, record_end, record_fields, unescape},
};

/// The columns of one file, and where its rows start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) names: Vec<String>,
    /// Bytes and lines before the first row.
    pub(crate) bytes: usize,
    pub(crate) lines: i64,
}

/// Reads the header from the start of a file (without byte order mark). `Ok(None)`: more data is needed, or,
/// `at_end`, the file has no record at all. Errors are sentences about what is wrong with the header.
pub(crate) fn read_header(dialect: &CsvDialect, data: &[u8], at_end: bool) -> Result<Option<Header>, String> {
    let mut at = 0;
    for _ in 0..dialect.skip_rows {
        at = line(dialect, data, at).1;
        if at >= data.len() {
            return Ok(None);
        }
    }
    let skipped = at;
    loop {
        if at >= data.len() {
            return Ok(None);
        }
        let (text, next) = line(dialect, data, at);
        let is_comment = dialect.comment.is_some() && data.get(at).copied() == dialect.comment;
        let bytes = &data[text];
        // Blanks name no column, unless they stand between columns.
        let is_blank =
            bytes.trim_ascii().is_empty() && (bytes.is_empty() || !bytes.contains(&dialect.delimiter));
        if !is_blank && !is_comment {
            break;
        }
        at = next;
    }
    let end = match record_end(dialect, data, at, at_end) {
        RecordEnd::Complete(end) => end,
        RecordEnd::Open => return Ok(None),
        RecordEnd::Malformed(_) => return Err("a quoted name in its header does not end properly".into()),
    };
    let found = record_names(dialect, &data[..end], at)?;
    let names = match (dialect.columns.as_slice(), dialect.header) {
        ([], true) => found,
        ([], false) => (1..=found.len()).map(|number| format!("column_{number}")).collect(),
        (names, true) if names.len() != found.len() => {
            return Err(format!(
                "its header has {} columns, and `columns` names {}",
                found.len(),
                names.len()
            ));
        }
        (names, _) => names.to_vec(),
    };
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(format!("its header names the column `{twice}` twice; `columns` can name them anew"));
    }
    let bytes = if dialect.header { end } else { skipped };
    let lines = memchr::memchr_iter(dialect.line_end, &data[..bytes]).count();
    Ok(Some(Header { names, bytes, lines: i64::try_from(lines).unwrap_or(i64::MAX) }))
}

/// Names without surrounding blanks; a column without a name gets its number.
fn record_names(dialect: &CsvDialect, data: &[u8], start: usize) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    record_fields(dialect, data, start, &mut fields);
    let mut text = Vec::new();
    let mut names = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        if field.escaped {
            unescape(dialect, &data[field.text.clone()], &mut text);
        } else {
            text.clear();
            text.extend_from_slice(&data[field.text.clone()]);
        }
        if text.contains(&0) {
            return Err("it holds zero bytes: it is not a text in UTF-8".into());
        }
        // Without a header the first record is data, whose bytes are judged row by row.
        let name = match std::str::from_utf8(&text) {
            Ok(name) => name.trim(),
            Err(_) if !dialect.header => "",
            Err(_) => return Err("its header is not UTF-8; name its encoding with `encoding: …`".into()),
        };
        names.push(if name.is_empty() { format!("column_{}", index + 1) } else { name.to_owned() });
    }
    Ok(names)
}
