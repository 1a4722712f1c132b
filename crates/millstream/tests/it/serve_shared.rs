//! Three servers of one project on a state store in PostgreSQL: one decides what is due, each runs a part of it, and whichever is
//! killed, what arrives is landed once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    harness::Folder,
    kept_records::assert_made_once,
    serve_process::{Server, assert_quiet, log},
    side_by_side::postgres::schema,
};

const SOURCES: usize = 8;
const SERVERS: usize = 3;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A checkout of the project; lake and data are in the folder that all of them share.
fn checkout(state: &str, shared: &Folder) -> Folder {
    let folder = Folder::empty();
    let place = shared.path().display();
    folder.write(
        "millstream.yaml",
        &format!("name: shared\nenvironments:\n  default:\n    state: {state}\n    lake: {place}/lake\n"),
    );
    for source in 0..SOURCES {
        folder.write(
            &format!("sources/s{source}.yaml"),
            &format!(
                "connector: {{type: files, path: {place}/data/s{source}/*.csv}}\nschedule: every 1s\n\
                 contract: {{columns: {{id: {{type: int64, required: true, unique: true}}}}}}\n"
            ),
        );
    }
    folder.write("tables/gold/total.sql", &format!("SELECT count(*) AS n FROM ({})\n", union()));
    folder
}

fn union() -> String {
    (0..SOURCES)
        .map(|source| format!("SELECT id FROM bronze.s{source}"))
        .collect::<Vec<_>>()
        .join(" UNION ALL ")
}

fn arrive(shared: &Folder, round: usize) {
    for source in 0..SOURCES {
        shared.write(
            &format!("data/s{source}/{round}.csv"),
            &format!("id\n{}\n{}\n", 2 * round, 2 * round + 1),
        );
    }
}

fn start(folder: &Folder) -> Server {
    Server::start_with(folder, &["--log", "info"])
}

fn schedule(server: &Server) -> Value {
    server.get("/v1/schedule").good()
}

/// The place of the server that decides, once there is one.
fn deciding(servers: &[Server]) -> usize {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(place) = servers.iter().position(|server| schedule(server)["is_active"] == true) {
            return place;
        }
        assert!(Instant::now() < until, "nobody decides what is due");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn wait_for_total(server: &Server, folders: &[Folder], expected: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = server.post("/v1/query", &json!({"sql": "SELECT n FROM gold.total"}));
        // Before its first version a table cannot be asked.
        let rows = if answer.status == 200 { answer.json()["rows"].clone() } else { Value::Null };
        if rows == json!([{"n": expected}]) {
            return;
        }
        let logs: Vec<String> = folders.iter().map(log).collect();
        assert!(
            Instant::now() < until,
            "{rows}, not {expected}: {}\n{}",
            schedule(server),
            logs.join("\n---\n")
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn three_servers_share_the_work_and_whichever_is_killed_nothing_is_lost_or_doubled() {
    let Some(state) = schema("serve_shared: three servers") else { return };
    let shared = Folder::empty();
    arrive(&shared, 0);
    let folders: Vec<Folder> = (0..SERVERS).map(|_| checkout(&state, &shared)).collect();
    let mut servers: Vec<Server> = folders.iter().map(start).collect();
    wait_for_total(&servers[0], &folders, 2 * SOURCES);
    let until = Instant::now() + PATIENCE;
    while schedule(&servers[0])["workers"].as_array().is_none_or(|workers| workers.len() < SERVERS) {
        assert!(Instant::now() < until, "{}", schedule(&servers[0]));
        std::thread::sleep(Duration::from_millis(50));
    }
    let workers = schedule(&servers[0])["workers"].clone();
    let mut pids: Vec<u64> = workers.as_array().unwrap().iter().map(|w| w["pid"].as_u64().unwrap()).collect();
    let mut expected: Vec<u64> = servers.iter().map(|server| server.process().into()).collect();
    pids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(pids, expected, "{workers}");
    for round in 1..=6 {
        arrive(&shared, round);
        std::thread::sleep(Duration::from_millis(130 * round as u64));
        // In turn the one that decides, and one that only runs steps.
        let deciding = deciding(&servers);
        let killed = if round % 2 == 0 { deciding } else { (deciding + 1) % SERVERS };
        let dead = servers.remove(killed);
        dead.kill();
        wait_for_total(&servers[0], &folders, 2 * SOURCES * (round + 1));
        servers.insert(killed, start(&folders[killed]));
    }
    for folder in &folders {
        let said = log(folder);
        assert!(said.contains("a step starts"), "a server runs no steps: {said}");
    }
    assert_made_once(&folders[0], &servers[0]);
    servers.into_iter().for_each(Server::stop);
    folders.iter().for_each(assert_quiet);
    let ids = folders[0].json(&["query", &format!("SELECT count(*) AS n FROM ({})", union()), "--json"]);
    assert_eq!(ids, json!([{"n": 2 * SOURCES * 7}]));
    // A row that was landed twice would be rejected the second time.
    for source in 0..SOURCES {
        let rejected = shared.path().join(format!("lake/bronze/s{source}__rejected"));
        assert!(!rejected.exists(), "rows were landed twice: {}", rejected.display());
    }
}
