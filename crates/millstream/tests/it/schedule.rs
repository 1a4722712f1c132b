//! `schedule`: when assets run by themselves, told without a store.

use crate::harness::{Folder, SMALL, assert_said};

/// The small project with a source that is looked at, tables by several triggers, and a pool.
fn scheduled() -> Folder {
    let folder = Folder::with(SMALL);
    folder.write("millstream.yaml", "name: small\npools: {heavy: 1}\n");
    folder.write(
        "sources/orders.yaml",
        "connector: {type: files, path: data/*.csv}\nschedule: {every: 6h, new_files: 8h}\ncontract:\n  columns:\n    id: {type: int64}\n    amount: {type: \"decimal(12,2)\"}\n    day: {type: date}\n",
    );
    folder.write(
        "tables/gold/daily.sql",
        "/*---\nschedule: {cron: ['30 2 * * *', '0 0-23/8 * * *'], zone: Europe/Berlin, priority: 5, pools: heavy}\n---*/\nSELECT day FROM gold.totals\n",
    );
    folder.write(
        "tables/gold/fresh.sql",
        "/*---\nschedule: {freshness: 12h, webhook: ask}\n---*/\nSELECT day FROM gold.totals\n",
    );
    folder.write(
        "tables/gold/last.sql",
        "/*---\nschedule: {after: gold.daily}\n---*/\nSELECT day FROM gold.totals\n",
    );
    folder
}

/// The clock of Berlin skips from 2 to 3 on the 29th of March 2026.
const FROM: [&str; 2] = ["--from", "2026-03-28T12:00:00Z"];

#[test]
fn the_coming_ticks_have_their_reasons() {
    let folder = scheduled();
    assert_said!(folder.run(&["schedule", "--count", "5", FROM[0], FROM[1]]));
    assert!(!folder.path().join(".millstream").exists(), "a store was opened");
}

#[test]
fn a_selection_tells_of_its_assets_alone() {
    let folder = scheduled();
    assert_said!(folder.run(&["schedule", "gold.last", "gold.fresh", "--count", "1", FROM[0], FROM[1]]));
    assert_said!(folder.run(&["schedule", "gold.las"]));
    assert_said!(Folder::with(SMALL).run(&["schedule"]));
}

#[test]
fn ticks_are_told_to_programs() {
    let folder = scheduled();
    let said = folder.json(&["schedule", "gold.daily", "--count", "3", FROM[0], FROM[1], "--json"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&said).unwrap());
    // Ten ticks after now, when nothing else is asked for.
    let said = folder.json(&["schedule", "gold.daily", "--json"]);
    assert_eq!(said["assets"][0]["ticks"].as_array().unwrap().len(), 10);
}
