//! Backfills of the real binary: killed again and again they end as one that was left alone, and what would be too much is refused.

use std::{
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::harness::{Folder, assert_same_tables};

const SOURCE: &str = "connector: {type: files, path: data/*.csv}\n\
                      contract: {columns: {id: {type: int64}, at: {type: timestamp}, size: {type: int64}}}\n";

/// A project of orders of sixty days, parted by days, whose sources have landed.
fn landed() -> Folder {
    let mut rows = "id,at,size\n".to_owned();
    for id in 0..600 {
        let (month, day) = (1 + id % 2, 1 + id % 28);
        rows.push_str(&format!("{id},2024-{month:02}-{day:02}T08:00:00Z,{}\n", id % 97));
    }
    let table = "/*---\npartition: {by: day, column: at}\nparameters: {rate: {type: int64, default: 1}}\n\
                 checks: [{unique: id}, {range: {column: size, max: 190}}]\n---*/\n\
                 SELECT id, at, size * $rate AS size FROM bronze.orders\n";
    let folder = Folder::with(&[
        ("millstream.yaml", "name: shop\n"),
        ("sources/orders.yaml", SOURCE),
        ("data/orders.csv", &rows),
        ("tables/silver/orders.sql", table),
    ]);
    folder.stdout(&["run", "source:orders"]);
    folder
}

const CALL: [&str; 10] = [
    "backfill",
    "silver.orders",
    "--from",
    "2024-01-05",
    "--to",
    "2024-02-20",
    "--parallel",
    "2",
    "--set",
    "rate=2",
];

#[test]
fn a_backfill_that_is_killed_anywhere_goes_on() {
    let (folder, twin) = (landed(), landed());
    let call: Vec<&str> = CALL.iter().copied().chain(["--yes"]).collect();
    let started = Instant::now();
    twin.stdout(&call);
    let undisturbed = started.elapsed();
    let mut dice = SmallRng::seed_from_u64(7);
    let mut kills = 0;
    for _ in 0..40 {
        let mut command = folder.command(&call);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(undisturbed.mul_f64(dice.random::<f64>() * 0.5));
        child.kill().unwrap();
        if child.wait().unwrap().code().is_some() {
            break;
        }
        kills += 1;
        sleep(Duration::from_millis(1));
    }
    assert!(kills > 1, "the backfill ended before it was killed");
    folder.stdout(&call);
    let again = folder.stdout(&call);
    assert!(again.contains("built already"), "{again}");
    assert_same_tables(&folder, &twin, &twin.tables(), &format!("after {kills} kills"));
    // A run builds what the backfill left out, and leaves what it built.
    for folder in [&folder, &twin] {
        folder.stdout(&["run"]);
    }
    assert_same_tables(&folder, &twin, &twin.tables(), "after a run");
    assert!(folder.stdout(&["run"]).contains("up to date"));
}

#[test]
fn more_partitions_than_can_be_built_are_refused_before_anything_is() {
    let folder = Folder::with(&[
        ("millstream.yaml", "name: shop\n"),
        ("sources/orders.yaml", SOURCE),
        ("data/orders.csv", "id,at,size\n1,2024-01-01T08:00:00Z,1\n"),
        (
            "tables/silver/orders.sql",
            "/*---\npartition: {by: hour, column: at}\n---*/\nSELECT id, at FROM bronze.orders\n",
        ),
    ]);
    let output = folder.output(&["backfill", "silver.orders", "--from", "1900", "--to", "2020", "--yes"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2)
            && told.contains("1051896 partitions, one backfill builds 20000 at most"),
        "{told}"
    );
    assert!(told.contains("--from"), "{told}");
    for (call, expected) in [
        (["backfill", "bronze.orders", "--from", "2024"], "`bronze.orders` is landed from a source"),
        (["backfill", "silver.orders", "--from", "soon"], "`soon` is no time"),
        (["backfill", "silver.orders", "--resume", "nothing"], "cannot be used with"),
        (["backfill", "silver.orders", "--by", "decade"], "write `hour`"),
        (["backfill", "silver.orders", "--set", "rate=1"], "nothing says which partitions are meant"),
    ] {
        let output = folder.output(&call);
        let told = String::from_utf8(output.stderr).unwrap();
        // 2 stands for a wrong call, 1 for bad data.
        assert!(output.status.code() == Some(2) && told.contains(expected), "{call:?}: {told}");
    }
}
