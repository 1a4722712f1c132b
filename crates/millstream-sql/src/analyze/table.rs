//! One table's analysis: its text, then its plan.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, OnceLock},
};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{common::DataFusionError, sql::sqlparser::ast::Query};
use millstream_project::{Diagnostic, Materialize, TableSpec};
use millstream_types::TableName;

use super::{
    TableAnalysis, comparisons, diagnostic,
    output::{OutputColumns, storable_output},
};
use crate::{
    catalog::{Catalog, VALID_FROM, VALID_TO, timestamp},
    codes, duplicates,
    explain::{Problem, explain},
    fingerprint::fingerprint,
    nearest::{name_hint, nearest},
    parameters,
    parse::{Reference, parse_query, references, text_as_table},
    place::SqlText,
    planner::{Planner, offline_state, windows_over_tables},
    stream::batch::has_windows,
};

/// A table whose text is a query over known tables.
pub(super) struct Parsed<'a> {
    text: SqlText<'a>,
    query: Box<Query>,
    pub(super) dependencies: Vec<Read>,
}

/// One table that a query reads, and the place where the query first names it.
pub(super) struct Read {
    pub(super) name: TableName,
    pub(super) range: Range<usize>,
}

/// Every table that SQL may name.
pub(super) struct Names<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) tables: &'a HashMap<TableName, &'a TableSpec>,
}

impl Names<'_> {
    /// Reads the table's text. All tables that do not exist are reported at once.
    pub(super) fn parse<'t>(&self, table: &'t TableSpec) -> Result<Parsed<'t>, Vec<Diagnostic>> {
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
            match self.resolve(&reference, &text) {
                Ok(name) if dependencies.iter().any(|known| known.name == name) => {}
                Ok(name) => dependencies.push(Read { name, range: reference.range }),
                Err(problem) => problems.push(diagnostic(problem, table.sql.at)),
            }
        }
        if problems.is_empty() { Ok(Parsed { text, query, dependencies }) } else { Err(problems) }
    }

    fn is_known(&self, name: &TableName) -> bool {
        self.catalog.get(name).is_some() || self.tables.contains_key(name)
    }

    fn resolve(&self, reference: &Reference, text: &SqlText<'_>) -> Result<TableName, Problem> {
        let written = reference.parts.join(".");
        if let [schema, name] = reference.parts.as_slice()
            && let Ok(name) = TableName::new(schema, name)
            && self.is_known(&name)
        {
            return Ok(name);
        }
        let mut known: Vec<String> = self.tables.keys().map(ToString::to_string).collect();
        known.extend(self.catalog.names().filter(|name| !name.is_rejected()).map(ToString::to_string));
        known.sort();
        known.dedup();
        let problem =
            Problem::new(codes::UNKNOWN_TABLE, format!("unknown table `{written}`"), reference.range.clone());
        let hint = text_as_table(&reference.range, text)
            .or_else(|| unknown_table_hint(&reference.parts, &written, &known));
        Err(Problem { hint, ..problem })
    }
}

/// Plans a table whose inputs are all in the catalog.
pub(super) fn plan(
    table: &TableSpec,
    parsed: Parsed<'_>,
    catalog: &Catalog,
) -> Result<TableAnalysis, Vec<Diagnostic>> {
    let Parsed { text, mut query, dependencies } = parsed;
    let refuse = |problems: Vec<Problem>| -> Vec<Diagnostic> {
        problems.into_iter().map(|problem| diagnostic(problem, table.sql.at)).collect()
    };
    parameters::substitute(&mut query, &table.parameters, &text).map_err(refuse)?;
    let planner = Planner::new(offline_state(), catalog);
    let columns = OutputColumns::new(&query, &text);
    let wrong = |error| refuse(duplicates::locate(explain(&error, &text), &text));
    let written = planner.plan_marked(query).map_err(wrong)?;
    let mismatched = comparisons::mismatched(&written, &text);
    if !mismatched.is_empty() {
        return Err(refuse(mismatched));
    }
    let analysed = |plan| planner.analyse(plan).map_err(|error| refuse(located(&error, &planner, &text)));
    let is_marked = has_windows(&written).map_err(wrong)?;
    let marked = if is_marked { Some(analysed(written.clone())?) } else { None };
    let plan = analysed(windows_over_tables(written).map_err(wrong)?)?;
    let marked = marked.or_else(|| table.materialize.stream().map(|_| plan.clone()));
    let schema = storable_output(&plan, &columns, &table.materialize).map_err(refuse)?;
    Ok(TableAnalysis {
        name: table.name.clone(),
        dependencies: dependencies.into_iter().map(|read| read.name).collect(),
        fingerprint: fingerprint(&plan, &schema),
        stored_schema: stored_schema(&table.materialize, &schema),
        schema,
        plan,
        marked,
        history_time: match &table.materialize {
            Materialize::History { time, .. } => time.as_ref().map(|time| time.value.clone()),
            _ => None,
        },
        lineage: OnceLock::new(),
    })
}

/// The analyser's problems, with places. The analyser consumed the plan, so the plan is made again.
fn located(error: &DataFusionError, planner: &Planner<'_>, text: &SqlText<'_>) -> Vec<Problem> {
    let problems = explain(error, text);
    match parse_query(text).ok().and_then(|query| planner.plan(query).ok()) {
        Some(plan) => comparisons::locate(problems, &plan, text),
        None => problems,
    }
}

/// The columns that readers of the table see: in a history table also from when to when each state held.
fn stored_schema(materialize: &Materialize, schema: &SchemaRef) -> SchemaRef {
    if !materialize.keeps_states() {
        return schema.clone();
    }
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(VALID_FROM, timestamp(), true)));
    fields.push(Arc::new(Field::new(VALID_TO, timestamp(), true)));
    Arc::new(Schema::new(fields))
}

fn unknown_table_hint(parts: &[String], written: &str, known: &[String]) -> Option<String> {
    let names = known.iter().map(String::as_str);
    let name = parts.last()?;
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
