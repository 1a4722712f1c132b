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
use millstream_telemetry::{Delivery, DeliveryError, Metrics};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{LOGS, OPENLINEAGE, TRACES, joined, openlineage};
use crate::{Clock, Engine, EngineError, engine::World, error::told};

/// The messages that are claimed, and held in memory, at once.
const BATCH: usize = 64;

/// How long claimed messages are nobody else's, unless they are given back before: twice as long as a batch is sent.
const CLAIM: Duration = Duration::from_secs(60);
const BATCH_TIME: Duration = Duration::from_secs(30);

/// The messages that are kept at most for one receiver while it is away; older ones go.
const KEPT_MAX: u64 = 100_000;

/// How often a receiver refuses a message before the next one is tried, by which it shows that the message is the fault.
const REFUSALS_MAX: u64 = 5;

/// How often the outbox is looked into while it is empty.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The first and the longest wait between attempts at a receiver that is away.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The longest wait that is granted to a receiver that asks for one.
const ASKED_MAX: Duration = Duration::from_secs(3_600);

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
    /// Where dropped messages are counted.
    metrics: Option<Arc<Metrics>>,
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
        Ok((!lines.is_empty()).then_some(Sending { state, clock, lines, metrics: None }))
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
    /// The same, counting the messages that are dropped.
    #[must_use]
    pub fn counted(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

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
            let sending = self.lines.iter().map(|line| self.empty(line, &cancel));
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

    async fn empty(&self, line: &Line, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            match self.send_batch(line, cancel).await {
                Ok(Sent::Some) => {}
                Ok(Sent::None) => return,
                Err(error) => {
                    self.tell_away(line, &error).await;
                    return self.drop_oldest(line).await;
                }
            }
        }
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
                        self.tell_away(line, &error).await;
                    }
                    self.drop_oldest(line).await;
                    let asked = asked_for(&error).unwrap_or_default().min(ASKED_MAX);
                    next.next().unwrap_or(WAIT_MAX).max(asked)
                }
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn tell_away(&self, line: &Line, error: &EngineError) {
        let (error, code) = (told(error), error.code());
        let waiting = self.state.messages_waiting(line.receiver).await.ok();
        tracing::warn!(
            receiver = line.receiver,
            code,
            error,
            waiting,
            "the receiver takes no messages; they wait"
        );
    }

    /// Drops what is too much to be kept for a receiver that is away.
    async fn drop_oldest(&self, line: &Line) {
        match self.state.drop_oldest_messages(line.receiver, KEPT_MAX).await {
            Ok(0) => {}
            Ok(dropped) => {
                tracing::warn!(
                    receiver = line.receiver,
                    dropped,
                    "too many messages wait for the receiver; the oldest are dropped"
                );
                self.count_dropped(line, dropped);
            }
            Err(error) => {
                tracing::warn!(
                    receiver = line.receiver,
                    error = told(&error),
                    "messages that are too many were not dropped"
                );
            }
        }
    }

    /// Tells of a message that the receiver will never take.
    fn tell_refused(&self, line: &Line, message: &Message, error: &DeliveryError) {
        let (error, message) = (told(error), name(&message.message));
        tracing::warn!(
            receiver = line.receiver,
            error,
            refused = message.as_str(),
            "the receiver refused a message, which is dropped"
        );
        self.count_dropped(line, 1);
    }

    /// Tells what a collector says that it did not take of a request that it took. Sending it again is forbidden, and would help
    /// nobody.
    fn tell_partial(&self, line: &Line, answer: &str) {
        let Some(joined::Partial { rejected, because }) = joined::partial(line.receiver, answer) else {
            return;
        };
        tracing::warn!(
            receiver = line.receiver,
            rejected,
            because,
            "the receiver took messages, and says that it left something out"
        );
        self.count_dropped(line, rejected);
    }

    fn count_dropped(&self, line: &Line, count: u64) {
        if let Some(metrics) = &self.metrics {
            metrics.messages_dropped(line.receiver, count);
        }
    }

    /// Sends the oldest messages, and forgets those that were taken, and those that will never be.
    async fn send_batch(&self, line: &Line, cancel: &CancellationToken) -> Result<Sent, EngineError> {
        let claim = self.state.claim_messages(line.receiver, BATCH, self.clock.now(), CLAIM).await?;
        if claim.messages.is_empty() {
            return Ok(Sent::None);
        }
        let batch = self.deliver(line, &claim.messages, cancel).await;
        self.state.end_claim(&claim, &batch.done, &batch.refused).await?;
        match batch.failure {
            Some(source) => Err(EngineError::Telemetry { source }),
            None => Ok(Sent::Some),
        }
    }

    /// Sends all messages as one request. `None` where each has to go by itself: the receiver takes no several at once, or it
    /// answered in a way that may be about one of them.
    async fn deliver_joined(
        &self,
        line: &Line,
        messages: &[Message],
        cancel: &CancellationToken,
    ) -> Option<Batch> {
        // A message that was refused is looked at alone, so that it is found out whose fault that is.
        if messages.len() < 2 || messages.iter().any(|message| message.refusals > 0) {
            return None;
        }
        let all = joined::joined(line.receiver, messages)?;
        let delivered = tokio::select! {
            delivered = line.delivery.deliver(all) => delivered,
            () = cancel.cancelled() => return Some(Batch::default()),
        };
        match delivered {
            Ok(answer) => {
                self.tell_partial(line, &answer);
                let done = messages.iter().map(|message| message.place).collect();
                Some(Batch { done, ..Batch::default() })
            }
            Err(error) if error.is_lasting() || error.may_be_of_message() => None,
            Err(error) => Some(Batch { failure: Some(error), ..Batch::default() }),
        }
    }

    async fn deliver(&self, line: &Line, messages: &[Message], cancel: &CancellationToken) -> Batch {
        if let Some(batch) = self.deliver_joined(line, messages, cancel).await {
            return batch;
        }
        let (mut batch, began) = (Batch::default(), Instant::now());
        // Messages that are refused again and again, and whether they are the fault or the receiver: the next message shows it.
        let mut suspects: Vec<(&Message, DeliveryError)> = Vec::new();
        for message in messages {
            if began.elapsed() >= BATCH_TIME {
                break;
            }
            let delivered = tokio::select! {
                delivered = line.delivery.deliver(body(line.receiver, message)) => delivered,
                () = cancel.cancelled() => break,
            };
            match delivered {
                Ok(answer) => {
                    self.tell_partial(line, &answer);
                    for (suspect, error) in suspects.drain(..) {
                        self.tell_refused(line, suspect, &error);
                        batch.done.push(suspect.place);
                    }
                    batch.done.push(message.place);
                }
                Err(error) if error.is_lasting() => {
                    self.tell_refused(line, message, &error);
                    batch.done.push(message.place);
                }
                Err(error) if error.may_be_of_message() && message.refusals + 1 >= REFUSALS_MAX => {
                    suspects.push((message, error));
                }
                Err(error) => {
                    batch.refused.extend(error.may_be_of_message().then_some(message.place));
                    batch.failure = Some(error);
                    break;
                }
            }
        }
        batch.refused.extend(suspects.iter().map(|(suspect, _)| suspect.place));
        batch.failure = batch.failure.or(suspects.pop().map(|(_, error)| error));
        batch
    }
}

/// How long a receiver asks to be left alone.
fn asked_for(error: &EngineError) -> Option<Duration> {
    if let EngineError::Telemetry { source } = error { source.retry_after() } else { None }
}

/// What became of the messages of a batch.
#[derive(Debug, Default)]
struct Batch {
    /// The places of messages that were taken, or will never be.
    done: Vec<i64>,
    /// Those of messages that wait, though the receiver answered.
    refused: Vec<i64>,
    /// Why the receiver takes no more now.
    failure: Option<DeliveryError>,
}

/// Whether messages were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Some,
    None,
}

/// What a message is about, for people: the first of each of the parts that tell it.
fn name(message: &str) -> String {
    let Ok(message) = serde_json::from_str::<Value>(message) else { return String::new() };
    let otlp = ["/resourceSpans/0/scopeSpans/0/spans/0", "/resourceLogs/0/scopeLogs/0/logRecords/0"];
    let of_otlp = otlp.iter().find_map(|path| message.pointer(path));
    let attribute = |number: usize| {
        of_otlp.and_then(|told| told.pointer(&format!("/attributes/{number}/value/stringValue")))
    };
    let parts = [
        message.get("eventType"),
        message.pointer("/job/name"),
        message.pointer("/run/runId"),
        of_otlp.and_then(|told| told.get("name")),
        attribute(0),
        attribute(1),
    ];
    parts.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

fn body(receiver: &str, message: &Message) -> String {
    match receiver {
        OPENLINEAGE => openlineage::at(&message.message, message.at),
        _ => message.message.clone(),
    }
}
