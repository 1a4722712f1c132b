//! Window functions over one partition of theirs at a time.
//!
//! The engine gathers all rows before it computes a window whose frame reaches to the end of its partition
//! (`sum(x) OVER (PARTITION BY k)`), and nobody counts their memory. The rows come sorted by partition, so what ends where a
//! partition ends can be computed by itself. What is gathered meanwhile is counted: a partition that does not fit is an
//! error and not the end of the process.

use std::{fmt, mem, sync::Arc};

use arrow::{array::RecordBatch, compute::concat_batches};
use datafusion::{
    common::{
        DataFusionError, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
        utils::evaluate_partition_ranges,
    },
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_expr::{PhysicalExpr, PhysicalSortExpr},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        ReplaceChildrenOptions, stream::RecordBatchStreamAdapter, windows::WindowAggExec,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use millstream_query::node::{Node, Operator};

/// The number of rows up to which partitions are gathered and computed together.
const PIECE_ROWS: usize = 8_192;

/// Lets windows of a finished plan be computed piece by piece.
#[derive(Debug)]
pub(crate) struct WindowsInPieces;

impl PhysicalOptimizerRule for WindowsInPieces {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|node| match node.downcast_ref::<WindowAggExec>() {
            Some(window) => Ok(Transformed::yes(PiecewiseWindow::over(window)?)),
            None => Ok(Transformed::no(node)),
        });
        changed.map(|done| done.data)
    }

    fn name(&self) -> &'static str {
        "WindowsInPieces"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A window that is computed for the rows of some partitions at a time.
#[derive(Debug)]
pub(super) struct PiecewiseWindow {
    window: Arc<WindowAggExec>,
    /// The keys that the rows of one partition have in common.
    keys: Vec<PhysicalSortExpr>,
}

impl PiecewiseWindow {
    fn over(window: &WindowAggExec) -> Result<Arc<dyn ExecutionPlan>> {
        let keys = window.partition_by_sort_keys()?;
        Ok(Arc::new(Self { window: Arc::new(window.clone()), keys }))
    }
}

impl DisplayAs for PiecewiseWindow {
    fn fmt_as(&self, how: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.window.fmt_as(how, f)
    }
}

impl ExecutionPlan for PiecewiseWindow {
    fn name(&self) -> &'static str {
        "PiecewiseWindow"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.window.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.window.children()
    }

    fn apply_expressions(
        &self,
        look: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.window.apply_expressions(look)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let window = Arc::clone(&self.window).replace_children(children, anew)?;
        match window.downcast_ref::<WindowAggExec>() {
            Some(window) => Self::over(window),
            None => Ok(window),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.window.input().execute(partition, Arc::clone(&context))?;
        let memory = MemoryConsumer::new(format!("window[{partition}]")).register(context.memory_pool());
        let pieces = Pieces { input, keys: self.keys.clone(), gathered: Vec::new(), rows: 0, memory };
        let window = Arc::clone(&self.window);
        let rows = pieces.stream().and_then(move |piece| {
            let computed = compute(&window, piece, Arc::clone(&context));
            futures::future::ready(computed)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.try_flatten())))
    }
}

/// The rows of whole partitions with the window's columns.
fn compute(
    window: &Arc<WindowAggExec>,
    piece: RecordBatch,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let piece = Node::over(Arc::clone(window.input()), Piece(piece));
    let as_it_is = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    let computed = Arc::clone(window).replace_children(vec![piece], as_it_is)?.execute(0, context)?;
    let schema = computed.schema();
    let batches = computed.map_ok(|batch| {
        let starts = (0..batch.num_rows()).step_by(PIECE_ROWS);
        let parts: Vec<Result<RecordBatch>> =
            starts.map(|start| Ok(batch.slice(start, PIECE_ROWS.min(batch.num_rows() - start)))).collect();
        stream::iter(parts)
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.try_flatten())))
}

/// The input, cut where partitions end.
struct Pieces {
    input: SendableRecordBatchStream,
    keys: Vec<PhysicalSortExpr>,
    gathered: Vec<RecordBatch>,
    rows: usize,
    memory: MemoryReservation,
}

impl Pieces {
    fn stream(self) -> impl stream::Stream<Item = Result<RecordBatch>> + Send {
        stream::try_unfold(Some(self), |state| async move {
            let Some(mut state) = state else { return Ok::<_, DataFusionError>(None) };
            while let Some(batch) = state.input.next().await {
                let batch = batch?;
                let end = state.last_end(&batch)?;
                if state.rows + end < PIECE_ROWS || (end == 0 && !state.begins_anew(&batch)?) {
                    state.gather(batch)?;
                    continue;
                }
                state.gather(batch.slice(0, end))?;
                let piece = state.take()?;
                state.gather(batch.slice(end, batch.num_rows() - end))?;
                return Ok(Some((piece, Some(state))));
            }
            Ok(Some((state.take()?, None)))
        })
    }

    /// Where the last partition of the batch begins.
    fn last_end(&self, batch: &RecordBatch) -> Result<usize> {
        Ok(self.partitions(batch)?.last().map_or(0, |last| last.start))
    }

    /// Whether the batch begins with another partition than the rows before it end with.
    fn begins_anew(&self, batch: &RecordBatch) -> Result<bool> {
        let Some(last) = self.gathered.last() else { return Ok(false) };
        if batch.num_rows() == 0 || last.num_rows() == 0 {
            return Ok(false);
        }
        let seam = [last.slice(last.num_rows() - 1, 1), batch.slice(0, 1)];
        Ok(self.partitions(&concat_batches(&batch.schema(), &seam)?)?.len() > 1)
    }

    fn partitions(&self, batch: &RecordBatch) -> Result<Vec<std::ops::Range<usize>>> {
        let keys = self.keys.iter().map(|key| key.evaluate_to_sort_column(batch));
        evaluate_partition_ranges(batch.num_rows(), &keys.collect::<Result<Vec<_>>>()?)
    }

    /// Twice what the rows take is counted: they are copied when they are computed.
    fn gather(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() > 0 {
            self.memory.try_grow(2 * batch.get_array_memory_size())?;
            self.rows += batch.num_rows();
            self.gathered.push(batch);
        }
        Ok(())
    }

    fn take(&mut self) -> Result<RecordBatch> {
        let gathered = mem::take(&mut self.gathered);
        self.rows = 0;
        let piece = concat_batches(&self.input.schema(), &gathered)?;
        self.memory.free();
        Ok(piece)
    }
}

/// Rows that take the place of their input, with all that is known of it.
#[derive(Clone, Debug)]
struct Piece(RecordBatch);

impl Operator for Piece {
    const NAME: &'static str = "Piece";

    fn anew(&self) -> Self {
        self.clone()
    }

    fn properties(input: &dyn ExecutionPlan) -> PlanProperties {
        PlanProperties::clone(input.properties())
    }

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        _: usize,
        _: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = stream::iter([Ok(self.0.clone())]);
        Ok(Box::pin(RecordBatchStreamAdapter::new(input.schema(), rows)))
    }
}
