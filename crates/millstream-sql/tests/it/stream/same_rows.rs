//! A pipeline gives the rows that its SQL gives over all events, whatever the order and the batches in which these come.

use std::collections::HashMap;

use proptest::{prelude::*, test_runner::TestRunner};

use super::world::{World, arrivals, events};

/// Each with the name of the table that is compared.
const CASES: &[(&str, &str, &str)] = &[
    (
        "columns, filters and expressions",
        "silver.t",
        "--- silver.t materialize=stream
SELECT at AS happened, upper(page) AS page, cost * 2 AS twice, CASE WHEN weight > 5 THEN 'heavy' WHEN weight IS NULL THEN 'none' ELSE 'light' END AS class
FROM bronze.clicks WHERE account <> 2 AND (page IS NULL OR length(page) > 0)",
    ),
    (
        "casts to what a table stores",
        "silver.t",
        "--- silver.t materialize=stream
SELECT at, cast(account AS int unsigned) AS account, arrow_cast(page, 'LargeUtf8') AS page, cast(cost AS double) AS cost, cast(at AS date) AS day FROM bronze.clicks WHERE account IS NOT NULL",
    ),
    (
        "tumbling windows",
        "silver.t",
        "--- silver.t materialize=stream
SELECT window_start, account, count(*) AS n, sum(cost) AS cost, sum(weight) AS weight FROM tumble(bronze.clicks, at, INTERVAL '10 seconds') GROUP BY window_start, account",
    ),
    (
        "all aggregates, and one group",
        "silver.t",
        "--- silver.t materialize=stream
SELECT window_start AS since, window_end AS until, count(page) AS pages, avg(cost) AS cost, avg(weight) AS weight, min(page) AS first_page, max(page) AS last_page, min(weight) AS w0, max(weight) AS w1, min(at) AS a0, max(cost) AS c1, sum(account) AS users, avg(account) AS account
FROM tumble(bronze.clicks, at, INTERVAL '7 seconds') GROUP BY window_start, window_end",
    ),
    (
        "hopping windows",
        "silver.t",
        "--- silver.t materialize=stream
SELECT c.window_start, c.window_end, c.page, count(*) AS n, sum(c.cost) AS cost FROM hop(bronze.clicks, at, INTERVAL '4 seconds', INTERVAL '10 seconds') AS c WHERE c.account < 3 GROUP BY c.window_start, c.window_end, c.page",
    ),
    (
        "sessions",
        "silver.t",
        "--- silver.t materialize=stream
SELECT account, window_start, window_end, count(*) AS n, max(weight) AS w FROM session(bronze.clicks, at, INTERVAL '3 seconds') GROUP BY account, window_start, window_end",
    ),
    (
        "sessions of all, of what WHERE lets pass",
        "silver.t",
        "--- silver.t materialize=stream
SELECT window_start, count(*) AS n FROM session(bronze.clicks, at, INTERVAL '2 seconds') WHERE page = 'a' GROUP BY window_start",
    ),
    (
        "FILTER, HAVING and expressions over aggregates",
        "silver.t",
        "--- silver.t materialize=stream
SELECT window_start, account % 2 AS odd, count(*) FILTER (WHERE page = 'a') AS a, sum(cost) FILTER (WHERE weight > 2) / 2 AS half, count(*) * 10 + 1 AS n
FROM tumble(bronze.clicks, at, INTERVAL '10 seconds') GROUP BY window_start, account % 2 HAVING count(*) > 1 AND max(cost) > 3",
    ),
    (
        "WITH, and a subquery that is windowed",
        "silver.t",
        "--- silver.t materialize=stream
WITH cheap AS (SELECT at AS moment, page || '!' AS page, cost FROM bronze.clicks WHERE cost < 20)
SELECT window_start, page, sum(cost) AS cost FROM tumble(cheap, moment, INTERVAL '15 seconds') GROUP BY 1, 2",
    ),
    (
        "a subquery as the windowed table",
        "silver.t",
        "--- silver.t materialize=stream
SELECT window_start, count(*) AS n FROM tumble((SELECT at, account FROM bronze.clicks WHERE account = 1), at, INTERVAL '1 minute') GROUP BY window_start",
    ),
    (
        "views between",
        "silver.t",
        "--- silver.known materialize=view
SELECT at AS moment, account, weight * 2 AS weight FROM bronze.clicks WHERE account IS NOT NULL
--- silver.t materialize=stream
SELECT window_start, account, sum(weight) AS weight FROM tumble(silver.known, moment, INTERVAL '20 seconds') GROUP BY window_start, account",
    ),
    (
        "continuous tables in a row",
        "gold.t",
        "--- silver.clean materialize=stream
SELECT at, account, cost, page FROM bronze.clicks WHERE cost > 0
--- silver.seconds materialize=stream key=second,account
SELECT window_start AS second, account, sum(cost) AS cost, count(*) AS n FROM tumble(silver.clean, at, INTERVAL '10 seconds') GROUP BY window_start, account
--- gold.t materialize=stream
SELECT window_start, sum(cost) AS cost, sum(n) AS n, count(*) AS parts FROM tumble(silver.seconds, second, INTERVAL '1 minute') GROUP BY window_start",
    ),
    (
        "an inner join",
        "silver.t",
        "--- silver.t materialize=stream
SELECT c.at, c.account, c.page, p.amount, p.paid_at FROM bronze.clicks c JOIN bronze.payments p ON c.account = p.account AND p.paid_at BETWEEN c.at - INTERVAL '2 seconds' AND c.at + INTERVAL '10 seconds'",
    ),
    (
        "a left join",
        "silver.t",
        "--- silver.t materialize=stream
SELECT c.at, c.account, c.page, p.amount FROM bronze.clicks c LEFT JOIN bronze.payments p ON p.account = c.account AND p.paid_at >= c.at AND p.paid_at <= c.at + INTERVAL '5 seconds'",
    ),
    (
        "a right join with a key that is computed",
        "silver.t",
        "--- silver.t materialize=stream
SELECT p.paid_at, p.method, p.amount, c.page, c.weight FROM bronze.clicks c RIGHT JOIN bronze.payments p ON c.account + 1 = p.account AND c.page = p.method AND c.at BETWEEN p.paid_at - INTERVAL '8 seconds' AND p.paid_at",
    ),
    (
        "a join with more conditions",
        "silver.t",
        "--- silver.t materialize=stream
SELECT c.at, p.amount, c.cost FROM bronze.clicks c JOIN bronze.payments p ON c.account = p.account AND p.paid_at > c.at AND p.paid_at < c.at + INTERVAL '6 seconds' AND p.amount > c.cost",
    ),
    (
        "windows over a join",
        "gold.t",
        "--- silver.paid materialize=stream
SELECT c.at, c.page, p.amount FROM bronze.clicks c JOIN bronze.payments p ON c.account = p.account AND p.paid_at BETWEEN c.at AND c.at + INTERVAL '5 seconds'
--- gold.t materialize=stream
SELECT window_start, page, sum(amount) AS amount FROM tumble(silver.paid, at, INTERVAL '20 seconds') GROUP BY window_start, page",
    ),
    (
        "a stream with itself",
        "silver.t",
        "--- silver.t materialize=stream
SELECT a.at, a.page AS first_page, b.page AS next_page FROM bronze.clicks a JOIN bronze.clicks b ON a.account = b.account AND b.at BETWEEN a.at + INTERVAL '1 millisecond' AND a.at + INTERVAL '3 seconds'",
    ),
    (
        "a lookup",
        "silver.t",
        "--- silver.t materialize=stream
SELECT c.at, c.page, u.country, u.level + 1 AS level FROM bronze.clicks c JOIN bronze.users u ON c.account = u.user_id AND u.level IS NOT NULL",
    ),
    (
        "a lookup that keeps all events, before a window",
        "silver.t",
        "--- silver.t materialize=stream
WITH known AS (SELECT c.at, u.country, c.cost FROM bronze.clicks c LEFT JOIN bronze.users u ON c.account = u.user_id)
SELECT window_start, country, sum(cost) AS cost FROM tumble(known, at, INTERVAL '30 seconds') GROUP BY window_start, country",
    ),
    (
        "a lookup after a window, the table first",
        "silver.t",
        "--- silver.totals materialize=stream
SELECT window_start, account, sum(cost) AS cost FROM tumble(bronze.clicks, at, INTERVAL '30 seconds') GROUP BY window_start, account
--- silver.t materialize=stream
SELECT t.window_start, u.country, t.cost FROM bronze.users u RIGHT JOIN silver.totals t ON u.user_id = t.account",
    ),
    (
        "deduplication",
        "silver.t",
        "--- silver.t materialize=stream by=click_id within=20s
SELECT at, click_id, account, page, cost FROM bronze.clicks",
    ),
    (
        "windows over what is deduplicated",
        "silver.t",
        "--- silver.t materialize=stream by=click_id,account within=10s
SELECT window_start, count(*) AS n, sum(weight) AS weight FROM tumble(bronze.clicks, at, INTERVAL '10 seconds') GROUP BY window_start",
    ),
    (
        "deduplication of a view",
        "silver.t",
        "--- silver.known materialize=view
SELECT at, click_id, page FROM bronze.clicks WHERE page <> 'a'
--- silver.t materialize=stream by=click_id within=30s
SELECT at, click_id, page FROM silver.known",
    ),
    (
        "first and last values",
        "silver.t",
        "--- silver.t materialize=stream
SELECT window_start, account, first_value(page ORDER BY at) IGNORE NULLS AS entry, last_value(page ORDER BY at) IGNORE NULLS AS leave, last_value(weight ORDER BY at) IGNORE NULLS AS weight
FROM tumble(bronze.clicks, at, INTERVAL '20 seconds') GROUP BY window_start, account",
    ),
    (
        "an allowed lateness",
        "silver.t",
        "--- silver.t materialize=stream disorder=0s lateness=5s
SELECT window_start, account, count(*) AS n, sum(cost) AS cost FROM tumble(bronze.clicks, at, INTERVAL '10 seconds') GROUP BY window_start, account HAVING count(*) < 3",
    ),
    (
        "an allowed lateness of sessions",
        "silver.t",
        "--- silver.t materialize=stream disorder=0s lateness=5s
SELECT account AS who, window_start AS began, window_end AS ended, count(*) + 1 AS n FROM session(bronze.clicks, at, INTERVAL '4 seconds') GROUP BY account, window_start, window_end",
    ),
];

#[test]
fn every_table_is_what_its_sql_gives_over_all_events() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (case, table, sql) in CASES {
        let world = World::sound(sql);
        let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = TestRunner::new(config);
        let outcome = runner.run(&(events(), events(), arrivals()), |(clicks, payments, arrival)| {
            let events = HashMap::from([("clicks", clicks), ("payments", payments)]);
            let (expected, lake) = runtime.block_on(world.queried(table, &events));
            let found = world.streamed(table, &events, &arrival, &lake);
            prop_assert_eq!(found, expected, "{}", case);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{case}: {error}"));
    }
}
