//! Datasets: which there are, and their files.

mod backend;
mod files;

use axum::{Router, routing::get};
use utoipa::OpenApi;

use crate::area::Area;

pub use backend::{DatasetBackend, DatasetInfo, DatasetReader};

#[derive(OpenApi)]
#[openapi(
    tags((name = "data", description = "Datasets and SQL")),
    paths(files::datasets, files::dataset)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Router::new()
            .route("/v1/datasets", get(files::datasets))
            .route("/v1/datasets/{name}", get(files::dataset)),
        long: Router::new(),
        document: Document::openapi(),
    }
}
