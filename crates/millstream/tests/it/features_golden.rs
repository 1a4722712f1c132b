//! Values worked out by hand, in the dataset and served.

use serde_json::{Value, json};

use crate::{
    features_rows::{built, columns_json, texts},
    features_small::{ANN, BOB, EVE, desk},
    harness::Folder,
    serve_process::Server,
};

const FEATURES: [&str; 10] = [
    "orders.orders",
    "orders.orders_1d",
    "orders.spend",
    "orders.average_1d",
    "orders.paid_1d",
    "orders.category",
    "orders.refunded",
    "latest.orders",
    "latest.status",
    "cart_share",
];

/// For each label: its line, whether it can be asked online once everything is there, and its values.
fn golden() -> Vec<(&'static str, bool, Value)> {
    vec![
        // Ann's two orders at the label's own instant are seen by the inclusive view only.
        (
            "ann 2026-01-02T00:00:00Z 30.5 true",
            false,
            json!([2, 2, "30.50", 15.25, 2, "toys", 0.0, 4, "paid", 2.0]),
        ),
        // One microsecond later every view sees them; the tail of the window moves in hops of an hour.
        (
            "ann 2026-01-02T00:00:00.000001Z 15.1 true",
            true,
            json!([4, 4, "100.50", 25.125, 3, "games", 0.25, 4, "paid", 15.1 / 25.125]),
        ),
        (
            "ann 2026-01-02T01:00:00Z - true",
            true,
            json!([4, 3, "100.50", 90.5 / 3.0, 2, "games", 0.25, 4, "paid", null]),
        ),
        (
            "ann 2026-01-02T12:59:59Z 0 false",
            true,
            json!([4, 3, "100.50", 90.5 / 3.0, 2, "games", 0.25, 4, "paid", 0.0]),
        ),
        (
            "ann 2026-01-02T13:00:00Z 35 false",
            true,
            json!([4, 2, "100.50", 35.0, 1, "games", 0.25, 4, "paid", 1.0]),
        ),
        // An event as old as the time to live is not expired; one that is a microsecond older is.
        (
            "ann 2026-01-04T00:00:00Z 1 false",
            true,
            json!([4, 0, "100.50", null, 0, "games", 0.25, 4, "paid", null]),
        ),
        (
            "ann 2026-01-04T00:00:00.000001Z 1 false",
            true,
            json!([null, null, "0.00", null, null, null, null, 4, "paid", null]),
        ),
        // Bob's number is Ann's as a float. He has a refund without a category.
        (
            "bob 2026-01-02T01:00:00Z 7 true",
            true,
            json!([1, 1, "7.00", 7.0, 0, null, 1.0, 1, "refunded", 1.0]),
        ),
        (
            "bob 2026-01-01T06:00:00Z 7 true",
            false,
            json!([0, 0, "0.00", null, 0, null, null, 1, "refunded", null]),
        ),
        // Eve is nobody, and has what an empty window gives.
        ("eve 2026-01-03T00:00:00Z 7 true", true, json!([0, 0, "0.00", null, 0, null, null, 0, null, null])),
        // At this time, nothing had happened yet.
        ("ann 2025-12-31T00:00:00Z 7 true", false, json!([0, 0, "0.00", null, 0, null, null, 0, null, null])),
    ]
}

fn project() -> (Folder, Vec<(&'static str, bool, Value)>) {
    let golden = golden();
    let lines: Vec<&str> = golden.iter().map(|(line, ..)| *line).collect();
    (desk(&lines.join("\n")), golden)
}

#[test]
fn a_dataset_has_the_values_worked_out_by_hand() {
    let (folder, golden) = project();
    let dataset = built(&folder, "desk");
    let names: Vec<String> = dataset.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names[..4], ["customer_id", "at", "cart", "churned"].map(str::to_owned));
    assert_eq!(names[4..], FEATURES.map(str::to_owned));
    assert_eq!(dataset.num_rows(), golden.len());
    let columns = columns_json(&dataset, &FEATURES);
    for (row, (line, _, expected)) in golden.iter().enumerate() {
        let found: Vec<&Value> = FEATURES.iter().map(|name| &columns[name][row]).collect();
        assert_same(&found, expected, line);
    }
}

#[test]
fn a_server_answers_with_the_values_worked_out_by_hand() {
    let (folder, golden) = project();
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    for (line, is_asked, expected) in golden {
        let words: Vec<&str> = line.split(' ').collect();
        let customer = match words[0] {
            "ann" => ANN,
            "bob" => BOB,
            _ => EVE,
        };
        if !is_asked {
            continue;
        }
        let cart: Option<f64> = words[2].parse().ok();
        let body = json!({"service": "desk", "entities": {"customer_id": [customer]}, "request": {"cart": [cart]}, "at": words[1]});
        let answer = server.post("/v1/features/read", &body).good();
        let found: Vec<&Value> = FEATURES.iter().map(|name| &answer["columns"][name]["values"][0]).collect();
        assert_same(&found, &expected, line);
    }
    server.stop();
}

/// Numbers are compared as numbers and decimals by their digits.
fn assert_same(found: &[&Value], expected: &Value, when: &str) {
    for ((name, found), expected) in FEATURES.iter().zip(found).zip(expected.as_array().unwrap()) {
        let digits = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let same = match (found.as_f64(), expected.as_f64()) {
            (Some(found), Some(expected)) => found == expected,
            // Arrow writes a decimal as a number without its quotes.
            (Some(found), None) => expected.as_str().and_then(|text| text.parse().ok()) == Some(found),
            _ => digits(found) == digits(expected),
        };
        assert!(same, "{name} for {when}: {found} rather than {expected}");
    }
}

#[test]
fn statuses_say_why_a_value_is_what_it_is() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    let status = |customer: i64, at: &str, feature: &str| {
        let body = json!({"features": [feature], "entities": {"customer_id": [customer]}, "at": at});
        let answer = server.post("/v1/features/read", &body).good();
        let column = &answer["columns"][feature];
        (column["statuses"][0].clone(), column["event_times"][0].clone())
    };
    let newest = json!("2026-01-02T00:00:00Z");
    for (customer, at, feature, expected, time) in [
        (ANN, "2026-01-03T00:00:00Z", "orders.orders", "present", newest.clone()),
        (ANN, "2026-01-04T00:00:00Z", "orders.average_1d", "null", newest.clone()),
        (BOB, "2026-01-02T01:00:00Z", "orders.category", "null", json!("2026-01-01T06:00:00Z")),
        (ANN, "2026-01-05T00:00:00Z", "orders.spend", "expired", newest),
        (EVE, "2026-01-03T00:00:00Z", "orders.spend", "missing", Value::Null),
        (EVE, "2026-01-03T00:00:00Z", "orders.orders", "missing", Value::Null),
        // Hops cannot be cut: a value at an instant before them is not known exactly, and is not answered.
        (ANN, "2026-01-01T11:00:00Z", "orders.orders", "degraded", json!("2026-01-01T12:00:00Z")),
    ] {
        assert_eq!(status(customer, at, feature), (json!(expected), time), "{feature} of {customer} at {at}");
    }
    // Features that are computed of such a value are not answered either.
    let body = json!({"features": ["orders.average_1d", "cart_share"], "entities": {"customer_id": [ANN, ANN]},
        "request": {"cart": [15.0, 15.0]}, "at": "2026-01-01T11:00:00Z"});
    let columns = &server.post("/v1/features/read", &body).good()["columns"];
    let (status, code, message) = server.post("/v1/query", &json!({"sql": "SELECT 1 / 0"})).refusal();
    assert_eq!((status, &*code), (400, "MS-0222"), "{message}");
    for feature in ["orders.average_1d", "cart_share"] {
        assert_eq!(columns[feature]["statuses"], json!(["degraded", "degraded"]), "{feature}: {columns}");
        assert_eq!(columns[feature]["values"], json!([null, null]), "{feature}: {columns}");
    }
    server.stop();
}

#[test]
fn a_late_correction_is_not_seen_as_of_the_time_before_it_was_known() {
    let folder = desk("ann 2026-01-03T00:00:00Z 1 true");
    std::thread::sleep(std::time::Duration::from_millis(20));
    let now = folder.json(&["query", "SELECT CAST(now() AS varchar) AS now", "--json"]);
    let now = now[0]["now"].as_str().unwrap().replace(' ', "T");
    std::thread::sleep(std::time::Duration::from_millis(20));
    folder.write(
        "data/orders/2.csv",
        "order_id,customer_id,amount,status,category,at\n6,9007199254740992,1.00,paid,late,2026-01-01T18:00:00Z\n",
    );
    folder.stdout(&["run"]);
    let labels = "labels: {from: bronze.labels, entity: customer, time: at, columns: [cart, churned]}\n";
    for (as_known, orders) in [("", 5), (&*format!("as_known: {now}\n"), 4), ("as_known: true\n", 0)] {
        folder.write("datasets/desk.yaml", &format!("{labels}features: desk\n{as_known}"));
        let dataset = built(&folder, "desk");
        let found = texts(dataset.column_by_name("orders.orders").unwrap());
        assert_eq!(found, [Some(orders.to_string())], "{as_known}");
    }
    // Each label may have a cut-off of its own.
    folder.write(
        "datasets/desk.yaml",
        &format!(
            "labels:\n  sql: \"SELECT customer_id, at, cart, date_trunc('microsecond', TIMESTAMP '{now}') AS cutoff FROM bronze.labels UNION ALL \
             SELECT customer_id, at, cart, TIMESTAMP '2199-01-01' AS cutoff FROM bronze.labels ORDER BY cutoff\"\n  entity: customer\n  time: at\n\
             features: desk\nas_known: cutoff\n"
        ),
    );
    let dataset = built(&folder, "desk");
    let found = texts(dataset.column_by_name("orders.orders").unwrap());
    assert_eq!(found, [Some("4".to_owned()), Some("5".to_owned())]);
}
