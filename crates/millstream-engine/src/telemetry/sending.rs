//! Sends the messages of the outbox, in their order, until each was taken. A receiver that is away costs one attempt now and
//! then: messages wait in the state store, and at most [`BATCH`] of them are in memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::BoxFuture;
use millstream_project::{OpenLineageReceiver, TelemetrySpec};
use millstream_state::{Message, State};
use millstream_telemetry::Delivery;
use tokio_util::sync::CancellationToken;

use super::{LOGS, OPENLINEAGE, TRACES, openlineage};
use crate::{Clock, Engine, EngineError, engine::World, error::told};

/// The messages that are claimed, and held in memory, at once.
const BATCH: usize = 64;

/// How long claimed messages are nobody else's, unless they are given back before: twice as long as a batch is sent.
const CLAIM: Duration = Duration::from_secs(60);
const BATCH_TIME: Duration = Duration::from_secs(30);

/// How often the outbox is looked into while it is empty.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The waits between attempts at a receiver that is away.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// What is known of the messages for one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryStatus {
    /// `openlineage`, `otlp_traces` or `otlp_logs`.
    pub receiver: &'static str,
    /// The messages that wait to be sent.
    pub waiting: u64,
}

/// Sends what the project's work tells to the receivers outside.
#[derive(Debug)]
pub struct Sending {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    lines: Vec<Line>,
}

/// A receiver and the way to it.
#[derive(Debug)]
struct Line {
    receiver: &'static str,
    delivery: Delivery,
}

impl Engine {
    /// What sends messages to the receivers that the project names; `None` where it names none.
    ///
    /// # Errors
    ///
    /// The client for HTTP cannot be set up.
    pub fn sending(&self) -> Result<Option<Sending>, EngineError> {
        let world = self.world();
        let lines = lines(&world.project.spec.telemetry)?;
        let (state, clock) = (world.state.clone(), world.options.clock.clone());
        Ok((!lines.is_empty()).then_some(Sending { state, clock, lines }))
    }

    /// How many messages wait for each receiver that the project names.
    pub fn telemetry<'a>(&'a self) -> BoxFuture<'a, Result<Vec<TelemetryStatus>, EngineError>> {
        Box::pin(async move { waiting(self.world()).await })
    }
}

async fn waiting(world: &World) -> Result<Vec<TelemetryStatus>, EngineError> {
    let mut all = Vec::new();
    for receiver in receivers(&world.project.spec.telemetry) {
        all.push(TelemetryStatus { receiver, waiting: world.state.messages_waiting(receiver).await? });
    }
    Ok(all)
}

fn receivers(telemetry: &TelemetrySpec) -> Vec<&'static str> {
    let lineage = telemetry.openlineage.iter().map(|_| OPENLINEAGE);
    lineage.chain(telemetry.otlp.iter().flat_map(|_| [TRACES, LOGS])).collect()
}

fn lines(telemetry: &TelemetrySpec) -> Result<Vec<Line>, EngineError> {
    let failed = |source| EngineError::Telemetry { source };
    let mut lines = Vec::new();
    if let Some(openlineage) = &telemetry.openlineage {
        let delivery = match &openlineage.to {
            OpenLineageReceiver::Url { url, token } => Delivery::http(url, token.clone()).map_err(failed)?,
            OpenLineageReceiver::File(path) => Delivery::file(path.clone()),
        };
        lines.push(Line { receiver: OPENLINEAGE, delivery });
    }
    if let Some(otlp) = &telemetry.otlp {
        for (receiver, path) in [(TRACES, "v1/traces"), (LOGS, "v1/logs")] {
            let url = format!("{}/{path}", otlp.endpoint);
            let delivery = Delivery::http(&url, otlp.token.clone()).map_err(failed)?;
            lines.push(Line { receiver, delivery });
        }
    }
    Ok(lines)
}

impl Sending {
    /// Sends until `cancel`.
    pub fn go_on<'a>(&'a self, cancel: &'a CancellationToken) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let lines = self.lines.iter().map(|line| self.keep_sending(line, cancel));
            futures::future::join_all(lines).await;
        })
    }

    /// Sends what waits now, as far as receivers take it within `time`. What is left is sent by the next process.
    pub fn drain<'a>(&'a self, time: Duration) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let cancel = CancellationToken::new();
            let sending = self.lines.iter().map(|line| {
                let cancel = &cancel;
                async move {
                    while !cancel.is_cancelled()
                        && matches!(self.send_batch(line, cancel).await, Ok(Sent::Some))
                    {}
                }
            });
            let mut all = futures::future::join_all(sending);
            tokio::select! {
                _ = &mut all => {}
                () = tokio::time::sleep(time) => {
                    // What is claimed is given back.
                    cancel.cancel();
                    all.await;
                    tracing::info!("messages for receivers outside wait for the next run or server");
                }
            }
        })
    }

    async fn keep_sending(&self, line: &Line, cancel: &CancellationToken) {
        let waits = || {
            ExponentialBuilder::default()
                .with_min_delay(WAIT_MIN)
                .with_max_delay(WAIT_MAX)
                .without_max_times()
                .with_jitter()
                .build()
        };
        let mut next = waits();
        let mut is_away = false;
        while !cancel.is_cancelled() {
            let pause = match self.send_batch(line, cancel).await {
                Ok(Sent::Some) => {
                    if std::mem::take(&mut is_away) {
                        tracing::info!(receiver = line.receiver, "the receiver takes messages again");
                    }
                    next = waits();
                    continue;
                }
                Ok(Sent::None) => LOOK_EVERY,
                Err(error) => {
                    // Told once, however long the receiver is away.
                    if !std::mem::replace(&mut is_away, true) {
                        let error = told(&error);
                        tracing::warn!(
                            receiver = line.receiver,
                            error,
                            "the receiver takes no messages; they wait"
                        );
                    }
                    next.next().unwrap_or(WAIT_MAX)
                }
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends the oldest messages, and forgets those that were taken, and those that will never be.
    async fn send_batch(&self, line: &Line, cancel: &CancellationToken) -> Result<Sent, EngineError> {
        let claimed = self.state.claim_messages(line.receiver, BATCH, self.clock.now(), CLAIM).await?;
        if claimed.is_empty() {
            return Ok(Sent::None);
        }
        let (mut taken, mut failure, began) = (Vec::with_capacity(claimed.len()), None, Instant::now());
        for message in &claimed {
            if began.elapsed() >= BATCH_TIME {
                break;
            }
            let delivered = tokio::select! {
                delivered = line.delivery.deliver(body(line.receiver, message)) => delivered,
                () = cancel.cancelled() => break,
            };
            match delivered {
                Ok(()) => taken.push(message.place),
                Err(error) if error.is_lasting() => {
                    let error = told(&error);
                    tracing::warn!(
                        receiver = line.receiver,
                        error,
                        "the receiver refused a message, which is dropped"
                    );
                    taken.push(message.place);
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.state.messages_taken(line.receiver, &taken).await?;
        match failure {
            Some(source) => Err(EngineError::Telemetry { source }),
            None => Ok(Sent::Some),
        }
    }
}

/// Whether messages were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Some,
    None,
}

fn body(receiver: &str, message: &Message) -> String {
    match receiver {
        OPENLINEAGE => openlineage::at(&message.message, message.at),
        _ => message.message.clone(),
    }
}
