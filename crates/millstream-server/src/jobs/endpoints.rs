//! What jobs there are, and the end of one.

use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use millstream_api::{
    error::ErrorBody,
    jobs::{JobInfo, JobsAnswer},
};

use crate::{
    area::Name,
    body::small_json,
    error::ApiError,
    guard::Shared,
    principal::{Principal, Scope},
};

/// The jobs that are at work, and the newest of those that ended; newest first. A server that starts anew knows none.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", responses((status = 200, body = JobsAnswer)))]
pub(super) async fn jobs(State(shared): State<Arc<Shared>>) -> Response {
    let jobs = shared.jobs.all().iter().map(|job| job.info()).collect();
    small_json(StatusCode::OK, &JobsAnswer { jobs })
}

/// One job as it is at this moment.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, body = JobInfo),
        (status = 404, description = "MS-1230", body = ErrorBody),
    )
)]
pub(super) async fn job(State(shared): State<Arc<Shared>>, Name(id): Name) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.jobs.get(&id)?.info()))
}

/// Asks a job to end. What it has finished stays; where it stands afterwards, the job itself says. A job that has ended stays
/// as it is. Whoever did not start it needs the scope admin.
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 202, description = "The job as it is now", body = JobInfo),
        (status = 403, description = "MS-1229: it is the job of another", body = ErrorBody),
        (status = 404, description = "MS-1230", body = ErrorBody),
    )
)]
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    Name(id): Name,
) -> Result<Response, ApiError> {
    let job = shared.jobs.get(&id)?;
    if job.principal != principal.name && principal.scope < Scope::Admin {
        return Err(principal.lacks(Scope::Admin));
    }
    job.cancel();
    Ok(small_json(StatusCode::ACCEPTED, &job.info()))
}
