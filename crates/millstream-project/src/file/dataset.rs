//! `datasets/*.yaml`.

use millstream_types::{Percent, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    RetryFile, SlaFile,
    schedule::ScheduleValue,
    schema_text::{AsKnownValue, FeatureList, OutputValue, PercentText, SpanText},
};
use crate::{
    Located, Node, OutputFormat, RefreshSpec, SplitBy,
    decode::{Entries, OneOrMany, Written},
};

/// Labels joined point-in-time with features.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Dataset")]
pub(crate) struct DatasetFile {
    /// What the dataset is for.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Who answers for it.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Words to select it by.
    #[serde(default)]
    pub(crate) tags: OneOrMany<String>,
    /// The rows that features are joined to.
    pub(crate) labels: Located<LabelsFile>,
    /// The name of a service, or a list of features as in a service.
    #[schemars(with = "FeatureList")]
    pub(crate) features: Node,
    /// Only what was known: `true` at each label's time, a column of the labels, or one instant.
    #[serde(default)]
    #[schemars(with = "Option<AsKnownValue>")]
    pub(crate) as_known: Option<Node>,
    /// Gap that is left out between the sides of a split by time.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) embargo: Option<Located<Written<Span>>>,
    /// Which rows are for training, and which are kept for judging.
    #[serde(default)]
    pub(crate) split: Option<Located<SplitFile>>,
    /// How columns are encoded for a model, fitted on the training rows: `profile.country: one_hot`, `orders.spend_30d:
    /// [log, standardise]`.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub(crate) encode: Entries<Node>,
    /// Where the dataset is written.
    #[serde(default)]
    #[schemars(with = "Option<OutputValue>")]
    pub(crate) output: Option<Node>,
    /// When the dataset is built again: `on_change` in each run in which something that it reads is new, `manual` (as when
    /// absent) only when a command names it.
    #[serde(default)]
    pub(crate) refresh: Option<RefreshSpec>,
    /// So many versions stay, the newest ones; housekeeping forgets the others, with their files below the project's own folder and the pins of
    /// what they were built from. All stay when absent.
    #[serde(default)]
    pub(crate) keep: Option<Located<u32>>,
    /// When the dataset is built by itself, whatever `refresh` says: `every 15m`, a cron line of five fields with or without a time zone, or a mapping.
    #[serde(default)]
    #[schemars(with = "Option<ScheduleValue>")]
    pub(crate) schedule: Option<Node>,
    /// How a step that failed for a reason that may pass is tried again; as the project says when absent.
    #[serde(default)]
    pub(crate) retry: Option<Located<RetryFile>>,
    /// The longest time that one attempt at a step may take; as the project says when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) timeout: Option<Located<Written<Span>>>,
    /// After so many failures in a row the asset runs by itself no more, until it is changed or resumed; 5 when absent, 0 for never.
    #[serde(default)]
    pub(crate) set_aside_after: Option<Located<u32>>,
    /// What is promised of the asset.
    #[serde(default)]
    pub(crate) sla: Option<Located<SlaFile>>,
}

/// The rows that features are joined to: one of `from`, `sql` and `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Labels")]
pub(crate) struct LabelsFile {
    /// A table.
    #[serde(default)]
    pub(crate) from: Option<Located<String>>,
    /// A query.
    #[serde(default)]
    pub(crate) sql: Option<Located<String>>,
    /// A file, relative to the project's folder.
    #[serde(default)]
    pub(crate) file: Option<Located<String>>,
    /// The entity or entities that the labels are about.
    #[serde(default)]
    pub(crate) entity: OneOrMany<Located<String>>,
    /// Label columns that hold an entity's key under another name: `customer_id: buyer`.
    #[serde(default)]
    pub(crate) keys: Entries<Located<String>>,
    /// The column of the time at which features are wanted.
    pub(crate) time: Located<String>,
    /// The columns of the labels that are kept beside keys and time; all when absent.
    #[serde(default)]
    pub(crate) columns: Option<Located<Vec<Located<String>>>>,
}

/// Shares of the rows that add up to 100%.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Split")]
pub(crate) struct SplitFile {
    /// How a row's side is decided.
    pub(crate) by: Located<SplitBy>,
    /// Share of the rows that a model is trained on.
    #[schemars(with = "PercentText")]
    pub(crate) train: Located<Written<Percent>>,
    /// Share of the rows by which models are compared with each other.
    #[serde(default)]
    #[schemars(with = "Option<PercentText>")]
    pub(crate) validation: Option<Located<Written<Percent>>>,
    /// Share of the rows by which the chosen model is judged.
    #[serde(default)]
    #[schemars(with = "Option<PercentText>")]
    pub(crate) test: Option<Located<Written<Percent>>>,
    /// Of `hash` and `random`: another seed, another split; 0 when absent.
    #[serde(default)]
    pub(crate) seed: Option<Located<u64>>,
    /// Of `hash` and `random`: no two sides share one of these.
    #[serde(default)]
    pub(crate) entity: Option<Located<String>>,
}

/// The long spelling of `output`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Output")]
pub(crate) struct OutputFile {
    /// A file or folder, relative to the project's folder.
    pub(crate) path: Located<String>,
    /// By the path's ending when absent.
    #[serde(default)]
    pub(crate) format: Option<OutputFormat>,
}
