//! What failures leave behind: circuits, assets that are set aside, promises.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use millstream_api::{
    error::ErrorBody,
    failures::{ConnectionsAnswer, RepairsAnswer, ResumeAnswer, SlaAnswer},
};
use serde::Deserialize;

use crate::{
    area::Name,
    body::small_json,
    error::{ApiError, ErrorKind},
    guard::Shared,
};

/// The number of days when the request does not name one.
const DAYS: u32 = 30;
const DAYS_MAX: u32 = 366;

#[derive(Debug, Deserialize)]
pub(super) struct SlaQuery {
    asset: Option<String>,
    days: Option<u32>,
}

/// The places that steps ask: whether each answers, and how many retries of the last hour there were.
#[utoipa::path(
    get,
    path = "/v1/connections",
    tag = "schedule",
    responses((status = 200, body = ConnectionsAnswer))
)]
pub(super) async fn connections(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.backends.schedule.connections().await?))
}

/// The number of repairs when the request does not name one.
const REPAIRS: usize = 50;
const REPAIRS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(super) struct RepairsQuery {
    limit: Option<usize>,
}

/// What was found damaged or lost, and what was done about it by itself or is left to a person.
#[utoipa::path(
    get,
    path = "/v1/repairs",
    tag = "schedule",
    params(("limit" = Option<usize>, Query, description = "How many at most; 50 if left out, 1,000 at most")),
    responses((status = 200, body = RepairsAnswer))
)]
pub(super) async fn repairs(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<RepairsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) =
        query.map_err(|error| ApiError::new(ErrorKind::Invalid, error.body_text()).with_field("limit"))?;
    let limit = query.limit.unwrap_or(REPAIRS).min(REPAIRS_MAX);
    Ok(small_json(StatusCode::OK, &shared.backends.schedule.repairs(limit).await?))
}

/// Lets an asset that was set aside run by itself again. Once this is answered, no crash loses it.
#[utoipa::path(
    post,
    path = "/v1/schedule/{name}/resume",
    tag = "schedule",
    params(("name" = String, Path, description = "As in `silver.orders`, or `view:spend`")),
    responses(
        (status = 202, description = "Recorded", body = ResumeAnswer),
        (status = 404, description = "No asset has this name", body = ErrorBody),
    )
)]
pub(super) async fn resume(
    State(shared): State<Arc<Shared>>,
    Name(asset): Name,
) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::ACCEPTED, &shared.backends.schedule.resume(&asset).await?))
}

/// What is promised of assets, and on which days it was kept.
#[utoipa::path(
    get,
    path = "/v1/sla",
    tag = "schedule",
    params(
        ("asset" = Option<String>, Query, description = "One asset; all if left out"),
        ("days" = Option<u32>, Query, description = "How many days, the present one included; 30 if left out, 366 at most"),
    ),
    responses(
        (status = 200, body = SlaAnswer),
        (status = 404, description = "No asset has this name", body = ErrorBody),
    )
)]
pub(super) async fn sla(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<SlaQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) =
        query.map_err(|error| ApiError::new(ErrorKind::Invalid, error.body_text()).with_field("days"))?;
    let days = query.days.unwrap_or(DAYS).clamp(1, DAYS_MAX);
    let found = shared.backends.schedule.promises(query.asset.as_deref(), days).await?;
    Ok(small_json(StatusCode::OK, &found))
}
