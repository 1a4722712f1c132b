//! The schedule: what runs by itself, and the webhooks that set it off.

mod backend;
mod endpoints;
mod failures;

use axum::routing::{get, post};
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::ScheduleBackend;

#[derive(OpenApi)]
#[openapi(
    tags((name = "schedule", description = "Assets that run by themselves, and webhooks")),
    paths(endpoints::schedule, endpoints::trigger, failures::connections, failures::resume, failures::sla)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/schedule", get(endpoints::schedule))
            .read("/v1/connections", get(failures::connections))
            .read("/v1/sla", get(failures::sla))
            .write("/v1/schedule/{name}/resume", post(failures::resume))
            .write("/v1/triggers/{name}", post(endpoints::trigger)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
