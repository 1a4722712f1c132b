//! Jobs: work that goes on when its client leaves. Whoever starts one gets its id, asks how far it is or follows its events,
//! and may end it. A shutdown waits for jobs, within its bound; the newest of those that ended are remembered.

mod backend;
mod endpoints;
mod events;
mod job;
mod progress;
mod registry;
mod work;

use axum::routing::{delete, get};
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::JobBackend;
pub use job::JobReporter;
pub(crate) use registry::{JobOrder, Jobs};
pub(crate) use work::{JobEnd, StartedJob, accepted, begin, start};

#[derive(OpenApi)]
#[openapi(
    tags((name = "jobs", description = "Work that goes on when its client leaves")),
    paths(endpoints::jobs, endpoints::job, endpoints::cancel, events::events)
)]
struct Document;

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .read("/v1/jobs", get(endpoints::jobs))
            .read("/v1/jobs/{id}", get(endpoints::job))
            .write("/v1/jobs/{id}", delete(endpoints::cancel))
            .read("/v1/jobs/{id}/events", get(events::events)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
