//! Runs and datasets over HTTP: started, followed, told to end, by those who may.

use std::{io::Write, net::TcpStream};

use serde_json::{Value, json};

use crate::{
    features_small::desk,
    harness::Folder,
    serve_process::{Answer, Server, assert_quiet, log, received},
};

/// The tokens are `ci-0123456789abcdef` and `notebook-0123456789abcdef`.
const TOKENS: &str = r#"{"tokens": [
    {"name": "ci", "scope": "write", "sha256": "6ba31a9bd6fe7999e8ad7486828c4d1a284766591bfcc1d16658ba8bf8710293"},
    {"name": "notebook", "scope": "read", "sha256": "5F1A0BB357CDA68BC4FE4DCEE53A4D19F60D58D0BAA2FD3A3063F386B6F10D64"}
]}"#;

/// Two chains of a source and two tables, of which `a` has so many rows that its run can be told to end.
fn chains() -> Folder {
    let folder = Folder::with(&[("millstream.yaml", "name: chains\n"), ("tokens.json", TOKENS)]);
    for (chain, rows) in [("a", 1_500_000), ("b", 10)] {
        folder.write(
            &format!("sources/{chain}.yaml"),
            &format!(
                "connector: {{type: files, path: data/{chain}/*.csv}}\n\
                 contract: {{columns: {{id: {{type: int64}}, amount: {{type: int64}}}}}}\n"
            ),
        );
        folder.write(
            &format!("tables/silver/{chain}.sql"),
            &format!("SELECT id, amount FROM bronze.{chain}\n"),
        );
        folder.write(
            &format!("tables/gold/{chain}.sql"),
            &format!("SELECT count(*) AS n, sum(amount) AS total FROM silver.{chain}\n"),
        );
        let lines: String = (0..rows).map(|id| format!("{id},1\n")).collect();
        folder.write(&format!("data/{chain}/1.csv"), &format!("id,amount\n{lines}"));
    }
    folder
}

/// Sends a request with the token of `name`.
fn asked(server: &Server, name: &str, method: &str, path: &str, body: &str) -> Answer {
    let token = format!("Authorization: Bearer {name}-0123456789abcdef");
    server.try_send(method, path, &[&token], body.as_bytes()).unwrap()
}

/// Starts a job as `ci` and gives its path.
fn started(server: &Server, path: &str, body: &str) -> String {
    let answer = asked(server, "ci", "POST", path, body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.header("location").unwrap().to_owned()
}

/// The names and data of a job's events, until the job has ended. HTTP/1.0 knows no chunks, so the events come as they
/// are.
fn events(server: &Server, job: &str) -> Vec<(String, Value)> {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let token = "Authorization: Bearer notebook-0123456789abcdef";
    stream.write_all(format!("GET {job}/events HTTP/1.0\r\n{token}\r\n\r\n").as_bytes()).unwrap();
    let answer = received(&mut stream).unwrap();
    let of = |event: &str, field: &str| {
        event.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default().to_owned()
    };
    let told = answer.text().split("\n\n").filter(|event| event.contains("event: "));
    told.map(|event| (of(event, "event: "), serde_json::from_str(&of(event, "data: ")).unwrap())).collect()
}

/// The job as its last event gives it.
fn ended(server: &Server, job: &str) -> Value {
    let (name, ended) = events(server, job).pop().unwrap();
    assert_eq!(name, "ended");
    ended
}

#[test]
fn a_run_is_started_and_followed_and_another_one_told_to_end() {
    let folder = chains();
    let server = Server::start_with(&folder, &["--tokens", "tokens.json"]);
    let refused = asked(&server, "notebook", "POST", "/v1/runs", "{}");
    assert_eq!((refused.status, refused.refusal().1.as_str()), (403, "MS-1229"), "{}", refused.text());
    assert_eq!(server.get("/v1/runs").refusal().1, "MS-1213");

    let job = started(&server, "/v1/runs", r#"{"selection": ["bronze.b+"]}"#);
    let told = events(&server, &job);
    let names: Vec<&str> =
        told.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "step_progress").collect();
    let step = ["step_started", "step_finished"];
    assert_eq!(names, [&["run_started"][..], &step, &step, &step, &["run_finished", "ended"]].concat());
    let (_, ended_job) = told.last().unwrap();
    assert_eq!((&ended_job["state"], &ended_job["principal"]), (&json!("succeeded"), &json!("ci")));
    assert_eq!(ended_job["progress"]["done"], 3);
    let run =
        asked(&server, "notebook", "GET", &format!("/v1/runs/{}", ended_job["run"].as_str().unwrap()), "")
            .good();
    let facts = (&run["outcome"], &run["principal"], &run["command"], run["steps"].as_array().unwrap().len());
    assert_eq!(facts, (&json!("succeeded"), &json!("ci"), &json!("run bronze.b+"), 3));

    let job = started(&server, "/v1/runs", r#"{"selection": ["bronze.a+"]}"#);
    let refused = asked(&server, "ci", "POST", "/v1/runs", r#"{"selection": ["gold.a"]}"#);
    let (status, code, message) = refused.refusal();
    assert_eq!((status, code.as_str()), (409, "MS-0608"), "{message}");
    assert!(message.contains("works on `gold.a` (`run bronze.a+`)"), "{message}");
    let refused = folder.run(&["run", "gold.a"]);
    assert!(refused.contains("works on `gold.a` (`run bronze.a+`)"), "{refused}");
    assert_eq!(asked(&server, "ci", "DELETE", &job, "").status, 202);
    let cancelled = ended(&server, &job);
    assert_eq!((&cancelled["state"], &cancelled["error"]["code"]), (&json!("cancelled"), &json!("MS-1233")));
    let runs = asked(&server, "notebook", "GET", "/v1/runs?limit=1", "").good();
    assert_eq!(runs["runs"][0]["outcome"], "cancelled");

    let job = started(&server, "/v1/runs", "{}");
    assert_eq!(ended(&server, &job)["state"], "succeeded");
    let totals = folder.json(&["query", "SELECT a.n AS a, b.n AS b FROM gold.a, gold.b", "--json"]);
    assert_eq!(totals, json!([{"a": 1_500_000, "b": 10}]));
    assert_eq!(
        asked(&server, "notebook", "GET", "/v1/jobs", "").good()["jobs"].as_array().unwrap().len(),
        3,
        "what was refused is no job"
    );
    server.stop();
    assert_quiet(&folder);
    let said = log(&folder);
    assert!(said.contains("audit") && said.contains("ci") && !said.contains("0123456789abcdef"), "{said}");
}

#[test]
fn a_run_whose_server_is_killed_is_in_nobodys_way() {
    let folder = chains();
    let server = Server::start_with(&folder, &["--tokens", "tokens.json"]);
    started(&server, "/v1/runs", r#"{"selection": ["bronze.a+"]}"#);
    server.kill();
    folder.stdout(&["run"]);
    let totals = folder.json(&["query", "SELECT n, total FROM gold.a", "--json"]);
    assert_eq!(totals, json!([{"n": 1_500_000, "total": 1_500_000}]));
}

#[test]
fn the_catalog_is_what_the_commands_say_and_every_endpoint_is_described() {
    let folder = chains();
    folder.stdout(&["run", "bronze.b+"]);
    let server = Server::start(&folder);
    let cases: [(&str, &[&str]); 4] = [
        ("/v1/assets", &["status", "--json"]),
        ("/v1/assets/gold.b", &["status", "gold.b", "--json"]),
        ("/v1/assets/silver.b/lineage", &["lineage", "silver.b", "--json"]),
        ("/v1/assets/gold.b/lineage?column=n", &["lineage", "gold.b.n", "--json"]),
    ];
    for (path, command) in cases {
        assert_eq!(server.get(path).good(), folder.json(command), "{path}");
    }
    assert_eq!(server.get("/v1/assets/gold.c").refusal().1, "MS-1232");
    assert_eq!(server.get("/v1/assets/gold.b/lineage?column=m").refusal().1, "MS-1208");
    let document = server.get("/v1/openapi.json").good();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let place = path.replace("{name}", "gold.b").replace("{view}", "orders").replace("{id}", "0-0");
        for method in operations.as_object().unwrap().keys() {
            let answer = server.try_send(&method.to_uppercase(), &place, &[], b"").unwrap();
            let is_served =
                answer.status != 405 && !String::from_utf8_lossy(&answer.body).contains("MS-1218");
            assert!(is_served, "{method} {path}: {}", answer.status);
        }
    }
    server.stop();
    assert_quiet(&folder);
}

#[test]
fn a_dataset_is_built_and_fetched() {
    let folder = desk("ann 2026-01-02T00:00:00Z 15 true\n");
    let server = Server::start(&folder);
    let answer = server.post("/v1/datasets/desk/build", &json!({}));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = answer.header("location").unwrap().to_owned();
    let done = ended(&server, &job);
    let made = (&done["state"], &done["result"]["version"], &done["result"]["rows"], &done["principal"]);
    assert_eq!(made, (&json!("succeeded"), &json!("1"), &json!(1), &json!("local")));
    let file = server.get("/v1/datasets/desk");
    assert_eq!((file.status, file.header("x-millstream-version")), (200, Some("1")));
    assert!(file.body.starts_with(b"PAR1"));
    let materialized = server.post("/v1/features/materialize", &json!({"wait": false}));
    assert_eq!(materialized.status, 202, "{}", materialized.text());
    let done = ended(&server, materialized.header("location").unwrap());
    assert_eq!((&done["state"], &done["kind"]), (&json!("succeeded"), &json!("materialize")), "{done}");
}

#[test]
fn tokens_that_cannot_be_used_are_refused() {
    let folder = Folder::with(&[("millstream.yaml", "name: chains\n")]);
    let cases = [
        ("", "EOF while parsing"),
        (r#"{"tokens": [{"name": "ci"}]}"#, "missing field `scope`"),
        (r#"{"tokens": [{"name": "ci", "scope": "all"}]}"#, "unknown variant `all`"),
        (r#"{"tokens": [{"name": "ci", "scope": "read"}]}"#, "`ci` needs either `sha256` or `variable`"),
        (r#"{"tokens": [{"name": "c i", "scope": "read", "sha256": "00"}]}"#, "`c i` is no name"),
        (r#"{"tokens": [{"name": "ci", "scope": "read", "sha256": "00"}]}"#, "64 hexadecimal digits"),
        (r#"{"tokens": [{"name": "ci", "scope": "read", "variable": "NO_SUCH"}]}"#, "the variable `NO_SUCH`"),
        (r#"{"tokens": [{"name": "ci", "scope": "read", "token": "secret"}]}"#, "unknown field `token`"),
    ];
    for (text, expected) in cases {
        folder.write("tokens.json", text);
        let said = folder.run(&["serve", "--address", "127.0.0.1:0", "--tokens", "tokens.json"]);
        assert!(
            said.starts_with("exit: 2") && said.contains(expected) && !said.contains("secret"),
            "{text}\n{said}"
        );
    }
    let twice = TOKENS.replace("notebook", "ci");
    folder.write("tokens.json", &twice);
    let said = folder.run(&["serve", "--address", "127.0.0.1:0", "--tokens", "tokens.json"]);
    assert!(said.contains("MS-1244"), "{said}");
}
