//! The online store on a Redis server, the one at `MILLSTREAM_TEST_REDIS`: several processes may use it at once.

use serde_json::{Value, json};

use crate::{
    features_small::{ANN, EVE, desk, order},
    harness::{Folder, given},
    serve_process::{Server, assert_quiet},
};

const COUNT: &str = "latest.orders";

/// The desk with its store on Redis; each test is a project of its own, so that they do not meet.
fn redis_desk(test: &str) -> Option<Folder> {
    let url = given("MILLSTREAM_TEST_REDIS", &format!("a server on Redis: {test}"), "no Redis server")?;
    let folder = desk("");
    let name = format!("{test}-{}", std::process::id());
    folder.write(
        "millstream.yaml",
        &format!("name: {name}\nenvironments:\n  default:\n    online: {}\n", url.trim_end_matches('/')),
    );
    folder.stdout(&["features", "materialize"]);
    Some(folder)
}

fn counted(server: &Server, customer: i64) -> Value {
    server.values(&[COUNT], &json!({"customer_id": customer})).remove(0)
}

#[test]
fn two_servers_and_a_materialisation_share_one_redis() {
    let Some(folder) = redis_desk("shared") else { return };
    let (one, other) = (Server::start(&folder), Server::start(&folder));
    assert_eq!(
        (counted(&one, ANN), counted(&other, ANN), counted(&other, EVE)),
        (json!(4), json!(4), json!(0))
    );
    for number in 1..=3 {
        let row = order("latest", EVE, "2026-01-02T06:00:00Z", "1.00", "paid");
        one.push("latest", &row, "online_and_offline").good();
        assert_eq!(counted(&other, EVE), number);
    }
    one.kill();
    for arguments in [&["features", "materialize"][..], &["features", "materialize", "--full"]] {
        folder.stdout(arguments);
        assert_eq!((counted(&other, ANN), counted(&other, EVE)), (json!(4), json!(3)), "{arguments:?}");
    }
    other.stop();
    assert_quiet(&folder);
}

#[test]
fn projects_on_one_redis_do_not_meet() {
    let Some(folder) = redis_desk("first") else { return };
    let other = redis_desk("second").unwrap();
    let (server, neighbour) = (Server::start(&folder), Server::start(&other));
    server.push("latest", &order("latest", EVE, "2026-01-02T06:00:00Z", "1.00", "paid"), "online").good();
    assert_eq!((counted(&server, EVE), counted(&neighbour, EVE)), (json!(1), json!(0)));
    server.stop();
    neighbour.stop();
}
