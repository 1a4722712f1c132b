//! SQL that only reads.

mod backend;
mod statement;

use axum::{Router, routing::post};
use utoipa::OpenApi;

use crate::area::Area;

pub use backend::{QueryAnswer, QueryBackend, QueryRequest};

#[derive(OpenApi)]
#[openapi(paths(statement::query))]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Router::new().route("/v1/query", post(statement::query)),
        long: Router::new(),
        document: Document::openapi(),
    }
}
