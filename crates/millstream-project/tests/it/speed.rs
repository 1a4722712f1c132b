//! A large project loads, in a time that is told. How long it may take is asked by `cargo xtask bench`; here only a hang fails.

use std::time::{Duration, Instant};

use millstream_project::{LoadOptions, load_project};

use crate::scratch::{folder, variables, write};

/// Far above any figure.
const HANG: Duration = Duration::from_secs(60);

#[test]
fn five_hundred_tables_load() {
    let project = folder(&[("millstream.yaml", "name: large\n")]);
    for index in 0..50 {
        let text = format!(
            "owner: a\nconnector: {{type: files, path: data/{index}/*.csv}}\nschedule: every 15m\ncontract:\n  columns:\n    id: {{type: int64, required: true, unique: true}}\n    amount: {{type: \"decimal(12,2)\", range: [0, 100000]}}\n    code: {{type: string, pattern: '[A-Z]{{2}}\\d+'}}\n    at: {{type: timestamp, required: true}}\n  time: at\n  freshness: 1h\n  halt_above: 5%\n"
        );
        write(project.path(), &format!("sources/s{index}.yaml"), text.as_bytes());
    }
    for index in 0..500 {
        let text = format!(
            "/*---\ndescription: Table {index}\nmaterialize: incremental\nkey: id\nchecks:\n  - not_null: [id, amount]\n  - relationship: {{column: id, to: bronze.s{}.id}}\n---*/\nSELECT id, amount, code, at FROM bronze.s{}\n",
            index % 50,
            index % 50
        );
        write(project.path(), &format!("tables/silver/t{index}.sql"), text.as_bytes());
    }
    let options = LoadOptions { environment: None, variables: &variables };
    let best = (0..5)
        .map(|_| {
            let started = Instant::now();
            let loaded = load_project(project.path(), &options);
            let elapsed = started.elapsed();
            assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics.first());
            assert_eq!(loaded.spec.unwrap().tables.len(), 500);
            elapsed
        })
        .min()
        .unwrap();
    println!("550 files in {best:?}");
    assert!(best < HANG, "{best:?}");
}
