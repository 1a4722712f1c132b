//! Events that are sent to a source: as JSON or Arrow, or by OpenTelemetry's protocol.

mod backend;
mod encoding;
mod endpoints;
mod otlp;

use axum::routing::post;
use utoipa::OpenApi;

use crate::{area::Area, scoped::Endpoints};

pub use backend::{EventsSent, IngestBackend, IngestEvents, IngestRequest};

#[derive(OpenApi)]
#[openapi(
    tags((name = "ingest", description = "Events that are sent to sources")),
    paths(endpoints::ingest, otlp::traces, otlp::logs)
)]
struct Document;

/// The path of events, without the source.
const EVENTS: &str = "/v1/ingest/";
/// The path of OpenTelemetry's signals, without the source.
const OTLP: &str = "/v1/otlp/";

/// The source that a path sends events to. A name that is encoded in the path is none that a signature is read for.
pub(crate) fn called_source(path: &str) -> Option<&str> {
    path.strip_prefix(EVENTS).filter(|name| !name.is_empty() && !name.contains(['/', '%']))
}

/// Whether a body of this path may be compressed.
pub(crate) fn takes_encoded(path: &str) -> bool {
    path.starts_with(EVENTS) || path.starts_with(OTLP)
}

pub(crate) fn area() -> Area {
    Area {
        quick: Endpoints::own()
            .push("/v1/ingest/{source}", post(endpoints::ingest))
            .push("/v1/otlp/{source}/v1/traces", post(otlp::traces))
            .push("/v1/otlp/{source}/v1/logs", post(otlp::logs)),
        long: Endpoints::own(),
        document: Document::openapi(),
    }
}
