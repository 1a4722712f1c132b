//! What every request passes before its endpoint: who asks, whether there is room, how long it may take; and the shape in
//! which a refusal is answered.

use std::{
    any::Any,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, Method, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use millstream_telemetry::{Metrics, RouteFigures};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    backend::Backends,
    body,
    connection::Connection,
    error::{ApiError, ErrorKind},
    feast,
    ingest::{called_source, takes_encoded},
    jobs::Jobs,
    options::{FeastCompat, Limits, ServerOptions},
    principal::{Principal, Scope, Tokens},
    schedule::called_webhook,
    signature::{Signature, SourceSignature, WebhookSecret, unsigned},
};

/// The name under which requests are counted that were refused, or ran out of time, on their way.
const REFUSED: &str = "refused";

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) backends: Backends,
    pub(crate) limits: Limits,
    pub(crate) jobs: Jobs,
    /// The room that all bodies share, in units of [`body::units`].
    pub(crate) buffers: Semaphore,
    /// The room for bodies of signed calls, of which it is not known yet who sends them: they take none of the others'.
    pub(crate) signed_calls: Semaphore,
    /// Ends what did not finish in the time that a shutdown leaves.
    pub(crate) hard_stop: CancellationToken,
    /// Asks jobs to end, which some of them do in an orderly way.
    pub(crate) jobs_stop: CancellationToken,
    /// Ends queries, which a shutdown leaves less time.
    pub(crate) queries_stop: CancellationToken,
    pub(crate) metrics: Option<Arc<Metrics>>,
    /// What requests are counted in that did not reach their endpoint.
    refused: Option<RouteFigures>,
    tokens: Tokens,
    running: Semaphore,
}

impl Shared {
    pub(crate) fn new(options: &ServerOptions, backends: Backends) -> Self {
        let limits = options.limits.clone();
        // One body of the greatest size must fit, or a request without a length could never be read.
        let buffered = body::units(limits.buffered_bytes.max(limits.body_bytes));
        Self {
            backends,
            jobs: Jobs::default(),
            buffers: Semaphore::new(buffered.min(Semaphore::MAX_PERMITS)),
            signed_calls: Semaphore::new(body::SIGNED_CALLS_MAX),
            hard_stop: CancellationToken::new(),
            jobs_stop: CancellationToken::new(),
            queries_stop: CancellationToken::new(),
            metrics: options.metrics.clone(),
            refused: options.metrics.as_ref().map(|metrics| metrics.route(REFUSED)),
            tokens: options.grants(),
            running: Semaphore::new(limits.concurrent_requests.min(Semaphore::MAX_PERMITS)),
            limits,
        }
    }
}

/// In whose words an error is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Own,
    Feast(FeastCompat),
}

impl Dialect {
    pub(crate) fn respond(self, error: &ApiError) -> Response {
        error.log();
        let mut response = match self {
            Self::Own => body::small_json(error.status(), &error.body()),
            Self::Feast(compat) => feast::error::respond(error, compat),
        };
        let headers = response.headers_mut();
        match error.kind() {
            ErrorKind::Busy
            | ErrorKind::Full
            | ErrorKind::PartlyTaken
            | ErrorKind::Unavailable
            | ErrorKind::ShuttingDown => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            ErrorKind::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }

    /// The answer when an endpoint panicked. What it said goes to the log only.
    pub(crate) fn panicked(self, panic: &(dyn Any + Send)) -> Response {
        let said = panic.downcast_ref::<&str>().copied();
        let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("nothing");
        tracing::error!("an endpoint panicked: {said}");
        self.respond(&ApiError::new(ErrorKind::Internal, "the request met a defect of the server"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Dialect::Own.respond(&self)
    }
}

/// How the endpoints of one router are guarded.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) dialect: Dialect,
    /// The time that an endpoint has for its answer once the body is there.
    pub(crate) time: Duration,
}

/// Lets a request through to its endpoint, or answers it.
pub(crate) async fn guard(
    State(guard): State<Guard>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let _busy = connection.request();
    let began = Instant::now();
    match guarded(&guard, request, next).await {
        Ok(response) => response,
        Err(error) => {
            let response = guard.dialect.respond(&error);
            if let Some(refused) = &guard.shared.refused {
                refused.answered(response.status().as_u16(), began.elapsed());
            }
            response
        }
    }
}

async fn guarded(guard: &Guard, mut request: Request, next: Next) -> Result<Response, ApiError> {
    let shared = guard.shared.as_ref();
    one_host(&request)?;
    let signed = match admit(&shared.tokens, request.headers()) {
        Ok(principal) if !shared.tokens.0.is_empty() && principal.scope >= Scope::Write => {
            request.extensions_mut().insert(principal);
            None
        }
        // Without tokens each program of this machine is let in, which says nothing of who sent a call.
        admitted => match SignedCall::of(shared, &request)? {
            Some(call) if call.signature.is_some() => Some(call),
            Some(call) if admitted.is_ok() && shared.tokens.0.is_empty() => {
                return Err(call.hinted(unsigned()));
            }
            _ => {
                request.extensions_mut().insert(admitted?);
                None
            }
        },
    };
    let _running = shared.running.try_acquire().map_err(|_| {
        let limit = shared.limits.concurrent_requests;
        ApiError::new(ErrorKind::Busy, format!("{limit} requests are running, which is the server's limit"))
    })?;
    let work = async {
        let (request, _room) = if *request.method() == Method::POST {
            let (request, room) = with_body(shared, request, signed).await?;
            (request, Some(room))
        } else {
            (request, None)
        };
        tokio::time::timeout(guard.time, next.run(request)).await.map_err(|_| {
            let seconds = guard.time.as_secs_f64();
            ApiError::new(ErrorKind::TimedOut, format!("the answer was not ready within {seconds} seconds"))
        })
    };
    tokio::select! {
        biased;
        response = work => response,
        () = shared.hard_stop.cancelled() => {
            Err(stopped())
        }
    }
}

/// The answer to what a shutdown ends.
pub(crate) fn stopped() -> ApiError {
    ApiError::new(ErrorKind::ShuttingDown, "the server stopped before the request was answered")
}

/// A call of a webhook that has a secret, or events for a source whose calls are signed.
struct SignedCall {
    principal: Principal,
    secret: WebhookSecret,
    signature: Option<Signature>,
    /// How to sign, where it is not as all webhooks are signed.
    hint: Option<String>,
}

impl SignedCall {
    /// The call that the request makes; `None` where it is another request.
    fn of(shared: &Shared, request: &Request) -> Result<Option<Self>, ApiError> {
        if *request.method() != Method::POST {
            return Ok(None);
        }
        let (path, headers) = (request.uri().path(), request.headers());
        let now = || shared.backends.jobs.now().div_euclid(1_000_000);
        let (schedule, ingest) = (&shared.backends.schedule, &shared.backends.ingest);
        if let Some((name, secret)) =
            called_webhook(path).and_then(|name| Some((name, schedule.webhook_secret(name)?)))
        {
            let principal = Principal { name: format!("webhook {name}"), scope: Scope::Write };
            let signature = Signature::of(headers, now())?;
            return Ok(Some(Self { principal, secret, signature, hint: None }));
        }
        if let Some((name, signed)) =
            called_source(path).and_then(|name| Some((name, ingest.signature(name)?)))
        {
            let principal = Principal { name: format!("sender to {name}"), scope: Scope::Write };
            let hint = signed.hint();
            let signature = signed.read(headers, now()).map_err(|error| error.with_hint(&hint))?;
            let SourceSignature { secret, .. } = signed;
            return Ok(Some(Self { principal, secret, signature, hint: Some(hint) }));
        }
        Ok(None)
    }

    /// Who has signed the body.
    fn signer(self, body: &[u8]) -> Result<Principal, ApiError> {
        let verified = self.signature.as_ref().ok_or_else(unsigned);
        let verified = verified.and_then(|signature| signature.verify(&self.secret, body));
        verified.map_err(|error| self.hinted(error))?;
        Ok(self.principal)
    }

    /// The refusal with how this call has to be signed.
    fn hinted(&self, error: ApiError) -> ApiError {
        match &self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// The request with its body received, so that endpoints get it at once. A `signed` call is let in once its signature is found to
/// be that of the body.
async fn with_body(
    shared: &Shared,
    request: Request,
    signed: Option<SignedCall>,
) -> Result<(Request, tokio::sync::SemaphorePermit<'_>), ApiError> {
    let time = shared.limits.request_time.min(match &signed {
        Some(_) => body::SIGNED_TIME,
        None => Duration::MAX,
    });
    let (mut parts, incoming) = request.into_parts();
    if !takes_encoded(parts.uri.path()) {
        body::refuse_encoded(&parts.headers)?;
    }
    let receiving = async {
        match &signed {
            Some(_) => body::receive_signed(shared, &parts.headers, incoming).await,
            None => body::receive(shared, &parts.headers, incoming).await,
        }
    };
    let received = tokio::time::timeout(time, receiving).await;
    let (bytes, room) = received.map_err(|_| {
        let seconds = time.as_secs_f64();
        ApiError::new(ErrorKind::SlowBody, format!("the body did not arrive within {seconds} seconds"))
    })??;
    if let Some(call) = signed {
        parts.extensions.insert(call.signer(&bytes)?);
    }
    Ok((Request::from_parts(parts, Body::from(bytes)), room))
}

/// A request names its server once, as HTTP/1.1 wants it: where it does not, whoever stands between may have read another
/// name than this server.
fn one_host(request: &Request) -> Result<(), ApiError> {
    let named = request.headers().get_all(header::HOST).iter().count();
    let (is_named, is_old) =
        (named == 1 || request.uri().authority().is_some(), request.version() < Version::HTTP_11);
    if named <= 1 && (is_named || is_old) {
        return Ok(());
    }
    Err(ApiError::new(ErrorKind::BadHost, format!("the request has {named} headers `Host`, 1 is needed")))
}

/// Says in every answer that its type is what the header says: a browser must not take data for a page.
pub(crate) async fn unsniffed(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Who the sender is.
fn admit(tokens: &Tokens, headers: &HeaderMap) -> Result<Principal, ApiError> {
    if tokens.0.is_empty() {
        return local_only(headers).map(|()| Principal::local());
    }
    let sent = headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let (scheme, sent) = sent.split_at(sent.len().min(b"Bearer ".len()));
    let owner = if scheme.eq_ignore_ascii_case(b"Bearer ") { tokens.owner(sent) } else { None };
    owner.ok_or_else(|| {
        let message = "the server needs a token, and this request has none or a wrong one";
        ApiError::new(ErrorKind::Unauthorized, message)
    })
}

/// Without a token only programs of this machine may ask. A browser runs pages of anybody and would carry their requests
/// here; it says so in `Origin`, or, when a foreign name was made to point to this machine, in `Host`.
pub(crate) fn local_only(headers: &HeaderMap) -> Result<(), ApiError> {
    let foreign = |name: header::HeaderName, value: &HeaderValue| {
        let host = value.to_str().unwrap_or_default();
        let host = host.split_once("://").map_or(host, |(_, host)| host);
        (!is_local(host)).then(|| {
            ApiError::new(ErrorKind::ForeignOrigin, format!("the header `{name}` names another machine"))
                .with_hint("address the server as localhost or 127.0.0.1, or give it a token")
        })
    };
    let of = |name: header::HeaderName| {
        let values = headers.get_all(&name).iter();
        values.map(|value| (name.clone(), value)).collect::<Vec<_>>()
    };
    let mut all = of(header::HOST).into_iter().chain(of(header::ORIGIN));
    all.find_map(|(name, value)| foreign(name, value)).map_or(Ok(()), Err)
}

/// Whether it is one name or address of this machine, perhaps with a port; a list is not.
fn is_local(host: &str) -> bool {
    if host.contains([',', ' ', '/', '@']) {
        return false;
    }
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
