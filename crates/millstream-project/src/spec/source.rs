//! Where data enters, and what it promises.

use std::fmt;

use indexmap::IndexMap;
use millstream_types::{ColumnType, Percent, Severity, SourceName, Span, TableName};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{CheckSpec, ScheduleSpec, StepsSpec};
use crate::{HiddenValues, Located, Location, Node};

/// A file of `sources/`, or one table of a file with many.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    pub name: SourceName,
    /// The start of the file, or the table's key in it, for messages about the source as a whole.
    pub at: Location,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub connector: ConnectorSpec,
    /// When the source runs by itself.
    pub schedule: Option<ScheduleSpec>,
    pub steps: StepsSpec,
    pub landing: LandingMode,
    pub on_lost_position: LostPosition,
    pub contract: ContractSpec,
}

impl SourceSpec {
    /// `bronze.<name>`, the table that the source lands in.
    #[must_use]
    pub fn table(&self) -> TableName {
        TableName::bronze(&self.name)
    }
}

/// Which connector, and its options as written; the connector's own factory checks them.
#[derive(Clone)]
pub struct ConnectorSpec {
    pub kind: Located<String>,
    /// The name of the connection through which the connector reads.
    pub connection: Option<Located<String>>,
    /// The mapping without `type` and `connection`, `${VAR}` substituted, with the place of every value.
    pub options: Node,
    /// Whether a faulty option was reported and left out, so that a missing one may be just that.
    pub has_gap: bool,
    /// The credentials among the options, which no fingerprint may hold.
    pub secrets: HiddenValues,
}

/// Leaves out the options, which may hold credentials.
impl fmt::Debug for ConnectorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorSpec")
            .field("kind", &self.kind.value)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// What rows that come from the source do to the rows that landed before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LandingMode {
    /// Each row is added.
    #[default]
    Append,
    /// Each row takes the place of the one with the same `key`, and rows that the source deleted leave.
    Merge,
}

/// What is done when the position up to which a source was read is not there any more, as after a log was cut off behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LostPosition {
    /// The step fails, and a person decides.
    #[default]
    Halt,
    /// The part is read again from its beginning, and what the place has of it then takes the place of what landed of it before.
    Resync,
}

/// What a source's rows promise.
#[derive(Clone, Debug)]
pub struct ContractSpec {
    pub columns: IndexMap<String, ColumnSpec>,
    /// The columns that name a row; empty where the contract promises none.
    pub key: Vec<Located<String>>,
    /// The column of the event time.
    pub time: Option<Located<String>>,
    pub evolution: Evolution,
    /// The newest `time` (or ingestion, without one) may not be older than this.
    pub freshness: Option<Span>,
    /// Every check, those of the columns included, in the order of the file.
    pub checks: Vec<CheckSpec>,
    /// The severity of a value that does not fit its column's type, and of row checks that state none.
    pub on_violation: Severity,
    /// The breaker: a larger share of rejected rows stops the step.
    pub halt_above: Option<Percent>,
    /// Over how long the breaker takes the share where rows are events; `None` for the house's.
    pub halt_window: Option<Span>,
    /// How far the event time may be ahead of a row's arrival; `None` for the house's bound.
    pub future: Option<Span>,
}

/// One column of a contract.
#[derive(Clone, Debug)]
pub struct ColumnSpec {
    pub name: String,
    /// The place of the column's name.
    pub at: Location,
    pub column_type: ColumnType,
    pub description: Option<String>,
    /// Whether the column holds personal data, which is masked wherever rows are printed.
    pub pii: bool,
}

/// What happens when the source's columns change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evolution {
    /// No change is accepted.
    #[default]
    Freeze,
    /// Further columns are accepted.
    AddColumns,
    /// Further columns, and types that hold every value of the former one.
    Widen,
}
