//! A disk that is full for a while: the store says so, is read all the time, and takes changes again once there is room.
#![cfg(target_os = "linux")]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use millstream_online::{OnlineError, RecordKey};
use tempfile::TempDir;

use crate::place::{Store, add_one, counts, entity, open_folder};

/// Names the folder to write to, for the process whose disk is full.
const FOLDER: &str = "MILLSTREAM_TEST_FULL_FOLDER";

/// Not a case of its own: the other one starts it in a process that outlives a file which may not grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
async fn writes_on_a_disk_that_fills_up() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let store = open_folder(folder).await.unwrap();
    let mut stored = 0;
    for _ in 0..3 {
        add(&store).await.unwrap();
        stored += 1;
    }
    for round in 0..2 {
        limit("200000");
        let mut faults = Vec::new();
        for _ in 0..20_000 {
            match add(&store).await {
                Ok(()) => stored += 1,
                Err(error) => faults.push(error),
            }
            if faults.len() > 3 {
                break;
            }
        }
        assert!(faults.len() > 3, "round {round}: the disk was not full");
        let is_full = |fault: &OnlineError| matches!(fault.code(), "MS-1006" | "MS-1015");
        assert!(faults.iter().all(is_full), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.code() == "MS-1015"), "{faults:?}");
        assert!(read(&store).await >= stored, "it is read all the time");
        // Nobody else gets in, neither now nor while it is opened anew.
        assert!(matches!(open_folder(folder).await, Err(OnlineError::Locked { .. })));
        limit("unlimited");
        let mut tries = 0;
        while add(&store).await.is_err() {
            assert!(matches!(open_folder(folder).await, Err(OnlineError::Locked { .. })));
            tries += 1;
            assert!(tries < 600, "it takes no changes again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A change that failed may be there: its caller was not told that it is.
        let now = read(&store).await;
        assert!(now > stored, "round {round}: {now} of {stored}");
        stored = now;
    }
    drop(store);
    let store = open_folder(folder).await.unwrap();
    assert_eq!(read(&store).await, stored);
}

async fn add(store: &Store) -> Result<(), OnlineError> {
    add_one(store, 1, &[entity("one")], &[], None, true).await.map(drop)
}

async fn read(store: &Store) -> u64 {
    let found = store.read(&[RecordKey { space: 1, entity: entity("one") }]).await.unwrap();
    assert!(found[0].is_some());
    counts(store, 1, &[entity("one")]).await[0]
}

/// Bounds the size of the files that this process writes.
fn limit(bytes: &str) {
    let process = std::process::id().to_string();
    let arguments = ["--pid", &process, &format!("--fsize={bytes}:unlimited")];
    assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
}

#[test]
fn a_store_takes_changes_again_once_there_is_room() {
    if Command::new("prlimit").arg("--version").stdout(Stdio::null()).status().is_err() {
        return;
    }
    let folder = TempDir::new().unwrap();
    // A file that would grow too large is an error only where the signal for it is ignored.
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; exec \"$0\" full_disk::writes_on_a_disk_that_fills_up --exact --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path().join("store"))
        .output()
        .unwrap();
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    assert!(output.status.success(), "{said}");
}
