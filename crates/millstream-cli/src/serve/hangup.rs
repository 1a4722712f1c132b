//! SIGHUP, by which operators ask a server to read its files again.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Backend;

#[cfg(unix)]
use super::told::tell_loaded;

#[cfg(unix)]
use std::io::{IsTerminal, stderr, stdin, stdout};

#[cfg(unix)]
use millstream_server::ProjectBackend;

/// The signals from the moment of [`Hangups::listen`] on.
#[cfg(unix)]
pub(crate) struct Hangups {
    signals: Option<tokio::signal::unix::Signal>,
    had_terminal: [bool; 3],
}

#[cfg(unix)]
impl Hangups {
    /// Takes the signal, which ends a process that does not.
    pub(crate) fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        let signals = signal(SignalKind::hangup());
        let signals = signals.inspect_err(|error| {
            tracing::warn!(%error, "SIGHUP does not load the project again");
        });
        Self { signals: signals.ok(), had_terminal: terminals() }
    }

    /// Loads the project again whenever the signal comes, until `cancel`. The signal also comes when a terminal is closed: a
    /// server that was started from one stops then, as it would without this.
    pub(crate) async fn reload(self, backend: Arc<Backend>, cancel: CancellationToken, is_told: bool) {
        let Some(mut signals) = self.signals else { return };
        while signals.recv().await.is_some() {
            let has_lost = |(had, has): (&bool, bool)| *had && !has;
            if self.had_terminal.iter().zip(terminals()).any(has_lost) {
                return cancel.cancel();
            }
            tell_loaded(&backend.reload().await, is_told);
        }
    }
}

/// Which of the standard streams are a terminal. One that was closed is none any more.
#[cfg(unix)]
fn terminals() -> [bool; 3] {
    [stdin().is_terminal(), stdout().is_terminal(), stderr().is_terminal()]
}

/// There is no such signal; `POST /v1/reload` does the same.
#[cfg(not(unix))]
pub(crate) struct Hangups;

#[cfg(not(unix))]
impl Hangups {
    pub(crate) fn listen() -> Self {
        Self
    }

    pub(crate) async fn reload(self, _: Arc<Backend>, _: CancellationToken, _: bool) {}
}
