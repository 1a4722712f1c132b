//! Events that are sent to the server go into the event log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use millstream_connector::{OtlpSignal, SignatureScheme};
use millstream_engine::{
    Door, EventBody, EventFault, EventFormat, Events, Generators, IntakeError, IntakeFailure, TakenEvents,
};
use millstream_project::cover;
use millstream_server::{
    ApiError, ErrorKind, EventsSent, IngestAnswer, IngestBackend, IngestEvents, IngestRequest, IngestedRange,
    RowFault, SignatureShape, SourceSignature, WebhookSecret,
};
use tokio_util::sync::CancellationToken;

use super::Backend;

#[async_trait]
impl IngestBackend for Backend {
    fn takes(&self, source: &str, sent: EventsSent) -> Result<u64, ApiError> {
        let live = self.live();
        live.engine.takes(source, door(sent)).map(|intake| intake.event_bytes_max).map_err(refused)
    }

    fn signature(&self, source: &str) -> Option<SourceSignature> {
        let live = self.live();
        let signed = live.engine.intake_of(source)?.signature.as_ref()?;
        Some(SourceSignature {
            header: signed.header.clone(),
            shape: match signed.scheme {
                SignatureScheme::Hex => SignatureShape::Hex,
                SignatureScheme::Prefixed => SignatureShape::Prefixed,
                SignatureScheme::Timed => SignatureShape::Timed,
            },
            secret: WebhookSecret::new(signed.secret.reveal()),
            tolerance_seconds: signed.tolerance.as_std().as_secs(),
        })
    }

    async fn ingest(&self, source: &str, request: IngestRequest) -> Result<IngestAnswer, ApiError> {
        let IngestRequest { events, idempotency_key, events_max } = request;
        let live = self.live();
        let sent = match &events {
            IngestEvents::Written(sent, _) => *sent,
            _ => EventsSent::AsEvents,
        };
        let intake = live.engine.intake(source, door(sent)).await.map_err(refused)?;
        let body = |format, bytes| EventBody { format, bytes, events_max };
        let taken = match events {
            IngestEvents::Json(bytes) => {
                intake.take_body(body(EventFormat::Json, bytes), idempotency_key).await
            }
            IngestEvents::Ndjson(bytes) => {
                intake.take_body(body(EventFormat::Ndjson, bytes), idempotency_key).await
            }
            IngestEvents::Arrow(bytes) => {
                intake.take_body(body(EventFormat::Arrow, bytes), idempotency_key).await
            }
            IngestEvents::Written(_, objects) => {
                intake.take(Events::written(objects), idempotency_key.as_deref()).await
            }
        };
        taken.map(answer).map_err(refused)
    }
}

/// Makes the events of sources that make them, until `cancel`.
pub(crate) async fn keep_generating(backend: Arc<Backend>, cancel: CancellationToken) {
    let mut generators = Generators::default();
    loop {
        let engine = backend.live().engine.clone();
        let wait: Duration = generators.turn(&engine).await;
        drop(engine);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn door(sent: EventsSent) -> Door {
    match sent {
        EventsSent::AsEvents => Door::Events,
        EventsSent::AsSpans => Door::Otlp(OtlpSignal::Traces),
        EventsSent::AsLogRecords => Door::Otlp(OtlpSignal::Logs),
    }
}

fn answer(taken: TakenEvents) -> IngestAnswer {
    let range = |taken: millstream_engine::TakenRange| IngestedRange {
        partition: taken.partition,
        first: taken.offsets.as_ref().map(|offsets| offsets.start),
        last: taken.offsets.as_ref().map(|offsets| offsets.end.saturating_sub(1)),
    };
    IngestAnswer {
        accepted: taken.accepted,
        repeated: taken.repeated,
        offsets: taken.offsets.into_iter().map(range).collect(),
    }
}

/// What a sender is told. Causes go to the log.
fn refused(error: IntakeError) -> ApiError {
    let kind = match (&error, error.failure()) {
        (IntakeError::Engine(_), _) => ErrorKind::Internal,
        (IntakeError::Partly { .. }, _) => ErrorKind::PartlyTaken,
        (IntakeError::UnknownSource { .. }, _) => ErrorKind::UnknownSource,
        (IntakeError::NotTaking { .. }, _) => ErrorKind::NotTaking,
        (IntakeError::KeyReused { .. }, _) => ErrorKind::KeyReused,
        (IntakeError::TooLarge { .. } | IntakeError::TooMany { .. }, _) => ErrorKind::EventTooLarge,
        (IntakeError::Log { .. }, IntakeFailure::Refused) => ErrorKind::EventTooLarge,
        (_, IntakeFailure::Full) => ErrorKind::Full,
        (_, IntakeFailure::Away) => ErrorKind::Unavailable,
        (_, IntakeFailure::Refused) => ErrorKind::BadEvents,
    };
    let row = |fault: &EventFault| RowFault {
        index: fault.index,
        offset: fault.offset,
        reason: fault.reason.clone(),
    };
    let rows = error.faults().iter().map(row).collect();
    let mut told = ApiError::new(kind, message(&error)).with_code(error.code()).with_rows(rows);
    if let Some(hint) = error.hint() {
        told = told.with_hint(hint);
    }
    told.with_cause(error)
}

/// The message with what the log says below it, without the places of files of this machine.
fn message(error: &IntakeError) -> String {
    let below = match error {
        IntakeError::Log { source, .. } | IntakeError::Partly { source, .. } => match source.fault() {
            Some(millstream_log::Fault::Full) => Some("the disk under the event log is full".to_owned()),
            Some(_) => Some("the disk under the event log failed".to_owned()),
            None => Some(source.to_string()),
        },
        _ => None,
    };
    let text = below.map_or_else(|| error.to_string(), |below| format!("{error}: {below}"));
    cover(&text).text.into_owned()
}
