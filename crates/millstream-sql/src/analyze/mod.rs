//! Plans every table of a project against contracts alone, and reports every problem that this shows.

mod checks;
pub(crate) mod comparisons;
mod graph;
mod output;
mod parallel;
pub(crate) mod present;
mod streams;
mod table;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use indexmap::IndexMap;
use millstream_project::{Diagnostic, Evolution, Located, Location, Materialize, SourceSpec, TableSpec};
use millstream_types::{Fingerprint, SourceName, TableName};

use self::table::Names;
use crate::{
    catalog::{Catalog, rejected_schema},
    codes,
    explain::Problem,
    lineage::{Direct, TableLineage},
    stream::StreamPlan,
};

/// What is known of a project's SQL without running any.
#[derive(Debug, Default)]
pub struct Analysis {
    /// The tables that plan, each after the tables that it reads.
    pub tables: IndexMap<TableName, TableAnalysis>,
    /// The problems of the project, in the order of tables, then places.
    pub diagnostics: Vec<Diagnostic>,
    /// How the continuous tables come about from events, of those in which nothing stands in the way.
    pub streams: IndexMap<TableName, Arc<StreamPlan>>,
    pub(crate) catalog: Catalog,
}

impl Analysis {
    /// The stored schema of any table that SQL may name: landed, computed, or of rejected rows.
    #[must_use]
    pub fn schema(&self, table: &TableName) -> Option<&SchemaRef> {
        self.catalog.get(table).map(|table| &table.schema)
    }

    /// Every table that SQL may name, tables of rejected rows left out, in the order of names.
    #[must_use]
    pub fn known_tables(&self) -> Vec<TableName> {
        let mut names: Vec<_> = self.catalog.names().filter(|name| !name.is_rejected()).cloned().collect();
        names.sort();
        names
    }
}

/// One SQL table that plans.
#[derive(Clone, Debug)]
pub struct TableAnalysis {
    pub name: TableName,
    /// The tables that the SQL names, in the order of the text; tables of rejected rows under their own name.
    pub dependencies: Vec<TableName>,
    /// The result's columns, in types that a Delta table stores.
    pub schema: SchemaRef,
    /// What readers of the table see: `schema`, and for a history table `valid_from` and `valid_to`.
    pub stored_schema: SchemaRef,
    /// The plan of the SQL, analysed (types coerced) and not optimised; its scans hold [`crate::ProjectTable`]s.
    pub plan: LogicalPlan,
    /// The identity of the SQL's meaning. It changes with the meaning, not with comments, spaces or letter case.
    pub fingerprint: Fingerprint,
    /// The plan with marks for windows of event time, where it differs from `plan` or the table is continuous.
    pub(crate) marked: Option<LogicalPlan>,
    /// The column that says when a state of a history table began.
    history_time: Option<String>,
    lineage: OnceLock<TableLineage>,
}

impl TableAnalysis {
    /// Where the table's columns come from in the tables that it reads; computed on first use.
    pub fn lineage(&self) -> &TableLineage {
        self.lineage.get_or_init(|| {
            let mut lineage = TableLineage::of_plan(&self.plan, &self.schema);
            let period = self.history_time.as_ref().and_then(|time| lineage.columns.get(time)).cloned();
            for field in self.stored_schema.fields().iter().skip(self.schema.fields().len()) {
                let inputs = period.clone().unwrap_or_default().at_least(Direct::Transformation);
                lineage.columns.insert(field.name().clone(), inputs);
            }
            lineage
        })
    }
}

/// Analyses a project's SQL, its continuous tables as well. `streaming` are the sources whose events come through the event log.
#[must_use]
pub fn analyze_streams(
    sources: &[SourceSpec],
    tables: &[TableSpec],
    streaming: &BTreeSet<SourceName>,
) -> Analysis {
    let mut analysis = analyze(sources, tables);
    streams::compile(&mut analysis, sources, tables, streaming);
    analysis
}

/// Analyses a project's SQL. Pure: no file is read and nothing is run. Tables that do not read each other are
/// planned side by side. Of continuous tables, only what they are over whole tables is looked at.
#[must_use]
pub fn analyze(sources: &[SourceSpec], tables: &[TableSpec]) -> Analysis {
    let mut catalog = Catalog::of_sources(sources);
    for table in tables.iter().filter(|table| !matches!(table.materialize, Materialize::View)) {
        catalog.insert(table.name.rejected(), rejected_schema());
    }
    let by_name: HashMap<_, _> = tables.iter().map(|table| (table.name.clone(), table)).collect();
    let mut analysis = Analysis { catalog, ..Analysis::default() };
    let mut reports: HashMap<&TableName, Vec<Diagnostic>> = HashMap::new();
    let mut failed = HashSet::new();
    let mut ready = HashMap::new();
    let names = Names { catalog: &analysis.catalog, tables: &by_name };
    let parsed = parallel::map(tables.iter().collect(), |table| (table, names.parse(table)));
    for (table, parsed) in parsed {
        match parsed {
            Ok(parsed) => {
                ready.insert(&table.name, parsed);
            }
            Err(diagnostics) => {
                failed.insert(table.name.clone());
                reports.insert(&table.name, diagnostics);
            }
        }
    }
    let order = graph::order(tables, &ready);
    for (table, diagnostic) in order.cycles {
        reports.entry(&table.name).or_default().push(diagnostic);
    }
    failed.extend(order.circular);
    for level in order.levels {
        let mut open = Vec::with_capacity(level.len());
        for table in level {
            let Some(parsed) = ready.remove(&table.name).filter(|_| !failed.contains(&table.name)) else {
                continue;
            };
            // The table that failed has a message of its own.
            if parsed.dependencies.iter().any(|read| failed.contains(&read.name)) {
                failed.insert(table.name.clone());
            } else {
                let growing = growing_source(sources, &parsed.dependencies);
                open.push((table, parsed, growing));
            }
        }
        let catalog = &analysis.catalog;
        let planned = parallel::map(open, |(table, parsed, growing)| {
            let planned = table::plan(table, parsed, catalog);
            (table, planned.map_err(|found| hint_at_growth(found, growing.as_ref())))
        });
        for (table, planned) in planned {
            match planned {
                Ok(analysed) => {
                    analysis.catalog.insert(table.name.clone(), analysed.stored_schema.clone());
                    analysis.tables.insert(table.name.clone(), analysed);
                }
                Err(diagnostics) => {
                    failed.insert(table.name.clone());
                    reports.entry(&table.name).or_default().extend(diagnostics);
                }
            }
        }
    }
    analysis.diagnostics = diagnose(&analysis, sources, tables, &by_name, reports);
    analysis
}

/// A source among those that a table reads whose table may have more columns than its contract names.
fn growing_source(sources: &[SourceSpec], reads: &[table::Read]) -> Option<TableName> {
    let grows = |source: &&SourceSpec| source.contract.evolution != Evolution::Freeze;
    let mut growing = sources.iter().filter(grows).map(SourceSpec::table);
    growing.find(|table| reads.iter().any(|read| read.name == *table))
}

/// Adds to unknown columns the hint that `growing` may have such a column. SQL is planned against contracts alone, so a
/// column that only the stored table has is unknown to it. A known column of nearly the same name is the likelier cause.
fn hint_at_growth(mut found: Vec<Diagnostic>, growing: Option<&TableName>) -> Vec<Diagnostic> {
    let Some(table) = growing else { return found };
    for diagnostic in found.iter_mut().filter(|one| one.code == codes::UNKNOWN_COLUMN) {
        let more = format!("SQL uses a column that `{table}` gained by evolution once its contract names it");
        diagnostic.hint = Some(match diagnostic.hint.take() {
            None => more,
            Some(near) if near.starts_with("did you mean") => near,
            Some(hint) => format!("{hint}; {more}"),
        });
    }
    found
}

/// All problems, in the order of sources, then tables, with those that only show once everything is planned.
fn diagnose(
    analysis: &Analysis,
    sources: &[SourceSpec],
    tables: &[TableSpec],
    by_name: &HashMap<TableName, &TableSpec>,
    mut reports: HashMap<&TableName, Vec<Diagnostic>>,
) -> Vec<Diagnostic> {
    let context = checks::Context { analysis, tables: by_name };
    let mut diagnostics: Vec<_> = sources.iter().flat_map(|source| context.source(source)).collect();
    for table in tables {
        diagnostics.extend(reports.remove(&table.name).unwrap_or_default());
        if let Some(analysed) = analysis.tables.get(&table.name) {
            diagnostics.extend(output::header_columns(&table.materialize, &analysed.schema));
            let partition = table.partition.as_ref();
            diagnostics.extend(
                partition.and_then(|partition| output::partition_column(partition, &analysed.schema)),
            );
            diagnostics.extend(present::unrepeatable(analysis, by_name, table));
            diagnostics.extend(context.table(table, &analysed.schema));
            diagnostics.extend(present::warning(analysis, by_name, table));
        }
    }
    diagnostics
}

/// A problem of a SQL text that stands at `at` in a file.
pub(crate) fn diagnostic(problem: Problem, at: Location) -> Diagnostic {
    let Problem { code, message, range, label, hint } = problem;
    let place = Location { file: at.file, start: at.start + range.start, end: at.start + range.end };
    Diagnostic { label, hint, ..Diagnostic::error(code, message, place) }
}

/// A problem of a SQL text that is a value of a YAML file. Its place is inside the value where the file holds the text
/// as it is, and the whole value otherwise (a block or escapes).
pub(crate) fn placed(problem: Problem, sql: &Located<String>) -> Diagnostic {
    let written = sql.at.end.saturating_sub(sql.at.start);
    match written.checked_sub(sql.value.len()).filter(|quotes| matches!(quotes, 0 | 2)) {
        Some(quotes) => diagnostic(problem, Location { start: sql.at.start + quotes / 2, ..sql.at }),
        None => diagnostic(Problem { range: 0..written, ..problem }, sql.at),
    }
}
