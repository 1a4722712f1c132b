//! How the pipelines are.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use millstream_api::pipelines::PipelinesAnswer;

use crate::{body::small_json, error::ApiError, guard::Shared};

/// What is kept up to date from events as they arrive: how far behind each pipeline is, what it has taken in and made, how long its commits take.
#[utoipa::path(
    get,
    path = "/v1/pipelines",
    tag = "streams",
    responses((status = 200, body = PipelinesAnswer))
)]
pub(super) async fn pipelines(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.backends.pipelines.pipelines().await?))
}
