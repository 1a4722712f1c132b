//! Scans: pruning by statistics, answers from metadata, parallel ranges, files from many writers.

use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use datafusion::{physical_plan::displayable, prelude::SessionContext};
use millstream_lake::{DataFile, Lake, LakeTable, Snapshot, WriteOptions};

use crate::support::{append, create, latest, local, rows, schema, session, table};

fn register(context: &SessionContext, lake: &Lake, snapshot: &Snapshot) {
    let provider = LakeTable::new(lake, snapshot.schema(), snapshot.files().to_vec()).unwrap();
    context.register_table("t", provider).unwrap();
}

async fn query(context: &SessionContext, sql: &str) -> (String, String) {
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    let batches = datafusion::physical_plan::collect(plan, context.task_ctx()).await.unwrap();
    (shown, pretty_format_batches(&batches).unwrap().to_string())
}

#[tokio::test]
async fn files_outside_a_filter_are_not_opened() {
    let (_folder, lake) = local();
    create(&lake, &[1, 2, 3]).await;
    append(&lake, &[10, 11, 12]).await;
    append(&lake, &[20, 21]).await;
    let snapshot = latest(&lake).await;
    let context = session(&lake);
    register(&context, &lake, &snapshot);
    for (filter, files) in [
        ("id > 11", 2),
        ("id = 2", 1),
        ("id BETWEEN 2 AND 10", 2),
        ("id > 100", 0),
        ("name = 'name 20'", 2),
        ("name IS NULL", 0),
        ("id > 0", 3),
    ] {
        let (plan, _) = query(&context, &format!("SELECT id FROM t WHERE {filter}")).await;
        assert_eq!(plan.matches(".parquet").count(), files, "{filter}\n{plan}");
    }
    let (_, shown) = query(&context, "SELECT id, name FROM t WHERE name = 'name 20'").await;
    assert_eq!(shown.lines().nth(3).unwrap(), "| 20 | name 20 |");
}

#[tokio::test]
async fn counts_and_bounds_come_from_metadata() {
    let (folder, lake) = local();
    create(&lake, &[5, 6, 7]).await;
    append(&lake, &[1, 9]).await;
    let snapshot = latest(&lake).await;
    for entry in std::fs::read_dir(folder.path().join("silver/orders")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::write(path, b"not parquet").unwrap();
        }
    }
    let context = session(&lake);
    register(&context, &lake, &snapshot);
    let sql = "SELECT count(*) AS n, count(name) AS names, min(id) AS low, max(id) AS high FROM t";
    let (_, shown) = query(&context, sql).await;
    assert_eq!(shown.lines().nth(3).unwrap(), "| 5 | 5     | 1   | 9    |");
}

#[tokio::test]
async fn one_large_file_is_read_in_parallel_ranges() {
    let (_folder, lake) = local();
    create(&lake, &[]).await;
    let ids: Vec<i64> = (0..200_000).map(|id| id * 7919 % 1_000_003).collect();
    let options = WriteOptions { row_group_rows: 20_000, ..WriteOptions::default() };
    let mut writer = lake.writer(&table(), schema(), options);
    writer.write(&rows(&ids)).unwrap();
    let files: Vec<DataFile> = writer.finish().await.unwrap().iter().map(DataFile::from).collect();
    let context = session(&lake);
    context.sql("SET datafusion.optimizer.repartition_file_min_size = 1000").await.unwrap();
    let provider = LakeTable::new(&lake, schema(), files).unwrap();
    context.register_table("t", provider).unwrap();
    let (plan, shown) = query(&context, "SELECT sum(id) AS s, count(DISTINCT name) AS n FROM t").await;
    assert!(plan.contains("file_groups={2 groups"), "{plan}");
    let row = format!("| {} | 200000 |", ids.iter().sum::<i64>());
    assert_eq!(shown.lines().nth(3).unwrap(), row);
}

#[tokio::test]
async fn a_writer_rolls_over_and_several_write_side_by_side() {
    let (_folder, lake) = local();
    let options = WriteOptions { target_bytes: 4_000, row_group_rows: 1000 };
    let writers: Vec<_> = (0..3)
        .map(|thread| {
            let mut writer = lake.writer(&table(), schema(), options);
            std::thread::spawn(move || {
                for batch in 0..20 {
                    let first = thread * 100_000 + batch * 500;
                    writer.write(&rows(&(first..first + 500).collect::<Vec<i64>>())).unwrap();
                }
                writer
            })
        })
        .collect();
    let mut files = Vec::new();
    for writer in writers {
        files.extend(writer.join().unwrap().finish().await.unwrap());
    }
    assert!(files.len() > 3, "{}", files.len());
    assert_eq!(files.iter().map(millstream_lake::StagedFile::rows).sum::<u64>(), 30_000);
    let files: Vec<DataFile> = files.iter().map(DataFile::from).collect();
    let read = crate::support::ids_of(&lake, schema(), &files).await;
    let expected: Vec<i64> = (0..3).flat_map(|t| t * 100_000..t * 100_000 + 10_000).collect();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn no_files_scan_as_no_rows() {
    let (_folder, lake) = local();
    let context = session(&lake);
    context.register_table("t", LakeTable::new(&lake, schema(), Vec::new()).unwrap()).unwrap();
    let (_, shown) = query(&context, "SELECT count(*) AS n, max(name) AS m FROM t").await;
    assert_eq!(shown.lines().nth(3).unwrap(), "| 0 |   |");
    let provider: Arc<dyn datafusion::catalog::TableProvider> =
        LakeTable::new(&lake, schema(), Vec::new()).unwrap();
    assert_eq!(provider.schema(), schema());
}
