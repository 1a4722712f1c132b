//! What can be asked for: services and views with their types.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use millstream_api::{
    error::ErrorBody,
    features::{ServiceInfo, ServicesAnswer, ViewsAnswer},
};

use crate::{
    area::Name,
    body::small_json,
    error::{ApiError, ErrorKind},
    guard::Shared,
};

/// All services.
#[utoipa::path(
    get,
    path = "/v1/features/services",
    tag = "features",
    responses((status = 200, body = ServicesAnswer))
)]
pub(crate) async fn services(State(shared): State<Arc<Shared>>) -> Response {
    small_json(StatusCode::OK, &ServicesAnswer { services: shared.backends.features.services() })
}

/// One service.
#[utoipa::path(
    get,
    path = "/v1/features/services/{name}",
    tag = "features",
    params(("name" = String, Path, description = "The service's name, without version")),
    responses(
        (status = 200, body = ServiceInfo),
        (status = 404, description = "MS-1203", body = ErrorBody),
    )
)]
pub(crate) async fn service(
    State(shared): State<Arc<Shared>>,
    Name(name): Name,
) -> Result<Response, ApiError> {
    let service = shared.backends.features.services().into_iter().find(|service| service.name == name);
    let service = service
        .ok_or_else(|| ApiError::new(ErrorKind::UnknownService, format!("there is no service `{name}`")))?;
    Ok(small_json(StatusCode::OK, &service))
}

/// All views.
#[utoipa::path(get, path = "/v1/features/views", tag = "features", responses((status = 200, body = ViewsAnswer)))]
pub(crate) async fn views(State(shared): State<Arc<Shared>>) -> Response {
    small_json(StatusCode::OK, &ViewsAnswer { views: shared.backends.features.views() })
}
