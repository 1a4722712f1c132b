//! Killed servers and killed materialisations: nothing acknowledged is lost, nothing counts twice.

use std::{
    process::Stdio,
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::{
    features_small::desk,
    harness::Folder,
    serve_process::{Server, assert_quiet, send},
};

const PUSHERS: usize = 4;
const ROUNDS: u32 = 8;
const COUNT: &str = "latest.orders";

/// What one pusher knows of its own customer.
#[derive(Clone, Copy, Debug, Default)]
struct Pusher {
    sent: u64,
    acknowledged: u64,
}

fn customer(pusher: usize) -> u64 {
    1_000 + pusher as u64
}

fn count(server: &Server, pusher: usize) -> u64 {
    let values = server.values(&[COUNT], &json!({"customer_id": customer(pusher)}));
    values[0].as_u64().unwrap()
}

/// Pushes one row after the other until the server is gone, and reads each one back.
fn push_until_killed(address: &str, pusher: usize, known: &mut Pusher) {
    let row = json!({"rows": {"customer_id": [customer(pusher)], "at": ["2026-01-02T06:00:00Z"], "status": ["paid"]}, "to": "online_and_offline"});
    let row = row.to_string();
    let read = json!({"features": [COUNT], "entities": {"customer_id": [customer(pusher)]}}).to_string();
    loop {
        known.sent += 1;
        let path = "/v1/features/views/latest/push";
        let Some(answer) = send(address, "POST", path, &[], row.as_bytes()) else { return };
        assert_eq!(answer.status, 200, "{}", answer.text());
        known.acknowledged += 1;
        let Some(answer) = send(address, "POST", "/v1/features/read", &[], read.as_bytes()) else { return };
        let found = answer.good()["columns"][COUNT]["values"][0].as_u64().unwrap();
        assert!((known.acknowledged..=known.sent).contains(&found), "{found} read, {known:?}");
    }
}

#[test]
fn acknowledged_pushes_survive_kills_and_count_once() {
    let mut dice = SmallRng::seed_from_u64(7);
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    let mut pushers = [Pusher::default(); PUSHERS];
    for round in 0..ROUNDS {
        let server = Server::start(&folder);
        let address = server.address.clone();
        let delay = Duration::from_millis(dice.random_range(50..600));
        scope(|scope| {
            for (number, known) in pushers.iter_mut().enumerate() {
                let address = &address;
                scope.spawn(move || push_until_killed(address, number, known));
            }
            sleep(delay / 2);
            // The lake takes in the pushed rows while more of them come.
            let _ = send(&address, "POST", "/v1/features/materialize", &[], b"{\"wait\": false}");
            sleep(delay / 2);
            server.kill();
        });
        if round % 2 == 1 {
            killed(&folder, &["features", "materialize"], Duration::from_millis(dice.random_range(0..150)));
        }
    }
    assert!(pushers.iter().all(|known| known.acknowledged > 10), "{pushers:?}");
    let server = Server::start(&folder);
    let served: Vec<u64> = (0..PUSHERS).map(|number| count(&server, number)).collect();
    for (known, served) in pushers.iter().zip(&served) {
        // Each kill leaves one push of which nobody knows whether it counts.
        assert!((known.acknowledged..=known.sent).contains(served), "{served} served, {known:?}");
    }
    server.stop();
    for arguments in [&["features", "materialize"][..], &["features", "materialize", "--full"]] {
        folder.stdout(arguments);
        let server = Server::start(&folder);
        let again: Vec<u64> = (0..PUSHERS).map(|number| count(&server, number)).collect();
        assert_eq!(again, served, "after {arguments:?}");
        server.stop();
    }
    for (number, served) in served.iter().enumerate() {
        let sql = format!(
            "SELECT count(*) AS n FROM features.latest__pushed WHERE customer_id = {}",
            customer(number)
        );
        assert_eq!(folder.json(&["query", &sql, "--json"])[0]["n"], *served, "the lake has what is served");
    }
    assert_quiet(&folder);
}

/// Starts the call and kills it after `delay`. Says whether the call was still at work.
fn killed(folder: &Folder, arguments: &[&str], delay: Duration) -> bool {
    let mut child = folder.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(delay);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success() || status.code().is_none(), "{arguments:?} fails by itself: {status}");
    status.code().is_none()
}

/// All features that are served of the shop, long after the last event.
fn all_served(folder: &Folder) -> Value {
    let server = Server::start(folder);
    let customers: Vec<u32> = (1..=600).collect();
    let body =
        json!({"service": "churn_v1", "entities": {"customer_id": customers}, "at": "2026-08-01T00:00:00Z"});
    let answer = server.post("/v1/features/read", &body).good();
    server.stop();
    answer["columns"].clone()
}

#[test]
fn materialisations_that_are_killed_anywhere_leave_the_values_of_those_that_were_not() {
    let mut dice = SmallRng::seed_from_u64(11);
    let (folder, twin) = (Folder::empty(), Folder::empty());
    for folder in [&folder, &twin] {
        folder.stdout(&["demo", "--once", "--rows", "20000", "--path", "."]);
        std::fs::remove_dir_all(folder.path().join(".millstream/online")).unwrap();
    }
    let mut kills = 0;
    for round in 0..4 {
        let started = Instant::now();
        twin.stdout(&["features", "materialize"]);
        let undisturbed = started.elapsed();
        for _ in 0..6 {
            kills +=
                u32::from(killed(&folder, &["features", "materialize"], undisturbed.mul_f64(dice.random())));
        }
        folder.stdout(&["features", "materialize"]);
        assert_eq!(all_served(&folder), all_served(&twin), "round {round}, {kills} kills");
        for folder in [&folder, &twin] {
            more_events(folder, round);
            folder.stdout(&["run"]);
        }
    }
    assert!(kills > 5, "materialisations end before they are killed");
}

fn more_events(folder: &Folder, round: u32) {
    let event = |id: u32| {
        format!(
            "{{\"event_id\":\"00000000-0000-4000-8000-{:012}\",\"session_id\":{id},\"customer_id\":{},\"event_type\":\"page_view\",\
             \"page\":\"/\",\"device\":\"tablet\",\"occurred_at\":\"2026-07-{:02}T10:00:00Z\"}}\n",
            round * 1_000 + id,
            1 + id % 200,
            10 + round,
        )
    };
    folder.write(&format!("data/events/2026-07-{round}.jsonl"), &(0..600).map(event).collect::<String>());
}
