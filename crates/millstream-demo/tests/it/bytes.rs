//! The generated data: the same for the same seed, other for another.

use std::{collections::BTreeMap, fs, path::Path};

use millstream_demo::{Arrival, Arrivals, DemoOptions, Generated, generate};
use tempfile::TempDir;

fn generated(rows: u64, seed: u64) -> (Generated, BTreeMap<String, Vec<u8>>) {
    let folder = TempDir::new().unwrap();
    let generated = generate(folder.path(), DemoOptions { rows, seed }).unwrap();
    let mut files = BTreeMap::new();
    collect(folder.path(), folder.path(), &mut files);
    (generated, files)
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            files.insert(name, fs::read(path).unwrap());
        }
    }
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let (first, second) = (generated(5_000, 7), generated(5_000, 7));
    assert_eq!(first.0, second.0);
    assert!(first.1 == second.1, "the files differ");
    assert!(first.1 != generated(5_000, 8).1, "another seed gives the same files");
}

#[test]
fn every_row_that_was_asked_for_is_written() {
    let (generated, files) = generated(10_000, 1);
    assert_eq!(generated.customers + generated.orders + generated.events, 10_000);
    let lines = |prefix: &str| -> u64 {
        let files = files.iter().filter(|(name, _)| name.starts_with(prefix));
        files.map(|(_, bytes)| bytes.iter().filter(|byte| **byte == b'\n').count() as u64).sum()
    };
    assert_eq!(lines("data/events/"), generated.events);
    assert_eq!(lines("data/orders/"), generated.orders + 6, "six files with a header each");
    assert_eq!(files.values().map(|bytes| bytes.len() as u64).sum::<u64>(), generated.bytes);
}

fn arrived(count: usize, seed: u64) -> (Vec<Arrival>, BTreeMap<String, Vec<u8>>) {
    let folder = TempDir::new().unwrap();
    let options = DemoOptions { rows: 1_000, seed };
    generate(folder.path(), options).unwrap();
    let mut arrivals = Arrivals::after(folder.path(), options);
    let arrived = (0..count).map(|_| arrivals.arrive().unwrap().unwrap()).collect();
    let mut files = BTreeMap::new();
    collect(folder.path(), folder.path(), &mut files);
    (arrived, files)
}

#[test]
fn what_arrives_goes_on_where_the_data_ends_and_follows_the_seed() {
    let (first, files) = arrived(100, 7);
    assert_eq!((first.clone(), files.clone()), arrived(100, 7));
    assert!(first != arrived(100, 8).0, "another seed gives the same arrivals");
    assert!(files.keys().all(|name| !name.contains("unfinished")), "{:?}", files.keys());
    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    let ids = |text: String| -> Vec<u64> {
        text.lines().skip(1).filter_map(|line| line.split(',').next()?.parse().ok()).collect()
    };
    let (before, live) = (ids(text("data/orders/2026-06.csv")), ids(text("data/orders/live-00001.csv")));
    assert_eq!(live[0], before.last().unwrap() + 1, "ids go on");
    let live = text("data/orders/live-00001.csv");
    assert!(live.contains(",2026-07-01 00:"), "{live}");
    // A day of the shop has 96 arrivals.
    assert!(text("data/orders/live-00097.csv").contains(",2026-07-02 00:"));
    let lines = |name: &str| text(name).lines().count() as u64;
    assert_eq!(lines("data/orders/live-00005.csv"), first[4].orders + 1);
    assert_eq!(lines("data/events/live-00005.jsonl"), first[4].events);
    assert!(first[0].pause.as_secs() < 10 && first[90].pause.as_secs() >= 40, "it gets quieter");
}

#[test]
fn arrivals_end_with_the_year() {
    let folder = TempDir::new().unwrap();
    for name in ["orders", "events"] {
        fs::create_dir_all(folder.path().join("data").join(name)).unwrap();
    }
    let mut arrivals = Arrivals::after(folder.path(), DemoOptions { rows: 500, seed: 1 });
    let mut count = 0;
    while arrivals.arrive().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 184 * 96);
    let last = fs::read_to_string(folder.path().join("data/orders/live-17664.csv")).unwrap();
    assert!(last.contains(",2026-12-31 23:"), "{last}");
}
