//! Order, reach and faults of the graph.

use millstream_plan::Graph;

use crate::world::{graph, id, project};

fn check_fault(text: &str, message: &str, hint: &str) {
    let error = Graph::build(project(text)).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.hint().as_deref(), Some(hint));
}

#[test]
fn every_asset_comes_after_what_it_reads_and_the_order_of_the_facts_does_not_matter() {
    let text = "
        gold.report: table <- silver.orders, silver.customers
        silver.customers: view <- bronze.customers
        silver.orders: incremental <- bronze.orders
        bronze.orders: source
        bronze.customers: source";
    let order = |graph: &Graph| graph.topological().map(|asset| asset.id.to_string()).collect::<Vec<_>>();
    let expected = ["bronze.customers", "bronze.orders", "silver.customers", "silver.orders", "gold.report"];
    assert_eq!(order(&graph(text)), expected);
    let mut facts = project(text);
    facts.reverse();
    assert_eq!(order(&Graph::build(facts).unwrap()), expected);
}

#[test]
fn a_cycle_is_named_from_its_smallest_member_on() {
    check_fault(
        "bronze.a: source
         silver.z: table <- silver.y
         silver.x: table <- bronze.a, silver.z
         silver.y: table <- silver.x",
        "these tables read each other in a circle: silver.x -> silver.y -> silver.z -> silver.x",
        "let one of them read something that does not depend on it",
    );
}

#[test]
fn a_table_that_reads_itself_is_a_cycle() {
    let error = Graph::build(project("silver.x: table <- silver.x")).unwrap_err();
    assert_eq!(error.to_string(), "these tables read each other in a circle: silver.x -> silver.x");
}

#[test]
fn an_unknown_input_is_an_error_with_the_nearest_name() {
    check_fault(
        "bronze.orders: source\nsilver.x: table <- bronze.order",
        "`silver.x` reads `bronze.order`, which does not exist",
        "did you mean `bronze.orders`?",
    );
}

#[test]
fn a_name_that_occurs_twice_is_an_error() {
    check_fault("silver.x: table\nsilver.x: view", "`silver.x` is defined twice", "rename one of the two");
}

#[test]
fn views_are_looked_through_to_the_stored_tables() {
    let graph = graph(
        "bronze.a: source
         bronze.b: source
         silver.v: view <- bronze.a
         silver.w: view <- silver.v, bronze.b
         gold.t: table <- silver.w, bronze.a__rejected",
    );
    let stored: Vec<_> = graph.stored_inputs(&id("gold.t")).map(ToString::to_string).collect();
    assert_eq!(stored, ["bronze.a", "bronze.a__rejected", "bronze.b"]);
    assert_eq!(graph.downstream(&id("bronze.b")), [id("silver.w"), id("gold.t")].into());
    assert_eq!(graph.upstream(&id("silver.w")), [id("bronze.a"), id("bronze.b"), id("silver.v")].into());
}

#[test]
fn a_plan_of_some_assets_looks_at_what_they_read_and_at_what_writes_that() {
    let graph = graph(
        "bronze.a: source
         bronze.b: source
         silver.v: view <- bronze.b
         silver.t: table <- silver.v, bronze.a__rejected
         gold.t: table <- silver.t",
    );
    let looked_at = |asset: &str| graph.looked_at(&[id(asset)].into());
    assert_eq!(looked_at("bronze.a"), [id("bronze.a")].into());
    let of_silver = ["bronze.a", "bronze.a__rejected", "bronze.b", "silver.t"].map(id);
    assert_eq!(looked_at("silver.t"), of_silver.into());
    assert_eq!(looked_at("gold.t"), [id("silver.t"), id("gold.t")].into());
}

#[test]
fn tables_that_are_checked_against_each_other_are_no_cycle() {
    let mut facts = project("bronze.a: source\nbronze.b: source");
    facts[0].checked_against = vec![id("bronze.b"), id("bronze.a")];
    facts[1].checked_against = vec![id("bronze.a")];
    let graph = Graph::build(facts).unwrap();
    let order: Vec<_> = graph.topological().map(|asset| asset.id.to_string()).collect();
    assert_eq!(order, ["bronze.b", "bronze.a"]);
}
