//! What a continuous table cannot have is said before anything runs, with place, reason and way out.

use std::fmt::Write as _;

use super::world::world;
use crate::support;

const CASES: &[&str] = &[
    "--- silver.t materialize=stream
SELECT DISTINCT at, page FROM bronze.clicks ORDER BY at LIMIT 3",
    "--- silver.t materialize=stream
SELECT at, page, row_number() OVER (PARTITION BY account ORDER BY at) AS n FROM bronze.clicks",
    "--- silver.t materialize=stream
SELECT at, account FROM bronze.clicks UNION ALL SELECT paid_at AS at, account FROM bronze.payments",
    "--- silver.t materialize=stream
SELECT at, now() AS present, random() AS chance FROM bronze.clicks WHERE account IN (SELECT user_id FROM bronze.users)",
    "--- silver.t materialize=stream
SELECT account, count(*) AS n FROM bronze.clicks GROUP BY account",
    "--- silver.t materialize=stream
SELECT count(*) AS n FROM bronze.clicks",
    "--- silver.t materialize=stream
SELECT account, count(*) AS n FROM tumble(bronze.clicks, at, INTERVAL '1 minute') GROUP BY account",
    "--- silver.t materialize=stream
SELECT window_end, count(*) AS n FROM tumble(bronze.clicks, at, INTERVAL '1 minute') GROUP BY window_end",
    "--- silver.t materialize=stream
SELECT account, page FROM bronze.clicks",
    "--- silver.t materialize=stream
SELECT user_id, country FROM bronze.users",
    "--- silver.t materialize=stream
SELECT window_start, count(*) AS n FROM tumble(bronze.clicks, _ingested_at, INTERVAL '1 minute') GROUP BY window_start",
    "--- silver.t materialize=stream
SELECT window_start, count(DISTINCT account) AS n, median(cost) AS m, first_value(page) AS p, last_value(page ORDER BY at) AS q FROM tumble(bronze.clicks, at, INTERVAL '1 minute') GROUP BY window_start",
    "--- silver.t materialize=stream
SELECT at, window_start FROM hop(bronze.clicks, at, INTERVAL '1 minute', INTERVAL '2 minutes')",
    "--- silver.t materialize=stream
SELECT window_start, count(*) AS n FROM hop(bronze.clicks, at, INTERVAL '3 minutes', INTERVAL '2 minutes') GROUP BY window_start",
    "--- silver.t materialize=stream
SELECT window_start, count(*) AS n FROM tumble(bronze.clicks, at, INTERVAL '1 month') GROUP BY window_start",
    "--- silver.t materialize=stream
SELECT window_start, count(*) AS n FROM tumble(bronze.clicks, at) GROUP BY window_start",
    "--- silver.t materialize=stream
SELECT window_start, count(*) AS n FROM tumble(bronze.clicks, att, INTERVAL '1 minute') GROUP BY window_start",
    "--- silver.t materialize=stream
SELECT c.at, p.amount FROM bronze.clicks c JOIN bronze.payments p ON c.account = p.account",
    "--- silver.t materialize=stream
SELECT c.at, p.amount FROM bronze.clicks c JOIN bronze.payments p ON p.paid_at BETWEEN c.at AND c.at + INTERVAL '1 minute'",
    "--- silver.t materialize=stream
SELECT c.at, p.amount FROM bronze.clicks c FULL JOIN bronze.payments p ON c.account = p.account AND p.paid_at BETWEEN c.at AND c.at + INTERVAL '1 minute'",
    "--- silver.t materialize=stream
SELECT c.at, p.amount FROM bronze.clicks c LEFT JOIN bronze.payments p ON c.account = p.account AND p.paid_at BETWEEN c.at AND c.at + INTERVAL '1 minute' AND p.amount > 3",
    "--- silver.t materialize=stream
SELECT c.at, u.country FROM bronze.users u LEFT JOIN bronze.clicks c ON c.account = u.user_id",
    "--- silver.t materialize=stream
SELECT c.at, u.country FROM bronze.clicks c JOIN bronze.users u ON c.account > u.user_id",
    "--- silver.t materialize=stream lateness=1m
SELECT at, page FROM bronze.clicks",
    "--- silver.t materialize=stream lateness=1m
SELECT window_start, count(*) AS n FROM tumble(bronze.clicks, at, INTERVAL '1 minute') GROUP BY window_start, account",
    "--- silver.t materialize=stream lateness=1m
SELECT window_start, count(*) AS n FROM tumble(bronze.clicks, at, INTERVAL '1 minute') GROUP BY window_start
--- gold.t materialize=stream
SELECT w.window_start, sum(n) AS n FROM tumble(silver.t, window_start, INTERVAL '1 hour') w GROUP BY w.window_start",
    "--- silver.t materialize=stream lateness=1m
SELECT window_start AS minute, count(*) AS n FROM tumble(bronze.clicks, at, INTERVAL '1 minute') GROUP BY window_start
--- gold.t materialize=stream
SELECT window_start, sum(n) AS n FROM tumble(silver.t, minute, INTERVAL '1 hour') GROUP BY window_start",
    "--- silver.t materialize=stream by=nothing within=1m
SELECT at, page FROM bronze.clicks",
    "--- silver.t materialize=stream key=account
SELECT at, account, page FROM bronze.clicks
--- gold.t materialize=stream
SELECT at, page FROM silver.t",
    "--- silver.v materialize=view
SELECT at, account, now() AS present FROM bronze.clicks LIMIT 3
--- silver.t materialize=stream
SELECT at, account FROM silver.v",
    "--- silver.t
SELECT window_start FROM session(bronze.clicks, at, INTERVAL '1 minute')",
    "--- silver.t
SELECT account, count(*) AS n FROM session(bronze.clicks, at, INTERVAL '1 minute') WHERE window_start > at GROUP BY account, window_start",
];

#[test]
fn each_fault_is_told_with_its_place_and_a_way_out() {
    let mut told = String::new();
    for case in CASES {
        let world = world(case);
        let found = &world.analysis.diagnostics;
        writeln!(told, "{case}\n").unwrap();
        told += &support::render(found, &world.tables);
        told += "\n";
        assert!(!found.is_empty(), "{case}");
    }
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("refused_streams", told);
    });
}
