//! What a project's records tell of its past holds together: each version was made by one step, and steps that may not run at once follow
//! one another.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{harness::Folder, serve_process::Server};

/// More runs than a test makes.
const ALL: &str = "10000";

/// The assets of a pool with one place.
const NARROW: [&str; 2] = ["bronze.prices", "silver.spent"];

/// Looks through every run on record, of servers that were killed and whose steps do not fail.
pub(crate) fn assert_told_once(folder: &Folder, server: &Server) {
    let outcomes = assert_made_once(folder, server);
    assert!(outcomes.contains_key("interrupted"), "no run is told to be interrupted: {outcomes:?}");
    assert!(!outcomes.contains_key("failed"), "{outcomes:?}");
}

/// Each version was made by one step, and steps that may not run at once did not. Gives how many runs ended how.
pub(crate) fn assert_made_once(folder: &Folder, server: &Server) -> BTreeMap<String, u64> {
    let runs = folder.json(&["runs", "--limit", ALL, "--json"]);
    let runs = runs["runs"].as_array().unwrap();
    let mut outcomes = BTreeMap::<String, u64>::new();
    let mut built = BTreeSet::new();
    let mut times = BTreeMap::<String, Vec<(String, String)>>::new();
    for run in runs {
        let outcome = run["outcome"].as_str().unwrap_or("under way").to_owned();
        *outcomes.entry(outcome).or_default() += 1;
        let id = run["run"].as_str().unwrap();
        let detail = server.get(&format!("/v1/runs/{id}")).good();
        for step in detail["steps"].as_array().unwrap() {
            let asset = step["asset"].as_str().unwrap().to_owned();
            assert_well_told(step);
            if step["outcome"] == "built" && !step["version"].is_null() && !asset.starts_with("view:") {
                let version = step["version"].as_i64().unwrap();
                assert!(
                    built.insert((asset.clone(), version)),
                    "version {version} of {asset} was made twice: {step}"
                );
            }
            if let Some(started) = step["figures"]["started"].as_str() {
                let finished = step["finished"].as_str().unwrap().to_owned();
                times.entry(asset).or_default().push((started.to_owned(), finished));
            }
        }
    }
    println!("runs: {outcomes:?}; {} versions built", built.len());
    let narrow = NARROW.iter().filter_map(|asset| times.get(*asset)).flatten().cloned().collect();
    times.insert("the pool `narrow`".to_owned(), narrow);
    assert_apart(times);
    outcomes
}

fn assert_well_told(step: &Value) {
    assert!(step["outcome"] != "failed" && step["outcome"] != "halted", "{step}");
    let receipt = &step["figures"]["receipt"];
    assert!(receipt.is_null() || receipt["holds"] == true, "{step}");
    if receipt["proof"] == "each_row" {
        let count = |name: &str| receipt[name].as_u64().unwrap();
        let told = count("rows_out") + count("rows_rejected") + count("rows_filtered");
        assert_eq!(count("rows_in"), told, "{step}");
    }
}

/// Steps of one asset, or of one pool with one place, never overlap. Instants are text of one shape, so that they compare as they are.
fn assert_apart(times: BTreeMap<String, Vec<(String, String)>>) {
    for (asset, mut times) in times {
        times.sort();
        for pair in times.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "steps of {asset} overlap: {pair:?}");
        }
    }
}
