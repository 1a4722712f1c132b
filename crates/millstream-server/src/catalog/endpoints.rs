//! Assets as `status` and `lineage` show them.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use millstream_api::{
    catalog::{LineageDocument, StatusDocument, TableStatusDocument},
    error::ErrorBody,
};
use serde::Deserialize;

use crate::{
    area::Name,
    body::small_json,
    error::{ApiError, ErrorKind},
    guard::Shared,
};

/// Every asset of the project and where it stands, what is read before what reads it; and the newest run.
#[utoipa::path(get, path = "/v1/assets", tag = "catalog", responses((status = 200, body = StatusDocument)))]
pub(super) async fn assets(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.backends.catalog.assets().await?))
}

/// All that is known of one asset: where it stands, its last step, its checks, its schemas and its newest versions.
#[utoipa::path(
    get,
    path = "/v1/assets/{name}",
    tag = "catalog",
    params(("name" = String, Path, description = "`silver.orders`, or `orders` where one schema has it")),
    responses(
        (status = 200, body = TableStatusDocument),
        (status = 404, description = "MS-1232", body = ErrorBody),
    )
)]
pub(super) async fn asset(State(shared): State<Arc<Shared>>, Name(name): Name) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.backends.catalog.asset(&name).await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct LineageQuery {
    column: Option<String>,
}

/// Where the columns of an asset come from, and who uses them.
#[utoipa::path(
    get,
    path = "/v1/assets/{name}/lineage",
    tag = "catalog",
    params(
        ("name" = String, Path, description = "`silver.orders`, or `orders` where one schema has it"),
        ("column" = Option<String>, Query, description = "One column; all of them if left out"),
    ),
    responses(
        (status = 200, body = LineageDocument),
        (status = 404, description = "MS-1232", body = ErrorBody),
        (status = 422, description = "MS-1208: the asset has no such column", body = ErrorBody),
    )
)]
pub(super) async fn lineage(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
    query: Result<Query<LineageQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) =
        query.map_err(|error| ApiError::new(ErrorKind::Invalid, error.body_text()).with_field("column"))?;
    let lineage = shared.backends.catalog.lineage(&name, query.column.as_deref()).await?;
    Ok(small_json(StatusCode::OK, &lineage))
}
