//! The file's format: samples of past versions stay readable, and foreign files are refused.

use std::fs;

use millstream_plan::{AssetKind, AssetStatus};
use millstream_state::{Artifact, RunOutcome, State, StepOutcome};
use millstream_types::{AssetVersion, SourceName, TimestampMicros};
use rusqlite::Connection;

use crate::world::{asset, run, table};

#[tokio::test]
async fn a_store_of_version_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    Connection::open(&path).unwrap().execute_batch(include_str!("../data/state_v1.sql")).unwrap();
    let state = State::open(&path).await.unwrap();
    let run = state.last_run().await.unwrap().unwrap();
    assert_eq!((run.run.as_str(), run.outcome), ("0199-b", Some(RunOutcome::Failed)));
    let steps = state.steps(&run.run).await.unwrap();
    let failed = StepOutcome::Failed {
        code: "MS-0401".into(),
        error: "disk full".into(),
        hint: Some("free space".into()),
    };
    assert_eq!(steps.last().unwrap().outcome, failed);
    let recorded = state.recorded().await.unwrap();
    let orders = &recorded[&asset("silver.orders")];
    assert_eq!(orders.input_versions, [(asset("bronze.orders"), AssetVersion::numbered(3))].into());
    assert_eq!(orders.status, AssetStatus::Failed { code: "MS-0401".into(), error: "disk full".into() });
    assert_eq!(recorded[&asset("bronze.orders")].built_at, TimestampMicros(1_790_000_000_000_000));
    let landing = state.landing(&SourceName::new("orders").unwrap()).await.unwrap();
    assert_eq!((landing.epoch, landing.next_sequence, landing.parts.len()), (3, 4_200, 2));
    assert_eq!(state.schema_versions(&table("bronze.orders")).await.unwrap().len(), 2);
    assert_eq!(state.known_checks(&asset("bronze.orders")).await.unwrap().len(), 1);
    let file = Connection::open(&path).unwrap();
    let figures = "SELECT count(*) FROM metrics WHERE asset = 'bronze.orders' AND name = 'row_count'";
    assert_eq!(file.query_row(figures, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    assert_eq!(state.pins().await.unwrap()[0].pinned_by, "dataset churn");
    assert_eq!(artifacts(&state).await, [""; 0]);
}

#[tokio::test]
async fn a_store_of_version_2_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let file = Connection::open(&path).unwrap();
    file.execute_batch(include_str!("../data/state_v1.sql")).unwrap();
    file.execute_batch(include_str!("../data/state_v2.sql")).unwrap();
    drop(file);
    let state = State::open(&path).await.unwrap();
    assert_eq!(artifacts(&state).await, ARTIFACTS[..3]);
    assert_eq!(state.verifications(1).await.unwrap(), [(TimestampMicros(7), "{}".into())]);
}

/// The versions of the samples' artifacts.
pub(crate) const ARTIFACTS: [&str; 4] = [
    "service churn_v1@1: aa {} None None since 5, removed None",
    "service churn_v1@2: bb {} None None since 6, removed Some(TimestampMicros(9))",
    r#"dataset churn@1: cc {} Some("churn.parquet") Some("churn_v1@1") since 6, removed None"#,
    r#"dataset churn@2: dd {"rows": 2} Some("other.parquet") None since 8, removed None"#,
];

/// All that is recorded of services and datasets, which past versions had in tables of their own.
pub(crate) async fn artifacts(state: &State) -> Vec<String> {
    let mut told = Vec::new();
    for kind in ["service", "dataset"] {
        for known in state.artifacts(AssetKind::new(kind)).await.unwrap() {
            let Artifact { name, version, hash, definition, location, made_of, at, removed_at, .. } = known;
            told.push(format!(
                "{kind} {name}@{version}: {hash} {definition} {location:?} {made_of:?} since {}, removed {removed_at:?}",
                at.0
            ));
        }
    }
    told
}

#[tokio::test]
async fn a_store_of_version_4_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let file = Connection::open(&path).unwrap();
    file.execute_batch(include_str!("../data/state_v1.sql")).unwrap();
    file.execute_batch(include_str!("../data/state_v2.sql")).unwrap();
    file.execute_batch(include_str!("../data/state_v4.sql")).unwrap();
    let state = State::open(&path).await.unwrap();
    assert_eq!(artifacts(&state).await, ARTIFACTS);
    let left = "SELECT count(*) FROM sqlite_schema WHERE name IN ('service_versions', 'dataset_versions')";
    assert_eq!(file.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    assert_eq!(
        state.published().await.unwrap(),
        [(asset("bronze.orders"), AssetVersion::numbered(1))].into()
    );
    let leases = state.leases(TimestampMicros(8)).await.unwrap();
    assert_eq!((leases[0].token.0, leases[0].holder.command.as_str()), (7, "run"));
    assert_eq!(leases[0].assets, [asset("silver.orders")].into());
}

#[tokio::test]
async fn a_store_of_version_5_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let file = Connection::open(&path).unwrap();
    for text in [
        include_str!("../data/state_v1.sql"),
        include_str!("../data/state_v2.sql"),
        include_str!("../data/state_v4.sql"),
        include_str!("../data/state_v5.sql"),
    ] {
        file.execute_batch(text).unwrap();
    }
    let state = State::open(&path).await.unwrap();
    assert_eq!(artifacts(&state).await, ["dataset churn@3: ee {} None None since 9, removed None"]);
    assert!(state.scheduled_assets().await.unwrap().is_empty());
    assert!(state.schedule_decisions(9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_store_of_version_6_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let file = Connection::open(&path).unwrap();
    for text in [
        include_str!("../data/state_v1.sql"),
        include_str!("../data/state_v2.sql"),
        include_str!("../data/state_v4.sql"),
        include_str!("../data/state_v5.sql"),
        include_str!("../data/state_v6.sql"),
    ] {
        file.execute_batch(text).unwrap();
    }
    check_scheduled(&State::open(&path).await.unwrap()).await;
}

/// What the samples of the versions that first had schedules say.
pub(crate) async fn check_scheduled(state: &State) {
    let [scheduled] = state.scheduled_assets().await.unwrap().try_into().unwrap();
    assert_eq!(
        (scheduled.running.unwrap().attempt, scheduled.triggers.len(), scheduled.durations.len()),
        (1, 1, 2)
    );
    assert_eq!((scheduled.failures, scheduled.is_unreachable, scheduled.aside), (0, false, None));
    assert_eq!(state.schedule_decisions(9).await.unwrap().len(), 1);
    assert!(state.circuits().await.unwrap().is_empty() && state.sla_promises().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(State::open(&path).await.unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = State::open(&path).await.unwrap_err();
    assert_eq!(error.code(), "MS-0603");
    assert!(
        error.to_string().contains("newer version of Millstream (format 99, this version knows "),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_of_a_format_that_never_was_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(State::open(&path).await.unwrap());
    for format in [0, -3] {
        Connection::open(&path).unwrap().pragma_update(None, "user_version", format).unwrap();
        let error = State::open(&path).await.unwrap_err();
        assert_eq!(error.code(), "MS-0618", "{error}");
        let told = format!("has the format {format}, which no version of Millstream has made");
        assert!(error.to_string().contains(&told) && error.hint().is_some(), "{error}");
    }
    let empty = folder.path().join("empty.db");
    Connection::open(&empty).unwrap().pragma_update(None, "user_version", 3).unwrap();
    assert_eq!(State::open(&empty).await.unwrap_err().code(), "MS-0618");
}

#[tokio::test]
async fn a_database_of_someone_else_and_a_file_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert_eq!(State::open(&other).await.unwrap_err().code(), "MS-0604");
    let text = folder.path().join("text.db");
    fs::write(&text, "this is not a database, but a long enough text to be taken for one".repeat(40))
        .unwrap();
    let damaged = State::open(&text).await.unwrap_err();
    assert_eq!(damaged.code(), "MS-0610");
    assert!(damaged.hint().unwrap().contains("takes versions and positions from the lake"));
    fs::create_dir(folder.path().join("folder.db")).unwrap();
    assert_eq!(State::open(&folder.path().join("folder.db")).await.unwrap_err().code(), "MS-0601");
    assert_eq!(State::open(&text.join("below/state.db")).await.unwrap_err().code(), "MS-0602");
}

#[tokio::test]
async fn many_processes_may_open_a_new_store_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let opened: Vec<_> = (0..8).map(|_| tokio::spawn(State::open(&path))).collect();
    for opened in opened {
        assert!(opened.await.unwrap().unwrap().recorded().await.unwrap().is_empty());
    }
}

/// A user who may not write reads a store that was closed, and finds a store that is not there yet empty.
#[cfg(unix)]
#[tokio::test]
async fn who_may_not_write_may_read() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a #b?%20.db");
    drop(State::open(&path).await.unwrap());
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&path, 0o444);
    mode(folder.path(), 0o555);
    if fs::File::create(folder.path().join("probe")).is_ok() {
        // The tests run as a user whom permissions do not bind.
        return;
    }
    let state = State::open(&path).await.unwrap();
    assert!(state.recorded().await.unwrap().is_empty());
    let error = state.begin_run(&run(1)).await.unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("this user may read the state store, but not write it"));
    let state = State::open(&folder.path().join("deep/other.db")).await.unwrap();
    assert!(state.recorded().await.unwrap().is_empty());
    mode(folder.path(), 0o755);
}
