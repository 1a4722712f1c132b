//! Plans that were made offline, over the tables that there are now.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{
        DFSchema, DataFusionError, Result, ScalarValue, TableReference,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    datasource::provider_as_source,
    logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection, TableScan, TableSource, cast},
};
use futures::future::BoxFuture;
use millstream_lake::At;
use millstream_types::TableName;

use super::{Resolved, SqlError, SqlSession};
use crate::{
    catalog::ProjectTable,
    schema::{storable_schema, storable_type},
    size::plannable,
    walk,
};

/// The table or view that takes the place of a scan of a project's table.
enum Input {
    Table(Arc<dyn TableSource>),
    View(LogicalPlan),
}

impl SqlSession {
    /// The plan of [`crate::TableAnalysis`] with every project table replaced by its newest version, columns in
    /// the types that the plan expects; a column that the stored table does not have yet is null.
    pub fn bind<'a>(
        &'a self,
        plan: &'a LogicalPlan,
    ) -> BoxFuture<'a, std::result::Result<LogicalPlan, SqlError>> {
        Box::pin(async move {
            let mut inputs = HashMap::new();
            for table in scanned(plan).map_err(SqlError::from_datafusion)? {
                let input = match self.resolver().resolve(&table, At::Latest).await? {
                    Some(Resolved::Table(provider)) => Input::Table(provider_as_source(provider)),
                    Some(Resolved::View { sql }) => {
                        Input::View(self.view(&table, &sql, At::Latest, 0).await?)
                    }
                    None => return Err(SqlError::NotBuilt { table }),
                };
                inputs.insert(table, input);
            }
            let bound = replace(plan.clone(), &inputs).and_then(|bound| plannable(&bound).map(|()| bound));
            bound.map_err(SqlError::from_datafusion)
        })
    }
}

fn scanned(plan: &LogicalPlan) -> Result<Vec<TableName>> {
    let mut tables = Vec::new();
    walk::all_nodes(plan, &mut |node| {
        if let Some(table) = project_table(node)
            && !tables.contains(&table.name)
        {
            tables.push(table.name.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

fn project_table(node: &LogicalPlan) -> Option<&ProjectTable> {
    match node {
        LogicalPlan::TableScan(scan) => scan.source.downcast_ref::<ProjectTable>(),
        _ => None,
    }
}

fn replace(plan: LogicalPlan, inputs: &HashMap<TableName, Input>) -> Result<LogicalPlan> {
    walk::change_all_nodes(plan, &mut |node| {
        let Some(table) = project_table(&node) else {
            // The nullability of the node's inputs may have changed.
            return node.recompute_schema().map(Transformed::yes);
        };
        let input = inputs
            .get(&table.name)
            .ok_or_else(|| DataFusionError::Plan(format!("`{}` was not resolved", table.name)))?;
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        Ok(Transformed::yes(adopt(scan, input, &table.schema)?))
    })
}

/// The input's rows as the scan promised them.
fn adopt(scan: &TableScan, input: &Input, schema: &SchemaRef) -> Result<LogicalPlan> {
    let name = &scan.table_name;
    let plan = match input {
        Input::Table(source) => LogicalPlanBuilder::scan(name.clone(), source.clone(), None)?.build()?,
        Input::View(plan) => plan.clone(),
    };
    let expected: Vec<_> = match &scan.projection {
        Some(columns) => columns.iter().map(|index| schema.field(*index)).collect(),
        None => schema.fields().iter().map(AsRef::as_ref).collect(),
    };
    let same = |field: &arrow::datatypes::Field, (index, expected): (usize, &arrow::datatypes::Field)| {
        plan.schema().qualified_field(index).0 == Some(name)
            && field.name() == expected.name()
            && field.data_type() == expected.data_type()
    };
    let fields = plan.schema().fields();
    if fields.len() == expected.len()
        && fields.iter().zip(expected.iter().enumerate()).all(|(f, (i, e))| same(f, (i, e)))
    {
        return Ok(plan);
    }
    let exprs = expected
        .into_iter()
        .map(|field| match position(plan.schema(), field.name()) {
            Some(index) => {
                let (qualifier, found) = plan.schema().qualified_field(index);
                let column = Expr::from((qualifier, found));
                let column = if found.data_type() == field.data_type() {
                    column
                } else {
                    cast(column, field.data_type().clone())
                };
                Ok(column.alias_qualified(Some(name.clone()), field.name()))
            }
            None => {
                let null = ScalarValue::try_from(field.data_type())?;
                Ok(Expr::Literal(null, None).alias_qualified(Some(name.clone()), field.name()))
            }
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

fn position(schema: &DFSchema, name: &str) -> Option<usize> {
    schema.fields().iter().position(|field| field.name() == name)
}

/// The plan with its columns cast to the types in which a table stores them, without qualifiers.
pub(super) fn storable_plan(plan: LogicalPlan) -> Result<LogicalPlan> {
    let stored = storable_schema(plan.schema()).map_err(|errors| {
        let messages: Vec<_> = errors.iter().map(ToString::to_string).collect();
        DataFusionError::Plan(messages.join("; "))
    })?;
    let exprs: Vec<Expr> = plan
        .schema()
        .iter()
        .zip(stored.fields())
        .map(|((qualifier, found), field)| {
            let column = Expr::from((qualifier, found));
            let column = if storable_type(found.data_type()).as_ref() == Some(found.data_type()) {
                column
            } else {
                cast(column, field.data_type().clone())
            };
            column.alias_qualified(None::<TableReference>, field.name())
        })
        .collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}
