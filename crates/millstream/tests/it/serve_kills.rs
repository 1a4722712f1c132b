//! A loaded server that is killed at random moments: files arrive all the time, webhooks are called, a backfill is under way, housekeeping runs. At
//! the end its tables are those of a project that got the same files at once, and its records tell of each step once.
//!
//! `MILLSTREAM_KILLS=200` kills it so often, and `MILLSTREAM_SEED=3` throws other dice; a failure names both.

use std::{
    fs,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::{
    harness::{Folder, assert_same_tables},
    kept_records::assert_told_once,
    serve_process::{Server, assert_quiet, log, send},
    storm::{Arrivals, STORM, file_of_dataset, price},
};

const KILLS: u64 = 10;
const SEED: u64 = 1;

/// How long a server lives at most.
const LIFE_MAX: Duration = Duration::from_millis(1_800);

/// Longer than it takes until everything that was due has run; only a hang breaks it.
const PATIENCE: Duration = Duration::from_secs(300);

#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
fn wished(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |wish| wish.parse().unwrap())
}

/// The webhook calls: each is about the file of its number.
#[derive(Default)]
struct Calls {
    /// The files that were written.
    written: AtomicU64,
    /// The last file of which a call was answered with 202.
    acknowledged: AtomicU64,
}

#[test]
fn a_loaded_server_that_is_killed_anywhere_loses_and_doubles_nothing() {
    let (kills, seed) = (wished("MILLSTREAM_KILLS", KILLS), wished("MILLSTREAM_SEED", SEED));
    println!("MILLSTREAM_KILLS={kills} MILLSTREAM_SEED={seed}");
    let mut dice = SmallRng::seed_from_u64(seed);
    let folder = Folder::with(STORM);
    let mut arrivals = Arrivals::new(seed);
    arrivals.arrive(&folder);
    // A backfill needs what it reads.
    folder.stdout(&["run", "source:orders"]);
    let calls = Calls::default();
    let mut answered = 0;
    for kill in 0..kills {
        let life = LIFE_MAX.mul_f64(dice.random());
        // Some are killed while they start.
        if dice.random_bool(0.1) {
            let mut child = quiet(&folder, &["serve", "--address", "127.0.0.1:0"]);
            sleep(life / 8);
            child.kill().unwrap();
            child.wait().unwrap();
            continue;
        }
        let server = Server::start(&folder);
        let backfill = dice.random_bool(0.5).then(|| backfill(&folder, &server, &mut dice));
        loaded(&folder, server, &mut arrivals, &calls, life);
        if let Some(Some(mut child)) = backfill {
            // Sometimes the backfill outlives the server.
            sleep(Duration::from_millis(dice.random_range(0..300)));
            let _ = child.kill();
            child.wait().unwrap();
        }
        // Now and then it is waited for what was acknowledged, which nobody calls for again.
        if kill % 10 == 9 {
            let server = Server::start(&folder);
            answered = calls.acknowledged.load(Ordering::SeqCst);
            wait_for_prices(&folder, &server, answered);
            server.kill();
        }
    }
    println!("{} files of orders, webhook calls acknowledged up to {answered}", arrivals.count());
    assert!(kills < KILLS || answered > 0, "no webhook was called");
    settled(&folder, &mut arrivals, &calls);
    compared(&folder, seed);
    assert_quiet(&folder);
}

/// Runs the server under load, and kills it after `life`.
fn loaded(folder: &Folder, server: Server, arrivals: &mut Arrivals, calls: &Calls, life: Duration) {
    let (address, is_over) = (server.address.clone(), AtomicBool::new(false));
    scope(|scope| {
        scope.spawn(|| call_until_over(folder, &address, calls, &is_over));
        let end = Instant::now() + life;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            sleep(left.min(arrivals.pause()));
            if Instant::now() >= end {
                break;
            }
            arrivals.arrive(folder);
        }
        server.kill();
        is_over.store(true, Ordering::SeqCst);
    });
}

/// Writes one file of prices after the other, and calls the webhook for each until it is acknowledged or the server is gone.
fn call_until_over(folder: &Folder, address: &str, calls: &Calls, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        let number = calls.written.fetch_add(1, Ordering::SeqCst) + 1;
        price(folder, number);
        let Some(answer) = send(address, "POST", "/v1/triggers/prices", &[], b"{}") else { return };
        match answer.status {
            202 => calls.acknowledged.store(number, Ordering::SeqCst),
            // It waits yet until the lease of the killed one is over.
            503 => {}
            _ => panic!("{}", answer.text()),
        }
        sleep(Duration::from_millis(60));
    }
}

/// Starts a backfill, of the server or beside it.
fn backfill(folder: &Folder, server: &Server, dice: &mut SmallRng) -> Option<Child> {
    if dice.random_bool(0.5) {
        let body = json!({"asset": "silver.parts", "from": "2026-01-01", "to": "2026-02-01", "parallel": 2, "force": true});
        // Others may be at work on the table, or the server be gone.
        let _ = server.try_send("POST", "/v1/backfills", &[], body.to_string().as_bytes());
        return None;
    }
    let range = ["--from", "2026-01-01", "--to", "2026-02-01", "--force"];
    Some(quiet(folder, &[&["backfill", "silver.parts", "--yes", "--wait"][..], &range].concat()))
}

fn quiet(folder: &Folder, arguments: &[&str]) -> Child {
    folder.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until every file of prices up to `number` is landed.
fn wait_for_prices(folder: &Folder, server: &Server, number: u64) {
    let until = Instant::now() + PATIENCE;
    let sql = format!("SELECT count(*) AS n FROM bronze.prices WHERE id <= {number}");
    loop {
        let answer = server.post("/v1/query", &json!({"sql": sql}));
        if answer.status == 200 && answer.json()["rows"][0]["n"] == number {
            return;
        }
        assert!(
            Instant::now() < until,
            "the call for file {number} was acknowledged and not answered: {}\n{}",
            answer.text(),
            log(folder)
        );
        sleep(Duration::from_millis(50));
    }
}

/// Lets a server run, undisturbed, until nothing is left to do, and looks at what it tells of the past.
fn settled(folder: &Folder, arrivals: &mut Arrivals, calls: &Calls) {
    let server = Server::start(folder);
    // A step that was cut short twice is given up until something new comes.
    arrivals.arrive(folder);
    wait_for_prices(folder, &server, calls.acknowledged.load(Ordering::SeqCst));
    // What was written without an acknowledgement is called for at last.
    let until = Instant::now() + PATIENCE;
    while server.post("/v1/triggers/prices", &json!({})).status != 202 {
        assert!(Instant::now() < until, "nobody takes the call\n{}", log(folder));
        sleep(Duration::from_millis(100));
    }
    wait_for_prices(folder, &server, calls.written.load(Ordering::SeqCst));
    loop {
        let plan = folder.json(&["plan", "--json"]);
        if plan["steps"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        assert!(Instant::now() < until, "the server leaves this undone: {plan}\n{}", log(folder));
        sleep(Duration::from_millis(200));
    }
    assert_told_once(folder, &server);
    server.stop();
    let under_way = folder.json(&["runs", "--status", "under-way", "--json"]);
    assert_eq!(under_way["runs"], json!([]), "no run is left open");
}

/// Compares with a project that got the same files at once.
fn compared(folder: &Folder, seed: u64) {
    let twin = Folder::with(STORM);
    copy(&folder.path().join("data"), &twin.path().join("data"));
    twin.stdout(&["run"]);
    let when = format!("seed {seed}");
    assert_eq!(folder.tables(), twin.tables(), "{when}");
    assert_same_tables(folder, &twin, &twin.tables(), &when);
    assert_eq!(file_of_dataset(folder), file_of_dataset(&twin), "the dataset, {when}");
    assert_eq!(served(folder), served(&twin), "features, {when}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn served(folder: &Folder) -> Value {
    let server = Server::start_with(folder, &["--no-watch"]);
    let customers: Vec<u64> = (1..=Arrivals::CUSTOMERS).collect();
    let body = json!({"service": "desk", "entities": {"customer": customers}, "at": "2026-06-01T00:00:00Z"});
    let answer = server.post("/v1/features/read", &body).good();
    server.stop();
    answer["columns"].clone()
}
