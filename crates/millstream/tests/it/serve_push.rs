//! Pushed rows: readable at once, durable, in the lake when they should be, and counted once.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    features_rows::{built, columns_json},
    features_small::{ANN, BOB, EVE, FEATURES, desk, order, write_labels},
    harness::{Folder, assert_said},
    serve_process::{Server, assert_quiet},
};

const COUNT: &str = "latest.orders";
const SPEND: &str = "orders.spend";

/// A time long before the present, and later than everything in the lake.
const RECENT: &str = "2026-01-02T06:00:00Z";
const READ_AT: &str = "2026-01-03T00:00:00Z";

fn materialized() -> Folder {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    folder
}

/// A feature at [`READ_AT`].
fn value(server: &Server, feature: &str, customer: i64) -> Value {
    value_at(server, feature, customer, READ_AT)
}

fn value_at(server: &Server, feature: &str, customer: i64, at: &str) -> Value {
    let body = json!({"features": [feature], "entities": {"customer_id": [customer]}, "at": at});
    server.post("/v1/features/read", &body).good()["columns"][feature]["values"][0].clone()
}

fn pushed_rows(folder: &Folder, view: &str) -> Value {
    let sql = format!("SELECT count(*) AS n FROM features.{view}__pushed");
    folder.json(&["query", &sql, "--json"])[0]["n"].clone()
}

/// A table's own rows say how far the table is, not the rows that were pushed to the lake.
#[test]
fn rows_pushed_ahead_of_their_table_count_until_the_table_is_as_new() {
    let folder = materialized();
    let server = Server::start(&folder);
    server.push("latest", &order("latest", EVE, RECENT, "1.00", "paid"), "online").good();
    let later = order("latest", BOB, "2026-01-02T07:00:00Z", "1.00", "paid");
    server.push("latest", &later, "online_and_offline").good();
    server.stop();
    let counts = || {
        folder.stdout(&["features", "materialize"]);
        let server = Server::start(&folder);
        let counts = [EVE, BOB].map(|customer| value(&server, COUNT, customer));
        server.stop();
        counts
    };
    assert_eq!(counts(), [json!(1), json!(2)]);
    folder.write(
        "data/orders/2.csv",
        &format!(
            "order_id,customer_id,amount,status,category,at\n20,{ANN},1.00,paid,late,2026-01-02T08:00:00Z\n"
        ),
    );
    folder.stdout(&["run"]);
    assert_eq!(counts(), [json!(0), json!(2)]);
}

#[test]
fn a_push_is_seen_by_the_next_read_and_outlives_a_kill() {
    let folder = materialized();
    for (round, target) in ["online", "online_and_offline"].into_iter().enumerate() {
        let server = Server::start(&folder);
        let before = value(&server, COUNT, EVE).as_i64().unwrap();
        assert_eq!(before, i64::try_from(round).unwrap() * 3);
        for number in 1..=3 {
            server.push("latest", &order("latest", EVE, RECENT, "1.00", "paid"), target).good();
            assert_eq!(value(&server, COUNT, EVE), before + number, "{target}");
        }
        server.kill();
        let server = Server::start(&folder);
        assert_eq!(value(&server, COUNT, EVE), before + 3, "{target}");
        // The counts of other customers and other views do not change.
        assert_eq!((value(&server, COUNT, ANN), value(&server, "orders.orders", EVE)), (json!(4), json!(0)));
        server.stop();
    }
    assert_quiet(&folder);
}

#[test]
fn pushes_that_go_to_the_lake_count_once_before_and_after_they_are_there() {
    let folder = materialized();
    let server = Server::start(&folder);
    server.push("latest", &order("latest", EVE, RECENT, "1.00", "paid"), "online_and_offline").good();
    server.push("latest", &order("latest", EVE, RECENT, "1.00", "paid"), "offline").good();
    assert_eq!(value(&server, COUNT, EVE), 1, "a push that is offline only is not served");
    server.post("/v1/features/materialize", &json!({"views": ["latest"]})).good();
    assert_eq!(value(&server, COUNT, EVE), 2, "until it comes with the lake");
    server.push("latest", &order("latest", EVE, RECENT, "1.00", "refunded"), "online_and_offline").good();
    assert_eq!(value(&server, COUNT, EVE), 3);
    server.kill();
    for arguments in [
        &["features", "materialize"][..],
        &["features", "materialize"],
        &["features", "materialize", "--full"],
    ] {
        folder.stdout(arguments);
        let server = Server::start(&folder);
        assert_eq!(value(&server, COUNT, EVE), 3, "{arguments:?}");
        assert_eq!(value(&server, "latest.status", EVE), "refunded", "the last of equal instants");
        server.kill();
    }
    assert_eq!(pushed_rows(&folder, "latest"), 3);
    write_labels(&folder, "1", &format!("eve {READ_AT} 1 true\n"));
    folder.stdout(&["run"]);
    let dataset = columns_json(&built(&folder, "desk"), &[COUNT, "latest.status"]);
    assert_eq!(dataset, json!({COUNT: [3], "latest.status": ["refunded"]}));
}

#[test]
fn pushes_ahead_of_their_table_give_way_to_it() {
    let folder = materialized();
    let server = Server::start(&folder);
    // The table will bring the same rows: these pushes only come earlier.
    server.push("latest", &order("latest", EVE, RECENT, "5.00", "paid"), "online").good();
    server.push("latest", &order("latest", ANN, RECENT, "5.00", "paid"), "online").good();
    assert_eq!((value(&server, COUNT, EVE), value(&server, COUNT, ANN)), (json!(1), json!(5)));
    server.stop();
    let mut text = "order_id,customer_id,amount,status,category,at\n".to_owned();
    for (id, customer) in [(6, EVE), (7, ANN)] {
        writeln!(text, "{id},{customer},5.00,paid,x,{RECENT}").unwrap();
    }
    folder.write("data/orders/2.csv", &text);
    folder.stdout(&["run"]);
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    assert_eq!((value(&server, COUNT, EVE), value(&server, COUNT, ANN)), (json!(1), json!(5)));
    server.stop();
}

#[test]
fn a_row_of_the_far_future_does_not_make_pushes_look_old() {
    let folder = materialized();
    let server = Server::start(&folder);
    server.push("latest", &order("latest", EVE, RECENT, "5.00", "paid"), "online").good();
    server.stop();
    folder.write(
        "data/orders/2.csv",
        &format!(
            "order_id,customer_id,amount,status,category,at\n6,{ANN},5.00,paid,x,9999-12-31T00:00:00Z\n"
        ),
    );
    folder.stdout(&["run"]);
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    assert_eq!(value(&server, COUNT, EVE), json!(1), "her own table has no row as new");
    server.stop();
}

#[test]
fn rows_that_come_out_of_order_fall_into_their_places() {
    let folder = materialized();
    let server = Server::start(&folder);
    for view in ["orders", "latest"] {
        for (at, amount, status) in [
            ("2026-01-02T06:00:00Z", "1.00", "newest"),
            ("2026-01-02T03:00:00Z", "2.00", "between"),
            ("2025-12-01T00:00:00Z", "4.00", "oldest"),
        ] {
            server.push(view, &order(view, BOB, at, amount, status), "online_and_offline").good();
        }
    }
    assert_eq!(value(&server, "latest.status", BOB), "newest", "an older row never wins");
    assert_eq!((value(&server, COUNT, BOB), value(&server, SPEND, BOB)), (json!(4), json!("14.00")));
    assert_eq!(value(&server, "orders.orders_1d", BOB), 2);
    // The window slides with time alone.
    for (at, expected) in
        [("2026-01-03T03:59:59Z", 2), ("2026-01-03T04:00:00Z", 1), ("2026-01-03T07:00:00Z", 0)]
    {
        assert_eq!(value_at(&server, "orders.orders_1d", BOB, at), expected, "{at}");
    }
    server.stop();
}

#[test]
fn more_pushes_than_an_entity_can_hold_are_refused_until_the_lake_has_taken_them_up() {
    let folder = materialized();
    let server = Server::start(&folder);
    let rows = |count: usize| {
        let column = |value: Value| Value::Array(vec![value; count]);
        json!({"customer_id": column(json!(EVE)), "at": column(json!(RECENT)), "status": column(json!("paid"))})
    };
    server.push("latest", &rows(4_000), "online_and_offline").good();
    let refused = server.push("latest", &rows(200), "online_and_offline");
    let (status, code, message) = refused.refusal();
    assert_eq!(status, 503, "{code} {message}");
    assert!(refused.text().contains("materialize"), "{}", refused.text());
    assert_eq!(value(&server, COUNT, EVE), 4_000);
    server.post("/v1/features/materialize", &json!({})).good();
    assert_eq!(value(&server, COUNT, EVE), 4_000, "what was refused is nowhere");
    server.push("latest", &rows(200), "online_and_offline").good();
    assert_eq!(value(&server, COUNT, EVE), 4_200);
    server.stop();
}

#[test]
fn wrong_requests_are_refused_with_what_is_wrong() {
    let folder = materialized();
    let server = Server::start(&folder);
    let mut said = String::new();
    let mut show = |path: &str, body: &str| {
        let answer = server.try_send("POST", path, &[], body.as_bytes()).unwrap();
        let shown: String = body.chars().take(120).collect();
        assert!((400..500).contains(&answer.status), "{shown}: {}", answer.text());
        writeln!(said, "{path} {shown}\n  {} {}", answer.status, answer.text()).unwrap();
    };
    let push = "/v1/features/views/latest/push";
    let row = order("latest", EVE, RECENT, "1.00", "paid");
    let with = |name: &str, value: Value| {
        let mut row = row.clone();
        row[name] = value;
        json!({"rows": row}).to_string()
    };
    show("/v1/features/views/nothing/push", &json!({"rows": row}).to_string());
    show(push, &with("customer_id", json!([null])));
    show(push, &with("at", json!([null])));
    show(push, &with("customer_id", json!(["one"])));
    show(push, &with("status", json!(["a", "b"])));
    show(push, &with("unknown", json!([1])));
    show(push, "{\"rows\": {\"status\": [\"paid\"]}}");
    show(push, "{\"rows\": {\"customer_id\": [NaN]}}");
    let read = "/v1/features/read";
    show(read, "{\"service\": \"desc\", \"entities\": {\"customer_id\": [1]}}");
    show(read, "{\"service\": \"desk\", \"entities\": {\"customer_id\": [1]}}");
    show(
        read,
        "{\"service\": \"desk@9\", \"entities\": {\"customer_id\": [1]}, \"request\": {\"cart\": [1]}}",
    );
    show(read, "{\"features\": [\"orders.nothing\"], \"entities\": {\"customer_id\": [1]}}");
    show(read, "{\"features\": [\"nothing.orders\"], \"entities\": {\"customer_id\": [1]}}");
    show(read, "{\"service\": \"plain\", \"entities\": {\"customer\": [1]}}");
    show(read, "{\"service\": \"plain\", \"entities\": {\"customer_id\": [1.5]}}");
    show(read, "{\"service\": \"plain\", \"entities\": {\"customer_id\": [1]}, \"at\": \"yesterday\"}");
    show(read, "{\"service\": \"plain\", \"entities\": {\"customer_id\": [1]}, \"encoding\": \"nothing\"}");
    let many = vec!["1"; 1_000_000].join(",");
    show(read, &format!("{{\"service\": \"plain\", \"entities\": {{\"customer_id\": [{many}]}}}}"));
    show("/v1/query", "{\"sql\": \"SELECT * FROM bronze.nothing\"}");
    show("/v1/query", "{\"sql\": \"DROP TABLE bronze.orders\"}");
    show("/v1/features/materialize", "{\"views\": [\"nothing\"]}");
    assert_said!(said);
    assert_eq!(value(&server, COUNT, EVE), 0, "a refused push stores nothing");
    // A null key stands for nobody, and is no fault.
    let body = json!({"features": [COUNT], "entities": {"customer_id": [null, ANN]}});
    assert_eq!(server.post(read, &body).good()["columns"][COUNT]["values"][1], 4);
    server.stop();
    assert_quiet(&folder);
}

/// A new store takes the place of one that is damaged, which stays where it was put away, and no acknowledged row is lost, also the
/// second time.
#[test]
fn pushes_outlive_a_store_that_is_damaged_and_replaced() {
    let folder = materialized();
    let online = folder.path().join(".millstream/online");
    for round in 1..=2 {
        let server = Server::start(&folder);
        server.push("latest", &order("latest", EVE, RECENT, "1.00", "paid"), "online_and_offline").good();
        server.kill();
        for entry in std::fs::read_dir(&online).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "jnl") {
                std::fs::remove_file(path).unwrap();
            }
        }
        folder.stdout(&["features", "materialize"]);
        let repairs = folder.json(&["repairs", "--json"]);
        assert_eq!(repairs["repairs"].as_array().unwrap().len(), round, "{repairs}");
        let repair = &repairs["repairs"][0];
        assert_eq!(
            (&repair["asset"], &repair["code"], &repair["action"], &repair["state"]),
            (&json!("online"), &json!("MS-1003"), &json!("replace"), &json!("repaired"))
        );
        let put_away = std::fs::read_dir(folder.path().join(".millstream")).unwrap();
        let put_away = put_away.filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("online.damaged-")
        });
        assert_eq!(put_away.count(), round);
        assert_eq!(pushed_rows(&folder, "latest"), round);
        let server = Server::start(&folder);
        assert_eq!(value(&server, COUNT, EVE), round);
        server.stop();
    }
}

#[test]
fn a_key_that_the_store_cannot_hold_is_refused_and_named() {
    let folder = Folder::with(&[
        ("millstream.yaml", "name: keys\n"),
        (
            "sources/e.yaml",
            "connector: {type: files, path: data/*.csv}\ncontract: {columns: {a: {type: string}, at: {type: timestamp}, n: {type: int64}}}\n",
        ),
        (
            "features/e.yaml",
            "entity: {name: e, key: a}\nviews:\n  v: {from: bronze.e, time: at, features: {n: {column: n}}}\nservices: {s: [v.*]}\n",
        ),
        ("data/1.csv", "a,at,n\ngood,2026-01-01T00:00:00Z,1\n"),
    ]);
    folder.stdout(&["run"]);
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    let long = "k".repeat(40_000);
    for to in ["online", "offline", "online_and_offline"] {
        let rows = json!({"a": ["x", long], "at": [RECENT, RECENT], "n": [1, 9]});
        let answer = server.push("v", &rows, to);
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status, &error["code"], &error["field"]),
            (422, &json!("MS-0736"), &json!("rows.a")),
            "{to}"
        );
        assert!(error["message"].as_str().unwrap().contains("row 1"), "{error}");
    }
    let body = json!({"service": "s", "entities": {"a": [long]}});
    let refused = server.post("/v1/features/read", &body);
    assert_eq!((refused.status, refused.json()["error"]["field"].clone()), (422, json!("entities.a")));
    server.post("/v1/features/materialize", &json!({})).good();
    server.stop();
    assert_quiet(&folder);
}

#[test]
fn features_list_says_who_has_the_store_and_ready_what_is_missing() {
    let folder = desk("");
    let server = Server::start(&folder);
    assert_eq!((server.get("/ready").status, server.get("/health").status), (503, 200));
    let waiting = server.get("/ready").json()["waiting_for"].to_string();
    assert!(waiting.contains("orders") && waiting.contains("latest"), "{waiting}");
    let listed = folder.stdout(&["features", "list"]);
    assert!(listed.contains("in use by another process") && !listed.contains("never"), "{listed}");
    server.post("/v1/features/materialize", &json!({"views": ["latest"]})).good();
    assert_eq!(server.get("/ready").json()["waiting_for"], json!(["orders"]));
    server.post("/v1/features/materialize", &json!({})).good();
    assert_eq!(server.get("/ready").status, 200);
    // Rows of all times are taken: a range that leaves newer ones out cannot be kept to.
    let range = |end: &str| json!({"start_ts": "2026-01-01T00:00:00Z", "end_ts": end});
    let refused = server.post("/materialize", &range("2026-01-02T00:00:00Z"));
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(server.post("/materialize", &range("2199-01-01T00:00:00Z")).status, 200);
    server.stop();
}

#[test]
fn rows_that_a_renamed_view_leaves_behind_are_told() {
    let folder = materialized();
    let server = Server::start(&folder);
    server.push("latest", &order("latest", EVE, RECENT, "1.00", "paid"), "offline").good();
    server.stop();
    folder.stdout(&["features", "materialize"]);
    let renamed = FEATURES.replace("latest", "newest");
    folder.write("features/customer.yaml", &renamed);
    folder.stdout(&["features", "remove", "desk@1"]);
    folder.stdout(&["features", "remove", "plain@1"]);
    let said = folder.run(&["features", "materialize"]);
    assert!(said.contains("`features.latest__pushed` holds rows that were pushed"), "{said}");
}
