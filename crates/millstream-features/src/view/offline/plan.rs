//! What of a definition a join needs: checked, and by the place where it comes out.

use arrow::{
    array::{Array, ArrayRef, RecordBatch, Scalar},
    datatypes::{DataType, SchemaRef},
};

use super::super::{FeatureValue, ViewDefinition};
use crate::{
    FeatureError,
    aggregate::build,
    asof::KeyColumn,
    window::{Feature, Layout, Window},
};

/// A definition as a join reads it.
#[derive(Debug)]
pub(super) struct Plan {
    schema: SchemaRef,
    pub(super) keys: Vec<KeyColumn>,
    /// The wanted features, in the order of the output.
    pub(super) features: Vec<OutputFeature>,
    /// The columns that any newest-row feature of the view names, ascending; none when none is wanted.
    pub(super) newest: Vec<usize>,
    /// The wanted features over windows, in the order of the output.
    pub(super) layout: Layout,
}

/// A feature of the output.
#[derive(Debug)]
pub(super) struct OutputFeature {
    pub(super) data_type: DataType,
    pub(super) value: OutputFeatureValue,
    /// The default, as an array of one row.
    pub(super) default: Option<Scalar<ArrayRef>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum OutputFeatureValue {
    /// The column with this place in [`Plan::newest`].
    Newest(usize),
    /// The feature with this number in the layout.
    Window(usize),
}

/// A batch of events, column by column.
pub(super) struct EventRows<'a> {
    pub(super) keys: &'a [ArrayRef],
    pub(super) time: &'a ArrayRef,
    pub(super) known: &'a ArrayRef,
    pub(super) sequence: &'a ArrayRef,
    pub(super) columns: &'a [ArrayRef],
}

impl Plan {
    pub(super) fn new(definition: &ViewDefinition, features: &[usize]) -> Result<Self, FeatureError> {
        let columns: Vec<DataType> =
            definition.columns.iter().map(|column| column.data_type.clone()).collect();
        let column_of = |feature: &usize| match definition.features.get(*feature)?.value {
            FeatureValue::Newest(column) => Some(column),
            FeatureValue::Window { .. } => None,
        };
        let mut newest = Vec::new();
        if features.iter().any(|feature| column_of(feature).is_some()) {
            newest.extend((0..definition.features.len()).filter_map(|feature| column_of(&feature)));
            newest.sort_unstable();
            newest.dedup();
        }
        let (mut outputs, mut windowed) = (Vec::with_capacity(features.len()), Vec::new());
        for number in features {
            let no_feature = || FeatureError::NoSuchFeature {
                view: definition.name.clone(),
                number: *number,
                features: definition.features.len(),
            };
            let feature = definition.features.get(*number).ok_or_else(no_feature)?;
            let (value, found) = match &feature.value {
                FeatureValue::Newest(column) => {
                    let found = columns.get(*column);
                    let missing = FeatureError::NoSuchColumn { index: *column, columns: columns.len() };
                    let place = newest.partition_point(|newest| newest < column);
                    (OutputFeatureValue::Newest(place), found.cloned().ok_or(missing)?)
                }
                FeatureValue::Window { measure, window } => {
                    let window =
                        Window { length: *window, include_same_instant: definition.include_same_instant };
                    let one = Feature { measure: measure.clone(), window };
                    let types = Layout::new(std::slice::from_ref(&one), &columns)?.output_types();
                    windowed.push(one);
                    let found = types.into_iter().next().ok_or(FeatureError::Mismatch)?;
                    (OutputFeatureValue::Window(windowed.len() - 1), found)
                }
            };
            if found != feature.data_type {
                return Err(FeatureError::FeatureType {
                    feature: format!("{}.{}", definition.name, feature.name),
                    expected: feature.data_type.clone(),
                    found,
                });
            }
            let default = feature.default.as_ref().map(|value| build(std::slice::from_ref(value), &found));
            let default = default.transpose()?;
            if default.as_ref().is_some_and(|array| array.is_null(0)) {
                let feature = format!("{}.{}", definition.name, feature.name);
                return Err(FeatureError::Default { feature, data_type: found });
            }
            outputs.push(OutputFeature { data_type: found, value, default: default.map(Scalar::new) });
        }
        let key = |key: &super::super::KeyDefinition| KeyColumn {
            name: key.name.clone(),
            data_type: key.data_type.clone(),
        };
        Ok(Self {
            schema: definition.event_schema(),
            keys: definition.keys.iter().map(key).collect(),
            features: outputs,
            newest,
            layout: Layout::new(&windowed, &columns)?,
        })
    }

    /// The types of the columns that features name by number.
    pub(super) fn column_types(&self) -> Vec<DataType> {
        let columns = self.schema.fields().iter().skip(self.keys.len() + 3);
        columns.map(|field| field.data_type().clone()).collect()
    }

    /// The columns of a batch of events. Keys are checked by whoever reads them, as their encoding does not matter.
    pub(super) fn split<'a>(&self, events: &'a RecordBatch) -> Result<EventRows<'a>, FeatureError> {
        let (expected, found) = (self.schema.fields().len(), events.num_columns());
        if expected != found {
            return Err(FeatureError::EventColumns { expected, found });
        }
        for (field, column) in self.schema.fields().iter().zip(events.columns()).skip(self.keys.len()) {
            if field.data_type() != column.data_type() {
                return Err(FeatureError::EventType {
                    column: field.name().clone(),
                    expected: field.data_type().clone(),
                    found: column.data_type().clone(),
                });
            }
        }
        let (keys, rest) = events.columns().split_at(self.keys.len());
        let [time, known, sequence, columns @ ..] = rest else {
            return Err(FeatureError::EventColumns { expected, found });
        };
        Ok(EventRows { keys, time, known, sequence, columns })
    }
}
