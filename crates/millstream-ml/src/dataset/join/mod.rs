//! One view joined with all labels: in memory where its events fit, part by part where they do not. Both ways give the same
//! answers.

mod answer;
mod intake;

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
};
use millstream_features::{
    FeatureError,
    asof::KeyColumn,
    view::{FeatureValue, ViewDefinition},
};
use millstream_spool::{Space, Spool, SpoolError, SpoolWriter};

use super::{
    context::Context,
    labels::{Labels, plain},
    layout::key_columns,
    partition::{LEVELS_MAX, Partitioner, merge},
    plan::DatasetPlan,
    progress::{Counter, Phase},
};
use crate::{Cause, DatasetError};
use answer::{Tally, answer_schema};
use intake::{Intake, label_schema};

/// What the join keeps for an event beside its columns: its place in the order, its entity. Measured, rounded up.
const BYTES_PER_EVENT: usize = 40;

/// The answers of one view, in the labels' order.
#[derive(Debug)]
pub(crate) struct Answers {
    /// The label's number, then the features, then the status of each feature as a number.
    pub(crate) rows: Spool,
    /// The number of labels that saw an event of their own instant. The example is the row of the first of them.
    pub(crate) same_instant: u64,
    pub(crate) same_instant_example: Option<u64>,
    /// Events that some label might see: those with a key and a time.
    pub(crate) events: u64,
}

/// What a view's events need while they are joined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JoinCost {
    /// How many copies of the events are in memory at the peak: newest rows are found where the columns lie; windows put
    /// the columns together, then in the order of entities.
    copies: usize,
}

impl JoinCost {
    /// `features` are numbers of the view's features.
    pub(crate) fn new(definition: &ViewDefinition, features: &[usize]) -> Self {
        let mut wanted = features.iter().filter_map(|number| definition.features.get(*number));
        let is_windowed = wanted.any(|feature| matches!(feature.value, FeatureValue::Window { .. }));
        Self { copies: if is_windowed { 3 } else { 1 } }
    }

    /// Bytes at the peak for events of this size.
    pub(crate) fn bytes(self, rows: usize, bytes: usize) -> usize {
        bytes.saturating_mul(self.copies).saturating_add(rows.saturating_mul(BYTES_PER_EVENT))
    }
}

/// The join's share of the memory.
pub(crate) fn join_room(memory_bytes: usize) -> usize {
    memory_bytes / 2
}

/// Joins `labels` with the view of this number. `features` are numbers of the view's features, ascending.
pub(crate) fn join_view(
    context: &Context<'_>,
    view: usize,
    features: &[usize],
    labels: &Labels,
    events: impl Iterator<Item = Result<RecordBatch, Cause>>,
) -> Result<Answers, DatasetError> {
    let Context { plan, space, report, .. } = *context;
    let (Some(definition), Some(label_keys)) = (plan.service.views.get(view), plan.labels.keys.get(view))
    else {
        return Err(DatasetError::broken("a view is joined that the plan has"));
    };
    let join = Join {
        plan,
        definition,
        features,
        cost: JoinCost::new(definition, features),
        label_keys,
        keys: key_columns(definition),
        event_schema: plain(&definition.event_schema()),
        label_schema: label_schema(plan, label_keys),
        answer_schema: answer_schema(definition, features),
        space,
    };
    let mut counter = Counter::new(report, Phase::Events, Some(&definition.name), None);
    let (events, seen) = join.take_events(events, labels.time_max, &mut counter)?;
    drop(counter);
    // A phase is told from the moment on that it has a counter.
    let mut tally = Tally {
        counter: Counter::new(report, Phase::Join, Some(&definition.name), Some(labels.rows.rows() as u64)),
        same_instant: 0,
        example: None,
    };
    let rows = match events {
        Intake::Memory(events) => join.answer(
            events.into_iter().map(Ok::<_, SpoolError>),
            join.number(labels.rows.batches()?),
            &mut tally,
        )?,
        Intake::Parts(events) => {
            let labels = join.divide(join.number(labels.rows.batches()?), &join.label_schema, 1)?;
            join.answer_parts(events, labels, 1, &mut tally)?
        }
    };
    Ok(Answers { rows, same_instant: tally.same_instant, same_instant_example: tally.example, events: seen })
}

/// What is fixed while a view is joined.
struct Join<'a> {
    plan: &'a DatasetPlan,
    definition: &'a ViewDefinition,
    features: &'a [usize],
    cost: JoinCost,
    /// The label columns that hold the view's key.
    label_keys: &'a [usize],
    keys: Vec<KeyColumn>,
    event_schema: SchemaRef,
    /// Key columns, time, known-time cut-off if there is one, number of the label.
    label_schema: SchemaRef,
    answer_schema: SchemaRef,
    space: &'a Arc<Space>,
}

impl Join<'_> {
    fn answer_parts(
        &self,
        events: Vec<Spool>,
        labels: Vec<Spool>,
        level: u32,
        tally: &mut Tally<'_>,
    ) -> Result<Spool, DatasetError> {
        let mut answers = Vec::with_capacity(labels.len());
        for (events, labels) in events.into_iter().zip(labels) {
            // The rows of a part are dropped before the next part is read.
            answers.push(self.answer_part(events, labels, level, tally)?);
        }
        merge(&answers, &self.answer_schema, self.space, self.answer_rows())
    }

    fn answer_part(
        &self,
        events: Spool,
        labels: Spool,
        level: u32,
        tally: &mut Tally<'_>,
    ) -> Result<Spool, DatasetError> {
        if labels.rows() == 0 {
            return Ok(SpoolWriter::new(self.space, Arc::clone(&self.answer_schema)).finish()?);
        }
        let bytes = self.cost.bytes(events.rows(), events.bytes());
        if bytes <= self.room() {
            return self.answer(events.batches()?, labels.batches()?, tally);
        }
        if level == LEVELS_MAX {
            return Err(DatasetError::EntityTooLarge {
                view: self.definition.name.clone(),
                rows: events.rows() as u64,
                bytes: bytes as u64,
                room: self.room() as u64,
            });
        }
        let divided = self.divide(events.batches()?, &self.event_schema, level + 1)?;
        drop(events);
        let divided_labels = self.divide(labels.batches()?, &self.label_schema, level + 1)?;
        drop(labels);
        self.answer_parts(divided, divided_labels, level + 1, tally)
    }

    fn divide(
        &self,
        batches: impl Iterator<Item = Result<RecordBatch, impl Into<DatasetError>>>,
        schema: &SchemaRef,
        level: u32,
    ) -> Result<Vec<Spool>, DatasetError> {
        let mut parts = self.partitioner(schema, level)?;
        for batch in batches {
            parts.push(&batch.map_err(Into::into)?)?;
        }
        parts.finish()
    }

    fn partitioner(&self, schema: &SchemaRef, level: u32) -> Result<Partitioner<'_>, DatasetError> {
        let pending = self.plan.resources.memory_bytes / 16;
        Partitioner::new(&self.definition.name, &self.keys, level, schema, self.space, pending)
    }

    fn failed(&self) -> impl FnOnce(FeatureError) -> DatasetError {
        let view = self.definition.name.clone();
        move |source| DatasetError::Join { view, source }
    }

    /// The join's share of the memory, and never more than its arrays can count: rows by 32 bits, bytes of text by 31.
    fn room(&self) -> usize {
        let is_fixed = |data_type: &DataType| data_type.is_primitive() || *data_type == DataType::Boolean;
        let has_offsets = self.event_schema.fields().iter().any(|field| !is_fixed(field.data_type()));
        let rows_max = (u32::MAX as usize - 2).saturating_mul(BYTES_PER_EVENT);
        let bytes_max =
            if has_offsets { (i32::MAX as usize).saturating_mul(self.cost.copies) } else { usize::MAX };
        join_room(self.plan.resources.memory_bytes).min(rows_max).min(bytes_max)
    }
}
