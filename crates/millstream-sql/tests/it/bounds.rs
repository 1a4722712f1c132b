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

#[tokio::test]
async fn what_outgrows_the_memory_uses_the_disk() {
    let keys = "FROM generate_series(1, 2000000) AS t(n)";
    let text = "concat('a text that is long enough ', n)";
    for (sql, expected) in [
        (
            format!(
                "SELECT count(DISTINCT {text}) AS a, count(DISTINCT CASE WHEN n % 2 = 0 THEN {text} END) AS b, count(*) AS c {keys}"
            ),
            "| 2000000 | 1000000 | 2000000 |",
        ),
        (
            format!("SELECT max(r) AS n FROM (SELECT row_number() OVER (ORDER BY {text} DESC) AS r {keys})"),
            "2000000",
        ),
        (
            format!(
                "SELECT max(c) AS n, max(x) AS x FROM (SELECT count(*) OVER (PARTITION BY n % 1000) AS c, {text} AS x {keys})"
            ),
            "| 2000 |",
        ),
        (
            format!(
                "SELECT count(*) AS n, sum(length(b.x)) AS l FROM (SELECT n, {text} AS x {keys}) a \
                 JOIN (SELECT n, {text} AS x {keys}) b ON a.x = b.x"
            ),
            "2000000",
        ),
    ] {
        let answer = answer(48 << 20, &sql).await;
        assert!(answer.contains(expected), "{sql}: {answer}");
    }
}

#[tokio::test]
async fn distinct_values_are_counted_as_before() {
    let rows = "(SELECT g, i, s, CAST(d AS decimal(12, 2)) AS d FROM \
                (VALUES ('a', 1, 'x', 1.50), ('a', 1, 'y', 2.25), ('a', NULL, 'x', NULL), ('b', NULL, NULL, 4.00), \
                (NULL, 2, 'x', 1.00), (NULL, 3, 'x', 1.00)) AS t(g, i, s, d))";
    for (select, expected) in [
        (
            "g, count(DISTINCT i) AS a, count(DISTINCT s) AS b, count(*) AS c, sum(d) AS d, avg(i) AS e",
            "a,1,2,3,3.75,1.0\nb,0,0,1,4.00,\n,2,1,2,2.00,2.5",
        ),
        ("g, count(DISTINCT i) AS a, count(*) AS c", "a,1,3\nb,0,1\n,2,2"),
        ("g, count(DISTINCT i) FILTER (WHERE s = 'x') AS a, min(s) AS m", "a,1,x\nb,0,\n,2,x"),
        (
            "g, sum(DISTINCT d) AS a, count(DISTINCT d) AS n, max(DISTINCT i) AS m",
            "a,3.75,2,1\nb,4.00,1,\n,1.00,1,3",
        ),
        (
            "g, count(DISTINCT i) AS a, count(DISTINCT i) AS b, count(DISTINCT s) AS c",
            "a,1,1,2\nb,0,0,0\n,2,2,1",
        ),
        ("g, count(DISTINCT g) AS a, count(DISTINCT s) AS b", "a,1,2\nb,1,0\n,0,1"),
    ] {
        let answer = csv(&format!("SELECT {select} FROM {rows} GROUP BY g ORDER BY g NULLS LAST")).await;
        assert_eq!(answer, expected, "{select}");
    }
    for (select, expected) in [
        ("count(DISTINCT g) AS a, count(DISTINCT i) AS b, count(*) AS c, sum(d) AS d", "2,3,6,9.75"),
        ("count(DISTINCT g) AS a, count(*) AS c, bool_or(i > 2) AS o", "2,6,true"),
    ] {
        assert_eq!(csv(&format!("SELECT {select} FROM {rows}")).await, expected, "{select}");
    }
    let empty = "SELECT count(DISTINCT g) AS a, count(DISTINCT i) AS b, count(*) AS c, sum(d) AS d FROM";
    assert_eq!(csv(&format!("{empty} {rows} WHERE false")).await, "0,0,0,");
}

async fn csv(sql: &str) -> String {
    let batches = run(64 << 20, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut out = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new().with_header(false).build(&mut out);
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    drop(writer);
    String::from_utf8(out).unwrap().trim_end().to_owned()
}
