//! Leaves out errors that only follow from another mistake: tables and columns that are missing because the file that
//! defines them is broken.

use std::collections::{BTreeMap, BTreeSet};

use millstream_project::{Diagnostic, FileId, SourceMap, TableSpec};
use millstream_sql::Analysis;
use millstream_types::TableName;

/// The codes of "unknown table" and "unknown column" in the analysis of SQL.
const UNKNOWN_TABLE: &str = "MS-0203";
const UNKNOWN_COLUMN: &str = "MS-0204";

/// Removes from `found`, the diagnostics of the analysis, those that `broken` assets explain: the names of broken assets may
/// be missing, and the columns of every table that reads them incomplete. Returns the tables whose columns may be
/// incomplete.
pub(crate) fn remove(
    found: &mut Vec<Diagnostic>,
    broken: &BTreeSet<TableName>,
    tables: &[TableSpec],
    analysis: &Analysis,
    files: &SourceMap,
) -> BTreeSet<TableName> {
    if broken.is_empty() {
        return BTreeSet::new();
    }
    let names: BTreeSet<String> = broken.iter().map(ToString::to_string).collect();
    let (incomplete, doubtful) = readers(broken, tables, analysis);
    found.retain(|diagnostic| {
        let Some(at) = diagnostic.at else { return true };
        let underlined = || files.get(at.file).and_then(|file| file.text.get(at.start..at.end));
        match diagnostic.code {
            UNKNOWN_TABLE => !underlined().is_some_and(|name| names.contains(&name.to_lowercase())),
            UNKNOWN_COLUMN => !doubtful.contains(&at.file),
            _ => true,
        }
    });
    incomplete
}

/// The broken tables together with all tables that read them, directly or through others, and the files of these readers.
pub(super) fn readers(
    broken: &BTreeSet<TableName>,
    tables: &[TableSpec],
    analysis: &Analysis,
) -> (BTreeSet<TableName>, BTreeSet<FileId>) {
    let texts: BTreeMap<&TableName, String> =
        tables.iter().map(|table| (&table.name, table.sql.value.to_lowercase())).collect();
    let mut doubtful = broken.clone();
    let mut files = BTreeSet::new();
    loop {
        let before = files.len();
        for table in tables {
            // What a table reads is known only when its SQL was understood.
            let reads = match analysis.tables.get(&table.name) {
                Some(known) => known.dependencies.iter().any(|name| doubtful.contains(name)),
                None => doubtful.iter().any(|name| names(texts.get(&table.name), name)),
            };
            if reads {
                doubtful.insert(table.name.clone());
                files.insert(table.sql.at.file);
            }
        }
        if files.len() == before {
            return (doubtful, files);
        }
    }
}

/// Whether the text has the name as a word of its own.
fn names(text: Option<&String>, name: &TableName) -> bool {
    let (Some(text), name) = (text, name.to_string()) else { return false };
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    text.match_indices(&name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        !before.ends_with(part_of_name) && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}
