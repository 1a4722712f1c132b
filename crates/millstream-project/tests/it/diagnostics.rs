//! What a user is told about each mistake, where, and the way out.

use insta::assert_snapshot;

use crate::scratch::{PROJECT, contract, folder, load, load_in, render, source, table, variables, write};

#[test]
fn yaml_syntax_errors_name_the_place_and_the_way_out() {
    let cases = [
        "name: a\n\tb: c\n",
        "name: a: b\n",
        "name\nenvironments: {}\n",
        "name: [a, b\n",
        "name: {a: b\n",
        "name: \"abc\n",
        "name: \"a\\qb\"\n",
        "name: 'a' b\n",
        "name: *missing\n",
        "name: a\n  owner: b\n",
        "name: a\n- b\n",
        "a: 1\n b: 2\n",
        "name: @a\n",
        "name: `a`\n",
        "key: !!int 5\n",
        "name: a\n---\nname: b\n",
        "name: a\nname: b\n",
        "? [a, b]\n: c\nname: x\n",
        "{a: b}: c\nname: x\n",
        "name: &a [*a]\n",
        "name: a\n<<: 5\n",
        "name: a\r\nénvironments: ]\r\n",
        "name: {path: ${DATA_DIR}/*.csv, b: c}\n",
        "name: [a, x${A:-b}]\n",
        "name: \"abc\nowner: b\n",
        "name: a\0b\n",
        "name: a\n<<<<<<< HEAD\ntags: [a]\n=======\ntags: [b]\n>>>>>>> b\n",
    ];
    let text: String = cases
        .iter()
        .map(|case| format!("{case:?}\n{}", render(&load(&[("millstream.yaml", case)]))))
        .collect();
    assert_snapshot!(text.replace('\0', "␀"));
}

#[test]
fn an_empty_folder_says_how_to_start() {
    let text = render(&load(&[]));
    assert!(text.starts_with("error MS-0130: no `millstream.yaml` in "), "{text}");
    assert!(text.contains("millstream init"), "{text}");
}

#[test]
fn empty_files_are_errors() {
    let files = [
        ("millstream.yaml", ""),
        ("sources/a.yaml", "# nothing\n"),
        ("tables/b/c.sql", "  \n"),
        ("tables/b/d.sql", "/*---\n---*/\n"),
        ("tests/e.yaml", "~\n"),
    ];
    assert_snapshot!(render(&load(&files)));
}

#[test]
fn text_that_is_not_utf8_points_at_the_first_wrong_byte() {
    let project = folder(&[PROJECT]);
    write(project.path(), "sources/orders.yaml", b"owner: caf\xe9\n");
    let options = millstream_project::LoadOptions { environment: None, variables: &variables };
    assert_snapshot!(render(&millstream_project::load_project(project.path(), &options)));
}

#[test]
fn a_source_reports_every_fault_at_once() {
    let text = "\
descripton: typo
owner: 5
tags: [a, {b: c}]
connector: {path: a.csv}
schedule: every 5 minutes
contract:
  columns:
    order_id: {type: int46, required: yes}
    amount: {type: \"decimal(12,2)\", range: [10, 0], uniqe: true}
    email: {type: string, pattern: \"[a-z\", pii: maybe}
    status: [a]
    _sequence: {type: int64}
    Email: {type: string}
  time: amount
  evolution: add_column
  freshness: 1 hour
  on_violation: quarantene
  halt_above: 5
  colums: {}
";
    assert_snapshot!(source(text));
}

#[test]
fn names_that_tables_cannot_hold_are_refused_before_anything_is_landed() {
    let text = "  columns:
    \"first name\": {type: string}
    \"a=b\": {type: int64}
    \"tab\\there\": {type: int64}
    ort: {type: \"struct<straße nr: string, plz: int64>\"}
    twins: {type: \"list<struct<a: int64, A: string>>\"}
    ünïcode_1: {type: string}
    $p%: {type: string}
";
    assert_snapshot!(contract(text), @r#"
    sources/orders.yaml:4:5 `"first name"` error MS-0163: `first name` is a name that tables cannot hold (names are not empty and hold no blanks and none of `,;{}()=`; list the column under another name, and give it that name with the connector's `rename`)
    sources/orders.yaml:5:5 `"a=b"` error MS-0163: `a=b` is a name that tables cannot hold (names are not empty and hold no blanks and none of `,;{}()=`; list the column under another name, and give it that name with the connector's `rename`)
    sources/orders.yaml:6:5 `"tab\there"` error MS-0163: `tab\there` is a name that tables cannot hold (names are not empty and hold no blanks and none of `,;{}()=`; list the column under another name, and give it that name with the connector's `rename`)
    sources/orders.yaml:7:17 `"struct<straße nr: string, plz` error MS-0163: the member `straße nr` has a name that tables cannot hold (with `type: string` the column lands as JSON, whatever its members are named)
    sources/orders.yaml:8:19 `"list<struct<a: int64, A: stri` error MS-0163: the members `A` and `a` differ only in upper and lower case (with `type: string` the column lands as JSON, whatever its members are named)
    "#);
}

#[test]
fn missing_keys_are_named_once() {
    assert_snapshot!(source("owner: a\n"));
    assert_snapshot!(contract("  time: a\n"));
    assert_snapshot!(contract("  columns: {a: {required: true}}\n"));
    // `contract` is faulty, so it is not missed as well.
    assert_snapshot!(source("connector: {type: files}\ncontract: 5\n"));
}

#[test]
fn checks_are_judged_by_the_columns_they_look_at() {
    let text = "  columns:
    id: {type: int64, length: [1, 2], pattern: email, one_of: [1, two, 3.5]}
    small: {type: int8, range: [0, 1000]}
    name: {type: string, range: [1, 2], one_of: [1, a]}
    flag: {type: bool, range: {min: 0}}
    day: {type: date, range: [2024-01-01, 2024-02-30]}
    at: {type: timestamp, range: [2024-05-01, \"2024-01-01T00:00:00Z\"]}
    price: {type: \"decimal(6,2)\", range: [0.001, 100000]}
    parts: {type: \"list<string>\", unique: true, length: {min: 1}}
  checks:
    - not_null: [id, nmae]
    - unique: [id, nmae]
    - range: {column: nam, min: 1}
    - mean: {column: name, min: 1}
    - quantile: {column: flag, quantile: 0.5, min: 1}
    - quantile: {column: price, quantile: 50, min: 1}
    - freshness: {column: id, max_age: 1h}
    - relationship: {column: parts, to: bronze.orders.id}
    - relationship: {column: id, to: bronze.orders.it}
    - relationship: {column: id, to: silver.customers.id}
    - relationship: {column: id, to: customers}
";
    assert_snapshot!(contract(text));
}

#[test]
fn malformed_checks_say_what_a_check_looks_like() {
    let text = "  columns: {id: {type: int64}}
  checks:
    - not_null
    - {}
    - {severity: warn}
    - {not_nul: id}
    - {not_null: id, unique: id}
    - not_null: []
    - not_null: {columns: []}
    - range: {column: id}
    - range: {column: id, min: 5, max: 1}
    - length: {column: id, min: -1}
    - one_of: {column: id, values: []}
    - expression: ''
    - expression: {sqll: a}
    - row_count: {}
    - row_count: {min: 10, max: 5}
    - row_count: {change: 500%}
    - row_count: {min: 5}
      severity: quarantine
    - completeness: {column: id}
    - freshness: soon
    - unique: id
    - unique: [id]
    - {unique: id, name: \"a(b)\"}
    - {unique: id, severity: fatal}
";
    assert_snapshot!(contract(text));
}

#[test]
fn variables_are_missed_at_their_place() {
    let text = "connector: {type: files, path: \"${HOME_FOLDER}/${FIVE}.csv\", \"${KEY}\": \"${1}\", open: \"${FIVE\"}
owner: ${PASSWORD}
description: $${kept} ${UNSET:-given}
contract: {columns: {a: {type: '${TYPE}'}}}
";
    assert_snapshot!(source(text));
}

#[test]
fn memory_is_an_amount_in_which_work_is_possible() {
    for (written, said) in [
        ("half", "`half` is not an amount of memory: write a whole number and one of MiB, GiB, as in `8GiB`"),
        ("1MiB", "`1MiB` is too little memory to work in"),
    ] {
        let text = format!("name: a\nenvironments:\n  default: {{memory: {written}}}\n");
        let shown = render(&load_in(&[("millstream.yaml", &text)], None));
        assert!(shown.contains(said), "{shown}");
    }
}

#[test]
fn environments_are_checked_by_form_and_the_chosen_one_by_ability() {
    let text = "\
name: shop
environments:
  default:
    lake: s4://bucket
    state: sqlite
    log: kafka:broker
    engine: spark://x
    concurrency: 0
  production:
    lake: s3://acme/shop
    state: postgres://${PG_USER}@host/db
    log: kafka://broker:9092
    engine: ballista://scheduler:50050
    storage: {aws_allow_http: true, aws_region: eu-1, aws_secret: '${SECRET}'}
    concurrency: ${N}
  broken: 5
";
    let environment = |name| render(&load_in(&[("millstream.yaml", text)], name));
    assert_snapshot!(environment(None));
    assert_snapshot!(environment(Some("production")));
    assert_snapshot!(environment(Some("prodution")));
    assert_snapshot!(environment(Some("broken")));
    let plain = "name: a\nenvironments:\n  production: {state: postgres://h/d, log: kafka://b:1, engine: ballista://s:1}\n";
    assert_snapshot!(render(&load_in(&[("millstream.yaml", plain)], Some("production"))));
    assert_snapshot!(render(&load_in(&[("millstream.yaml", plain)], None)));
}

#[test]
fn header_keys_must_go_together() {
    let cases = [
        "materialize: stream",
        "materialize: view\nkey: a\nchecks:\n  - not_null: a\non_violation: warn",
        "key: a",
        "materialize: table\ntime: a\npartition: day",
        "materialize: incremental\nkey: a\ntime: b\npartition: day",
        "materialize: incremental\ntime: b",
        "materialize: incremental\npartition: week\ntime: b",
        "materialize: incremental\npartition: day",
        "materialize: incremental\nkey: [a, a]",
        "materialize: incremental\nkey: a\ntime: b",
        "materialize: history",
        "materialize: history\nkey: a\npartition: day",
        "materialise: table",
        "materialize: snapshot",
        "- a",
        "key: [a",
    ];
    let text: String = cases
        .iter()
        .map(|case| format!("{case:?}\n{}", table(&format!("/*---\n{case}\n---*/\nSELECT 1"))))
        .collect();
    assert_snapshot!(text);
}

#[test]
fn headers_are_comments_of_one_form() {
    let cases = [
        "/*---\nowner: a\nSELECT 1",
        "/* ---\nowner: a\n--- */\nSELECT 1",
        "/*---\nowner: a\n*/\nSELECT 1",
        "/*---\nowner: a/*/b\n---*/\nSELECT 1",
        "/*---\nschedule: '*/15 * * * *'\n---*/\nSELECT 1",
        "/*---\nowner: a\n---*/\n  \n",
        "-- a comment\n/*---\nowner: a\n---*/\nSELECT 1",
        "/*----------\n   Orders\n----------*/\nSELECT 1",
        "SELECT 1 /*--- not at the start of a line ---*/",
        "---\nmaterialize: table\n---\nSELECT 1",
        "---\n--- Orders: all\n---\nSELECT 1",
    ];
    let text: String = cases.iter().map(|case| format!("{case:?}\n{}", table(case))).collect();
    assert_snapshot!(text);
}

/// A wrong time is told beside faulty columns too, so that one look tells all.
#[test]
fn a_time_that_is_no_column_is_told_beside_faulty_columns() {
    let of = |time: &str| {
        format!(
            "connector: {{type: files}}\ncontract: {{time: {time}, columns: {{id: int64, at: timestamp}}}}\n"
        )
    };
    let (unknown, faulty) = (of("when"), of("at"));
    let files = [PROJECT, ("sources/a.yaml", unknown.as_str()), ("sources/b.yaml", faulty.as_str())];
    assert_snapshot!(render(&load(&files)));
}

/// Other tools write columns as a list, as `a.yaml` does here.
#[test]
fn columns_are_written_with_their_names_as_keys() {
    let of = |columns: &str| format!("connector: {{type: files}}\ncontract: {{columns: {columns}}}\n");
    let (list, short) = (of("[{name: id, data_type: int64}, {name: b}]"), of("{id: int64, b: anything}"));
    let files = [PROJECT, ("sources/a.yaml", list.as_str()), ("sources/b.yaml", short.as_str())];
    assert_snapshot!(render(&load(&files)));
}

#[test]
fn files_that_are_not_read_are_named() {
    let files = [
        PROJECT,
        ("sources/a.yml", "x"),
        ("sources/README.md", "notes"),
        ("sources/deep/b.yaml", "x"),
        ("sources/.gitkeep", ""),
        ("sources/c.csv", "1,2"),
        ("tables/d.sql", "SELECT 1"),
        ("tables/silver/e.txt", "notes"),
        ("tables/silver/f.SQL", "SELECT 1"),
        ("features/customer.yml", "x"),
        ("datasets/deep/churn.yaml", "x"),
        ("models/churn.yaml", "x"),
        ("source/a.yaml", "x"),
        ("table/silver/a.sql", "SELECT 1"),
        ("test/main.py", "x"),
    ];
    assert_snapshot!(render(&load(&files)));
}

#[test]
fn names_come_from_files_and_must_be_free() {
    let source = "connector: {type: files}\ncontract: {columns: {a: {type: int64}}}\n";
    let files = [
        PROJECT,
        ("sources/Orders.yaml", source),
        ("sources/orders.yaml", source),
        ("sources/orders__rejected.yaml", source),
        ("tables/bronze/orders.sql", "SELECT 1"),
        ("tables/Silver/x.sql", "SELECT 1"),
        ("tables/silver/a-b.sql", "SELECT 1"),
        ("tables/information_schema/a.sql", "SELECT 1"),
        ("tables/silver/select.sql", "SELECT 1"),
    ];
    assert_snapshot!(render(&load(&files)));
}

#[test]
fn tests_name_tables_and_give_rows() {
    let source = "connector: {type: files}\ncontract: {columns: {a: {type: int64}}}\n";
    let tests = "\
tests:
  - {name: one, table: silver.orders, given: {bronze.orders: [{a: 1}]}, expect: [{a: 1}]}
  - {name: one, table: silver.order, given: {bronze.ordrs: [{a: 1}]}, expect: []}
  - {table: bronze.orders, expect: [1, {a: 1}]}
  - {table: orders, given: [], expect: [], orderd: true}
  - 5
";
    let files = [
        PROJECT,
        ("sources/orders.yaml", source),
        ("tables/silver/orders.sql", "SELECT 1"),
        ("tests/t.yaml", tests),
    ];
    assert_snapshot!(render(&load(&files)));
}

#[test]
fn alerts_are_typed_and_said_to_be_unused() {
    let text = "name: a\nalerts:\n  - {webhook: https://example.org/hook, on: [step_failed, stepped]}\n";
    assert_snapshot!(render(&load(&[("millstream.yaml", text)])));
}

#[test]
fn the_faults_of_one_file_do_not_hide_those_of_another() {
    let files = [
        ("millstream.yaml", "name: [a\n"),
        ("sources/a.yaml", "connector: {type: files}\ncontract: {columns: {x: {type: nope}}}\n"),
        ("tables/silver/b.sql", "/*---\nkey: x\n---*/ SELECT 1"),
    ];
    assert_snapshot!(render(&load(&files)));
}

#[test]
fn values_from_the_environment_are_never_repeated() {
    let text = "name: a\nenvironments:\n  default: {concurrency: '${PASSWORD}', lake: '${PASSWORD}://x'}\n";
    assert_snapshot!(render(&load(&[("millstream.yaml", text)])));
}

#[test]
fn relationships_lead_to_columns_that_exist() {
    let source = |to: &str| {
        format!(
            "connector: {{type: files}}\ncontract: {{columns: {{a: {{type: int64, relationship: {{to: {to}}}}}}}}}\n"
        )
    };
    let files = [
        PROJECT,
        ("sources/good.yaml", &source("bronze.wrong.a")),
        ("sources/wrong.yaml", &source("bronze.good.b")),
        ("sources/missing.yaml", &source("silver.orders.a")),
        (
            "tables/silver/order.sql",
            "/*---\nchecks:\n  - relationship: {column: a, to: bronze.god.a}\n---*/ SELECT 1",
        ),
    ];
    assert_snapshot!(render(&load(&files)));
}
