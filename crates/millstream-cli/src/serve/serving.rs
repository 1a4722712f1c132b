//! A server from its address to its end, with the tasks beside it: steps by their triggers, views that runs leave to it,
//! housekeeping, files that are saved, and SIGHUP.

use std::{sync::Arc, time::Duration};

use futures::future::OptionFuture;
use millstream_server::Server;
use millstream_telemetry::Metrics;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Backend, Hangups, Watcher, keep_fresh, keep_generating, keep_house, keep_marked, keep_telling};
use crate::CliError;

/// How long a server that stops waits for its own run of views, and for housekeeping.
const LAST_TIME: Duration = Duration::from_secs(10);

/// A server that listens, and what goes on beside it.
pub(crate) struct Serving {
    pub server: Server,
    pub backend: Arc<Backend>,
    /// The figures of the process, for what waits to be told outside.
    pub metrics: Arc<Metrics>,
    pub hangups: Hangups,
    /// Looks at the project's files, if what is saved is taken over.
    pub watcher: Option<Watcher>,
    /// How long steps that run by themselves have to end once the server is told to stop.
    pub drain: Duration,
    /// Whether people are told what a server tells, beside the log.
    pub is_told: bool,
}

/// Serves until `cancel`.
pub(crate) async fn serve(serving: Serving, cancel: CancellationToken) -> Result<(), CliError> {
    let Serving { server, backend, metrics, hangups, watcher, drain, is_told } = serving;
    // The tasks beside the server end with it, whatever ended it.
    let stopped = cancel.child_token();
    // What is told of ends at the last is sent too, so that telling goes on until the others have ended.
    let told = CancellationToken::new();
    let _told = told.clone().drop_guard();
    let mut telling = tokio::spawn(keep_telling(backend.clone(), metrics.clone(), told.clone()));
    let mut kept_fresh = tokio::spawn(keep_fresh(backend.clone(), stopped.clone()));
    let marked = tokio::spawn(keep_marked(backend.clone(), stopped.clone()));
    let mut scheduled = backend.keep_scheduled(stopped.clone(), drain);
    let mut generated = tokio::spawn(keep_generating(backend.clone(), stopped.clone()));
    let mut piped = backend.keep_pipelines(stopped.clone(), drain);
    let measured = tokio::spawn(backend.clone().measure_pipelines(metrics.clone(), stopped.clone()));
    let mut tidied = tokio::spawn(keep_house(backend.clone(), stopped.clone()));
    let watched = watcher.map(|watcher| watcher.watch(backend.clone(), stopped.clone(), is_told));
    let watched = tokio::spawn(OptionFuture::from(watched));
    let reloads = tokio::spawn(hangups.reload(backend.clone(), cancel.clone(), is_told));
    let served = server.run(cancel).await;
    tracing::info!("no longer serving");
    stopped.cancel();
    reloads.abort();
    watched.abort();
    marked.abort();
    measured.abort();
    // A run that brings views up to date gets time to record its end, and meanwhile steps that ran get time to end; what those
    // were about is recorded, and the next process starts them once more.
    let ended = tokio::join!(
        timeout(LAST_TIME, &mut kept_fresh),
        timeout(LAST_TIME + drain, &mut scheduled),
        timeout(LAST_TIME + drain, &mut piped),
        timeout(LAST_TIME, &mut tidied),
        timeout(LAST_TIME, &mut generated)
    );
    for (is_late, task) in [
        (ended.0.is_err(), kept_fresh),
        (ended.1.is_err(), scheduled),
        (ended.2.is_err(), piped),
        (ended.3.is_err(), tidied),
        (ended.4.is_err(), generated),
    ] {
        if is_late {
            task.abort();
        }
    }
    told.cancel();
    if timeout(LAST_TIME, &mut telling).await.is_err() {
        telling.abort();
    }
    backend.remember(None).await;
    let closed = backend.close().await;
    served.map_err(CliError::from).and(closed)
}
