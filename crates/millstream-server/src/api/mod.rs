//! Millstream's own endpoints, one file each, over the shared guard.

pub(crate) mod datasets;
pub(crate) mod health;
pub(crate) mod materialize;
pub(crate) mod push;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod services;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRequestParts, Path},
    http::{Method, Uri, request::Parts},
    routing::{get, post},
};

use crate::{
    error::{ApiError, ErrorKind},
    guard::Shared,
    openapi,
};

/// Header with the version of the service or the dataset that answered, where the body has no place for it.
pub(crate) const VERSION: &str = "x-millstream-version";

/// Endpoints that answer within the time of a request.
pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/features/read", post(read::read))
        .route("/v1/features/services", get(services::services))
        .route("/v1/features/services/{name}", get(services::service))
        .route("/v1/features/views", get(services::views))
        .route("/v1/features/views/{view}/push", post(push::push))
        .route("/v1/query", post(query::query))
        .route("/v1/datasets", get(datasets::datasets))
        .route("/v1/datasets/{name}", get(datasets::dataset))
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/v1/version", get(health::version))
        .method_not_allowed_fallback(wrong_method)
}

/// Endpoints that may go through whole tables.
pub(crate) fn job_router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/features/materialize", post(materialize::materialize))
        .method_not_allowed_fallback(wrong_method)
}

/// Endpoints for those who watch the process: no token, no room in the queue needed.
pub(crate) fn open_router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .method_not_allowed_fallback(wrong_method)
}

pub(crate) async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::new(ErrorKind::UnknownPath, format!("there is no endpoint `{}`", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(ErrorKind::WrongMethod, format!("`{}` does not take {method}", uri.path()))
}

/// The name in a path.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(error) => Err(ApiError::new(ErrorKind::Invalid, error.body_text())),
        }
    }
}
