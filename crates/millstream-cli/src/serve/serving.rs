//! A server from its address to its end, with the tasks beside it: steps by their triggers, views that runs leave to it,
//! housekeeping, and SIGHUP.

use std::{sync::Arc, time::Duration};

use millstream_server::Server;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Backend, Hangups, keep_fresh, keep_house};
use crate::CliError;

/// How long a server that stops waits for its own run of views, for steps that it started, and for housekeeping.
const LAST_TIME: Duration = Duration::from_secs(10);

/// Serves until `cancel`. `is_told` says that people are told what a server tells, beside the log.
pub(crate) async fn serve(
    server: Server,
    backend: Arc<Backend>,
    hangups: Hangups,
    is_told: bool,
    cancel: CancellationToken,
) -> Result<(), CliError> {
    // The tasks beside the server end with it, whatever ended it.
    let stopped = cancel.child_token();
    let mut kept_fresh = tokio::spawn(keep_fresh(backend.clone(), stopped.clone()));
    let mut scheduled = backend.keep_scheduled(stopped.clone());
    let mut tidied = tokio::spawn(keep_house(backend.clone(), stopped.clone()));
    let reloads = tokio::spawn(hangups.reload(backend.clone(), cancel.clone(), is_told));
    let served = server.run(cancel).await;
    tracing::info!("no longer serving");
    stopped.cancel();
    reloads.abort();
    // A run that brings views up to date gets time to record its end, and meanwhile steps that ran get time to end; what those
    // were about is recorded, and the next process starts them once more.
    let ended = tokio::join!(
        timeout(LAST_TIME, &mut kept_fresh),
        timeout(LAST_TIME, &mut scheduled),
        timeout(LAST_TIME, &mut tidied)
    );
    for (is_late, task) in
        [(ended.0.is_err(), kept_fresh), (ended.1.is_err(), scheduled), (ended.2.is_err(), tidied)]
    {
        if is_late {
            task.abort();
        }
    }
    let closed = backend.close().await;
    served.map_err(CliError::from).and(closed)
}
