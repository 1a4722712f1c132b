//! Rows to take out of an append-only table: as many occurrences of each as the inputs lost.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, BooleanArray, RecordBatch},
        compute::filter_record_batch,
        datatypes::{Int64Type, SchemaRef},
        row::{OwnedRow, RowConverter, SortField},
    },
    catalog::TableProvider,
    common::Result,
    execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use millstream_query::QueryRuntime;

use super::{
    error::IncrementalError,
    evaluation::run,
    inputs::read_as,
    key_set::{KeyRange, KeySet},
    maintenance::output,
};

/// A multiset of rows that leave a table.
#[derive(Clone, Debug)]
pub struct Removal {
    rows: KeySet,
    counts: ArrayRef,
    schema: SchemaRef,
}

impl Removal {
    /// The removal of the rows in `batches`, which hold the columns of `schema` and then how often each row leaves
    /// (Int64).
    pub(super) fn new(schema: SchemaRef, batches: &[RecordBatch], counted: &SchemaRef) -> Result<Self> {
        let all = datafusion::arrow::compute::concat_batches(counted, batches)?;
        let width = schema.fields().len();
        let rows = all.project(&(0..width).collect::<Vec<_>>())?;
        let rows = RecordBatch::try_new(Arc::clone(&schema), rows.columns().to_vec())?;
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let exprs = names.iter().map(|name| output(name)).collect();
        Ok(Self {
            rows: KeySet::new(names, exprs, &schema, &[rows])?,
            counts: Arc::clone(all.column(width)),
            schema,
        })
    }

    /// The number of rows to take out.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.counts.as_primitive::<Int64Type>().values().iter().sum()
    }

    /// The least and greatest value of each column of the table, for choosing the files that can hold the rows.
    #[must_use]
    pub fn ranges(&self) -> Vec<KeyRange> {
        self.rows.ranges()
    }

    /// True for every row that may have to leave; see [`KeySet::predicate`].
    #[must_use]
    pub fn predicate(&self) -> Option<datafusion::logical_expr::Expr> {
        self.rows.predicate()
    }

    /// The rows of `files` that stay. The stream ends with [`IncrementalError::NeedsFullRebuild`] when a row
    /// was not found, so nothing may be committed before its end.
    pub fn survivors<'a>(
        &'a self,
        runtime: &'a dyn QueryRuntime,
        files: Arc<dyn TableProvider>,
    ) -> BoxFuture<'a, Result<SendableRecordBatchStream, IncrementalError>> {
        Box::pin(async move {
            let failed = "reading the rows that stay";
            let plan = read_as(files, &self.schema).map_err(IncrementalError::engine(failed))?;
            let input = run(runtime, plan).await.map_err(IncrementalError::engine(failed))?;
            let leaving = Leaving::new(self).map_err(IncrementalError::engine(failed))?;
            let schema = Arc::clone(&self.schema);
            let stream = stream::try_unfold((input, leaving), |(mut input, mut leaving)| async move {
                match input.try_next().await? {
                    Some(batch) => Ok(Some((leaving.take_out(&batch)?, (input, leaving)))),
                    None => leaving.finish().map(|()| None),
                }
            });
            let rows: SendableRecordBatchStream =
                Box::pin(RecordBatchStreamAdapter::new(schema, stream.boxed()));
            Ok(rows)
        })
    }
}

struct Leaving {
    converter: RowConverter,
    left: HashMap<OwnedRow, i64>,
    schema: SchemaRef,
}

impl Leaving {
    fn new(removal: &Removal) -> Result<Self> {
        let fields =
            removal.schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let rows = converter.convert_columns(removal.rows.batch().columns())?;
        let counts = removal.counts.as_primitive::<Int64Type>();
        let left = rows.iter().zip(counts.values()).map(|(row, count)| (row.owned(), *count)).collect();
        Ok(Self { converter, left, schema: Arc::clone(&removal.schema) })
    }

    fn take_out(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = self.converter.convert_columns(batch.columns())?;
        let stays: BooleanArray = rows
            .iter()
            .map(|row| match self.left.get_mut(&row.owned()) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    Some(false)
                }
                _ => Some(true),
            })
            .collect();
        let kept = filter_record_batch(batch, &stays)?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), kept.columns().to_vec())?)
    }

    fn finish(self) -> Result<()> {
        let missing: i64 = self.left.values().sum();
        if missing == 0 {
            return Ok(());
        }
        let why = format!(
            "{missing} rows that its inputs lost are not in the table as the query computes them now"
        );
        Err(IncrementalError::NeedsFullRebuild { why }.into())
    }
}
