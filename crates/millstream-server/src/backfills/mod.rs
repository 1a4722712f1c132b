//! Backfills, and the partitions that they fill.

mod backend;
mod endpoints;

use axum::routing::{get, post};
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::{BackfillBackend, BackfillEnd};

#[derive(OpenApi)]
#[openapi(
    tags((name = "backfills", description = "Partitions of tables, and backfills that fill them")),
    paths(endpoints::start, endpoints::preview, endpoints::list, endpoints::cancel, endpoints::partitions)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/backfills", get(endpoints::list))
            .write("/v1/backfills", post(endpoints::start))
            .read("/v1/backfills/preview", post(endpoints::preview))
            .write("/v1/backfills/{id}/cancel", post(endpoints::cancel))
            .read("/v1/assets/{name}/partitions", get(endpoints::partitions)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
