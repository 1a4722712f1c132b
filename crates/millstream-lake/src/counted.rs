//! How many rows the files of a scan really hold, counted where they are read, so that it can be compared with what the log
//! tells of the files.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, PlanProperties, metrics::MetricValue,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use millstream_query::node::{Node, Operator};

/// The metric of a Parquet scan that counts the rows which it read and left out, by a filter that was pushed into it.
const LEFT_OUT: &str = "pushdown_rows_pruned";

/// The rows of the last scan of a table that came to its end: those that it handed out, those that it read and a filter left
/// out, and those that the log tells of files which statistics exclude. Clones are the same count.
#[derive(Clone, Debug, Default)]
pub struct ScanCount(Arc<Mutex<Option<u64>>>);

impl ScanCount {
    /// `None` until a scan has come to its end.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, rows: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rows);
    }

    /// The scan, which tells its rows to this count once it has ended. The log tells `excluded` rows of files that are not read.
    pub(crate) fn over(&self, scan: Arc<dyn ExecutionPlan>, excluded: u64) -> Arc<dyn ExecutionPlan> {
        Node::over(scan, Counting(Arc::new(Scan::new(self.clone(), excluded))))
    }
}

/// Counts the rows of its input, which may leave rows out by filters that are pushed into it.
#[derive(Debug)]
struct Counting(Arc<Scan>);

#[derive(Debug)]
struct Scan {
    count: ScanCount,
    excluded: u64,
    handed_out: AtomicU64,
    /// The partitions that were read to their ends.
    ended: AtomicUsize,
}

impl Scan {
    fn new(count: ScanCount, excluded: u64) -> Self {
        Self { count, excluded, handed_out: AtomicU64::new(0), ended: AtomicUsize::new(0) }
    }

    /// A partition was read to its end.
    fn end(&self, input: &Arc<dyn ExecutionPlan>) {
        let ended = self.ended.fetch_add(1, Ordering::AcqRel) + 1;
        if ended == input.output_partitioning().partition_count() {
            let read = self.handed_out.load(Ordering::Acquire).saturating_add(left_out(input));
            self.count.tell(read.saturating_add(self.excluded));
        }
    }
}

/// The rows that the scans below have read and left out.
fn left_out(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let metrics = plan.metrics().unwrap_or_default();
    let counts = metrics.iter().filter_map(|metric| match metric.value() {
        MetricValue::Count { name, count } if name == LEFT_OUT => Some(count.value() as u64),
        _ => None,
    });
    counts.chain(plan.children().into_iter().map(left_out)).sum()
}

impl Operator for Counting {
    const NAME: &'static str = "Counting";

    /// Rows that the input leaves out by a filter are counted all the same.
    const PASSES_FILTERS: bool = true;

    fn anew(&self) -> Self {
        Self(Arc::new(Scan::new(self.0.count.clone(), self.0.excluded)))
    }

    fn properties(input: &dyn ExecutionPlan) -> PlanProperties {
        input.properties().as_ref().clone()
    }

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = input.execute(partition, context)?;
        let (schema, scan, counted, input) = (rows.schema(), self.0.clone(), self.0.clone(), input.clone());
        let rows = rows.inspect_ok(move |batch| {
            counted.handed_out.fetch_add(batch.num_rows() as u64, Ordering::AcqRel);
        });
        let end = std::iter::once(()).filter_map(move |()| {
            scan.end(&input);
            None
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.chain(stream::iter(end)))))
    }
}
