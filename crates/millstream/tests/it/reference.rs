//! The generated reference is complete.

use std::{collections::BTreeSet, fs, path::Path};

use crate::harness::Folder;

/// Every `MS-1234` in a text.
fn codes(text: &str, found: &mut BTreeSet<String>) {
    for (at, _) in text.match_indices("MS-") {
        let digits: String = text[at + 3..].chars().take_while(char::is_ascii_digit).collect();
        if digits.len() == 4 {
            found.insert(format!("MS-{digits}"));
        }
    }
}

fn codes_of_sources(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_of_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            codes(&fs::read_to_string(path).unwrap(), found);
        }
    }
}

#[test]
fn every_error_code_is_explained() {
    let folder = Folder::empty();
    folder.stdout(&["reference", "reference"]);
    let mut explained = BTreeSet::new();
    codes(&fs::read_to_string(folder.path().join("reference/errors.md")).unwrap(), &mut explained);
    let mut used = BTreeSet::new();
    for room in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap() {
        let source = room.unwrap().path().join("src");
        if source.is_dir() {
            codes_of_sources(&source, &mut used);
        }
    }
    assert_eq!(used.difference(&explained).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_check_is_explained() {
    let folder = Folder::empty();
    folder.stdout(&["reference", "reference"]);
    let text = fs::read_to_string(folder.path().join("reference/checks.md")).unwrap();
    let kinds: Vec<&str> = text.split("\n## ").skip(1).collect();
    assert!(kinds.len() >= 14, "{} kinds", kinds.len());
    for kind in kinds {
        assert!(kind.contains(" check: ") && kind.contains("```yaml"), "not explained: {kind}");
    }
}
