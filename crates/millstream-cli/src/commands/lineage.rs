//! `millstream lineage`: where a column comes from, and who uses it.

use std::{collections::BTreeSet, fmt::Write};

use millstream_engine::Project;
use millstream_sql::{ColumnRef, LineageEdge, LineageReport, lineage};
use millstream_types::TableName;

use crate::{
    CliError, Exit,
    output::{self, FAINT, STRONG, styled},
    project,
    session::Session,
    wire::{LineageDocument, Of, use_word},
};

/// Columns that a hint names.
const COLUMNS_NAMED_MAX: usize = 5;

/// Show where a column comes from, and who uses it
///
/// Reads the SQL only: no data is touched.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// `schema.table.column`, or `schema.table` for all its columns
    #[arg(value_name = "COLUMN")]
    pub(crate) column: String,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    let mut parts = arguments.column.splitn(3, '.');
    let table = match (parts.next(), parts.next()) {
        (Some(schema), Some(name)) => format!("{schema}.{name}"),
        _ => arguments.column.clone(),
    };
    let table = project::table_named(&project, &table)
        .map_err(|error| meant_column(error, &arguments.column, &project))?;
    let report = lineage(&project.analysis, &table, parts.next())
        .map_err(|(message, hint)| CliError::call(message, hint))?;
    if session.settings.json {
        output::print_json(&LineageDocument::of(&report))?;
    } else {
        output::print(&text(&report))?;
    }
    Ok(Exit::Success)
}

/// A single word that is no table may be a column.
fn meant_column(error: CliError, word: &str, project: &Project) -> CliError {
    let CliError::Unknown { .. } = &error else { return error };
    let has_it = |table: &TableName| {
        project.analysis.schema(table).is_some_and(|schema| schema.column_with_name(word).is_some())
    };
    let columns: Vec<String> = project
        .asset_tables()
        .filter(has_it)
        .take(COLUMNS_NAMED_MAX)
        .map(|table| format!("`{table}.{word}`"))
        .collect();
    if columns.is_empty() {
        return error;
    }
    let hint = format!("did you mean the column {}?", columns.join(" or "));
    CliError::Unknown { what: "table", name: word.to_owned(), hint }
}

fn text(report: &LineageReport) -> String {
    let mut text = String::new();
    for (index, column) in report.columns.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{gap}{}", styled(STRONG, column));
        let made_of = Tree { report, up: true }.lines(column);
        if !made_of.is_empty() {
            let _ = write!(text, "  made of\n{made_of}");
        }
        let used_by = Tree { report, up: false }.lines(column);
        if !used_by.is_empty() {
            let _ = write!(text, "  used by\n{used_by}");
        }
    }
    let rows: BTreeSet<String> =
        report.upstream.iter().filter(|edge| edge.to_column.is_none()).map(rows_line).collect();
    if !rows.is_empty() {
        let _ = writeln!(text, "\nWhich rows there are depends on");
        for line in rows {
            let _ = writeln!(text, "  {line}");
        }
    }
    if !report.sources.is_empty() {
        let sources = report.sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "\nSources: {sources}");
    }
    text
}

/// `silver.orders.status  filter of gold.daily_revenue`
fn rows_line(edge: &LineageEdge) -> String {
    format!("{}  {}", edge.from, styled(FAINT, format_args!("{} of {}", use_word(edge.used), edge.to_table)))
}

/// One direction of the lineage as an indented tree; what was shown above is not unfolded again.
struct Tree<'a> {
    report: &'a LineageReport,
    up: bool,
}

impl Tree<'_> {
    fn lines(&self, root: &ColumnRef) -> String {
        let mut text = String::new();
        self.branch(root, "    ", &mut BTreeSet::new(), &mut text);
        text
    }

    fn branch(&self, of: &ColumnRef, indent: &str, shown: &mut BTreeSet<ColumnRef>, text: &mut String) {
        let edges: Vec<&LineageEdge> =
            if self.up { self.report.upstream.iter() } else { self.report.downstream.iter() }
                .filter(|edge| self.start(edge).as_ref() == Some(of))
                .collect();
        for (index, edge) in edges.iter().enumerate() {
            let is_last = index + 1 == edges.len();
            let (corner, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let used = styled(FAINT, use_word(edge.used));
            let Some(end) = self.end(edge) else {
                let _ = writeln!(text, "{indent}{corner}the rows of {}  {used}", edge.to_table);
                continue;
            };
            let is_new = shown.insert(end.clone());
            let above = if is_new || !self.has_more(&end) { "" } else { "  (above)" };
            let _ = writeln!(text, "{indent}{corner}{end}  {used}{above}");
            if is_new {
                self.branch(&end, &format!("{indent}{below}"), shown, text);
            }
        }
    }

    fn has_more(&self, of: &ColumnRef) -> bool {
        let edges = if self.up { &self.report.upstream } else { &self.report.downstream };
        edges.iter().any(|edge| self.start(edge).as_ref() == Some(of))
    }

    /// The end of the edge that is nearer to the column that was asked for.
    fn start(&self, edge: &LineageEdge) -> Option<ColumnRef> {
        if self.up { to(edge) } else { Some(edge.from.clone()) }
    }

    fn end(&self, edge: &LineageEdge) -> Option<ColumnRef> {
        if self.up { Some(edge.from.clone()) } else { to(edge) }
    }
}

fn to(edge: &LineageEdge) -> Option<ColumnRef> {
    let column = edge.to_column.clone()?;
    Some(ColumnRef { table: edge.to_table.clone(), column })
}
