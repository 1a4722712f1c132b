//! Jobs: work that goes on when the client that started it leaves.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::ErrorDetail;

/// The jobs that the server remembers, newest first. A run that was refused is none: the answer to its request said why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobsAnswer {
    pub jobs: Vec<JobInfo>,
}

/// A job as it is at this moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobInfo {
    pub id: String,
    pub kind: JobKind,
    /// The views, the dataset, or the selection of the run (none is everything).
    pub about: Vec<String>,
    pub state: JobState,
    /// Who started it: the name of a token, or `local` on a server without tokens.
    pub principal: String,
    /// RFC 3339.
    pub started: String,
    /// RFC 3339; absent while the job goes on.
    pub finished: Option<String>,
    /// The id of the run, once it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    pub progress: Option<JobProgress>,
    /// What the job made: a `MaterializeAnswer`, a `DatasetBuildAnswer` or a `RunSummary`.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    pub error: Option<ErrorDetail>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    Materialize,
    Dataset,
    Run,
    Backfill,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It looks at what there is to do, and may still be refused.
    Starting,
    Running,
    /// It was told to end, and has not yet.
    Cancelling,
    Succeeded,
    Failed,
    Cancelled,
}

impl JobState {
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobProgress {
    /// The asset that is worked on, and after a colon what of it where there is more to say: a phase of a dataset, a definition of
    /// a view that only versions of services still have.
    pub doing: String,
    /// Of a run the steps that were carried out, whatever came of them, and none that was skipped or cancelled; of other jobs the
    /// rows of the asset so far.
    pub done: u64,
    /// Absent where it is not known.
    pub total: Option<u64>,
    /// What `done` and `total` count.
    pub unit: ProgressUnit,
}

/// What a job's progress counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgressUnit {
    Rows,
    Steps,
}
