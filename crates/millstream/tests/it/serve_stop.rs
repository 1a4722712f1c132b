//! A server that is told to stop while a step runs that does not end: it has no time for it, or is told twice.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    harness::Folder,
    serve_process::{Server, assert_quiet, log},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// It would take years.
const ENDLESS: &str = "SELECT a.id, sum(b.value + c.value) AS total FROM bronze.orders AS a \
                       CROSS JOIN range(0, 100000) AS b CROSS JOIN range(0, 100000000) AS c GROUP BY a.id\n";

const QUICK: &str = "SELECT id, id AS total FROM bronze.orders\n";

fn wait(what: &str, folder: &Folder, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}\n{}", log(folder));
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// A server at work on a step that does not end.
fn at_work(arguments: &[&str]) -> (Folder, Server) {
    let folder = Folder::with(&[
        ("millstream.yaml", "name: stopped\n"),
        (
            "sources/orders.yaml",
            "connector: {type: files, path: data/*.csv}\nschedule: every 1s\n\
             contract: {columns: {id: {type: int64, required: true}}}\n",
        ),
        ("data/a.csv", "id\n1\n2\n"),
        ("tables/gold/totals.sql", ENDLESS),
    ]);
    let server = Server::start_with(&folder, &[&["--log", "info", "--no-watch"][..], arguments].concat());
    wait("the step does not start", &folder, || {
        let schedule = server.get("/v1/schedule").good();
        let is_start =
            |decision: &Value| decision["asset"] == "gold.totals" && decision["decision"] == "started";
        schedule["decisions"].as_array().unwrap().iter().any(is_start) && log(&folder).contains("gold.totals")
    });
    (folder, server)
}

/// The next server, for which the step ends, starts it once more, and nothing is left of the attempt before.
fn goes_on(folder: &Folder) {
    folder.write("tables/gold/totals.sql", QUICK);
    let server = Server::start(folder);
    wait("the table is not built", folder, || {
        let answer =
            server.post("/v1/query", &json!({"sql": "SELECT id, total FROM gold.totals ORDER BY id"}));
        answer.status == 200 && answer.json()["rows"] == json!([{"id": 1, "total": 1}, {"id": 2, "total": 2}])
    });
    server.stop();
    let under_way = folder.json(&["runs", "--status", "under-way", "--json"]);
    assert_eq!(under_way["runs"], json!([]), "no run is left open");
    assert_eq!(folder.rows("bronze.orders").len(), 2);
    assert_quiet(folder);
}

#[test]
fn a_server_without_time_for_its_steps_cuts_them_short() {
    let (folder, server) = at_work(&["--drain", "0s"]);
    server.stop();
    let runs = folder.json(&["runs", "--json"]);
    let of_step = |run: &&Value| run["command"].as_str().unwrap().starts_with("serve: gold.totals");
    let runs = runs["runs"].as_array().unwrap().iter().filter(of_step);
    let outcomes: Vec<&str> = runs.map(|run| run["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["cancelled"]);
    goes_on(&folder);
}

#[test]
fn a_second_signal_ends_a_server_at_once() {
    let (folder, server) = at_work(&["--drain", "10m"]);
    server.terminate();
    wait("the server does not wait for its step", &folder, || {
        log(&folder).contains("waits for the steps that run")
    });
    server.terminate();
    let status = server.wait();
    assert!(!status.success(), "the server ends with {status}");
    goes_on(&folder);
}
