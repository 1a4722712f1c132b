//! The catalog: what the project has, where each asset stands, and what its columns are made of.

mod backend;
mod endpoints;

use axum::routing::get;
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::CatalogBackend;

#[derive(OpenApi)]
#[openapi(
    tags((name = "catalog", description = "Assets, where they stand, and their lineage")),
    paths(endpoints::assets, endpoints::asset, endpoints::lineage)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/assets", get(endpoints::assets))
            .read("/v1/assets/{name}", get(endpoints::asset))
            .read("/v1/assets/{name}/lineage", get(endpoints::lineage)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
