//! Sources of events: their options, what is read of the log, and the suite of `millstream-connector`.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use arrow::{
    array::{AsArray, Int64Array, RecordBatch},
    datatypes::Int64Type,
};
use async_trait::async_trait;
use millstream_connector::{
    BuildContext, Connector, ConnectorConfig, ConnectorError, ConnectorFactory, Intake, IntakeKind,
    KnownPart, LogAccess, OtlpSignal, PartChange, SignatureScheme,
    conformance::{Fixture, check, placed_rows, read_batches},
};
use millstream_connectors::{GenerateFactory, HttpFactory, OtlpFactory};
use millstream_log::{Append, EmbeddedLog, EmbeddedOptions, EventLog, LogError, Message, Place, TopicName};
use millstream_types::{SourceName, TimestampMicros};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A log in a folder of its own, with a clock that goes on by a second for each append.
#[derive(Debug)]
struct Held {
    log: Arc<EmbeddedLog>,
    _folder: TempDir,
}

#[async_trait]
impl LogAccess for Held {
    async fn log(&self) -> Result<Arc<dyn EventLog>, LogError> {
        Ok(self.log.clone())
    }

    fn is_absent(&self) -> bool {
        false
    }
}

/// A log that somebody else has open.
#[derive(Debug)]
struct Elsewhere;

#[async_trait]
impl LogAccess for Elsewhere {
    async fn log(&self) -> Result<Arc<dyn EventLog>, LogError> {
        Err(LogError::Locked { location: "elsewhere".into(), pid: Some(7) })
    }

    fn is_absent(&self) -> bool {
        false
    }
}

async fn held() -> Arc<Held> {
    let folder = tempfile::tempdir().unwrap();
    let seconds = AtomicI64::new(0);
    let clock = move || TimestampMicros(1_000_000 * seconds.fetch_add(1, Ordering::SeqCst));
    let log = EmbeddedLog::open(EmbeddedOptions::new(folder.path(), Arc::new(clock))).await.unwrap();
    Arc::new(Held { log, _folder: folder })
}

fn source() -> SourceName {
    SourceName::new("clicks").unwrap()
}

fn topic() -> TopicName {
    TopicName::new("clicks").unwrap()
}

fn http(options: &Value) -> Box<dyn ConnectorConfig> {
    HttpFactory.validate(options, None).unwrap()
}

fn built(options: &Value, log: Arc<dyn LogAccess>) -> Result<Arc<dyn Connector>, ConnectorError> {
    let context = BuildContext { source: Some(source()), log: Some(log), ..BuildContext::new(".".into()) };
    http(options).build(&context)
}

fn message(text: &[u8]) -> Message {
    Message { value: Some(text.to_vec().into()), ..Message::default() }
}

async fn append(log: &EmbeddedLog, partition: u32, texts: &[&[u8]]) {
    let messages = texts.iter().map(|text| message(text)).collect();
    log.append(Append::messages(&Place::new(&topic(), partition), messages)).await.unwrap();
}

struct Clicks(Arc<Held>);

impl Clicks {
    async fn begin(&self, first: i64) {
        let log = &self.0.log;
        if log.topic(&topic()).await.is_ok() {
            log.delete(&topic()).await.unwrap();
        }
        let options = json!({"partitions": 2});
        let config = http(&options);
        config.intake().unwrap().open_topic(log.as_ref(), &source()).await.unwrap();
        for partition in [0, 1] {
            for at in [0, 4] {
                let first = first + 100 * i64::from(partition) + at;
                let texts: Vec<_> = (first..first + 4).map(|id| format!("{{\"id\": {id}}}")).collect();
                append(log, partition, &texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>()).await;
            }
            append(log, partition, &[b"{\"id\": "]).await;
        }
    }
}

#[async_trait]
impl Fixture for Clicks {
    fn connector(&self) -> Result<Arc<dyn Connector>, ConnectorError> {
        built(&json!({"partitions": 2}), self.0.clone())
    }

    fn nowhere(&self) -> Result<Arc<dyn Connector>, ConnectorError> {
        built(&json!({}), Arc::new(Elsewhere))
    }

    async fn fill(&mut self) {
        self.begin(0).await;
    }

    async fn replace(&mut self, _part: &str) {
        self.begin(1_000).await;
    }

    async fn grow(&mut self, part: &str) -> bool {
        let partition = part.rsplit_once('/').unwrap().1.parse().unwrap();
        append(&self.0.log, partition, &[b"{\"id\": 7000}", b"{\"id\": 7001}"]).await;
        true
    }

    async fn touch(&mut self, _part: &str) -> bool {
        false
    }

    fn is_log(&self) -> bool {
        true
    }

    async fn acknowledged(&mut self, part: &str) -> Option<i64> {
        let partition: u32 = part.rsplit_once('/').unwrap().1.parse().unwrap();
        let pins = self.0.log.pins(&topic()).await.unwrap();
        let pin = pins.iter().find(|pin| pin.position.place.partition == partition).unwrap();
        assert_eq!(pin.reader.as_str(), "bronze.clicks");
        Some(i64::try_from(pin.position.offset).unwrap() - 1)
    }

    fn request(&self) -> millstream_connector::ReadRequest {
        let columns = vec![millstream_types::Field {
            name: "id".into(),
            column_type: millstream_types::ColumnType::Int64,
        }];
        millstream_connector::ReadRequest { columns, ..Default::default() }
    }
}

/// The suite wants a column to be described that is read; events describe none, so that the contract's are what is known.
#[tokio::test]
async fn events_conform() {
    let mut clicks = Clicks(held().await);
    if let Err(problem) = check(&mut clicks).await {
        panic!("{problem}");
    }
}

#[tokio::test]
async fn rows_carry_the_instant_of_appending_and_a_number_for_good() {
    let held = held().await;
    let clicks = Clicks(held.clone());
    clicks.begin(0).await;
    let connector = clicks.connector().unwrap();
    let found = connector.discover(&[]).await.unwrap();
    let batches = read_batches(&*connector, &found.parts[1], &clicks.request()).await.unwrap();
    let arrivals = batches[0].arrivals.as_ref().unwrap();
    let sequences: Vec<i64> = arrivals.sequences.values().to_vec();
    assert_eq!(sequences, (0..8).map(|offset| Intake::sequence(1, offset)).collect::<Vec<_>>());
    assert_eq!(sequences[..3], [1, 65, 129]);
    let instants = arrivals.instants.values();
    assert!(instants[..4].iter().all(|instant| *instant == instants[0]), "one append, one instant");
    assert!(instants[4] > instants[0]);
}

#[tokio::test]
async fn rows_of_arrow_and_messages_are_rows_of_one_part() {
    let held = held().await;
    let clicks = Clicks(held.clone());
    clicks.begin(0).await;
    let ids = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![50, 51])) as _)]).unwrap();
    held.log.append(Append::rows(&Place::new(&topic(), 0), ids)).await.unwrap();
    append(&held.log, 0, &[b"{\"id\": 52}", b"\xff"]).await;
    let connector = clicks.connector().unwrap();
    let found = connector.discover(&[]).await.unwrap();
    let batches = read_batches(&*connector, &found.parts[0], &clicks.request()).await.unwrap();
    let rows = placed_rows(&batches).unwrap();
    let tail: Vec<_> = rows[8..].iter().map(|(at, text)| format!("{at} {text}")).collect();
    assert_eq!(
        tail,
        ["8 malformed: {\"id\": ", "9 id: 50", "10 id: 51", "11 id: 52", "12 malformed: \u{fffd}"]
    );
    assert!(batches[1].rows.column(0).as_primitive_opt::<Int64Type>().is_some(), "typed rows stay typed");
    let malformed = batches.iter().flat_map(|batch| &batch.malformed).next_back().unwrap();
    assert_eq!(malformed.bytes.as_deref(), Some(&b"\xff"[..]));
}

#[tokio::test]
async fn a_position_that_retention_has_passed_is_lost() {
    let held = held().await;
    let clicks = Clicks(held.clone());
    clicks.begin(0).await;
    let connector = clicks.connector().unwrap();
    let part = connector.discover(&[]).await.unwrap().parts.swap_remove(0);
    let known = KnownPart { id: part.id.clone(), version: part.version, position: 2 };
    held.log.trim(&Place::new(&topic(), 0).at(3)).await.unwrap();
    let found = connector.discover(std::slice::from_ref(&known)).await.unwrap();
    assert!(found.parts.iter().any(|found| found.id == part.id && found.change == PartChange::Grown));
    held.log.trim(&Place::new(&topic(), 0).at(5)).await.unwrap();
    let lost = connector.discover(&[known]).await.unwrap_err();
    assert!(matches!(&lost, ConnectorError::PositionLost { part: of, .. } if *of == part.id), "{lost}");
    assert!(lost.to_string().contains("offset 3 comes next, and the log has 5 to 9"), "{lost}");
}

#[tokio::test]
async fn a_log_that_a_server_has_open_says_that_the_server_lands() {
    let connector = built(&json!({}), Arc::new(Elsewhere)).unwrap();
    let error = connector.discover(&[]).await.unwrap_err();
    assert!(error.hint().unwrap().contains("lands the source by itself"), "{error:?}");
}

#[test]
fn options_say_how_events_are_taken_in() {
    let options = json!({
        "partitions": 4, "key": "user", "retention": "2d", "retention_bytes": "1GB", "max_bytes": "2GB",
        "max_event_bytes": "2MB", "commit_every": "3s", "commit_rows": 10,
        "signature": {"header": "X-Hub-Signature-256", "scheme": "prefixed", "secret": "a long secret"},
    });
    let config = http(&options);
    let intake = config.intake().unwrap();
    assert_eq!((intake.partitions.get(), intake.key.as_deref()), (4, Some("user")));
    assert_eq!((intake.event_bytes_max, intake.bytes_max), (2_000_000, Some(2_000_000_000)));
    assert_eq!((intake.commit_every.ms(), intake.commit_rows), (3_000, 10));
    let signature = intake.signature.as_ref().unwrap();
    assert_eq!((signature.scheme, signature.tolerance.ms()), (SignatureScheme::Prefixed, 300_000));
    let generate = GenerateFactory.validate(&json!({"rate": "120/m", "seed": 5}), None).unwrap();
    match &generate.intake().unwrap().what {
        IntakeKind::Generate(made) => assert_eq!((made.per_second, made.seed), (2.0, 5)),
        other => panic!("{other:?}"),
    }
    let otlp = OtlpFactory.validate(&json!({"signal": "logs"}), None).unwrap();
    assert_eq!(otlp.intake().unwrap().what, IntakeKind::Otlp(OtlpSignal::Logs));
}

#[test]
fn options_that_cannot_be_are_told_with_their_places() {
    let told = |factory: &dyn ConnectorFactory, options: Value| -> Vec<String> {
        let problems = factory.validate(&options, None).unwrap_err();
        problems.iter().map(|problem| format!("{}: {}", problem.path.join("."), problem.message)).collect()
    };
    assert_eq!(told(&HttpFactory, json!({"partitions": 65})), ["partitions: a topic has 1 to 64 partitions"]);
    assert_eq!(
        told(&HttpFactory, json!({"max_event_bytes": "1GB"})),
        ["max_event_bytes: one event has 64MB at most"]
    );
    let signature = json!({"signature": {"header": "a b", "scheme": "hex", "secret": ""}});
    assert_eq!(
        told(&HttpFactory, signature),
        [
            "signature.header: `a b` cannot be the name of a header",
            "signature.secret: the secret is empty, so that everybody knows it",
        ]
    );
    for rate in ["5", "0/s", "-1/s", "x/s", "5/d", "1e9/s"] {
        assert_eq!(told(&GenerateFactory, json!({"rate": rate})), [format!("rate: `{rate}` is no rate")]);
    }
}
