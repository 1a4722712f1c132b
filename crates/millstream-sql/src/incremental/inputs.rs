//! What is known of each input at its old and its new version, and how a plan is pinned to one of them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use datafusion::{
    catalog::TableProvider,
    common::{
        DataFusionError, Result, ScalarValue, TableReference,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    datasource::provider_as_source,
    logical_expr::{Expr, LogicalPlan, Projection, TableScan, TableScanBuilder, TableSource, cast},
};

use super::columns;
use crate::walk;

/// The change of an input table between the last build and now.
///
/// `added` and `removed` are the rows of the files that came and went: `old − removed + added = new` as
/// multisets. A row of a rewritten file that did not change may stand in both.
#[derive(Clone)]
pub struct InputChange {
    pub old: Arc<dyn TableProvider>,
    pub new: Arc<dyn TableProvider>,
    pub added: Option<Arc<dyn TableProvider>>,
    pub removed: Option<Arc<dyn TableProvider>>,
}

impl InputChange {
    /// An input that did not change, or one whose past does not matter (a first build).
    #[must_use]
    pub fn unchanged(table: Arc<dyn TableProvider>) -> Self {
        Self { old: Arc::clone(&table), new: table, added: None, removed: None }
    }
}

impl fmt::Debug for InputChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputChange")
            .field("added", &self.added.is_some())
            .field("removed", &self.removed.is_some())
            .finish_non_exhaustive()
    }
}

/// The inputs of one build, each under `schema.table`, as scans of the plan name it.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    tables: BTreeMap<String, InputTable>,
}

/// An [`InputChange`] as plans need it.
#[derive(Clone)]
pub(super) struct InputTable {
    old: Arc<dyn TableSource>,
    new: Arc<dyn TableSource>,
    pub(super) added: Option<Arc<dyn TableSource>>,
    pub(super) removed: Option<Arc<dyn TableSource>>,
}

impl fmt::Debug for InputTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputTable").field("changed", &self.changed()).finish_non_exhaustive()
    }
}

impl InputTable {
    fn changed(&self) -> bool {
        self.added.is_some() || self.removed.is_some()
    }
}

/// A state of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Old,
    New,
}

impl Inputs {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the change of one input. `table` is `schema.table`. A scan of a table that is not given reads what the plan
    /// was made with and counts as unchanged.
    #[must_use]
    pub fn with(mut self, table: &str, change: InputChange) -> Self {
        let input = InputTable {
            old: provider_as_source(change.old),
            new: provider_as_source(change.new),
            added: change.added.map(provider_as_source),
            removed: change.removed.map(provider_as_source),
        };
        self.tables.insert(table.to_owned(), input);
        self
    }

    /// Inputs for asking what a change of `table` would lead to, without any data.
    pub(super) fn supposing(plan: &LogicalPlan, table: &str) -> Result<Self> {
        let mut tables = BTreeMap::new();
        walk::all_nodes(plan, &mut |node| {
            if let LogicalPlan::TableScan(scan) = node
                && scan_name(&scan.table_name) == table
            {
                let input = InputTable {
                    old: Arc::clone(&scan.source),
                    new: Arc::clone(&scan.source),
                    added: Some(Arc::clone(&scan.source)),
                    removed: Some(Arc::clone(&scan.source)),
                };
                tables.insert(table.to_owned(), input);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Self { tables })
    }

    pub(super) fn of(&self, scan: &TableScan) -> Option<&InputTable> {
        self.tables.get(&scan_name(&scan.table_name))
    }

    /// The names of the tables that changed, in order.
    pub(super) fn changed(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().filter(|(_, input)| input.changed()).map(|(name, _)| name.as_str())
    }

    pub(super) fn any_removed(&self) -> bool {
        self.tables.values().any(|input| input.removed.is_some())
    }

    /// The plan, reading its inputs at `version`.
    pub(super) fn at(&self, plan: &LogicalPlan, version: Version) -> Result<LogicalPlan> {
        let mut differs = false;
        walk::change_all_nodes(plan.clone(), &mut |node| match &node {
            LogicalPlan::TableScan(scan) => match self.of(scan) {
                Some(input) => {
                    let source = if version == Version::Old { &input.old } else { &input.new };
                    let read = scan_over(scan, Arc::clone(source))?;
                    differs |= read.schema().fields() != scan.projected_schema.fields();
                    Ok(Transformed::yes(read))
                }
                None => Ok(Transformed::no(node)),
            },
            // Nodes keep the schema they were made with, which must not promise more than the new scan
            // holds (a column that was not null and now is).
            _ if differs => node.recompute_schema().map(Transformed::yes),
            _ => Ok(Transformed::no(node)),
        })
    }
}

/// All tables that `plan` reads, each once, in the order of the plan.
pub(super) fn tables_of(plan: &LogicalPlan) -> Result<Vec<String>> {
    let mut tables = Vec::new();
    walk::all_nodes(plan, &mut |node| {
        if let LogicalPlan::TableScan(scan) = node {
            let name = scan_name(&scan.table_name);
            if !tables.contains(&name) {
                tables.push(name);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

/// The name of a scanned table as `schema.table`, whatever the catalog.
pub(super) fn scan_name(table: &TableReference) -> String {
    match table.schema() {
        Some(schema) => format!("{schema}.{}", table.table()),
        None => table.table().to_owned(),
    }
}

/// `scan` reading `source` instead, with the columns, names and types that the plan was made with: a version
/// from before a column was added gives nulls for it, a narrower or differently encoded type is cast.
pub(super) fn scan_over(scan: &TableScan, source: Arc<dyn TableSource>) -> Result<LogicalPlan> {
    if !scan.filters.is_empty() || scan.fetch.is_some() {
        return Err(DataFusionError::Plan(format!("the scan of {} already holds filters", scan.table_name)));
    }
    let found = source.schema();
    let wanted = &scan.projected_schema;
    let positions: Vec<Option<usize>> =
        wanted.fields().iter().map(|field| found.column_with_name(field.name()).map(|(at, _)| at)).collect();
    let same = wanted.fields().iter().zip(&positions).all(|(field, at)| {
        at.is_some_and(|at| {
            let there = found.field(at);
            there.data_type() == field.data_type() && (field.is_nullable() || !there.is_nullable())
        })
    });
    let projection = positions.iter().copied().flatten().collect::<Vec<_>>();
    let read =
        TableScanBuilder::new(scan.table_name.clone(), source).with_projection(Some(projection)).build()?;
    let read = LogicalPlan::TableScan(read);
    if same {
        return Ok(read);
    }
    let exprs = wanted
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| {
            let name = columns::column(wanted, at);
            let expr = match positions[at].map(|position| found.field(position)) {
                Some(there) if there.data_type() == field.data_type() => return (at, name),
                Some(_) => cast(name, field.data_type().clone()),
                None => Expr::Literal(
                    ScalarValue::try_new_null(field.data_type()).unwrap_or(ScalarValue::Null),
                    None,
                ),
            };
            (at, expr)
        })
        .collect();
    columns::project_as(read, wanted, exprs)
}

/// A scan of all columns of `source`, under the name `alias`.
pub(super) fn scan_of(alias: &str, source: Arc<dyn TableSource>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::TableScan(TableScanBuilder::new(TableReference::bare(alias), source).build()?))
}

/// The columns of `provider` as an output with the fields of `schema`, by name.
pub(super) fn read_as(
    provider: Arc<dyn TableProvider>,
    schema: &datafusion::arrow::datatypes::Schema,
) -> Result<LogicalPlan> {
    let scan = scan_of("existing", provider_as_source(provider))?;
    let found = Arc::clone(scan.schema());
    let exprs = schema
        .fields()
        .iter()
        .map(|field| {
            let expr = match found.index_of_column_by_name(None, field.name()) {
                Some(at) if found.field(at).data_type() == field.data_type() => columns::column(&found, at),
                Some(at) => cast(columns::column(&found, at), field.data_type().clone()),
                None => Expr::Literal(ScalarValue::try_new_null(field.data_type())?, None),
            };
            Ok(columns::strip_alias(expr).alias(field.name()))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(scan))?))
}
