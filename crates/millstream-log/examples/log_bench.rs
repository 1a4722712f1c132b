//! The embedded log's figures, for `cargo xtask bench log`: `log_bench FOLDER SINGLE BATCHED` appends so many single events from 64
//! producers, each synced before its answer, and so many in batches of 1,000, as messages and as rows, reads them, and prints one line
//! of JSON.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints its figures, and stops at a fault"
)]

use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use millstream_log::{
    Append, EmbeddedLog, EmbeddedOptions, EventLog, Message, Place, ReadBound, TopicName, TopicOptions,
};
use millstream_types::TimestampMicros;

const PRODUCERS: u64 = 64;
const BATCH: u64 = 1_000;
/// How many syncs the disk is asked for by itself.
const SYNCS: u32 = 200;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap();
    let single: u64 = arguments.next().unwrap().parse().unwrap();
    let batched: u64 = arguments.next().unwrap().parse().unwrap();
    let folder = Path::new(&folder);
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).unwrap();
    let sync = sync_seconds(&folder.join("sync"));
    let log = EmbeddedLog::open(EmbeddedOptions::new(folder.join("log"), Arc::new(now))).await.unwrap();
    let (single_rate, mut latencies) = singles(&log, single).await;
    latencies.sort_unstable();
    let at = |share: usize| {
        latencies.get(latencies.len() * share / 100).copied().unwrap_or_default().as_secs_f64()
    };
    let messages = batches(&log, "messages", batched, |number| {
        Append::messages(&place("messages"), (0..BATCH).map(|row| message(number * BATCH + row)).collect())
    });
    let messages = messages.await;
    let rows =
        batches(&log, "rows", batched, |number| Append::rows(&place("rows"), rows(number * BATCH))).await;
    let read_messages = read(&log, &place("messages"), batched).await;
    let read_rows = read(&log, &place("rows"), batched).await;
    log.close().await.unwrap();
    let begin = Instant::now();
    let log = EmbeddedLog::open(EmbeddedOptions::new(folder.join("log"), Arc::new(now))).await.unwrap();
    let opened = begin.elapsed().as_secs_f64();
    drop(log);
    println!(
        "{{\"sync_seconds\": {sync}, \"single\": {single_rate}, \"single_p50\": {}, \"single_p99\": {}, \"messages\": {messages}, \
         \"rows\": {rows}, \"read_messages\": {read_messages}, \"read_rows\": {read_rows}, \"open_seconds\": {opened}}}",
        at(50),
        at(99)
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[allow(clippy::disallowed_methods, reason = "a program is its own edge: it reads the machine's clock")]
fn now() -> TimestampMicros {
    TimestampMicros::from_system(std::time::SystemTime::now())
}

fn place(topic: &str) -> Place {
    Place::new(&TopicName::new(topic).unwrap(), 0)
}

fn message(number: u64) -> Message {
    let text = format!(
        r#"{{"order_id":{number},"customer":"customer-{}","amount":{}.25}}"#,
        number % 1_000,
        number % 97
    );
    Message {
        key: Some(Bytes::from((number % 1_000).to_string())),
        value: Some(Bytes::from(text)),
        ..Message::default()
    }
}

fn rows(from: u64) -> RecordBatch {
    let numbers = from..from + BATCH;
    let ids = numbers.clone().map(u64::cast_signed).collect::<Int64Array>();
    let customers =
        numbers.clone().map(|number| Some(format!("customer-{}", number % 1_000))).collect::<StringArray>();
    let amounts =
        numbers.map(|number| f64::from(u32::try_from(number % 97).unwrap()) + 0.25).collect::<Float64Array>();
    RecordBatch::try_from_iter([
        ("order_id", Arc::new(ids) as _),
        ("customer", Arc::new(customers) as _),
        ("amount", Arc::new(amounts) as _),
    ])
    .unwrap()
}

/// What the disk takes for one small write and its sync.
fn sync_seconds(path: &Path) -> f64 {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path).unwrap();
    let begin = Instant::now();
    for number in 0..SYNCS {
        file.write_all_at(&[7; 200], u64::from(number) * 200).unwrap();
        file.sync_data().unwrap();
    }
    (begin.elapsed() / SYNCS).as_secs_f64()
}

/// Single events for each second, and how long each took.
async fn singles(log: &Arc<EmbeddedLog>, count: u64) -> (f64, Vec<Duration>) {
    log.create(&TopicName::new("single").unwrap(), &TopicOptions::default()).await.unwrap();
    let begin = Instant::now();
    let producers = (0..PRODUCERS).map(|producer| {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            for number in (producer..count).step_by(64) {
                let begin = Instant::now();
                log.append(Append::messages(&place("single"), vec![message(number)])).await.unwrap();
                latencies.push(begin.elapsed());
            }
            latencies
        })
    });
    let latencies = futures::future::join_all(producers).await;
    (rate(count, begin), latencies.into_iter().flat_map(Result::unwrap).collect())
}

/// Events for each second, from four producers that send batches.
async fn batches(
    log: &Arc<EmbeddedLog>,
    topic: &'static str,
    count: u64,
    append: impl Fn(u64) -> Append + Clone + Send + 'static,
) -> f64 {
    const TASKS: u64 = 4;
    log.create(&TopicName::new(topic).unwrap(), &TopicOptions::default()).await.unwrap();
    // Making events is no work of the log's.
    let made: Vec<Append> = (0..50).map(&append).collect();
    let begin = Instant::now();
    let producers = (0..TASKS).map(|task| {
        let (log, made) = (Arc::clone(log), made.clone());
        tokio::spawn(async move {
            for (_, append) in (task..count / BATCH).step_by(4).zip(made.iter().cycle()) {
                log.append(append.clone()).await.unwrap();
            }
        })
    });
    futures::future::join_all(producers).await.into_iter().for_each(Result::unwrap);
    rate(count, begin)
}

async fn read(log: &Arc<EmbeddedLog>, place: &Place, count: u64) -> f64 {
    let begin = Instant::now();
    let mut position = place.at(0);
    while position.offset < count {
        position.offset = log.read(&position, ReadBound::default()).await.unwrap().next;
    }
    rate(count, begin)
}

#[allow(clippy::cast_precision_loss, reason = "counts of events are far below 2^53")]
fn rate(count: u64, begin: Instant) -> f64 {
    count as f64 / begin.elapsed().as_secs_f64()
}
