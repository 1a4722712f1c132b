//! Every column of every chunk looked at: figures for the manifest, and what looks like a leak. Columns are spread over
//! threads; each sees its chunks in order, so threads change nothing.

use std::{num::NonZeroUsize, thread};

use arrow::{
    array::{BooleanArray, RecordBatch, UInt8Array},
    buffer::BooleanBuffer,
    datatypes::Schema,
};

use super::{
    assemble::Chunk,
    hash::chance,
    layout::{ColumnSource, Layout},
    leakage::{Entities, Finding, Pair, TargetChunk},
    plan::DatasetPlan,
    split::{Side, Sides},
    statistics::{ColumnStatistics, Observer, SAMPLE_ROWS},
};
use crate::DatasetError;

/// Figures of all columns of the output.
pub(crate) struct Figures {
    observers: Vec<Observer>,
    /// The share of rows that are sampled, if not all are.
    share: Option<f64>,
    threads: NonZeroUsize,
}

impl Figures {
    /// `has_status` says for each column whether it comes with statuses; `rows` is how many there will be.
    #[allow(clippy::cast_precision_loss, reason = "a share of rows, roughly")]
    pub(crate) fn new(schema: &Schema, has_status: &[bool], rows: u64, threads: NonZeroUsize) -> Self {
        let share = (rows > SAMPLE_ROWS).then(|| SAMPLE_ROWS as f64 / rows as f64);
        let observer = |(field, has_status): (&std::sync::Arc<arrow::datatypes::Field>, &bool)| {
            Observer::new(field.data_type(), *has_status, share.is_some())
        };
        let observers = schema.fields().iter().zip(has_status).map(observer).collect();
        Self { observers, share, threads }
    }

    pub(crate) fn add(
        &mut self,
        rows: &RecordBatch,
        statuses: &[Option<UInt8Array>],
        first: u64,
    ) -> Result<(), DatasetError> {
        let sample = BooleanBuffer::collect_bool(rows.num_rows(), |row| {
            self.share.is_none_or(|share| chance(first + row as u64, 0) < share)
        });
        let sample = BooleanArray::new(sample, None);
        let mut work: Vec<_> = self.observers.iter_mut().zip(rows.columns()).zip(statuses).collect();
        in_parallel(&mut work, self.threads, |((observer, column), statuses)| {
            observer.add(column, statuses.as_ref(), &sample)
        })
    }

    pub(crate) fn finish(self) -> Result<Vec<ColumnStatistics>, DatasetError> {
        self.observers.into_iter().map(Observer::finish).collect()
    }
}

/// The search for what looks like a leak.
pub(crate) struct Leaks {
    /// The numbers of the targets among the output's columns.
    targets: Vec<usize>,
    /// The number of each column that no target may be read from, and its pairs with the targets.
    pairs: Vec<(usize, Vec<Pair>)>,
    entities: Vec<Entities>,
    threads: NonZeroUsize,
}

impl Leaks {
    pub(crate) fn new(plan: &DatasetPlan, layout: &Layout) -> Self {
        let targets = layout.targets(plan);
        let labels = &plan.labels;
        let is_looked_at = |(number, source): &(usize, &ColumnSource)| match source {
            ColumnSource::Split => false,
            // Keys and times tell rows apart; that they go with the target is no leak of a feature.
            ColumnSource::Label(label) => {
                !targets.contains(number)
                    && *label != labels.time
                    && !labels.keys.iter().flatten().any(|key| key == label)
            }
            ColumnSource::Feature { .. } | ColumnSource::OnDemand(_) => true,
        };
        let pairs = |(number, _): (usize, &ColumnSource)| {
            let field = layout.schema.field(number);
            let pair = |target: &usize| {
                let target = layout.schema.field(*target);
                Pair::new(field.name(), target.name(), field.data_type() == target.data_type())
            };
            (number, targets.iter().map(pair).collect())
        };
        let pairs = layout.sources.iter().enumerate().filter(is_looked_at).map(pairs).collect();
        let mut entities: Vec<(&str, &[usize])> = Vec::new();
        for (view, keys) in plan.service.views.iter().zip(&labels.keys) {
            if !entities.iter().any(|(name, known)| *name == view.entity && known == keys) {
                entities.push((&view.entity, keys));
            }
        }
        let is_split = plan.split.is_some();
        let entities = entities.into_iter().filter(|_| is_split);
        let entities = entities.map(|(name, keys)| Entities::new(name, keys)).collect();
        Self { targets, pairs, entities, threads: plan.resources.threads }
    }

    pub(crate) fn add(&mut self, chunk: &Chunk) -> Result<(), DatasetError> {
        if let Some(sides) = &chunk.sides {
            for entities in &mut self.entities {
                entities.add(&chunk.labels, sides, chunk.first)?;
            }
        }
        let training = training(chunk.sides.as_ref(), chunk.rows.num_rows());
        let target = |number: &usize| TargetChunk::new(chunk.rows.column(*number), &training, chunk.first);
        let targets: Vec<TargetChunk> = self.targets.iter().map(target).collect::<Result<_, _>>()?;
        let columns = chunk.rows.columns();
        in_parallel(&mut self.pairs, self.threads, |(number, pairs)| {
            let Some(column) = columns.get(*number) else { return Ok(()) };
            pairs.iter_mut().zip(&targets).try_for_each(|(pair, target)| pair.add(column, &training, target))
        })
    }

    /// The findings, in the order of the columns, then of the entities.
    pub(crate) fn finish(self) -> Vec<Finding> {
        let pairs = self.pairs.into_iter().flat_map(|(_, pairs)| pairs).filter_map(Pair::finish);
        pairs.chain(self.entities.into_iter().filter_map(Entities::finish)).collect()
    }
}

/// The rows that a model may learn from: the training side, or all without a split.
pub(crate) fn training(sides: Option<&Sides>, rows: usize) -> BooleanArray {
    let is_training = |row: usize| match sides {
        None => true,
        Some(sides) => sides.get(row).copied().flatten() == Some(Side::Train),
    };
    BooleanArray::new(BooleanBuffer::collect_bool(rows, is_training), None)
}

/// Does `each` to all items, spread over threads.
fn in_parallel<T: Send>(
    items: &mut [T],
    threads: NonZeroUsize,
    each: impl Fn(&mut T) -> Result<(), DatasetError> + Sync,
) -> Result<(), DatasetError> {
    let share = items.len().div_ceil(threads.get()).max(1);
    let run = |items: &mut [T]| items.iter_mut().try_for_each(&each);
    thread::scope(|scope| {
        let mut shares = items.chunks_mut(share);
        let mine = shares.next();
        let spawned: Vec<_> = shares.map(|share| scope.spawn(|| run(share))).collect();
        let mut result = mine.map_or(Ok(()), run);
        for thread in spawned {
            let other = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = result.and(other);
        }
        result
    })
}
