//! Runs: what is remembered of them, and how one is started.

mod backend;
mod endpoints;

use axum::routing::{get, post};
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::{RunBackend, RunEnd, RunRequest};

#[derive(OpenApi)]
#[openapi(
    tags((name = "runs", description = "Runs of the project")),
    paths(endpoints::runs, endpoints::run, endpoints::start)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/runs", get(endpoints::runs))
            .write("/v1/runs", post(endpoints::start))
            .read("/v1/runs/{id}", get(endpoints::run)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
