//! A server that takes over what is saved without being asked, and webhooks that are signed.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    harness::Folder,
    serve_process::{Server, assert_quiet, log},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

const SECRET: &str = "0123456789abcdef-of-the-hook";
const BODY: &[u8] = br#"{"day": 1}"#;
/// HMAC-SHA256 of the body.
const SIGNATURE: &str =
    "X-Hub-Signature-256: sha256=6504178b90a8b9baee8c792a5c3d86945934bf012da09cf989eeaf97f08609f0";

fn project() -> Folder {
    Folder::with(&[
        ("millstream.yaml", "name: watched\nwebhooks: {arrived: {secret: \"${file:hook_secret}\"}}\n"),
        ("hook_secret", &format!("{SECRET}\n")),
        (
            "sources/orders.yaml",
            "connector: {type: files, path: data/*.csv}\n\
             schedule: {webhook: arrived}\n\
             contract: {columns: {id: {type: int64}}}\n",
        ),
        ("tables/silver/orders.sql", "SELECT id FROM bronze.orders\n"),
        ("data/a.csv", "id\n1\n2\n"),
    ])
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn loaded(server: &Server) -> Value {
    server.get("/v1/project").good()
}

#[test]
fn what_is_saved_is_taken_over_and_what_is_broken_is_told_everywhere() {
    let folder = project();
    folder.stdout(&["run"]);
    let server = Server::start(&folder);
    let assets = loaded(&server)["assets"].as_u64().unwrap();
    folder.write("tables/gold/many.sql", "SELECT count(*) AS n FROM silver.orders\n");
    wait("a new table is not taken over", || loaded(&server)["assets"] == assets + 1);
    // As an editor saves: beside the file, and then in its place.
    let file = folder.path().join("tables/gold/many.sql");
    let beside = folder.path().join("tables/gold/.many.sql.swp");
    fs::write(&beside, "SELECT wrong FROM silver.orders\n").unwrap();
    fs::rename(&beside, &file).unwrap();
    wait("a broken table is not told", || !loaded(&server)["failed_reload"].is_null());
    let told = loaded(&server)["failed_reload"]["message"].as_str().unwrap().to_owned();
    assert!(told.contains("tables/gold/many.sql:1:8"), "{told}");
    assert_eq!(loaded(&server)["assets"], assets + 1);
    let ready = server.get("/ready");
    assert_eq!((ready.status, &ready.json()["failed_reload"]["message"]), (200, &json!(told)));
    // `status` reads the broken files itself, goes on with the rest, and tells of the server.
    let status = folder.output(&["status"]);
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(said.contains("goes on with the project as it was: the project has 1 error"), "{said}");
    assert_eq!(server.get("/v1/assets").good()["failed_reload"]["code"], "MS-1235");
    fs::write(&file, "SELECT count(*) AS n FROM silver.orders\n").unwrap();
    wait("a mended table is not taken over", || loaded(&server)["failed_reload"].is_null());
    assert!(!folder.run(&["status"]).contains("goes on with"));
    // A file of the same length, within the same second.
    fs::write(&file, "SELECT count(*) AS m FROM silver.orders\n").unwrap();
    let before = loaded(&server)["loaded_at"].clone();
    wait("a file of the same length is not taken over", || loaded(&server)["loaded_at"] != before);
    fs::remove_file(&file).unwrap();
    wait("a table that is gone is still there", || loaded(&server)["assets"] == assets);
    server.stop();
    assert_quiet(&folder);
    assert!(log(&folder).contains("was not loaded again"), "{}", log(&folder));
}

#[test]
fn what_was_wrong_with_a_server_is_over_when_the_server_is() {
    let folder = project();
    folder.stdout(&["run"]);
    let server = Server::start(&folder);
    let whole = "SELECT id FROM bronze.orders\n";
    folder.write("tables/silver/orders.sql", "SELECT wrong FROM bronze.orders\n");
    wait("a broken table is not told", || !loaded(&server)["failed_reload"].is_null());
    assert!(folder.run(&["status"]).contains("goes on with the project as it was"));
    // It is killed, and the file is mended when no server is there to see it.
    server.kill();
    folder.write("tables/silver/orders.sql", whole);
    let said = folder.run(&["status"]);
    assert!(!said.contains("goes on with"), "{said}");
}

#[test]
fn files_are_left_alone_where_nobody_wants_them_watched() {
    let folder = project();
    let server = Server::start_with(&folder, &["--no-watch"]);
    let before = loaded(&server);
    folder.write("tables/gold/many.sql", "SELECT count(*) AS n FROM silver.orders\n");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(loaded(&server), before);
    server.stop();
}

#[test]
fn a_signed_call_lands_what_has_arrived_and_the_secret_is_never_shown() {
    let folder = project();
    let server = Server::start(&folder);
    let rows = || {
        let answer = server.post("/v1/query", &json!({"sql": "SELECT count(*) AS n FROM silver.orders"}));
        // Before its first version a table cannot be asked.
        if answer.status == 200 { answer.json()["rows"][0]["n"].clone() } else { Value::Null }
    };
    wait("the project does not run", || rows() == 2);
    folder.write("data/b.csv", "id\n3\n");
    let call = |headers: &[&str], body: &[u8]| {
        server.try_send("POST", "/v1/triggers/arrived", headers, body).unwrap()
    };
    assert_eq!(call(&[], BODY).refusal().1, "MS-1245");
    assert_eq!(call(&[SIGNATURE], b"{}").refusal().1, "MS-1245");
    assert_eq!(call(&[SIGNATURE], BODY).status, 202);
    wait("what has arrived is not landed", || rows() == 3);
    // A secret that is changed is the one that counts, once the file that names it is saved.
    folder.write("hook_secret", "another secret that is long enough");
    folder.write(
        "millstream.yaml",
        "name: watched\nwebhooks: {arrived: {secret: \"${file:hook_secret}\"}} # changed\n",
    );
    wait("the new secret is not taken over", || call(&[SIGNATURE], BODY).status == 401);
    server.stop();
    assert_quiet(&folder);
    assert!(!log(&folder).contains(SECRET), "{}", log(&folder));
    folder.write("hook_secret", "too short");
    let checked = folder.output(&["check"]);
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("MS-0186") && !said.contains("too short"), "{said}");
}

#[test]
fn a_server_that_is_told_to_stop_waits_for_its_steps() {
    let folder = project();
    let lines: String = (0..1_500_000).map(|id| format!("{id}\n")).collect();
    folder.write("data/c.csv", &format!("id\n{lines}"));
    let server = Server::start_with(&folder, &["--drain", "2m"]);
    wait("the source is not read", || server.get("/v1/schedule").text().contains("\"started\""));
    server.stop();
    // What was being read is landed, and what reads it is left to the next process.
    let rows = folder.json(&["query", "SELECT count(*) AS n FROM bronze.orders", "--json"]);
    assert_eq!(rows, json!([{"n": 1_500_002}]));
}
