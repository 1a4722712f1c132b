//! Tables that other writers wrote or go on writing: what their logs say is taken as the protocol means it.

use millstream_lake::{At, MaintainOptions};
use millstream_types::TimestampMicros;
use serde_json::Value;

use crate::support::{
    actions, add, append, definition, ids, ids_of, latest, local, open, overwrite, remove, table,
    table_folder, write_commit,
};

/// Writes `actions` as version 0.
fn create(folder: &tempfile::TempDir, actions: &[Value]) {
    write_commit(folder, 0, &[definition(), actions.to_vec()].concat());
}

#[tokio::test]
async fn a_path_that_is_added_again_keeps_its_rows_once() {
    let (folder, lake) = local();
    let (one, two) = (add(&folder, "one.parquet", &[1]), add(&folder, "two.parquet", &[2]));
    create(&folder, std::slice::from_ref(&one));
    // The writer of version 1 lost the answer, and wrote it once more.
    write_commit(&folder, 1, std::slice::from_ref(&two));
    assert_eq!(ids(&lake, At::Latest).await, [1, 2]);
    write_commit(&folder, 2, &[two.clone(), one.clone()]);
    write_commit(&folder, 3, &[remove(&one)]);
    write_commit(&folder, 4, &[remove(&one), one]);
    let check = |version, expected: &'static [i64]| {
        let lakes = [lake.clone(), open(&folder)];
        async move {
            for lake in lakes {
                assert_eq!(ids(&lake, At::Version(version)).await, expected, "version {version}");
            }
        }
    };
    check(1, &[1, 2]).await;
    check(2, &[1, 2]).await;
    check(3, &[2]).await;
    check(4, &[1, 2]).await;
    assert_eq!(latest(&lake).await.rows(), Some(2));

    let check = |from, to, added: &'static [i64], removed: &'static [i64]| {
        let lake = open(&folder);
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
    check(0, 2, &[2], &[]).await;
    check(1, 2, &[], &[]).await;
    check(2, 3, &[], &[1]).await;
    check(3, 4, &[1], &[]).await;
}

#[tokio::test]
async fn a_path_keeps_the_spelling_of_its_log() {
    // As the log spells it, and as the file is called.
    let check = async |spelled: &'static str, name: &'static str| {
        let (folder, lake) = local();
        let mut one = add(&folder, name, &[1]);
        one["add"]["path"] = spelled.into();
        create(&folder, &[one.clone()]);
        for id in 2..=10 {
            append(&lake, &[id]).await;
        }
        let now = TimestampMicros::from_system(std::time::SystemTime::now());
        let options = MaintainOptions { target_bytes: 1, ..MaintainOptions::at(now) };
        let done = lake.maintain(&table(), &options).await.unwrap().unwrap();
        assert_eq!(done.checkpoint, Some(9), "{spelled}");
        // Read from the checkpoint, and written back.
        let lake = open(&folder);
        assert_eq!(ids(&lake, At::Latest).await, (1..=10).collect::<Vec<i64>>(), "{spelled}");
        assert!(latest(&lake).await.files().iter().any(|file| file.path() == name), "{spelled}");
        let version = overwrite(&lake, &[20]).await;
        let removed = actions(&folder, version, "remove");
        assert!(removed.iter().any(|remove| remove["path"] == spelled), "{spelled}: {removed:?}");
        assert_eq!(ids(&open(&folder), At::Latest).await, [20], "{spelled}");
        assert!(table_folder(&folder).join(name).exists());
    };
    check("plain.parquet", "plain.parquet").await;
    check("größe*.parquet", "größe*.parquet").await;
    check("gr%C3%B6%C3%9Fe.parquet", "größe.parquet").await;
    check("a%3Db%3A1.parquet", "a=b:1.parquet").await;
    check("50%2525%20off.parquet", "50%25 off.parquet").await;
}

#[tokio::test]
async fn two_spellings_of_one_path_are_one_file() {
    let (folder, lake) = local();
    let mut one = add(&folder, "a=1.parquet", &[1]);
    one["add"]["path"] = "a%3D1.parquet".into();
    create(&folder, &[one.clone()]);
    one["add"]["path"] = "a=1.parquet".into();
    write_commit(&folder, 1, &[remove(&one)]);
    assert_eq!(latest(&lake).await.files(), []);
}
