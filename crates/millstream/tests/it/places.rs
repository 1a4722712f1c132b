//! Places that cannot be written: a read-only lake, a full disk. What was there stays, and the next run goes on.
#![cfg(unix)]

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Output},
};

use crate::{
    harness::{Folder, SMALL, assert_plain},
    landing::numbers,
};

/// The number of a user who owns nothing in the test's folder.
const NOBODY: u32 = 65_534;

fn started() -> Folder {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    folder
}

fn assert_rows(folder: &Folder, rows: i64, why: &str) {
    assert_eq!(numbers(folder, "SELECT count(*) AS n FROM bronze.orders"), [[Some(rows)]], "{why}");
    assert_eq!(numbers(folder, "SELECT sum(orders) AS n FROM gold.totals"), [[Some(rows)]], "{why}");
}

fn assert_failed(output: &Output, words: &[&str]) {
    assert_plain(output);
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in\n{said}");
    }
}

fn every_path(below: &Path, act: &mut dyn FnMut(&Path)) {
    act(below);
    if below.is_dir() {
        fs::read_dir(below).unwrap().for_each(|entry| every_path(&entry.unwrap().path(), act));
    }
}

#[test]
fn a_lake_that_cannot_be_written_keeps_its_tables() {
    let folder = started();
    folder.write("data/b.csv", "id,amount,day\n4,5.00,2026-01-02\n");
    let lake = folder.path().join(".millstream/lake");
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let directories = |mode: u32| {
        every_path(&lake, &mut |path| {
            if path.is_dir() {
                set_mode(path, mode);
            }
        });
    };
    directories(0o555);
    let mut call = folder.command(&["run"]);
    if fs::metadata(folder.path()).unwrap().uid() == 0 {
        // No mode keeps root out, so another user runs a copy: the build may lie in a closed folder.
        let binary = folder.path().join("millstream");
        let built = env!("CARGO_BIN_EXE_millstream");
        fs::hard_link(built, &binary).or_else(|_| fs::copy(built, &binary).map(|_| ())).unwrap();
        set_mode(folder.path(), 0o755);
        every_path(&folder.path().join(".millstream"), &mut |path| {
            if !path.starts_with(&lake) {
                chown(path, Some(NOBODY), None).unwrap();
            }
        });
        call = Command::new(binary);
        call.arg("run").current_dir(folder.path()).uid(NOBODY);
    }
    assert_failed(&call.output().unwrap(), &["bronze.orders", "MS-04", "Permission denied"]);
    assert_rows(&folder, 2, "after a run on a read-only lake");
    directories(0o755);
    folder.stdout(&["run"]);
    assert_rows(&folder, 3, "after the lake can be written");
}

#[test]
fn a_lake_below_a_file_is_named() {
    let folder = Folder::with(SMALL);
    folder.write("taken", "");
    for (name, lake) in [("lake", "lake: taken/lake"), ("state", "state: \"sqlite:taken/state.db\"")] {
        folder.write("millstream.yaml", &format!("name: small\nenvironments:\n  default:\n    {lake}\n"));
        let said = folder.run(&["run"]);
        assert!(said.starts_with("exit: 1") && said.contains("[FOLDER]/taken"), "{name}: {said}");
    }
}

/// A limit on the size of files stands for a full disk: a write fails as it does there. A small limit meets the state
/// store, a larger one the data.
#[test]
fn a_full_disk_stops_the_run_and_loses_nothing() {
    let folder = started();
    // Amounts that do not compress, so that the data is larger than the state store.
    let cents = |id: u32| id.wrapping_mul(2_654_435_761) >> 15;
    let rows: String = (10..200_000)
        .map(|id| format!("{id},{}.{:02},2026-01-02\n", cents(id) % 1000, cents(id) / 1000 % 100))
        .collect();
    folder.write("data/b.csv", &format!("id,amount,day\n{rows}"));
    let limited = |blocks: u32, arguments: &str, words: &[&str]| {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {arguments}");
        let output = Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_millstream")])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_failed(&output, words);
    };
    for (blocks, words) in [(1, ["state store", "space left"]), (400, ["bronze.orders", "free some space"])] {
        limited(blocks, "run", &words);
        assert_rows(&folder, 2, "after a run on a full disk");
        assert_eq!(files_of(&folder, "bronze/orders"), 1, "what a failed landing wrote is gone");
    }
    folder.stdout(&["run"]);
    assert_rows(&folder, 199_992, "after space was made");

    let count = "SELECT count(*) AS n FROM silver.wide";
    folder.write(
        "tables/silver/wide.sql",
        "SELECT id, sha256(cast(id AS string)) AS hash FROM bronze.orders\n",
    );
    limited(2_000, "run", &["silver.wide", "free some space"]);
    assert_eq!(files_of(&folder, "silver/wide"), 0, "what a failed build wrote is gone");
    folder.stdout(&["run"]);
    assert_eq!(numbers(&folder, count), [[Some(199_992)]]);

    let view = "views: {v: {from: bronze.orders, time: day, features: {amount: {column: amount}}}}";
    folder.write(
        "features/order.yaml",
        &format!("entity: {{name: order, key: id}}\n{view}\nservices: {{s: [v.*]}}\n"),
    );
    limited(2_000, "features materialize", &["online store", "free some space"]);
    assert!(folder.stdout(&["features", "materialize"]).contains("199,992 records"));
}

/// The data files of a table, those of no version included.
fn files_of(folder: &Folder, table: &str) -> usize {
    let Ok(files) = fs::read_dir(folder.path().join(".millstream/lake").join(table)) else { return 0 };
    files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "parquet")).count()
}
