//! Events of any source, in the forms in which programs have them.

use std::sync::Arc;

use axum::{
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::Response,
};
use millstream_api::{error::ErrorBody, ingest::IngestAnswer};

use super::{
    backend::{EventsSent, IngestEvents, IngestRequest},
    called_source,
    encoding::decoded,
};
use crate::{
    area::Name,
    body::small_json,
    error::{ApiError, ErrorKind},
    guard::Shared,
    wire::arrow_stream,
};

/// The header that makes it safe to send a request again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The most characters of an idempotency key.
const KEY_MAX: usize = 255;

/// Takes events in: one JSON object, a list of them, JSON lines (`application/x-ndjson`), or an Arrow stream
/// (`application/vnd.apache.arrow.stream`), plain or compressed with gzip or zstd.
///
/// They are durable when the answer comes, all of them or none. A request that is sent again with the same `Idempotency-Key` is
/// taken once, as long as fewer than 100,000 others came since. Whether an event keeps the contract of the source is judged when it
/// lands. A source with a `signature` needs no token from callers who sign the body as it is sent.
#[utoipa::path(
    post,
    path = "/v1/ingest/{source}",
    tag = "ingest",
    params(
        ("source" = String, Path, description = "A source whose connector is of type `http`"),
        ("Idempotency-Key" = Option<String>, Header, description = "At most 255 visible characters, another one for each request"),
    ),
    request_body(content(
        (serde_json::Value = "application/json"),
        (String = "application/x-ndjson"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
    )),
    responses(
        (status = 202, description = "The events are durable", body = IngestAnswer),
        (status = 401, description = "MS-1213, MS-1245: no token, or a wrong signature", body = ErrorBody),
        (status = 404, description = "MS-1250: no such source", body = ErrorBody),
        (status = 409, description = "MS-1251: the source takes no such events", body = ErrorBody),
        (status = 413, description = "MS-1212, MS-1256: the body, or an event of it, is too large", body = ErrorBody),
        (status = 415, description = "MS-1220, MS-1254: the body is of another type", body = ErrorBody),
        (status = 422, description = "MS-1252: rows that are no events are named, and nothing was taken", body = ErrorBody),
        (status = 429, description = "MS-1253: no room; `Retry-After` says when to come again", body = ErrorBody),
        (status = 503, description = "The event log takes nothing now", body = ErrorBody),
    )
)]
pub(super) async fn ingest(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = whole(request).await?;
    // Names are identifiers. One that is encoded in the path is not the one whose signature was asked for on the way here.
    if called_source(parts.uri.path()) != Some(source.as_str()) {
        return Err(ApiError::new(ErrorKind::UnknownSource, "no source has a name that is encoded"));
    }
    // That there is no such source says more than that the body is of a wrong type.
    let wrong_call =
        |error| shared.backends.ingest.takes(&source, EventsSent::AsEvents).map_or_else(Err, |_| Err(error));
    let (format, idempotency_key) = match (format(&parts.headers), idempotency_key(&parts.headers)) {
        (Ok(format), Ok(key)) => (format, key),
        (Err(error), _) | (_, Err(error)) => return wrong_call(error),
    };
    let (body, _room) = decoded(&shared, &parts.headers, body).await?;
    let events_max = shared.limits.rows;
    let request = IngestRequest { events: format(body), idempotency_key, events_max };
    let answer = shared.backends.ingest.ingest(&source, request).await?;
    Ok(small_json(StatusCode::ACCEPTED, &answer))
}

/// The request with its body, which the guard has received.
pub(super) async fn whole(request: Request) -> Result<(Parts, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await;
    let body = body.map_err(|error| {
        ApiError::new(ErrorKind::Malformed, "the body ended before it was complete").with_cause(error)
    })?;
    Ok((parts, body))
}

/// The type of a body without its parameters, in lower case; empty where the request says none.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What makes events of a body.
type Format = fn(Bytes) -> IngestEvents;

fn format(headers: &HeaderMap) -> Result<Format, ApiError> {
    let media_type = media_type(headers);
    match media_type.as_str() {
        // `curl --data` says that it sends a form, whatever it is.
        "" | "application/json" | "text/json" | "application/x-www-form-urlencoded" => Ok(IngestEvents::Json),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/jsonlines" => Ok(IngestEvents::Ndjson),
        arrow_stream::MEDIA_TYPE => Ok(IngestEvents::Arrow),
        other if other.ends_with("+json") => Ok(IngestEvents::Json),
        other => Err(ApiError::new(ErrorKind::MediaType, format!("a body of type `{other}` is not read"))
            .with_field(header::CONTENT_TYPE.as_str())),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(first), further) = (all.next(), all.next()) else { return Ok(None) };
    let key = first.to_str().ok().map(str::trim).filter(|key| (1..=KEY_MAX).contains(&key.len()));
    match (key, further) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(ApiError::new(
            ErrorKind::Invalid,
            format!("the header `Idempotency-Key` has to be one text of 1 to {KEY_MAX} visible characters"),
        )
        .with_field("Idempotency-Key")),
    }
}
