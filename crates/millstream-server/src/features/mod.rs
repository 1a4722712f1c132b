//! Features: what can be read, values of entities, pushed rows, and materialising.

mod backend;
mod describe;
pub(crate) mod materialize;
pub(crate) mod push;
pub(crate) mod read;

use axum::{
    Router,
    routing::{get, post},
};
use utoipa::OpenApi;

use crate::area::Area;

pub use backend::{
    AnswerColumn, EntityInfo, EntitySchema, FeatureBackend, FeatureInfo, MaterializeAnswer,
    MaterializeRequest, PushAnswer, PushRequest, PushSchema, PushTarget, ReadAnswer, ReadRequest, ReadTarget,
    Readiness, ServiceInfo, Status, Statuses, ValueInfo, ViewFailed, ViewInfo, ViewMaterialized,
};

#[derive(OpenApi)]
#[openapi(
    tags((name = "features", description = "Features of entities")),
    paths(
        read::read,
        describe::services,
        describe::service,
        describe::views,
        push::push,
        materialize::materialize,
    )
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Router::new()
            .route("/v1/features/read", post(read::read))
            .route("/v1/features/services", get(describe::services))
            .route("/v1/features/services/{name}", get(describe::service))
            .route("/v1/features/views", get(describe::views))
            .route("/v1/features/views/{view}/push", post(push::push)),
        long: Router::new().route("/v1/features/materialize", post(materialize::materialize)),
        document: Document::openapi(),
    }
}
