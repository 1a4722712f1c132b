//! Windows in ordinary queries and tables.

use std::collections::HashMap;

use super::world::{Event, World};

/// Clicks of two accounts, at these seconds.
fn clicks(of: &[(i64, i64)]) -> HashMap<&'static str, Vec<Event>> {
    let event = |(account, second): &(i64, i64)| Event {
        account: Some(*account),
        word: Some("a"),
        cents: 100,
        weight: Some(1.0),
        at_ms: second * 1_000,
        delay_ms: 0,
    };
    HashMap::from([("clicks", of.iter().map(event).collect()), ("payments", Vec::new())])
}

async fn check(sql: &str, expected: &[&str]) {
    let world = World::sound(&format!("--- silver.t\n{sql}"));
    let events = clicks(&[(1, 0), (1, 9), (2, 10), (1, 13), (1, 14), (2, 19)]);
    assert_eq!(world.queried("silver.t", &events).await.0, expected, "{sql}");
}

#[tokio::test]
async fn windows_are_half_open() {
    check(
        "SELECT date_part('epoch', window_start) AS since, date_part('epoch', window_end) AS until, count(*) AS n FROM tumble(bronze.clicks, at, INTERVAL '10 seconds') GROUP BY 1, 2",
        &["0.000000000e0 | 1.000000000e1 | 2", "1.000000000e1 | 2.000000000e1 | 4"],
    )
    .await;
    check(
        "SELECT date_part('epoch', window_start) AS since, count(*) AS n FROM hop(bronze.clicks, at, INTERVAL '5 seconds', INTERVAL '10 seconds') WHERE account = 1 GROUP BY window_start",
        &["-5.000000000e0 | 1", "0.000000000e0 | 2", "1.000000000e1 | 2", "5.000000000e0 | 3"],
    )
    .await;
}

#[tokio::test]
async fn a_row_one_gap_later_begins_another_session() {
    check(
        "SELECT account, date_part('epoch', window_start) AS since, date_part('epoch', window_end) AS until, count(*) AS n FROM session(bronze.clicks, at, INTERVAL '9 seconds') GROUP BY account, window_start, window_end",
        &[
            "1 | 0.000000000e0 | 9.000000000e0 | 1",
            "1 | 9.000000000e0 | 2.300000000e1 | 3",
            "2 | 1.000000000e1 | 1.900000000e1 | 1",
            "2 | 1.900000000e1 | 2.800000000e1 | 1",
        ],
    )
    .await;
}

#[tokio::test]
async fn tumbling_windows_need_no_group_where_all_rows_are_there() {
    check(
        "SELECT account, date_part('epoch', window_end) AS until, row_number() OVER (PARTITION BY window_start, account ORDER BY at) AS n FROM tumble(bronze.clicks, at, INTERVAL '10 seconds') w WHERE w.account = 2",
        &["2 | 2.000000000e1 | 1", "2 | 2.000000000e1 | 2"],
    )
    .await;
}
