//! What systemd is told of a service of `Type=notify`: that it is ready, that it is alive, and that it stops.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::settings::variable;

/// Where systemd hears, and how often it wants to hear.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
/// The process that the watchdog is meant for; another one is a child's.
const WATCHDOG_PID_VARIABLE: &str = "WATCHDOG_PID";

/// Tells the service manager, where one listens.
pub(crate) struct Notify {
    socket: Option<String>,
    /// The time between two signs of life.
    sign_every: Option<Duration>,
}

impl Notify {
    /// By the variables that the service manager has set.
    pub(crate) fn of_environment() -> Self {
        let is_ours = variable(WATCHDOG_PID_VARIABLE).is_none_or(|pid| pid == std::process::id().to_string());
        let micros = variable(WATCHDOG_VARIABLE).and_then(|micros| micros.parse().ok());
        Self {
            socket: variable(SOCKET_VARIABLE).filter(|socket| !socket.is_empty()),
            // Half of what is allowed, as systemd asks for.
            sign_every: micros
                .filter(|micros| is_ours && *micros > 0)
                .map(|micros| Duration::from_micros(micros) / 2),
        }
    }

    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Gives signs of life until `cancel`, from the threads that answer requests: when these hang, none comes.
    pub(crate) async fn live(self, cancel: CancellationToken) {
        let Some(every) = self.sign_every.filter(|_| self.socket.is_some()) else {
            cancel.cancelled().await;
            return self.tell("STOPPING=1");
        };
        loop {
            tokio::select! {
                () = cancel.cancelled() => return self.tell("STOPPING=1"),
                () = tokio::time::sleep(every) => self.tell("WATCHDOG=1"),
            }
        }
    }

    fn tell(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = send(socket, state) {
            tracing::warn!(%error, "the service manager was not told that {state}");
        }
    }
}

#[cfg(target_os = "linux")]
fn send(socket: &str, state: &str) -> std::io::Result<()> {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    };

    let address = match socket.strip_prefix('@') {
        // A name that is no file.
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

/// Only Linux has systemd.
#[cfg(not(target_os = "linux"))]
fn send(_: &str, _: &str) -> std::io::Result<()> {
    Ok(())
}
