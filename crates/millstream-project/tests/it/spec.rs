//! What a correct project means.

use millstream_project::{CheckKind, Grain, IncrementalSpec, Materialize, NodeKind, Pattern, StateLocation};
use millstream_schedule::{Schedule, Trigger};
use millstream_types::{ByteSize, Severity};

use crate::scratch::{PROJECT, load, load_in, render};

const ORDERS: &str = "\
description: Orders from the shop's database
owner: checkout@shop.example
connector: {type: files, path: data/orders/*.csv}
schedule: every 15m
contract:
  columns:
    order_id:   {type: int64, required: true, unique: true}
    amount:     {type: \"decimal(12,2)\", range: [0, 100000]}
    email:      {type: string, pattern: email, pii: true, severity: warn}
    ordered_at: {type: timestamp, required: true}
  time: ordered_at
  evolution: add_columns
  freshness: 1h
  on_violation: quarantine
  halt_above: 5%
  checks:
    - expression: \"amount >= 0\"
      severity: halt
      name: never negative
    - unique: [order_id, email]
    - row_count: {min: 1, change: 50%}
    - completeness: {column: email, min: 99%}
    - quantile: {column: amount, quantile: 0.95, max: 100}
";

#[test]
fn the_design_document_s_source_loads() {
    let loaded = load(&[PROJECT, ("sources/orders.yaml", ORDERS)]);
    assert_eq!(render(&loaded), "");
    let spec = loaded.spec.unwrap();
    let source = &spec.sources[0];
    assert_eq!(source.table().to_string(), "bronze.orders");
    assert_eq!(
        source.schedule.as_ref().unwrap().schedule,
        Schedule::of(Trigger::Every("15m".parse().unwrap()))
    );
    let options = source.connector.options.to_json();
    assert_eq!(options, serde_json::json!({"path": "data/orders/*.csv"}));
    let contract = &source.contract;
    assert!(contract.columns["email"].pii);
    let checks: Vec<String> =
        contract.checks.iter().map(|check| format!("{} {}", check.id, check.severity.as_str())).collect();
    insta::assert_snapshot!(checks.join("\n"));
    assert!((contract.halt_above.unwrap().fraction() - 0.05).abs() < 1e-9);
}

#[test]
fn a_table_is_its_header_and_its_sql() {
    let sql = "/*---\nmaterialize: incremental   -- no\nkey: order_id\nchecks:\n  - not_null: [order_id]\n---*/\nSELECT 1\n";
    let loaded = load(&[PROJECT, ("tables/silver/orders.sql", &sql.replace("   -- no", ""))]);
    assert_eq!(render(&loaded), "");
    let spec = loaded.spec.unwrap();
    let table = &spec.tables[0];
    let Materialize::Incremental(IncrementalSpec::Merge { key }) = &table.materialize else {
        panic!("{:?}", table.materialize)
    };
    // Places lead into the SQL file.
    let text = &loaded.files.get(key[0].at.file).unwrap().text;
    assert_eq!(&text[key[0].at.start..key[0].at.end], "order_id");
    assert_eq!(table.sql.value, "\nSELECT 1\n");
    assert_eq!(&text[table.sql.at.start..table.sql.at.end], table.sql.value);
    assert_eq!(table.on_violation, Severity::Quarantine);
}

#[test]
fn every_way_of_keeping_a_table_is_read() {
    let keep = |header: &str| {
        let loaded = load(&[PROJECT, ("tables/gold/x.sql", &format!("/*---\n{header}\n---*/ SELECT 1"))]);
        assert_eq!(render(&loaded), "", "{header}");
        loaded.spec.unwrap().tables.remove(0).materialize
    };
    assert!(matches!(keep(""), Materialize::Table));
    assert!(matches!(keep("materialize: view"), Materialize::View));
    assert!(matches!(keep("materialize: incremental"), Materialize::Incremental(IncrementalSpec::Append)));
    let partition = keep("materialize: incremental\ntime: at\npartition: month");
    assert!(matches!(
        partition,
        Materialize::Incremental(IncrementalSpec::Partition { grain: Grain::Month, .. })
    ));
    let history = keep("materialize: history\nkey: [a, b]\ntime: at");
    assert!(matches!(history, Materialize::History { key, time: Some(_) } if key.len() == 2));
}

#[test]
fn environments_are_chosen_by_name_with_an_implied_default() {
    let files = [(
        "millstream.yaml",
        "name: a\nenvironments:\n  other:\n    lake: s3://bucket/prefix\n    state: sqlite:/var/lib/state.db\n    concurrency: ${FIVE}\n    memory: 2GiB\n    storage: {aws_allow_http: true, key: '${PASSWORD}'}\n",
    )];
    let spec = load_in(&files, Some("other")).spec.unwrap();
    assert_eq!(spec.environment.lake, "s3://bucket/prefix");
    assert_eq!(spec.environment.state, StateLocation::Sqlite("/var/lib/state.db".into()));
    assert_eq!(spec.environment.concurrency, Some(5));
    assert_eq!(spec.environment.memory, Some(ByteSize::from_bytes(2 << 30)));
    assert_eq!(spec.environment.storage["aws_allow_http"], "true");
    assert_eq!(spec.environment.storage["key"], "p: [x");
    let spec = load_in(&files, None).spec.unwrap();
    assert_eq!(spec.environment.name, "default");
    assert_eq!(spec.environment.lake, spec.root.join(".millstream/lake").to_string_lossy());
    assert_eq!(spec.environment.state, StateLocation::Sqlite(spec.root.join(".millstream/state.db")));
}

#[test]
fn defaults_fill_what_sources_and_tables_leave_open() {
    let project =
        "name: a\ndefaults: {on_violation: halt, halt_above: 1%, freshness: 2d, owner: team, tags: [core]}\n";
    let source =
        "tags: own\nconnector: {type: files}\ncontract: {columns: {a: {type: int64, required: true}}}\n";
    let loaded = load(&[
        ("millstream.yaml", project),
        ("sources/s.yaml", source),
        ("tables/gold/t.sql", "/*---\nowner: me\n---*/ SELECT 1"),
    ]);
    assert_eq!(render(&loaded), "");
    let spec = loaded.spec.unwrap();
    assert_eq!(spec.sources[0].tags, ["core", "own"]);
    assert_eq!(spec.sources[0].owner.as_deref(), Some("team"));
    assert_eq!(spec.sources[0].contract.on_violation, Severity::Halt);
    assert_eq!(spec.sources[0].contract.checks.len(), 2);
    assert!(spec.sources[0].contract.checks.iter().all(|check| check.severity == Severity::Halt));
    assert_eq!(spec.tables[0].owner.as_deref(), Some("me"));
    assert_eq!(spec.tables[0].halt_above.unwrap().to_string(), "1%");
}

#[test]
fn anchors_merge_keys_and_variables_give_plain_values() {
    let text = "\
connector: &base {type: files, path: '${UNSET:-a}/$${b}'}
contract:
  columns:
    a: &text {type: string, length: {max: '5'}}
    b: *text
    c: {<<: *text, type: 'list<string>', required: true}
";
    let loaded = load(&[PROJECT, ("sources/s.yaml", text)]);
    assert_eq!(render(&loaded), "");
    let spec = loaded.spec.unwrap();
    assert_eq!(spec.sources[0].connector.options.to_json(), serde_json::json!({"path": "a/${b}"}));
    assert_eq!(spec.sources[0].contract.checks.len(), 4);
    assert_eq!(spec.sources[0].contract.columns["c"].column_type.to_string(), "list<string>");
}

#[test]
fn scalars_follow_the_core_schema() {
    let text = "connector: {type: files, a: 1, b: '1', c: 1.50, d: yes, e: true, f: ~, g: 0x1F, h: 1_000, i: -.5e3, j: .inf, k: 99999999999999999999, l: 2024-01-01, m: 'null', n: +7, o: 1e3, p: inf}\ncontract: {columns: {a: {type: string}}}\n";
    let loaded = load(&[PROJECT, ("sources/s.yaml", text)]);
    assert_eq!(render(&loaded), "");
    let options = loaded.spec.unwrap().sources.remove(0).connector.options;
    insta::assert_snapshot!(options.to_json().to_string());
    let Some(NodeKind::Float(_, text)) = options.get("c").map(|node| node.kind.clone()) else { panic!() };
    assert_eq!(text, "1.50");
}

#[test]
fn patterns_are_named_or_regular_expressions() {
    let text = "connector: {type: files}\ncontract:\n  columns:\n    a: {type: string, pattern: uuid}\n    b: {type: string, pattern: '[A-Z]{2}\\d+'}\n";
    let loaded = load(&[PROJECT, ("sources/s.yaml", text)]);
    assert_eq!(render(&loaded), "");
    let checks = loaded.spec.unwrap().sources.remove(0).contract.checks;
    assert!(matches!(&checks[0].kind, CheckKind::Pattern { pattern: Pattern::Named(_), .. }));
    assert!(
        matches!(&checks[1].kind, CheckKind::Pattern { pattern: Pattern::Regex(regex), .. } if regex == "[A-Z]{2}\\d+")
    );
}

#[test]
fn tests_have_names_tables_and_rows() {
    let source = "connector: {type: files}\ncontract: {columns: {a: {type: int64}}}\n";
    let single = "table: silver.o\ngiven:\n  bronze.orders:\n    - {a: 1}\n    - {a: ~}\nexpect:\n  - {a: 1}\nordered: true\n";
    let several = "tests:\n  - {table: silver.o, expect: []}\n  - {name: b, table: silver.o, expect: []}\n";
    let loaded = load(&[
        PROJECT,
        ("sources/orders.yaml", source),
        ("tables/silver/o.sql", "SELECT 1"),
        ("tests/many.yaml", several),
        ("tests/one.yaml", single),
    ]);
    assert_eq!(render(&loaded), "");
    let tests = loaded.spec.unwrap().tests;
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["many 1", "b", "one"]);
    assert!(tests[2].ordered);
    assert_eq!(tests[2].given[0].rows.len(), 2);
}
