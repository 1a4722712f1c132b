//! `sources/*.yaml`.

use millstream_types::{Percent, Severity, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    CheckFile, RetryFile, SlaFile,
    schedule::ScheduleValue,
    schema_text::{
        ColumnAddress, ColumnTypeText, ConnectorOptions, LeftOut, PatternText, PercentText, SpanText,
    },
};
use crate::{
    Evolution, LandingMode, Located, LostPosition, Node, Scalar,
    decode::{BoundsFile, Entries, OneOrMany, Written},
};

/// Where data enters, and what it promises.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source", extend("anyOf" = [{"required": ["contract"]}, {"required": ["tables"]}]))]
pub(crate) struct SourceFile {
    /// What the source holds.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Who answers for it.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Words to select it by: `tag:<word>`.
    #[serde(default)]
    pub(crate) tags: OneOrMany<String>,
    /// Which connector, and its options.
    #[schemars(required)]
    pub(crate) connector: Option<ConnectorFile>,
    /// When the source runs by itself: `every 15m`, a cron line of five fields with or without a time zone, or a mapping.
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
    /// What rows do to those that landed before; `append` when absent. `merge` needs a `key` in the contract.
    #[serde(default)]
    pub(crate) landing: Option<Located<LandingMode>>,
    /// What is done when the position up to which the source was read is gone: `halt` when absent, which leaves it to a person, or
    /// `resync`, by which the part is read again from its beginning and replaces what landed of it before.
    #[serde(default)]
    pub(crate) on_lost_position: Option<Located<LostPosition>>,
    /// What the rows promise. Beside `tables`, what the rows of each table promise where the table says nothing else.
    pub(crate) contract: Option<Located<ContractFile>>,
    /// The tables of a source of many, by name or by a pattern such as `tenant_*` over those that are there; `false` leaves
    /// out what it means. Each lands in `bronze.<name of the file>_<table>`, and `{table}` in the options of the connector
    /// stands for its name.
    #[serde(default, rename = "tables")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, TableEntry>>")]
    _tables: Option<Node>,
}

/// One file with many tables, before the contracts are put together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceOfTablesFile {
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) owner: Option<String>,
    #[serde(default)]
    pub(crate) tags: OneOrMany<String>,
    pub(crate) connector: Option<ConnectorFile>,
    #[serde(default)]
    pub(crate) schedule: Option<Node>,
    #[serde(default)]
    pub(crate) retry: Option<Located<RetryFile>>,
    #[serde(default)]
    pub(crate) timeout: Option<Located<Written<Span>>>,
    #[serde(default)]
    pub(crate) set_aside_after: Option<Located<u32>>,
    #[serde(default)]
    pub(crate) sla: Option<Located<SlaFile>>,
    #[serde(default)]
    pub(crate) landing: Option<Located<LandingMode>>,
    #[serde(default)]
    pub(crate) on_lost_position: Option<Located<LostPosition>>,
    /// What holds for the tables that say nothing else.
    pub(crate) contract: Option<Node>,
    pub(crate) tables: Located<Entries<Node>>,
}

/// What an entry of `tables` may be.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes the entries to editors; they are decoded one by one")]
enum TableEntry {
    /// What the file says of this table alone.
    Table(Option<TableOfSourceFile>),
    /// Not landed.
    LeftOut(#[schemars(with = "LeftOut")] bool),
}

/// One table of a source of many.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TableOfSource")]
pub(crate) struct TableOfSourceFile {
    /// What `{table}` in the options of the connector stands for; the name of the table when absent.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// What the table holds.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Who answers for it.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Words to select it by, besides those of the file: `tag:<word>`.
    #[serde(default)]
    pub(crate) tags: OneOrMany<String>,
    /// What rows do to those that landed before; what the file says when absent.
    #[serde(default)]
    pub(crate) landing: Option<Located<LandingMode>>,
    /// What the rows promise: goes before the contract of the file, column by column; checks are added to those of the file.
    #[serde(default)]
    #[schemars(with = "Option<ContractFile>")]
    pub(crate) contract: Option<Node>,
}

/// The options as written; each connector checks its own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "Connector")]
pub(crate) struct ConnectorFile(#[schemars(with = "ConnectorOptions")] pub(crate) Node);

/// Columns, checks and rules of a source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Contract")]
pub(crate) struct ContractFile {
    /// The columns by name, in the order of the table. A table of a source of many may have all of them from the contract
    /// for all.
    #[schemars(with = "Option<Entries<ColumnFile>>")]
    pub(crate) columns: Located<Entries<ColumnFile>>,
    /// Column or columns that name a row: none of them is null, and no two rows have the same. With `landing: merge` a row
    /// takes the place of the one with the same key.
    #[serde(default)]
    pub(crate) key: Option<Located<OneOrMany<Located<String>>>>,
    /// The column of the event time.
    #[serde(default)]
    pub(crate) time: Option<Located<String>>,
    /// What happens when the source's columns change; `freeze` when absent.
    #[serde(default)]
    pub(crate) evolution: Option<Evolution>,
    /// Highest age of the newest row, by the column that `time` names. Judged by the clock at each run, also when nothing
    /// new landed.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) freshness: Option<Located<Written<Span>>>,
    /// Checks on rows and on the table.
    #[serde(default)]
    #[schemars(with = "Vec<CheckFile>")]
    pub(crate) checks: Vec<Node>,
    /// Severity of row checks and of values that do not fit their type; `quarantine` when absent.
    #[serde(default)]
    pub(crate) on_violation: Option<Severity>,
    /// The breaker: a larger share of rejected rows stops the step.
    #[serde(default)]
    #[schemars(with = "Option<PercentText>")]
    pub(crate) halt_above: Option<Written<Percent>>,
    /// Over how long the share of rejected rows is taken where rows are events that come one by one; `5m` when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) halt_window: Option<Written<Span>>,
    /// How far the event time of a row may be ahead of the instant at which the row comes; rows further ahead are rejected. `1h`
    /// for events, any for other sources when absent.
    #[serde(default)]
    #[schemars(with = "Option<SpanText>")]
    pub(crate) future: Option<Written<Span>>,
}

/// One column and what is promised about it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Column")]
pub(crate) struct ColumnFile {
    /// `int64`, `decimal(12,2)`, `list<string>`, …
    #[serde(rename = "type")]
    #[schemars(with = "ColumnTypeText")]
    pub(crate) column_type: Located<String>,
    /// What the column holds.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// No nulls.
    #[serde(default)]
    pub(crate) required: Option<Located<bool>>,
    /// No value twice in the whole table.
    #[serde(default)]
    pub(crate) unique: Option<Located<bool>>,
    /// Lowest and highest value, both allowed.
    #[serde(default)]
    pub(crate) range: Option<Located<BoundsFile<Scalar>>>,
    /// Lowest and highest number of characters, or of a list's elements.
    #[serde(default)]
    pub(crate) length: Option<Located<BoundsFile<u64>>>,
    /// The values that are allowed.
    #[serde(default)]
    pub(crate) one_of: Option<Located<Vec<Located<Scalar>>>>,
    /// A named pattern, or a regular expression that matches the whole text.
    #[serde(default)]
    #[schemars(with = "Option<PatternText>")]
    pub(crate) pattern: Option<Located<String>>,
    /// The value occurs in a column of another table.
    #[serde(default)]
    pub(crate) relationship: Option<Located<RelationFile>>,
    /// Personal data: masked wherever rows are printed.
    #[serde(default)]
    pub(crate) pii: bool,
    /// Severity of this column's checks.
    #[serde(default)]
    pub(crate) severity: Option<Severity>,
}

/// Where a column's values must occur.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Relation")]
pub(crate) struct RelationFile {
    /// `schema.table.column`
    #[schemars(with = "ColumnAddress")]
    pub(crate) to: Located<String>,
}
