//! What comes next, what was decided, and webhooks.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, Uri},
    response::Response,
};
use millstream_api::{
    error::ErrorBody,
    schedule::{ScheduleAnswer, TriggerAnswer},
};

use super::called_webhook;
use crate::{
    area::Name,
    body::small_json,
    error::{ApiError, ErrorKind},
    guard::Shared,
    listing::{ListingQuery, listed},
};

/// When assets run next by themselves, and what was decided last: what started, was skipped or waits, and why.
#[utoipa::path(
    get,
    path = "/v1/schedule",
    tag = "schedule",
    params(("limit" = Option<usize>, Query, description = "How many of each at most; 50 if left out, 1,000 at most")),
    responses((status = 200, body = ScheduleAnswer))
)]
pub(super) async fn schedule(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<ListingQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let limit = listed(query)?;
    Ok(small_json(StatusCode::OK, &shared.backends.schedule.schedule(limit).await?))
}

/// Calls a webhook: the assets with this trigger are due. Once this is answered, no crash loses the call; calls that come while
/// an asset runs are answered by one run afterwards. Nothing is taken from the body. A webhook with a secret is called without a
/// token when the call is signed: `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA256 of the body, or `X-Millstream-Signature`
/// (`Stripe-Signature` too): `t=<unix>,v1=<hex>`, that of the instant, a point and the body, within 5 minutes.
#[utoipa::path(
    post,
    path = "/v1/triggers/{name}",
    tag = "schedule",
    params(("name" = String, Path, description = "The webhook's name, as assets have it in their triggers")),
    responses(
        (status = 202, description = "Recorded", body = TriggerAnswer),
        (status = 401, description = "MS-1245: a wrong signature", body = ErrorBody),
        (status = 404, description = "MS-1236", body = ErrorBody),
        (
            status = 503,
            description = "MS-1225: another server runs the project, or the call could not be recorded; call again",
            body = ErrorBody
        ),
    )
)]
pub(super) async fn trigger(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    Name(name): Name,
) -> Result<Response, ApiError> {
    // Names are identifiers. One that is encoded in the path is not the one whose secret was asked for on the way here.
    if called_webhook(uri.path()) != Some(name.as_str()) {
        return Err(ApiError::new(ErrorKind::UnknownTrigger, "no webhook has a name that is encoded"));
    }
    Ok(small_json(StatusCode::ACCEPTED, &shared.backends.schedule.trigger(&name).await?))
}
