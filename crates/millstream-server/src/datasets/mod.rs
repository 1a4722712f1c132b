//! Datasets: which there are, their files, and building them.

mod backend;
mod build;
mod files;

use axum::routing::{get, post};
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::{DatasetBackend, DatasetReader};

#[derive(OpenApi)]
#[openapi(
    tags((name = "data", description = "Datasets and SQL")),
    paths(files::datasets, files::dataset, build::build)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/datasets", get(files::datasets))
            .read("/v1/datasets/{name}", get(files::dataset))
            .write("/v1/datasets/{name}/build", post(build::build)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
