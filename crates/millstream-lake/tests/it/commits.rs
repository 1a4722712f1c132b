//! The commit path: exactly once, conflicts, schema changes, refusals.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use millstream_lake::{At, LakeError, LakeTable, Operation, TableChange};

use crate::support::{
    actions, append, append_txn, create, ids, latest, local, open, overwrite, schema, session, stage,
    stage_batch, table,
};

#[tokio::test]
async fn a_txn_is_committed_once() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    let base = latest(&lake).await;
    assert_eq!(append_txn(&lake, &base, &[2], 1).await.unwrap(), 1);
    // The process that never saw the answer tries again, from the old base and from a new one.
    let again = append_txn(&open(&folder), &base, &[2], 1).await.unwrap_err();
    assert!(matches!(again, LakeError::AlreadyCommitted { version: 1, .. }), "{again}");
    let again = append_txn(&lake, &*latest(&lake).await, &[2], 1).await.unwrap_err();
    assert!(matches!(again, LakeError::AlreadyCommitted { version: 1, .. }), "{again}");
    assert_eq!(latest(&lake).await.txn("landing"), Some(1));
    assert_eq!(ids(&open(&folder), At::Latest).await, [1, 2]);
}

#[tokio::test]
async fn a_zombie_with_a_newer_epoch_but_an_old_base_is_fenced() {
    let (folder, lake) = local();
    create(&lake, &[]).await;
    let base = latest(&lake).await;
    append_txn(&lake, &base, &[1], 1).await.unwrap();
    let zombie = append_txn(&open(&folder), &base, &[1], 2).await.unwrap_err();
    assert!(matches!(zombie, LakeError::Conflict { base: Some(0), found: 1, .. }), "{zombie}");
    assert!(zombie.retryable());
}

#[tokio::test]
async fn appends_step_over_appends_but_not_over_replacements() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    let (other, base) = (open(&folder), latest(&lake).await);
    append(&other, &[2]).await;
    assert_eq!(append_txn(&lake, &base, &[3], 1).await.unwrap(), 2);
    assert_eq!(ids(&lake, At::Latest).await, [1, 2, 3]);

    let base = latest(&lake).await;
    overwrite(&other, &[9]).await;
    let error = append_txn(&lake, &base, &[4], 2).await.unwrap_err();
    assert!(matches!(error, LakeError::Conflict { found: 3, .. }), "{error}");
    let removal = TableChange { remove: base.files().to_vec(), ..TableChange::default() };
    let error = lake.commit(&table(), Some(&base), removal).await.unwrap_err();
    assert!(matches!(error, LakeError::Conflict { found: 3, .. }), "{error}");
    assert_eq!(ids(&lake, At::Latest).await, [9]);
}

#[tokio::test]
async fn only_an_append_steps_over_rows_that_it_did_not_see() {
    let (folder, lake) = local();
    create(&lake, &[]).await;
    let other = open(&folder);
    let mut number = 0;
    let mut check = async |operation, holds: bool| {
        let base = latest(&lake).await;
        number += 1;
        append(&other, &[number]).await;
        let change = TableChange { add: stage(&lake, &[-number]).await, operation, ..TableChange::default() };
        let committed = lake.commit(&table(), Some(&base), change).await;
        assert_eq!(committed.is_ok(), holds, "{operation:?}: {committed:?}");
        assert!(!matches!(&committed, Err(error) if !error.retryable()), "{operation:?}: {committed:?}");
        if let Ok(version) = committed {
            assert_eq!(actions(&folder, version, "commitInfo")[0]["isBlindAppend"], true);
        }
    };
    check(Operation::Append, true).await;
    check(Operation::Merge, false).await;
    check(Operation::History, false).await;
    check(Operation::Recompute, false).await;
    check(Operation::Overwrite, false).await;

    let change = TableChange { operation: Operation::Merge, ..TableChange::default() };
    let version = lake.commit(&table(), Some(&*latest(&lake).await), change).await.unwrap();
    assert_eq!(actions(&folder, version, "commitInfo")[0]["isBlindAppend"], false);
}

#[tokio::test]
async fn compaction_and_appends_step_over_each_other() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    append(&lake, &[2]).await;
    let (other, base) = (open(&folder), latest(&lake).await);
    append(&other, &[3]).await;
    let change = TableChange {
        add: stage(&lake, &[1, 2]).await,
        remove: base.files().to_vec(),
        operation: Operation::Compact,
        data_change: false,
        ..TableChange::default()
    };
    lake.commit(&table(), Some(&base), change).await.unwrap();
    let base = latest(&lake).await;
    assert_eq!(ids(&other, At::Latest).await, [1, 2, 3]);
    assert_eq!(base.files().len(), 2);
}

#[tokio::test]
async fn creating_twice_conflicts() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    let change = TableChange { schema: Some(schema()), ..TableChange::default() };
    let error = open(&folder).commit(&table(), None, change).await.unwrap_err();
    assert!(matches!(error, LakeError::Conflict { base: None, found: 0, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "silver.orders moved to version 0 while a change of a new table was being written"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_in_two_lakes_lose_and_repeat_nothing() {
    let (folder, lake) = local();
    create(&lake, &[]).await;
    let lakes = [lake.clone(), open(&folder)];
    let writers = (0..8).map(|writer| {
        let lake = lakes[writer % 2].clone();
        tokio::spawn(async move {
            for round in 0..10 {
                let id = (writer * 100 + round) as i64;
                loop {
                    let base = latest(&lake).await;
                    let txns = vec![(format!("writer {writer}"), round as i64 + 1)];
                    let change =
                        TableChange { add: stage(&lake, &[id]).await, txns, ..TableChange::default() };
                    match lake.commit(&table(), Some(&base), change).await {
                        Ok(_) => break,
                        Err(error) => assert!(error.retryable(), "{error}"),
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut expected: Vec<i64> = (0..8).flat_map(|w| (0..10).map(move |r| w * 100 + r)).collect();
    expected.sort_unstable();
    assert_eq!(ids(&open(&folder), At::Latest).await, expected);
    assert_eq!(latest(&lake).await.version(), 80);
}

fn wider() -> Arc<Schema> {
    let mut fields: Vec<_> = schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("amount", DataType::Float64, true)));
    Arc::new(Schema::new(fields))
}

#[tokio::test]
async fn an_added_column_is_null_in_older_rows() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![2])),
        Arc::new(StringArray::from(vec!["two"])),
        Arc::new(Float64Array::from(vec![2.5])),
    ];
    let batch = RecordBatch::try_new(wider(), columns).unwrap();
    let base = latest(&lake).await;
    let add = stage_batch(&lake, &batch).await;
    let change = TableChange { add, schema: Some(wider()), ..TableChange::default() };
    lake.commit(&table(), Some(&base), change).await.unwrap();

    let lake = open(&folder);
    let (old, new) = (lake.snapshot(&table(), At::Version(0)).await.unwrap().unwrap(), latest(&lake).await);
    assert_eq!((old.schema().fields().len(), new.schema().fields().len()), (2, 3));
    let context = session(&lake);
    for (name, snapshot) in [("old", &old), ("new", &new)] {
        let provider = LakeTable::new(&lake, snapshot.schema(), snapshot.files().to_vec()).unwrap();
        context.register_table(name, provider).unwrap();
    }
    let sql = "SELECT new.id, new.amount, old.id AS before FROM new LEFT JOIN old ON new.id = old.id \
               WHERE amount IS NULL OR amount > 1 ORDER BY new.id";
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
    assert_eq!(
        shown,
        "+----+--------+--------+\n\
         | id | amount | before |\n\
         +----+--------+--------+\n\
         | 1  |        | 1      |\n\
         | 2  | 2.5    |        |\n\
         +----+--------+--------+"
    );
    let changes = lake.changes(&table(), 0, 1).await.unwrap();
    assert_eq!((changes.from_schema.fields().len(), changes.to_schema.fields().len()), (2, 3));
}

#[tokio::test]
async fn a_column_changes_its_type_only_with_all_files_rewritten() {
    let (_folder, lake) = local();
    create(&lake, &[1]).await;
    let text = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, true)]));
    let base = latest(&lake).await;
    let refused = TableChange { schema: Some(text.clone()), ..TableChange::default() };
    let error = lake.commit(&table(), Some(&base), refused).await.unwrap_err();
    assert_eq!(error.code(), "MS-0412");
    assert!(error.to_string().contains("column `id` cannot become Utf8"), "{error}");

    let batch =
        RecordBatch::try_new(text.clone(), vec![Arc::new(StringArray::from(vec!["one"])) as ArrayRef])
            .unwrap();
    let change = TableChange {
        add: stage_batch(&lake, &batch).await,
        remove: base.files().to_vec(),
        schema: Some(text),
        operation: Operation::Overwrite,
        ..TableChange::default()
    };
    lake.commit(&table(), Some(&base), change).await.unwrap();
    assert_eq!(latest(&lake).await.schema().field(0).data_type(), &DataType::Utf8);
    assert_eq!(ids(&lake, At::Version(0)).await, [1]);
}

#[tokio::test]
async fn nonsense_is_refused_before_anything_is_written() {
    let (_folder, lake) = local();
    let nothing = lake.commit(&table(), None, TableChange::default()).await.unwrap_err();
    assert_eq!(nothing.to_string(), "the change of silver.orders is not valid: a new table needs a schema");
    create(&lake, &[1]).await;
    let old = latest(&lake).await;
    overwrite(&lake, &[2]).await;
    let base = latest(&lake).await;
    let twice = TableChange { remove: old.files().to_vec(), ..TableChange::default() };
    let error = lake.commit(&table(), Some(&base), twice).await.unwrap_err();
    assert!(error.to_string().contains("which version 1 does not have"), "{error}");
    let naive = Arc::new(Schema::new(vec![Field::new(
        "at",
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
        true,
    )]));
    let change = TableChange { schema: Some(naive), ..TableChange::default() };
    let error = lake.commit(&"silver.naive".parse().unwrap(), None, change).await.unwrap_err();
    assert!(error.to_string().contains("timestamps have to be in UTC"), "{error}");
    assert_eq!(lake.probe(&table(), Some(1)).await.unwrap(), Some(1));
}

#[tokio::test]
async fn discarded_files_leave_nothing_behind() {
    let (folder, lake) = local();
    create(&lake, &[1]).await;
    let count = || std::fs::read_dir(folder.path().join("silver/orders")).unwrap().count();
    let before = count();
    let staged = stage(&lake, &[2]).await;
    assert_eq!(count(), before + 1);
    lake.discard(staged).await;
    assert_eq!(count(), before);
    let mut abandoned = lake.writer(&table(), schema(), millstream_lake::WriteOptions::default());
    abandoned.write(&crate::support::rows(&[3])).unwrap();
    drop(abandoned);
    assert_eq!(count(), before);
}

/// A commit that nobody waits for any more may still land, as when a run is told to end in the midst of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_given_up_keeps_the_files_that_it_may_name() {
    let (folder, lake) = local();
    create(&lake, &[0]).await;
    let mut given_up = 0;
    for id in 1..=150_i64 {
        let base = latest(&lake).await;
        let change = TableChange { add: stage(&lake, &[id]).await, ..TableChange::default() };
        let table = table();
        let waited = async {
            for _ in 0..id * id {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = lake.commit(&table, Some(&base), change) => {}
            () = waited => given_up += 1,
        }
        lake.abandon(&table).await;
    }
    assert!(given_up > 10, "{given_up} of 150 commits were given up");
    // What was begun ends within moments.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let kept = ids(&open(&folder), At::Latest).await;
    assert!(kept.contains(&0) && kept.windows(2).all(|pair| pair[0] < pair[1]), "{kept:?}");
}
