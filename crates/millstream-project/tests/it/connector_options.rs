//! The options of a connector keep their places, so that the connector's own faults can be shown.

use crate::scratch::{PROJECT, load};

#[test]
fn a_path_into_the_options_leads_to_its_place() {
    let text = "connector:\n  type: files\n  path: a.csv\n  csv:\n    columns: [a, bé, c]\ncontract: {columns: {a: {type: int64}}}\n";
    let loaded = load(&[PROJECT, ("sources/s.yaml", text)]);
    let source = loaded.spec.unwrap().sources.remove(0);
    let check = |path: &[&str], expected: &str| {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let at = source.connector.options.at_path(&path);
        let written = &loaded.files.get(at.file).unwrap().text[at.start..at.end];
        assert_eq!(written, expected, "{path:?}");
    };
    check(&["path"], "a.csv");
    check(&["csv", "columns", "1"], "bé");
    check(&["csv", "columns", "2"], "c");
    check(&["csv", "columns"], "[a, bé, c]");
    // Where the path leaves the tree, the deepest value answers.
    check(&["csv", "columns", "7"], "[a, bé, c]");
    check(&["csv", "delimiter"], "columns: [a, bé, c]");
}
