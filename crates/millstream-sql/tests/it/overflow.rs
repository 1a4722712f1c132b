//! Numbers that outgrow their type are an error wherever they are computed, and whatever fits is computed.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::{datasource::MemTable, prelude::SessionContext};
use futures::TryStreamExt;
use millstream_sql::{At, Resolved, SessionOptions, SqlError, SqlSession, TableResolver};
use millstream_types::TableName;

use crate::support::name;

const OVERFLOW: &str = "overflow true";

/// `a.numbers`: two rows with the greatest values of their types, and one with the least.
#[derive(Debug)]
struct Numbers(Arc<MemTable>);

#[async_trait]
impl TableResolver for Numbers {
    async fn resolve(&self, table: &TableName, _: At) -> Result<Option<Resolved>, SqlError> {
        Ok((*table == name("a.numbers")).then(|| Resolved::Table(self.0.clone())))
    }

    fn known_tables(&self) -> Vec<TableName> {
        vec![name("a.numbers")]
    }
}

async fn session(folder: &tempfile::TempDir) -> SqlSession {
    let nines = "9".repeat(38);
    let sql = format!(
        "SELECT id, CASE id WHEN 3 THEN -9223372036854775807 - 1 ELSE 9223372036854775807 END AS i64,
            arrow_cast(CASE id WHEN 3 THEN -2147483648 ELSE 2147483647 END, 'Int32') AS i32,
            arrow_cast(CASE id WHEN 3 THEN 1 ELSE 18446744073709551615 END, 'UInt64') AS u64,
            arrow_cast(CASE id WHEN 3 THEN '-{nines}' ELSE '{nines}' END, 'Decimal128(38, 0)') AS d38,
            arrow_cast(id, 'Decimal128(10, 2)') AS d10, id % 2 AS g
         FROM (SELECT value AS id FROM generate_series(1, 3))"
    );
    let batches = SessionContext::new().sql(&sql).await.unwrap().collect().await.unwrap();
    let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
    let options =
        SessionOptions { memory_bytes: 64 << 20, spill_dir: folder.path().to_owned(), target_partitions: 2 };
    SqlSession::open(options, Arc::new(Numbers(Arc::new(table)))).unwrap()
}

/// The answer to a query: its values, row by row, or the error's first words and whether the error has a hint.
async fn answer(session: &SqlSession, sql: &str) -> String {
    let rows =
        async { session.query(sql, None).await?.try_collect().await.map_err(SqlError::from_datafusion) };
    let told = |error: SqlError| match error.to_string().split_once("Overflow happened on: ") {
        Some(_) => format!("overflow {}", error.hint().is_some()),
        None => error.to_string(),
    };
    match rows.await {
        Ok::<Vec<RecordBatch>, _>(batches) => {
            let text = crate::support::pretty(&batches);
            let rows = text.lines().filter(|line| line.starts_with('|')).skip(1);
            rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
                .join("; ")
        }
        Err(error) => told(error),
    }
}

#[tokio::test]
async fn nothing_wraps_around() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder).await;
    for sql in [
        "SELECT 9223372036854775807 + 1",
        "SELECT 9223372036854775807 * 2",
        "SELECT -9223372036854775807 - 2",
        "SELECT i64 + 1 FROM a.numbers",
        "SELECT i64 - 1 FROM a.numbers",
        "SELECT i64 * 2 FROM a.numbers",
        "SELECT i32 + i32 FROM a.numbers",
        "SELECT i32 * i32 FROM a.numbers",
        "SELECT -i64 FROM a.numbers",
        "SELECT -i32 FROM a.numbers",
        "SELECT u64 + u64 FROM a.numbers",
        "SELECT id FROM a.numbers WHERE i64 + 1 > 0",
        "SELECT count(*) FROM a.numbers GROUP BY i64 + 1",
        "SELECT id FROM a.numbers ORDER BY i64 + 1",
        "SELECT a.id FROM a.numbers a JOIN a.numbers b ON a.i64 + 1 = b.i64",
        "SELECT max(i64 * 2) FROM a.numbers",
        "SELECT (SELECT max(i64 + 1) FROM a.numbers)",
        "SELECT d38 + d38 FROM a.numbers",
        "SELECT d38 + CAST(1 AS decimal(38, 0)) FROM a.numbers",
        "SELECT sum(i64) FROM a.numbers WHERE id < 3",
        "SELECT sum(i64) FROM a.numbers WHERE id < 3 GROUP BY id > 9",
        "SELECT sum(u64) FROM a.numbers",
        "SELECT sum(d38) FROM a.numbers WHERE id < 3",
        "SELECT sum(d38) FROM a.numbers WHERE id < 3 GROUP BY id > 9",
        "SELECT sum(DISTINCT i64 - id % 2) FROM a.numbers WHERE id < 3",
        "SELECT sum(i64) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM a.numbers",
        "SELECT sum(i64) OVER () FROM a.numbers WHERE id < 3",
        "SELECT i32 - arrow_cast(1, 'Int32') FROM a.numbers",
        "SELECT -2 - i64 FROM a.numbers WHERE id = 1",
        "SELECT (id + 4294967293) * (id + 4294967293) FROM a.numbers",
        "SELECT -(id + 2147483645) * -(id + 4294967293) FROM a.numbers WHERE id = 3",
        "SELECT avg(d38) FROM a.numbers WHERE id < 3",
        "SELECT avg(d38) FROM a.numbers WHERE id < 3 GROUP BY g",
        "SELECT avg(DISTINCT d38) FROM a.numbers WHERE id < 3",
        "SELECT avg(d38) OVER (ORDER BY id) FROM a.numbers WHERE id < 3",
    ] {
        assert_eq!(answer(&session, sql).await, OVERFLOW, "{sql}");
    }
}

#[tokio::test]
async fn what_fits_is_computed_whatever_the_way_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder).await;
    let long = format!("SELECT id{} FROM a.numbers WHERE id = 1", " + 1".repeat(1_000));
    for (sql, expected) in [
        ("SELECT g, sum(i64) FROM a.numbers GROUP BY g, id > 9 ORDER BY g", "0 9223372036854775807; 1 -1"),
        ("SELECT try_cast(repeat('9', 1000000) AS decimal(38, 0)) IS NULL", "true"),
        ("SELECT sum(i64) FROM a.numbers", "9223372036854775806"),
        ("SELECT sum(i32) FROM a.numbers", "2147483646"),
        ("SELECT sum(CASE WHEN id <> 2 THEN i64 END) FROM a.numbers", "-1"),
        ("SELECT sum(u64) FROM a.numbers WHERE id = 2", "18446744073709551615"),
        ("SELECT sum(nullif(u64, 1)) FROM a.numbers WHERE id > 1", "18446744073709551615"),
        (
            "SELECT nullif(i64, 9223372036854775807) + 1 FROM a.numbers ORDER BY id",
            "; ; -9223372036854775807",
        ),
        ("SELECT (id + 3037000496) * (3037000496 + id) FROM a.numbers WHERE id = 3", "9223372030926249001"),
        ("SELECT -(id + 2147483645) * 4294967296 FROM a.numbers WHERE id = 3", "-9223372036854775808"),
        ("SELECT i64 - i64, i32 - i32 FROM a.numbers WHERE id < 3", "0 0; 0 0"),
        ("SELECT avg(d10) FROM a.numbers", "2.000000"),
        ("SELECT sum(DISTINCT i64) FROM a.numbers", "-1"),
        ("SELECT sum(i64) FROM a.numbers WHERE id > 9", ""),
        ("SELECT sum(i64) FILTER (WHERE id = 3) FROM a.numbers GROUP BY id > 9", "-9223372036854775808"),
        (
            "SELECT sum(i64) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND CURRENT ROW) FROM a.numbers ORDER BY id LIMIT 1",
            "9223372036854775807",
        ),
        ("SELECT CAST(i64 AS decimal(38, 0)) + 1 FROM a.numbers WHERE id = 1", "9223372036854775808"),
        ("SELECT sum(CAST(i64 AS decimal(38, 0))) FROM a.numbers WHERE id < 3", "18446744073709551614"),
        ("SELECT sum(d10), sum(d10 * d10) FROM a.numbers", "6.00 14.0000"),
        ("SELECT i64 / 2, i64 % 10 FROM a.numbers WHERE id = 1", "4611686018427387903 7"),
        ("SELECT CASE WHEN id > 9 THEN i64 + 1 ELSE 0 END FROM a.numbers LIMIT 1", "0"),
        ("SELECT id + 1, id - 1, id * 2, -id FROM a.numbers ORDER BY id LIMIT 1", "2 0 2 -1"),
        ("SELECT sum(CAST(NULL AS bigint)) FROM a.numbers", ""),
        ("SELECT id + 10 - 2 - 3 * 2 + 1, 10 - (id - 3) - (2 - id) FROM a.numbers WHERE id = 1", "4 11"),
        (long.as_str(), "1001"),
    ] {
        assert_eq!(answer(&session, sql).await, expected, "{sql}");
    }
}
