//! Events that are taken in: what is taken once, what happens when there is no room, and sources that make their events.

use std::{
    fs, io,
    num::{NonZeroU32, NonZeroUsize},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arrow::ipc::writer::IpcWriteOptions;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use millstream_connector::{
    BlockStream, BuildContext, Connector, ConnectorConfig, ConnectorError, ConnectorFactory, Discovery,
    EventShape, FoundColumn, GeneratedEvents, Intake, IntakeKind, KnownPart, NamedConnection, OptionProblem,
    Part, ReadRequest,
};
use millstream_engine::{
    Door, Engine, EngineOptions, EventBody, EventFormat, Generators, IntakeError, IntakeFailure, Log, Online,
    RetryPolicy, SourceIntake, Stores, TakenEvents, check,
};
use millstream_lake::Lake;
use millstream_log::{
    Disk, EmbeddedLog, EmbeddedOptions, EventLog, Files, FolderLock, LogFile, OpenMode, Payload, Place,
    ReadBound, TopicName,
};
use millstream_online::StoreOptions;
use millstream_project::LoadOptions;
use millstream_state::State;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::Hands,
    intake_events::{rows, stream_of},
};

/// A kind of source that takes events in, and is read by nobody.
#[derive(Debug)]
struct DoorFactory;

#[derive(Debug)]
struct DoorConfig(Option<Intake>);

#[derive(Debug)]
struct Nothing;

impl ConnectorFactory for DoorFactory {
    fn kind(&self) -> &'static str {
        "door"
    }

    fn schema(&self) -> Value {
        json!({"type": "object"})
    }

    fn validate(
        &self,
        options: &Value,
        _: Option<NamedConnection<'_>>,
    ) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>> {
        let number = |name: &str| options[name].as_u64();
        let what = match options["rate"].as_f64() {
            Some(per_second) => {
                IntakeKind::Generate(GeneratedEvents { shape: EventShape::Shop, per_second, seed: 7 })
            }
            None => IntakeKind::Http,
        };
        let mut intake = Intake::new(what);
        intake.key = options["key"].as_str().map(str::to_owned);
        intake.bytes_max = number("bytes");
        if let Some(partitions) = number("partitions") {
            intake.partitions = NonZeroU32::new(u32::try_from(partitions).unwrap()).unwrap();
        }
        let is_read = options["read"].as_bool() == Some(true);
        Ok(Box::new(DoorConfig((!is_read).then_some(intake))))
    }
}

impl ConnectorConfig for DoorConfig {
    fn build(&self, _: &BuildContext) -> Result<Arc<dyn Connector>, ConnectorError> {
        Ok(Arc::new(Nothing))
    }

    fn intake(&self) -> Option<&Intake> {
        self.0.as_ref()
    }
}

#[async_trait]
impl Connector for Nothing {
    async fn discover(&self, _: &[KnownPart]) -> Result<Discovery, ConnectorError> {
        Ok(Discovery::default())
    }

    async fn describe(&self, _: &Part) -> Result<Vec<FoundColumn>, ConnectorError> {
        Ok(Vec::new())
    }

    async fn read(&self, _: &Part, _: &ReadRequest) -> Result<BlockStream, ConnectorError> {
        Ok(Box::pin(stream::empty()))
    }
}

/// A project with one source `orders`, whose log outlives its engines.
struct House {
    folder: TempDir,
    clock: Hands,
    disk: FillingDisk,
}

impl House {
    fn new(options: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir_all(folder.path().join("sources")).unwrap();
        fs::write(folder.path().join("millstream.yaml"), "name: house\n").unwrap();
        let house = Self { folder, clock: Hands::new(), disk: FillingDisk::default() };
        house.define("orders", options);
        house
    }

    fn define(&self, name: &str, options: &str) {
        let text =
            format!("connector: {{type: door, {options}}}\ncontract:\n  columns:\n    id: {{type: int64}}\n");
        fs::write(self.folder.path().join(format!("sources/{name}.yaml")), text).unwrap();
    }

    async fn log(&self) -> Arc<dyn EventLog> {
        let clock = self.clock.clone();
        let now = Arc::new(move || millstream_engine::Clock::now(&clock));
        let files: Arc<dyn Files> = Arc::new(self.disk.clone());
        let options = EmbeddedOptions::new(self.folder.path().join("log"), now);
        EmbeddedLog::open(EmbeddedOptions { files, ..options }).await.unwrap()
    }

    async fn engine(&self, log: &Arc<dyn EventLog>) -> Engine {
        let root = self.folder.path();
        let factories: Vec<Box<dyn ConnectorFactory>> = vec![Box::new(DoorFactory)];
        let checked = check(root, &LoadOptions { environment: None, variables: &|_| None }, &factories);
        let project = checked.project.unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
        let stores = Stores {
            lake: Lake::open(root.join("lake").to_str().unwrap(), &Default::default()).unwrap(),
            state: Arc::new(State::open(&root.join("state.db")).await.unwrap()),
            online: Online::At { location: "embedded:nowhere".to_owned(), options: StoreOptions::default() },
            log: Log::Opened(log.clone()),
            folder: root.to_owned(),
        };
        let options = EngineOptions {
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(millstream_engine::SystemRandom),
            memory_bytes: 64 << 20,
            parallelism: NonZeroUsize::MIN,
            partitions_max: millstream_engine::PARTITIONS_MAX,
            retry: RetryPolicy { retries_max: 0, first_wait: Duration::ZERO, wait_max: Duration::ZERO },
        };
        Engine::with_stores(Arc::new(project), stores, options).unwrap()
    }
}

/// The disk of this machine, which can be full.
#[derive(Clone, Debug, Default)]
struct FillingDisk {
    is_full: Arc<AtomicBool>,
}

#[derive(Debug)]
struct FillingFile {
    file: Arc<dyn LogFile>,
    is_full: Arc<AtomicBool>,
}

impl Files for FillingDisk {
    fn lock(&self, folder: &Path) -> io::Result<FolderLock> {
        Disk.lock(folder)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        Disk.create_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Disk.list(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn LogFile>> {
        let file = Disk.open(path, mode)?;
        Ok(Arc::new(FillingFile { file, is_full: self.is_full.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        Disk.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Disk.sync_folder(path)
    }
}

impl LogFile for FillingFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        if self.is_full.load(Ordering::SeqCst) {
            // Some of it fits.
            self.file.write_all_at(&bytes[..bytes.len() / 2], position)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, position)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

fn ndjson(text: &str) -> EventBody {
    EventBody {
        format: EventFormat::Ndjson,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
        events_max: 1_000,
    }
}

async fn take(intake: &Arc<SourceIntake>, text: &str, key: Option<&str>) -> Result<TakenEvents, IntakeError> {
    intake.clone().take_body(ndjson(text), key.map(str::to_owned)).await
}

/// All events of the log, by partition.
async fn all(log: &Arc<dyn EventLog>, topic: &str) -> Vec<Vec<String>> {
    let topic = TopicName::new(topic).unwrap();
    let mut partitions = Vec::new();
    for partition in 0..log.topic(&topic).await.unwrap().options.partitions {
        let (place, mut next, mut found) = (Place::new(&topic, partition), 0, Vec::new());
        loop {
            let read = log.read(&place.at(next), ReadBound::default()).await.unwrap();
            for batch in read.batches {
                match batch.payload {
                    Payload::Messages(messages) => found.extend(
                        messages
                            .iter()
                            .map(|m| String::from_utf8(m.value.as_ref().unwrap().to_vec()).unwrap()),
                    ),
                    Payload::Rows(rows) => found.push(format!("{} rows", rows.num_rows())),
                }
            }
            next = read.next;
            if next == read.end {
                break;
            }
        }
        partitions.push(found);
    }
    partitions
}

#[tokio::test]
async fn a_request_that_comes_again_with_its_key_is_taken_once_over_a_crash_too() {
    let house = House::new("partitions: 3, key: id");
    let text = "{\"id\": 1}\n{\"id\": 2}\n{\"id\": 3}\n{\"id\": 4}\n{\"id\": 1, \"n\": 2}\n";
    let log = house.log().await;
    let first = {
        let intake = house.engine(&log).await.intake("orders", Door::Events).await.unwrap();
        take(&intake, text, Some("k")).await.unwrap()
    };
    assert_eq!((first.accepted, first.repeated), (5, false));
    // The answer was lost with the process.
    log.close().await.unwrap();
    let log = house.log().await;
    let intake = house.engine(&log).await.intake("orders", Door::Events).await.unwrap();
    let second = take(&intake, text, Some("k")).await.unwrap();
    assert_eq!((second.accepted, second.repeated, &second.offsets), (5, true, &first.offsets));
    let found = all(&log, "orders").await;
    assert_eq!(found.concat().len(), 5);
    // Events of one key are in one partition, in their order.
    let of_one = found.iter().find(|events| events.contains(&"{\"id\": 1}".to_owned())).unwrap();
    let places: Vec<usize> = ["{\"id\": 1}", "{\"id\": 1, \"n\": 2}"]
        .map(|event| of_one.iter().position(|e| e == event).unwrap())
        .into();
    assert!(places[0] < places[1]);
    // Another key, or none, is another request.
    assert!(!take(&intake, text, Some("l")).await.unwrap().repeated);
    assert!(!take(&intake, text, None).await.unwrap().repeated);
    let other = take(&intake, &"{\"id\": 1}\n".repeat(6), Some("k")).await.unwrap_err();
    assert_eq!(other.code(), "MS-1257");
    log.close().await.unwrap();
}

#[tokio::test]
async fn events_without_a_key_are_spread_and_no_events_are_no_append() {
    let house = House::new("partitions: 2");
    let log = house.log().await;
    let intake = house.engine(&log).await.intake("orders", Door::Events).await.unwrap();
    for number in 0..4 {
        take(&intake, &format!("{{\"id\": {number}}}"), None).await.unwrap();
    }
    assert_eq!(all(&log, "orders").await.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    let nothing = take(&intake, "\n\n", None).await.unwrap();
    assert_eq!(nothing, TakenEvents::default());
    let body = EventBody {
        format: EventFormat::Arrow,
        bytes: stream_of(&[rows(vec![Some(1)]), rows(vec![Some(2)])], IpcWriteOptions::default()).into(),
        events_max: 10,
    };
    assert_eq!(intake.clone().take_body(body, None).await.unwrap().accepted, 2);
    assert!(all(&log, "orders").await.concat().contains(&"2 rows".to_owned()));
    log.close().await.unwrap();
}

#[tokio::test]
async fn only_sources_that_take_events_take_them() {
    let house = House::new("");
    house.define("customers", "read: true");
    house.define("made", "rate: 5");
    let log = house.log().await;
    let engine = house.engine(&log).await;
    for (source, door, code, says) in [
        ("order", Door::Events, "MS-1250", "did you mean `orders`?"),
        ("no such name", Door::Events, "MS-1250", "`http`"),
        ("customers", Door::Events, "MS-1251", "`http`"),
        ("orders", Door::Otlp(millstream_connector::OtlpSignal::Logs), "MS-1251", "/v1/ingest/orders"),
    ] {
        let error = engine.intake(source, door).await.unwrap_err();
        assert_eq!(error.code(), code, "{source}");
        assert!(error.hint().unwrap().contains(says), "{source}: {:?}", error.hint());
    }
    assert_eq!(engine.intake("made", Door::Events).await.unwrap_err().code(), "MS-1251");
    log.close().await.unwrap();
    let closed = engine.intake("orders", Door::Events).await.unwrap_err();
    assert_eq!((closed.code(), closed.failure()), ("MS-1421", IntakeFailure::Away));
}

#[tokio::test]
async fn a_log_over_its_bound_takes_nothing_until_there_is_room() {
    let house = House::new("bytes: 2000");
    let log = house.log().await;
    let intake = house.engine(&log).await.intake("orders", Door::Events).await.unwrap();
    let text = format!("{{\"id\": \"{}\"}}", "x".repeat(700));
    let mut taken = 0;
    let error = loop {
        match take(&intake, &text, Some(&format!("{taken}"))).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 10);
    };
    assert_eq!((error.code(), error.failure()), ("MS-1416", IntakeFailure::Full));
    assert_eq!(all(&log, "orders").await.concat().len(), taken);
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_under_the_log_takes_nothing_and_goes_on_when_there_is_room() {
    let house = House::new("");
    let log = house.log().await;
    let intake = house.engine(&log).await.intake("orders", Door::Events).await.unwrap();
    take(&intake, "{\"id\": 1}", None).await.unwrap();
    house.disk.is_full.store(true, Ordering::SeqCst);
    let error = take(&intake, "{\"id\": 2}", Some("k")).await.unwrap_err();
    assert_eq!((error.code(), error.failure(), error.is_disk_full()), ("MS-1407", IntakeFailure::Away, true));
    house.disk.is_full.store(false, Ordering::SeqCst);
    assert!(!take(&intake, "{\"id\": 2}", Some("k")).await.unwrap().repeated);
    assert_eq!(all(&log, "orders").await, [["{\"id\": 1}", "{\"id\": 2}"]]);
    log.close().await.unwrap();
}

/// The events without the instants at which they happened.
fn timeless(events: Vec<String>) -> Vec<String> {
    events.into_iter().map(|event| event.split(",\"occurred_at\"").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn made_events_keep_their_rate_and_go_on_where_they_stopped() {
    let house = House::new("rate: 100, partitions: 2");
    let log = house.log().await;
    let engine = house.engine(&log).await;
    let mut generators = Generators::default();
    generators.turn(&engine).await;
    for _ in 0..5 {
        house.clock.pass(1);
        generators.turn(&engine).await;
    }
    assert_eq!(all(&log, "orders").await.iter().map(Vec::len).collect::<Vec<_>>(), [250, 250]);
    // A minute's absence is not made up for.
    house.clock.pass(60);
    generators.turn(&engine).await;
    house.clock.pass(1);
    generators.turn(&engine).await;
    assert_eq!(all(&log, "orders").await.concat().len(), 600);
    log.close().await.unwrap();
    // Another process goes on with the next event.
    let log = house.log().await;
    let engine = house.engine(&log).await;
    let mut generators = Generators::default();
    generators.turn(&engine).await;
    house.clock.pass(1);
    generators.turn(&engine).await;
    let found = all(&log, "orders").await;
    log.close().await.unwrap();
    let undisturbed = House::new("rate: 700, partitions: 2");
    let log = undisturbed.log().await;
    let engine = undisturbed.engine(&log).await;
    let mut generators = Generators::default();
    generators.turn(&engine).await;
    undisturbed.clock.pass(1);
    generators.turn(&engine).await;
    let expected = all(&log, "orders").await;
    for (found, expected) in found.into_iter().zip(expected) {
        assert_eq!(timeless(found), timeless(expected));
    }
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_source_that_makes_events_waits_while_the_log_is_over_its_bound() {
    let house = House::new("rate: 1000, bytes: 20000");
    let log = house.log().await;
    let engine = house.engine(&log).await;
    let mut generators = Generators::default();
    for _ in 0..20 {
        generators.turn(&engine).await;
        house.clock.pass(1);
    }
    // A second's events are more than fit, and none of them is there by halves.
    assert_eq!(all(&log, "orders").await.concat().len(), 0);
    let house_next = House::new("rate: 50, bytes: 30000");
    let log_next = house_next.log().await;
    let engine = house_next.engine(&log_next).await;
    let mut generators = Generators::default();
    for _ in 0..20 {
        generators.turn(&engine).await;
        house_next.clock.pass(1);
    }
    let made = all(&log_next, "orders").await.concat().len();
    assert!(made > 0 && made.is_multiple_of(50) && made < 200, "{made}");
    log.close().await.unwrap();
    log_next.close().await.unwrap();
}
