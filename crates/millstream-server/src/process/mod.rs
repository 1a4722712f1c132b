//! The server itself: whether it lives and can answer, what it is, and how its endpoints are described.

mod health;
mod metrics;
mod openapi;

use std::sync::Arc;

use axum::{Router, routing::get};
use utoipa::OpenApi;

use crate::{area::Area, guard::Shared, scoped::Endpoints};

pub use openapi::openapi_json;

#[derive(OpenApi)]
#[openapi(
    tags((name = "server", description = "The server itself")),
    paths(health::health, health::ready, health::version, metrics::metrics, openapi::serve)
)]
struct Document;

pub(crate) fn area(open_metrics: bool) -> Area {
    let quick = Endpoints::own()
        .read("/v1/openapi.json", get(openapi::serve))
        .read("/v1/version", get(health::version));
    Area {
        quick: if open_metrics { quick } else { quick.read("/metrics", get(metrics::metrics)) },
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}

/// Endpoints for those who watch the process: no token, no room in the queue needed.
pub(crate) fn open_router(open_metrics: bool) -> Router<Arc<Shared>> {
    let open = Router::new().route("/health", get(health::health)).route("/ready", get(health::ready));
    if open_metrics { open.route("/metrics", get(metrics::local)) } else { open }
}
