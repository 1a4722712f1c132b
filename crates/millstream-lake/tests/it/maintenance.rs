//! Maintenance deletes only what nothing needs.

use std::{collections::BTreeSet, time::Duration};

use millstream_lake::{At, LakeError, MaintainOptions, TableChange};
use millstream_types::TimestampMicros;
use serde_json::json;

use crate::support::{append, create, ids, latest, local, open, overwrite, runtime, stage, table};

const HOUR: i64 = 3_600_000_000;

/// Options for a maintenance that runs `hours` from now.
fn after(hours: i64) -> MaintainOptions {
    let now = TimestampMicros::from_system(std::time::SystemTime::now());
    MaintainOptions {
        retention: Duration::from_secs(24 * 3600),
        staged_grace: Duration::from_secs(24 * 3600),
        ..MaintainOptions::at(TimestampMicros(now.0 + hours * HOUR))
    }
}

fn data_files(folder: &tempfile::TempDir) -> usize {
    let entries = std::fs::read_dir(folder.path().join("silver/orders")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().is_file()).count()
}

#[tokio::test]
async fn small_files_become_one_and_old_versions_stay() {
    let (folder, lake) = local();
    create(&lake, &[0]).await;
    for id in 1..12 {
        append(&lake, &[id]).await;
    }
    let done = lake.maintain(&runtime(&lake), &table(), &after(0)).await.unwrap().unwrap();
    assert_eq!((done.compacted, done.files_compacted, done.files_written), (Some(12), 12, 1));
    assert_eq!(done.checkpoint, Some(12));
    assert_eq!((done.log_files_deleted, done.data_files_deleted, done.earliest), (0, 0, 0));
    let all: Vec<i64> = (0..12).collect();
    for lake in [lake, open(&folder)] {
        assert_eq!(ids(&lake, At::Latest).await, all);
        assert_eq!(ids(&lake, At::Version(4)).await, all[..5]);
        assert_eq!(ids(&lake, At::Version(12)).await, all);
        assert!(lake.changes(&table(), 11, 12).await.unwrap().is_empty());
        assert_eq!(latest(&lake).await.files().len(), 1);
    }
}

#[tokio::test]
async fn compaction_goes_on_in_calls_that_are_bounded() {
    let (_folder, lake) = local();
    create(&lake, &[0]).await;
    for id in 1..12 {
        append(&lake, &[id]).await;
    }
    let size = latest(&lake).await.files()[0].size();
    // Groups of two files, of which a call takes two.
    let options = MaintainOptions { target_bytes: size * 5 / 2, compact_bytes: size * 5, ..after(0) };
    let done = lake.compact(&runtime(&lake), &table(), &options).await.unwrap().unwrap();
    assert_eq!((done.compacted, done.files_compacted, done.files_written), (Some(12), 4, 2));
    assert_eq!((done.files_left, done.checkpoint, done.data_files_deleted), (8, None, 0));
    let (mut calls, mut left) = (1, done.files_left);
    while left > 0 {
        left = lake.compact(&runtime(&lake), &table(), &options).await.unwrap().unwrap().files_left;
        calls += 1;
        assert!(calls < 12, "compaction does not come to an end");
    }
    assert_eq!(ids(&lake, At::Latest).await, (0..12).collect::<Vec<i64>>());
    // A bound below any group takes one all the same.
    append(&lake, &[12]).await;
    let options = MaintainOptions { compact_bytes: 1, ..after(0) };
    let done = lake.compact(&runtime(&lake), &table(), &options).await.unwrap().unwrap();
    assert!(done.files_compacted > 1, "{done:?}");
}

#[tokio::test]
async fn a_checkpoint_keeps_txns_files_and_schema() {
    let (folder, lake) = local();
    create(&lake, &[]).await;
    for epoch in 1..=12 {
        let base = latest(&lake).await;
        crate::support::append_txn(&lake, &base, &[epoch], epoch).await.unwrap();
    }
    let done = lake.maintain(&runtime(&lake), &table(), &after(48)).await.unwrap().unwrap();
    assert_eq!(done.checkpoint, Some(13));
    // What compaction replaced was current until just now, so it stays for a retention more.
    assert_eq!((done.earliest, done.log_files_deleted, done.data_files_deleted), (12, 12, 0));
    let done = lake.maintain(&runtime(&lake), &table(), &after(73)).await.unwrap().unwrap();
    assert_eq!((done.earliest, done.log_files_deleted, done.data_files_deleted), (13, 2, 12));
    let fresh = open(&folder);
    let snapshot = latest(&fresh).await;
    assert_eq!((snapshot.version(), snapshot.txn("landing"), snapshot.rows()), (13, Some(12), Some(12)));
    assert_eq!(snapshot.schema(), crate::support::schema());
    let again = crate::support::append_txn(&fresh, &snapshot, &[12], 12).await.unwrap_err();
    assert!(matches!(again, LakeError::AlreadyCommitted { .. }), "{again}");
    assert_eq!(ids(&fresh, At::Latest).await, (1..=12).collect::<Vec<i64>>());
    assert_eq!(append(&fresh, &[13]).await, 14);
    assert_eq!(ids(&lake, At::Latest).await, (1..=13).collect::<Vec<i64>>());
    let gone = open(&folder).snapshot(&table(), At::Version(3)).await.unwrap_err();
    assert!(matches!(gone, LakeError::VersionUnavailable { earliest: 13, latest: 14, .. }), "{gone}");
    let gone = fresh.changes(&table(), 2, 14).await.unwrap_err();
    assert!(matches!(gone, LakeError::ChangesUnavailable { .. }), "{gone}");
    let gone = fresh.snapshot(&table(), At::Timestamp(TimestampMicros(HOUR))).await.unwrap_err();
    assert_eq!(gone.code(), "MS-0409");
}

#[tokio::test]
async fn a_base_older_than_the_log_conflicts() {
    let (folder, lake) = local();
    create(&lake, &[0]).await;
    append(&lake, &[1]).await;
    let base = latest(&lake).await;
    let other = open(&folder);
    for id in 2..15 {
        overwrite(&other, &[id]).await;
    }
    // The number of the version after the base is free again.
    other.maintain(&runtime(&other), &table(), &after(480)).await.unwrap();
    for (base, free) in [(Some(&*base), 2), (None, 0)] {
        let change = TableChange {
            add: stage(&lake, &[99]).await,
            schema: base.is_none().then(crate::support::schema),
            ..TableChange::default()
        };
        let error = lake.commit(&table(), base, change).await.unwrap_err();
        assert!(matches!(error, LakeError::Conflict { found: 14, .. }), "{error}");
        assert!(!crate::support::commit_file(&folder, free).exists());
    }
    assert_eq!(ids(&lake, At::Latest).await, [14]);
    assert_eq!(append(&lake, &[99]).await, 15);
    assert_eq!(ids(&open(&folder), At::Latest).await, [14, 99]);
}

#[tokio::test]
async fn a_pinned_version_outlives_the_retention() {
    let (folder, lake) = local();
    create(&lake, &[0]).await;
    for id in 1..15 {
        overwrite(&lake, &[id]).await;
    }
    let options = MaintainOptions { pinned: BTreeSet::from([11]), ..after(480) };
    // The second pass finds what the first one left for the pin.
    lake.maintain(&runtime(&lake), &table(), &options).await.unwrap();
    let done = lake.maintain(&runtime(&lake), &table(), &options).await.unwrap().unwrap();
    assert_eq!(ids(&lake, At::Version(11)).await, [11]);
    assert_eq!(ids(&open(&folder), At::Version(11)).await, [11]);
    assert_eq!(ids(&lake, At::Latest).await, [14]);
    assert_eq!(done.earliest, 11);
    assert_eq!(data_files(&folder), 4);
    let done = lake.maintain(&runtime(&lake), &table(), &after(480)).await.unwrap().unwrap();
    assert_eq!((done.earliest, done.data_files_deleted), (14, 3));
    assert_eq!(ids(&lake, At::Latest).await, [14]);
    // A pin of a version that is gone does not stop maintenance.
    overwrite(&lake, &[15]).await;
    let done = lake.maintain(&runtime(&lake), &table(), &options).await.unwrap().unwrap();
    assert_eq!((done.earliest, done.data_files_deleted), (14, 0));
}

#[tokio::test]
async fn versions_inside_the_retention_and_staged_files_are_safe() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    overwrite(&lake, &[2]).await;
    overwrite(&lake, &[3]).await;
    let staged = stage(&lake, &[4]).await;
    let done = lake.maintain(&runtime(&lake), &table(), &after(23)).await.unwrap().unwrap();
    assert_eq!((done.data_files_deleted, data_files(&folder)), (0, 4));
    for version in 0..3 {
        assert_eq!(ids(&lake, At::Version(version)).await, [version + 1]);
    }
    let base = latest(&lake).await;
    let change = TableChange { add: staged, ..TableChange::default() };
    lake.commit(&table(), Some(&base), change).await.unwrap();
    let done = lake.maintain(&runtime(&lake), &table(), &after(25)).await.unwrap().unwrap();
    assert_eq!(done.data_files_deleted, 2);
    for lake in [lake, open(&folder)] {
        assert_eq!(ids(&lake, At::Latest).await, [3, 4]);
        // A version whose files went is not half there.
        for version in 0..3 {
            let gone = lake.snapshot(&table(), At::Version(version)).await.unwrap_err();
            assert!(matches!(gone, LakeError::VersionUnavailable { earliest: 3, .. }), "{gone}");
        }
    }
}

#[tokio::test]
async fn forgotten_files_go_when_they_are_old() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    stage(&lake, &[2]).await;
    let options = MaintainOptions { retention: Duration::ZERO, ..after(1) };
    let done = lake.maintain(&runtime(&lake), &table(), &options).await.unwrap().unwrap();
    assert_eq!((done.data_files_young, data_files(&folder)), (1, 2));
    let done = lake.maintain(&runtime(&lake), &table(), &after(30)).await.unwrap().unwrap();
    assert_eq!((done.data_files_deleted, data_files(&folder)), (1, 1));
    assert!(done.bytes_deleted > 0);
    assert_eq!(ids(&lake, At::Latest).await, [1]);
}

#[tokio::test]
async fn what_nobody_committed_goes_when_the_work_failed() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    let base = latest(&lake).await;
    let [kept, failed] = [stage(&lake, &[2]).await, stage(&lake, &[3]).await];
    let change = |add| TableChange { add, ..TableChange::default() };
    lake.commit(&table(), Some(&base), change(kept)).await.unwrap();
    overwrite(&open(&folder), &[4]).await;
    let error = lake.commit(&table(), Some(&base), change(failed)).await.unwrap_err();
    assert!(matches!(error, LakeError::Conflict { .. }), "{error}");
    assert_eq!(data_files(&folder), 4);
    lake.abandon(&table()).await;
    assert_eq!(data_files(&folder), 3);
    assert_eq!(ids(&lake, At::Version(1)).await, [1, 2]);
}

#[tokio::test]
async fn changes_whose_removed_files_are_gone_are_unavailable() {
    let (folder, lake) = local();
    create(&lake, &[0]).await;
    let before = latest(&lake).await;
    overwrite(&lake, &[1]).await;
    std::fs::remove_file(folder.path().join("silver/orders").join(before.files()[0].path())).unwrap();
    let lost = lake.changes(&table(), 0, 1).await.unwrap_err();
    assert_eq!(lost.code(), "MS-0410");
}

#[tokio::test]
async fn a_version_is_told_from_another_under_its_number() {
    let (folder, lake) = local();
    create(&lake, &[0]).await;
    append(&lake, &[1]).await;
    let first = lake.identity(&table(), 1).await.unwrap();
    assert!(first.is_some());
    assert_eq!(open(&folder).identity(&table(), 1).await.unwrap(), first);
    assert_eq!(lake.identity(&table(), 2).await.unwrap(), None);
    std::fs::remove_file(crate::support::commit_file(&folder, 1)).unwrap();
    append(&open(&folder), &[1]).await;
    assert_ne!(open(&folder).identity(&table(), 1).await.unwrap(), first);
}

#[tokio::test]
async fn changes_whose_files_are_gone_are_unavailable() {
    let (folder, lake) = local();
    create(&lake, &[0]).await;
    for id in 1..12 {
        append(&lake, &[id]).await;
    }
    let added = lake.changes(&table(), 3, 11).await.unwrap().added;
    lake.maintain(&runtime(&lake), &table(), &after(0)).await.unwrap();
    assert_eq!(lake.changes(&table(), 3, 12).await.unwrap().added, added);
    std::fs::remove_file(folder.path().join("silver/orders").join(added[0].path())).unwrap();
    let lost = lake.changes(&table(), 3, 12).await.unwrap_err();
    assert!(lost.to_string().contains(added[0].path()), "{lost}");
    assert_eq!(lost.code(), "MS-0410");
}

#[tokio::test]
async fn a_table_that_may_not_be_written_is_left_as_it_is() {
    let check = async |protocol: serde_json::Value| {
        let (folder, lake) = local();
        let mut files = Vec::new();
        for (version, name) in ["one.parquet", "two.parquet", "three.parquet"].into_iter().enumerate() {
            files.push(crate::support::add(&folder, name, &[version as i64]));
            let mut actions = vec![files[version].clone()];
            if version == 0 {
                actions.extend([json!({ "protocol": protocol }), crate::support::definition()[1].clone()]);
            } else {
                actions.push(crate::support::remove(&files[version - 1]));
            }
            crate::support::write_commit(&folder, version as i64, &actions);
        }
        assert_eq!(ids(&lake, At::Latest).await, [2]);
        let error = lake.maintain(&runtime(&lake), &table(), &after(480)).await.unwrap_err();
        assert_eq!(error.code(), "MS-0411", "{protocol}");
        assert_eq!(data_files(&folder), 3, "{protocol}");
    };
    check(json!({"minReaderVersion": 1, "minWriterVersion": 4})).await;
    let feature = ["checkConstraints"];
    check(json!({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": feature})).await;
}

#[tokio::test]
async fn what_the_table_itself_keeps_is_kept() {
    // Twenty days after the last version, with a retention of one day.
    let check = async |settings: serde_json::Value, deletes: bool| {
        let (folder, lake) = local();
        create(&lake, &[0]).await;
        let log = std::fs::read_to_string(crate::support::commit_file(&folder, 0)).unwrap();
        let settings_text = format!("\"configuration\":{settings}");
        let log = log.replace("\"configuration\":{}", &settings_text);
        std::fs::write(crate::support::commit_file(&folder, 0), log).unwrap();
        let lake = open(&folder);
        for id in 1..12 {
            overwrite(&lake, &[id]).await;
        }
        let done = lake.maintain(&runtime(&lake), &table(), &after(480)).await.unwrap().unwrap();
        assert_eq!(done.checkpoint, Some(11), "{settings}");
        let deleted = (done.log_files_deleted, done.data_files_deleted, done.earliest);
        assert_eq!(deleted, if deletes { (11, 11, 11) } else { (0, 0, 0) }, "{settings}");
    };
    check(json!({}), true).await;
    check(json!({"delta.enableExpiredLogCleanup": "true"}), true).await;
    check(json!({"delta.enableExpiredLogCleanup": "false"}), false).await;
    for key in ["delta.logRetentionDuration", "delta.deletedFileRetentionDuration"] {
        check(json!({ key: "interval 1 hours" }), true).await;
        check(json!({ key: "INTERVAL 2 weeks 5 days" }), true).await;
        check(json!({ key: "interval 30 days" }), false).await;
        check(json!({ key: "4 weeks" }), false).await;
        check(json!({ key: "interval 1 month" }), false).await;
        check(json!({ key: "interval" }), false).await;
    }
}

#[tokio::test]
async fn an_absent_table_needs_no_maintenance() {
    let (_folder, lake) = local();
    assert_eq!(lake.maintain(&runtime(&lake), &table(), &after(0)).await.unwrap(), None);
}
