//! Reading versions, instants, changes and the history.

use millstream_lake::{At, LakeError, TableChange};
use millstream_types::TimestampMicros;
use serde_json::json;

use crate::support::{
    append, create, ids, ids_of, latest, local, open, overwrite, rows, stage, stage_batch, table,
};

#[tokio::test]
async fn every_version_keeps_its_rows() {
    let (folder, lake) = local();
    assert_eq!(create(&lake, &[1, 2]).await, 0);
    assert_eq!(append(&lake, &[3]).await, 1);
    assert_eq!(overwrite(&lake, &[9]).await, 2);
    for lake in [lake, open(&folder)] {
        assert_eq!(ids(&lake, At::Version(0)).await, [1, 2]);
        assert_eq!(ids(&lake, At::Version(1)).await, [1, 2, 3]);
        assert_eq!(ids(&lake, At::Version(2)).await, [9]);
        assert_eq!(ids(&lake, At::Latest).await, [9]);
        let snapshot = latest(&lake).await;
        assert_eq!((snapshot.version(), snapshot.rows()), (2, Some(1)));
    }
}

#[tokio::test]
async fn an_absent_table_is_no_error() {
    let (_folder, lake) = local();
    assert!(lake.snapshot(&table(), At::Latest).await.unwrap().is_none());
    assert!(lake.snapshot(&table(), At::Version(3)).await.unwrap().is_none());
    assert_eq!(lake.probe(&table(), None).await.unwrap(), None);
    assert_eq!(lake.probe(&table(), Some(3)).await.unwrap(), None);
    assert!(lake.history(&table(), None).await.unwrap().is_empty());
    assert!(lake.tables().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_version_outside_the_range_names_the_range() {
    let (_folder, lake) = local();
    create(&lake, &[1]).await;
    append(&lake, &[2]).await;
    let error = lake.snapshot(&table(), At::Version(7)).await.unwrap_err();
    assert!(matches!(error, LakeError::VersionUnavailable { wanted: 7, earliest: 0, latest: 1, .. }));
    assert_eq!(error.to_string(), "version 7 of silver.orders is not available, versions 0 to 1 are");
    assert_eq!(error.code(), "MS-0408");
}

#[tokio::test]
async fn an_instant_finds_the_version_that_was_current() {
    let (_folder, lake) = local();
    let at = |seconds: i64| TimestampMicros(1_700_000_000_000_000 + seconds * 1_000_000);
    let make = |base: Option<i64>, id: i64, seconds: i64| {
        let lake = lake.clone();
        async move {
            let base = match base {
                Some(version) => lake.snapshot(&table(), At::Version(version)).await.unwrap(),
                None => None,
            };
            let change = TableChange {
                add: stage(&lake, &[id]).await,
                schema: base.is_none().then(crate::support::schema),
                at: Some(at(seconds)),
                ..TableChange::default()
            };
            lake.commit(&table(), base.as_deref(), change).await.unwrap()
        }
    };
    make(None, 1, 0).await;
    make(Some(0), 2, 10).await;
    make(Some(1), 3, 20).await;
    // A clock that went back does not break the order of versions.
    make(Some(2), 4, 5).await;
    for (seconds, version) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (21, 3), (1000, 3)] {
        let snapshot = lake.snapshot(&table(), At::Timestamp(at(seconds))).await.unwrap().unwrap();
        assert_eq!(snapshot.version(), version, "at second {seconds}");
    }
    let early = lake.snapshot(&table(), At::Timestamp(at(-1))).await.unwrap_err();
    assert_eq!(early.code(), "MS-0409");
    assert!(early.to_string().contains("2023-11-14T22:13:20.000Z"), "{early}");
}

#[tokio::test]
async fn a_probe_sees_commits_of_others() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    let other = open(&folder);
    assert_eq!(other.probe(&table(), None).await.unwrap(), Some(0));
    append(&lake, &[2]).await;
    append(&lake, &[3]).await;
    assert_eq!(other.probe(&table(), Some(0)).await.unwrap(), Some(2));
    assert_eq!(other.probe(&table(), Some(2)).await.unwrap(), Some(2));
    assert_eq!(ids(&other, At::Latest).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_table_deleted_by_hand_is_gone_for_a_warm_cache() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    append(&lake, &[2]).await;
    std::fs::remove_dir_all(folder.path().join("silver")).unwrap();
    assert_eq!(lake.probe(&table(), Some(1)).await.unwrap(), None);
    assert!(lake.snapshot(&table(), At::Latest).await.unwrap().is_none());
    create(&lake, &[5]).await;
    assert_eq!(ids(&lake, At::Latest).await, [5]);
}

#[tokio::test]
async fn a_table_made_anew_elsewhere_is_the_new_one_for_a_warm_cache() {
    for versions in 2..=4 {
        let (folder, lake) = local();
        create(&lake, &[1]).await;
        append(&lake, &[2]).await;
        assert_eq!(latest(&lake).await.version(), 1);
        std::fs::remove_dir_all(folder.path().join("silver")).unwrap();
        let other = open(&folder);
        create(&other, &[10]).await;
        for id in 11..10 + versions {
            append(&other, &[id]).await;
        }
        assert_eq!(ids(&lake, At::Latest).await, (10..10 + versions).collect::<Vec<i64>>());
    }
}

#[tokio::test]
async fn a_version_of_a_table_made_anew_elsewhere_is_the_new_ones_for_a_warm_cache() {
    for asked in 0..=2 {
        let (folder, lake) = local();
        create(&lake, &[1]).await;
        append(&lake, &[2]).await;
        for _ in 0..2 {
            assert_eq!(latest(&lake).await.version(), 1);
        }
        std::fs::remove_dir_all(folder.path().join("silver")).unwrap();
        let other = open(&folder);
        create(&other, &[10, 20]).await;
        append(&other, &[11, 21]).await;
        append(&other, &[12, 22]).await;
        let expected: Vec<i64> = (0..=asked).flat_map(|version| [10 + version, 20 + version]).collect();
        let mut read = ids(&lake, At::Version(asked)).await;
        read.sort_by_key(|id| (id % 10, *id));
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn changes_are_net_and_ignore_compaction() {
    let (_folder, lake) = local();
    create(&lake, &[1]).await;
    append(&lake, &[2]).await;
    let base = latest(&lake).await;
    let compacted = stage(&lake, &[1, 2]).await;
    let change = TableChange {
        add: compacted,
        remove: base.files().to_vec(),
        data_change: false,
        ..TableChange::default()
    };
    lake.commit(&table(), Some(&base), change).await.unwrap();
    append(&lake, &[3]).await;
    overwrite(&lake, &[1, 2, 4]).await;

    let check = |from, to, added: &'static [i64], removed: &'static [i64]| {
        let lake = lake.clone();
        async move {
            let changes = lake.changes(&table(), from, to).await.unwrap();
            let schema = changes.to_schema.clone();
            let got = (
                ids_of(&lake, schema.clone(), &changes.added).await,
                ids_of(&lake, schema, &changes.removed).await,
            );
            assert_eq!(got, (added.to_vec(), removed.to_vec()), "from {from} to {to}");
        }
    };
    check(0, 1, &[2], &[]).await;
    check(1, 2, &[], &[]).await;
    check(0, 3, &[2, 3], &[]).await;
    check(1, 4, &[1, 2, 4], &[1, 2]).await;
    check(3, 4, &[1, 2, 4], &[1, 2, 3]).await;
    check(4, 4, &[], &[]).await;
    for (from, to) in [(3, 2), (4, 9), (-1, 2)] {
        let error = lake.changes(&table(), from, to).await.unwrap_err();
        assert_eq!(error.code(), "MS-0410", "from {from} to {to}: {error}");
    }
}

#[tokio::test]
async fn history_gives_back_what_the_change_said() {
    let (_folder, lake) = local();
    create(&lake, &[1]).await;
    let base = latest(&lake).await;
    let change = TableChange {
        add: stage_batch(&lake, &rows(&[2])).await,
        txns: vec![("landing".into(), 7)],
        info: json!({"epoch": 7, "parts": ["a.csv"]}),
        ..TableChange::default()
    };
    lake.commit(&table(), Some(&base), change).await.unwrap();
    let history = lake.history(&table(), None).await.unwrap();
    assert_eq!(history.iter().map(|commit| commit.version).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(history[0].info, json!({"epoch": 7, "parts": ["a.csv"]}));
    assert_eq!(history[0].txns, [("landing".to_owned(), 7)]);
    assert_eq!((history[0].operation.as_str(), history[0].files_added), ("WRITE", 1));
    assert_eq!(lake.history(&table(), Some(1)).await.unwrap().len(), 1);
    assert_eq!(lake.tables().await.unwrap(), [table()]);
}
