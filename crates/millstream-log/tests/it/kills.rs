//! A process that is killed at any moment: everything it acknowledged is there, once and in order.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use millstream_log::{
    Append, EmbeddedLog, EmbeddedOptions, EventLog, Place, Sequenced, TopicName, TopicOptions,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;

use crate::place::{TestClock, message, numbers, numbers_around};

/// Names the folder to write to, for the process that is to be killed.
const FOLDER: &str = "MILLSTREAM_TEST_KILL_FOLDER";
const TASKS: u64 = 8;
const ROUNDS: u64 = 10;
/// Numbers of different tasks never meet.
const STRIDE: u64 = 1_000_000;

async fn open(folder: &Path) -> Arc<EmbeddedLog> {
    let clock = TestClock::new();
    let mut options = EmbeddedOptions::new(folder, Arc::new(move || clock.now()));
    options.segment_bytes = 20_000;
    EmbeddedLog::open(options).await.unwrap()
}

fn topic() -> TopicName {
    TopicName::new("kills").unwrap()
}

/// Not a case of its own: the other one starts it in a process and kills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
async fn writes_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let log = open(Path::new(&folder)).await;
    log.create(&topic(), &TopicOptions { partitions: 2, ..TopicOptions::default() }).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(write(log.clone(), task));
    }
    tasks.join_all().await;
}

/// Goes on where the task was, and sends the last record once more as if its answer had been lost.
async fn write(log: Arc<EmbeddedLog>, task: u64) {
    let place = Place::new(&topic(), u32::from(task % 2 == 1));
    let found = numbers(&*log, &place.at(0)).await.unwrap();
    let done = found.iter().filter(|(_, number)| number / STRIDE == task).count() as u64;
    for sequence in done.saturating_sub(1).. {
        let text = message(&format!("{} {}", task * STRIDE + sequence, "x".repeat(100)));
        let numbered = Sequenced { producer: u128::from(task), epoch: 0, sequence };
        log.append(Append::messages(&place, vec![text]).sequenced(numbered)).await.unwrap();
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "acknowledged {task} {}", sequence + 1).unwrap();
        stdout.flush().unwrap();
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_there_twice() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("log");
    let mut random = SmallRng::seed_from_u64(4);
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        kill_after(&place, random.random_range(5..150), &mut acknowledged);
        let log = open(&place).await;
        assert!(log.recovery().damage.is_empty(), "round {round}: {:?}", log.recovery());
        let mut found: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for partition in 0..2 {
            let (records, damages) = numbers_around(&*log, &Place::new(&topic(), partition).at(0)).await;
            assert!(damages.is_empty());
            let offsets = records.iter().map(|(offset, _)| *offset);
            assert!(offsets.eq(0..records.len() as u64), "round {round}");
            records
                .iter()
                .for_each(|(_, number)| found.entry(number / STRIDE).or_default().push(number % STRIDE));
        }
        for task in 0..TASKS {
            let found = found.remove(&task).unwrap_or_default();
            let least = acknowledged.get(&task).copied().unwrap_or(0);
            assert!(found.len() as u64 >= least, "round {round}, task {task}: {} of {least}", found.len());
            assert!(found.iter().copied().eq(0..found.len() as u64), "round {round}, task {task}: {found:?}");
        }
    }
    assert!(acknowledged.values().sum::<u64>() > ROUNDS, "the processes had no time to write");
}

/// Lets a process write, kills it that many milliseconds after its first acknowledgement, and notes what it
/// acknowledged last.
fn kill_after(folder: &Path, milliseconds: u64, acknowledged: &mut BTreeMap<u64, u64>) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["kills::writes_until_killed", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("acknowledged") {
        assert_ne!(output.read_line(&mut text).unwrap(), 0, "the process ended: {text}");
    }
    let reader = thread::spawn(move || {
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).unwrap();
        text + &String::from_utf8_lossy(&rest)
    });
    thread::sleep(Duration::from_millis(milliseconds));
    process.kill().unwrap();
    process.wait().unwrap();
    let text = reader.join().unwrap();
    // The kill may have cut the last line.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let Some(words) = line.split_once("acknowledged ").map(|(_, words)| words) else { continue };
        let (task, done) = words.split_once(' ').unwrap();
        acknowledged.insert(task.parse().unwrap(), done.parse().unwrap());
    }
}
