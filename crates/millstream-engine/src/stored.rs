//! Rows that are already stored: streams of them, and the values that relationship checks compare with.

use std::sync::Arc;

use datafusion::{
    catalog::TableProvider,
    error::DataFusionError,
    execution::SendableRecordBatchStream,
    prelude::{Expr, ident},
};
use millstream_lake::At;
use millstream_project::CheckSpec;
use millstream_quality::{KeySet, Relations, relations_of};
use millstream_query::{Execution, scan as rows_of};
use millstream_sql::{SqlError, incremental::IncrementalError};
use millstream_types::TableName;

use crate::{EngineError, engine::World, resolver::provider};

/// The values that relationship checks compare with. A table that was never built has none: the step fails, because rows
/// must not be published unchecked, and is tried again by the next run.
pub(crate) async fn relations(world: &World, checks: &[CheckSpec]) -> Result<Relations, EngineError> {
    let mut relations = Relations::new();
    for relation in relations_of(checks) {
        let keys = match world.lake.snapshot(&relation.table, At::Latest).await? {
            Some(snapshot) => KeySet::load(
                world.sql.runtime().as_ref(),
                provider(&world.lake, &snapshot)?,
                &relation.column,
            )
            .await
            .map_err(|source| EngineError::Quality { table: relation.table.clone(), source })?,
            None => return Err(EngineError::NeverBuilt { table: relation.table.clone() }),
        };
        relations.insert(relation, Arc::new(keys));
    }
    Ok(relations)
}

/// Streams columns of a provider, with an optional condition.
pub(crate) async fn scan(
    world: &World,
    table: &TableName,
    provider: Arc<dyn TableProvider>,
    columns: &[String],
    condition: Option<Expr>,
) -> Result<SendableRecordBatchStream, EngineError> {
    let failed = |source| failed(table, source);
    let rows = rows_of(provider).map_err(failed)?;
    let rows = match condition {
        Some(condition) => rows.filter(condition).map_err(failed)?,
        None => rows,
    };
    let plan = rows.project(columns.iter().map(ident)).and_then(|rows| rows.build()).map_err(failed)?;
    world.sql.runtime().stream(plan, Execution::default()).await.map_err(failed)
}

/// The engine's error for one that came out of the query engine. Faults that the incremental operators find while rows stream
/// (a key that is not unique, states that contradict each other) are taken out of the query engine's wrapping.
pub(crate) fn failed(table: &TableName, source: DataFusionError) -> EngineError {
    let table = table.clone();
    let source = match source {
        DataFusionError::Context(_, inner) => return failed(&table, *inner),
        DataFusionError::External(inner) => match inner.downcast::<IncrementalError>() {
            Ok(source) => return EngineError::Incremental { table, source: *source },
            Err(inner) => DataFusionError::External(inner),
        },
        source => source,
    };
    EngineError::Sql { table, source: SqlError::from_datafusion(source) }
}
