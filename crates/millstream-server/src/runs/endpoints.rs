//! Starting a run, and looking at those that were.

use std::{num::NonZeroUsize, sync::Arc};

use axum::{
    Extension,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use millstream_api::{
    error::ErrorBody,
    jobs::{JobInfo, JobKind},
    runs::{RunBody, RunDetail, RunsAnswer},
};

use crate::{
    area::Name,
    body::{parse, small_json},
    error::{ApiError, ErrorKind},
    guard::Shared,
    jobs::{self, JobEnd, JobOrder, JobReporter},
    listing::{ListingQuery, listed},
    principal::Principal,
    runs::{RunEnd, RunRequest},
};

/// Starts a run, as the command `run` does, and answers with its job once it has begun. An empty object runs everything.
///
/// Whether the job succeeds, its end says; its result is a `RunSummary`.
#[utoipa::path(
    post,
    path = "/v1/runs",
    tag = "runs",
    request_body = RunBody,
    responses(
        (status = 202, description = "Started; `Location` names the job", body = JobInfo),
        (status = 409, description = "MS-0608: another process works on what is selected", body = ErrorBody),
        (status = "4XX", description = "The request is wrong", body = ErrorBody),
    )
)]
pub(super) async fn start(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request = checked(parse(&body)?)?;
    let order = JobOrder {
        kind: JobKind::Run,
        about: request.selection.clone(),
        principal,
        // Which assets a run writes, and who else does, the leases say.
        claims: Vec::new(),
        force: false,
    };
    let backend = shared.backends.runs.clone();
    let work = |job: JobReporter| async move {
        match backend.run(request, job).await {
            Ok(RunEnd { summary, failure }) => JobEnd::made(&summary, failure),
            Err(error) => error.into(),
        }
    };
    jobs::begin(&shared, order, work).await
}

fn checked(body: RunBody) -> Result<RunRequest, ApiError> {
    let invalid =
        |field: &str, message: &str| Err(ApiError::new(ErrorKind::Invalid, message).with_field(field));
    if body.forget_gone && !body.full_refresh {
        return invalid("forget_gone", "`forget_gone` needs `full_refresh`");
    }
    if body.forget_gone && body.selection.is_empty() {
        return invalid("forget_gone", "`forget_gone` needs a `selection`");
    }
    let concurrency = match body.concurrency.map(NonZeroUsize::new) {
        Some(None) => return invalid("concurrency", "`concurrency` has to be at least 1"),
        Some(some) => some,
        None => None,
    };
    Ok(RunRequest {
        selection: body.selection,
        exclude: body.exclude,
        full_refresh: body.full_refresh,
        forget_gone: body.forget_gone,
        force: body.force,
        concurrency,
        wait_for_others: body.wait_for_others,
    })
}

/// The newest runs first, of the command line too.
#[utoipa::path(
    get,
    path = "/v1/runs",
    tag = "runs",
    params(("limit" = Option<usize>, Query, description = "How many at most; 50 if left out, 1,000 at most")),
    responses((status = 200, body = RunsAnswer))
)]
pub(super) async fn runs(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<ListingQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let limit = listed(query)?;
    Ok(small_json(StatusCode::OK, &RunsAnswer { runs: shared.backends.runs.runs(limit).await? }))
}

/// A run with its steps.
#[utoipa::path(
    get,
    path = "/v1/runs/{id}",
    tag = "runs",
    params(("id" = String, Path, description = "The run's id")),
    responses(
        (status = 200, body = RunDetail),
        (status = 404, description = "MS-1231", body = ErrorBody),
    )
)]
pub(super) async fn run(State(shared): State<Arc<Shared>>, Name(id): Name) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.backends.runs.run_detail(&id).await?))
}
