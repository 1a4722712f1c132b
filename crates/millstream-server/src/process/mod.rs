//! The server itself: whether it lives and can answer, what it is, and how its endpoints are described.

mod health;
mod openapi;

use std::sync::Arc;

use axum::{Router, routing::get};
use utoipa::OpenApi;

use crate::{area::Area, guard::Shared, scoped::Endpoints};

pub use openapi::openapi_json;

#[derive(OpenApi)]
#[openapi(
    tags((name = "server", description = "The server itself")),
    paths(health::health, health::ready, health::version, openapi::serve)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/openapi.json", get(openapi::serve))
            .read("/v1/version", get(health::version)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}

/// Endpoints for those who watch the process: no token, no room in the queue needed.
pub(crate) fn open_router() -> Router<Arc<Shared>> {
    Router::new().route("/health", get(health::health)).route("/ready", get(health::ready))
}
