//! What the commands of features and datasets say when something is missing, unknown or in use.

use crate::{
    features_small::{FEATURES, desk},
    harness::{Folder, assert_said},
    serve_process::Server,
};

/// What a user sees of each call.
fn calls(folder: &Folder, calls: &[&[&str]]) -> String {
    calls
        .iter()
        .map(|call| format!("===== {}\n{}\n", call.join(" "), without_clock(&folder.run(call))))
        .collect()
}

/// The text without the times at which the test itself did something.
fn without_clock(text: &str) -> String {
    let line = |line: &str| match (line.trim_start().split(' ').next(), line.split_once(" 20")) {
        (Some("online" | "served"), Some((before, _))) => format!("{before} [INSTANT]\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn unknown_names_are_told_with_what_is_known() {
    let folder = desk("");
    assert_said!(calls(
        &folder,
        &[
            &["dataset", "build", "desc"],
            &["dataset", "build", "something"],
            &["dataset", "diff", "desk@1", "desk@2"],
            &["dataset", "diff", "nothing", "desk"],
            &["features", "show", "order"],
            &["features", "show", "orders.spent"],
            &["features", "materialize", "latests"],
            &["features", "remove", "desks@1"],
            &["serve", "--address", "0.0.0.0:0"],
        ],
    ));
}

#[test]
fn tables_that_were_never_built_are_told() {
    let folder = desk("");
    folder
        .write("tables/silver/orders.sql", "/*---\nmaterialize: table\n---*/\nSELECT * FROM bronze.orders\n");
    folder.write("features/customer.yaml", &FEATURES.replace("from: bronze.orders", "from: silver.orders"));
    assert_said!(calls(
        &folder,
        &[
            &["dataset", "build", "desk"],
            &["dataset", "build", "desk", "--dry-run"],
            &["features", "materialize"]
        ],
    ));
}

/// Commands on definitions that no error touches go on, and standard error says what is broken. A command that is about
/// everything says by its exit code that this was not all.
#[test]
fn files_that_are_broken_leave_features_and_datasets_alone() {
    let folder = desk("");
    folder.write("tables/m/bad.sql", "selec\n");
    folder.write("datasets/broken.yaml", "labels: [\n");
    folder.write("features/other.yaml", "entity: {name: other, key: id}\nviews: {lost: {from: m.bad}}\n");
    for (call, code) in [
        (vec!["features", "list"], 0),
        (vec!["features", "show", "orders"], 0),
        (vec!["features", "materialize", "orders"], 0),
        (vec!["features", "materialize"], 2),
        (vec!["dataset", "build", "desk"], 0),
        (vec!["dataset", "list"], 0),
        (vec!["rejected", "bronze.orders"], 0),
        (vec!["reprocess", "bronze.orders"], 0),
        (vec!["maintain", "bronze.orders"], 0),
        (vec!["maintain"], 2),
    ] {
        let said = folder.output(&call);
        assert_eq!(said.status.code(), Some(code), "{call:?}: {said:?}");
        let told = String::from_utf8_lossy(&said.stderr);
        assert!(told.contains("MS-0201") && told.contains("datasets/broken.yaml"), "{call:?}: {told}");
    }
    Server::start(&folder).stop();
}

#[test]
fn an_embedded_store_is_one_process_s_alone() {
    let folder = desk("");
    let server = Server::start(&folder);
    let said = calls(&folder, &[&["features", "materialize"], &["features", "remove", "plain@1"]]);
    assert_said!(said.replace(&format!("pid {}", server.process()), "pid [SERVER]"));
    // Commands that only read the lake go on.
    folder.stdout(&["features", "list"]);
    folder.stdout(&["dataset", "build", "desk"]);
    server.stop();
}

#[test]
fn a_view_that_was_never_materialised_is_told_and_answers_with_nothing_that_looks_like_a_value() {
    let folder = desk("");
    let server = Server::start(&folder);
    assert_eq!(server.get("/ready").json()["waiting_for"], serde_json::json!(["orders", "latest"]));
    let body =
        serde_json::json!({"features": ["orders.orders", "orders.spend"], "entities": {"customer_id": [1]}});
    let answer = server.post("/v1/features/read", &body).good();
    // Neither the count of no events nor a default stands for what is not known.
    for feature in ["orders.orders", "orders.spend"] {
        let column = &answer["columns"][feature];
        assert_eq!(column["values"], serde_json::json!([null]), "{answer}");
        assert_eq!(column["statuses"], serde_json::json!(["degraded"]), "{answer}");
    }
    server.stop();
}

#[test]
fn a_view_is_shown_with_all_that_is_known_of_it() {
    let folder = desk("ann 2026-01-02T01:00:00Z 1 true");
    folder.stdout(&["dataset", "build", "desk"]);
    folder.stdout(&["features", "materialize"]);
    assert_said!(calls(
        &folder,
        &[
            &["features", "list"],
            &["features", "show", "latest"],
            &["features", "show", "orders.paid_1d"],
            &["features", "show", "cart_share"],
            &["features", "show", "plain"],
            &["features", "materialize"],
        ],
    ));
}
