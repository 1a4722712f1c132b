//! `millstream lineage`: where a column comes from, and who uses it.

use std::{collections::BTreeSet, fmt::Write};

use millstream_engine::Project;
use millstream_plan::{AssetFacts, Graph};
use millstream_sql::{ColumnRef, LineageEdge, LineageReport, lineage};
use millstream_types::{AssetId, TableName};

use crate::{
    CliError, Exit,
    output::{self, FAINT, STRONG, styled},
    project,
    session::Session,
    wire::{AssetLineageDocument, LineageDocument, Of, use_word},
};

/// Columns that a hint names.
const COLUMNS_NAMED_MAX: usize = 5;

/// Show where a column comes from, and who uses it
///
/// Reads the SQL only: no data is touched.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// `schema.table.column`, `schema.table` for all its columns, or an asset of another kind, as `view:orders`
    #[arg(value_name = "COLUMN")]
    pub(crate) column: String,
}

pub(crate) fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open_sound(session)?;
    if AssetId::new(&arguments.column).kind().is_some() {
        return show_asset(&project, &arguments.column, session);
    }
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
        let read_by = read_by(&project, &table);
        output::print_json(&LineageDocument { read_by, ..LineageDocument::of(&report) })?;
    } else {
        output::print(&format!("{}{}", text(&report), readers(&project, &table)))?;
    }
    Ok(Exit::Success)
}

/// What an asset that is no table is made of, and what is made of it, as far as the graph goes.
fn show_asset(project: &Project, name: &str, session: &Session) -> Result<Exit, CliError> {
    let id = project::asset_named(project, name)?;
    let Some(facts) = project.graph.get(&id) else { return Err(CliError::unknown("asset", name, &[])) };
    if session.settings.json {
        output::print_json(&AssetLineageDocument::of((&project.graph, facts)))?;
        return Ok(Exit::Success);
    }
    let mut text = format!(
        "{}  {}  {}\n",
        styled(STRONG, &facts.id),
        facts.kind.as_str(),
        styled(FAINT, format_args!("{}, {}", facts.path, facts.schedule))
    );
    for (title, up) in [("made of", true), ("used by", false)] {
        let mut lines = String::new();
        assets_from(&project.graph, &id, up, "    ", &mut BTreeSet::new(), &mut lines);
        if !lines.is_empty() {
            let _ = write!(text, "  {title}\n{lines}");
        }
    }
    output::print(&text)?;
    Ok(Exit::Success)
}

/// One direction of the graph as an indented tree; what was shown above is not unfolded again.
fn assets_from(
    graph: &Graph,
    of: &AssetId,
    up: bool,
    indent: &str,
    shown: &mut BTreeSet<AssetId>,
    text: &mut String,
) {
    let next: Vec<&AssetFacts> = if up { graph.inputs(of).collect() } else { graph.users(of).collect() };
    for (index, facts) in next.iter().enumerate() {
        let is_last = index + 1 == next.len();
        let (corner, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let is_new = shown.insert(facts.id.clone());
        let has_more = if up { graph.inputs(&facts.id).next() } else { graph.users(&facts.id).next() };
        let above = if is_new || has_more.is_none() { "" } else { "  (above)" };
        let _ = writeln!(text, "{indent}{corner}{}  {}{above}", facts.id, styled(FAINT, facts.kind.as_str()));
        if is_new {
            assets_from(graph, &facts.id, up, &format!("{indent}{below}"), shown, text);
        }
    }
}

/// Assets of other kinds that read a table, directly or through others.
pub(crate) fn read_by(project: &Project, table: &TableName) -> Vec<String> {
    let downstream = project.graph.downstream(&table.asset_id());
    downstream.into_iter().filter(|id| id.kind().is_some()).map(|id| id.to_string()).collect()
}

fn readers(project: &Project, table: &TableName) -> String {
    let names = read_by(project, table);
    if names.is_empty() { String::new() } else { format!("\nRead by: {}\n", names.join(", ")) }
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
