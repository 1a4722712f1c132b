//! Whether the process lives, whether it can answer, and what it is.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use millstream_api::process::{Readiness, VersionAnswer};

use crate::{body::small_json, guard::Shared};

/// The process answers. Nothing else is looked at: a store that is down is no reason to restart it.
#[utoipa::path(get, path = "/health", tag = "server", responses((status = 200, description = "Empty")))]
pub(crate) async fn health() -> StatusCode {
    StatusCode::OK
}

/// Whether requests can be answered now: not while a view was never materialised as it is defined, whose values would all be
/// missing.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "server",
    responses(
        (status = 200, description = "Requests can be answered", body = Readiness),
        (status = 503, description = "Something is waited for", body = Readiness),
    )
)]
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let readiness = shared.backends.features.ready().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    small_json(status, &readiness)
}

/// Name and version of the server.
#[utoipa::path(get, path = "/v1/version", tag = "server", responses((status = 200, body = VersionAnswer)))]
pub(crate) async fn version() -> Response {
    small_json(StatusCode::OK, &VersionAnswer { name: "millstream", version: env!("CARGO_PKG_VERSION") })
}
