//! Endpoints and the scope that each needs. There is no way to add one without, so that nothing is open by oversight.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::MethodRouter,
};

use millstream_telemetry::{Metrics, RouteFigures};

use crate::{
    error::{ApiError, ErrorKind},
    guard::{Dialect, Shared},
    principal::{Principal, Scope},
};

/// The header by which a client tells a request from others in its own log and in ours.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are not written to the log.
const REQUEST_ID_MAX: usize = 128;

/// So many characters of a path are written to the log.
const PATH_MAX: usize = 256;

/// Endpoints that tell errors in one dialect.
pub(crate) struct Endpoints {
    endpoints: Vec<Endpoint>,
    dialect: Dialect,
}

/// An endpoint with what it asks of whoever calls it.
struct Endpoint {
    path: String,
    methods: MethodRouter<Arc<Shared>>,
    scope: Scope,
    audit: Audit,
}

/// What one endpoint asks of whoever calls it.
#[derive(Clone)]
struct Needs {
    scope: Scope,
    dialect: Dialect,
    audit: Audit,
    /// What calls are counted in, if anything.
    figures: Option<Arc<RouteFigures>>,
}

/// How calls of an endpoint are written to the log.
#[derive(Clone, Copy)]
enum Audit {
    /// Calls are not written, because they change nothing.
    None,
    Each,
    /// Calls are written only at `audit=debug`, because there may be thousands of them a second.
    Frequent,
}

impl Endpoints {
    /// Endpoints of Millstream's own API.
    pub(crate) fn own() -> Self {
        Self::of(Dialect::Own)
    }

    pub(crate) fn of(dialect: Dialect) -> Self {
        Self { endpoints: Vec::new(), dialect }
    }

    /// An endpoint that changes nothing.
    pub(crate) fn read(self, path: &str, endpoint: MethodRouter<Arc<Shared>>) -> Self {
        self.add(path, endpoint, Scope::Read, Audit::None)
    }

    /// An endpoint that changes something; each call is written to the log with who made it.
    pub(crate) fn write(self, path: &str, endpoint: MethodRouter<Arc<Shared>>) -> Self {
        self.add(path, endpoint, Scope::Write, Audit::Each)
    }

    /// An endpoint that changes what the server is; each call is written to the log with who made it.
    pub(crate) fn admin(self, path: &str, endpoint: MethodRouter<Arc<Shared>>) -> Self {
        self.add(path, endpoint, Scope::Admin, Audit::Each)
    }

    /// An endpoint that stores rows.
    pub(crate) fn push(self, path: &str, endpoint: MethodRouter<Arc<Shared>>) -> Self {
        self.add(path, endpoint, Scope::Write, Audit::Frequent)
    }

    fn add(mut self, path: &str, methods: MethodRouter<Arc<Shared>>, scope: Scope, audit: Audit) -> Self {
        self.endpoints.push(Endpoint { path: path.to_owned(), methods, scope, audit });
        self
    }

    /// The endpoints as a router, counting calls in `metrics`.
    pub(crate) fn into_router(self, metrics: Option<&Metrics>) -> Router<Arc<Shared>> {
        let dialect = self.dialect;
        self.endpoints.into_iter().fold(Router::new(), |router, Endpoint { path, methods, scope, audit }| {
            let figures = metrics.map(|metrics| Arc::new(metrics.route(&path)));
            let needs = Needs { scope, dialect, audit, figures };
            router.route(&path, methods.route_layer(from_fn_with_state(needs, allow)))
        })
    }
}

/// Lets a request through whose principal may ask for this, and counts it.
async fn allow(State(needs): State<Needs>, request: Request, next: Next) -> Response {
    let Some(figures) = needs.figures.clone() else { return allowed(needs, request, next).await };
    let began = Instant::now();
    let response = allowed(needs, request, next).await;
    figures.answered(response.status().as_u16(), began.elapsed());
    response
}

async fn allowed(needs: Needs, request: Request, next: Next) -> Response {
    let Some(principal) = request.extensions().get::<Principal>() else {
        let error = ApiError::new(ErrorKind::Unauthorized, "it is not known who sent the request");
        return needs.dialect.respond(&error);
    };
    if principal.scope < needs.scope {
        return needs.dialect.respond(&principal.lacks(needs.scope));
    }
    if matches!(needs.audit, Audit::None) {
        return next.run(request).await;
    }
    let principal = principal.name.clone();
    let (method, path) = (request.method().clone(), written(request.uri().path()));
    let id = request_id(request.headers());
    let mut response = next.run(request).await;
    let (status, sent) = (response.status().as_u16(), id.as_ref().and_then(|id| id.to_str().ok()));
    let outcome = match status {
        ..400 => "changed",
        400..500 => "refused",
        _ => "failed",
    };
    match needs.audit {
        Audit::Frequent => {
            tracing::debug!(target: "audit", principal, request = sent, %method, path, status, "{outcome}");
        }
        Audit::None | Audit::Each => {
            tracing::info!(target: "audit", principal, request = sent, %method, path, status, "{outcome}");
        }
    }
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The path as the log has it: whoever calls cannot fill the log with it.
fn written(path: &str) -> String {
    match path.char_indices().nth(PATH_MAX) {
        Some((end, _)) => format!("{}…", path.get(..end).unwrap_or_default()),
        None => path.to_owned(),
    }
}

/// The id that the client gave the request.
fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(REQUEST_ID).filter(|id| id.len() <= REQUEST_ID_MAX && id.to_str().is_ok()).cloned()
}
