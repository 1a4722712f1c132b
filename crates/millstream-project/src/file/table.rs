//! The header of `tables/<schema>/*.sql`.

use millstream_types::{Percent, Severity, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    CheckFile, ParameterFile, RetryFile, SlaFile, StreamFile,
    partition::PartitionValue,
    schedule::ScheduleValue,
    schema_text::{PercentText, SpanText},
};
use crate::{
    Located, Node,
    decode::{OneOrMany, Written},
};

/// What is said about a SQL table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TableHeader")]
pub(crate) struct TableFile {
    /// What the table holds.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Who answers for it.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Words to select it by: `tag:<word>`.
    #[serde(default)]
    pub(crate) tags: OneOrMany<String>,
    /// When the table runs by itself: `every 15m`, a cron line of five fields with or without a time zone, or a mapping.
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
    /// How the table is kept; `table` when absent.
    #[serde(default)]
    pub(crate) materialize: Option<Located<MaterializeFile>>,
    /// Column or columns that name a row: of `incremental` and `stream` (rows with the same key replace each other) and `history`.
    #[serde(default)]
    pub(crate) key: Option<Located<OneOrMany<Located<String>>>>,
    /// The time column: of `incremental` with `partition`, or of `history`.
    #[serde(default)]
    pub(crate) time: Option<Located<String>>,
    /// The partitions in which the table is built, judged and filled: a mapping. Of `incremental` with `time`, the length of the
    /// time partitions that are recomputed as a whole.
    #[serde(default)]
    #[schemars(with = "Option<PartitionValue>")]
    pub(crate) partition: Option<Node>,
    /// How a table with `materialize: stream` comes about from events.
    #[serde(default)]
    pub(crate) stream: Option<Located<StreamFile>>,
    /// Which checks of tables that this one reads keep it from being built when they halt: `{silver.orders: [not_null]}`, or
    /// `none`. All that halt, of tables that are not named.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    pub(crate) needs: Option<Node>,
    /// Values that the SQL names as `$name`, and that a backfill may set.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, ParameterFile>")]
    pub(crate) parameters: Option<Node>,
    /// Checks on rows and on the table.
    #[serde(default)]
    #[schemars(with = "Vec<CheckFile>")]
    pub(crate) checks: Option<Located<Vec<Node>>>,
    /// Severity of row checks; `quarantine` when absent.
    #[serde(default)]
    pub(crate) on_violation: Option<Located<Severity>>,
    /// The breaker: a larger share of rejected rows stops the step.
    #[serde(default)]
    #[schemars(with = "Option<PercentText>")]
    pub(crate) halt_above: Option<Located<Written<Percent>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Materialize")]
pub(crate) enum MaterializeFile {
    /// Never stored: its SQL is part of whoever reads it.
    View,
    /// Rebuilt as a whole and swapped.
    Table,
    /// Only what changed is computed.
    Incremental,
    /// Every state of a key, with `valid_from` and `valid_to`. What is recorded stays, also when the definition changes.
    History,
    /// Computed from events as they arrive.
    Stream,
}
