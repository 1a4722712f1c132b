//! What `serve` is told on its command line: bounds, addresses by name, and how its log looks.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{
    harness::{Folder, SMALL},
    serve_process::Server,
};

#[test]
fn bounds_are_changed_by_name() {
    let folder = Folder::with(SMALL);
    let server = Server::start_with(&folder, &["--limit", "query_rows=2", "--limit", "body_bytes=1000"]);
    let rows =
        server.post("/v1/query", &json!({"sql": "select * from (values (1), (2), (3)) as t(a)"})).good();
    assert_eq!(rows["rows"].as_array().unwrap().len(), 2, "{rows}");
    assert_eq!(rows["truncated"], json!(true));
    let long = "x".repeat(2_000);
    let (status, ..) = server.post("/v1/query", &json!({"sql": format!("select '{long}' as a")})).refusal();
    assert_eq!(status, 413);
    server.stop();
}

/// The journal keeps times and levels itself: a line begins with the level's number, and has no colour.
#[cfg(unix)]
#[test]
fn under_systemd_log_lines_are_plain_and_have_a_priority() {
    let log = |folder: &Folder, arguments: &[&str]| {
        let mut command = folder.command(&["serve", "--address", "127.0.0.1:0", "--json"]);
        command.args(arguments).env("JOURNAL_STREAM", "1:1");
        let mut server = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        let asked = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
        assert!(asked.success());
        String::from_utf8(server.wait_with_output().unwrap().stderr).unwrap()
    };
    let folder = Folder::with(SMALL);
    let told = log(&folder, &["--log", "info"]);
    assert!(told.lines().any(|line| line.starts_with("<6>") && line.contains("no longer serving")), "{told}");
    assert!(!told.contains('\u{1b}'), "{told}");
    assert!(!log(&folder, &[]).contains("<6>"));
}

#[test]
fn an_address_may_be_a_name() {
    let folder = Folder::with(SMALL);
    let said = folder.run(&["serve", "--address", "nowhere.invalid:0"]);
    assert!(
        said.starts_with("exit: 2") && said.contains("the host `nowhere.invalid` is not known"),
        "{said}"
    );
    let said = folder.run(&["serve", "--limit", "buffered_bytes=1k"]);
    assert!(said.starts_with("exit: 2") && said.contains("would never fit"), "{said}");
}
