//! Lost state, lost tables, two runs at once, a run that is stopped.

use std::{fs, process::Stdio, thread::sleep, time::Duration};

use crate::{
    harness::{Folder, SMALL},
    landing::numbers,
};

const COUNTS: &str =
    "SELECT count(*) AS a, count(DISTINCT id) AS b, count(DISTINCT _sequence) AS c FROM bronze.orders";

fn lose_state(folder: &Folder) {
    for entry in fs::read_dir(folder.path().join(".millstream")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("state.db") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn lose(folder: &Folder, path: &str) {
    fs::remove_dir_all(folder.path().join(".millstream/lake").join(path)).unwrap();
}

#[test]
fn what_is_lost_comes_back_from_what_is_left() {
    type Loss = fn(&Folder);
    let losses: &[(&str, Loss)] = &[
        ("the state store", lose_state),
        ("the lake", |folder| lose(folder, "")),
        ("a landed table", |folder| lose(folder, "bronze/orders")),
        ("rejected rows and the table", |folder| {
            lose(folder, "bronze/orders__rejected");
            lose(folder, "bronze/orders");
        }),
        ("a built table", |folder| lose(folder, "gold/totals")),
        ("state store and lake", |folder| {
            lose_state(folder);
            lose(folder, "");
        }),
    ];
    for (name, loss) in losses {
        let folder = Folder::with(SMALL);
        folder.stdout(&["run"]);
        loss(&folder);
        // The file that comes with the loss lands too. It is the only one that lands where the other rows are still
        // there.
        folder.write("data/b.csv", "id,amount,day\n4,5.00,2026-01-02\n1,7.00,2026-01-03\n");
        folder.stdout(&["run"]);
        assert_eq!(numbers(&folder, COUNTS), [[Some(3); 3]], "{name}");
        let rejected = "SELECT count(*) AS n FROM bronze.orders__rejected";
        assert_eq!(numbers(&folder, rejected), [[Some(2)]], "{name}");
        assert_eq!(numbers(&folder, "SELECT sum(orders) AS n FROM gold.totals"), [[Some(3)]], "{name}");
        assert!(folder.stdout(&["run"]).contains("up to date"), "{name}");
    }
}

/// The versions of the lost table count from 0 again, so its new version may be the one that the reader saw.
#[test]
fn a_table_that_was_landed_anew_is_read_anew() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    lose(&folder, "bronze/orders");
    folder.write("data/a.csv", "id,amount,day\n7,1.00,2026-01-01\n");
    folder.stdout(&["run"]);
    assert_eq!(numbers(&folder, "SELECT sum(orders) AS n FROM gold.totals"), [[Some(1)]]);
}

#[test]
fn reprocessing_that_is_killed_takes_each_row_in_once() {
    let rows: String = (10..5_000).map(|id| format!("{id},{},2026-01-02\n", -1 - id % 20)).collect();
    for round in 0..6_u64 {
        let folder = Folder::with(SMALL);
        folder.write("data/b.csv", &format!("id,amount,day\n{rows}"));
        folder.stdout(&["run"]);
        // Without `unique`, nothing but the engine's own record keeps a row from entering twice.
        let source = SMALL[1].1.replace("[0, 1000]", "[-10, 1000]").replace(", unique: true", "");
        folder.write("sources/orders.yaml", &source);
        let mut call = folder.command(&["reprocess", "bronze.orders"]);
        let mut call = call.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(15 + 12 * round));
        call.kill().unwrap();
        call.wait().unwrap();
        folder.stdout(&["maintain"]);
        folder.stdout(&["reprocess", "bronze.orders"]);
        let entered = 3 + (10..5_000).filter(|id| id % 20 < 10).count();
        assert_eq!(numbers(&folder, COUNTS), [[Some(i64::try_from(entered).unwrap()); 3]], "round {round}");
        let rejected = numbers(&folder, "SELECT count(*) AS n FROM bronze.orders__rejected");
        assert_eq!(rejected[0][0], Some(i64::try_from(4_993 - entered).unwrap()), "round {round}");
    }
}

/// A project whose run takes long enough for another process to come in between.
fn busy() -> Folder {
    let folder = Folder::with(SMALL);
    let rows: String = (10..1_000_000).map(|id| format!("{id},1.00,2026-01-02\n")).collect();
    folder.write("data/b.csv", &format!("id,amount,day\n{rows}"));
    folder
}

#[test]
fn a_second_run_is_refused_or_waits() {
    let folder = busy();
    let mut first = folder.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !folder.path().join(".millstream/lake").exists() {
        sleep(Duration::from_millis(5));
    }
    let refused = folder.run(&["run"]);
    let waited = folder.run(&["run", "--wait"]);
    assert!(first.wait().unwrap().success());
    assert!(refused.contains("MS-0608") && refused.contains("(`run`)"), "{refused}");
    assert!(refused.starts_with("exit: 1") && refused.contains("`--wait`"), "{refused}");
    assert!(waited.starts_with("exit: 0"), "{waited}");
    assert_eq!(numbers(&folder, COUNTS), [[Some(999_992); 3]]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_cleanly_and_the_next_run_goes_on() {
    let folder = busy();
    let run = folder.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.path().join(".millstream/lake").exists() {
        sleep(Duration::from_millis(5));
    }
    let signalled =
        std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let ended = run.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(folder.json(&["status", "--json"])["last_run"]["outcome"], "cancelled");
    folder.stdout(&["run"]);
    assert_eq!(numbers(&folder, COUNTS), [[Some(999_992); 3]]);
}

/// The reader of the rows may never read on.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_query_whose_rows_nobody_reads() {
    let folder = Folder::with(SMALL);
    let sql = "SELECT a.value, b.value FROM range(0, 10000) AS a CROSS JOIN range(0, 10000) AS b";
    for format in ["csv", "json", "arrow", "parquet", "table"] {
        let mut query = folder
            .command(&["query", sql, "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // By then the pipe is full.
        sleep(Duration::from_secs(2));
        let signalled =
            std::process::Command::new("kill").args(["-INT", &query.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        let deadline = std::time::Instant::now() + Duration::from_secs(300);
        let ended = loop {
            match query.try_wait().unwrap() {
                Some(ended) => break Some(ended),
                None if std::time::Instant::now() > deadline => break None,
                None => sleep(Duration::from_millis(20)),
            }
        };
        if ended.is_none() {
            query.kill().unwrap();
        }
        assert_eq!(ended.and_then(|ended| ended.code()), Some(1), "{format}");
    }
}
