//! Plans every table of a project against contracts alone, and reports every problem that this shows.

mod checks;
mod comparisons;
mod graph;
mod output;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{logical_expr::LogicalPlan, sql::sqlparser::ast::Query};
use indexmap::IndexMap;
use millstream_project::{Diagnostic, Location, Materialize, SourceSpec, TableSpec};
use millstream_types::{Fingerprint, TableName};

use crate::{
    catalog::{Catalog, VALID_FROM, VALID_TO, rejected_schema, timestamp},
    codes,
    explain::{Problem, explain},
    fingerprint::fingerprint,
    lineage::{Direct, TableLineage},
    nearest::{name_hint, nearest},
    parse::{Reference, parse_query, references},
    place::SqlText,
    planner::{Planner, offline_state},
};

/// What is known of a project's SQL without running any.
#[derive(Debug, Default)]
pub struct Analysis {
    /// The tables that plan, each after the tables that it reads.
    pub tables: IndexMap<TableName, TableAnalysis>,
    /// In the order of tables, then places.
    pub diagnostics: Vec<Diagnostic>,
    catalog: Catalog,
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
    /// Analysed (types coerced), not optimised; its scans hold [`crate::ProjectTable`]s.
    pub plan: LogicalPlan,
    /// Changes when the SQL's meaning changes, not with comments, spaces or letter case.
    pub fingerprint: Fingerprint,
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

/// Analyses a project's SQL. Pure: no file is read and nothing is run.
#[must_use]
pub fn analyze(sources: &[SourceSpec], tables: &[TableSpec]) -> Analysis {
    let mut catalog = Catalog::of_sources(sources);
    for table in tables.iter().filter(|table| !matches!(table.materialize, Materialize::View)) {
        catalog.insert(table.name.rejected(), rejected_schema());
    }
    let mut analyzer = Analyzer {
        tables: tables.iter().map(|table| (table.name.clone(), table)).collect(),
        analysis: Analysis { catalog, ..Analysis::default() },
    };
    let parsed: Vec<_> = tables.iter().map(|table| analyzer.parse(table)).collect();
    let mut reports: HashMap<&TableName, Vec<Diagnostic>> = HashMap::new();
    let mut ready = HashMap::new();
    let mut failed = HashSet::new();
    for (table, parsed) in tables.iter().zip(parsed) {
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
        failed.insert(table.name.clone());
        reports.entry(&table.name).or_default().push(diagnostic);
    }
    failed.extend(order.circular);
    for table in order.tables {
        let Some(parsed) = ready.remove(&table.name) else { continue };
        if failed.contains(&table.name) {
            continue;
        }
        let upstream_failed = parsed.dependencies.iter().any(|read| failed.contains(&read.name));
        let planned = if upstream_failed { Err(Vec::new()) } else { analyzer.plan(table, parsed) };
        let diagnostics = planned.unwrap_or_else(|diagnostics| {
            failed.insert(table.name.clone());
            diagnostics
        });
        reports.entry(&table.name).or_default().extend(diagnostics);
    }
    analyzer.finish(sources, tables, reports)
}

/// A table of which the text is a query over known tables.
pub(crate) struct Parsed<'a> {
    text: SqlText<'a>,
    query: Box<Query>,
    dependencies: Vec<Read>,
}

/// One table that a query reads, and where the query first says so.
pub(crate) struct Read {
    name: TableName,
    range: std::ops::Range<usize>,
}

struct Analyzer<'a> {
    tables: HashMap<TableName, &'a TableSpec>,
    analysis: Analysis,
}

impl<'a> Analyzer<'a> {
    fn parse(&self, table: &'a TableSpec) -> Result<Parsed<'a>, Vec<Diagnostic>> {
        let text = SqlText::new(&table.sql.value);
        let query = parse_query(&text).map_err(|problem| vec![diagnostic(problem, table.sql.at)])?;
        let mut dependencies: Vec<Read> = Vec::new();
        let mut problems = Vec::new();
        for reference in references(&query, &text) {
            if reference.versioned {
                let problem = Problem::new(
                    codes::TIME_TRAVEL,
                    "a table's SQL cannot ask for a version",
                    reference.range,
                )
                .with_hint(
                    "remove it: a table reads the newest versions; use time travel in `millstream query`",
                );
                problems.push(diagnostic(problem, table.sql.at));
                continue;
            }
            match self.resolve(&reference) {
                Ok(name) if dependencies.iter().any(|known| known.name == name) => {}
                Ok(name) => dependencies.push(Read { name, range: reference.range }),
                Err(problem) => problems.push(diagnostic(problem, table.sql.at)),
            }
        }
        if problems.is_empty() { Ok(Parsed { text, query, dependencies }) } else { Err(problems) }
    }

    fn is_known(&self, name: &TableName) -> bool {
        self.analysis.catalog.get(name).is_some() || self.tables.contains_key(name)
    }

    fn resolve(&self, reference: &Reference) -> Result<TableName, Problem> {
        let written = reference.parts.join(".");
        if let [schema, name] = reference.parts.as_slice()
            && let Ok(name) = TableName::new(schema, name)
            && self.is_known(&name)
        {
            return Ok(name);
        }
        let mut known: Vec<String> = self.tables.keys().map(ToString::to_string).collect();
        known.extend(
            self.analysis.catalog.names().filter(|name| !name.is_rejected()).map(ToString::to_string),
        );
        known.sort();
        known.dedup();
        let problem =
            Problem::new(codes::UNKNOWN_TABLE, format!("unknown table `{written}`"), reference.range.clone());
        let hint = unknown_table_hint(&reference.parts, &written, &known);
        Err(Problem { hint, ..problem })
    }

    /// Plans one table; its warnings and faults that do not keep readers from planning are the `Ok` value.
    fn plan(&mut self, table: &TableSpec, parsed: Parsed<'_>) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let Parsed { text, query, dependencies } = parsed;
        let refuse = |problems: Vec<Problem>| -> Vec<Diagnostic> {
            problems.into_iter().map(|problem| diagnostic(problem, table.sql.at)).collect()
        };
        let planner = Planner::new(offline_state(), &self.analysis.catalog);
        let plan = planner.plan(query.clone()).map_err(|error| refuse(explain(&error, &text)))?;
        let mismatched = comparisons::mismatched(&plan, &text);
        if !mismatched.is_empty() {
            return Err(refuse(mismatched));
        }
        let located = |error| refuse(comparisons::locate(explain(&error, &text), &plan, &text));
        let plan = planner.analyse(plan.clone()).map_err(located)?;
        let schema = output::storable_output(&plan, &query, &text).map_err(refuse)?;
        let stored_schema = stored_schema(&table.materialize, &schema);
        let own = self.header(table, &schema);
        self.analysis.catalog.insert(table.name.clone(), stored_schema.clone());
        let analysed = TableAnalysis {
            name: table.name.clone(),
            dependencies: dependencies.into_iter().map(|read| read.name).collect(),
            fingerprint: fingerprint(&plan, &schema),
            schema,
            stored_schema,
            plan,
            history_time: match &table.materialize {
                Materialize::History { time, .. } => time.as_ref().map(|time| time.value.clone()),
                _ => None,
            },
            lineage: OnceLock::new(),
        };
        self.analysis.tables.insert(table.name.clone(), analysed);
        Ok(own)
    }

    /// The columns that the header's `key`, `time` and `partition` name.
    fn header(&self, table: &TableSpec, schema: &Schema) -> Vec<Diagnostic> {
        output::header_columns(&table.materialize, schema)
    }

    fn finish(
        mut self,
        sources: &[SourceSpec],
        tables: &[TableSpec],
        mut reports: HashMap<&TableName, Vec<Diagnostic>>,
    ) -> Analysis {
        let mut diagnostics = Vec::new();
        let context = checks::Context { analysis: &self.analysis, tables: &self.tables };
        for source in sources {
            diagnostics.extend(context.source(source));
        }
        for table in tables {
            diagnostics.extend(reports.remove(&table.name).unwrap_or_default());
            if let Some(analysed) = self.analysis.tables.get(&table.name) {
                diagnostics.extend(context.table(table, &analysed.schema));
            }
        }
        self.analysis.diagnostics = diagnostics;
        self.analysis
    }
}

/// A history table's readers see from when to when each state held.
fn stored_schema(materialize: &Materialize, schema: &SchemaRef) -> SchemaRef {
    if !matches!(materialize, Materialize::History { .. }) {
        return schema.clone();
    }
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(VALID_FROM, timestamp(), true)));
    fields.push(Arc::new(Field::new(VALID_TO, timestamp(), true)));
    Arc::new(Schema::new(fields))
}

fn unknown_table_hint(parts: &[String], written: &str, known: &[String]) -> Option<String> {
    let names = known.iter().map(String::as_str);
    let Some(name) = parts.last() else { return None };
    let same_name = names.clone().find(|known| known.split('.').next_back() == Some(name));
    match (parts.len(), same_name) {
        (1 | 2, Some(full)) => Some(format!("did you mean `{full}`?")),
        (1, None) => {
            let near = nearest(name, names.clone().filter_map(|known| known.split('.').next_back()));
            let full =
                near.and_then(|near| names.clone().find(|known| known.split('.').next_back() == Some(near)));
            Some(full.map_or_else(
                || "tables are named `schema.table`, as in `bronze.orders`".to_owned(),
                |full| format!("did you mean `{full}`?"),
            ))
        }
        (2, None) => name_hint(written, names, "known tables"),
        _ => Some("tables are named `schema.table`, as in `bronze.orders`".to_owned()),
    }
}

/// A problem of a SQL text that stands at `at` in a file.
pub(crate) fn diagnostic(problem: Problem, at: Location) -> Diagnostic {
    let Problem { code, message, range, label, hint } = problem;
    let place = Location { file: at.file, start: at.start + range.start, end: at.start + range.end };
    Diagnostic { label, hint, ..Diagnostic::error(code, message, place) }
}
