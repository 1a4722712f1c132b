//! SIGHUP, by which operators ask a server to read its files again.

use std::{io::IsTerminal, sync::Arc};

use millstream_server::ProjectBackend;
use tokio_util::sync::CancellationToken;

use super::Backend;
use crate::{
    human,
    output::{self, GOOD, styled},
};

/// Loads the project again whenever the signal comes, until `cancel`. The signal also comes when a terminal is closed: a
/// server that was started from one stops then, as it would without this.
#[cfg(unix)]
pub(crate) async fn reload_on_hangup(backend: Arc<Backend>, cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};

    let was_terminal = std::io::stdin().is_terminal();
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return tracing::warn!(%error, "SIGHUP does not load the project again"),
    };
    while hangups.recv().await.is_some() {
        if was_terminal && !std::io::stdin().is_terminal() {
            return cancel.cancel();
        }
        // Why it was not is in the log.
        if let Ok(loaded) = backend.reload().await {
            let assets = human::count(loaded.assets as u64, "asset");
            output::tell(&format!("{} Loaded again: {assets}", styled(GOOD, '✓')));
        }
    }
}

/// There is no such signal; `POST /v1/reload` does the same.
#[cfg(not(unix))]
pub(crate) async fn reload_on_hangup(_: Arc<Backend>, _: CancellationToken) {}
