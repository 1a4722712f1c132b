//! From options to a listening server, and from a shutdown to its end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, middleware};
use futures::future::BoxFuture;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    area::{areas, unknown_path, wrong_method},
    backend::Backends,
    connection::{BoundedListener, Connection},
    error::ServerError,
    feast,
    guard::{Dialect, Guard, Shared, guard, unsniffed},
    options::ServerOptions,
    process,
    tls::{Rotation, Tls},
};

/// The time that connections have once the shutdown's time is over: enough to send the refusal of what still ran.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A server that listens and does not answer yet.
pub struct Server {
    listener: BoundedListener,
    address: SocketAddr,
    router: Router,
    shared: Arc<Shared>,
    rotation: Option<Rotation>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts to listen. Connections queue until [`Server::run`].
    ///
    /// # Errors
    ///
    /// The options are not safe ([`ServerOptions::validate`]), the certificate or its key cannot be used, or the address cannot be
    /// bound.
    pub fn bind(options: ServerOptions, backends: Backends) -> BoxFuture<'static, Result<Self, ServerError>> {
        Box::pin(async move {
            options.validate()?;
            let failed = |source| ServerError::Bind { address: options.address, source };
            let (tls, rotation) = match options.tls.clone() {
                Some(files) => {
                    let Tls { config, rotation } = Tls::load(files, backends.jobs.now())?;
                    (Some(config), Some(rotation))
                }
                None => (None, None),
            };
            let listener = TcpListener::bind(options.address).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            let shared = Arc::new(Shared::new(&options, backends));
            let room = options.limits.connections.clamp(1, Semaphore::MAX_PERMITS);
            let listener = BoundedListener {
                listener,
                room: Arc::new(Semaphore::new(room)),
                idle_time: options.limits.idle_time,
                tls,
            };
            Ok(Self { listener, address, router: router(&options, &shared), shared, rotation })
        })
    }

    /// The address that clients use, with the port that was chosen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `shutdown`. Then no connection is accepted, running requests and jobs have the shutdown's time to
    /// finish, and what still runs is told to try again.
    ///
    /// # Errors
    ///
    /// The listening socket failed.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, Result<(), ServerError>> {
        Box::pin(async move {
            let Self { listener, router, shared, rotation, .. } = self;
            let rotating = rotation.map(|rotation| {
                let (clock, cancel) = (shared.clone(), shutdown.clone());
                tokio::spawn(rotation.go_on(move || clock.backends.jobs.now(), cancel))
            });
            let service = router.into_make_service_with_connect_info::<Connection>();
            let stopping = shutdown.clone();
            let serving = axum::serve(listener, service)
                .with_graceful_shutdown(async move { stopping.cancelled().await })
                .into_future();
            let tracker = &shared.jobs.tracker;
            let mut all = std::pin::pin!(async {
                let result = serving.await;
                tracker.close();
                tracker.wait().await;
                result
            });
            let late = async {
                shutdown.cancelled().await;
                let of_queries = shared.limits.query_shutdown_time.min(shared.limits.shutdown_time);
                tokio::time::sleep(of_queries).await;
                shared.queries_stop.cancel();
                let of_jobs = (shared.limits.shutdown_time / 2).max(of_queries);
                tokio::time::sleep(of_jobs - of_queries).await;
                shared.jobs_stop.cancel();
                tokio::time::sleep(shared.limits.shutdown_time - of_jobs).await;
            };
            let result = tokio::select! {
                result = &mut all => result,
                () = late => {
                    shared.hard_stop.cancel();
                    tokio::time::timeout(LAST_WORDS, all).await.unwrap_or(Ok(()))
                }
            };
            rotating.inspect(JoinHandle::abort);
            result.map_err(|source| ServerError::Serve { source })
        })
    }
}

/// Listens, tells the address, and answers until `shutdown`.
///
/// # Errors
///
/// Those of [`Server::bind`] and [`Server::run`].
pub fn serve(
    options: ServerOptions,
    backends: Backends,
    shutdown: CancellationToken,
    listening: impl FnOnce(SocketAddr) + Send + 'static,
) -> BoxFuture<'static, Result<(), ServerError>> {
    Box::pin(async move {
        let server = Server::bind(options, backends).await?;
        listening(server.address());
        server.run(shutdown).await
    })
}

/// All endpoints, each group behind its guard.
fn router(options: &ServerOptions, shared: &Arc<Shared>) -> Router {
    let feast = Dialect::Feast(options.feast_compat);
    let metrics = options.metrics.as_deref();
    let (quick, long) = (options.limits.request_time, options.limits.job_time);
    let guarded = |router: Router<Arc<Shared>>, dialect: Dialect, time: Duration| {
        let state = Guard { shared: shared.clone(), dialect, time };
        router
            .layer(CatchPanicLayer::custom(move |panic: Box<dyn std::any::Any + Send>| {
                dialect.panicked(panic.as_ref())
            }))
            .layer(middleware::from_fn_with_state(state, guard))
    };
    let (mut own_quick, mut own_long) = (Router::new(), Router::new());
    for area in areas(options.open_metrics) {
        own_quick = own_quick.merge(area.quick.into_router(metrics));
        own_long = own_long.merge(area.long.into_router(metrics));
    }
    let own_quick = own_quick.method_not_allowed_fallback(wrong_method);
    let own_long = own_long.method_not_allowed_fallback(wrong_method);
    Router::new()
        .merge(guarded(own_quick, Dialect::Own, quick))
        .merge(guarded(own_long, Dialect::Own, long))
        .merge(guarded(feast::router(options.feast_compat, metrics), feast, quick))
        .merge(guarded(feast::job_router(options.feast_compat, metrics), feast, long))
        .merge(process::open_router(options.open_metrics).method_not_allowed_fallback(wrong_method))
        .fallback(unknown_path)
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            Dialect::Own.panicked(panic.as_ref())
        }))
        .layer(middleware::map_response(unsniffed))
        // The guard has received the body within its own bound.
        .layer(DefaultBodyLimit::disable())
        .with_state(shared.clone())
}
