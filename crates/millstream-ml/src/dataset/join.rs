//! One view joined with all labels: in memory where its events fit, part by part where they do not. Which of the two
//! it was cannot be seen in the answer.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray,
        UInt8Array,
    },
    buffer::BooleanBuffer,
    compute::filter_record_batch,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
};
use millstream_features::{
    FeatureError,
    asof::{KeyColumn, LabelRows},
    view::{JoinOptions, Status, ViewDefinition, ViewJoin, ViewValues},
};

use super::{
    context::Context,
    labels::{Labels, instants, plain, with_schema},
    layout::key_columns,
    partition::{FAN_OUT, LEVELS_MAX, Partitioner, merge},
    plan::{AsKnown, DatasetPlan},
    progress::{Counter, Phase},
    spool::{Batches, Cutter, Space, Spool, SpoolWriter, size_of},
};
use crate::{Cause, DatasetError};

/// What the join keeps for an event beside its columns: entries, ordinals, keys. Measured, rounded up.
pub(crate) const JOIN_BYTES_PER_EVENT: usize = 64;
/// The columns of events are held as they came, and once more while windows sort them by entity.
pub(crate) const JOIN_COPIES: usize = 2;
/// Labels that are joined at once, if memory allows.
const LABELS_AT_ONCE: usize = 1 << 20;
/// Rows of a batch of answers: every part of a merge holds one.
const ANSWER_ROWS: usize = 8_192;

/// The answers of one view, in the labels' order.
#[derive(Debug)]
pub(crate) struct Answers {
    /// The label's number, then the features, then the status of each feature as [`status_code`] has it.
    pub(crate) rows: Spool,
    /// Labels that saw an event of their own instant, and the number of the first of them.
    pub(crate) same_instant: u64,
    pub(crate) same_instant_example: Option<u64>,
    /// Events that some label might see: those with a key and a time.
    pub(crate) events: u64,
}

/// Bytes that joining needs at its peak for events of this size.
pub(crate) fn join_bytes(rows: usize, bytes: usize) -> usize {
    bytes.saturating_mul(JOIN_COPIES).saturating_add(rows.saturating_mul(JOIN_BYTES_PER_EVENT))
}

/// The join's share of the memory.
pub(crate) fn join_room(memory_bytes: usize) -> usize {
    memory_bytes / 2
}

/// A status as it is kept between phases.
pub(crate) fn status_code(status: Status) -> u8 {
    match status {
        Status::Present => 0,
        Status::Null => 1,
        Status::Missing => 2,
        Status::Expired => 3,
        Status::Degraded => 4,
    }
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
        label_keys,
        keys: key_columns(definition),
        event_schema: plain(&definition.event_schema()),
        label_schema: label_schema(plan, label_keys),
        answer_schema: answer_schema(definition, features),
        space,
    };
    let mut tally = Tally {
        counter: Counter::new(report, Phase::Join, Some(&definition.name), Some(labels.rows.rows() as u64)),
        same_instant: 0,
        example: None,
    };
    let mut counter = Counter::new(report, Phase::Events, Some(&definition.name), None);
    let (events, seen) = join.take_events(events, labels.time_max, &mut counter)?;
    drop(counter);
    let rows = match events {
        Intake::Memory(events) => {
            join.answer(events.into_iter().map(Ok), join.number(labels.rows.batches()?), &mut tally)?
        }
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
    /// The label columns that hold the view's key.
    label_keys: &'a [usize],
    keys: Vec<KeyColumn>,
    event_schema: SchemaRef,
    /// Key columns, time, known-time cut-off if there is one, number of the label.
    label_schema: SchemaRef,
    answer_schema: SchemaRef,
    space: &'a Arc<Space>,
}

/// What is counted while a view is joined.
struct Tally<'a> {
    counter: Counter<'a>,
    same_instant: u64,
    example: Option<u64>,
}

/// The events of a view, with key and time, up to the last label.
enum Intake {
    Memory(Vec<RecordBatch>),
    Parts(Vec<Spool>),
}

impl Join<'_> {
    /// Reads the events, and divides them once they are too many. Also says how many there are.
    fn take_events(
        &self,
        events: impl Iterator<Item = Result<RecordBatch, Cause>>,
        last: Option<i64>,
        counter: &mut Counter<'_>,
    ) -> Result<(Intake, u64), DatasetError> {
        let (mut held, mut rows, mut bytes) = (Vec::new(), 0, 0);
        let mut divided = None;
        let what = format!("the view `{}`", self.definition.name);
        for batch in events {
            let batch = batch.map_err(|source| DatasetError::Input { what: what.clone(), source })?;
            counter.add(batch.num_rows());
            let batch = self.visible(&with_schema(&batch, &self.event_schema, &what)?, last)?;
            rows += batch.num_rows();
            match &mut divided {
                Some(parts) => Partitioner::push(parts, &batch)?,
                None => {
                    bytes += size_of(&batch);
                    held.push(batch);
                    if join_bytes(rows, bytes) > self.room() {
                        let mut parts = self.partitioner(&self.event_schema, 1)?;
                        held.drain(..).try_for_each(|batch| parts.push(&batch))?;
                        divided = Some(parts);
                    }
                }
            }
        }
        let intake = match divided {
            Some(parts) => Intake::Parts(parts.finish()?),
            None => Intake::Memory(held),
        };
        Ok((intake, rows as u64))
    }

    /// The events that have a key and a time that some label can see.
    fn visible(&self, batch: &RecordBatch, last: Option<i64>) -> Result<RecordBatch, DatasetError> {
        let times = batch.column(self.keys.len()).as_primitive::<TimestampMicrosecondType>();
        let values = times.values();
        let in_time = BooleanBuffer::collect_bool(batch.num_rows(), |row| {
            last.is_some_and(|last| values.get(row).is_some_and(|time| *time <= last))
        });
        let nulls =
            batch.columns().iter().take(self.keys.len() + 1).filter_map(|column| column.logical_nulls());
        let visible = nulls.fold(in_time, |visible, nulls| &visible & nulls.inner());
        if visible.count_set_bits() == batch.num_rows() {
            return Ok(batch.clone());
        }
        filter_record_batch(batch, &BooleanArray::new(visible, None))
            .map_err(DatasetError::arrow("filter events"))
    }

    /// The labels as the join needs them, numbered.
    fn number<'s>(
        &'s self,
        labels: Batches<'s>,
    ) -> impl Iterator<Item = Result<RecordBatch, DatasetError>> + 's {
        let mut next = 0_i64;
        labels.map(move |batch| {
            let batch = batch?;
            let first = next;
            next += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
            let time = instants(batch.column(self.plan.labels.time))?;
            let cut = match self.plan.labels.as_known {
                None => None,
                Some(AsKnown::LabelTime) => Some(Arc::clone(&time)),
                Some(AsKnown::Column(column)) => Some(instants(batch.column(column))?),
                Some(AsKnown::At(at)) => {
                    let cut = TimestampMicrosecondArray::from_value(at, batch.num_rows());
                    Some(Arc::new(cut.with_timezone("UTC")) as ArrayRef)
                }
            };
            let mut columns: Vec<_> =
                self.label_keys.iter().map(|key| Arc::clone(batch.column(*key))).collect();
            columns.push(time);
            columns.extend(cut);
            columns.push(Arc::new(Int64Array::from_iter_values(first..next)));
            RecordBatch::try_new(Arc::clone(&self.label_schema), columns)
                .map_err(DatasetError::arrow("number the labels"))
        })
    }

    fn answer_parts(
        &self,
        events: Vec<Spool>,
        labels: Vec<Spool>,
        level: u32,
        tally: &mut Tally<'_>,
    ) -> Result<Spool, DatasetError> {
        let mut answers = Vec::with_capacity(labels.len());
        for (events, labels) in events.into_iter().zip(labels) {
            // Each part's rows go before the next part is read.
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
            return SpoolWriter::new(self.space, Arc::clone(&self.answer_schema)).finish();
        }
        let bytes = join_bytes(events.rows(), events.bytes());
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
        batches: impl Iterator<Item = Result<RecordBatch, DatasetError>>,
        schema: &SchemaRef,
        level: u32,
    ) -> Result<Vec<Spool>, DatasetError> {
        let mut parts = self.partitioner(schema, level)?;
        for batch in batches {
            parts.push(&batch?)?;
        }
        parts.finish()
    }

    fn partitioner(&self, schema: &SchemaRef, level: u32) -> Result<Partitioner<'_>, DatasetError> {
        let pending = self.plan.resources.memory_bytes / 16;
        Partitioner::new(&self.definition.name, &self.keys, level, schema, self.space, pending)
    }

    /// Joins events that fit into memory with labels of any number.
    fn answer(
        &self,
        events: impl Iterator<Item = Result<RecordBatch, DatasetError>>,
        labels: impl Iterator<Item = Result<RecordBatch, DatasetError>>,
        tally: &mut Tally<'_>,
    ) -> Result<Spool, DatasetError> {
        let options = JoinOptions {
            as_known: self.plan.labels.as_known.is_some(),
            threads: self.plan.resources.threads,
        };
        let mut join = ViewJoin::new(self.definition, self.features, options).map_err(self.failed())?;
        for batch in events {
            join.push(&batch?).map_err(self.failed())?;
        }
        let view = join.build().map_err(self.failed())?;
        let mut answers = SpoolWriter::new(self.space, Arc::clone(&self.answer_schema));
        let mut labels = Cutter::new(labels, Arc::clone(&self.label_schema));
        loop {
            let batch = labels.take(self.labels_at_once())?;
            if batch.num_rows() == 0 {
                return answers.finish();
            }
            let (keys, rest) = batch.columns().split_at(self.keys.len());
            let (Some(time), Some(ordinals)) = (rest.first(), rest.last()) else {
                return Err(DatasetError::broken("labels have a time and a number"));
            };
            let as_known = rest.get(1).filter(|_| rest.len() > 2);
            let values = view.join(&LabelRows { keys, time, as_known }).map_err(self.failed())?;
            tally.look(&values.event_times, time, ordinals)?;
            tally.counter.add(batch.num_rows());
            let batch = self.answer_batch(ordinals, values)?;
            for start in (0..batch.num_rows()).step_by(self.answer_rows()) {
                answers.push(batch.slice(start, self.answer_rows().min(batch.num_rows() - start)))?;
            }
        }
    }

    fn answer_batch(&self, ordinals: &ArrayRef, values: ViewValues) -> Result<RecordBatch, DatasetError> {
        let statuses = values.statuses.iter().map(|statuses| -> ArrayRef {
            Arc::new(UInt8Array::from_iter_values(statuses.iter().map(status_code)))
        });
        let columns = [Arc::clone(ordinals)].into_iter().chain(values.features).chain(statuses).collect();
        // Arrow looks at the lengths: a label without an answer, or with two, cannot pass.
        RecordBatch::try_new(Arc::clone(&self.answer_schema), columns)
            .map_err(|source| DatasetError::broken(format!("one answer for each label ({source})")))
    }

    fn failed(&self) -> impl FnOnce(FeatureError) -> DatasetError {
        let view = self.definition.name.clone();
        move |source| DatasetError::Join { view, source }
    }

    fn room(&self) -> usize {
        join_room(self.plan.resources.memory_bytes)
    }

    /// A sixteenth of the memory for all batches of a merge together, if they do not become too small for that.
    fn answer_rows(&self) -> usize {
        let bytes = self.plan.resources.memory_bytes / 16 / FAN_OUT as usize;
        (bytes / self.answer_bytes()).clamp(256, ANSWER_ROWS)
    }

    /// An eighth of the memory for labels and answers.
    fn labels_at_once(&self) -> usize {
        let bytes = self.answer_bytes() + 16 * self.label_schema.fields().len() + 24;
        (self.plan.resources.memory_bytes / 8 / bytes).clamp(1_024, LABELS_AT_ONCE)
    }

    /// Of one row; texts are taken for 16 bytes.
    fn answer_bytes(&self) -> usize {
        self.answer_schema
            .fields()
            .iter()
            .map(|field| field.data_type().primitive_width().unwrap_or(16))
            .sum::<usize>()
            .max(1)
    }
}

impl Tally<'_> {
    /// Counts labels that saw an event of their own instant; a later one would be a broken join.
    fn look(
        &mut self,
        events: &TimestampMicrosecondArray,
        times: &ArrayRef,
        ordinals: &ArrayRef,
    ) -> Result<(), DatasetError> {
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let rows =
            events.iter().zip(times).zip(ordinals.as_primitive::<arrow::datatypes::Int64Type>().values());
        for ((event, time), ordinal) in rows {
            let (Some(event), Some(time)) = (event, time) else { continue };
            if event > time {
                return Err(DatasetError::broken(format!("no event from the future of label row {ordinal}")));
            }
            if event == time {
                let ordinal = u64::try_from(*ordinal).unwrap_or_default();
                self.same_instant += 1;
                self.example = Some(self.example.map_or(ordinal, |known| known.min(ordinal)));
            }
        }
        Ok(())
    }
}

fn label_schema(plan: &DatasetPlan, label_keys: &[usize]) -> SchemaRef {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let key = |(at, key): (usize, &usize)| {
        Field::new(format!("k{at}"), plan.labels.schema.field(*key).data_type().clone(), true)
    };
    let mut fields: Vec<_> = label_keys.iter().enumerate().map(key).collect();
    fields.push(Field::new("time", instant(), true));
    fields.extend(plan.labels.as_known.map(|_| Field::new("cut", instant(), true)));
    fields.push(Field::new("number", DataType::Int64, false));
    Arc::new(Schema::new(fields))
}

fn answer_schema(definition: &ViewDefinition, features: &[usize]) -> SchemaRef {
    let wanted = || features.iter().filter_map(|number| definition.features.get(*number));
    let values =
        wanted().zip(0..).map(|(feature, at)| Field::new(format!("f{at}"), feature.data_type.clone(), true));
    let statuses = wanted().zip(0..).map(|(_, at)| Field::new(format!("s{at}"), DataType::UInt8, false));
    let number = Field::new("number", DataType::Int64, false);
    Arc::new(Schema::new([number].into_iter().chain(values).chain(statuses).collect::<Vec<_>>()))
}
