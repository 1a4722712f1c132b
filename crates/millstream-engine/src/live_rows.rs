//! The rows of a streaming source as they are at this moment: those that have landed, and behind their positions those that are only
//! in the event log. Both are of one instant, so that no row is there twice and none is missing while a landing commits: the version
//! of the table comes first, and the log is read from exactly the positions that this version has.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, new_null_array},
    compute::cast,
    datatypes::SchemaRef,
    error::ArrowError,
};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    datasource::MemTable,
    error::Result as DataFusionResult,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{ExecutionPlan, union::UnionExec},
};
use millstream_connector::Intake;
use millstream_log::LogError;
use millstream_project::SourceSpec;

use crate::{
    EngineError,
    assets::source::landing::{Standing, standing},
    engine::World,
    error::told,
    resolver::provider,
    source_rows::{RowsBound, SourceRows},
};

/// The most bytes of rows that one query takes from the log, where they are held in memory.
const TAIL_BYTES_MAX: usize = 64 << 20;

/// The rows of a streaming source at this moment; `None` where it has none yet, and where this process has not opened the log.
pub(crate) async fn live_rows(
    world: &Arc<World>,
    source: &SourceSpec,
) -> Result<Option<Arc<dyn TableProvider>>, EngineError> {
    let Standing { snapshot, landing } = standing(world, source).await?;
    let rows = match SourceRows::open(world, &source.name).await {
        Ok(rows) => rows,
        Err(error @ EngineError::Log(LogError::Locked { .. })) => {
            tracing::warn!(
                source = %source.name,
                error = told(&error),
                "a query reads what has landed of a source alone: the process that has the event log open reads the rest"
            );
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut from = rows.starts().await?;
    for (partition, offset) in (0..rows.partitions()).zip(&mut from) {
        let id = Intake::part(&source.name, partition);
        if let Some(part) = landing.parts.iter().find(|part| part.id == id) {
            // What retention has taken since has landed.
            *offset = (*offset).max(u64::try_from(part.position.saturating_add(1)).unwrap_or(0));
        }
    }
    let schema = snapshot.as_ref().map_or_else(|| rows.schema().clone(), |snapshot| snapshot.schema());
    let tail = tail(&rows, source, from, &schema).await?;
    let compute = |source_error| EngineError::Compute { table: source.table(), source: source_error };
    let tail = tail.map_err(compute)?;
    let failed = |error| crate::stored::failed(&source.table(), error);
    let tail: Arc<dyn TableProvider> =
        Arc::new(MemTable::try_new(schema.clone(), vec![tail]).map_err(failed)?);
    let Some(snapshot) = snapshot else { return Ok(Some(tail)) };
    let landed = provider(&world.lake, &snapshot)?;
    Ok(Some(Arc::new(LandedAndTail { schema, landed, tail })))
}

/// The rows of the log behind these offsets, up to its present end.
async fn tail(
    rows: &SourceRows,
    source: &SourceSpec,
    mut from: Vec<u64>,
    schema: &SchemaRef,
) -> Result<Result<Vec<RecordBatch>, ArrowError>, EngineError> {
    let ends = rows.ends().await?;
    let (mut batches, mut bytes) = (Vec::new(), 0_usize);
    while from.iter().zip(&ends).any(|(from, end)| from < end) {
        let found = rows.present(&from, RowsBound::default()).await?;
        if found.is_empty() {
            break;
        }
        for checked in found {
            bytes = bytes.saturating_add(checked.rows.get_array_memory_size());
            if let Some(offset) = usize::try_from(checked.partition).ok().and_then(|at| from.get_mut(at)) {
                *offset = checked.offsets.end;
            }
            match as_landed(&checked.rows, schema) {
                Ok(rows) => batches.push(rows),
                Err(error) => return Ok(Err(error)),
            }
        }
        if bytes > TAIL_BYTES_MAX {
            let left: u64 = from.iter().zip(&ends).map(|(from, end)| end.saturating_sub(*from)).sum();
            tracing::warn!(
                source = %source.name,
                left,
                "the newest events of a source are left out of a query: more wait to be landed than a query holds"
            );
            break;
        }
    }
    Ok(Ok(batches))
}

/// The rows with the columns of the table, which may have more than the contract, and wider types.
fn as_landed(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match rows.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<Vec<_>, _>>()?)
}

/// Landed rows and those behind them.
#[derive(Debug)]
struct LandedAndTail {
    schema: SchemaRef,
    landed: Arc<dyn TableProvider>,
    tail: Arc<dyn TableProvider>,
}

#[async_trait]
impl TableProvider for LandedAndTail {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let landed = self.landed.scan(state, projection, filters, limit).await?;
        let tail = self.tail.scan(state, projection, &[], limit).await?;
        UnionExec::try_new(vec![landed, tail])
    }
}
