//! Carrying views from the lake to the online store, on request.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    body::{parse, small_json},
    error::{ApiError, ErrorKind},
    features::MaterializeAnswer,
    guard::Shared,
    jobs::{self, Job},
    wire::instant,
};

/// What to materialise.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaterializeBody {
    /// Every view if left out.
    views: Option<Vec<String>>,
    /// Only what is new since the last time.
    #[serde(default = "yes")]
    incremental: bool,
    /// Whether to answer when it is done rather than when it is started.
    #[serde(default = "yes")]
    wait: bool,
}

fn yes() -> bool {
    true
}

/// A job that goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedAnswer {
    status: &'static str,
    views: Vec<String>,
}

/// Materialises views: all rows of all times up to the present, which windows need. The work goes on when the client leaves, and a second request for a view at work is refused.
#[utoipa::path(
    post,
    path = "/v1/features/materialize",
    tag = "features",
    request_body = MaterializeBody,
    responses(
        (status = 200, body = MaterializeAnswer),
        (status = 202, description = "Started, with `wait: false`", body = AcceptedAnswer),
        (status = 409, description = "MS-1221", body = crate::error::ErrorBody),
        (status = "4XX", description = "The request is wrong", body = crate::error::ErrorBody),
    )
)]
pub(crate) async fn materialize(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let body: MaterializeBody = parse(&body)?;
    let job = Job { views: body.views, start: None, end: None, incremental: body.incremental, force: false };
    let started = jobs::start(&shared, job)?;
    if !body.wait {
        return Ok(small_json(
            StatusCode::ACCEPTED,
            &AcceptedAnswer { status: "accepted", views: started.views },
        ));
    }
    Ok(small_json(StatusCode::OK, &started.wait().await?))
}

pub(crate) fn time(field: &str, text: &str) -> Result<i64, ApiError> {
    instant::parse_micros(text).ok_or_else(|| {
        let message = format!("`{field}` has to be an RFC 3339 time such as 2026-11-21T12:00:00Z");
        ApiError::new(ErrorKind::Invalid, message).with_field(field)
    })
}
