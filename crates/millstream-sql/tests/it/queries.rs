//! Queries over real tables: time travel, views, and what is refused.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray},
    datatypes::DataType,
};
use async_trait::async_trait;
use datafusion::datasource::MemTable;
use futures::TryStreamExt;
use millstream_sql::{At, Resolved, SessionOptions, SqlError, SqlSession, TableResolver};
use millstream_types::{TableName, TimestampMicros};

use crate::support::{self, name, pretty};

/// Versions 1 and 2 of `silver.orders`; version n has n rows. Version 1 was made at second 100, 2 at second 200.
#[derive(Debug)]
struct Shop;

fn orders(rows: i64) -> Resolved {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=rows));
    let words: ArrayRef =
        Arc::new(StringViewArray::from_iter_values((1..=rows).map(|row| format!("word {row}"))));
    let batch = RecordBatch::try_from_iter([("order_id", ids), ("word", words)]).unwrap();
    Resolved::Table(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap()))
}

#[async_trait]
impl TableResolver for Shop {
    async fn resolve(&self, table: &TableName, at: At) -> Result<Option<Resolved>, SqlError> {
        Ok(match (table.to_string().as_str(), at) {
            ("silver.orders", At::Latest | At::Version(2)) => Some(orders(2)),
            ("silver.orders", At::Version(1)) => Some(orders(1)),
            ("silver.orders", At::Timestamp(TimestampMicros(at))) if at >= 200_000_000 => Some(orders(2)),
            ("silver.orders", At::Timestamp(TimestampMicros(at))) if at >= 100_000_000 => Some(orders(1)),
            ("bronze.orders", At::Latest) => Some(orders(3)),
            ("gold.words", _) => {
                Some(Resolved::View { sql: "SELECT upper(word) AS word FROM silver.orders".into() })
            }
            ("gold.deep", _) => Some(Resolved::View { sql: "SELECT word FROM gold.words".into() }),
            ("gold.circle", _) => Some(Resolved::View { sql: "SELECT * FROM gold.circle".into() }),
            ("gold.broken", _) => Some(Resolved::View { sql: "SELECT wrd FROM silver.orders".into() }),
            _ => None,
        })
    }

    fn known_tables(&self) -> Vec<TableName> {
        ["silver.orders", "gold.words", "gold.deep", "silver.unbuilt"].map(name).to_vec()
    }
}

fn session() -> (SqlSession, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options =
        SessionOptions { memory_bytes: 64 << 20, spill_dir: folder.path().join("a/b"), target_partitions: 2 };
    (SqlSession::open(options, Arc::new(Shop)).unwrap(), folder)
}

async fn run(sql: &str, as_of: Option<At>) -> Result<Vec<RecordBatch>, SqlError> {
    let (session, _folder) = session();
    session.query(sql, as_of).await?.try_collect().await.map_err(SqlError::from_datafusion)
}

async fn rows(sql: &str, as_of: Option<At>) -> usize {
    let batches = run(sql, as_of).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    batches.iter().map(RecordBatch::num_rows).sum()
}

async fn refused(sql: &str) -> String {
    match run(sql, None).await {
        Ok(batches) => panic!("{sql} gave {}", pretty(&batches)),
        Err(error) => {
            let place = match &error {
                SqlError::Invalid { place: Some(place), .. } => {
                    format!(" at `{}`", &sql[place.start..place.end])
                }
                _ => String::new(),
            };
            let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{} {error}{place}{hint}", error.code())
        }
    }
}

#[tokio::test]
async fn a_table_is_read_as_it_was() {
    for (sql, expected) in [
        ("SELECT * FROM silver.orders", 2),
        ("SELECT * FROM silver.orders VERSION AS OF 1", 1),
        ("select * from SILVER.Orders version as of 1", 1),
        ("SELECT o.word FROM silver.orders VERSION AS OF 1 AS o", 1),
        ("SELECT orders.word, silver.orders.order_id FROM silver.orders VERSION AS OF 1", 1),
        ("SELECT * FROM silver.orders TIMESTAMP AS OF '1970-01-01T00:02:00Z'", 1),
        ("SELECT * FROM silver.orders TIMESTAMP AS OF '1970-01-01 00:05:00' o", 2),
        ("SELECT * FROM silver.orders FOR SYSTEM_TIME AS OF '1970-01-01T01:02:00+01:00'", 1),
        (
            "SELECT * FROM silver.orders timestamp as of timestamp '1970-01-01T00:00:00' + interval '2 minutes'",
            1,
        ),
        ("SELECT * FROM silver.orders VERSION AS OF 1 a JOIN silver.orders b ON a.order_id = b.order_id", 1),
        ("SELECT * FROM silver.orders EXCEPT SELECT * FROM silver.orders VERSION AS OF 1", 1),
        ("WITH old AS (SELECT * FROM silver.orders VERSION AS OF 1) SELECT * FROM old, silver.orders", 2),
        ("SELECT * FROM gold.deep", 2),
        ("SELECT * FROM gold.deep TIMESTAMP AS OF '1970-01-01T00:02:00Z'", 1),
    ] {
        assert_eq!(rows(sql, None).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_whole_query_is_read_as_of_a_time() {
    let at = Some(At::Timestamp(TimestampMicros(150_000_000)));
    assert_eq!(rows("SELECT * FROM silver.orders", at).await, 1);
    assert_eq!(rows("SELECT * FROM gold.deep", at).await, 1);
    assert_eq!(rows("SELECT * FROM silver.orders VERSION AS OF 2", at).await, 2);
}

#[tokio::test]
async fn text_leaves_as_plain_text() {
    let (session, _folder) = session();
    let stream = session.query("SELECT word FROM silver.orders", None).await.unwrap();
    assert_eq!(stream.schema().field(0).data_type(), &DataType::Utf8);
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(batches[0].column(0).data_type(), &DataType::Utf8);
}

#[tokio::test]
async fn a_column_without_a_name_is_named_by_its_text() {
    let (session, _folder) = session();
    for (sql, expected) in [
        ("SELECT 1", "1"),
        ("SELECT 'a', 1, 1, 1.5", "'a' | 1 | 1_1 | 1.5"),
        ("SELECT count(*), sum(order_id) FROM silver.orders", "count(*) | sum(order_id)"),
        ("SELECT count(order_id) FROM silver.orders VERSION AS OF 1", "count(order_id)"),
        ("SELECT *, order_id + 1 FROM silver.orders", "order_id | word | order_id + 1"),
        ("SELECT max(word) AS w, Max(word) FROM silver.orders", "w | Max(word)"),
        (
            "SELECT upper(word), count(*) FROM silver.orders GROUP BY upper(word) HAVING count(*) > 0 ORDER BY count(*) DESC, upper(word)",
            "upper(word) | count(*)",
        ),
        ("SELECT DISTINCT order_id % 2 FROM silver.orders ORDER BY order_id % 2", "order_id % 2"),
        ("SELECT DISTINCT upper(word), 1 FROM silver.orders ORDER BY 2, upper(word) DESC", "upper(word) | 1"),
        ("SELECT upper(word) FROM silver.orders UNION SELECT 'x' ORDER BY upper(word)", "upper(word)"),
        (
            "SELECT order_id % 2, count(*) FROM silver.orders GROUP BY 1 ORDER BY 2, 1",
            "order_id % 2 | count(*)",
        ),
        ("SELECT order_id % 2, count(*) FROM silver.orders GROUP BY ALL", "order_id % 2 | count(*)"),
        ("SELECT 1 UNION ALL SELECT 2 ORDER BY 1", "1"),
        ("(SELECT lower(word) FROM silver.orders) EXCEPT SELECT 'x'", "lower(word)"),
        (
            "WITH t AS (SELECT count(*) AS n FROM silver.orders) SELECT n + 1, (SELECT 2) FROM t",
            "n + 1 | (SELECT 2)",
        ),
        (
            "SELECT row_number() OVER (ORDER BY order_id) FROM silver.orders",
            "row_number() OVER (ORDER BY order_id)",
        ),
        (
            "SELECT unnest([1, 2]), -order_id FROM silver.orders",
            "UNNEST(make_array(Int64(1),Int64(2))) | -order_id",
        ),
        ("VALUES (1, 2)", "column1 | column2"),
        ("SELECT 1 AS \"count(*)\", count(*) FROM silver.orders", "count(*) | count(*)_1"),
    ] {
        let stream = session.query(sql, None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let schema = stream.schema();
        let rows: Result<Vec<_>, _> = stream.try_collect().await;
        assert!(rows.is_ok(), "{sql}: {rows:?}");
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names.join(" | "), expected, "{sql}");
    }
}

#[tokio::test]
async fn tables_and_columns_are_listed() {
    assert_eq!(rows("SHOW TABLES", None).await, 4);
    assert_eq!(rows("DESCRIBE silver.orders", None).await, 2);
    assert!(rows("EXPLAIN SELECT * FROM silver.orders VERSION AS OF 1", None).await > 0);
    assert!(rows("EXPLAIN ANALYZE SELECT * FROM silver.orders", None).await > 0);
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let mut answers = String::new();
    for sql in [
        "SELECT * FROM silver.order",
        "SELECT * FROM orders",
        "SELECT wrd FROM silver.orders",
        "SELECT * FROM silver.unbuilt",
        "SELECT * FROM gold.circle",
        "SELECT * FROM gold.broken",
        "SELECT * FROM gold.words VERSION AS OF 1",
        "SELECT * FROM silver.orders VERSION AS OF x",
        "SELECT * FROM silver.orders TIMESTAMP AS OF 'yesterday'",
        "WITH t AS (SELECT 1 AS x) SELECT * FROM t VERSION AS OF 1",
        "SELECT * FROM silver.orders TIMESTAMP AS OF word",
        "SELECT cast(word AS int) FROM silver.orders",
        "SELECT 1 / 0",
        "SELECT * FROM silver.orders WHERE",
        "DELETE FROM silver.orders",
        "INSERT INTO silver.orders VALUES (1, 'x')",
        "DROP TABLE silver.orders",
        "COPY silver.orders TO '/tmp/x.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SELECT * FROM '/etc/passwd'",
        "EXPLAIN DELETE FROM silver.orders",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; -- then\nDROP TABLE silver.orders",
        "SELECT word, order_id AS word FROM silver.orders",
        "",
    ] {
        answers += &format!("{sql}\n  {}\n", refused(sql).await);
    }
    insta::with_settings!({prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("query_refusals", answers);
    });
}

#[tokio::test]
async fn a_query_that_outgrows_its_memory_spills_or_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        SessionOptions { memory_bytes: 8 << 20, spill_dir: folder.path().to_owned(), target_partitions: 1 };
    let session = SqlSession::open(options, Arc::new(Shop)).unwrap();
    let sorted =
        "SELECT value, repeat('x', 100) AS padding FROM generate_series(1, 300000) ORDER BY value DESC";
    let stream = session.query(sorted, None).await.unwrap();
    let counts: Vec<usize> = stream.map_ok(|batch| batch.num_rows()).try_collect().await.unwrap();
    assert_eq!(counts.iter().sum::<usize>(), 300_000);
}

#[tokio::test]
async fn a_plan_made_offline_runs_over_what_is_stored() {
    let project = support::project(
        "--- gold.x\nSELECT o.order_id, o.amount, (SELECT count(*) FROM bronze.orders) AS n FROM bronze.orders o WHERE o.order_id > 1",
    );
    let analysis = project.analyze();
    let (session, _folder) = session();
    let table = &analysis.tables[0];
    let stream = session.table_stream(table).await.unwrap();
    assert_eq!(stream.schema(), table.schema);
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    insta::with_settings!({prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("bound_plan", pretty(&batches));
    });
}

/// Each query runs many times: an order that comes by chance would be another one now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_in_order_have_one_order_whatever_meets_in_the_query() {
    let both = "SELECT order_id FROM bronze.orders UNION ALL SELECT order_id + 10 FROM silver.orders";
    for (sql, expected) in [
        (both.to_owned(), vec![1, 2, 3, 11, 12]),
        (format!("SELECT * FROM ({both}) AS both LIMIT 4"), vec![1, 2, 3, 11]),
        (
            format!("SELECT max(order_id) AS order_id FROM ({both}) AS both GROUP BY order_id"),
            vec![1, 2, 3, 11, 12],
        ),
        (both.replace("UNION ALL", "UNION"), vec![1, 2, 3, 11, 12]),
        (
            format!(
                "SELECT both.order_id FROM ({both}) AS both JOIN silver.orders AS o ON o.order_id = both.order_id % 10"
            ),
            // The join goes through the rows of the smaller side.
            vec![1, 11, 2, 12],
        ),
        (format!("SELECT * FROM ({both}) AS both ORDER BY order_id DESC"), vec![12, 11, 3, 2, 1]),
    ] {
        let (session, _folder) = session();
        for _ in 0..20 {
            let rows = session.query_in_order(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
            let ids = batches.iter().flat_map(|batch| {
                batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
            });
            assert_eq!(ids.collect::<Vec<_>>(), expected, "{sql}");
        }
    }
}

/// `AT TIME ZONE` as PostgreSQL has it: an instant becomes a wall clock, a wall clock an instant.
#[tokio::test]
async fn times_move_between_zones() {
    for (sql, expected) in [
        ("TIMESTAMPTZ '2024-01-01T12:00:00Z' AT TIME ZONE 'Europe/Berlin'", "2024-01-01T13:00:00"),
        ("TIMESTAMPTZ '2024-07-01T12:00:00Z' AT TIME ZONE 'Europe/Berlin'", "2024-07-01T14:00:00"),
        ("TIMESTAMP '2024-07-01T14:00:00' AT TIME ZONE 'Europe/Berlin'", "2024-07-01T12:00:00Z"),
        (
            "TIMESTAMP '2024-07-01T14:00:00' AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York'",
            "2024-07-01T10:00:00",
        ),
        // The clock skips the first of these times, and shows the second one twice.
        ("TIMESTAMP '2024-03-31T02:30:00' AT TIME ZONE 'Europe/Berlin'", "2024-03-31T01:30:00Z"),
        ("TIMESTAMP '2024-10-27T02:30:00' AT TIME ZONE 'Europe/Berlin'", "2024-10-27T01:30:00Z"),
        ("TIMESTAMPTZ '2024-01-01T23:30:00Z' AT TIME ZONE '+02:00'", "2024-01-02T01:30:00"),
        (
            "date_trunc('day', TIMESTAMPTZ '2024-01-01T23:30:00Z' AT TIME ZONE 'Europe/Berlin')",
            "2024-01-02T00:00:00",
        ),
        ("CAST(NULL AS TIMESTAMP) AT TIME ZONE 'Europe/Berlin'", ""),
    ] {
        let batches =
            run(&format!("SELECT {sql} AS t"), None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let text = pretty(&batches);
        let found = text.lines().nth(3).unwrap().trim_matches(['|', ' ']).to_owned();
        assert_eq!(found, expected, "{sql}");
    }
    let told = refused("SELECT TIMESTAMPTZ '2024-01-01T12:00:00Z' AT TIME ZONE 'Europe/Berln' AS t").await;
    assert!(told.contains("`Europe/Berln` is no time zone"), "{told}");
}
