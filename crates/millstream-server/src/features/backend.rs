//! What the features' endpoints ask of the rest of Millstream, in Arrow columns and plain words.

use std::{any::Any, fmt, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, TimestampMicrosecondArray},
    datatypes::{Fields, SchemaRef},
};
use async_trait::async_trait;
use indexmap::IndexMap;
use millstream_api::{
    failures::StaleAsset,
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

    /// Values of the features for each row of the request, in its order, duplicates included, as the project has them whose
    /// schema the request was checked against.
    async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, ApiError>;

    /// The columns of rows that are pushed to a view or to a push source.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownView`].
    fn push_schema(&self, name: &str) -> Result<PushSchema, ApiError>;

    /// Stores rows by the project whose schema they were checked against. It answers once they are durable, and the next read
    /// sees them.
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

/// The project by which a request is answered from its schema to its answer, although another may be loaded meanwhile. What is
/// in it is the backend's affair.
#[derive(Clone, Default)]
pub struct HeldProject(Option<Arc<dyn Any + Send + Sync>>);

impl HeldProject {
    pub fn of<P: Any + Send + Sync>(project: Arc<P>) -> Self {
        Self(Some(project))
    }

    /// The project, if it is of this type.
    #[must_use]
    pub fn get<P: Any + Send + Sync>(&self) -> Option<Arc<P>> {
        self.0.clone()?.downcast().ok()
    }
}

impl fmt::Debug for HeldProject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeldProject").field(&self.0.is_some()).finish()
    }
}

/// What a read asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadTarget {
    /// The features of a service, in its newest version if none is named.
    Service { name: String, version: Option<u32> },
    /// Single features by name: `view.feature`, `view.*`, or the bare name of an on-demand feature.
    Features(Vec<String>),
}

/// The columns that a read takes. A column whose field is not nullable refuses nulls.
#[derive(Clone, Debug, Default)]
pub struct EntitySchema {
    pub project: HeldProject,
    /// The key columns of all entities of the target.
    pub keys: Fields,
    /// The values that on-demand features take from the request.
    pub request: Fields,
    /// The number of features that the answer will have, wildcards resolved.
    pub features: usize,
}

/// A checked read: every column of the [`EntitySchema`] in its type, all of one length.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The project of the schema.
    pub project: HeldProject,
    pub target: ReadTarget,
    /// The key columns and the request values by name, in the order of the request.
    pub entities: IndexMap<String, ArrayRef>,
    pub rows: usize,
    /// The time to which the values belong, in microseconds since 1970; none stands for the present.
    pub at: Option<i64>,
    /// The version of the dataset whose fitted encodings are applied to the values; none applies no encodings.
    pub encoding: Option<String>,
}

/// The statuses of a column's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// All rows have this status.
    Uniform(Status),
    /// Each row has its own status.
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
    /// The feature's name: `view.feature`, or the bare name of an on-demand feature.
    pub name: String,
    pub values: ArrayRef,
    pub statuses: Statuses,
    /// The time of the newest event behind each value; none if the feature has no such time.
    pub event_times: Option<TimestampMicrosecondArray>,
}

/// The answer to a read: columns of [`ReadRequest::rows`] rows each.
#[derive(Clone, Debug)]
pub struct ReadAnswer {
    pub columns: Vec<AnswerColumn>,
    /// The version of the service that answered; none for a list of features.
    pub service_version: Option<u32>,
    /// The views behind the values that are stale. It is asked for at every read: hand out what was prepared.
    pub stale: Vec<StaleAsset>,
}

/// The columns of pushed rows.
#[derive(Clone, Debug)]
pub struct PushSchema {
    pub project: HeldProject,
    /// The columns to send. One that is not nullable must be sent; a nullable one that is left out is null.
    pub schema: SchemaRef,
    /// The names of the view's features: finished values, which are computed and not pushed.
    pub features: Vec<String>,
    /// The column with the event time. Feast's clients may call it `event_timestamp`.
    pub time: String,
}

/// Rows to store.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// The project of the schema.
    pub project: HeldProject,
    /// The name of the view, or of the push source, that the rows are pushed to.
    pub name: String,
    /// The rows, in the schema of the [`PushSchema`].
    pub rows: RecordBatch,
    pub to: PushTarget,
}

/// What to materialise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterializeRequest {
    /// The names of the views, at least one.
    pub views: Vec<String>,
    /// The time from which on no event is wanted, in microseconds since 1970; none stands for the present.
    pub end: Option<i64>,
    /// Whether only rows that are new since the last materialisation are wanted.
    pub incremental: bool,
}
