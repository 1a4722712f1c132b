//! OpenTelemetry's protocol over HTTP: exporters send spans and log records, each of which becomes an event of its source.
//!
//! Bodies are protocol buffers or JSON, and answers, those of errors too, are written the way the body was.

mod binary;
mod model;
mod proto;
mod text;

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use millstream_api::error::ErrorBody;
use serde_json::json;

use self::model::Exported;
use super::{
    backend::{EventsSent, IngestEvents, IngestRequest},
    encoding::decoded,
    endpoints::{media_type, whole},
};
use crate::{
    area::Name,
    body::{compute, is_large, response, small_json},
    error::{ApiError, ErrorKind},
    guard::Shared,
};

const PROTOBUF: &str = "application/x-protobuf";

/// The codes of gRPC for what an exporter is told; it looks at the status of HTTP.
const INVALID_ARGUMENT: u64 = 3;
const RESOURCE_EXHAUSTED: u64 = 8;
const UNAVAILABLE: u64 = 14;
const UNKNOWN: u64 = 2;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Binary,
    Text,
}

/// Takes spans in as OpenTelemetry's exporters send them (`OTEL_EXPORTER_OTLP_ENDPOINT=…/v1/otlp/<source>`, protocol
/// `http/protobuf` or `http/json`), each as an event. They are durable when the answer comes.
#[utoipa::path(
    post,
    path = "/v1/otlp/{source}/v1/traces",
    tag = "ingest",
    params(("source" = String, Path, description = "A source whose connector is of type `otlp`, for traces")),
    request_body(content((Vec<u8> = "application/x-protobuf"), (serde_json::Value = "application/json"))),
    responses(
        (status = 200, description = "An `ExportTraceServiceResponse`; spans that cannot be taken are counted in it"),
        (status = "4XX", description = "A `google.rpc.Status`, or a body of JSON", body = ErrorBody),
        (status = 503, description = "The event log takes nothing now"),
    )
)]
pub(super) async fn traces(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
    request: Request,
) -> Result<Response, ApiError> {
    export(&shared, &source, request, EventsSent::AsSpans).await
}

/// Takes log records in as OpenTelemetry's exporters send them, each as an event. They are durable when the answer comes.
#[utoipa::path(
    post,
    path = "/v1/otlp/{source}/v1/logs",
    tag = "ingest",
    params(("source" = String, Path, description = "A source whose connector is of type `otlp`, for logs")),
    request_body(content((Vec<u8> = "application/x-protobuf"), (serde_json::Value = "application/json"))),
    responses(
        (status = 200, description = "An `ExportLogsServiceResponse`; records that cannot be taken are counted in it"),
        (status = "4XX", description = "A `google.rpc.Status`, or a body of JSON", body = ErrorBody),
        (status = 503, description = "The event log takes nothing now"),
    )
)]
pub(super) async fn logs(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
    request: Request,
) -> Result<Response, ApiError> {
    export(&shared, &source, request, EventsSent::AsLogRecords).await
}

async fn export(
    shared: &Shared,
    source: &str,
    request: Request,
    sent: EventsSent,
) -> Result<Response, ApiError> {
    let (parts, body) = whole(request).await?;
    let bytes_max = shared.backends.ingest.takes(source, sent)?;
    let written = written(&parts.headers)?;
    match take(shared, (source, sent, bytes_max), &parts.headers, written, body).await {
        Ok(exported) => Ok(answer(written, sent, &exported)),
        Err(error) if written == Written::Binary => Ok(status_of(&error)),
        Err(error) => Err(error),
    }
}

async fn take(
    shared: &Shared,
    (source, sent, bytes_max): (&str, EventsSent, u64),
    headers: &HeaderMap,
    written: Written,
    body: Bytes,
) -> Result<Exported, ApiError> {
    let (body, _room) = decoded(shared, headers, body).await?;
    let exported = compute(is_large(&body), move || read(&body, written, sent, bytes_max)).await?;
    if exported.events.is_empty() {
        return Ok(exported);
    }
    let events = IngestEvents::Written(sent, exported.events.clone());
    let request = IngestRequest { events, idempotency_key: None, events_max: shared.limits.rows };
    shared.backends.ingest.ingest(source, request).await?;
    Ok(exported)
}

fn read(body: &[u8], written: Written, sent: EventsSent, bytes_max: u64) -> Result<Exported, ApiError> {
    let malformed =
        |reason: String| ApiError::new(ErrorKind::Malformed, format!("the export cannot be read: {reason}"));
    let of_logs = sent == EventsSent::AsLogRecords;
    match written {
        Written::Binary => {
            let read = if of_logs { binary::logs(body, bytes_max) } else { binary::traces(body, bytes_max) };
            read.map_err(|error| malformed(error.0.to_owned()))
        }
        Written::Text => {
            let read = if of_logs { text::logs(body, bytes_max) } else { text::traces(body, bytes_max) };
            read.map_err(|error| malformed(error.to_string()))
        }
    }
}

fn written(headers: &HeaderMap) -> Result<Written, ApiError> {
    match media_type(headers).as_str() {
        PROTOBUF | "application/protobuf" => Ok(Written::Binary),
        "application/json" => Ok(Written::Text),
        other => Err(ApiError::new(ErrorKind::MediaType, format!("an export of type `{other}` is not read"))
            .with_hint("send `application/x-protobuf` or `application/json`")
            .with_field(header::CONTENT_TYPE.as_str())),
    }
}

/// The answer to an export, which counts what was rejected of it.
fn answer(written: Written, sent: EventsSent, exported: &Exported) -> Response {
    let reason = exported.reason.as_deref().unwrap_or_default();
    match written {
        Written::Binary => {
            let mut body = Vec::new();
            if exported.rejected > 0 {
                let mut partial = Vec::new();
                proto::put_number(&mut partial, 1, exported.rejected);
                proto::put_bytes(&mut partial, 2, reason.as_bytes());
                proto::put_bytes(&mut body, 1, &partial);
            }
            response(StatusCode::OK, PROTOBUF, body)
        }
        Written::Text if exported.rejected == 0 => small_json(StatusCode::OK, &json!({})),
        Written::Text => {
            let rejected = exported.rejected.to_string();
            let partial = match sent {
                EventsSent::AsLogRecords => json!({"rejectedLogRecords": rejected, "errorMessage": reason}),
                _ => json!({"rejectedSpans": rejected, "errorMessage": reason}),
            };
            small_json(StatusCode::OK, &json!({"partialSuccess": partial}))
        }
    }
}

/// The error as a `google.rpc.Status`.
fn status_of(error: &ApiError) -> Response {
    let status = error.status();
    let code = match status.as_u16() {
        429 => RESOURCE_EXHAUSTED,
        502..=504 => UNAVAILABLE,
        500.. => UNKNOWN,
        _ => INVALID_ARGUMENT,
    };
    let mut body = Vec::new();
    proto::put_number(&mut body, 1, code);
    proto::put_bytes(&mut body, 2, format!("{}: {error}", error.code()).as_bytes());
    let mut answer = crate::guard::Dialect::Own.respond(error);
    *answer.body_mut() = body.into();
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(PROTOBUF));
    answer
}
