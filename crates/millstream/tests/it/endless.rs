//! Statements that would compute for hours: they delay nobody, and end when who asked has left or a signal says so.

use std::{
    fs,
    io::Write,
    net::TcpStream,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    harness::{Folder, SMALL},
    serve_process::{Server, assert_quiet},
};

/// A join that compares each row with each other, finds nothing, and so never hands anything out.
const JOIN: &str = "select count(*) n from generate_series(1, 900000) a, generate_series(1, 900000) b where a.value + b.value = 7";

/// The time that stands for "within a second" on a machine that runs other tests too: without an end, the statements would compute
/// for hours.
const SOON: Duration = Duration::from_secs(60);

/// Asks for the join and leaves the connection open.
fn ask(server: &Server) -> TcpStream {
    let body = json!({ "sql": JOIN }).to_string();
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head =
        format!("POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head, body].concat().into_bytes()).unwrap();
    stream
}

/// The processor time that the process has used, in hundredths of a second.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_server_answers_beside_endless_queries_and_ends_them() {
    let folder = Folder::empty();
    folder.stdout(&["demo", "--once", "--rows", "3000", "--path", "."]);
    let server = Server::start(&folder);
    let endless: Vec<TcpStream> = (0..10).map(|_| ask(&server)).collect();
    thread::sleep(Duration::from_millis(500));

    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let began = Instant::now();
        assert_eq!(server.get("/health").status, 200);
        let read = json!({"features": ["orders.order_count_7d"], "entities": {"customer_id": [1]}});
        server.post("/v1/features/read", &read).good();
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    let began = Instant::now();
    let answer = server.post("/v1/query", &json!({"sql": "select count(*) n from silver.orders"})).good();
    assert_eq!(answer["rows"].as_array().unwrap().len(), 1);
    assert!(began.elapsed() < SOON, "a query has its turn: {:?}", began.elapsed());

    drop(endless);
    thread::sleep(Duration::from_secs(1));
    let before = ticks(server.process());
    thread::sleep(Duration::from_secs(1));
    let used = ticks(server.process()) - before;
    assert!(used < 30, "queries whose clients left still use {used} of 100");

    let _endless = ask(&server);
    thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < SOON, "a stop takes {:?}", began.elapsed());
    assert_quiet(&folder);
}

/// Chains of operators and texts of digits are worked on by functions that call themselves, and a stack that is too small ends
/// the process with all that it serves.
#[test]
fn nothing_that_is_sent_ends_the_server() {
    let folder = Folder::empty();
    folder.stdout(&["demo", "--once", "--rows", "3000", "--path", "."]);
    let server = Server::start(&folder);
    let chain = |part: &str, operator: &str, parts| format!("select {}", vec![part; parts].join(operator));
    let digits = "repeat('9', 1000000)";
    for sql in [
        chain("1", "+", 1_000),
        chain("'a'", "||", 1_000),
        chain("1 = 2", " or ", 990),
        format!("select try_cast({digits} as decimal(38, 0)) as x"),
        format!("select cast('0.' || {digits} as decimal(38, 2)) as x"),
        format!("select arrow_cast({digits}, 'Decimal128(38, 0)') as x"),
    ] {
        let shown: String = sql.chars().take(60).collect();
        let answer = server.post("/v1/query", &json!({ "sql": sql }));
        assert!(matches!(answer.status, 200 | 400), "{shown}: {}", answer.status);
        assert_eq!(server.get("/health").status, 200, "{shown}");
    }
    server.stop();
}

#[test]
fn a_query_has_the_time_of_a_request() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    let server = Server::start_with(&folder, &["--limit", "request_time=500ms"]);
    let began = Instant::now();
    let (status, code, message) = server.post("/v1/query", &json!({ "sql": JOIN })).refusal();
    assert_eq!((status, code.as_str()), (504, "MS-1217"), "{message}");
    assert!(began.elapsed() < SOON, "a time-out takes {:?}", began.elapsed());

    thread::sleep(Duration::from_secs(1));
    let before = ticks(server.process());
    thread::sleep(Duration::from_secs(1));
    let used = ticks(server.process()) - before;
    assert!(used < 30, "a query whose time is over still uses {used} of 100");
    let answer = server.post("/v1/query", &json!({"sql": "select count(*) n from bronze.orders"})).good();
    assert_eq!(answer["rows"].as_array().unwrap().len(), 1);
    server.stop();
    assert_quiet(&folder);
}

/// How the process ended, and how long after the signal.
fn terminated(mut child: Child) -> (ExitStatus, Duration) {
    let began = Instant::now();
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(asked.unwrap().success());
    while began.elapsed() < 2 * SOON {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, began.elapsed());
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    (child.wait().unwrap(), began.elapsed())
}

#[test]
fn the_first_signal_ends_a_query() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    for sql in [
        JOIN,
        "select a.value from generate_series(1, 20000) a, generate_series(1, 20000) b, generate_series(1, 20000) c \
         order by concat(a.value, b.value, c.value) limit 3",
        "select max(levenshtein(repeat('ab', 10000), concat(repeat('ba', 10000), value))) from generate_series(1, 999)",
        "select count(*) from generate_series(1, 1000000000) a",
    ] {
        let mut command = folder.command(&["query", sql]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(800));
        let (status, took) = terminated(child);
        assert!(took < SOON, "{sql} ends after {took:?}");
        assert!(status.code().is_some_and(|code| code < 2), "{sql} ends with {status}");
    }
}

#[test]
fn what_a_client_asks_wrong_is_no_fault_of_the_server() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    let server = Server::start(&folder);
    let doubled: Vec<String> = (1..60)
        .map(|n| format!("c{n} as (select a from c{0} union all select a from c{0})", n - 1))
        .collect();
    let doubled = format!("with c0 as (select 1 a), {} select count(*) n from c59", doubled.join(", "));
    for (sql, code) in [
        ("select * from bronze.orders version as of 999", "MS-0408"),
        ("select * from bronze.orders timestamp as of '1999-01-01'", "MS-0409"),
        ("select repeat('x', 2000000000) as x", "MS-0223"),
        ("select idd from bronze.orders", "MS-0204"),
        (doubled.as_str(), "MS-0228"),
    ] {
        let (status, said, message) = server.post("/v1/query", &json!({ "sql": sql })).refusal();
        assert_eq!((status, said.as_str()), (400, code), "{sql}: {message}");
    }
    let wide = "select repeat('x', 1000000) as x from generate_series(1, 100)";
    let answer = server.post("/v1/query", &json!({ "sql": wide })).good();
    assert_eq!(answer["truncated"], true);
    assert!(answer["rows"].as_array().unwrap().len() < 100, "an answer has a bound of bytes");
    server.stop();
    assert_quiet(&folder);
}
