//! What is loaded, and loading it again.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use millstream_api::{error::ErrorBody, project::ProjectAnswer};

use crate::{body::small_json, error::ApiError, guard::Shared};

/// The project that the server works on, and whether the last attempt to load it again failed.
#[utoipa::path(get, path = "/v1/project", tag = "project", responses((status = 200, body = ProjectAnswer)))]
pub(super) async fn project(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.backends.project.project().await?))
}

/// Reads the project's files again. Requests that come later are answered by what they say now; runs and other jobs that are
/// under way go on as they began. A project with errors, or one that names other stores, is refused, and what was loaded
/// before stays at work.
#[utoipa::path(
    post,
    path = "/v1/reload",
    tag = "project",
    responses(
        (status = 200, description = "The files are at work", body = ProjectAnswer),
        (status = 422, description = "MS-1235, or the code of what is wrong", body = ErrorBody),
    )
)]
pub(super) async fn reload(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    Ok(small_json(StatusCode::OK, &shared.backends.project.reload().await?))
}
