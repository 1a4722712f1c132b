//! The shop's sources: what one does, its name says.

use async_trait::async_trait;
use millstream_server::{
    ApiError, ErrorKind, EventsSent, IngestAnswer, IngestBackend, IngestEvents, IngestRequest, IngestedRange,
    RowFault, SignatureShape, SourceSignature, WebhookSecret,
};

use crate::backend::Shop;

fn signed(header: &str, shape: SignatureShape) -> Option<SourceSignature> {
    Some(SourceSignature {
        header: header.to_owned(),
        shape,
        secret: WebhookSecret::new("It's a Secret to Everybody"),
        tolerance_seconds: 60,
    })
}

#[async_trait]
impl IngestBackend for Shop {
    fn takes(&self, source: &str, sent: EventsSent) -> Result<u64, ApiError> {
        match (source, sent) {
            ("spans", EventsSent::AsSpans) | ("logs", EventsSent::AsLogRecords) => Ok(1_000),
            ("customers" | "spans" | "logs", _) => Err(ApiError::new(
                ErrorKind::NotTaking,
                format!("the source `{source}` takes no such events"),
            )),
            ("nothing", _) => Err(ApiError::new(ErrorKind::UnknownSource, "no source is named `nothing`")),
            _ => Ok(1_000),
        }
    }

    fn signature(&self, source: &str) -> Option<SourceSignature> {
        match source {
            "github" => signed("X-Hub-Signature-256", SignatureShape::Prefixed),
            "plain" => signed("x-signature", SignatureShape::Hex),
            "stripe" => signed("Stripe-Signature", SignatureShape::Timed),
            _ => None,
        }
    }

    async fn ingest(&self, source: &str, request: IngestRequest) -> Result<IngestAnswer, ApiError> {
        match source {
            "full" => {
                return Err(ApiError::new(ErrorKind::Full, "the log is over its bound").with_code("MS-1416"));
            }
            "away" => return Err(ApiError::new(ErrorKind::Unavailable, "the event log is closed")),
            "partly" => return Err(ApiError::new(ErrorKind::PartlyTaken, "1 of 2 events were taken")),
            "reused" => return Err(ApiError::new(ErrorKind::KeyReused, "the key was used")),
            "large" => return Err(ApiError::new(ErrorKind::EventTooLarge, "1 event is too large")),
            "bad" => {
                let row = RowFault { index: 3, offset: Some(41), reason: "it is no JSON object".to_owned() };
                return Err(ApiError::new(ErrorKind::BadEvents, "1 row is no event").with_rows(vec![row]));
            }
            _ => {}
        }
        let accepted = match &request.events {
            IngestEvents::Written(_, events) => events.len() as u64,
            IngestEvents::Ndjson(body) => body.iter().filter(|byte| **byte == b'\n').count() as u64,
            IngestEvents::Json(_) | IngestEvents::Arrow(_) => 1,
        };
        let repeated = request.idempotency_key.as_deref() == Some("again");
        self.ingested.lock().unwrap().push(request);
        let offsets = vec![IngestedRange { partition: 0, first: Some(7), last: Some(6 + accepted) }];
        Ok(IngestAnswer { accepted, repeated, offsets })
    }
}
