//! What a statement may take: of text, of planning, of memory, of a thread's time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::TryStreamExt;
use millstream_sql::{At, Resolved, SessionOptions, SqlError, SqlSession, TableResolver};
use millstream_types::TableName;

use crate::support::{name, pretty};

/// Views that each read the one before twice.
#[derive(Debug)]
struct Doubled;

#[async_trait]
impl TableResolver for Doubled {
    async fn resolve(&self, table: &TableName, _: At) -> Result<Option<Resolved>, SqlError> {
        let number: u32 = table.name().trim_start_matches('v').parse().unwrap();
        let sql = match number.checked_sub(1) {
            None => "SELECT 1 AS a".to_owned(),
            Some(below) => format!("SELECT a FROM gold.v{below} UNION ALL SELECT a FROM gold.v{below}"),
        };
        Ok(Some(Resolved::View { sql }))
    }

    fn known_tables(&self) -> Vec<TableName> {
        vec![name("gold.v0")]
    }
}

fn session(memory_bytes: usize) -> (SqlSession, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options =
        SessionOptions { memory_bytes, spill_dir: folder.path().join("spill"), target_partitions: 2 };
    (SqlSession::open(options, Arc::new(Doubled)).unwrap(), folder)
}

async fn run(memory_bytes: usize, sql: &str) -> Result<Vec<RecordBatch>, SqlError> {
    let (session, _folder) = session(memory_bytes);
    session.query(sql, None).await?.try_collect().await.map_err(SqlError::from_datafusion)
}

async fn answer(memory_bytes: usize, sql: &str) -> String {
    match run(memory_bytes, sql).await {
        Ok(batches) => pretty(&batches),
        Err(error) => format!("{} {error}", error.code()),
    }
}

fn doubled(times: usize) -> String {
    let names =
        (1..=times).map(|n| format!("c{n} AS (SELECT a FROM c{0} UNION ALL SELECT a FROM c{0})", n - 1));
    let names: Vec<_> = std::iter::once("c0 AS (SELECT 1 AS a)".to_owned()).chain(names).collect();
    format!("WITH {} SELECT count(*) AS n FROM c{times}", names.join(", "))
}

fn nested(times: usize) -> String {
    (0..times).fold("SELECT 1 AS a".to_owned(), |inner, _| format!("WITH a AS ({inner}) SELECT a FROM a"))
}

#[tokio::test]
async fn a_statement_has_a_size() {
    let many = (0..200_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for (sql, expected) in [
        (doubled(5), ""),
        (doubled(60), "MS-0228 the statement reads from more than 1000 places"),
        ("SELECT count(*) AS n FROM gold.v5".to_owned(), ""),
        ("SELECT count(*) AS n FROM gold.v30".to_owned(), "MS-0228 in the view `gold."),
        (format!("SELECT 1 IN ({many})"), "MS-0228 the statement has more than 1048576 bytes"),
        (format!("SELECT 1{}", " + 1".repeat(3_000)), "MS-0228 the statement has more than 2000 operators"),
        (nested(12), ""),
        (nested(100), "MS-0201"),
    ] {
        let began = Instant::now();
        let answer = answer(64 << 20, &sql).await;
        let start = sql.get(..60).unwrap_or(&sql);
        assert!(began.elapsed() < Duration::from_secs(10), "{start}: {:?}", began.elapsed());
        match expected {
            "" => assert!(!answer.starts_with("MS-"), "{start}: {answer}"),
            expected => assert!(answer.starts_with(expected), "{start}: {answer}"),
        }
    }
}
