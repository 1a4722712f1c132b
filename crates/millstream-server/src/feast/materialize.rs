//! `/materialize` and `/materialize-incremental`.

use axum::{
    Extension,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use millstream_api::feast::{
    FeastAccepted, FeastMaterializeBody, FeastMaterializeIncrementalBody, FeastRunning,
};
use serde::Deserialize;

use super::SharedState;
use crate::{
    body::{self, parse, small_json},
    error::{ApiError, ErrorKind},
    features::materialize::{self, Range, time},
    principal::Principal,
};

#[derive(Debug, Default, Deserialize)]
pub(super) struct JobQuery {
    #[serde(default)]
    r#async: bool,
    #[serde(default)]
    force: bool,
}

type JobParameters = Result<Query<JobQuery>, QueryRejection>;

/// Feast's materialisation of a range of event times. Rows of all times up to the present are taken, which windows need: one
/// that ends more than a day ago is refused, and where one starts changes nothing.
#[utoipa::path(
    post,
    path = "/materialize",
    tag = "feast",
    params(
        ("async" = Option<bool>, Query, description = "Answer when the work is started"),
        ("force" = Option<bool>, Query, description = "Start although the same views are at work"),
    ),
    request_body = FeastMaterializeBody,
    responses(
        (status = 200, description = "`null`"),
        (status = 202, description = "Started"),
        (status = 409, description = "The views are at work"),
        (status = "4XX", description = "A string that holds JSON with module, class and message", body = String, content_type = "application/json"),
    )
)]
pub(super) async fn materialize(
    State(shared): SharedState,
    Extension(principal): Extension<Principal>,
    query: JobParameters,
    body: Bytes,
) -> Result<Response, ApiError> {
    let body: FeastMaterializeBody = parse(&body)?;
    let needed = |field: &str, text: Option<String>| {
        let missing = || ApiError::new(ErrorKind::Invalid, format!("`{field}` is missing")).with_field(field);
        time(field, &text.ok_or_else(missing)?).map(Some)
    };
    let (start, end) = if body.disable_event_timestamp {
        (None, None)
    } else {
        (needed("start_ts", body.start_ts)?, needed("end_ts", body.end_ts)?)
    };
    unversioned(body.version)?;
    run(&shared, principal, query, body.feature_views, Range { start, end, incremental: false }).await
}

/// Feast's materialisation of what is new, up to the present: an end more than a day ago is refused.
#[utoipa::path(
    post,
    path = "/materialize-incremental",
    tag = "feast",
    request_body = FeastMaterializeIncrementalBody,
    responses(
        (status = 200, description = "`null`"),
        (status = 202, description = "Started"),
        (status = 409, description = "The views are at work"),
        (status = "4XX", description = "A string that holds JSON with module, class and message", body = String, content_type = "application/json"),
    )
)]
pub(super) async fn materialize_incremental(
    State(shared): SharedState,
    Extension(principal): Extension<Principal>,
    query: JobParameters,
    body: Bytes,
) -> Result<Response, ApiError> {
    let body: FeastMaterializeIncrementalBody = parse(&body)?;
    let end = Some(time("end_ts", &body.end_ts)?);
    unversioned(body.version)?;
    run(&shared, principal, query, body.feature_views, Range { start: None, end, incremental: true }).await
}

fn unversioned(version: Option<String>) -> Result<(), ApiError> {
    match version {
        None => Ok(()),
        Some(version) => {
            let message =
                format!("version {version} of a view is asked for, and views have no versions here");
            Err(ApiError::new(ErrorKind::Invalid, message).with_field("version"))
        }
    }
}

async fn run(
    shared: &std::sync::Arc<crate::guard::Shared>,
    principal: Principal,
    query: JobParameters,
    views: Option<Vec<String>>,
    range: Range,
) -> Result<Response, ApiError> {
    let Query(query) =
        query.map_err(|error| ApiError::new(ErrorKind::Invalid, error.body_text()).with_field("async"))?;
    match materialize::start(shared, principal, views.clone(), range, query.force) {
        Ok(started) if query.r#async => {
            let accepted = FeastAccepted { status: "accepted", feature_views: started.job.about.clone() };
            Ok(small_json(StatusCode::ACCEPTED, &accepted))
        }
        Ok(started) => {
            started.done().await?;
            Ok(body::json(StatusCode::OK, b"null".to_vec()))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyRunning => {
            let running = FeastRunning { error: error.to_string(), feature_views: views.unwrap_or_default() };
            Ok(small_json(StatusCode::CONFLICT, &running))
        }
        Err(error) => Err(error),
    }
}
