//! Errors as Feast's clients read them: a JSON string that holds JSON with the name of an exception, which the client raises.

use axum::{http::StatusCode, response::Response};
use serde::Serialize;

use crate::{
    body::small_json,
    error::{ApiError, ErrorKind},
    options::FeastCompat,
};

/// Where the exceptions live.
const MODULE: &str = "feast.errors";

#[derive(Serialize)]
struct Detail<'a> {
    module: &'static str,
    class: &'static str,
    message: &'a str,
    /// Not Feast's; its clients skip what they do not know.
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

/// The exception for a kind of error, and whether Feast itself would raise it.
fn class(kind: ErrorKind) -> (&'static str, bool) {
    match kind {
        ErrorKind::UnknownService => ("FeatureServiceNotFoundException", true),
        ErrorKind::UnknownView => ("FeatureViewNotFoundException", true),
        ErrorKind::UnknownFeature => ("FeastObjectNotFoundException", false),
        ErrorKind::UnknownColumn => ("EntityNotFoundException", true),
        ErrorKind::MissingColumn => ("RequestDataNotFoundInEntityRowsException", false),
        ErrorKind::NameCollision => ("FeatureNameCollisionError", true),
        ErrorKind::Unauthorized | ErrorKind::ForeignOrigin => ("FeastPermissionError", true),
        _ => ("FeastError", false),
    }
}

/// The response for an error on one of Feast's paths.
pub(crate) fn respond(error: &ApiError, compat: FeastCompat) -> Response {
    let (class, raised_by_feast) = class(error.kind());
    let strict = compat == FeastCompat::Strict;
    if strict && matches!(error.kind(), ErrorKind::Malformed | ErrorKind::Invalid) {
        let loc = std::iter::once("body").chain(error.field()).collect();
        let detail = [ValidationDetail { r#type: "value_error", loc, msg: &error.to_string() }];
        return small_json(StatusCode::UNPROCESSABLE_ENTITY, &Validation { detail });
    }
    if strict && !raised_by_feast && error.status().is_client_error() && of_the_request(error.kind()) {
        return small_json(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
    }
    let message = error.to_string();
    let detail = Detail { module: MODULE, class, message: &message, code: error.code(), hint: error.hint() };
    match serde_json::to_string(&detail) {
        Ok(detail) => small_json(error.status(), &detail),
        Err(_) => small_json(error.status(), &message),
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
