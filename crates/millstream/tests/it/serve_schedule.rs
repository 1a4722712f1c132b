//! A server that runs its project by itself: what arrives is landed, what reads it is built, over kills too.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    harness::Folder,
    serve_process::{Server, assert_quiet, log},
};

const PROJECT: &[(&str, &str)] = &[
    ("millstream.yaml", "name: living\n"),
    (
        "sources/orders.yaml",
        "connector: {type: files, path: data/*.csv}\n\
         schedule: every 1s\n\
         contract: {columns: {id: {type: int64, required: true, unique: true}, amount: {type: int64}}}\n",
    ),
    (
        "sources/prices.yaml",
        "connector: {type: files, path: prices/*.csv}\n\
         schedule: {webhook: prices_arrived}\n\
         contract: {columns: {id: {type: int64}, price: {type: int64}}}\n",
    ),
    ("tables/silver/orders.sql", "/*---\nmaterialize: table\n---*/\nSELECT id, amount FROM bronze.orders\n"),
    (
        "tables/gold/totals.sql",
        "/*---\nmaterialize: table\n---*/\nSELECT count(*) AS orders, sum(amount) AS total FROM silver.orders\n",
    ),
    ("data/a.csv", "id,amount\n1,10\n2,20\n"),
    ("prices/a.csv", "id,price\n1,5\n"),
];

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

fn rows(server: &Server, sql: &str) -> Value {
    let answer = server.post("/v1/query", &json!({"sql": sql}));
    // Before its first version a table cannot be asked.
    if answer.status == 200 { answer.json()["rows"].clone() } else { Value::Null }
}

fn wait_for(server: &Server, folder: &Folder, sql: &str, expected: &Value) {
    let until = Instant::now() + PATIENCE;
    while rows(server, sql) != *expected {
        assert!(Instant::now() < until, "{sql}: {}\n{}", rows(server, sql), log(folder));
        std::thread::sleep(Duration::from_millis(50));
    }
}

const TOTALS: &str = "SELECT orders, total FROM gold.totals";

#[test]
fn what_arrives_is_landed_and_built_over_kills_once_each() {
    let folder = Folder::with(PROJECT);
    let mut server = Server::start(&folder);
    wait_for(&server, &folder, TOTALS, &json!([{"orders": 2, "total": 30}]));
    let (mut orders, mut total) = (2, 30);
    for round in 0..6_i64 {
        let id = 10 + round;
        folder.write(&format!("data/b{round}.csv"), &format!("id,amount\n{id},{id}\n"));
        if round % 2 == 0 {
            std::thread::sleep(Duration::from_millis(u64::try_from(350 * round).unwrap()));
            server.kill();
            server = Server::start(&folder);
        }
        (orders, total) = (orders + 1, total + id);
        wait_for(&server, &folder, TOTALS, &json!([{"orders": orders, "total": total}]));
    }
    let schedule = server.get("/v1/schedule").good();
    assert_eq!(schedule["is_active"], true);
    assert_eq!(schedule["next"][0]["asset"], "bronze.orders", "{schedule}");
    let decisions = schedule["decisions"].as_array().unwrap();
    let tick = |decision: &&Value| decision["asset"] == "bronze.orders" && decision["because"] == "every 1s";
    assert!(decisions.iter().any(|decision| tick(&decision)), "{schedule}");
    server.stop();
    assert_quiet(&folder);
    assert_eq!(folder.rows("bronze.orders").len(), 8);
}

#[test]
fn a_webhook_lands_what_it_is_about() {
    let folder = Folder::with(PROJECT);
    let server = Server::start(&folder);
    let count = "SELECT count(*) AS n FROM bronze.prices";
    wait_for(&server, &folder, count, &json!([{"n": 1}]));
    folder.write("prices/b.csv", "id,price\n2,6\n");
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(rows(&server, count), json!([{"n": 1}]), "nobody called");
    let called = server.post("/v1/triggers/prices_arrived", &json!({}));
    assert_eq!(called.status, 202, "{}", called.text());
    assert_eq!(called.json(), json!({"trigger": "prices_arrived", "due": ["bronze.prices"]}));
    wait_for(&server, &folder, count, &json!([{"n": 2}]));
    let refused = server.post("/v1/triggers/prices", &json!({}));
    assert_eq!(refused.refusal().1, "MS-1236");
    assert_eq!(refused.json()["error"]["hint"], "the webhooks are `prices_arrived`");
    server.stop();
    assert_quiet(&folder);
}

#[test]
fn a_second_server_stands_by_and_takes_over() {
    let folder = Folder::with(PROJECT);
    let first = Server::start(&folder);
    wait_for(&first, &folder, TOTALS, &json!([{"orders": 2, "total": 30}]));
    std::thread::scope(|scope| {
        let second = scope.spawn(|| Server::start(&folder));
        let until = Instant::now() + PATIENCE;
        while !log(&folder).contains("stands by until that ends") {
            assert!(Instant::now() < until, "it does not stand by: {}", log(&folder));
            std::thread::sleep(Duration::from_millis(50));
        }
        // The one that serves goes on.
        folder.write("data/b.csv", "id,amount\n3,5\n");
        wait_for(&first, &folder, TOTALS, &json!([{"orders": 3, "total": 35}]));
        first.kill();
        let second = second.join().unwrap();
        folder.write("data/c.csv", "id,amount\n4,1\n");
        wait_for(&second, &folder, TOTALS, &json!([{"orders": 4, "total": 36}]));
        second.stop();
    });
    assert_quiet(&folder);
}
