//! Plans that give way: operators whose work for one batch has no bound hand control back every few milliseconds, so that a
//! query can be ended, and others run beside it.
//!
//! A join compares each row of a batch with all rows that it has gathered before it asks for the next batch, and gives control
//! back only then. So the batches come in pieces, whose size follows the time that one takes, and between two pieces the
//! thread's turn may end. The rows of slow functions come in pieces too, whatever operator calls them. What multiplies rows (joins,
//! `unnest`) or hands out what it has gathered (sorts, windows) lets the turn end between two batches of its output.

use std::{
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::{
        JoinSide, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext},
    physical_expr::{PhysicalExpr, ScalarFunctionExpr},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan, PlanProperties,
        execution_plan::{SchedulingType, replace_children_if_necessary},
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        unnest::UnnestExec,
        windows::BoundedWindowAggExec,
    },
};
use futures::{Stream, StreamExt};
use millstream_query::node::{Node, Operator};

use super::windows::PiecewiseWindow;
use crate::growth;

/// How long one thread works for a query before other tasks get their turn.
const TURN: Duration = Duration::from_millis(10);
/// The time that the work for one piece may take. Pieces shrink when it takes longer, and grow when it takes less than
/// half.
const PIECE_TIME: Duration = Duration::from_millis(400);
/// Pieces from this size on, as an exponent of 2, take a nested-loop join an eighth of the time for each pair of rows: it
/// computes those a row of its own side at a time, smaller ones as pairs that it writes down.
const QUICK_PAIRS: u32 = 10;

/// The functions whose time for one row may grow faster than the row.
const SLOW: [&str; 9] = [
    "levenshtein",
    "regexp_replace",
    "regexp_match",
    "regexp_like",
    "regexp_count",
    "regexp_instr",
    "array_except",
    "array_intersect",
    "array_has_all",
];

thread_local! {
    /// When this thread last gave way for the sake of its other tasks.
    static TURN_BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Makes the operators of a finished plan give way.
#[derive(Debug)]
pub(crate) struct Pacing;

impl PhysicalOptimizerRule for Pacing {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let paced = plan.transform_up(|node| {
            let node = match streamed_input(node.as_ref())? {
                Some((streamed, how)) => {
                    let mut inputs: Vec<_> = node.children().into_iter().cloned().collect();
                    if let Some(input) = inputs.get_mut(streamed) {
                        *input = Node::over(input.clone(), how);
                    }
                    replace_children_if_necessary(node, inputs)?
                }
                None if hands_out_much(node.as_ref()) => node,
                None => return Ok(Transformed::no(node)),
            };
            Ok(Transformed::yes(Node::over(node, Paced::Whole)))
        });
        paced.map(|done| done.data)
    }

    fn name(&self) -> &'static str {
        "Pacing"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Which input of an operator is worked on batch by batch, for long, and how it is paced: that side of a join which is compared
/// with the rows of the other, or the rows of a function. What a join gathers stays whole: the memory of a piece is counted
/// as that of its batch. So do the rows of functions that make much of little, of which only so much may be made in a batch.
fn streamed_input(node: &dyn ExecutionPlan) -> Result<Option<(usize, Paced)>> {
    let pieces = Paced::Pieces { makes_pairs: node.is::<NestedLoopJoinExec>() };
    if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        let side = match SortMergeJoinExec::probe_side(&join.join_type()) {
            JoinSide::Right => 1,
            JoinSide::Left | JoinSide::None => 0,
        };
        return Ok(Some((side, pieces)));
    }
    if node.is::<NestedLoopJoinExec>() || node.is::<HashJoinExec>() {
        return Ok(Some((1, pieces)));
    }
    if node.children().len() != 1 {
        return Ok(None);
    }
    let (mut is_slow, mut makes_large) = (false, false);
    node.apply_expressions(&mut |expr| {
        is_slow |= calls(expr, &|function| SLOW.contains(&function));
        makes_large |= calls(expr, &growth::makes_large);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(match (is_slow, makes_large) {
        (true, _) => Some((0, pieces)),
        (false, true) => Some((0, Paced::Whole)),
        (false, false) => None,
    })
}

/// Whether a function like that is called anywhere in the expression.
fn calls(expr: &Arc<dyn PhysicalExpr>, like: &dyn Fn(&str) -> bool) -> bool {
    let call = expr.downcast_ref::<ScalarFunctionExpr>();
    call.is_some_and(|call| like(call.fun().name()))
        || expr.children().into_iter().any(|child| calls(child, like))
}

fn hands_out_much(node: &dyn ExecutionPlan) -> bool {
    node.is::<CrossJoinExec>()
        || node.is::<UnnestExec>()
        || node.is::<SortExec>()
        || node.is::<SortPreservingMergeExec>()
        || node.is::<PiecewiseWindow>()
        || node.is::<BoundedWindowAggExec>()
}

/// Hands out its input's rows, with turns that end.
#[derive(Clone, Copy, Debug)]
enum Paced {
    /// Batches as they are.
    Whole,
    /// Batches cut to what their consumer can work through in time.
    Pieces {
        /// Whether the consumer is a nested-loop join.
        makes_pairs: bool,
    },
}

impl Operator for Paced {
    const NAME: &'static str = "Paced";

    fn anew(&self) -> Self {
        *self
    }

    fn properties(input: &dyn ExecutionPlan) -> PlanProperties {
        PlanProperties::clone(input.properties()).with_scheduling_type(SchedulingType::Cooperative)
    }

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = input.execute(partition, context)?;
        let pieces = match self {
            Self::Whole => None,
            Self::Pieces { makes_pairs } => Some(Pieces { makes_pairs: *makes_pairs, ..Pieces::default() }),
        };
        Ok(Box::pin(PacedStream { input, pieces, gave_way: false }))
    }
}

struct PacedStream {
    input: SendableRecordBatchStream,
    pieces: Option<Pieces>,
    /// Whether the last poll gave way; then this one makes progress, however long the thread's turn has been.
    gave_way: bool,
}

/// A batch that is handed out piece by piece.
#[derive(Default)]
struct Pieces {
    /// The rest of the input's last batch, which is still to be handed out.
    rest: Option<RecordBatch>,
    /// The exponent of 2 that gives the number of a piece's rows.
    size: u32,
    makes_pairs: bool,
    /// When the last piece was handed out; `None` once its consumer has asked for the next.
    handed_out: Option<Instant>,
}

impl Pieces {
    /// Takes note of the time that the last piece took.
    fn adapt(&mut self, now: Instant) {
        let Some(handed_out) = self.handed_out.take() else { return };
        let took = now.duration_since(handed_out);
        let leap = QUICK_PAIRS.checked_sub(self.size).filter(|leap| self.makes_pairs && *leap > 0);
        if took > PIECE_TIME {
            self.size = self.size.saturating_sub(1);
        } else if leap.is_some_and(|leap| took * (1 << leap) / 8 < PIECE_TIME) {
            self.size = QUICK_PAIRS;
        } else if took < PIECE_TIME / 2 {
            self.size = (self.size + 1).min(u32::BITS);
        }
    }

    /// The next piece of the batch at hand.
    fn cut(&mut self, now: Instant) -> Option<RecordBatch> {
        let batch = self.rest.take()?;
        let rows = 1_usize.checked_shl(self.size).unwrap_or(usize::MAX);
        self.handed_out = Some(now);
        if batch.num_rows() <= rows {
            return Some(batch);
        }
        self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        Some(batch.slice(0, rows))
    }
}

impl PacedStream {
    /// Whether the thread's turn is over. The first call on a thread begins one.
    fn gives_way(&mut self, now: Instant) -> bool {
        let began = TURN_BEGAN.get().unwrap_or(now);
        let is_over = now.saturating_duration_since(began) >= TURN;
        let gives_way = is_over && !self.gave_way;
        if is_over || TURN_BEGAN.get().is_none() {
            TURN_BEGAN.set(Some(now));
        }
        self.gave_way = gives_way;
        gives_way
    }
}

impl Stream for PacedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let now = Instant::now();
        if let Some(pieces) = &mut this.pieces {
            pieces.adapt(now);
        }
        if this.gives_way(now) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(pieces) = &mut this.pieces else { return this.input.poll_next_unpin(context) };
        loop {
            if let Some(piece) = pieces.cut(now) {
                return Poll::Ready(Some(Ok(piece)));
            }
            match std::task::ready!(this.input.poll_next_unpin(context)) {
                Some(Ok(batch)) => pieces.rest = Some(batch),
                other => return Poll::Ready(other),
            }
        }
    }
}

impl RecordBatchStream for PacedStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
