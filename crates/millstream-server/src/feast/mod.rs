//! The HTTP contract of Feast's feature server, so that its clients can be pointed here: same paths, same bodies, same shape
//! of errors. Where Feast's server is wrong, this one is right, unless [`FeastCompat::Strict`] asks for the quirks.

pub(crate) mod error;
mod materialize;
mod names;
mod read;
mod write;

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{Method, Uri},
    response::Response,
    routing::post,
};
use utoipa::OpenApi;

use millstream_telemetry::Metrics;

use crate::{
    error::{ApiError, ErrorKind},
    guard::{Dialect, Shared},
    options::FeastCompat,
    scoped::Endpoints,
};

#[derive(OpenApi)]
#[openapi(
    tags((name = "feast", description = "The contract of Feast's feature server")),
    paths(
        read::get_online_features,
        write::push,
        write::write_to_online_store,
        materialize::materialize,
        materialize::materialize_incremental,
    )
)]
struct Document;

/// The description of the endpoints.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Endpoints that answer within the time of a request.
pub(crate) fn router(compat: FeastCompat, metrics: Option<&Metrics>) -> Router<Arc<Shared>> {
    let read = move |state, body| told(compat, read::get_online_features(state, compat, body));
    let push = move |state, body| told(compat, write::push(state, body));
    let write = move |state, body| told(compat, write::write_to_online_store(state, body));
    Endpoints::of(Dialect::Feast(compat))
        .read("/get-online-features", post(read))
        .push("/push", post(push))
        .push("/write-to-online-store", post(write))
        .into_router(metrics)
        .method_not_allowed_fallback(move |method, uri| wrong_method(compat, method, uri))
}

/// Endpoints that may go through whole tables.
pub(crate) fn job_router(compat: FeastCompat, metrics: Option<&Metrics>) -> Router<Arc<Shared>> {
    let all = move |state, principal, query, body| {
        told(compat, materialize::materialize(state, principal, query, body))
    };
    let new = move |state, principal, query, body| {
        told(compat, materialize::materialize_incremental(state, principal, query, body))
    };
    Endpoints::of(Dialect::Feast(compat))
        .write("/materialize", post(all))
        .write("/materialize-incremental", post(new))
        .into_router(metrics)
        .method_not_allowed_fallback(move |method, uri| wrong_method(compat, method, uri))
}

type SharedState = State<Arc<Shared>>;

/// An endpoint's answer, its errors in Feast's words.
async fn told(compat: FeastCompat, answer: impl Future<Output = Result<Response, ApiError>>) -> Response {
    answer.await.unwrap_or_else(|error| Dialect::Feast(compat).respond(&error))
}

async fn wrong_method(compat: FeastCompat, method: Method, uri: Uri) -> Response {
    let error = ApiError::new(ErrorKind::WrongMethod, format!("`{}` does not take {method}", uri.path()));
    Dialect::Feast(compat).respond(&error)
}
