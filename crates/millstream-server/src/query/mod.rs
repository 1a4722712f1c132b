//! SQL that only reads.

mod backend;
mod statement;

use axum::routing::post;
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::{QueryAnswer, QueryBackend, QueryRequest};

#[derive(OpenApi)]
#[openapi(paths(statement::query))]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own().read("/v1/query", post(statement::query)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
