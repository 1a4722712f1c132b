//! No input panics, and every place lies inside its file.

use millstream_project::{LoadOptions, load_project};
use proptest::prelude::*;

use crate::scratch::{folder, variables};

/// Pieces that YAML and the project's rules care about.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "\n", "\n  ", "\n    ", "\n- ", "\n  - ", ": ", ":", "- ", "[", "]", "{", "}", ", ", "'", "\"", "#", "|\n",
            ">\n", "&a ", "*a", "<<: *a", "---\n", "...\n", "\t", "\r\n", "!!str ", "!x ", "? ", "\u{feff}", "é", "\u{1F600}",
            "${", "}", "${X:-", "$${", "%YAML 1.2\n", "\u{0}", "\\", "*/", "/*---", "---*/", "~", "1", "-1", "1.5", ".inf",
        ]).prop_map(str::to_owned),
        8 => prop::sample::select(vec![
            "name", "environments", "default", "lake", "state", "concurrency", "connector", "type", "files", "contract",
            "columns", "checks", "not_null", "unique", "range", "quantile", "row_count", "freshness", "relationship", "to",
            "min", "max", "time", "key", "partition", "materialize", "history", "tests", "table", "given", "expect",
            "silver.orders", "int64", "decimal(12,2)", "struct<a: int64>", "schedule", "every 5m", "* * * * *", "5%",
            "severity", "halt", "pattern", "[a-z", "string", "one_of", "a", "b",
            "entity", "views", "from", "features", "sum", "window", "ratio", "numerator", "services", "a.*", "a.b", "labels",
            "split", "by", "train", "100%", "as_known", "2026-01-31T00:00:00Z", "output",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..60).prop_map(|pieces| pieces.concat())
}

fn check(files: &[(&str, &str)]) {
    let project = folder(files);
    for environment in [None, Some("a")] {
        let loaded = load_project(project.path(), &LoadOptions { environment, variables: &variables });
        for diagnostic in &loaded.diagnostics {
            let Some(at) = diagnostic.at else { continue };
            let text = &loaded.files.get(at.file).unwrap().text;
            assert!(text.get(at.start..at.end).is_some(), "{diagnostic:?} in {text:?}");
            assert!(millstream_project::CODES.iter().any(|code| code.code == diagnostic.code));
        }
    }
}

/// A correct file with a few pieces put over it, so that the later stages are reached too.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, piece()), 0..4).prop_map(
        move |damages| {
            let mut chars: Vec<char> = text.chars().collect();
            for (place, removed, piece) in damages {
                let start = place.index(chars.len() + 1);
                let end = (start + removed).min(chars.len());
                chars.splice(start..end, piece.chars());
            }
            chars.into_iter().collect()
        },
    )
}

const PROJECT: &str = "\
name: shop
environments:
  default: {lake: .millstream/lake, state: 'sqlite:.millstream/state.db', engine: local, concurrency: 4}
  a: {lake: 's3://bucket/${X:-prefix}', storage: {aws_region: eu, key: '${PASSWORD}'}, log: kafka://b:1}
defaults: {on_violation: warn, halt_above: 5%, freshness: 1h, owner: me, tags: [a, b]}
alerts:
  - {webhook: http://example.org, on: step_failed}
";
const SOURCE: &str = "\
connector: {type: files, path: data/*.csv}
schedule: '*/5 * * * MON-FRI'
contract:
  columns:
    id: {type: int64, required: true, unique: true, relationship: {to: silver.a.id}}
    price: &price {type: 'decimal(12,2)', range: [0, 100.5], severity: halt}
    other: {<<: *price, one_of: [1, 2.5]}
    name: {type: string, pattern: '[a-z]+', length: {min: 1, max: 20}, pii: true}
    at: {type: timestamp, range: [2020-01-01, null]}
  time: at
  evolution: widen
  freshness: 2h
  checks:
    - not_null: [at, name]
    - {unique: [id, at], name: pair, severity: warn}
    - expression: |
        price >= 0
        and id > 1
    - row_count: {min: 1, max: 10, change: 50%}
    - quantile: {column: price, quantile: 0.9, max: 100}
    - freshness: 1h
";
const TABLE: &str = "\
/*---
materialize: incremental
key: [id, at]
checks:
  - completeness: {column: id, min: 99%}
  - mean: {column: price, min: 1.5}
---*/
SELECT 1
";
const TESTS: &str = "\
tests:
  - {name: one, table: silver.a, given: {bronze.a: [{id: 1, at: ~}]}, expect: [{id: 1}], ordered: true}
  - table: silver.a
    expect:
      - {id: 2}
";

const FEATURES: &str = "\
entity: {name: customer, key: [a, b]}
views:
  orders:
    from: silver.a
    sql: SELECT * FROM silver.a
    time: at
    ttl: 90d
    features:
      one: {count: '*', window: 7d, where: 'a > 1', default: 0}
      two: {ratio: {numerator: {sum: a, where: b}, denominator: {count: '*'}}}
      three: {histogram: {column: a, edges: [0, 1.5]}}
      four: {decayed_sum: {column: a, half_life: 1h}}
on_demand: {five: orders.one / 2, six: {sql: '1', tags: [a]}}
services: {s: [orders.*, five]}
";
const DATASET: &str = "\
labels: {from: silver.a, entity: customer, keys: {a: x}, time: at, columns: [y]}
features: s
as_known: true
embargo: 1d
split: {by: time, train: 80%, test: 20%}
output: {path: a.parquet, format: parquet}
";

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_file_is_answered_with_diagnostics(a in text(), b in text(), c in text(), d in text()) {
        let header = format!("/*---\n{c}\n---*/ SELECT 1");
        check(&[
            ("millstream.yaml", &a),
            ("sources/a.yaml", &b),
            ("sources/b.yaml", &format!("connector: {{type: files}}\ncontract:\n  columns:\n    a: {b}\n  checks:\n    - {c}\n")),
            ("tables/silver/a.sql", &c),
            ("tables/silver/b.sql", &header),
            ("tests/a.yaml", &d),
            ("features/a.yaml", &d),
            ("datasets/a.yaml", &b),
        ]);
    }

    #[test]
    fn damage_to_a_correct_project_is_answered_with_diagnostics(
        a in damaged(PROJECT), b in damaged(SOURCE), c in damaged(TABLE), d in damaged(TESTS),
    ) {
        check(&[("millstream.yaml", &a), ("sources/a.yaml", &b), ("tables/silver/a.sql", &c), ("tests/a.yaml", &d)]);
    }

    #[test]
    fn damage_to_correct_features_is_answered_with_diagnostics(a in damaged(FEATURES), b in damaged(DATASET)) {
        let table = ("tables/silver/a.sql", TABLE);
        check(&[("millstream.yaml", PROJECT), table, ("features/a.yaml", &a), ("datasets/a.yaml", &b)]);
    }

    #[test]
    fn a_plain_scalar_s_place_is_its_text(before in "[a-zé😀]{0,8}", value in "[a-zé😀][a-zé😀 ]{0,8}[a-z]") {
        let text = format!("\u{feff}name: {before}x\r\ndescriptio: {value}\r\n");
        let project = folder(&[("millstream.yaml", &text)]);
        let loaded = load_project(project.path(), &LoadOptions { environment: None, variables: &variables });
        let at = loaded.diagnostics[0].at.unwrap();
        prop_assert_eq!(&loaded.files.get(at.file).unwrap().text[at.start..at.end], "descriptio");
    }
}

#[test]
fn the_project_to_damage_is_correct() {
    let files = [
        ("millstream.yaml", PROJECT),
        ("sources/a.yaml", SOURCE),
        ("tables/silver/a.sql", TABLE),
        ("tests/a.yaml", TESTS),
        ("features/a.yaml", FEATURES),
        ("datasets/a.yaml", DATASET),
    ];
    let loaded = crate::scratch::load(&files);
    assert!(!loaded.has_errors(), "{}", crate::scratch::render(&loaded));
}

#[test]
fn deep_and_wide_files_are_refused_in_time() {
    let deep = "[".repeat(100_000);
    let nested: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let bomb = format!(
        "a: &a [{}]\nb: &b [{}]\nc: &c [{}]\nd: [{}]\n",
        "x,".repeat(100),
        "*a,".repeat(100),
        "*b,".repeat(100),
        "*c,".repeat(100)
    );
    let merges = format!(
        "a: &a {{{}}}\nb: {{<<: [{}]}}\n",
        (0..2000).map(|i| format!("k{i}: 1, ")).collect::<String>(),
        "*a,".repeat(2000)
    );
    let keys: String = (0..60_000).map(|i| format!("k{i}: 1\n")).collect();
    let large = "# ".repeat(1 << 20);
    let faults: String = "tests:\n".chars().chain("  - 5\n".repeat(5000).chars()).collect();
    let lists: String = (0..30_000).map(|i| format!("orders.f{i}, ")).collect();
    let features: String = (0..15_000).map(|i| format!("      f{i}: {{sum: a}}\n")).collect();
    let many = format!(
        "entity: {{name: a, key: a}}\nviews:\n  orders:\n    from: a.b\n    time: a\n    features:\n{features}"
    );
    check(&[
        ("millstream.yaml", PROJECT),
        ("features/a.yaml", &many),
        ("features/b.yaml", &format!("services: {{a: [{lists}]}}")),
    ]);
    for text in [deep, nested, bomb, merges, keys, large, faults] {
        let started = std::time::Instant::now();
        check(&[("millstream.yaml", &text), ("tests/a.yaml", &text)]);
        // Hundreds of times what it takes, so that only work without a bound fails.
        assert!(started.elapsed().as_secs() < 120, "{} took {:?}", &text[..40], started.elapsed());
    }
}
