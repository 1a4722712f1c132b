//! Continuous tables: how each comes about from events, and what it is over whole tables.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use datafusion::common::DataFusionError;
use millstream_project::{Diagnostic, SourceSpec, TableSpec};
use millstream_types::{SourceName, TableName};

use super::{Analysis, diagnostic};
use crate::{
    explain::explain,
    place::SqlText,
    stream::{Compiled, Compiler, batch::over_streams},
};

/// Adds the plans of the continuous tables to an analysis, and the problems of those that have none.
pub(super) fn compile(
    analysis: &mut Analysis,
    sources: &[SourceSpec],
    tables: &[TableSpec],
    streaming: &BTreeSet<SourceName>,
) {
    let by_name: HashMap<TableName, &TableSpec> =
        tables.iter().map(|table| (table.name.clone(), table)).collect();
    let mut times: HashMap<TableName, String> = HashMap::new();
    for source in sources.iter().filter(|source| streaming.contains(&source.name)) {
        times.extend(source.contract.time.as_ref().map(|time| (source.table(), time.value.clone())));
    }
    let order: Vec<TableName> = analysis.tables.keys().cloned().collect();
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    for name in order {
        let Some(table) = by_name.get(&name).copied() else { continue };
        let Some(spec) = table.materialize.stream() else { continue };
        let compiled = {
            let sources = sources.iter().map(|source| (source.table(), source)).collect();
            Compiler { analysis, sources, tables: &by_name, streaming }.compile(table)
        };
        let Compiled { plan, views, diagnostics: found } = compiled;
        diagnostics.extend(found);
        let Some(plan) = plan else { continue };
        if let Some(analysed) = analysis.tables.get_mut(&name) {
            let mut times = times.clone();
            times.extend(views);
            match over_streams(analysed.plan.clone(), &times, spec) {
                Ok(over_tables) => analysed.plan = over_tables,
                Err(error) => {
                    diagnostics.extend(unplanned(&error, table));
                    continue;
                }
            }
        }
        times.insert(name.clone(), plan.time().to_owned());
        analysis.streams.insert(name, Arc::new(plan));
    }
    analysis.diagnostics.extend(diagnostics);
}

fn unplanned(error: &DataFusionError, table: &TableSpec) -> Vec<Diagnostic> {
    let text = SqlText::new(&table.sql.value);
    explain(error, &text).into_iter().map(|problem| diagnostic(problem, table.sql.at)).collect()
}
