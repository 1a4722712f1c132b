//! Pipelines: how they are, and the rows of tables as they become visible.

mod backend;
mod endpoints;
mod follow;

use axum::routing::get;
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::{CommittedRows, PipelineBackend, RowPlace, TableFollower};

#[derive(OpenApi)]
#[openapi(
    tags((name = "streams", description = "What is kept up to date from events as they arrive")),
    paths(endpoints::pipelines, follow::stream)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/pipelines", get(endpoints::pipelines))
            .read("/v1/stream/{table}", get(follow::stream)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
