//! Sources that take events in: what is in the event log lands once, with the values that a reader of the log sees too.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arrow::{array::RecordBatch, util::pretty::pretty_format_batches};
use millstream_engine::{
    Clock, Engine, EngineOptions, Log, Queries, QueryFreshness, QueryThreads, RetryPolicy, RunReport,
    RunRequest, Stores, SystemRandom, check,
};
use millstream_log::{Append, EmbeddedLog, EmbeddedOptions, EventLog, Message, Place, TopicName};
use millstream_project::LoadOptions;
use millstream_types::{TableName, TimestampMicros};
use tokio_util::sync::CancellationToken;

use crate::harness::Folder;

const PROJECT: &str = "name: shop\n";

const CLICKS: &str = "
connector: {type: http, partitions: 2, commit_rows: 1000}
contract:
  columns:
    id: {type: int64, required: true}
    amount: {type: 'decimal(12,2)', range: [0, 1000]}
    at: {type: timestamp, required: true}
  time: at
";

/// A clock that the test moves: seconds since the beginning of 2026.
#[derive(Clone, Debug)]
pub(crate) struct Hand(Arc<AtomicI64>);

const BEGINNING: i64 = 1_767_225_600_000_000;

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(BEGINNING)))
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> TimestampMicros {
        TimestampMicros(self.0.load(Ordering::SeqCst))
    }
}

/// A project, its event log and its clock.
pub(crate) struct Stream {
    pub(crate) folder: Folder,
    log: Arc<EmbeddedLog>,
    pub(crate) clock: Hand,
}

impl Stream {
    async fn begin(source: &str) -> Self {
        Self::with(source, &[]).await
    }

    /// A project with the source `clicks` and further files.
    pub(crate) async fn with(source: &str, files: &[(&str, &str)]) -> Self {
        let own = [("millstream.yaml", PROJECT), ("sources/clicks.yaml", source)];
        let folder = Folder::with(&[&own, files].concat());
        let clock = Hand::new();
        let log = opened(folder.path(), &clock).await;
        Self { folder, log, clock }
    }

    pub(crate) async fn engine(&self) -> Engine {
        let options = LoadOptions { environment: None, variables: &|_| None };
        let checked = check(self.folder.path(), &options, &millstream_connectors::connectors());
        let told: Vec<_> =
            checked.diagnostics.iter().map(|it| format!("{} {}", it.code, it.message)).collect();
        let project = checked.project.map(Arc::new).unwrap_or_else(|| panic!("{told:?}"));
        let mut stores = Stores::of(&project.spec).await.unwrap();
        stores.log = Log::Opened(self.log.clone());
        let options = EngineOptions {
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SystemRandom),
            memory_bytes: 64 << 20,
            parallelism: NonZeroUsize::MIN.saturating_add(1),
            retry: RetryPolicy { retries_max: 0, first_wait: Duration::ZERO, wait_max: Duration::ZERO },
        };
        Engine::with_stores(project, stores, options).unwrap()
    }

    /// Appends events to a partition of the source's topic.
    pub(crate) async fn send(&self, engine: &Engine, partition: u32, events: &[&str]) {
        let source = engine.project().spec.sources[0].name.clone();
        let intake = engine.project().connectors[&source].intake().unwrap();
        intake.open_topic(self.log.as_ref(), &source).await.unwrap();
        let message =
            |event: &&str| Message { value: Some(event.as_bytes().to_vec().into()), ..Message::default() };
        let place = Place::new(&topic(), partition);
        self.log.append(Append::messages(&place, events.iter().map(message).collect())).await.unwrap();
        self.clock.pass(1);
    }

    pub(crate) async fn run(&self, engine: &Engine) -> RunReport {
        self.clock.pass(1);
        let request = RunRequest { command: "run".into(), ..RunRequest::default() };
        let events = engine.begin("run");
        engine.run(&request, Duration::ZERO, events, CancellationToken::new()).await.unwrap()
    }
}

fn topic() -> TopicName {
    TopicName::new("clicks").unwrap()
}

async fn opened(folder: &Path, clock: &Hand) -> Arc<EmbeddedLog> {
    let clock = clock.clone();
    let options = EmbeddedOptions::new(folder.join(".millstream/log"), Arc::new(move || clock.now()));
    EmbeddedLog::open(options).await.unwrap()
}

async fn rows(engine: &Engine, sql: &str, freshness: QueryFreshness) -> Vec<RecordBatch> {
    let threads = QueryThreads::start(NonZeroUsize::MIN).unwrap();
    let queries = Queries::new(engine, threads);
    let mut rows = queries.query_fresh(sql.to_owned(), freshness).await.unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = rows.next_rows().await {
        batches.push(batch.unwrap());
    }
    batches
}

async fn table(engine: &Engine, sql: &str, freshness: QueryFreshness) -> String {
    pretty_format_batches(&rows(engine, sql, freshness).await).unwrap().to_string()
}

/// The first column of each row as text, in order, parted by blanks.
pub(crate) async fn listed(engine: &Engine, sql: &str, freshness: QueryFreshness) -> String {
    let text = table(engine, sql, freshness).await;
    let cells = text.lines().skip(3).filter_map(|line| line.split('|').nth(1));
    cells.map(str::trim).collect::<Vec<_>>().join(" ")
}

const IDS: &str = "SELECT id FROM bronze.clicks ORDER BY id";
const WHOLE: &str = "SELECT * FROM bronze.clicks ORDER BY _sequence";

fn event(id: i64) -> String {
    format!("{{\"id\": {id}, \"amount\": \"{id}.50\", \"at\": \"2026-01-01T00:00:{:02}Z\"}}", id % 60)
}

#[tokio::test]
async fn events_land_once_and_what_breaks_the_contract_is_kept() {
    let stream = Stream::begin(CLICKS).await;
    let engine = stream.engine().await;
    let (first, second) = (event(1), event(2));
    let bad = [
        r#"{"id": 3, "amount": "5000", "at": "2026-01-01T00:00:00Z"}"#,
        r#"{"id": 4, "amount": "1", "at": "2027-01-01T00:00:00Z"}"#,
        r#"{"id": 5, "amount": "1", "at": "2026-01-01T00:00:00Z", "more": true}"#,
        r#"{"id": 6, "amount""#,
    ];
    stream.send(&engine, 0, &[&first, bad[0], bad[1]]).await;
    stream.send(&engine, 1, &[bad[2], bad[3], &second]).await;
    let before = table(&engine, WHOLE, QueryFreshness::Live).await;
    let report = stream.run(&engine).await;
    assert!(report.succeeded(), "{report:?}");
    let landed = table(&engine, WHOLE, QueryFreshness::Committed).await;
    assert_eq!(before, landed, "who follows the log and who reads the table see identical rows");
    assert_eq!(landed, table(&engine, WHOLE, QueryFreshness::Live).await);
    assert_eq!(listed(&engine, IDS, QueryFreshness::Committed).await, "1 2");
    let rejected = "SELECT _source || ' ' || _position || ' ' || _check || ' ' || coalesce(_text, '') \
                    FROM bronze.clicks__rejected ORDER BY 1";
    let text = table(&engine, rejected, QueryFreshness::Committed).await;
    for kept in [
        "clicks/0 1 range(amount)",
        "clicks/0 2 future(at)",
        "clicks/1 0 columns",
        "clicks/1 1 malformed {\"id\": 6, \"amount\"",
    ] {
        assert!(text.contains(kept), "{kept} in\n{text}");
    }
    // Landed again there is nothing; the log keeps what has not landed, and no more.
    stream.run(&engine).await;
    assert_eq!(listed(&engine, IDS, QueryFreshness::Committed).await, "1 2");
    let pins = stream.log.pins(&topic()).await.unwrap();
    let mut offsets: Vec<_> =
        pins.iter().map(|pin| (pin.position.place.partition, pin.position.offset)).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [(0, 3), (1, 3)]);
}

#[tokio::test]
async fn a_query_sees_what_has_not_landed_yet_and_each_row_once() {
    let stream = Stream::begin(CLICKS).await;
    let engine = stream.engine().await;
    for id in 0..3 {
        stream.send(&engine, u32::try_from(id % 2).unwrap(), &[&event(id)]).await;
    }
    assert_eq!(listed(&engine, IDS, QueryFreshness::Live).await, "0 1 2");
    stream.run(&engine).await;
    stream.send(&engine, 0, &[&event(3)]).await;
    assert_eq!(listed(&engine, IDS, QueryFreshness::Live).await, "0 1 2 3");
    assert_eq!(listed(&engine, IDS, QueryFreshness::Committed).await, "0 1 2");
    let count = "SELECT count(*) FROM bronze.clicks WHERE amount > 1 AND _source = 'clicks/0'";
    assert_eq!(listed(&engine, count, QueryFreshness::Live).await, "2");
}

#[tokio::test]
async fn queries_beside_landings_see_each_event_once() {
    let stream = Arc::new(Stream::begin(CLICKS).await);
    let engine = stream.engine().await;
    stream.send(&engine, 0, &[&event(0)]).await;
    let (landing, lander) = (stream.clone(), engine.clone());
    let landings = tokio::spawn(async move {
        for id in 1..25 {
            landing.send(&lander, u32::try_from(id % 2).unwrap(), &[&event(id)]).await;
            if id % 3 == 0 {
                assert!(landing.run(&lander).await.succeeded());
            }
        }
    });
    let mut seen = 0;
    while !landings.is_finished() {
        let ids = listed(&engine, IDS, QueryFreshness::Live).await;
        let ids: Vec<i64> = ids.split(' ').map(|id| id.parse().unwrap()).collect();
        assert_eq!(ids, (0..i64::try_from(ids.len()).unwrap()).collect::<Vec<_>>(), "a gap, or a row twice");
        assert!(ids.len() >= seen, "{seen} were there before {ids:?}");
        seen = ids.len();
    }
    landings.await.unwrap();
    assert_eq!(
        rows(&engine, IDS, QueryFreshness::Live).await.iter().map(RecordBatch::num_rows).sum::<usize>(),
        25
    );
}

#[tokio::test]
async fn a_landing_that_was_not_recorded_is_not_made_twice() {
    let stream = Stream::begin(CLICKS).await;
    let engine = stream.engine().await;
    stream.send(&engine, 0, &[&event(1)]).await;
    stream.run(&engine).await;
    stream.send(&engine, 0, &[&event(2)]).await;
    stream.run(&engine).await;
    drop(engine);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(stream.folder.path().join(".millstream").join(file));
    }
    let engine = stream.engine().await;
    assert_eq!(listed(&engine, IDS, QueryFreshness::Live).await, "1 2");
    stream.send(&engine, 0, &[&event(3)]).await;
    stream.run(&engine).await;
    assert_eq!(listed(&engine, IDS, QueryFreshness::Committed).await, "1 2 3");
}

#[tokio::test]
async fn damage_of_a_partition_is_named_and_the_others_land() {
    let mut stream = Stream::begin(CLICKS).await;
    let engine = stream.engine().await;
    stream.send(&engine, 0, &[&event(1)]).await;
    stream.send(&engine, 0, &[&event(3)]).await;
    stream.send(&engine, 1, &[&event(2)]).await;
    drop(engine);
    stream.log.close().await.unwrap();
    let partition = stream.folder.path().join(".millstream/log/topics/clicks/0");
    let segment = partition.join(format!("{:020}.log", 0));
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(4).position(|four| four == b"\"id\"").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    stream.log = opened(stream.folder.path(), &stream.clock).await;
    let engine = stream.engine().await;
    let told = format!("{:?}", stream.run(&engine).await.steps);
    assert!(told.contains("topic `clicks`, partition 0, segment 0, offsets 0 to 0"), "{told}");
    assert_eq!(listed(&engine, IDS, QueryFreshness::Committed).await, "2");
}

#[tokio::test]
async fn a_full_refresh_that_the_log_cannot_bring_back_is_refused() {
    let stream = Stream::begin(CLICKS).await;
    let engine = stream.engine().await;
    stream.send(&engine, 0, &[&event(1), &event(2)]).await;
    stream.run(&engine).await;
    stream.log.trim(&Place::new(&topic(), 0).at(1)).await.unwrap();
    let request = RunRequest {
        selection: vec!["bronze.clicks".into()],
        full_refresh: true,
        command: "run".into(),
        ..RunRequest::default()
    };
    let events = engine.begin("run");
    let report = engine.run(&request, Duration::ZERO, events, CancellationToken::new()).await.unwrap();
    assert!(!report.succeeded());
    let told = format!("{:?}", report.steps);
    assert!(told.contains("events that the log does not keep any more"), "{told}");
    assert_eq!(listed(&engine, IDS, QueryFreshness::Committed).await, "1 2");
}

#[tokio::test]
async fn a_breaker_holds_a_source_until_somebody_resumes_it() {
    let source = format!("{CLICKS}  halt_above: 40%\n");
    let stream = Stream::begin(&source).await;
    let engine = stream.engine().await;
    stream.send(&engine, 0, &[&event(1)]).await;
    stream.run(&engine).await;
    let bad = r#"{"id": 3, "amount": "5000", "at": "2026-01-01T00:00:00Z"}"#;
    stream.send(&engine, 0, &[bad, &event(2)]).await;
    let report = stream.run(&engine).await;
    assert!(format!("{:?}", report.steps).contains("1 of 2 rows were rejected"), "{report:?}");
    // Good events do not close it, and readers of the log get nothing more either.
    for id in 10..20 {
        stream.send(&engine, 0, &[&event(id)]).await;
    }
    let report = stream.run(&engine).await;
    assert!(format!("{:?}", report.steps).contains("the breaker is open"), "{report:?}");
    assert_eq!(listed(&engine, IDS, QueryFreshness::Live).await, "1");
    let open = engine.open_breakers().await.unwrap();
    assert_eq!((open.len(), open[0].rejected, open[0].rows), (1, 1, 2));
    assert!(engine.resume_source(&"bronze.clicks".parse::<TableName>().unwrap()).await.unwrap());
    assert!(stream.run(&engine).await.succeeded());
    assert_eq!(listed(&engine, "SELECT count(*) FROM bronze.clicks", QueryFreshness::Committed).await, "12");
    assert!(engine.open_breakers().await.unwrap().is_empty());
    // Another contract closes it too.
    stream.send(&engine, 0, &[bad]).await;
    assert!(!stream.run(&engine).await.succeeded());
    stream.folder.write("sources/clicks.yaml", &source.replace("1000]", "9000]"));
    let engine = stream.engine().await;
    assert!(stream.run(&engine).await.succeeded());
    assert_eq!(listed(&engine, "SELECT count(*) FROM bronze.clicks", QueryFreshness::Committed).await, "13");
}
