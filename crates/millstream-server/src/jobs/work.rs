//! How a job is carried out: within its time, until it is done, told to end, or the server stops.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures::FutureExt;
use millstream_api::jobs::{JobKind, JobState};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    job::{Job, JobReporter},
    registry::JobOrder,
};
use crate::{
    body::small_json,
    error::{ApiError, ErrorKind},
    guard::Shared,
};

/// The time that work has to end by itself once its own time is over.
const LAST_TIME: Duration = Duration::from_secs(30);

/// How a job ended.
#[derive(Debug)]
pub(crate) struct JobEnd {
    /// The result of the job; a job that failed may have one too.
    pub(crate) result: Option<Value>,
    pub(crate) error: Option<ApiError>,
}

impl JobEnd {
    /// The end of work that made `result`.
    pub(crate) fn made(result: &impl Serialize, error: Option<ApiError>) -> Self {
        match serde_json::to_value(result) {
            Ok(result) => Self { result: Some(result), error },
            Err(cause) => {
                ApiError::new(ErrorKind::Internal, "the result could not be written").with_cause(cause).into()
            }
        }
    }
}

impl From<ApiError> for JobEnd {
    fn from(error: ApiError) -> Self {
        Self { result: None, error: Some(error) }
    }
}

impl<T: Serialize> From<Result<T, ApiError>> for JobEnd {
    fn from(result: Result<T, ApiError>) -> Self {
        match result {
            Ok(result) => Self::made(&result, None),
            Err(error) => error.into(),
        }
    }
}

/// A job that was started.
#[derive(Debug)]
pub(crate) struct StartedJob {
    pub(crate) job: Arc<Job>,
    end: oneshot::Receiver<JobEnd>,
}

impl StartedJob {
    /// Waits until the job is done. It goes on if nobody waits.
    pub(crate) async fn done(self) -> Result<Value, ApiError> {
        match self.end.await {
            Ok(JobEnd { error: Some(error), .. }) => Err(error),
            Ok(JobEnd { result, .. }) => Ok(result.unwrap_or_default()),
            Err(_) => Err(defect()),
        }
    }

    /// Waits until the job has begun its work, but no longer than `time`. One that could not begin is refused: whoever asked for
    /// it learns why, and no such job is remembered.
    pub(crate) async fn begun(mut self, shared: &Shared, time: Duration) -> Result<Arc<Job>, ApiError> {
        let mut changes = self.job.changes();
        let has_begun =
            async { while self.job.state() == JobState::Starting && changes.changed().await.is_ok() {} };
        // Both are true of a job that fails at once, and then its error is the answer.
        tokio::select! {
            () = has_begun => {}
            () = tokio::time::sleep(time) => {}
        }
        let info = self.job.info();
        if info.state.is_final()
            && info.run.is_none()
            && let Ok(JobEnd { error: Some(error), .. }) = (&mut self.end).await
        {
            shared.jobs.forget(&self.job.id);
            return Err(error);
        }
        Ok(self.job)
    }
}

/// How long an answer waits for work to begin: until then it may be refused because others work on the same.
const BEGIN_TIME: Duration = Duration::from_secs(10);

/// Starts a job on a task of its own, and answers with it once its work has begun.
///
/// # Errors
///
/// What [`start`] refuses, and what is refused before the work begins.
pub(crate) async fn begin<F>(
    shared: &Arc<Shared>,
    order: JobOrder,
    work: impl FnOnce(JobReporter) -> F,
) -> Result<Response, ApiError>
where
    F: Future<Output = JobEnd> + Send + 'static,
{
    let time = BEGIN_TIME.min(shared.limits.request_time / 2);
    let job = start(shared, order, work)?.begun(shared, time).await?;
    Ok(accepted(&job))
}

/// Starts a job on a task of its own.
///
/// # Errors
///
/// Another job works on the same, or too many are at work.
pub(crate) fn start<F>(
    shared: &Arc<Shared>,
    order: JobOrder,
    work: impl FnOnce(JobReporter) -> F,
) -> Result<StartedJob, ApiError>
where
    F: Future<Output = JobEnd> + Send + 'static,
{
    let (job, claim) = shared.jobs.admit(order, shared.backends.jobs.now())?;
    let (kind, about) = (job.kind, job.about.join(" "));
    tracing::info!(target: "audit", principal = job.principal, job = job.id, ?kind, about, "starts a job");
    let (sender, end) = oneshot::channel();
    let (task_shared, task_job) = (shared.clone(), job.clone());
    let work = work(JobReporter(job.clone()));
    shared.jobs.tracker.spawn(async move {
        let (shared, job) = (task_shared, task_job);
        let end = carried_out(&shared, &job, work).await;
        drop(claim);
        if let Some(error) = &end.error {
            error.log();
        }
        job.end(shared.backends.jobs.now(), &end);
        shared.jobs.forget_old();
        // If nobody waits any more, the log is the only place that tells of a failure at once.
        if let Err(JobEnd { error: Some(error), .. }) = sender.send(end)
            && error.kind() != ErrorKind::Cancelled
        {
            tracing::warn!("the job {} failed: {error}", job.id);
        }
    });
    Ok(StartedJob { job, end })
}

async fn carried_out(shared: &Shared, job: &Job, work: impl Future<Output = JobEnd>) -> JobEnd {
    let mut work = std::pin::pin!(AssertUnwindSafe(work).catch_unwind());
    let unless_panicked = |end: Result<JobEnd, _>| end.unwrap_or_else(|_| defect().into());
    let time = shared.limits.job_time;
    let late = tokio::select! {
        biased;
        end = &mut work => return unless_panicked(end),
        () = tokio::time::sleep(time) => too_slow(job.kind, time),
        () = shared.jobs_stop.cancelled() => stopped(job.kind),
        () = shared.hard_stop.cancelled() => return stopped(job.kind).into(),
    };
    job.cancel.cancel();
    let ended = tokio::select! {
        biased;
        end = &mut work => unless_panicked(end),
        () = tokio::time::sleep(LAST_TIME) => return late.into(),
        () = shared.hard_stop.cancelled() => return late.into(),
    };
    match ended.error {
        Some(error) if error.kind() == ErrorKind::Cancelled => {
            JobEnd { result: ended.result, error: Some(late) }
        }
        error => JobEnd { result: ended.result, error },
    }
}

/// The answer to whoever started a job and does not wait for its end.
pub(crate) fn accepted(job: &Job) -> Response {
    let mut response = small_json(StatusCode::ACCEPTED, &job.info());
    located(&mut response, job);
    response
}

/// Says where the job of an answer is.
fn located(response: &mut Response, job: &Job) {
    // The id is made of digits.
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
}

fn defect() -> ApiError {
    ApiError::new(ErrorKind::Internal, "the job met a defect and ended")
}

fn too_slow(kind: JobKind, time: Duration) -> ApiError {
    let (doing, hint) = match kind {
        JobKind::Materialize => ("materialising", "ask again: it continues where it stopped"),
        JobKind::Dataset => ("building the dataset", "raise `--limit job_time=…`"),
        JobKind::Backfill => {
            ("the backfill", "ask again: it goes on where it stopped; or raise `--limit job_time=…`")
        }
        JobKind::Run => {
            ("the run", "start it again: what was committed stays; or raise `--limit job_time=…`")
        }
    };
    let message = format!("{doing} took longer than {} seconds", time.as_secs_f64());
    ApiError::new(ErrorKind::TimedOut, message).with_hint(hint)
}

fn stopped(kind: JobKind) -> ApiError {
    let (message, hint) = match kind {
        JobKind::Materialize => (
            "the server stopped before the views were materialised",
            "ask again once it runs: materialising continues where it stopped",
        ),
        JobKind::Dataset => ("the server stopped before the dataset was built", "ask again once it runs"),
        JobKind::Backfill => (
            "the server stopped before the backfill ended",
            "ask again once it runs: a backfill goes on where it stopped",
        ),
        JobKind::Run => (
            "the server stopped before the run ended",
            "start it again once the server runs: what was committed stays",
        ),
    };
    ApiError::new(ErrorKind::ShuttingDown, message).with_hint(hint)
}
