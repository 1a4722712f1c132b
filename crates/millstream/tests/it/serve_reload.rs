//! A server that takes over its project's files while it works.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    features_small::{ANN, desk, order},
    harness::Folder,
    serve_process::{Answer, Server, assert_quiet, log},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that takes over files only when it is asked.
fn start(folder: &Folder) -> Server {
    Server::start_with(folder, &["--no-watch"])
}

fn reload(server: &Server) -> Answer {
    server.try_send("POST", "/v1/reload", &[], b"").unwrap()
}

fn query(server: &Server, sql: &str) -> Value {
    server.post("/v1/query", &json!({"sql": sql})).good()
}

fn orders(server: &Server, feature: &str) -> Vec<Value> {
    server.values(&[feature], &json!({"customer_id": ANN}))
}

/// Waits until the project that is at work has this many assets.
fn wait_for_assets(server: &Server, assets: u64) {
    let until = Instant::now() + PATIENCE;
    while server.get("/v1/project").good()["assets"] != assets {
        assert!(Instant::now() < until, "{}", server.get("/v1/project").text());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn hang_up(server: &Server) {
    let status = Command::new("kill").args(["-HUP", &server.process().to_string()]).status().unwrap();
    assert!(status.success());
}

const SECOND: &str = "\
entity: {name: buyer, key: customer_id}
views:
  second:
    from: bronze.orders
    time: at
    features: {orders: {count: \"*\"}}
services:
  second: [second.*]
";

#[test]
fn changed_files_are_taken_over_and_broken_ones_are_not() {
    let folder = desk("");
    folder.stdout(&["run"]);
    let server = start(&folder);
    let loaded = server.get("/v1/project").good();
    assert_eq!(
        (&loaded["name"], &loaded["is_whole"], &loaded["failed_reload"]),
        (&json!("desk"), &json!(true), &Value::Null)
    );
    let before = orders(&server, "latest.orders");
    assert_eq!(
        server
            .push("latest", &order("latest", ANN, "2026-01-03T00:00:00Z", "", "paid"), "online_and_offline")
            .status,
        200
    );

    folder.write("features/second.yaml", SECOND);
    folder.write("tables/silver/big.sql", "SELECT order_id FROM bronze.orders WHERE amount > 20\n");
    assert_eq!(server.get("/v1/features/services/second").status, 404);
    let taken = reload(&server).good();
    let more = taken["assets"].as_u64().unwrap() - loaded["assets"].as_u64().unwrap();
    assert_eq!((more, &taken["failed_reload"]), (3, &Value::Null), "a table, a view and a service");
    let waiting = server.get("/ready");
    assert_eq!(waiting.status, 503, "{}", waiting.text());
    let job = server.post("/v1/runs", &json!({})).json()["id"].as_str().unwrap().to_owned();
    let until = Instant::now() + PATIENCE;
    while server.get("/ready").status != 200 {
        assert!(Instant::now() < until, "{}", server.get(&format!("/v1/jobs/{job}")).text());
        std::thread::sleep(Duration::from_millis(100));
    }
    // The store still has the push that came before the files changed.
    assert_eq!(before, [json!(4)]);
    assert_eq!(orders(&server, "latest.orders"), [json!(5)]);
    assert_eq!(orders(&server, "second.orders"), [json!(4)]);

    let broken = "SELECT nothing_like_it FROM bronze.orders\n";
    for (text, told) in [(broken, "tables/silver/big.sql:1:8: "), ("SELEC\n", "tables/silver/big.sql:1:1: ")]
    {
        folder.write("tables/silver/big.sql", text);
        let (status, code, message) = reload(&server).refusal();
        assert_eq!((status, code.as_str()), (422, "MS-1235"), "{message}");
        assert!(message.starts_with(&format!("the project has 1 error: {told}")), "{message}");
        let kept = server.get("/v1/project").good();
        assert_eq!(kept["failed_reload"]["message"], message);
        assert_eq!((&kept["assets"], &kept["loaded_at"]), (&taken["assets"], &taken["loaded_at"]));
        assert_eq!(query(&server, "SELECT count(*) AS n FROM silver.big")["rows"], json!([{"n": 3}]));
        assert_eq!(orders(&server, "second.orders"), [json!(4)]);
    }
    folder.write("tables/silver/big.sql", "SELECT order_id FROM bronze.orders WHERE amount > 20\n");
    for settings in ["lake: elsewhere", "memory: 1 GB"] {
        folder.write("millstream.yaml", &format!("name: desk\nenvironments: {{default: {{{settings}}}}}\n"));
        let (status, code, message) = reload(&server).refusal();
        assert_eq!((status, code.as_str()), (422, "MS-0737"), "{message}");
    }
    folder.write("millstream.yaml", "name: desk\n");
    assert_eq!(reload(&server).good()["failed_reload"], Value::Null);
    server.stop();
    assert_quiet(&folder);
}

#[test]
fn a_hangup_loads_the_project_again_and_says_in_the_log_what_came_of_it() {
    let folder = desk("");
    folder.stdout(&["run"]);
    let server = start(&folder);
    let assets = server.get("/v1/project").good()["assets"].as_u64().unwrap();
    folder.write("tables/silver/big.sql", "SELECT order_id FROM bronze.orders WHERE amount > 20\n");
    hang_up(&server);
    wait_for_assets(&server, assets + 1);
    folder.write("tables/silver/big.sql", "SELECT wrong FROM bronze.orders\n");
    hang_up(&server);
    let until = Instant::now() + PATIENCE;
    while server.get("/v1/project").good()["failed_reload"].is_null() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(50));
    }
    server.stop();
    let said = log(&folder);
    assert!(said.contains("was not loaded again; what was loaded before goes on"), "{said}");
    assert!(said.contains("tables/silver/big.sql:1:8"), "{said}");
}

/// The number of lines in which a text stands.
fn count(said: &str, text: &str) -> usize {
    said.to_lowercase().lines().filter(|line| line.contains(text)).count()
}

/// The log goes to standard error, and so does what people are told.
#[test]
fn what_came_of_a_hangup_is_told_once() {
    for level in ["warn", "warn,millstream=info", "off"] {
        let folder = desk("");
        let server = Server::start_for_people(&folder, &["--no-watch", "--log", level]);
        let assets = server.get("/v1/project").good()["assets"].as_u64().unwrap();
        folder.write("tables/silver/big.sql", "SELECT order_id FROM bronze.orders WHERE amount > 20\n");
        hang_up(&server);
        wait_for_assets(&server, assets + 1);
        folder.write("tables/silver/big.sql", "SELECT wrong FROM bronze.orders\n");
        hang_up(&server);
        let until = Instant::now() + PATIENCE;
        // The first load may not have been told of when the second one comes.
        while count(&log(&folder), "loaded again") < 2 {
            assert!(Instant::now() < until, "{}", log(&folder));
            std::thread::sleep(Duration::from_millis(50));
        }
        server.stop();
        let said = log(&folder);
        assert_eq!((count(&said, "loaded again"), count(&said, "not loaded again")), (2, 1), "{said}");
    }
}

#[test]
fn the_log_tells_once_of_a_view_without_values_and_what_came_of_each_request() {
    let folder = desk("");
    folder.stdout(&["run"]);
    let server = start(&folder);
    folder.write("features/second.yaml", SECOND);
    reload(&server).good();
    reload(&server).good();
    folder.write("tables/silver/big.sql", "SELECT wrong FROM bronze.orders\n");
    assert_eq!(reload(&server).status, 422);
    server.stop();
    let said = log(&folder);
    assert_eq!(count(&said, "a view has no values until"), 1, "{said}");
    let requests: Vec<_> = said.lines().filter(|line| line.contains("/v1/reload")).collect();
    let outcomes = ["changed", "changed", "refused"];
    assert!(requests.len() == 3, "{said}");
    assert!(requests.iter().zip(outcomes).all(|(line, outcome)| line.contains(outcome)), "{said}");
}

#[test]
fn a_reload_takes_what_a_start_takes_and_a_run_over_http_what_a_command_takes() {
    let folder = desk("");
    let server = start(&folder);
    let terms = " OR order_id = 1".repeat(1_800);
    folder
        .write("tables/silver/deep.sql", &format!("SELECT order_id FROM bronze.orders WHERE true{terms}\n"));
    folder.stdout(&["check"]);
    reload(&server).good();
    let job = server.post("/v1/runs", &json!({"selection": ["+silver.deep"]})).json()["id"].clone();
    let state = || server.get(&format!("/v1/jobs/{}", job.as_str().unwrap())).good();
    let until = Instant::now() + PATIENCE;
    while state()["finished"].is_null() {
        assert!(Instant::now() < until, "{}", state());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(state()["state"], "succeeded", "{}", state());
    server.stop();
    assert_quiet(&folder);
}

#[test]
fn a_reload_that_fails_at_its_last_step_leaves_no_version_of_a_service() {
    let folder = desk("");
    folder.stdout(&["run"]);
    let server = start(&folder);
    let rows = order("latest", ANN, "2026-01-03T00:00:00Z", "", "paid");
    assert_eq!(server.push("latest", &rows, "online_and_offline").status, 200);
    server.post("/v1/features/materialize", &json!({})).good();
    // Another tool has made the table of pushed rows one that this version cannot read.
    let log = folder.path().join(".millstream/lake/features/latest__pushed/_delta_log");
    let protocol = r#"{"protocol":{"minReaderVersion":99,"minWriterVersion":99}}"#;
    let commit = log.join("00000000000000000001.json");
    assert!(log.join("00000000000000000000.json").exists() && !commit.exists());
    std::fs::write(&commit, protocol).unwrap();
    folder.write("features/second.yaml", SECOND);
    let (status, code, message) = reload(&server).refusal();
    assert_eq!((status, code.as_str()), (500, "MS-0411"), "{message}");
    std::fs::remove_file(commit).unwrap();
    std::fs::remove_file(folder.path().join("features/second.yaml")).unwrap();
    reload(&server).good();
    let services = server.get("/v1/features/services");
    let services = services.text();
    assert!(services.contains("\"desk\"") && !services.contains("second"), "{services}");
    server.stop();
}

/// A project in which a run takes seconds.
fn slow() -> Folder {
    let folder = Folder::with(&[
        ("millstream.yaml", "name: slow\n"),
        (
            "sources/a.yaml",
            "connector: {type: files, path: data/*.csv}\ncontract: {columns: {id: {type: int64}, amount: {type: int64}}}\n",
        ),
        ("tables/silver/a.sql", "SELECT id, amount FROM bronze.a\n"),
        ("tables/gold/a.sql", "SELECT count(*) AS n FROM silver.a\n"),
    ]);
    let lines: String = (0..1_500_000).map(|id| format!("{id},1\n")).collect();
    folder.write("data/1.csv", &format!("id,amount\n{lines}"));
    folder
}

#[test]
fn a_run_that_is_under_way_ends_as_it_began() {
    let folder = slow();
    let server = start(&folder);
    let job = server.post("/v1/runs", &json!({})).json()["id"].as_str().unwrap().to_owned();
    let state = || server.get(&format!("/v1/jobs/{job}")).good();
    // While the run goes on, the project is first broken and then has other tables.
    folder.write("tables/gold/a.sql", "SELECT wrong FROM silver.a\n");
    assert_eq!(reload(&server).status, 422);
    folder.write("tables/gold/a.sql", "SELECT count(*) AS n, sum(amount) AS total FROM silver.a\n");
    folder.write("tables/gold/b.sql", "SELECT max(id) AS newest FROM silver.a\n");
    assert_eq!(reload(&server).status, 200);
    let until = Instant::now() + PATIENCE;
    while state()["finished"].is_null() {
        assert!(Instant::now() < until, "{}", state());
        std::thread::sleep(Duration::from_millis(100));
    }
    let ended = state();
    assert_eq!((&ended["state"], &ended["result"]["steps"]), (&json!("succeeded"), &json!(3)), "{ended}");
    assert_eq!(query(&server, "SELECT * FROM gold.a")["rows"], json!([{"n": 1_500_000}]));
    let job = server.post("/v1/runs", &json!({})).json()["id"].as_str().unwrap().to_owned();
    let state = || server.get(&format!("/v1/jobs/{job}")).good();
    while state()["finished"].is_null() {
        assert!(Instant::now() < until, "{}", state());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(
        query(&server, "SELECT n, total FROM gold.a")["rows"],
        json!([{"n": 1_500_000, "total": 1_500_000}])
    );
    assert_eq!(query(&server, "SELECT newest FROM gold.b")["rows"], json!([{"newest": 1_499_999}]));
    server.stop();
    assert_quiet(&folder);
}
