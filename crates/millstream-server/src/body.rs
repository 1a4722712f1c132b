//! Bodies: received within their bounds, read as JSON with an error that says where.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{
        DefaultBodyLimit, FromRequest, Request,
        rejection::{BytesRejection, FailedToBufferBody},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::error::Category;
use tokio::sync::SemaphorePermit;

use crate::{
    error::{ApiError, ErrorKind},
    guard::Shared,
};

/// Bodies are counted in units of this many bytes, so that a count of them fits a semaphore's permit.
const UNIT: usize = 1 << 10;

/// From here on reading a body keeps a thread busy so long that other requests would notice.
const LARGE_BODY: usize = 256 << 10;

/// The most bytes of a signed call's body, how many of them are received at once, and how long each may take: anybody may send one
/// with a signature that turns out to be wrong.
const SIGNED_BODY_BYTES_MAX: usize = 1 << 20;
pub(crate) const SIGNED_CALLS_MAX: usize = 16;
pub(crate) const SIGNED_TIME: Duration = Duration::from_secs(5);

/// The units of the room that all bodies share.
pub(crate) fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT)
}

/// Receives a request's body whole. The permit is its part of the room that all bodies share.
pub(crate) async fn receive<'a>(
    shared: &'a Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, SemaphorePermit<'a>), ApiError> {
    let limit = shared.limits.body_bytes;
    let too_large = || {
        ApiError::new(
            ErrorKind::BodyTooLarge,
            format!("the body has more than {limit} bytes, the server's limit"),
        )
    };
    let announced = content_length(headers);
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let size = u32::try_from(units(announced.unwrap_or(limit))).unwrap_or(u32::MAX);
    let permit = shared.buffers.try_acquire_many(size).map_err(|_| {
        ApiError::new(
            ErrorKind::Busy,
            "the bodies of the requests that are running take all the room there is",
        )
    })?;
    Ok((received(body, limit, too_large).await?, permit))
}

/// Receives the body of a signed call, of which it is not known yet whether its signature is right: it has to say its length, and has a
/// room of its own.
pub(crate) async fn receive_signed<'a>(
    shared: &'a Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, SemaphorePermit<'a>), ApiError> {
    let limit = shared.limits.body_bytes.min(SIGNED_BODY_BYTES_MAX);
    let too_large = || {
        let message = format!("a signed call says how long its body is, {limit} bytes at most");
        ApiError::new(ErrorKind::BodyTooLarge, message)
    };
    if content_length(headers).is_none_or(|length| length > limit) {
        return Err(too_large());
    }
    let permit = shared.signed_calls.try_acquire().map_err(|_| {
        ApiError::new(ErrorKind::Busy, format!("{SIGNED_CALLS_MAX} signed calls are being received"))
    })?;
    Ok((received(body, limit, too_large).await?, permit))
}

async fn received(body: Body, limit: usize, too_large: impl Fn() -> ApiError) -> Result<Bytes, ApiError> {
    let mut request = Request::new(body);
    DefaultBodyLimit::max(limit).apply(&mut request);
    match Bytes::from_request(request, &()).await {
        Ok(bytes) => Ok(bytes),
        Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_))) => Err(too_large()),
        Err(other) => {
            Err(ApiError::new(ErrorKind::Malformed, "the body ended before it was complete")
                .with_cause(other))
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses a body that is compressed.
pub(crate) fn refuse_encoded(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(header::CONTENT_ENCODING) {
        None => Ok(()),
        Some(encoding) if encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(encoding) => Err(ApiError::new(
            ErrorKind::Encoding,
            format!("the body is encoded as {}", encoding.to_str().unwrap_or("something unknown")),
        )
        .with_hint("send the body without `Content-Encoding`")),
    }
}

/// Reads a body as JSON of a shape.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let place = error.valid_up_to();
        ApiError::new(ErrorKind::Malformed, format!("the body is no UTF-8 text from byte {place} on"))
    })?;
    if text.trim_ascii().is_empty() {
        return Err(ApiError::new(ErrorKind::Malformed, "the body is empty, JSON is needed"));
    }
    // The shapes are structs, which serde would also read from a list of their members.
    let no_object = || ApiError::new(ErrorKind::Invalid, "the body has to be a JSON object");
    let start = text.trim_ascii_start();
    if start.starts_with('[') {
        return Err(no_object());
    }
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data if !start.starts_with('{') => no_object(),
        Category::Data => ApiError::new(ErrorKind::Invalid, in_words_of_json(&error)),
        Category::Syntax | Category::Eof | Category::Io => malformed(text, &error),
    })
}

/// What is wrong with the shape of a body, without the names of types that only this program knows.
fn in_words_of_json(error: &serde_json::Error) -> String {
    const WORDS: [(&str, &str); 4] = [
        ("expected usize", "expected a whole number from 0 on"),
        ("expected a sequence", "expected a list"),
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: map", "invalid type: object"),
    ];
    WORDS.iter().fold(error.to_string(), |text, (name, word)| text.replace(name, word))
}

fn malformed(text: &str, error: &serde_json::Error) -> ApiError {
    let malformed = ApiError::new(ErrorKind::Malformed, format!("the body is no JSON: {error}"));
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let near = line.as_bytes().get(error.column().saturating_sub(3)..).unwrap_or_default();
    let near = &near[..near.len().min(12)];
    let has = |word: &[u8]| near.windows(word.len()).any(|window| window == word);
    if has(b"NaN") || has(b"Infinity") {
        return malformed.with_hint("JSON has no NaN and no infinity; send null");
    }
    malformed
}

/// Does work that only computes: at once if it is little, beside the threads that serve other requests if it is much.
pub(crate) async fn compute<T: Send + 'static>(
    much: bool,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if !much {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(ApiError::new(ErrorKind::Internal, "the request could not be computed").with_cause(error))
        }
    }
}

/// Whether reading a body is much work.
pub(crate) fn is_large(body: &Bytes) -> bool {
    body.len() > LARGE_BODY
}

/// A response with a body of a media type.
pub(crate) fn response(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A response of finished JSON.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    response(status, "application/json", body)
}

/// A response of a small value as JSON.
pub(crate) fn small_json<T: serde::Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => json(status, body),
        Err(error) => {
            let error =
                ApiError::new(ErrorKind::Internal, "an answer could not be written").with_cause(error);
            error.into_response()
        }
    }
}

/// Whether the client asks for Arrow's stream format.
pub(crate) fn wants_arrow(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.flat_map(|value| value.split(',')).any(|item| {
        let media_type = item.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(crate::wire::arrow_stream::MEDIA_TYPE)
    })
}
