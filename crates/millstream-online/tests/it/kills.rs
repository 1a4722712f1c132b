//! A process that is killed at any moment: everything it acknowledged is there, and nothing by halves.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use bytes::Bytes;
use millstream_online::Append;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;

use crate::place::{Store, add_one, count, counts, entity, open_folder};

/// Names the folder to write to, for the process that is to be killed.
const FOLDER: &str = "MILLSTREAM_TEST_KILL_FOLDER";
const TASKS: u64 = 8;
const ROUNDS: u64 = 8;

/// Not a case of its own: the other one starts it in a process and kills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
async fn writes_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = open_folder(Path::new(&folder)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(write(store.clone(), task));
    }
    tasks.join_all().await;
}

async fn write(store: Store, task: u64) {
    let entities = task_entities(task);
    loop {
        let done = counts(&store, 1, &entities[..1]).await[0];
        let entries = [Bytes::from(format!("{task} {}", done + 1))];
        let append = Append { log: "pushes", entries: &entries };
        let (name, value) = (task.to_string(), (done + 1).to_be_bytes());
        add_one(&store, 1, &entities, &[(&name, &value)], Some(append), true).await.unwrap();
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "acknowledged {task} {}", done + 1).unwrap();
        stdout.flush().unwrap();
    }
}

/// Two of its own, and one that all tasks share.
fn task_entities(task: u64) -> [millstream_online::EntityKey; 3] {
    [entity(&format!("{task} first")), entity(&format!("{task} second")), entity("shared")]
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("store");
    let mut random = SmallRng::seed_from_u64(4);
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        kill_after(&place, random.random_range(20..400), &mut acknowledged);
        let store = open_folder(&place).await.unwrap();
        let mut sum = 0;
        for task in 0..TASKS {
            let found = counts(&store, 1, &task_entities(task)).await;
            let least = acknowledged.get(&task).copied().unwrap_or(0);
            assert!(found[0] >= least, "round {round}, task {task}: {} of {least}", found[0]);
            assert_eq!(found[0], found[1], "round {round}, task {task}");
            let mark = store.mark(1, &task.to_string()).await.unwrap();
            assert_eq!(count(mark.as_deref()), found[0], "round {round}, task {task}");
            sum += found[0];
            acknowledged.insert(task, found[0]);
        }
        assert_eq!(counts(&store, 1, &[entity("shared")]).await, [sum], "round {round}");
        let log = store.log("pushes", 0, usize::MAX).await.unwrap();
        assert_eq!(log.len() as u64, sum, "round {round}");
        assert!(log.iter().map(|entry| entry.position).eq(1..=sum), "round {round}");
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
