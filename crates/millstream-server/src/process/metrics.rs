//! The figures of the process, for Prometheus and whoever reads its format.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use millstream_api::error::ErrorBody;

use crate::{
    error::{ApiError, ErrorKind},
    guard::{Shared, local_only},
};

/// Figures of runs, steps, requests and the process, in the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses(
        (status = 200, description = "The text format of Prometheus, version 0.0.4", content_type = "text/plain"),
        (status = "4XX", description = "The request is wrong", body = ErrorBody),
    )
)]
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    let Some(metrics) = &shared.metrics else {
        return Err(ApiError::new(ErrorKind::UnknownPath, "this server keeps no figures"));
    };
    let (text, content_type) = metrics.text().map_err(|error| {
        ApiError::new(ErrorKind::Internal, "the figures cannot be written").with_cause(Box::new(error))
    })?;
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// The figures without a token, for programs of this machine and not for pages in its browsers.
pub(crate) async fn local(state: State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, ApiError> {
    local_only(&headers)?;
    metrics(state).await
}
