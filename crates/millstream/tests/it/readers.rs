//! What other programs see: DuckDB and Python's `deltalake` read every version of every table of a shop that has
//! lived a little.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{Folder, given};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/readers.py");

#[test]
fn other_readers_see_what_a_query_sees() {
    let suite = "DuckDB and deltalake read the shop";
    let Some(python) = given("MILLSTREAM_TEST_PYTHON", suite, "no Python with duckdb and deltalake") else {
        return;
    };
    let folder = Folder::empty();
    folder.stdout(&["demo", "--once", "--rows", "4000", "--path", "."]);
    fs::create_dir(folder.path().join("expected")).unwrap();
    let mut cases = Vec::new();
    let mut moments = Vec::new();
    for change in [a_further_column, a_replaced_and_a_grown_file, a_further_column_of_a_table, new_customers]
    {
        moments.push(moment(&folder));
        change(&folder);
        folder.stdout(&["run"]);
    }
    for number in 0..8 {
        a_further_file(&folder, number);
        folder.stdout(&["run"]);
    }
    cases.extend(latest(&folder, cases.len()));
    let before = newest_versions(&folder);
    folder.stdout(&["maintain"]);
    assert_ne!(newest_versions(&folder), before, "maintenance has compacted nothing");
    let checkpoints = folder.tables().into_iter().filter(|table| log(&folder, table).0.is_some()).count();
    assert!(checkpoints > 0, "maintenance has written no checkpoint");
    a_further_file(&folder, 8);
    folder.stdout(&["run"]);
    cases.extend(latest(&folder, cases.len()));
    for table in folder.tables() {
        for version in log(&folder, &table).1 {
            let place = format!("{table} VERSION AS OF {version}");
            cases.push(case(&folder, cases.len(), &table, &place, json!({"version": version})));
        }
        if !table.contains("__rejected") {
            for moment in &moments {
                let place = format!("{table} TIMESTAMP AS OF '{moment}'");
                cases.push(case(&folder, cases.len(), &table, &place, json!({"time": moment})));
            }
        }
    }
    assert_eq!(folder.tables().len(), 14, "{:?}", folder.tables());
    compare(&python, &cases);
}

/// Runs the script over all cases at once: its packages take a second to load.
pub(crate) fn compare(python: &str, cases: &[Value]) {
    let mut script = Command::new(python)
        .arg(SCRIPT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = script.stdin.take().unwrap();
    for case in cases {
        writeln!(input, "{case}").unwrap();
    }
    drop(input);
    let output = script.wait_with_output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{failed}");
    assert!(said.contains(&format!("{} readings of ", cases.len())), "{said}");
}

/// A case for the readers, with the rows that `millstream query` gives for it.
fn case(folder: &Folder, number: usize, table: &str, place: &str, of: Value) -> Value {
    let rows = folder.path().join(format!("expected/{number}.arrow"));
    folder.stdout(&[
        "query",
        &format!("SELECT * FROM {place}"),
        "--format",
        "arrow",
        "--output",
        rows.to_str().unwrap(),
    ]);
    let mut case = json!({"table": table, "path": lake(folder, table), "rows": rows});
    case.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
    case
}

/// The newest version of every table, named by its number: by the time of the reading it may be an older one.
/// Looking up every bound takes most of the time, so these are the only readings that do it.
fn latest(folder: &Folder, first: usize) -> Vec<Value> {
    let tables = newest_versions(folder);
    tables
        .iter()
        .enumerate()
        .map(|(number, (table, version))| {
            case(folder, first + number, table, table, json!({"version": version, "bounds": true}))
        })
        .collect()
}

fn lake(folder: &Folder, table: &str) -> std::path::PathBuf {
    folder.path().join(".millstream/lake").join(table.replace('.', "/"))
}

/// The versions in a table's log, and the checkpoint if there is one.
fn log(folder: &Folder, table: &str) -> (Option<Value>, Vec<u64>) {
    let log = lake(folder, table).join("_delta_log");
    let checkpoint = fs::read_to_string(log.join("_last_checkpoint")).ok();
    let mut versions = Vec::new();
    for entry in fs::read_dir(log).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        versions.extend(name.strip_suffix(".json").and_then(|version| version.parse::<u64>().ok()));
    }
    versions.sort_unstable();
    (checkpoint.map(|text| serde_json::from_str(&text).unwrap()), versions)
}

fn newest_versions(folder: &Folder) -> Vec<(String, u64)> {
    let version = |table: String| {
        let newest = *log(folder, &table).1.last().unwrap();
        (table, newest)
    };
    folder.tables().into_iter().map(version).collect()
}

/// An instant after everything so far and before everything that follows.
fn moment(folder: &Folder) -> String {
    sleep(Duration::from_millis(20));
    let now = folder.json(&["query", "SELECT CAST(now() AS varchar) AS now", "--json"]);
    sleep(Duration::from_millis(20));
    now[0]["now"].as_str().unwrap().to_owned()
}

fn a_further_column(folder: &Folder) {
    let header = "order_id,customer_id,category,quantity,amount,status,ordered_at,channel\n";
    let line = |id: u32| {
        let quantity = if id.is_multiple_of(50) { 0 } else { 1 };
        format!("{id},{},books,{quantity},9.99,paid,2026-07-{:02} 08:00:00,app\n", 1 + id % 90, 1 + id % 28)
    };
    folder.write(
        "data/orders/2026-07.csv",
        &(900_000..900_200).fold(header.to_owned(), |text, id| text + &line(id)),
    );
}

fn a_replaced_and_a_grown_file(folder: &Folder) {
    let orders = fs::read_to_string(folder.path().join("data/orders/2026-02.csv")).unwrap();
    folder.write("data/orders/2026-02.csv", &orders.replace(",paid,", ",refunded,"));
    let event = |id: u32| {
        let day = if id.is_multiple_of(40) { 31 } else { 30 };
        format!(
            "{{\"event_id\":\"00000000-0000-4000-8000-{id:012}\",\"session_id\":{id},\"customer_id\":null,\
             \"event_type\":\"purchase\",\"page\":\"/\",\"device\":\"tablet\",\"occurred_at\":\"2026-06-{day}T10:00:00Z\"}}\n"
        )
    };
    let mut events = fs::read_to_string(folder.path().join("data/events/2026-06.jsonl")).unwrap();
    events.extend((0..100).map(event));
    folder.write("data/events/2026-06.jsonl", &events);
}

fn a_further_column_of_a_table(folder: &Folder) {
    for (path, at, further) in [
        ("sources/orders.yaml", "  time: ordered_at\n", "    channel: {type: string}\n  time: ordered_at\n"),
        ("tables/silver/orders.sql", "    ordered_at\nFROM", "    ordered_at,\n    channel\nFROM"),
    ] {
        let text = fs::read_to_string(folder.path().join(path)).unwrap();
        assert!(text.contains(at), "{text}");
        folder.write(path, &text.replace(at, further));
    }
}

fn new_customers(folder: &Folder) {
    let moved = "SELECT customer_id, name, email, 'PT' AS country, segment, birth_year, newsletter, \
                 updated_at + INTERVAL '200 days' AS updated_at FROM bronze.customers WHERE customer_id % 5 = 1";
    let path = folder.path().join("data/customers/2026-08.parquet");
    folder.stdout(&["query", moved, "--output", path.to_str().unwrap()]);
}

fn a_further_file(folder: &Folder, number: u32) {
    let header = "order_id,customer_id,category,quantity,amount,status,ordered_at,channel\n";
    folder.write(
        &format!("data/orders/2026-08-{number}.csv"),
        &format!("{header}99000{number},1,toys,1,5.00,paid,2026-08-01 08:00:00,web\n"),
    );
}
