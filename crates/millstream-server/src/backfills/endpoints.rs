//! Previewing, starting and cancelling backfills, and looking at partitions.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use millstream_api::{
    backfills::{BackfillBody, BackfillInfo, BackfillPlan, BackfillsAnswer, PartitionsDocument},
    error::ErrorBody,
    jobs::{JobInfo, JobKind},
};

use super::BackfillEnd;
use crate::{
    area::Name,
    body::{parse, small_json},
    error::ApiError,
    guard::Shared,
    jobs::{self, JobEnd, JobOrder, JobReporter},
    listing::{ListingQuery, listed},
    principal::Principal,
};

/// Starts a backfill, as the command `backfill --yes` does, and answers with its job once it has begun.
///
/// Whether the job succeeds, its end says; its result is a `BackfillInfo`. A backfill that was broken off goes on when the same is
/// asked for again.
#[utoipa::path(
    post,
    path = "/v1/backfills",
    tag = "backfills",
    request_body = BackfillBody,
    responses(
        (status = 202, description = "Started; `Location` names the job", body = JobInfo),
        (status = 409, description = "MS-0608: another process works on the table", body = ErrorBody),
        (status = "4XX", description = "The request is wrong", body = ErrorBody),
    )
)]
pub(super) async fn start(
    State(shared): State<Arc<Shared>>,
    Extension(principal): Extension<Principal>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let request: BackfillBody = parse(&body)?;
    let order = JobOrder {
        kind: JobKind::Backfill,
        about: vec![request.asset.clone()],
        principal,
        // Who else writes the table, the leases say.
        claims: Vec::new(),
        force: false,
    };
    let backend = shared.backends.backfills.clone();
    let work = |job: JobReporter| async move {
        match backend.backfill(request, job).await {
            Ok(BackfillEnd { info, failure }) => JobEnd::made(&info, failure),
            Err(error) => error.into(),
        }
    };
    jobs::begin(&shared, order, work).await
}

/// What a backfill would do: partitions, chunks, and about how many rows, how long and how much that is.
#[utoipa::path(
    post,
    path = "/v1/backfills/preview",
    tag = "backfills",
    request_body = BackfillBody,
    responses(
        (status = 200, body = BackfillPlan),
        (status = "4XX", description = "The request is wrong", body = ErrorBody),
    )
)]
pub(super) async fn preview(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Response, ApiError> {
    let plan = shared.backends.backfills.preview_backfill(parse(&body)?).await?;
    Ok(small_json(StatusCode::OK, &plan))
}

/// The newest backfills first, of the command line too.
#[utoipa::path(
    get,
    path = "/v1/backfills",
    tag = "backfills",
    params(("limit" = Option<usize>, Query, description = "How many at most; 50 if left out, 1,000 at most")),
    responses((status = 200, body = BackfillsAnswer))
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<ListingQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let limit = listed(query)?;
    let backfills = shared.backends.backfills.backfills(limit).await?;
    Ok(small_json(StatusCode::OK, &BackfillsAnswer { backfills }))
}

/// Ends a backfill after the chunk that is being committed; what is done stays.
#[utoipa::path(
    post,
    path = "/v1/backfills/{id}/cancel",
    tag = "backfills",
    params(("id" = String, Path, description = "The backfill's id")),
    responses(
        (status = 200, body = BackfillInfo),
        (status = "4XX", description = "There is no such backfill", body = ErrorBody),
    )
)]
pub(super) async fn cancel(State(shared): State<Arc<Shared>>, Name(id): Name) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.backends.backfills.cancel_backfill(&id).await?))
}

/// Where the partitions of a table stand, and which of its checks do not hold in which.
#[utoipa::path(
    get,
    path = "/v1/assets/{name}/partitions",
    tag = "backfills",
    params(("name" = String, Path, description = "`silver.orders`, or `orders` where one schema has it")),
    responses(
        (status = 200, body = PartitionsDocument),
        (status = 404, description = "MS-1232: no such table, or one without partitions", body = ErrorBody),
    )
)]
pub(super) async fn partitions(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.backends.backfills.partitions(&name).await?))
}
