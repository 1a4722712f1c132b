//! What the features' endpoints ask of the rest of Millstream, in Arrow columns and plain words.

use arrow::{
    array::{ArrayRef, RecordBatch, TimestampMicrosecondArray},
    datatypes::{Fields, SchemaRef},
};
use async_trait::async_trait;
use indexmap::IndexMap;
use millstream_api::{
    features::{MaterializeAnswer, PushAnswer, PushTarget, ServiceInfo, Status, ViewInfo},
    process::Readiness,
};

use crate::{error::ApiError, jobs::JobReporter};

/// Everything behind these endpoints. Calls are made from many requests at once; a call whose client went away or whose time is
/// up is dropped, so an implementation must stay consistent when its future is not polled to the end.
#[async_trait]
pub trait FeatureBackend: Send + Sync + 'static {
    /// Services that can be read, each with every version that is still servable.
    fn services(&self) -> Vec<ServiceInfo>;

    /// Views that can be read, pushed to and materialised.
    fn views(&self) -> Vec<ViewInfo>;

    /// The columns that a read of `target` needs. Called for every request: hand out what was computed when the service was
    /// loaded; its fields are shared, so nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownService`], [`crate::ErrorKind::UnknownView`] or [`crate::ErrorKind::UnknownFeature`].
    fn entity_schema(&self, target: &ReadTarget) -> Result<EntitySchema, ApiError>;

    /// Values of the features for each row of the request, in its order, duplicates included.
    async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, ApiError>;

    /// The columns of rows that are pushed to a view or to a push source.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownView`].
    fn push_schema(&self, name: &str) -> Result<PushSchema, ApiError>;

    /// Stores rows. It answers once they are durable, and the next read sees them.
    async fn push(&self, request: PushRequest) -> Result<PushAnswer, ApiError>;

    /// Carries rows from the lake to the online store, and ends soon after `job` is cancelled. It may be dropped at any point and
    /// continues when asked again.
    async fn materialize(
        &self,
        request: MaterializeRequest,
        job: JobReporter,
    ) -> Result<MaterializeAnswer, ApiError>;

    /// Whether requests can be answered now.
    async fn ready(&self) -> Readiness;
}

/// What a read is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadTarget {
    /// A service, in its newest version if none is named.
    Service { name: String, version: Option<u32> },
    /// Features by name: `view.feature`, `view.*`, or the bare name of an on-demand feature.
    Features(Vec<String>),
}

/// The columns that a read takes. A column whose field is not nullable refuses nulls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntitySchema {
    /// Key columns of all entities of the target.
    pub keys: Fields,
    /// Values that on-demand features take from the request.
    pub request: Fields,
    /// How many features the answer will have, wildcards resolved.
    pub features: usize,
}

/// A checked read: every column of the [`EntitySchema`] in its type, all of one length.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    pub target: ReadTarget,
    /// Key columns and request values by name, in the order of the request.
    pub entities: IndexMap<String, ArrayRef>,
    pub rows: usize,
    /// Microseconds since 1970; none is now.
    pub at: Option<i64>,
    /// Version of the dataset whose fitted encodings are applied.
    pub encoding: Option<String>,
}

/// Statuses of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// All rows have this one.
    Uniform(Status),
    /// One for each row.
    Each(Vec<Status>),
}

impl Statuses {
    /// The status of a row; a row without one is degraded, because nothing is known of it.
    #[must_use]
    pub fn of(&self, row: usize) -> Status {
        match self {
            Self::Uniform(status) => *status,
            Self::Each(each) => each.get(row).copied().unwrap_or(Status::Degraded),
        }
    }
}

/// One feature of an answer.
#[derive(Clone, Debug)]
pub struct AnswerColumn {
    /// `view.feature`, or the bare name of an on-demand feature.
    pub name: String,
    pub values: ArrayRef,
    pub statuses: Statuses,
    /// Time of the newest event behind each value; none if the feature has no such time.
    pub event_times: Option<TimestampMicrosecondArray>,
}

/// The answer to a read: columns of [`ReadRequest::rows`] rows each.
#[derive(Clone, Debug)]
pub struct ReadAnswer {
    pub columns: Vec<AnswerColumn>,
    /// The version of the service that answered; none for a list of features.
    pub service_version: Option<u32>,
}

/// The columns of pushed rows.
#[derive(Clone, Debug)]
pub struct PushSchema {
    /// A field that is not nullable must be sent; a nullable one that is left out is null.
    pub schema: SchemaRef,
    /// The names of the view's features: finished values, which are computed and not pushed.
    pub features: Vec<String>,
    /// The column with the event time. Feast's clients may call it `event_timestamp`.
    pub time: String,
}

/// Rows to store.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// A view, or a push source.
    pub name: String,
    /// In the [`PushSchema`]'s schema.
    pub rows: RecordBatch,
    pub to: PushTarget,
}

/// What to materialise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterializeRequest {
    /// At least one.
    pub views: Vec<String>,
    /// No event from this time on is wanted, in microseconds; none is now.
    pub end: Option<i64>,
    /// Only what is new since the last time.
    pub incremental: bool,
}
