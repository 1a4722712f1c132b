//! A log's events in the store: a batch and the mark that tells of it are one, whenever the process is killed, and a batch that
//! comes again counts once.
#![allow(clippy::cast_possible_truncation, reason = "numbers of the tests are small")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use millstream_features::view::{Chunk, OnlineView, Position};
use millstream_online::feature::feed;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;

use crate::{
    feature::{ENTITIES, NOW, Row, answers, batch, view},
    place::{Place, Store, open_folder},
};

const MARK: &str = "position";
const BATCHES: u64 = 400;
/// Names the folder to write to, for the process that is to be killed.
const FOLDER: &str = "MILLSTREAM_TEST_FEED_FOLDER";

/// The events of one batch: some of them are late, and some are equal.
fn events(number: u64) -> Vec<Row> {
    let random = &mut SmallRng::seed_from_u64(number);
    let rows = random.random_range(1..30);
    let newest = NOW - 1_000_000_000 + number as i64 * 1_000_000;
    let row = |random: &mut SmallRng| {
        let late = if random.random_bool(0.2) { random.random_range(0..3_000_000_000_000) } else { 0 };
        (
            random.random_range(0..ENTITIES),
            newest - random.random_range(0..5_000_000) - late,
            random.random_range(1..9) as f64,
        )
    };
    (0..rows).map(|_| row(random)).collect()
}

async fn position(store: &Store, view: &OnlineView) -> u64 {
    let mark = store.mark(view.space(), MARK).await.unwrap();
    mark.map_or(0, |mark| u64::from_le_bytes(mark.as_ref().try_into().unwrap()))
}

async fn apply(store: &Store, view: &OnlineView, number: u64) {
    let (position, mark) = (Position { epoch: 1, chunk: number + 1 }, (number + 1).to_le_bytes());
    let newest = events(number).iter().map(|row| row.1).max();
    let chunk = Chunk { position, watermark: newest, ..Chunk::default() };
    feed(store.as_ref(), view, &chunk, &batch(view, &events(number)), NOW, (MARK, &mark)).await.unwrap();
}

/// Goes on where the mark says, and tells each batch that is in.
async fn follow(store: &Store, view: &OnlineView, mut told: impl FnMut(u64)) {
    for number in position(store, view).await..BATCHES {
        apply(store, view, number).await;
        told(number);
    }
}

/// Not a case of its own: the other one starts it in a process and kills that.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
async fn follows_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = open_folder(Path::new(&folder)).await.unwrap();
    follow(&store, &view("orders"), |number| {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "batch {number}").unwrap();
        stdout.flush().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_process_that_is_killed_goes_on_where_its_records_end() {
    let (folder, view) = (TempDir::new().unwrap(), view("orders"));
    let place = folder.path().join("store");
    let random = &mut SmallRng::seed_from_u64(7);
    for _ in 0..6 {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["feed::follows_until_killed", "--exact", "--nocapture"])
            .env(FOLDER, &place)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("batch") && output.read_line(&mut text).unwrap() > 0 {}
        thread::sleep(Duration::from_millis(random.random_range(0..25)));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let store = open_folder(&place).await.unwrap();
    follow(&store, &view, |_| ()).await;
    let undisturbed = Place::folder();
    let other = undisturbed.open().await;
    follow(&other, &view, |_| ()).await;
    assert_eq!(answers(&store, &view).await, answers(&other, &view).await);
}

/// A store without transactions is killed between records and mark: then the same batch comes again.
#[tokio::test]
async fn a_batch_that_comes_again_counts_once() {
    let mut places = vec![Place::folder()];
    #[cfg(feature = "redis")]
    places.extend(Place::server("a_batch_that_comes_again_counts_once"));
    let undisturbed = Place::folder();
    let (other, view) = (undisturbed.open().await, view("orders"));
    for number in 0..20 {
        apply(&other, &view, number).await;
    }
    let expected = answers(&other, &view).await;
    for place in places {
        let store = place.open().await;
        for number in 0..20 {
            for _ in 0..1 + number % 3 {
                apply(&store, &view, number).await;
            }
        }
        assert_eq!(position(&store, &view).await, 20);
        assert_eq!(answers(&store, &view).await, expected);
    }
}
