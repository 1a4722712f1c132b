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
    paths(endpoints::schedule, endpoints::trigger, failures::connections, failures::repairs, failures::resume, failures::sla)
)]
struct Document;

/// The path of webhooks, without the name.
const TRIGGERS: &str = "/v1/triggers/";

/// The webhook that a path calls. A name that is encoded in the path is none that a signature is read for.
pub(crate) fn called_webhook(path: &str) -> Option<&str> {
    path.strip_prefix(TRIGGERS).filter(|name| !name.is_empty() && !name.contains(['/', '%']))
}

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/schedule", get(endpoints::schedule))
            .read("/v1/connections", get(failures::connections))
            .read("/v1/repairs", get(failures::repairs))
            .read("/v1/sla", get(failures::sla))
            .write("/v1/schedule/{name}/resume", post(failures::resume))
            .write("/v1/triggers/{name}", post(endpoints::trigger)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
