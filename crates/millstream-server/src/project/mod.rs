//! The project that the server works on.

mod backend;
mod endpoints;

use axum::routing::{get, post};
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::ProjectBackend;

#[derive(OpenApi)]
#[openapi(
    tags((name = "project", description = "The project that the server works on")),
    paths(endpoints::project, endpoints::reload)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/project", get(endpoints::project))
            .admin("/v1/reload", post(endpoints::reload)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
