//! Labels joined point-in-time with features.

use std::num::NonZeroU32;

use indexmap::IndexMap;
use millstream_types::{Percent, Span, TableName, TimestampMicros};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{FeatureRef, ScheduleSpec, StepsSpec};
use crate::{Located, Location, Node};

/// One file of `datasets/`.
#[derive(Clone, Debug)]
pub struct DatasetSpec {
    /// The file's name.
    pub name: String,
    /// The start of the file.
    pub at: Location,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub labels: LabelsSpec,
    pub features: DatasetFeatures,
    pub as_known: Option<Located<AsKnown>>,
    /// The gap that is left out between the sides of a split by time.
    pub embargo: Option<Span>,
    pub split: Option<Located<SplitSpec>>,
    pub encode: Vec<EncodeSpec>,
    pub output: Option<OutputSpec>,
    pub refresh: RefreshSpec,
    /// How many versions housekeeping leaves; all of them when absent.
    pub keep: Option<NonZeroU32>,
    /// When the dataset is built by itself.
    pub schedule: Option<ScheduleSpec>,
    pub steps: StepsSpec,
}

/// When a dataset is built again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefreshSpec {
    /// When a command names it.
    #[default]
    Manual,
    /// In each run in which its definition or something that it reads is another one.
    OnChange,
}

/// How a column of the dataset is encoded for a model.
#[derive(Clone, Debug)]
pub struct EncodeSpec {
    pub column: Located<String>,
    /// The encoding as it is written; the room of features knows the encodings.
    pub value: Node,
}

/// The rows that features are joined to.
#[derive(Clone, Debug)]
pub struct LabelsSpec {
    pub at: Location,
    pub origin: LabelOrigin,
    /// The entities as they are written; an empty list means the entities of the features.
    pub entities: Vec<Located<String>>,
    /// The label column that holds each key column of an entity; a key column that is absent has the same name in the
    /// labels.
    pub keys: IndexMap<String, Located<String>>,
    /// The column of the time at which features are wanted.
    pub time: Located<String>,
    /// The columns that are kept beside keys and time; `None` is all.
    pub columns: Option<Vec<Located<String>>>,
}

/// Where labels come from.
#[derive(Clone, Debug)]
pub enum LabelOrigin {
    Table(Located<TableName>),
    Sql(Located<String>),
    /// A path relative to the project's folder.
    File(Located<String>),
}

/// The features that are joined to the labels.
#[derive(Clone, Debug)]
pub enum DatasetFeatures {
    Service(Located<String>),
    List(Vec<Located<FeatureRef>>),
}

/// The time up to which rows had to be known to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsKnown {
    /// Rows that were known at the label's time.
    LabelTime,
    /// Rows that were known at the time in this column of the labels.
    Column(String),
    /// Rows that were known at one instant.
    At(TimestampMicros),
}

/// The shares of the rows that each side of a split gets; they add up to 100%.
#[derive(Clone, Debug)]
pub struct SplitSpec {
    pub by: SplitBy,
    pub train: Percent,
    pub validation: Option<Percent>,
    pub test: Option<Percent>,
    /// The seed of a split by `hash` or `random`.
    pub seed: u64,
    /// The column of a split by `hash` or `random` whose values no two sides share.
    pub entity: Option<Located<String>>,
}

/// How a row's side is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// The oldest rows train, the newest test.
    Time,
    /// By a hash of the entity: the same side in every version of the dataset.
    Hash,
    /// By chance, with a seed.
    Random,
}

/// Where a dataset is written.
#[derive(Clone, Debug)]
pub struct OutputSpec {
    /// The path relative to the project's folder.
    pub path: Located<String>,
    pub format: OutputFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    Parquet,
    Delta,
}
