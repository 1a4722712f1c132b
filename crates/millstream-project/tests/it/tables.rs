//! Sources of many tables: what they become, and what is wrong with them.

use millstream_project::{ConnectionSpec, ConnectorSpec, Diagnostic, LoadOptions, Loaded, load_project_with};

use crate::scratch::{PROJECT, folder, render, variables};

/// Loads a project in which the connectors find these tables.
fn load(files: &[(&str, &str)], found: &[&str]) -> Loaded {
    let find = |_: &ConnectorSpec, _: &[ConnectionSpec]| -> Result<Vec<String>, Vec<Diagnostic>> {
        Ok(found.iter().map(|name| (*name).to_owned()).collect())
    };
    let root = folder(&[&[PROJECT], files].concat());
    load_project_with(root.path(), &LoadOptions { environment: None, variables: &variables }, &find)
}

const HEAD: &str = "connector: {type: files, path: \"d/{table}/*.csv\"}\n";

fn check(text: &str, found: &[&str], expected: &str) {
    let text = format!("{HEAD}{text}");
    assert_eq!(render(&load(&[("sources/erp.yaml", &text)], found)).trim_end(), expected.trim());
}

#[test]
fn each_table_is_a_source_with_a_contract_of_its_own() {
    let text = "owner: all@x
tags: erp
schedule: every 15m
contract:
  on_violation: warn
  halt_above: 50%
  columns:
    tenant: {type: string}
    id: {type: int64}
  checks: [not_null: tenant]
tables:
  orders:
    owner: one@x
    description: Orders
    tags: [money]
    contract:
      columns:
        id: {type: string}
        amount: {type: float64, required: true}
      checks: [not_null: id]
  people: {from: People of 2026, contract: {halt_above: 1%}}
  stock_old: false
  \"stock_*\":
  \"*_old\": false
";
    let text = format!("{HEAD}{text}");
    let found = ["orders", "People of 2026", "stock_a", "stock_b", "stock_old", "things", "stock_c_old"];
    let loaded = load(&[("sources/erp.yaml", &text)], &found);
    assert_eq!(render(&loaded).lines().count(), 0, "{}", render(&loaded));
    let spec = loaded.spec.unwrap();
    let told: Vec<String> = spec
        .sources
        .iter()
        .map(|source| {
            let contract = &source.contract;
            let columns: Vec<String> = contract
                .columns
                .values()
                .map(|column| format!("{}: {}", column.name, column.column_type))
                .collect();
            let checks: Vec<String> = contract.checks.iter().map(|check| check.id.to_string()).collect();
            format!(
                "{} {} {} {:?} [{}] [{}] {:?} {}",
                source.table(),
                source.connector.options.to_json()["path"],
                source.owner.as_deref().unwrap_or("-"),
                source.tags,
                columns.join(", "),
                checks.join(", "),
                contract.on_violation,
                contract.halt_above.map(|share| share.to_string()).unwrap_or_default(),
            )
        })
        .collect();
    let all = "[tenant: string, id: int64] [not_null(tenant)] Warn";
    assert_eq!(
        told,
        [
            "bronze.erp_orders \"d/orders/*.csv\" one@x [\"erp\", \"money\"] [tenant: string, id: string, amount: float64] [not_null(amount), not_null(tenant), not_null(id)] Warn 50%".to_owned(),
            format!("bronze.erp_people \"d/People of 2026/*.csv\" all@x [\"erp\"] {all} 1%"),
            format!("bronze.erp_stock_a \"d/stock_a/*.csv\" all@x [\"erp\"] {all} 50%"),
            format!("bronze.erp_stock_b \"d/stock_b/*.csv\" all@x [\"erp\"] {all} 50%"),
        ]
    );
}

#[test]
fn patterns_that_cannot_be_used_are_said() {
    let columns = "contract: {columns: {a: {type: int64}}}\n";
    check(
        &format!("{columns}tables: {{\"x_*\": {{}}}}\n"),
        &["orders", "people"],
        "sources/erp.yaml:3:10 `\"x_*\"` error MS-0167: `x_*` matches no table (what is there and not named yet: `orders`, `people`)",
    );
    check(
        &format!("{columns}tables: {{\"*\": {{}}}}\n"),
        &[],
        "sources/erp.yaml:3:10 `\"*\"` error MS-0167: `*` matches no table (nothing is there: look at the options of the connector)",
    );
    check(
        &format!("{columns}tables: {{orders: {{}}, \"*\": {{}}}}\n"),
        &["orders"],
        "sources/erp.yaml:3:22 `\"*\"` error MS-0167: `*` matches no table (all that is there is named or matched before: `orders`)",
    );
    let text = format!("{HEAD}{columns}tables: {{\"*\": {{}}}}\n");
    let told = render(&load(&[("sources/erp.yaml", &text)], &["Orders 2026"]));
    assert!(told.contains("MS-0167: the table `Orders 2026` cannot be landed under its name: "), "{told}");
    assert!(
        told.contains(
            "(name it, as in `orders: {from: \"Orders 2026\"}`, or leave it out: `\"Orders 2026\": false`)"
        ),
        "{told}"
    );
}

#[test]
fn what_is_wrong_with_a_table_has_its_place() {
    check(
        "tables: {orders: {}}\n",
        &[],
        "sources/erp.yaml:2:10 `orders` error MS-0112: the table `orders` has no contract (add `contract: …` to the table, or one for all beside `tables`)",
    );
    check(
        "contract: {on_violation: warn}\ntables: {orders: {contract: {columns: {a: {type: int65}}, tme: a}}}\n",
        &[],
        "sources/erp.yaml:3:50 `int65` error MS-0162: `int65` is not a column type (did you mean `int64`?)
sources/erp.yaml:3:59 `tme` error MS-0110: unknown key `tme` (did you mean `time`?)",
    );
    // What holds for all is wrong once, however many tables there are.
    check(
        "contract: {columns: {a: {type: int65}}}\ntables: {orders: {}, people: {}}\n",
        &[],
        "sources/erp.yaml:2:32 `int65` error MS-0162: `int65` is not a column type (did you mean `int64`?)",
    );
    let text =
        "connector: {type: files, path: d/*.csv}\ncontract: {columns: {a: {type: int64}}}\ntables: {a: {}}\n";
    assert_eq!(
        render(&load(&[("sources/erp.yaml", text)], &[])).trim_end(),
        "sources/erp.yaml:1:12 `{type: files, path: d/*.csv}` error MS-0167: the options do not say where the name of a table stands (write `{table}` in its place, as in `path: exports/{table}/*.csv`)"
    );
}

#[test]
fn two_files_cannot_land_one_table() {
    let many = format!("{HEAD}contract: {{columns: {{a: {{type: int64}}}}}}\ntables: {{orders: {{}}}}\n");
    let one = "connector: {type: files, path: a.csv}\ncontract: {columns: {a: {type: int64}}}\n";
    let loaded = load(&[("sources/erp.yaml", &many), ("sources/erp_orders.yaml", one)], &[]);
    assert_eq!(
        render(&loaded).trim_end(),
        "sources/erp_orders.yaml:1:1 `` error MS-0142: `bronze.erp_orders` is landed twice: `sources/erp.yaml` lands there (rename one of the two files, or the table under `tables`)"
    );
}

#[test]
fn tables_are_inputs_like_all_others() {
    let many = format!("{HEAD}contract: {{columns: {{a: {{type: int64}}}}}}\ntables: {{orders: {{}}}}\n");
    let other = "connector: {type: files, path: a.csv}\ncontract: {columns: {a: {type: int64, relationship: {to: bronze.erp_orders.b}}}}\n";
    let loaded = load(&[("sources/erp.yaml", &many), ("sources/s.yaml", other)], &[]);
    assert!(render(&loaded).contains("`bronze.erp_orders` has no column `b`"), "{}", render(&loaded));
}
