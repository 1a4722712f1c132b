//! Errors as Feast's clients read them: a JSON string that holds JSON with the name of an exception, which the client raises.

use axum::{http::StatusCode, response::Response};
use serde::Serialize;

use crate::{
    body::small_json,
    error::{ApiError, ErrorKind},
    options::FeastCompat,
};

/// The Python module of the exceptions that Feast's clients raise.
const MODULE: &str = "feast.errors";

#[derive(Serialize)]
struct Detail<'a> {
    module: &'static str,
    class: &'static str,
    message: &'a str,
    /// Millstream's own code, which Feast does not send; Feast's clients skip fields that they do not know.
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// Errors of Feast's request models.
#[derive(Serialize)]
struct Validation<'a> {
    detail: [ValidationDetail<'a>; 1],
}

#[derive(Serialize)]
struct ValidationDetail<'a> {
    r#type: &'static str,
    loc: Vec<&'a str>,
    msg: &'a str,
}

/// The exception for a kind of error, and the status with which Feast itself sends it; none if it has no words for it.
fn exception(kind: ErrorKind) -> (&'static str, Option<StatusCode>) {
    match kind {
        ErrorKind::UnknownService => ("FeatureServiceNotFoundException", Some(StatusCode::NOT_FOUND)),
        ErrorKind::UnknownView => ("FeatureViewNotFoundException", Some(StatusCode::NOT_FOUND)),
        ErrorKind::UnknownPushSource => {
            ("PushSourceNotFoundException", Some(StatusCode::UNPROCESSABLE_ENTITY))
        }
        ErrorKind::UnknownColumn => ("EntityNotFoundException", Some(StatusCode::NOT_FOUND)),
        ErrorKind::NameCollision => ("FeatureNameCollisionError", Some(StatusCode::UNPROCESSABLE_ENTITY)),
        ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::ForeignOrigin => {
            ("FeastPermissionError", Some(StatusCode::FORBIDDEN))
        }
        ErrorKind::UnknownFeature => ("FeastObjectNotFoundException", None),
        ErrorKind::MissingColumn => ("RequestDataNotFoundInEntityRowsException", None),
        _ => ("FeastError", None),
    }
}

/// The response for an error on one of Feast's paths.
pub(crate) fn respond(error: &ApiError, compat: FeastCompat) -> Response {
    let (class, status) = exception(error.kind());
    let strict = compat == FeastCompat::Strict;
    if strict && matches!(error.kind(), ErrorKind::Malformed | ErrorKind::Invalid) {
        let loc = std::iter::once("body").chain(error.field()).collect();
        let detail = [ValidationDetail { r#type: "value_error", loc, msg: &error.to_string() }];
        return small_json(StatusCode::UNPROCESSABLE_ENTITY, &Validation { detail });
    }
    if strict && of_the_request(error.kind()) {
        return small_json(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
    }
    let message = error.to_string();
    let detail = Detail { module: MODULE, class, message: &message, code: error.code(), hint: error.hint() };
    let status = status.unwrap_or(error.status());
    match serde_json::to_string(&detail) {
        Ok(detail) => small_json(status, &detail),
        Err(_) => small_json(status, &message),
    }
}

/// Mistakes inside a request, which Feast answers with 500; limits of the server keep their own status.
fn of_the_request(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownFeature
            | ErrorKind::WrongType
            | ErrorKind::MissingColumn
            | ErrorKind::UnevenColumns
    )
}
