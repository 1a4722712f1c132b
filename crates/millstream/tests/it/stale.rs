//! What fails or waits leaves the last good version in place, and whatever shows that version says so: commands and a server alike.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    harness::Folder,
    serve_process::{Server, assert_quiet},
};

const PROJECT: &[(&str, &str)] = &[
    ("millstream.yaml", "name: shop\n"),
    (
        "sources/orders.yaml",
        "connector: {type: files, path: data/*.csv}\n\
         contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}\n",
    ),
    (
        "sources/labels.yaml",
        "connector: {type: files, path: labels/*.csv}\n\
         contract: {columns: {customer_id: {type: int64}, at: {type: timestamp}, left: {type: bool}}}\n",
    ),
    (
        "tables/silver/orders.sql",
        "/*---\nchecks: [{unique: id, severity: halt}]\n---*/\nSELECT id, customer_id, at FROM bronze.orders\n",
    ),
    ("tables/gold/sums.sql", "SELECT count(*) AS orders FROM silver.orders\n"),
    (
        "features/customer.yaml",
        "entity: {name: customer, key: customer_id}\nviews:\n  seen: {from: silver.orders, time: at, features: {orders: {count: \"*\"}}}\nservices: {desk: [seen.*]}\n",
    ),
    (
        "datasets/left.yaml",
        "labels: {from: bronze.labels, entity: customer, time: at, columns: [left]}\nfeatures: desk\n",
    ),
    ("data/a.csv", "id,customer_id,at\n1,1,2026-01-01T00:00:00Z\n2,1,2026-01-02T00:00:00Z\n"),
    ("labels/a.csv", "customer_id,at,left\n1,2026-01-03T00:00:00Z,true\n"),
];

/// A project of which everything was built, and then `silver.orders` was halted.
fn halted() -> Folder {
    let folder = Folder::with(PROJECT);
    folder.stdout(&["run"]);
    folder.stdout(&["dataset", "build", "left"]);
    folder.write("data/b.csv", "id,customer_id,at\n1,1,2026-01-03T00:00:00Z\n");
    let said = folder.run(&["run"]);
    assert!(said.contains("halted"), "{said}");
    folder
}

fn find<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let list = list.as_array().unwrap_or_else(|| panic!("{list}"));
    list.iter().find(|one| one[key] == name).unwrap_or_else(|| panic!("no {name} in {list:?}"))
}

#[test]
fn commands_say_what_is_stale_of_what_they_show() {
    let folder = halted();
    let said = folder.run(&["query", "SELECT orders FROM gold.sums"]);
    assert!(said.contains("gold.sums went stale") && said.contains("made of `silver.orders`"), "{said}");
    assert!(said.starts_with("exit: 0\n"), "{said}");
    let quiet = folder.run(&["query", "SELECT count(*) AS n FROM silver.orders VERSION AS OF 0"]);
    assert!(!quiet.contains("stale"), "a version that was asked for is what it should be: {quiet}");
    let quiet = folder.run(&["query", "SELECT count(*) AS n FROM bronze.labels"]);
    assert!(!quiet.contains("stale"), "{quiet}");
    let written = folder.json(&["query", "SELECT orders FROM gold.sums", "--output", "sums.csv", "--json"]);
    assert_eq!(written["stale"][0]["cause"], "upstream", "{written}");

    let status = folder.json(&["status", "--json"]);
    let of = |name: &str| find(&status["assets"], "asset", name)["stale"].clone();
    assert_eq!(of("silver.orders")["cause"], "halted");
    assert!(of("silver.orders")["since"].is_string(), "{status}");
    assert_eq!(of("gold.sums")["cause"], "upstream");
    assert_eq!(of("view:seen")["cause"], "upstream");
    assert_eq!(of("bronze.labels"), Value::Null);
    let shown = folder.stdout(&["status"]);
    assert!(shown.contains("gold.sums went stale"), "{shown}");
    let one = folder.stdout(&["status", "gold.sums"]);
    assert!(one.contains("gold.sums went stale"), "{one}");

    let features = folder.json(&["features", "list", "--json"]);
    assert_eq!(features["views"][0]["stale"]["cause"], "upstream", "{features}");
    let datasets = folder.json(&["dataset", "list", "--json"]);
    assert_eq!(datasets["datasets"][0]["stale"]["cause"], "upstream", "{datasets}");
    let built = folder.json(&["dataset", "build", "left", "--json"]);
    assert!(built["stale"].as_array().is_some_and(|stale| !stale.is_empty()), "{built}");
    let said = folder.stdout(&["dataset", "build", "left"]);
    assert!(said.contains("of which it was made, is stale"), "{said}");
}

#[test]
fn a_server_says_what_is_stale_in_each_answer_that_shows_it_until_it_is_not() {
    let folder = halted();
    let server = Server::start(&folder);
    let assets = server.get("/v1/assets").good();
    assert_eq!(find(&assets["assets"], "asset", "silver.orders")["stale"]["cause"], "halted");
    assert_eq!(server.get("/v1/assets/gold.sums").good()["stale"]["cause"], "upstream");
    let query = json!({"sql": "SELECT orders FROM gold.sums"});
    let answer = server.post("/v1/query", &query);
    assert_eq!(answer.header("x-millstream-stale"), Some("gold.sums"));
    assert_eq!(answer.good()["stale"][0]["asset"], "gold.sums");
    let read = json!({"service": "desk", "entities": {"customer_id": [1]}});
    let answer = server.post("/v1/features/read", &read);
    assert_eq!(answer.header("x-millstream-stale"), Some("view:seen"));
    let answer = answer.good();
    assert_eq!(
        (&answer["stale"][0]["cause"], &answer["columns"]["seen.orders"]["values"][0]),
        (&json!("upstream"), &json!(2))
    );
    let views = server.get("/v1/features/views").good();
    assert_eq!(views["views"][0]["stale"]["cause"], "upstream", "{views}");
    let datasets = server.get("/v1/datasets").good();
    assert_eq!(datasets["datasets"][0]["stale"]["cause"], "upstream", "{datasets}");
    let ready = server.get("/ready").good();
    // Whoever may ask whether the server is ready learns how many are stale, and the name of none.
    assert!(ready["stale"].as_u64().is_some_and(|count| count >= 3), "{ready}");
    assert!(!ready.to_string().contains("orders"), "{ready}");
    assert_eq!(ready["ready"], true, "what is stale is served");
    assert_eq!(server.get("/v1/repairs").good(), json!({"repairs": []}));

    // What broke the check leaves, and the next run ends well.
    std::fs::remove_file(folder.path().join("data/b.csv")).unwrap();
    folder.write("data/b.csv", "id,customer_id,at\n3,1,2026-01-03T00:00:00Z\n");
    folder.run(&["run", "--full-refresh", "--forget-gone", "bronze.orders+"]);
    let until = Instant::now() + Duration::from_secs(300);
    while server.post("/v1/query", &query).good()["stale"] != Value::Null {
        assert!(Instant::now() < until, "{}", server.get("/ready").text());
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop();
    assert_quiet(&folder);
}
