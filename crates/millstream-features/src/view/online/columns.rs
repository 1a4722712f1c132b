//! The answers for many entities as Arrow columns.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, BooleanBuilder, NullBufferBuilder, PrimitiveArray,
        StringBuilder, TimestampMicrosecondArray,
    },
    compute::cast,
    datatypes::{ArrowNativeType, DataType, Float64Type, Int64Type},
};

use super::{OnlineView, OnlineViewError, ReadPlan};
use crate::{
    aggregate::{Kind, Value, ValueRef, build},
    view::Status,
};

/// The features of some entities, in the order in which the entities were read.
#[derive(Debug, Clone)]
pub struct Columns {
    /// The values of each feature of the plan, of the feature's type; defaults stand where a value would be null.
    pub values: Vec<ArrayRef>,
    /// The statuses of the values, by feature, then by entity.
    pub statuses: Vec<Vec<Status>>,
    /// The event time of each entity's newest visible event, in UTC.
    pub event_times: TimestampMicrosecondArray,
}

impl OnlineView {
    /// The plan's features of many entities at time `at` (microseconds); a record is none for an entity that has none.
    ///
    /// # Errors
    ///
    /// The bytes are no record of this view.
    pub fn columns<R: AsRef<[u8]>>(
        &self,
        records: &[Option<R>],
        at: i64,
        plan: &ReadPlan,
    ) -> Result<Columns, OnlineViewError> {
        let types: Vec<&DataType> = plan
            .features
            .iter()
            .filter_map(|feature| self.definition().features.get(*feature))
            .map(|feature| &feature.data_type)
            .collect();
        let mut builders: Vec<Builder> =
            types.iter().map(|data_type| Builder::new(data_type, records.len())).collect();
        let mut statuses: Vec<Vec<Status>> =
            types.iter().map(|_| Vec::with_capacity(records.len())).collect();
        let mut event_times = Numbers::with_capacity(records.len());
        let mut states = Vec::new();
        for record in records {
            let mut outs = builders.iter_mut().zip(&mut statuses);
            let bytes = record.as_ref().map(AsRef::as_ref);
            let event_time = self.visit(bytes, at, plan, &mut states, |value, status| {
                if let Some((builder, statuses)) = outs.next() {
                    builder.append(value);
                    statuses.push(status);
                }
            });
            event_times.append(event_time.map_err(|source| self.state_error(source))?);
        }
        let values = builders
            .into_iter()
            .zip(&types)
            .map(|(builder, data_type)| builder.finish(data_type).map_err(|error| self.output_error(error)))
            .collect::<Result<_, _>>()?;
        let event_times: TimestampMicrosecondArray = event_times.finish();
        let event_times = event_times.with_timezone("UTC");
        Ok(Columns { values, statuses, event_times })
    }

    fn output_error(&self, error: crate::FeatureError) -> OnlineViewError {
        match error {
            crate::FeatureError::Arrow { action, source } => OnlineViewError::Arrow { action, source },
            source => self.state_error(source),
        }
    }
}

/// A column that grows. A value of another type becomes null.
enum Builder {
    Int(Numbers<i64>),
    Float(Numbers<f64>),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Values(Vec<Value>),
}

/// Numbers and where they are null. Arrow's own builder aligns its memory and validates what it made, which costs more than
/// the few numbers of an answer.
struct Numbers<T> {
    values: Vec<T>,
    nulls: NullBufferBuilder,
}

impl<T: ArrowNativeType> Numbers<T> {
    fn with_capacity(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(rows) }
    }

    fn append(&mut self, value: Option<T>) {
        self.nulls.append(value.is_some());
        self.values.push(value.unwrap_or_default());
    }

    fn finish<P: ArrowPrimitiveType<Native = T>>(mut self) -> PrimitiveArray<P> {
        PrimitiveArray::new(self.values.into(), self.nulls.finish())
    }
}

impl Builder {
    fn new(data_type: &DataType, rows: usize) -> Self {
        match Kind::of(data_type) {
            Some(Kind::Int) => Self::Int(Numbers::with_capacity(rows)),
            Some(Kind::Float) => Self::Float(Numbers::with_capacity(rows)),
            Some(Kind::Bool) => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Some(Kind::Text) => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            _ => Self::Values(Vec::with_capacity(rows)),
        }
    }

    fn append(&mut self, value: ValueRef<'_>) {
        match (self, value) {
            (Self::Int(numbers), ValueRef::Int(value)) => numbers.append(Some(value)),
            (Self::Float(numbers), ValueRef::Float(value)) => numbers.append(Some(value)),
            (Self::Bool(builder), ValueRef::Bool(value)) => builder.append_value(value),
            (Self::Text(builder), ValueRef::Text(value)) => builder.append_value(value),
            (Self::Values(values), value) => values.push(value.to_value()),
            (Self::Int(numbers), _) => numbers.append(None),
            (Self::Float(numbers), _) => numbers.append(None),
            (Self::Bool(builder), _) => builder.append_null(),
            (Self::Text(builder), _) => builder.append_null(),
        }
    }

    fn finish(self, data_type: &DataType) -> Result<ArrayRef, crate::FeatureError> {
        let array: ArrayRef = match self {
            Self::Int(numbers) => Arc::new(numbers.finish::<Int64Type>()),
            Self::Float(numbers) => Arc::new(numbers.finish::<Float64Type>()),
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Values(values) => return build(&values, data_type),
        };
        if array.data_type() == data_type {
            return Ok(array);
        }
        cast(&array, data_type).map_err(crate::FeatureError::arrow("convert the values of a feature"))
    }
}
