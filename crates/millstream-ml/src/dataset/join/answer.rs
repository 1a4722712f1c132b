//! Events in memory, and the answers that labels get from them.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, UInt8Array},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType},
    util::display::array_value_to_string,
};
use millstream_features::{
    aggregate::Aggregation,
    asof::LabelRows,
    view::{FeatureDefinition, FeatureValue, JoinOptions, Status, ViewDefinition, ViewJoin, ViewValues},
};
use millstream_spool::{Spool, SpoolWriter};

use super::{
    super::{cutter::Cutter, partition::FAN_OUT, progress::Counter},
    Join,
};
use crate::{DatasetError, error::EntityKey};

/// The number of labels that are joined at once, if memory allows.
const LABELS_AT_ONCE: usize = 1 << 20;
/// The most rows of a batch of answers: a merge holds one batch of each part in memory.
const ANSWER_ROWS: usize = 8_192;

/// What is counted while a view is joined.
pub(super) struct Tally<'a> {
    pub(super) counter: Counter<'a>,
    pub(super) same_instant: u64,
    pub(super) example: Option<u64>,
}

impl Join<'_> {
    /// Joins events that fit into memory with labels of any number.
    pub(super) fn answer(
        &self,
        events: impl Iterator<Item = Result<RecordBatch, impl Into<DatasetError>>>,
        labels: impl Iterator<Item = Result<RecordBatch, impl Into<DatasetError>>>,
        tally: &mut Tally<'_>,
    ) -> Result<Spool, DatasetError> {
        let options = JoinOptions {
            as_known: self.plan.labels.as_known.is_some(),
            threads: self.plan.resources.threads,
        };
        let mut join = ViewJoin::new(self.definition, self.features, options).map_err(self.failed())?;
        for batch in events {
            join.push(&batch.map_err(Into::into)?).map_err(self.failed())?;
        }
        let view = join.build().map_err(self.failed())?;
        let mut answers = SpoolWriter::new(self.space, Arc::clone(&self.answer_schema));
        let mut labels = Cutter::new(labels, Arc::clone(&self.label_schema));
        loop {
            let batch = labels.take(self.labels_at_once())?;
            if batch.num_rows() == 0 {
                return Ok(answers.finish()?);
            }
            let (keys, rest) = batch.columns().split_at(self.keys.len());
            let (Some(time), Some(ordinals)) = (rest.first(), rest.last()) else {
                return Err(DatasetError::broken("labels have a time and a number"));
            };
            let as_known = rest.get(1).filter(|_| rest.len() > 2);
            let values = view.join(&LabelRows { keys, time, as_known }).map_err(self.failed())?;
            self.refuse_outgrown(&values, keys)?;
            tally.look(&values.event_times, time, ordinals)?;
            tally.counter.add(batch.num_rows());
            let batch = self.answer_batch(ordinals, values)?;
            for start in (0..batch.num_rows()).step_by(self.answer_rows()) {
                answers.push(batch.slice(start, self.answer_rows().min(batch.num_rows() - start)))?;
            }
        }
    }

    /// Refuses labels with a feature that cannot hold all that there is, such as a sum beyond its type: neither null nor a
    /// default would be true.
    fn refuse_outgrown(&self, values: &ViewValues, keys: &[ArrayRef]) -> Result<(), DatasetError> {
        let wanted = self.features.iter().filter_map(|number| self.definition.features.get(*number));
        for (feature, statuses) in wanted.zip(&values.statuses) {
            let Some(label) = statuses.first_outgrown() else { continue };
            let value = |key: &ArrayRef| {
                array_value_to_string(key, label).map_err(DatasetError::arrow("show the key of an entity"))
            };
            let names = self.definition.keys.iter().map(|key| key.name.clone());
            let entity = names.zip(keys).map(|(name, key)| Ok((name, value(key)?)));
            let entity = EntityKey(entity.collect::<Result<_, DatasetError>>()?);
            let Words { reason, hint } = words(feature);
            let (view, feature) = (self.definition.name.clone(), feature.name.clone());
            return Err(DatasetError::Outgrown { view, feature, entity, reason, hint });
        }
        Ok(())
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

    /// The rows of a batch of answers. All batches of a merge together take a sixteenth of the memory, unless that would
    /// make them too small.
    pub(super) fn answer_rows(&self) -> usize {
        let bytes = self.plan.resources.memory_bytes / 16 / FAN_OUT as usize;
        (bytes / self.answer_bytes()).clamp(256, ANSWER_ROWS)
    }

    /// The number of labels that are joined at once, so that labels and answers take an eighth of the memory.
    fn labels_at_once(&self) -> usize {
        let bytes = self.answer_bytes() + 16 * self.label_schema.fields().len() + 24;
        (self.plan.resources.memory_bytes / 8 / bytes).clamp(1_024, LABELS_AT_ONCE)
    }

    /// The bytes of one row of answers; a text is taken for 16 bytes.
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
        let rows = events.iter().zip(times).zip(ordinals.as_primitive::<Int64Type>().values());
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

struct Words {
    reason: String,
    hint: String,
}

/// Why a feature cannot hold all that there is, and the way out.
fn words(feature: &FeatureDefinition) -> Words {
    let operands = match &feature.value {
        FeatureValue::Newest(_) => Vec::new(),
        FeatureValue::Window { measure, .. } => measure.operands(),
    };
    let bound = operands.iter().find_map(|operand| match operand.aggregation {
        Aggregation::Distinct { bound } => Some((bound, ", or take `approx_distinct`")),
        Aggregation::MostFrequent { bound } => Some((bound, "")),
        _ => None,
    });
    match bound {
        Some((bound, other)) => Words {
            reason: format!("there are more different values than its bound of {bound}"),
            hint: format!("raise the feature's `bound`{other}"),
        },
        None => Words {
            reason: match &feature.data_type {
                DataType::Int64 => "its sum is beyond int64".into(),
                DataType::Decimal128(precision, scale) => {
                    format!("its sum is beyond decimal({precision},{scale})")
                }
                _ => "it is made of a sum beyond its type".into(),
            },
            hint: "sum a wider type, as in `{sum: \"cast(amount as decimal(38, 0))\"}` or \
                   `{sum: \"cast(amount as double)\"}`"
                .into(),
        },
    }
}

/// A status as it is kept between phases.
fn status_code(status: Status) -> u8 {
    match status {
        Status::Present => 0,
        Status::Null => 1,
        Status::Missing => 2,
        Status::Expired => 3,
        Status::Degraded => 4,
    }
}

/// The schema of answers: the label's number, the features, their statuses.
pub(super) fn answer_schema(definition: &ViewDefinition, features: &[usize]) -> SchemaRef {
    let wanted = || features.iter().filter_map(|number| definition.features.get(*number));
    let values =
        wanted().zip(0..).map(|(feature, at)| Field::new(format!("f{at}"), feature.data_type.clone(), true));
    let statuses = wanted().zip(0..).map(|(_, at)| Field::new(format!("s{at}"), DataType::UInt8, false));
    let number = Field::new("number", DataType::Int64, false);
    Arc::new(Schema::new([number].into_iter().chain(values).chain(statuses).collect::<Vec<_>>()))
}
