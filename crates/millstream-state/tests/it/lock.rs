//! One run at a time, whatever happens to the other one.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use millstream_state::{Holder, RunLock, State, StateError, StepOutcome};
use millstream_types::TimestampMicros;

use crate::world::{end, recorded, run, step};

const NO_WAIT: Duration = Duration::ZERO;
const FOLDER: &str = "MILLSTREAM_TEST_LOCK_FOLDER";

fn holder(started_s: i64) -> Holder {
    Holder::this_process("millstream run", TimestampMicros(started_s * 1_000_000))
}

#[test]
fn a_second_run_is_refused_with_the_first_ones_name() {
    let folder = tempfile::tempdir().unwrap();
    let first = RunLock::acquire(folder.path(), &holder(100), NO_WAIT).unwrap();
    assert_eq!(RunLock::holder(folder.path()), Some(holder(100)));
    let error = RunLock::acquire(folder.path(), &holder(112), NO_WAIT).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with(&format!("a run by pid {}", std::process::id())), "{message}");
    assert!(message.ends_with("started 12 s ago, holds this project"), "{message}");
    assert_eq!(error.code(), "MS-0608");
    assert!(error.is_transient());
    drop(first);
    assert_eq!(RunLock::holder(folder.path()), None);
    RunLock::acquire(folder.path(), &holder(113), NO_WAIT).unwrap();
}

#[test]
fn a_second_run_can_wait() {
    let folder = tempfile::tempdir().unwrap();
    let first = RunLock::acquire(folder.path(), &holder(1), NO_WAIT).unwrap();
    let asked = Instant::now();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| RunLock::acquire(folder.path(), &holder(2), Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(200));
        drop(first);
        second.join().unwrap().unwrap();
    });
    assert!(asked.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_broken_lock_file_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run.lock"), b"\xff{\"pid\":").unwrap();
    let _lock = RunLock::acquire(folder.path(), &holder(1), NO_WAIT).unwrap();
    assert_eq!(RunLock::holder(folder.path()), Some(holder(1)));
}

#[tokio::test]
async fn the_lock_of_a_killed_run_is_free_and_what_it_recorded_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start_holder(folder.path());
    let error = RunLock::acquire(folder.path(), &holder(1), NO_WAIT).unwrap_err();
    let StateError::Locked { holder: Some(found), .. } = error else { panic!("{error}") };
    assert_eq!(found.pid, child.id());
    // The other process records steps all the while; reading is not held up by it.
    let state = State::open(&folder.path().join("state.db")).await.unwrap();
    let mut seen = 0;
    while seen < 200 {
        let steps = state.steps(&run(1).run).await.unwrap();
        assert!(steps.len() >= seen);
        seen = steps.len();
        assert!(state.recorded().await.unwrap().len() >= seen.min(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let _lock = RunLock::acquire(folder.path(), &holder(2), NO_WAIT).unwrap();
    let steps = State::open(&folder.path().join("state.db")).await.unwrap().steps(&run(1).run).await.unwrap();
    assert!(steps.len() >= seen);
    state.record_step(&end(&step(&run(2).run, "silver.t", StepOutcome::Built), None)).await.unwrap();
}

/// This test binary again, as a process that holds the lock and records steps until it is killed.
fn start_holder(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lock::hold_until_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.map_while(Result::ok).any(|line| line.contains("holding")),
        "the child never took the lock"
    );
    child
}

/// Does nothing unless it is the other process of the test above.
#[tokio::test]
async fn hold_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let _lock = RunLock::acquire(folder, &holder(0), NO_WAIT).unwrap();
    let state = State::open(&folder.join("state.db")).await.unwrap();
    println!("\nholding");
    let until = Instant::now() + Duration::from_secs(120);
    let mut version = 0;
    while Instant::now() < until {
        version += 1;
        state
            .record_step(&end(&step(&run(1).run, "silver.t", StepOutcome::Built), Some(&recorded(version))))
            .await
            .unwrap();
    }
}
