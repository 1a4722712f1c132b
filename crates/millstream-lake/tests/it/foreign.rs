//! Tables that other writers wrote or go on writing: what their logs say is taken as the protocol means it.

use millstream_lake::At;
use serde_json::Value;

use crate::support::{add, definition, ids, ids_of, latest, local, open, remove, table, write_commit};

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
