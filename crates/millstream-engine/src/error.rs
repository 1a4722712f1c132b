//! The errors of the engine, with their codes and hints, and whether trying again may help.

use std::{collections::HashSet, time::Duration};

use datafusion::error::DataFusionError;
use millstream_connector::{ConnectorError, Retry};
use millstream_features::{FeatureError, view::OnlineViewError};
use millstream_lake::{DamagedFile, LakeError};
use millstream_log::LogError;
use millstream_ml::{Cause, DatasetError};
use millstream_online::OnlineError;
use millstream_project::cover;
use millstream_quality::QualityError;
use millstream_schedule::ScheduleError;
use millstream_sql::{SqlError, arrow_without_values, incremental::IncrementalError, without_values};
use millstream_state::{Proof, Receipt, StateError};
use millstream_stream::StreamError;
use millstream_telemetry::DeliveryError;
use millstream_types::{AssetId, SourceName, Span, TableName};

/// A fault of the engine or of a crate below it, with the asset or place that it concerns.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("source `{name}` cannot be read")]
    Source {
        name: SourceName,
        #[source]
        source: ConnectorError,
    },
    #[error("the lake failed")]
    Lake(#[source] LakeError),
    #[error("{}", state_failure(.0))]
    State(#[source] StateError),
    #[error("the checks of `{table}` cannot be evaluated")]
    Quality {
        table: TableName,
        #[source]
        source: QualityError,
    },
    #[error("the SQL of `{table}` failed")]
    Sql {
        table: TableName,
        #[source]
        source: SqlError,
    },
    #[error("`{table}` cannot be kept up to date")]
    Incremental {
        table: TableName,
        #[source]
        source: IncrementalError,
    },
    #[error("the query failed")]
    Query(#[source] SqlError),
    #[error("rows of `{table}` cannot be computed")]
    Compute {
        table: TableName,
        #[source]
        source: arrow::error::ArrowError,
    },
    #[error("no asset named `{name}`")]
    UnknownAsset { name: String, nearest: Option<String> },
    #[error("`{table}` has never been built")]
    NeverBuilt { table: TableName },
    #[error(transparent)]
    Plan(millstream_plan::PlanError),
    #[error("`{table}` {message}")]
    Refused { table: TableName, message: String, hint: String },
    #[error("`{table}` {message}")]
    Partitions { table: TableName, message: String, hint: String },
    #[error("no backfill `{id}`")]
    UnknownBackfill { id: String },
    #[error("the record of a commit cannot be written")]
    CommitInfo {
        #[source]
        source: serde_json::Error,
    },
    #[error("no {what} named `{name}`")]
    UnknownFeature { what: &'static str, name: String, hint: String },
    #[error("the definition of `{name}` cannot be written or read")]
    Definition {
        name: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the view `{view}` cannot be computed")]
    View {
        view: String,
        #[source]
        source: FeatureError,
    },
    #[error("features cannot be kept or read online")]
    OnlineView(#[source] Box<OnlineViewError>),
    #[error("the key of row {row} (from 0) has {bytes} bytes, at most {most} can be kept online")]
    EntityKey { row: usize, column: String, bytes: usize, most: usize },
    #[error("`{view}` cannot be materialised")]
    Materialize {
        view: String,
        hint: Option<String>,
        #[source]
        source: Box<EngineError>,
    },
    #[error("the online store failed")]
    Online(#[source] OnlineError),
    /// The state of a pipeline was lost, or the lake or the state was put back.
    #[error("the state of `{table}` is not the one that its commit {epoch} belongs to{}", state_found(*.found))]
    PipelineState { table: TableName, epoch: i64, found: Option<i64> },
    #[error("`{table}` was not committed: {reason}")]
    PipelineHalted { table: TableName, reason: String, hint: Option<String> },
    #[error("the pipeline of `{table}` failed")]
    Pipeline {
        table: TableName,
        #[source]
        source: StreamError,
    },
    #[error("the event log failed")]
    Log(#[source] LogError),
    #[error("the dataset `{name}` cannot be built")]
    Dataset {
        name: String,
        #[source]
        source: DatasetError,
    },
    #[error("the file of `{name}` is not what was built: `{}` {found}", path.display())]
    DatasetFile { name: String, path: std::path::PathBuf, found: String },
    #[error("the labels in `{path}` cannot be read: {message}")]
    LabelFile { path: String, message: String, hint: String },
    #[error("the labels of {origin} do not fit: {message}")]
    LabelColumn { origin: String, message: String },
    #[error("the request does not fit: {message}")]
    Request { message: String, hint: Option<String> },
    #[error("rows cannot be pushed to `{view}`: it follows the source `{source_name}`")]
    Follows { view: String, source_name: SourceName },
    #[error("Arrow could not {action}")]
    Arrow {
        action: &'static str,
        #[source]
        source: arrow::error::ArrowError,
    },
    #[error("cannot {verb} `{}`", path.display())]
    File {
        verb: &'static str,
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{what} is another than when this process started")]
    Moved { what: &'static str },
    #[error("the triggers of the project cannot work")]
    Schedule {
        #[source]
        source: ScheduleError,
    },
    #[error("`{asset}` does not account for all of its rows: {}", unaccounted(receipt))]
    Receipt { asset: AssetId, receipt: Receipt },
    #[error("a receiver outside cannot be told")]
    Telemetry {
        #[source]
        source: DeliveryError,
    },
    #[error("an attempt at `{asset}` took longer than {}", span_of(*.after))]
    TimedOut { asset: AssetId, after: Duration },
    /// Nobody knows whether others have taken what a lease of this process had.
    #[error("the state store did not answer for as long as a lease lasts, and its steps were cancelled")]
    CutOff,
    #[error("a worker stopped unexpectedly while {doing}")]
    Worker { doing: &'static str },
    #[error("cancelled")]
    Cancelled,
}

/// The text of an error of the state store: when others are at work, the store has not failed.
fn state_failure(error: &StateError) -> &'static str {
    match error {
        StateError::Locked { .. } => "another run is under way",
        StateError::LeaseLost => "the run has lost its place",
        _ => "the state store failed",
    }
}

/// What there is instead of the state of a pipeline.
fn state_found(found: Option<i64>) -> String {
    match found {
        Some(epoch) => format!(": it is that of commit {epoch}"),
        None => ": there is none".to_owned(),
    }
}

/// The equation of a receipt that does not hold.
fn unaccounted(receipt: &Receipt) -> String {
    let Receipt { proof, rows_in, rows_made, rows_out, rows_rejected, rows_filtered } = receipt;
    let count =
        |rows: &Option<u64>| rows.map_or_else(|| "an unknown number".to_owned(), |rows| rows.to_string());
    match proof {
        Proof::EachRow => format!(
            "{} read, {rows_out} written + {rows_rejected} rejected + {} left out",
            count(rows_in),
            count(rows_filtered)
        ),
        Proof::RowsMade => format!("{rows_made} made, {rows_out} written + {rows_rejected} rejected"),
    }
}

impl From<LakeError> for EngineError {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

impl From<OnlineError> for EngineError {
    fn from(error: OnlineError) -> Self {
        Self::Online(error)
    }
}

impl From<LogError> for EngineError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<StateError> for EngineError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl From<millstream_plan::PlanError> for EngineError {
    fn from(error: millstream_plan::PlanError) -> Self {
        Self::Plan(error)
    }
}

impl EngineError {
    /// The same error without the values of these columns, which hold personal data.
    pub(crate) fn masked(self, columns: &HashSet<String>) -> Self {
        match self {
            Self::Incremental { table, source } => {
                Self::Incremental { table, source: source.masked(columns) }
            }
            other => other,
        }
    }

    /// The same error without the values that a failed computation puts into its text, for computations over personal data.
    pub(crate) fn without_values(self) -> Self {
        match self {
            Self::Sql { table, source } => Self::Sql { table, source: source.without_values() },
            Self::Query(source) => Self::Query(source.without_values()),
            Self::Incremental { table, source } => {
                Self::Incremental { table, source: source.without_values() }
            }
            Self::Compute { table, source } => Self::Compute { table, source: arrow_without_values(source) },
            Self::Arrow { action, source } => Self::Arrow { action, source: arrow_without_values(source) },
            Self::Quality { table, source: QualityError::Query { doing, source } } => {
                let source = QualityError::Query { doing, source: Box::new(without_values(*source)) };
                Self::Quality { table, source }
            }
            Self::Dataset { name, source } => {
                let inner = |cause: Cause| match cause.downcast::<Self>() {
                    Ok(own) => own.without_values().into(),
                    Err(other) => other,
                };
                Self::Dataset { name, source: source.map_cause(inner) }
            }
            other => other,
        }
    }

    /// The stable code of the error: `MS-07xx`, or the code of an error from a crate below.
    #[must_use]
    pub fn code(&self) -> &'static str {
        if DamagedFile::behind(self).is_some() {
            return DamagedFile::CODE;
        }
        match self {
            Self::Source { source, .. } => source.code(),
            Self::Lake(error) => error.code(),
            Self::State(error) => error.code(),
            Self::Quality { source, .. } => source.code(),
            Self::Sql { source, .. } | Self::Query(source) => source.code(),
            Self::Incremental { source, .. } => source.code(),
            Self::Compute { .. } => "MS-0701",
            Self::UnknownAsset { .. } => "MS-0702",
            Self::NeverBuilt { .. } => "MS-0703",
            Self::Plan(error) => error.code(),
            Self::Refused { .. } => "MS-0705",
            Self::Partitions { .. } => "MS-0755",
            Self::UnknownBackfill { .. } => "MS-0756",
            Self::CommitInfo { .. } => "MS-0706",
            Self::UnknownFeature { .. } => "MS-0720",
            Self::Definition { .. } => "MS-0721",
            Self::View { source, .. } => source.code(),
            Self::OnlineView(error) => error.code(),
            Self::EntityKey { .. } => "MS-0736",
            Self::Materialize { source, .. } => source.code(),
            Self::Online(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::PipelineState { .. } => "MS-0792",
            Self::PipelineHalted { .. } => "MS-0793",
            Self::Pipeline { source, .. } => source.code(),
            Self::Dataset { source, .. } => source.code(),
            Self::DatasetFile { .. } => "MS-0735",
            Self::LabelFile { .. } => "MS-0722",
            Self::LabelColumn { .. } => "MS-0723",
            Self::Request { .. } => "MS-0724",
            Self::Follows { .. } => "MS-0860",
            Self::Arrow { .. } => "MS-0725",
            Self::File { .. } => "MS-0726",
            Self::Moved { .. } => "MS-0737",
            Self::Schedule { .. } => "MS-0738",
            Self::Receipt { .. } => "MS-0775",
            Self::Telemetry { source } => source.code(),
            Self::CutOff => "MS-0785",
            Self::Worker { .. } => "MS-0707",
            Self::Cancelled => "MS-0708",
            Self::TimedOut { .. } => "MS-0740",
        }
    }

    /// The error for a name that is not among `known`; the hint says which known name is the nearest, or where all are listed.
    pub(crate) fn unknown_feature<'a>(
        what: &'static str,
        name: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let hint = match millstream_project::nearest(name, known) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if what == "dataset" => "`millstream dataset list` shows the datasets".to_owned(),
            None => "`millstream features list` shows what there is".to_owned(),
        };
        Self::UnknownFeature { what, name: name.to_owned(), hint }
    }

    /// The error for a query that failed while its rows were read.
    pub(crate) fn rows(source: datafusion::error::DataFusionError) -> Self {
        Self::Query(SqlError::from_datafusion(source))
    }

    pub(crate) fn online_view(source: OnlineViewError) -> Self {
        Self::OnlineView(Box::new(source))
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        if let Some(damaged) = DamagedFile::behind(self) {
            return Some(damaged.hint());
        }
        match self {
            Self::Source { source, .. } => source.hint().map(str::to_owned),
            Self::Lake(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Quality { source, .. } => source.hint(),
            Self::Sql { source, .. } | Self::Query(source) => source.hint(),
            Self::Incremental { source, .. } => source.hint(),
            Self::UnknownAsset { nearest, .. } => Some(nearest.as_ref().map_or_else(
                || "`millstream status` lists the assets".to_owned(),
                |name| format!("did you mean `{name}`?"),
            )),
            Self::NeverBuilt { table } => Some(format!("build it with `millstream run +{table}`")),
            Self::Plan(error) => error.hint(),
            Self::Schedule { source } => Some(source.hint()),
            Self::PipelineState { table, .. } => Some(format!(
                "`millstream run {table} --full-refresh` computes the table anew from its sources"
            )),
            Self::PipelineHalted { hint, .. } => hint.clone(),
            Self::Pipeline { table, source: StreamError::OtherDefinition } => Some(format!(
                "the event log no longer has all events; `millstream run {table} --full-refresh --forget-gone` computes the table from those that are left"
            )),
            Self::Pipeline { source, .. } => source.hint(),
            Self::Refused { hint, .. } | Self::Partitions { hint, .. } => Some(hint.clone()),
            Self::UnknownBackfill { .. } => {
                Some("`millstream backfill list` names the backfills".to_owned())
            }
            Self::UnknownFeature { hint, .. } | Self::LabelFile { hint, .. } => Some(hint.clone()),
            Self::View { source, .. } => source.hint(),
            Self::OnlineView(error) => error.hint(),
            Self::EntityKey { .. } => Some("use a shorter key, such as a hash of this one".to_owned()),
            Self::Materialize { hint, source, .. } => hint.clone().or_else(|| source.hint()),
            Self::Online(error) => error.hint(),
            Self::Log(error) => error.hint(),
            Self::Dataset { source, .. } => source.hint().or_else(|| inner_hint(source)),
            Self::DatasetFile { .. } => Some(
                "a build of the same inputs writes it again; without `output`, or with `format: delta`, each version \
                 keeps its file"
                    .to_owned(),
            ),
            Self::Request { hint, .. } => hint.clone(),
            Self::Follows { source_name, .. } => Some(format!(
                "send the events to the source: `POST /v1/ingest/{source_name}` or `millstream ingest {source_name}`"
            )),
            Self::TimedOut { .. } => Some(
                "give it more time with `timeout`, or find out what it waits for: `millstream run` tells how far a step is".to_owned(),
            ),
            Self::CutOff => Some(
                "they start again, here or on another server, once the state store answers; look at the way to it".to_owned(),
            ),
            Self::Moved { .. } => Some("what was loaded before goes on; restart the process".to_owned()),
            Self::Receipt { .. } => Some(
                "nothing was committed; run it again, and if it stays so, build its inputs again with `--full-refresh`"
                    .to_owned(),
            ),
            Self::Telemetry { .. } => {
                Some("messages wait and are sent later; `telemetry` of `millstream.yaml` names the receiver".to_owned())
            }
            Self::Definition { .. } | Self::LabelColumn { .. } | Self::Arrow { .. } | Self::File { .. } => {
                None
            }
            Self::Cancelled => Some("give the same command again: it goes on with what is left".to_owned()),
            Self::Compute { .. } | Self::CommitInfo { .. } | Self::Worker { .. } => None,
        }
    }

    /// The error with all that caused it, in one line and without credentials.
    #[must_use]
    pub fn told(&self) -> String {
        told(self)
    }

    /// Whether the same step may succeed later: `None` when it cannot, otherwise the wait that the other side asked for, if any.
    #[must_use]
    pub fn retry(&self) -> Option<Option<Duration>> {
        if let Some(damaged) = DamagedFile::behind(self) {
            return damaged.may_pass().then_some(None);
        }
        match self {
            Self::Source { source, .. } => match source.retry() {
                Retry::Never => None,
                Retry::After(wait) => Some(wait),
            },
            Self::Lake(error) => error.retryable().then_some(None),
            Self::State(error) => error.is_transient().then_some(None),
            Self::Online(error) => error.retryable().then_some(None),
            Self::Log(error) => error.retryable().then_some(None),
            Self::Materialize { source, .. } => source.retry(),
            Self::TimedOut { .. } => Some(None),
            Self::Sql { source, .. } | Self::Query(source) => source.retryable().then_some(None),
            Self::Incremental { source: IncrementalError::Engine { source, .. }, .. }
            | Self::Quality { source: QualityError::Query { source, .. }, .. } => {
                may_pass(source).then_some(None)
            }
            _ => None,
        }
    }
}

/// The time as a project's files write it.
fn span_of(time: Duration) -> Span {
    Span::from_ms(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// The error with all that caused it, in one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut before = text.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // SQLite's deepest cause has the error's number and repeats the message before it.
        let is_repeated =
            before.ends_with(&said) || (said.starts_with("Error code ") && said.ends_with(&before));
        if !is_repeated {
            text = format!("{text}: {said}");
            before = said;
        }
        cause = error.source();
    }
    cover(&text).text.into_owned()
}

/// The hint of an engine error inside an error of a dataset, as when an on-demand feature failed.
fn inner_hint(error: &DatasetError) -> Option<String> {
    std::error::Error::source(error)?.downcast_ref::<EngineError>()?.hint()
}

/// Whether a query failed for a reason outside of it that may pass, such as storage that cannot be reached.
fn may_pass(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) | DataFusionError::ParquetError(_) => {
            true
        }
        DataFusionError::External(inner) => match (inner.downcast_ref(), inner.downcast_ref()) {
            (Some(error), _) => LakeError::retryable(error),
            (_, Some(error)) => SqlError::retryable(error),
            (None, None) => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use millstream_state::Holder;
    use millstream_types::{AssetId, TimestampMicros};

    use super::*;

    #[test]
    fn faults_of_a_store_that_pass_are_tried_again_and_no_others() {
        let busy = EngineError::State(StateError::Locked {
            asset: AssetId::new("silver.a"),
            holder: Box::new(Holder::this_process("run", TimestampMicros(0))),
            age: Duration::ZERO,
        });
        let slow = EngineError::Online(OnlineError::Timeout { action: "read" });
        let foreign = EngineError::State(StateError::Foreign { path: "state.db".into() });
        let stopped = EngineError::Online(OnlineError::Stopped);
        let retries = [busy, slow, foreign, stopped].map(|error| error.retry());
        assert_eq!(retries, [Some(None), Some(None), None, None]);
    }
}
