//! Who takes the events in: the event log of this process, or a server.

use std::{sync::Arc, time::Duration};

use millstream_engine::{Door, Engine, EventBody, EventFault, EventFormat, SourceIntake};
use millstream_telemetry::{Posted, Poster};
use millstream_types::Secret;
use serde::Deserialize;

use super::{Arguments, Format, Piece};
use crate::{
    CliError, error::message_chain, project, session::Session, settings::variable, wire::IngestDocument,
};

/// The variable with the token of a server.
const TOKEN_VARIABLE: &str = "MILLSTREAM_TOKEN";

/// How often a piece is sent at most, and how long it is waited in between where the server does not say.
const ATTEMPTS_MAX: u32 = 20;
const WAIT: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Where events go.
pub(super) enum Receiver {
    Log { engine: Engine, intake: Arc<SourceIntake>, format: EventFormat },
    Server { poster: Poster, media_type: &'static str, source: String },
}

/// The part of a server's answer that says how much it took.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Taken {
    pub accepted: u64,
    pub repeated: bool,
}

/// The part of a server's refusal that people are told.
#[derive(Debug, Deserialize)]
struct Refusal {
    error: RefusalDetail,
}

#[derive(Debug, Deserialize)]
struct RefusalDetail {
    code: String,
    message: String,
    hint: Option<String>,
    #[serde(default)]
    rows: Vec<RefusedRow>,
}

#[derive(Debug, Deserialize)]
struct RefusedRow {
    index: u64,
    offset: Option<u64>,
    reason: String,
}

impl From<RefusedRow> for EventFault {
    fn from(RefusedRow { index, offset, reason }: RefusedRow) -> Self {
        Self { index, offset, reason }
    }
}

impl Receiver {
    pub(super) async fn open(
        arguments: &Arguments,
        format: Format,
        session: &Session,
    ) -> Result<Self, CliError> {
        let source = arguments.source.clone();
        if let Some(server) = &arguments.server {
            let token = variable(TOKEN_VARIABLE).filter(|token| !token.is_empty()).map(Secret::new);
            let poster = Poster::new(server, &format!("/v1/ingest/{source}"), token).map_err(|error| {
                CliError::call(error.to_string(), Some("write it as `http://127.0.0.1:6566`".to_owned()))
            })?;
            let media_type = match format {
                Format::Ndjson => "application/x-ndjson",
                Format::Json => "application/json",
                Format::Arrow => "application/vnd.apache.arrow.stream",
            };
            return Ok(Self::Server { poster, media_type, source });
        }
        let engine = project::engine(project::open_sound(session)?, session).await?;
        let intake = engine.intake(&source, Door::Events).await.map_err(CliError::intake)?;
        let format = match format {
            Format::Ndjson => EventFormat::Ndjson,
            Format::Json => EventFormat::Json,
            Format::Arrow => EventFormat::Arrow,
        };
        Ok(Self::Log { engine, intake, format })
    }

    /// Takes a piece in, after those of `before`. `run` tells this run of the command from others, if they are to be told apart.
    pub(super) async fn take(
        &self,
        piece: Result<Piece, CliError>,
        run: &str,
        before: &IngestDocument,
    ) -> Result<Taken, CliError> {
        let Piece { at, bytes } = piece?;
        let key = format!("{run}:{}:{at}", blake3::hash(&bytes).to_hex());
        let refused = |error: CliError| error.after(before.accepted, at);
        match self {
            Self::Log { intake, format, .. } => {
                let body = EventBody { format: *format, bytes: bytes.into(), events_max: usize::MAX };
                let taken = intake.clone().take_body(body, Some(key)).await;
                let taken = taken.map_err(|error| refused(CliError::intake(error)))?;
                Ok(Taken { accepted: taken.accepted, repeated: taken.repeated })
            }
            Self::Server { poster, media_type, source } => {
                send(poster, media_type, source, &key, &bytes).await.map_err(refused)
            }
        }
    }

    pub(super) async fn close(self) {
        if let Self::Log { engine, .. } = self
            && let Err(error) = engine.close_log().await
        {
            // What was acknowledged is durable without it.
            tracing::warn!(code = error.code(), error = error.told(), "the event log did not end in order");
        }
    }
}

/// Sends a piece until the server takes it or refuses it. That is safe because of its key.
async fn send(
    poster: &Poster,
    media_type: &'static str,
    source: &str,
    key: &str,
    bytes: &[u8],
) -> Result<Taken, CliError> {
    let mut attempt = 1;
    loop {
        let headers = vec![("idempotency-key", key.to_owned())];
        let wait = match poster.post(media_type, headers, bytes.to_vec()).await {
            Ok(Posted { status: 202, text, .. }) => {
                let unread = |error: serde_json::Error| CliError::Format(error.into());
                return serde_json::from_str(&text).map_err(unread);
            }
            Ok(Posted { status: 429 | 502..=504, retry_after, .. }) if attempt < ATTEMPTS_MAX => retry_after,
            Ok(posted) => return Err(refusal(source, &posted)),
            Err(_) if attempt < ATTEMPTS_MAX && attempt > 1 => None,
            Err(error) => {
                let (message, causes) = message_chain(&error);
                return Err(CliError::Refused {
                    message: [message].into_iter().chain(causes).collect::<Vec<_>>().join(": "),
                    hint: Some("`millstream serve` says where it listens".to_owned()),
                    rows: Vec::new(),
                    before: None,
                });
            }
        };
        tokio::time::sleep(wait.unwrap_or(WAIT).min(WAIT_MAX)).await;
        attempt += 1;
    }
}

fn refusal(source: &str, posted: &Posted) -> CliError {
    match serde_json::from_str::<Refusal>(&posted.text) {
        Ok(Refusal { error }) => CliError::Refused {
            message: format!("the server refuses events for `{source}`: {} ({})", error.message, error.code),
            hint: error.hint,
            rows: error.rows.into_iter().map(EventFault::from).collect(),
            before: None,
        },
        Err(_) => CliError::Refused {
            message: format!("the server answers events for `{source}` with {}", posted.status),
            hint: None,
            rows: Vec::new(),
            before: None,
        },
    }
}
