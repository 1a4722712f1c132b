//! `partition` and `parameters` in the header of a table.

use millstream_types::ColumnType;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Grain, Located, Node, decode::Written};

/// What `partition` may be.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes the value to editors; its forms are decoded one by one")]
pub(crate) enum PartitionValue {
    /// Of `materialize: incremental` with `time`: the length of the time partitions that are recomputed as a whole.
    Grain(Grain),
    /// The partitions in which the table is built, judged and filled.
    Keys(PartitionFile),
}

/// The partitions in which a table is built, judged and filled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Partition")]
pub(crate) struct PartitionFile {
    /// What makes rows belong to one partition: the hour, day, week, month or year of a time, or a value.
    pub(crate) by: Located<PartitionWord>,
    /// The column of the table by whose values the rows are parted.
    pub(crate) column: Located<String>,
    /// The time zone in which days begin, such as `Europe/Berlin`; UTC when absent.
    #[serde(default)]
    pub(crate) zone: Option<Located<String>>,
    /// The begin of the first partition, such as `2024-01-01`: earlier rows are left out of the table.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) from: Option<Node>,
}

/// The words of `by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "PartitionBy")]
pub(crate) enum PartitionWord {
    Hour,
    Day,
    Week,
    Month,
    Year,
    /// One partition for each value of the column.
    Value,
}

/// A value that the SQL names as `$name`, and that a backfill may set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Parameter")]
pub(crate) struct ParameterFile {
    /// The type of the value: `bool`, `int64`, `float64`, `string` or `date`.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub(crate) column_type: Located<Written<ColumnType>>,
    /// The value where nothing else is said.
    #[schemars(with = "serde_json::Value")]
    pub(crate) default: Node,
}
