//! What a view is once its columns and types are known. The dataset, the online store and the server take this and
//! rows of events; none of them looks at a project file or at a table.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use millstream_types::Span;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    FeatureError,
    aggregate::Value,
    window::{Feature, Layout, Measure, Window},
};

/// Version of the written form of a definition.
pub const VIEW_VERSION: u8 = 1;

/// Name of the event time in rows of events.
pub const TIME: &str = "_time";
/// Name of the known time in rows of events.
pub const KNOWN: &str = "_known";
/// Name of the ingestion sequence, which orders events of equal times, in rows of events.
pub const SEQUENCE: &str = "_sequence";

/// Features of one entity computed from rows of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewDefinition {
    pub name: String,
    /// The entity's name.
    pub entity: String,
    /// The columns of the entity's key, at least one.
    pub keys: Vec<KeyDefinition>,
    /// The query whose result is the view's rows of events, for those who can run queries.
    pub query: String,
    /// The time to live: a value whose newest event is older than this is expired, one that is exactly this old is not.
    pub ttl: Option<Span>,
    /// Whether an event at the very time of a read is seen.
    pub include_same_instant: bool,
    /// The columns of an event that features name by number.
    pub columns: Vec<ColumnDefinition>,
    pub features: Vec<FeatureDefinition>,
    /// What a pushed row needs in order to become an event without the query.
    #[serde(default)]
    pub rows: RowDefinition,
}

/// The rows that a view is computed from, as far as its events need them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowDefinition {
    /// The column of the event time.
    pub time: String,
    /// The keys, the time, and the columns that [`ColumnDefinition::sql`] names, each once.
    pub columns: Vec<KeyDefinition>,
    /// [`ViewDefinition::query`] without the columns of the view: keys, time and stamps of its rows. A definition from before it
    /// was kept has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// The columns of the rows that each of [`ViewDefinition::columns`] is computed from, kept since [`Self::query`] is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Vec<String>>,
}

/// A column of the entity's key, or of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyDefinition {
    pub name: String,
    #[serde(with = "type_text")]
    pub data_type: DataType,
}

/// A column of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDefinition {
    /// The name of the column of the view's rows, or the expression, that the event's column is computed from.
    pub sql: String,
    #[serde(with = "type_text")]
    pub data_type: DataType,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureDefinition {
    pub name: String,
    pub value: FeatureValue,
    #[serde(with = "type_text")]
    pub data_type: DataType,
    /// The value that replaces null; the status still says why the value would be null. The default never replaces a value
    /// that the feature cannot hold: a sum beyond its type, or more different values than its bound.
    pub default: Option<Value>,
}

/// What a feature is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureValue {
    /// The feature is the column with this number in the newest event, null or not.
    Newest(usize),
    /// The feature is computed of the events of the last `window`; none stands for all time.
    Window { measure: Measure, window: Option<Span> },
}

/// How a value came about, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The value is there.
    Present,
    /// The value is null: an empty window, or a null in the newest event.
    Null,
    /// The entity has no visible event.
    Missing,
    /// The newest event is older than the time to live.
    Expired,
    /// The value could not be computed exactly, is more than the feature can hold, or its store did not answer.
    Degraded,
}

impl ViewDefinition {
    /// The shape of rows of events: keys, `_time`, `_known` (both microseconds UTC), `_sequence` (`Int64`), then the columns
    /// as `c0`, `c1`, …. Known time and sequence may be null.
    #[must_use]
    pub fn event_schema(&self) -> SchemaRef {
        let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let keys = self.keys.iter().map(|key| Field::new(&key.name, key.data_type.clone(), true));
        let times = [(TIME, instant()), (KNOWN, instant()), (SEQUENCE, DataType::Int64)]
            .map(|(name, data_type)| Field::new(name, data_type, true));
        let columns = self.columns.iter().enumerate();
        let columns =
            columns.map(|(index, column)| Field::new(format!("c{index}"), column.data_type.clone(), true));
        Arc::new(Schema::new(keys.chain(times).chain(columns).collect::<Vec<_>>()))
    }

    /// The features computed over windows, in order, ready for the kernels.
    #[must_use]
    pub fn windowed(&self) -> Vec<Feature> {
        let windowed = |feature: &FeatureDefinition| match &feature.value {
            FeatureValue::Newest(_) => None,
            FeatureValue::Window { measure, window } => Some(Feature {
                measure: measure.clone(),
                window: Window { length: *window, include_same_instant: self.include_same_instant },
            }),
        };
        self.features.iter().filter_map(windowed).collect()
    }

    /// The layout of the states behind [`ViewDefinition::windowed`].
    ///
    /// # Errors
    ///
    /// An aggregation cannot take its column's type.
    pub fn layout(&self) -> Result<Layout, FeatureError> {
        let types: Vec<DataType> = self.columns.iter().map(|column| column.data_type.clone()).collect();
        Layout::new(&self.windowed(), &types)
    }

    /// A number for what is stored of the view: equal definitions share it, and a definition that changes what has to be
    /// stored gets another. Descriptions, defaults, the time to live and the features' names do not change it.
    #[must_use]
    pub fn space(&self) -> u64 {
        let stored: Vec<_> = self.features.iter().map(|feature| &feature.value).collect();
        let text = serde_json::to_vec(&(
            VIEW_VERSION,
            &self.name,
            &self.keys,
            &self.query,
            &self.columns,
            stored,
            self.include_same_instant,
        ));
        xxh3_64(&text.unwrap_or_default())
    }
}

/// Arrow's own text for a type, which it also reads.
pub(super) mod type_text {
    use arrow::datatypes::DataType;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(data_type: &DataType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(data_type)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataType, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
