//! From the options as written to what a source takes in, and to its connector.

use std::{fmt, num::NonZeroU32, sync::Arc};

use millstream_connector::{
    BuildContext, Connector, ConnectorConfig, ConnectorError, ConnectorFactory, EventShape, GeneratedEvents,
    Intake, IntakeKind, NamedConnection, OptionProblem, OptionProblems, OtlpSignal, SignatureScheme,
    SignedCalls, options_schema, read_options,
};
use millstream_types::{ByteSize, Span};
use serde_json::Value;

use super::{
    connector::EventsConnector,
    options::{
        GenerateOptions, HttpOptions, OtlpOptions, SchemeOption, ShapeOption, SignalOption, SignatureOptions,
    },
};

/// The most bytes of one event that can be asked for: it has to fit into one batch of the log.
const EVENT_BYTES_LIMIT: u64 = 64_000_000;

/// The most events in a second that can be asked for.
const RATE_MAX: f64 = 10_000_000.0;

const TOLERANCE: Span = Span::from_ms(300_000);

/// `connector: {type: http}`: events that are sent.
#[derive(Clone, Copy, Debug)]
pub struct HttpFactory;

/// `connector: {type: generate}`: events that the source makes.
#[derive(Clone, Copy, Debug)]
pub struct GenerateFactory;

/// `connector: {type: otlp}`: spans or log records that exporters of OpenTelemetry send.
#[derive(Clone, Copy, Debug)]
pub struct OtlpFactory;

/// Checked options.
#[derive(Clone, Debug)]
struct EventsConfig {
    intake: Intake,
}

impl ConnectorConfig for EventsConfig {
    fn build(&self, context: &BuildContext) -> Result<Arc<dyn Connector>, ConnectorError> {
        let unfit = |message: &str| ConnectorError::Options { message: message.to_owned(), hint: None };
        let source = context.source.as_ref().ok_or_else(|| unfit("events are read by a source only"))?;
        let log = context.log.clone().ok_or_else(|| unfit("there is no event log"))?;
        EventsConnector::new(source, &self.intake, log)
            .map(|connector| Arc::new(connector) as Arc<dyn Connector>)
    }

    fn intake(&self) -> Option<&Intake> {
        Some(&self.intake)
    }
}

/// What the three kinds may say alike.
#[derive(Default)]
struct TopicTexts {
    partitions: Option<u32>,
    retention: Option<Span>,
    retention_bytes: Option<ByteSize>,
    max_bytes: Option<ByteSize>,
    max_event_bytes: Option<ByteSize>,
    commit_every: Option<Span>,
    commit_rows: Option<u64>,
}

impl TopicTexts {
    fn intake(self, what: IntakeKind, problems: &mut OptionProblems) -> Option<Intake> {
        let mut intake = Intake::new(what);
        if let Some(partitions) = self.partitions {
            match NonZeroU32::new(partitions).filter(|partitions| partitions.get() <= Intake::PARTITIONS_MAX)
            {
                Some(partitions) => intake.partitions = partitions,
                None => {
                    let message = format!("a topic has 1 to {} partitions", Intake::PARTITIONS_MAX);
                    problems.add(&["partitions"], message, None);
                    return None;
                }
            }
        }
        let event_bytes = self.max_event_bytes.map_or(Intake::EVENT_BYTES_MAX, ByteSize::bytes);
        if event_bytes > EVENT_BYTES_LIMIT {
            problems.add(&["max_event_bytes"], "one event has 64MB at most", None);
            return None;
        }
        if self.commit_rows == Some(0) {
            problems.add(&["commit_rows"], "a commit has one row or more", None);
            return None;
        }
        intake.event_bytes_max = event_bytes;
        intake.retention = self.retention.unwrap_or(Intake::RETENTION);
        intake.retention_bytes = self.retention_bytes.map(ByteSize::bytes);
        intake.bytes_max = self.max_bytes.map(ByteSize::bytes);
        intake.commit_every = self.commit_every.unwrap_or(Intake::COMMIT_EVERY);
        intake.commit_rows = self.commit_rows.unwrap_or(Intake::COMMIT_ROWS);
        Some(intake)
    }
}

impl ConnectorFactory for HttpFactory {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn schema(&self) -> Value {
        options_schema::<HttpOptions>()
    }

    fn validate(
        &self,
        options: &Value,
        connection: Option<NamedConnection<'_>>,
    ) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>> {
        validate::<HttpOptions>(options, connection, |options, problems| {
            let texts = TopicTexts {
                partitions: options.partitions,
                retention: options.retention,
                retention_bytes: options.retention_bytes,
                max_bytes: options.max_bytes,
                max_event_bytes: options.max_event_bytes,
                commit_every: options.commit_every,
                commit_rows: options.commit_rows,
            };
            let signature = options.signature.map(|signature| signed(signature, problems));
            let mut intake = texts.intake(IntakeKind::Http, problems)?;
            intake.key = options.key;
            intake.signature = signature;
            Some(intake)
        })
    }
}

impl ConnectorFactory for GenerateFactory {
    fn kind(&self) -> &'static str {
        "generate"
    }

    fn schema(&self) -> Value {
        options_schema::<GenerateOptions>()
    }

    fn validate(
        &self,
        options: &Value,
        connection: Option<NamedConnection<'_>>,
    ) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>> {
        validate::<GenerateOptions>(options, connection, |options, problems| {
            let per_second = rate(&options.rate);
            if per_second.is_none() {
                let hint = "write a number of events and a unit, such as `5000/s` or `10/m`".to_owned();
                problems.add(&["rate"], format!("`{}` is no rate", options.rate), Some(hint));
            }
            let ShapeOption::Shop = options.shape.unwrap_or(ShapeOption::Shop);
            let texts = TopicTexts {
                partitions: options.partitions,
                retention: options.retention,
                retention_bytes: options.retention_bytes,
                max_bytes: options.max_bytes,
                max_event_bytes: None,
                commit_every: options.commit_every,
                commit_rows: options.commit_rows,
            };
            let seed = options.seed.unwrap_or(1);
            let made =
                GeneratedEvents { shape: EventShape::Shop, per_second: per_second.unwrap_or(0.0), seed };
            let intake = texts.intake(IntakeKind::Generate(made), problems);
            intake.filter(|_| per_second.is_some())
        })
    }
}

impl ConnectorFactory for OtlpFactory {
    fn kind(&self) -> &'static str {
        "otlp"
    }

    fn schema(&self) -> Value {
        options_schema::<OtlpOptions>()
    }

    fn validate(
        &self,
        options: &Value,
        connection: Option<NamedConnection<'_>>,
    ) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>> {
        validate::<OtlpOptions>(options, connection, |options, problems| {
            let signal = match options.signal {
                SignalOption::Traces => OtlpSignal::Traces,
                SignalOption::Logs => OtlpSignal::Logs,
            };
            let texts = TopicTexts {
                partitions: options.partitions,
                retention: options.retention,
                retention_bytes: options.retention_bytes,
                max_bytes: options.max_bytes,
                max_event_bytes: options.max_event_bytes,
                commit_every: options.commit_every,
                commit_rows: options.commit_rows,
            };
            texts.intake(IntakeKind::Otlp(signal), problems)
        })
    }
}

/// Decodes the options, and gives what they say or all that is wrong with them.
fn validate<T: serde::de::DeserializeOwned + schemars::JsonSchema + fmt::Debug>(
    options: &Value,
    connection: Option<NamedConnection<'_>>,
    meant: impl FnOnce(T, &mut OptionProblems) -> Option<Intake>,
) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>> {
    let (options, mut problems) = read_options::<T>(options);
    if let Some(connection) = connection {
        let message =
            format!("the source takes events in, and asks nothing of connection `{}`", connection.name);
        problems.add(&["connection"], message, Some("leave `connection` out".to_owned()));
    }
    let intake = options.and_then(|options| meant(options, &mut problems));
    problems.result(intake).map(|intake| Box::new(EventsConfig { intake }) as Box<dyn ConnectorConfig>)
}

fn signed(options: SignatureOptions, problems: &mut OptionProblems) -> SignedCalls {
    let SignatureOptions { header, scheme, secret, tolerance } = options;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if header.is_empty() || !header.bytes().all(is_name) {
        let message = format!("`{header}` cannot be the name of a header");
        problems.add(&["signature", "header"], message, None);
    }
    if secret.reveal().is_empty() {
        problems.add(&["signature", "secret"], "the secret is empty, so that everybody knows it", None);
    }
    let scheme = match scheme {
        SchemeOption::Hex => SignatureScheme::Hex,
        SchemeOption::Prefixed => SignatureScheme::Prefixed,
        SchemeOption::Timed => SignatureScheme::Timed,
    };
    SignedCalls { header, scheme, secret, tolerance: tolerance.unwrap_or(TOLERANCE) }
}

/// The number of events in a second; `None` where the text is no rate.
fn rate(text: &str) -> Option<f64> {
    let (count, unit) = text.split_once('/')?;
    let count: f64 = count.trim().replace('_', "").parse().ok()?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    let per_second = count / seconds;
    (per_second.is_finite() && per_second > 0.0 && per_second <= RATE_MAX).then_some(per_second)
}
