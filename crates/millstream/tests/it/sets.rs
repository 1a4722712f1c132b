//! Readers take all that a run made, or nothing of it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{features_small::desk, harness::Folder, serve_process::Server};

const SOURCE: &str = "connector: {type: files, path: data/*.csv}\ncontract: {columns: {id: {type: int64}}}\n";

/// A source and two tables behind it; the second is halted by an id above 100.
fn project() -> Folder {
    let folder = Folder::with(&[
        ("millstream.yaml", "name: sets\n"),
        ("sources/s.yaml", SOURCE),
        (
            "tables/silver/rows.sql",
            "/*---\nmaterialize: incremental\nkey: id\n---*/\nSELECT id FROM bronze.s\n",
        ),
        (
            "tables/gold/total.sql",
            "/*---\nmaterialize: table\nchecks: [{expression: n <= 100, severity: halt}]\n---*/\nSELECT max(id) AS n FROM silver.rows\n",
        ),
        ("data/1.csv", "id\n1\n"),
    ]);
    folder.stdout(&["run"]);
    folder
}

const COUNTS: &str = "select (select count(*) from bronze.s) as s, (select count(*) from silver.rows) as r, \
                      (select max(n) from gold.total) as n";

fn counts(folder: &Folder, options: &[&str]) -> String {
    let mut call = vec!["query", COUNTS, "--format", "csv"];
    call.extend(options);
    folder.stdout(&call).lines().nth(1).unwrap().to_owned()
}

fn last_run(folder: &Folder) -> String {
    let status: Value = serde_json::from_str(&folder.stdout(&["status", "--json"])).unwrap();
    status["last_run"]["run"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_that_fails_leaves_the_set_before() {
    let folder = project();
    let first = last_run(&folder);
    folder.write("data/2.csv", "id\n200\n");
    assert_eq!(folder.output(&["run"]).status.code(), Some(1));
    let failed = last_run(&folder);
    assert_eq!(counts(&folder, &[]), "1,1,1");
    // The version that the failed run built stands in the lake, and is shown.
    assert!(folder.stdout(&["status"]).contains("v1 (read: v0)"));
    assert!(folder.stdout(&["query", "select * from silver.rows VERSION AS OF 1"]).contains("200"));
    let shown = folder.stdout(&["status", "--run", &failed]);
    assert!(shown.contains("halted") && shown.contains("published no set"), "{shown}");
    let refused = folder.output(&["query", COUNTS, "--run", &failed]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");

    folder.write("data/2.csv", "id\n20\n");
    folder.stdout(&["run"]);
    assert_eq!(counts(&folder, &[]), "2,2,20");
    assert_eq!(counts(&folder, &["--run", &first]), "1,1,1");
    assert_eq!(counts(&folder, &["--run", &last_run(&folder)]), "2,2,20");
    let shown: Value = serde_json::from_str(&folder.stdout(&["status", "--run", &first, "--json"])).unwrap();
    assert_eq!(
        (&shown["set"]["gold.total"], &shown["outcome"]),
        (&Value::from(0), &Value::from("succeeded"))
    );
    assert_eq!(shown["steps"].as_array().unwrap().len(), 3, "{shown}");
}

#[test]
fn a_table_that_was_deleted_belongs_to_no_set_until_a_run_has_ended_well() {
    let folder = project();
    let first = last_run(&folder);
    folder.write("data/2.csv", "id\n2\n");
    folder.stdout(&["run"]);
    std::fs::remove_dir_all(folder.path().join(".millstream/lake/silver/rows")).unwrap();
    folder.write("data/3.csv", "id\n200\n");
    assert_eq!(folder.output(&["run"]).status.code(), Some(1));
    // The table that was made anew has the rows of a run that failed, and its versions have the numbers of those before.
    for options in [&[][..], &["--run", &first]] {
        let call = [&["query", COUNTS][..], options].concat();
        let refused = folder.output(&call);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) || refused.status.code() == Some(1), "{refused:?}");
        assert!(told.contains("MS-0416") && told.contains("`millstream run silver.rows`"), "{told}");
    }
    assert_eq!(
        folder.stdout(&["query", "select count(*) from bronze.s", "--format", "csv"]).trim(),
        "count(*)\n2"
    );
    let status = folder.stdout(&["status"]);
    assert!(status.contains("unreadable") && !status.contains("v-1"), "{status}");
    let shown = folder.stdout(&["status", "--run", &first]);
    assert!(shown.contains("gone") && !shown.contains("v-1"), "{shown}");

    folder.write("data/3.csv", "id\n20\n");
    folder.stdout(&["run"]);
    assert_eq!(counts(&folder, &[]), "3,3,20");
    assert!(!folder.stdout(&["status"]).contains("unreadable"));
}

#[test]
fn a_reader_beside_runs_sees_all_old_or_all_new() {
    let folder = project();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                seen.push(counts(&folder, &[]));
            }
            seen
        });
        for id in 2..8 {
            folder.write(&format!("data/{id}.csv"), &format!("id\n{id}\n"));
            folder.stdout(&["run"]);
        }
        is_over.store(true, Ordering::Relaxed);
        for seen in reader.join().unwrap() {
            let parts: Vec<&str> = seen.split(',').collect();
            assert!(parts.iter().all(|part| *part == parts[0]), "{seen}");
        }
    });
    assert_eq!(counts(&folder, &[]), "7,7,7");
}

#[test]
fn a_server_with_the_store_brings_up_to_date_what_runs_leave_to_it() {
    let folder = desk("");
    folder.stdout(&["run"]);
    let server = Server::start(&folder);
    let orders =
        || server.values(&["latest.orders"], &serde_json::json!({"customer_id": 9_007_199_254_740_992_i64}));
    let before = orders();
    // The server makes itself known to runs within two seconds.
    std::thread::sleep(Duration::from_secs(5));
    folder.write(
        "data/orders/9.csv",
        "order_id,customer_id,amount,status,category,at\n90,9007199254740992,1.00,paid,late,2026-01-03T00:00:00Z\n",
    );
    let said = folder.output(&["run"]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("brings it up to date"), "{said:?}");
    let until = Instant::now() + Duration::from_secs(300);
    while orders() == before {
        assert!(Instant::now() < until, "the views stay behind");
        std::thread::sleep(Duration::from_millis(200));
    }
    server.stop();
    assert!(folder.stdout(&["plan"]).contains("Nothing to do"));
}
