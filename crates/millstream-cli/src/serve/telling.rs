//! Sends what the work of a server tells to receivers outside, for as long as it serves.

use std::{sync::Arc, time::Duration};

use millstream_engine::Engine;
use millstream_project::TelemetrySpec;
use millstream_telemetry::{IntakeSeen, Metrics};
use tokio_util::sync::CancellationToken;

use super::Backend;

/// How often it is looked whether the project names other receivers now, and how many messages wait.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long a command, or a server that stops, sends what it told. What is left is sent by the next one.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Sends until `cancel`, to the receivers that the project at work names.
pub(crate) async fn keep_telling(backend: Arc<Backend>, metrics: Arc<Metrics>, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        // Of the engine nothing is kept: a project that is loaded again takes its place.
        let engine = backend.live().engine.clone();
        let (sending, receivers) = (engine.sending(), engine.project().spec.telemetry.clone());
        drop(engine);
        let until = cancel.child_token();
        let sending = match sending {
            Ok(sending) => sending.map(|sending| sending.counted(metrics.clone())),
            Err(error) => {
                tracing::warn!(error = error.told(), "nothing is told outside");
                None
            }
        };
        let sent = async {
            match &sending {
                Some(sending) => sending.go_on(&until).await,
                None => until.cancelled().await,
            }
        };
        let changed = async {
            watch(&backend, &receivers, &metrics, &until).await;
            until.cancel();
        };
        futures::join!(sent, changed);
    }
    drain(&backend.live().engine).await;
}

/// Returns when the project at work names others than these `receivers`.
async fn watch(backend: &Backend, receivers: &TelemetrySpec, metrics: &Metrics, until: &CancellationToken) {
    loop {
        tokio::select! {
            () = until.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let engine = backend.live().engine.clone();
        if engine.project().spec.telemetry != *receivers {
            return;
        }
        count_intakes(&engine, metrics).await;
        if let Ok(all) = engine.telemetry().await {
            all.iter().for_each(|status| metrics.messages_waiting(status.receiver, status.waiting));
        }
    }
}

/// The outcome of a command's work, once what the work told was sent, however it ended.
pub(crate) async fn and_tell<T>(engine: &Engine, work: impl Future<Output = T>) -> T {
    let done = work.await;
    drain(engine).await;
    done
}

/// Sends what waits, as far as its receivers take it within a few seconds.
async fn drain(engine: &Engine) {
    match engine.sending() {
        Ok(Some(sending)) => sending.drain(DRAIN_TIME).await,
        Ok(None) => {}
        Err(error) => tracing::warn!(error = error.told(), "nothing is told outside"),
    }
}

/// Takes the figures of the sources of events.
async fn count_intakes(engine: &Engine, metrics: &Metrics) {
    let now = engine.now();
    match engine.intakes().await {
        Ok(intakes) => {
            for intake in &intakes {
                let waits = intake.lag_since.map_or(0, |since| now.0.saturating_sub(since.0).max(0));
                metrics.intake(&IntakeSeen {
                    source: intake.source.as_str(),
                    events: intake.events,
                    lag_events: intake.lag_events,
                    lag_seconds: u64::try_from(waits / 1_000_000).unwrap_or(0),
                    bytes: intake.bytes,
                });
            }
        }
        Err(error) => tracing::debug!(%error, "the sources of events could not be looked at"),
    }
}
