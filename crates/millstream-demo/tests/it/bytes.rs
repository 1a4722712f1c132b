//! The generated data: the same for the same seed, other for another.

use std::{collections::BTreeMap, fs, path::Path};

use millstream_demo::{DemoOptions, Generated, generate};
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
