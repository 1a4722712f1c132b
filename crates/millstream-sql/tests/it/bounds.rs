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

/// Hundreds of times what a statement with a bound takes, so that only one without a bound fails.
const HANG: Duration = Duration::from_secs(120);

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
        (
            format!("SELECT (a){} FROM (SELECT 1 AS a)", " - 1".repeat(1_001)),
            "MS-0228 one expression has more than 1000 operators in a row",
        ),
        (format!("SELECT a{} AS x FROM (SELECT 1 AS a)", " + 1".repeat(1_000)), ""),
        (format!("SELECT count(*) AS n FROM (SELECT 1 AS a) WHERE a > 0{}", " AND a < 9".repeat(1_500)), ""),
        ("SELECT count(*) AS n FROM (SELECT 1 AS a, 2 AS b) GROUP BY CUBE (a, b)".to_owned(), ""),
        (
            format!("SELECT count(*) AS n FROM (SELECT 1 AS a) GROUP BY CUBE ({})", ["a"; 40].join(", ")),
            "MS-0228 the statement groups by more than 10000 sets of columns",
        ),
        (nested(12), ""),
        (nested(100), "MS-0201"),
    ] {
        let began = Instant::now();
        let answer = answer(64 << 20, &sql).await;
        let start = sql.get(..60).unwrap_or(&sql);
        assert!(began.elapsed() < HANG, "{start}: {:?}", began.elapsed());
        match expected {
            "" => assert!(!answer.starts_with("MS-"), "{start}: {answer}"),
            expected => assert!(answer.starts_with(expected), "{start}: {answer}"),
        }
    }
}

#[tokio::test]
async fn one_value_cannot_take_the_memory() {
    for (sql, expected) in [
        ("SELECT repeat('x', 2000000000) AS x", "one value of `repeat`"),
        ("SELECT length(repeat('x', 2000000000)) AS x", "one value of `repeat`"),
        ("SELECT length(lpad('x', 2000000000)) AS x", "one value of `lpad`"),
        ("SELECT length(rpad('x', 2000000000, 'ab')) AS x", "one value of `rpad`"),
        ("SELECT array_length(array_repeat(1, 2000000000)) AS x", "one value of `array_repeat`"),
        ("SELECT array_length(list_repeat('xx', 2000000000)) AS x", "one value of `array_repeat`"),
        ("SELECT array_length(array_resize([1], 2000000000, 7)) AS x", "one value of `array_resize`"),
        ("SELECT array_length(range(1, 2000000000)) AS x", "one value of `range`"),
        ("SELECT array_length(generate_series(2000000000, 1, -1)) AS x", "one value of `generate_series`"),
        (
            "SELECT array_length(range(timestamp '2020-01-01', timestamp '2040-01-01', interval '1 second')) AS x",
            "one value of `range`",
        ),
        (
            "SELECT length(replace(repeat('x', 100000), 'x', repeat('y', 100000))) AS x",
            "one value of `replace`",
        ),
        (
            "SELECT length(regexp_replace(repeat('x', 100000), 'x', repeat('y', 100000), 'g')) AS x",
            "one value of `regexp_replace`",
        ),
        (
            "SELECT length(array_to_string(range(1, 100000), repeat('y', 100000))) AS x",
            "one value of `array_to_string`",
        ),
        (
            "SELECT length(concat(x, x, x, x)) AS l FROM (SELECT repeat('x', 100000000) AS x)",
            "one value of `concat`",
        ),
        (
            "SELECT length(x || x || x || x) AS l FROM (SELECT repeat('x', 100000000) AS x)",
            "one value of `||`",
        ),
        ("SELECT length(repeat('x', 250000000) || repeat('x', 250000000) || 'y') AS x", "one value of `||`"),
        (
            "SELECT length(concat(repeat('x', 250000000), repeat('x', 250000000))) AS x",
            "one value of `concat`",
        ),
        ("SELECT length(encode(repeat('x', 250000000), 'hex')) AS x", "one value of `encode`"),
        ("SELECT length(encode(repeat('x', 250000000), 'base64')) AS x", "one value of `encode`"),
        (
            "SELECT length(replace(repeat('x', 200000000), 'x', 'yyyyyyyyyyyyyyyy')) AS x",
            "one value of `replace`",
        ),
        (
            "SELECT length(concat_ws(repeat(',', 100000000), 'a', 'b', 'c', 'd')) AS x",
            "one value of `concat_ws`",
        ),
    ] {
        let answer = answer(64 << 20, sql).await;
        let expected = format!("MS-0223 {expected} would take more than 256 MiB");
        assert_eq!(answer, expected, "{sql}");
    }
}

#[tokio::test]
async fn steps_and_values_together_have_bounds() {
    let rows = "FROM generate_series(1, 20000) AS t(n)";
    let far = "SELECT levenshtein(repeat('x', 100000), repeat('y', 100000)) AS x";
    let refused = "MS-0222 one value of `levenshtein` would take more than 1000000000 steps";
    assert_eq!(answer(64 << 20, far).await, refused);
    for (sql, expected) in [
        (
            format!("SELECT max(length(repeat('x', n * 10000))) AS x {rows}"),
            "MS-0223 the values of `repeat` in 8192 rows",
        ),
        (
            format!("SELECT max(length(x || x)) AS x FROM (SELECT repeat('x', n * 100) AS x {rows})"),
            "MS-0223",
        ),
        (format!("SELECT repeat('x', 10000000) AS x {rows}"), "MS-0223 a constant in 8192 rows"),
    ] {
        let answer = answer(64 << 20, &sql).await;
        assert!(answer.starts_with(expected), "{sql}: {answer}");
    }
}

#[tokio::test]
async fn values_that_fit_are_what_they_were() {
    for (sql, expected) in [
        ("SELECT repeat('ab', 3) AS x", "ababab"),
        ("SELECT length(repeat('x', 1000000)) AS x", "1000000"),
        ("SELECT repeat(NULL, 2000000000) AS x", "\n|   |\n"),
        ("SELECT repeat('', 2000000000) AS x", "\n|   |\n"),
        ("SELECT repeat('x', -5) AS x", "\n|   |\n"),
        ("SELECT lpad('x', 3, '0') || rpad('y', 3, '0') AS x", "00xy00"),
        ("SELECT concat('a', NULL, 'b') || concat_ws('-', 'c', NULL, 'd') AS x", "abc-d"),
        ("SELECT length(repeat('x', 200000) || repeat('y', 200000)) AS x", "400000"),
        ("SELECT max(length(repeat('x', 200000)) + n) AS x FROM generate_series(1, 20000) AS t(n)", "220000"),
        ("SELECT 'a' || NULL || 'b' AS x", "\n|   |\n"),
        (
            "SELECT count(a || '-' || b) AS n, max(a || b) AS m FROM (VALUES ('x', 'y'), ('x', NULL)) AS t(a, b)",
            "| 1 | xy |",
        ),
        ("SELECT encode(X'01' || X'02ff', 'hex') AS x", "0102ff"),
        ("SELECT 'a' || 1 || (true || 'c') AS x", "a1truec"),
        ("SELECT encode('hello', 'hex') || encode('hello', 'base64') AS x", "68656c6c6faGVsbG8"),
        ("SELECT array_to_string(range(1, 4), ', ') AS x", "1, 2, 3"),
        (
            "SELECT array_length(range(timestamp '2020-01-01', timestamp '2020-02-01', interval '1 day')) AS x",
            "31",
        ),
        ("SELECT replace('a,b,c', ',', '; ') AS x", "a; b; c"),
        ("SELECT regexp_replace('a1b22', '[0-9]+', '<\\0>', 'g') AS x", "a<"),
        // The values are too large together, and are computed in groups.
        (
            "SELECT sum(length(x)) AS s FROM (SELECT replace(repeat('xy', 40000 + 0 * n), 'q', 'zz') AS x \
             FROM generate_series(1, 8192) AS t(n))",
            "655360000",
        ),
    ] {
        let answer = answer(1 << 30, sql).await;
        assert!(answer.contains(expected), "{sql}: {answer}");
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
async fn many_first_rows_use_the_disk() {
    let sql = "SELECT count(*) AS n, sum(length(w)) AS l, min(n) AS m FROM \
               (SELECT n, concat(n, repeat('w', 500)) AS w FROM generate_series(1, 500000) AS t(n) \
               ORDER BY n DESC LIMIT 200000)";
    let answer = answer(96 << 20, sql).await;
    assert!(answer.contains("| 200000 | 101200000 | 300001 |"), "{answer}");
}

#[tokio::test]
async fn a_join_that_compares_each_pair_uses_the_disk_or_ends() {
    let refused = "MS-0223 the query needs more memory than it may use: `NestedLoopJoin` gets no more";
    let (large, small) = ("generate_series(1, 3000000)", "generate_series(1, 10)");
    for (sql, expected) in [
        (format!("{large} a JOIN {small} b ON a.value + b.value > 3000000"), "| 55 |"),
        (
            format!(
                "(SELECT value FROM {large} WHERE value % 2 = 0) a JOIN {small} b ON a.value + b.value > 3000000"
            ),
            "| 30 |",
        ),
        (
            format!(
                "(SELECT value, count(*) FROM {large} GROUP BY 1) a JOIN {small} b ON a.value + b.value > 3000000"
            ),
            "| 55 |",
        ),
        (
            format!(
                "(SELECT a.value FROM {large} a JOIN {large} b USING (value)) a JOIN {small} b ON a.value + b.value > 3000000"
            ),
            "| 55 |",
        ),
        (format!("{large} a RIGHT JOIN {small} b ON a.value + b.value < 0"), "| 10 |"),
        // The right side has several parts, and each would give out the left side's rows once more.
        (
            format!("{large} a LEFT JOIN (SELECT DISTINCT value FROM {small}) b ON a.value + b.value < 0"),
            refused,
        ),
        (
            format!("{large} a FULL JOIN (SELECT DISTINCT value FROM {small}) b ON a.value + b.value < 0"),
            "MS-0223",
        ),
        (
            format!(
                "(SELECT value FROM {large} ORDER BY value DESC LIMIT 2900000) a JOIN {small} b ON a.value + b.value > 3000000"
            ),
            "| 55 |",
        ),
        (format!("{large} a, {large} b, {large} c WHERE a.value + b.value + c.value = 7"), refused),
    ] {
        let sql = format!("SELECT count(*) AS n FROM {sql}");
        let answer = answer(16 << 20, &sql).await;
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

/// Each statement computes for hours before its first row; the thread that it runs on still hears a clock.
#[test]
fn endless_statements_give_way() {
    // A thread looks at the clock between any two turns of tasks.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build().unwrap();
    let series = "generate_series(1, 900000)";
    let far = "levenshtein(repeat('ab', 3000), concat(repeat('ba', 3000), a.value))";
    for sql in [
        format!("SELECT max({far}) FROM {series} a"),
        format!("SELECT a.value % 7, max({far}) FROM {series} a GROUP BY 1"),
        format!("SELECT count(*) FROM {series} a GROUP BY {far}"),
        format!("SELECT count(*) FILTER (WHERE {far} > 3) FROM {series} a"),
        format!("SELECT sum(length(repeat(concat('x', a.value), 10000))) FROM {series} a"),
        format!("SELECT a.value FROM {series} a ORDER BY {far} LIMIT 3"),
        format!("SELECT max(x) FROM (SELECT sum({far}) OVER (ORDER BY a.value) AS x FROM {series} a)"),
        format!("SELECT count(*) FROM {series} a, {series} b WHERE a.value + b.value = 7"),
        format!("SELECT count(*) FROM {series} a LEFT JOIN {series} b ON a.value + b.value < 0"),
        format!("SELECT count(*) FROM {series} a FULL JOIN {series} b ON a.value * b.value = -1"),
        format!(
            "SELECT count(*) FROM {series} a JOIN {series} b ON a.value % 2 = b.value % 2 AND a.value + b.value < 0"
        ),
        format!("SELECT count(*) FROM {series} a, {series} b"),
        format!("SELECT a.value FROM {series} a, {series} b ORDER BY a.value * b.value LIMIT 3"),
        format!("SELECT max(x) FROM (SELECT unnest(range(1, 1000)) AS x FROM {series} a, {series} b)"),
        format!(
            "SELECT count(*) FROM {series} a WHERE NOT EXISTS (SELECT 1 FROM {series} b WHERE a.value + b.value = 0)"
        ),
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r) SELECT count(*) FROM r".to_owned(),
    ] {
        let began = Instant::now();
        let ended = runtime
            .block_on(async { tokio::time::timeout(Duration::from_millis(1_000), run(1 << 30, &sql)).await });
        assert!(ended.is_err(), "{sql} ended");
        assert!(began.elapsed() < HANG, "{sql}: {:?}", began.elapsed());
    }
}

/// Instants are compared in microseconds, which reach beyond the year 2262.
#[tokio::test]
async fn instants_of_every_year_are_compared() {
    let rows = "(SELECT arrow_cast(column1, 'Timestamp(Microsecond, Some(\"UTC\"))') AS t FROM (VALUES \
                (253402214400000000), (1767225600000000), (NULL)) AS v)";
    for (condition, expected) in [
        ("t < timestamp '9999-12-31'", "1"),
        ("t <= timestamp '9999-12-31'", "2"),
        ("t < '9999-12-31'", "1"),
        ("'9999-12-31' = t", "1"),
        ("t > date '9999-12-30'", "1"),
        ("t = cast(date '9999-12-31' as timestamp)", "1"),
        ("t = cast('9999-12-31' as timestamp)", "1"),
        ("t = cast(concat('9999-', '12-31') as timestamp)", "1"),
        ("t = timestamp '9999-12-31' - interval '1 day'", "0"),
        ("t BETWEEN '2026-01-01' AND '9999-12-31'", "2"),
        ("t IN ('9999-12-31', '2026-01-01')", "2"),
        ("t > now()", "1"),
        ("coalesce(t, timestamp '9999-12-31') = timestamp '9999-12-31'", "2"),
        ("t IN (SELECT timestamp '9999-12-31')", "1"),
        ("t = (SELECT max(x) FROM (VALUES (timestamp '2026-01-01')) AS w(x))", "1"),
        ("CASE WHEN t IS NULL THEN timestamp '9999-12-31' ELSE t END > timestamp '9000-01-01'", "2"),
        ("t >= cast(1767225600 as timestamp)", "2"),
        ("t IS NOT DISTINCT FROM timestamp '2026-01-01 00:00:00.000000'", "1"),
        ("EXISTS (SELECT 1 FROM (SELECT timestamp '9999-12-31' AS u) AS w WHERE u = t)", "1"),
    ] {
        let sql = format!("SELECT count(*) AS n FROM {rows} AS v WHERE {condition}");
        let answer = answer(256 << 20, &sql).await;
        assert!(answer.contains(&format!("\n| {expected} |")), "{condition}: {answer}");
    }
    for (sql, expected) in [
        ("SELECT timestamp '9999-12-31 23:59:59' AS t", "9999-12-31T23:59:59"),
        ("SELECT cast(date '9999-12-31' AS timestamp) AS t", "9999-12-31T00:00:00"),
        ("SELECT cast(1767225600 AS timestamp) AS t", "2026-01-01T00:00:00"),
        (
            "SELECT timestamp '2026-01-01' UNION ALL SELECT cast('9999-12-31' AS timestamp)",
            "9999-12-31T00:00:00",
        ),
        (
            "WITH RECURSIVE d AS (SELECT timestamp '2026-01-01' AS t UNION ALL SELECT t + interval '1 day' FROM d \
             WHERE t < timestamp '2026-01-03') SELECT max(t) AS t FROM d",
            "2026-01-03T00:00:00",
        ),
        (
            "SELECT count(*) AS n FROM generate_series(timestamp '2026-01-01', timestamp '2026-01-03', interval '1 day')",
            "| 3 |",
        ),
    ] {
        let answer = answer(256 << 20, sql).await;
        assert!(answer.contains(expected), "{sql}: {answer}");
    }
}
