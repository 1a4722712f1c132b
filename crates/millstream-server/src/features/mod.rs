//! Features: what can be read, values of entities, pushed rows, and materialising.

mod backend;
mod describe;
pub(crate) mod materialize;
pub(crate) mod push;
pub(crate) mod read;

use axum::routing::{get, post};
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::{
    AnswerColumn, EntitySchema, FeatureBackend, HeldProject, MaterializeRequest, PushRequest, PushSchema,
    ReadAnswer, ReadRequest, ReadTarget, Statuses,
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
        quick: Endpoints::own()
            .read("/v1/features/read", post(read::read))
            .read("/v1/features/services", get(describe::services))
            .read("/v1/features/services/{name}", get(describe::service))
            .read("/v1/features/views", get(describe::views))
            .push("/v1/features/views/{view}/push", post(push::push)),
        long: Endpoints::own().write("/v1/features/materialize", post(materialize::materialize)),
        document: Document::openapi(),
    }
}
