//! What a plan over whole tables needs of rows in the order of their event times: the sessions that they make, and which of them are repeated.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, FieldRef, TimestampMicrosecondType},
};
use datafusion::{
    common::{Result, exec_err},
    logical_expr::{
        Expr, PartitionEvaluator, Signature, SortExpr, Volatility, WindowFunctionDefinition, WindowUDF,
        WindowUDFImpl,
        expr::WindowFunction,
        function::{PartitionEvaluatorArgs, WindowUDFFieldArgs},
    },
};

use super::bounds::Side;
use crate::catalog::timestamp;

/// A bound of the session that a row belongs to: rows with equal `keys` of which each is less than `gap` microseconds away from the next.
pub(super) fn session_bound(time: Expr, keys: Vec<Expr>, gap: i64, side: Side) -> Expr {
    let order = vec![time.clone().sort(true, true)];
    over(Sequence::Session { gap, side }, time, keys, order)
}

/// Whether a row stays when those are left out whose `keys` a row that stays had less than `within` microseconds before. `order` decides among rows of
/// one time.
pub(super) fn is_kept(time: Expr, keys: Vec<Expr>, within: i64, order: Vec<SortExpr>) -> Expr {
    let order = std::iter::once(time.clone().sort(true, true)).chain(order);
    over(Sequence::Kept { within }, time, keys, order.collect())
}

fn over(sequence: Sequence, time: Expr, keys: Vec<Expr>, order: Vec<SortExpr>) -> Expr {
    let function =
        WindowUDF::from(SequenceFunction { sequence, signature: Signature::any(1, Volatility::Immutable) });
    let mut call = WindowFunction::new(WindowFunctionDefinition::WindowUDF(Arc::new(function)), vec![time]);
    call.params.partition_by = keys;
    call.params.order_by = order;
    Expr::WindowFunction(Box::new(call))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sequence {
    Session { gap: i64, side: Side },
    Kept { within: i64 },
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SequenceFunction {
    sequence: Sequence,
    signature: Signature,
}

impl WindowUDFImpl for SequenceFunction {
    fn name(&self) -> &str {
        match self.sequence {
            Sequence::Session { side: Side::Start, .. } => "session_start_of",
            Sequence::Session { side: Side::End, .. } => "session_end_of",
            Sequence::Kept { .. } => "is_kept",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator(self.sequence)))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let data_type = match self.sequence {
            Sequence::Session { .. } => timestamp(),
            Sequence::Kept { .. } => DataType::Boolean,
        };
        Ok(Arc::new(Field::new(args.name(), data_type, true)))
    }
}

#[derive(Debug)]
struct Evaluator(Sequence);

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let times = values.first().and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(times) = times else { return exec_err!("an event time is a timestamp in microseconds") };
        Ok(match self.0 {
            Sequence::Session { gap, side } => {
                let bounds = sessions(times.values(), gap, side);
                Arc::new(TimestampMicrosecondArray::from(bounds).with_timezone("UTC"))
            }
            Sequence::Kept { within } => Arc::new(kept(times.values(), within)),
        })
    }

    fn uses_window_frame(&self) -> bool {
        false
    }
}

/// The bound of the session of each of the times, which are in order.
fn sessions(times: &[i64], gap: i64, side: Side) -> Vec<i64> {
    let mut bounds = Vec::with_capacity(times.len());
    for session in times.chunk_by(|before, next| next.saturating_sub(*before) < gap) {
        let bound = match side {
            Side::Start => session.first().copied().unwrap_or(0),
            Side::End => session.last().copied().unwrap_or(0).saturating_add(gap),
        };
        bounds.resize(bounds.len() + session.len(), bound);
    }
    bounds
}

/// Which of the times, in order, are not less than `within` after one that is kept.
fn kept(times: &[i64], within: i64) -> BooleanArray {
    let mut last: Option<i64> = None;
    let kept = times.iter().map(|time| {
        let fresh = last.is_none_or(|last| time.saturating_sub(last) >= within);
        if fresh {
            last = Some(*time);
        }
        Some(fresh)
    });
    kept.collect()
}
