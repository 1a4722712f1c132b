//! A fresh store in a folder that vanishes with the test.

use std::{path::Path, time::Duration};

use millstream_plan::{AssetStatus, Reason, Recorded};
use millstream_state::{RunStart, State, StepEnd, StepOutcome, StepRecord};
use millstream_types::{AssetId, Fingerprint, RunId, TableName, TimestampMicros};
use rusqlite::Connection;
use tempfile::TempDir;

/// Where the store lies in its folder.
pub(crate) const STORE: &str = "deep/state.db";

pub(crate) async fn store() -> (TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&folder.path().join(STORE)).await.unwrap();
    (folder, state)
}

pub(crate) fn asset(name: &str) -> AssetId {
    AssetId::new(name)
}

pub(crate) fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

pub(crate) fn run(number: i64) -> RunStart {
    RunStart {
        run: RunId::new(&format!("run-{number}")),
        command: "millstream run".into(),
        version: "0.1.0".into(),
        started: TimestampMicros(number * 1_000),
    }
}

pub(crate) fn recorded(version: i64) -> Recorded {
    Recorded {
        fingerprint: Fingerprint::new([7; 32]),
        input_versions: [(asset("bronze.a"), version), (asset("bronze.b"), 2)].into(),
        version: Some(version),
        rows: Some(10),
        built_at: TimestampMicros(5),
        status: AssetStatus::Built,
    }
}

pub(crate) fn step(run: &RunId, name: &str, outcome: StepOutcome) -> StepRecord {
    StepRecord {
        run: run.clone(),
        asset: asset(name),
        reason: String::new(),
        reason_text: String::new(),
        outcome,
        rows_written: 3,
        rows_deleted: 2,
        rows_rejected: u64::MAX >> 1,
        version: Some(4),
        finished: TimestampMicros(9),
        elapsed: Duration::from_micros(1_500),
    }
    .with_reason(&Reason::NewInput { from: vec!["bronze.a".into()] })
}

pub(crate) fn end<'a>(step: &'a StepRecord, recorded: Option<&'a Recorded>) -> StepEnd<'a> {
    StepEnd { step, recorded, checks: &[], metrics: &[] }
}

/// The values of a figure that are recorded, newest first.
pub(crate) fn metrics(path: &Path, asset: &str, name: &str) -> Vec<(i64, f64)> {
    let file = Connection::open(path).unwrap();
    let sql = "SELECT at, value FROM metrics WHERE asset = ?1 AND name = ?2 ORDER BY at DESC";
    let mut statement = file.prepare(sql).unwrap();
    let rows = statement.query_map([asset, name], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}
