//! Whole plans.

use std::{collections::BTreeSet, time::Instant};

use millstream_plan::{AssetFacts, AssetKind, AssetStatus, Graph, PlannedStep, Reason, Request, Selection};
use millstream_types::{AssetId, AssetVersion, Fingerprint};
use proptest::prelude::*;

use crate::world::{World, everything, facts, graph, id, project};

const SHOP: &str = "
    bronze.orders: source
    bronze.customers: source
    silver.clean: view <- bronze.orders
    silver.orders: incremental <- silver.clean
    silver.customers: history <- bronze.customers
    gold.revenue: table <- silver.orders, silver.customers";

#[test]
fn the_first_run_builds_all_that_is_stored_in_order() {
    let graph = graph(SHOP);
    assert_eq!(
        World::default().steps(&graph, &[]),
        [
            "bronze.customers: never built",
            "bronze.orders: never built",
            "silver.customers: never built",
            "silver.orders: never built",
            "gold.revenue: never built",
        ]
    );
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let graph = graph(SHOP);
    let run_plan = World::built(&graph).plan(&graph, &[]).unwrap();
    assert_eq!(run_plan.steps, []);
    assert_eq!(run_plan.up_to_date.len(), 5);
}

#[test]
fn new_parts_reach_their_descendants_through_views() {
    let graph = graph(SHOP);
    let mut world = World::built(&graph);
    world.arrive("bronze.orders", "2.csv");
    let run_plan = world.plan(&graph, &[]).unwrap();
    let step = |asset: &str, from: &str, after: &[&str]| PlannedStep {
        asset: id(asset),
        reason: Reason::NewInput { from: vec![from.into()] },
        after: after.iter().map(|asset| id(asset)).collect(),
        checks_after: vec![],
        needs: Default::default(),
    };
    assert_eq!(
        run_plan.steps,
        [
            step("bronze.orders", "2.csv", &[]),
            step("silver.orders", "bronze.orders", &["bronze.orders"]),
            step("gold.revenue", "silver.orders", &["silver.orders"]),
        ]
    );
    assert_eq!(run_plan.up_to_date, [id("bronze.customers"), id("silver.customers")]);
}

#[test]
fn what_is_not_selected_is_read_in_its_present_version() {
    let graph = graph(SHOP);
    let mut world = World::built(&graph);
    world.arrive("bronze.orders", "2.csv");
    assert_eq!(world.steps(&graph, &["silver.*", "gold.*"]), [""; 0]);
    assert_eq!(world.steps(&graph, &["source:orders"]), ["bronze.orders: new input: 2.csv"]);
    world.build(&graph, &id("bronze.orders"));
    assert_eq!(world.steps(&graph, &["gold.revenue"]), [""; 0]);
    assert_eq!(
        world.steps(&graph, &["+gold.revenue"]),
        ["silver.orders: new input: bronze.orders", "gold.revenue: new input: silver.orders"]
    );
}

#[test]
fn an_unselected_input_that_was_never_built_is_an_error_with_a_way_out() {
    let error = World::default().plan(&graph(SHOP), &["silver.orders"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`silver.orders` reads `bronze.orders`, which was never built and is not selected"
    );
    assert_eq!(error.hint().unwrap(), "select `+silver.orders` to build what it reads too");
}

#[test]
fn force_runs_all_that_is_selected_and_full_refresh_leaves_sources_alone() {
    let graph = graph(SHOP);
    let world = World::built(&graph);
    let steps = |request: Request| world.request(&graph, &request).unwrap().steps;
    let forced = steps(Request { force: true, ..everything() });
    assert_eq!(forced.len(), 5);
    let refreshed: Vec<_> =
        steps(Request { full_refresh: true, ..everything() }).into_iter().map(|step| step.asset).collect();
    assert_eq!(refreshed, [id("silver.customers"), id("silver.orders"), id("gold.revenue")]);
}

#[test]
fn a_changed_definition_rebuilds_the_table_and_its_readers() {
    let mut facts = project(SHOP);
    let world = World::built(&Graph::build(facts.clone()).unwrap());
    facts[3].fingerprint = Fingerprint::new([2; 32]);
    assert_eq!(
        world.steps(&Graph::build(facts).unwrap(), &[]),
        ["silver.orders: definition changed", "gold.revenue: new input: silver.orders"]
    );
}

#[test]
fn a_failed_step_is_tried_again() {
    let graph = graph(SHOP);
    let mut world = World::built(&graph);
    world.recorded.get_mut(&id("gold.revenue")).unwrap().status =
        AssetStatus::Halted { reason: "too few rows".into() };
    assert_eq!(world.steps(&graph, &[]), ["gold.revenue: last attempt failed: too few rows"]);
}

#[test]
fn a_reader_of_rejected_rows_runs_after_the_step_that_rejects() {
    let graph = graph("bronze.a: source\ngold.bad: table <- bronze.a__rejected");
    let mut world = World::built(&graph);
    assert_eq!(world.steps(&graph, &[]), [""; 0]);
    world.observed.versions.insert(id("bronze.a__rejected"), AssetVersion::numbered(0));
    assert_eq!(world.steps(&graph, &[]), ["gold.bad: new input: bronze.a__rejected"]);
}

#[test]
fn a_table_waits_for_what_its_checks_look_into_but_does_not_run_because_of_it() {
    let mut facts = project(SHOP);
    facts[0].checked_against = vec![id("silver.customers")];
    let graph = Graph::build(facts).unwrap();
    let mut world = World::built(&graph);
    world.arrive("bronze.customers", "c.csv");
    assert!(!world.plan(&graph, &[]).unwrap().steps.iter().any(|step| step.asset == id("bronze.orders")));
    world.arrive("bronze.orders", "o.csv");
    let run_plan = world.plan(&graph, &[]).unwrap();
    let step = run_plan.steps.iter().find(|step| step.asset == id("bronze.orders")).unwrap();
    assert_eq!(
        (step.after.as_slice(), step.checks_after.as_slice()),
        (&[][..], &[id("silver.customers")][..])
    );
}

#[test]
fn a_thousand_assets_are_planned() {
    let graph = Graph::build(random_project(1_000, 7)).unwrap();
    let mut world = World::built(&graph);
    world.arrive("s.a0000", "new.csv");
    let fastest = (0..10)
        .map(|_| {
            let started = Instant::now();
            world.plan(&graph, &[]).unwrap();
            started.elapsed()
        })
        .min()
        .unwrap();
    // Far above the figure, so that only work that grows with its square or worse fails, and no busy machine.
    assert!(fastest.as_millis() < 1_000, "{fastest:?}");
}

/// `count` assets, each of which reads up to three earlier ones; the choice follows `seed`.
fn random_project(count: usize, seed: u64) -> Vec<AssetFacts> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut draw = move |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let kinds = ["view", "table", "incremental", "history"];
    (0..count)
        .map(|index| {
            let mut asset = facts(&format!("s.a{index:04}: source"));
            if index > 0 && draw(5) > 0 {
                let kind = kinds[draw(kinds.len())];
                (asset.kind, asset.passes_through) = (AssetKind::new(kind), kind == "view");
                asset.reads_outside = false;
                asset.inputs = (0..=draw(3)).map(|_| id(&format!("s.a{:04}", draw(index)))).collect();
            }
            asset
        })
        .collect()
}

proptest! {
    #[test]
    fn after_a_run_the_plan_is_empty(count in 1_usize..40, seed: u64, changed in 0_usize..40) {
        let graph = Graph::build(random_project(count, seed)).unwrap();
        let mut world = World::built(&graph);
        prop_assert_eq!(world.plan(&graph, &[]).unwrap().steps, vec![]);
        world.build(&graph, &id(&format!("s.a{:04}", changed % count)));
        let run_plan = world.plan(&graph, &[]).unwrap();
        world.run(&graph, &run_plan);
        prop_assert_eq!(world.plan(&graph, &[]).unwrap().steps, vec![]);
    }

    #[test]
    fn a_new_part_reaches_exactly_the_stored_descendants_of_its_source(count in 1_usize..40, seed: u64, pick: usize) {
        let graph = Graph::build(random_project(count, seed)).unwrap();
        let mut world = World::built(&graph);
        let sources: Vec<_> = graph.assets().iter().filter(|asset| asset.reads_outside).collect();
        let source = &sources[pick % sources.len()].id;
        world.arrive(source.as_str(), "new");
        let run_plan = world.plan(&graph, &[]).unwrap();
        let mut expected = naive_descendants(&graph, source);
        expected.retain(|asset| !graph.get(asset).unwrap().passes_through);
        expected.insert(source.clone());
        let steps: Vec<&AssetId> = run_plan.steps.iter().map(|step| &step.asset).collect();
        prop_assert_eq!(steps.iter().map(|asset| (*asset).clone()).collect::<BTreeSet<_>>(), expected);
        for (place, step) in run_plan.steps.iter().enumerate() {
            prop_assert!(step.after.iter().all(|before| steps[..place].contains(&before)));
        }
    }
}

/// Grows the set until nothing is added.
fn naive_descendants(graph: &Graph, source: &AssetId) -> BTreeSet<AssetId> {
    let mut found = BTreeSet::from([source.clone()]);
    loop {
        let before = found.len();
        for asset in graph.assets() {
            if asset.inputs.iter().any(|input| found.contains(input)) {
                found.insert(asset.id.clone());
            }
        }
        if found.len() == before {
            found.remove(source);
            return found;
        }
    }
}

const FEATURES: &str = "
    bronze.orders: source
    silver.orders: incremental <- bronze.orders
    view:spend: feature_view <- silver.orders
    service:churn: service <- =view:spend
    dataset:churn: dataset manual <- silver.orders, =service:churn
    dataset:often: dataset <- silver.orders, =view:spend";

#[test]
fn every_kind_is_planned_behind_what_it_reads() {
    let graph = graph(FEATURES);
    let mut world = World::built(&graph);
    assert_eq!(world.steps(&graph, &["dataset:churn"]), ["dataset:churn: never built"]);
    world.build(&graph, &id("dataset:churn"));
    world.arrive("bronze.orders", "2.csv");
    let run_plan = world.plan(&graph, &[]).unwrap();
    let said = |steps: &[PlannedStep]| -> Vec<String> {
        let line =
            |step: &PlannedStep| format!("{}: {} after {:?}", step.asset, step.reason, step.after.len());
        steps.iter().map(line).collect()
    };
    assert_eq!(
        said(&run_plan.steps),
        [
            "bronze.orders: new input: 2.csv after 0",
            "silver.orders: new input: bronze.orders after 1",
            "view:spend: new input: silver.orders after 1",
            "dataset:often: new input: silver.orders after 1",
        ]
    );
    // A service is what its definition says, whatever its views hold.
    assert_eq!(run_plan.up_to_date, [id("service:churn")]);
    let by_hand: Vec<_> =
        run_plan.by_hand.iter().map(|one| format!("{}: {}", one.asset, one.reason)).collect();
    assert_eq!(by_hand, ["dataset:churn: new input: silver.orders"]);
}

#[test]
fn what_runs_by_hand_runs_only_when_it_is_named() {
    let graph = graph(FEATURES);
    let mut world = World::built(&graph);
    world.build(&graph, &id("dataset:churn"));
    let check = |force: bool, selection: &[&str], expected: bool| {
        let terms: Vec<String> = selection.iter().map(ToString::to_string).collect();
        let selection = Selection::parse(&terms, &[]).unwrap();
        let run_plan = world.request(&graph, &Request { selection, force, ..everything() }).unwrap();
        let runs = run_plan.steps.iter().any(|step| step.asset == id("dataset:churn"));
        assert_eq!(runs, expected, "{terms:?}");
    };
    check(true, &[], false);
    check(true, &["bronze.orders+"], false);
    check(true, &["dataset:churn"], true);
    check(true, &["+dataset:churn"], true);
    check(true, &["dataset:*"], true);
    check(true, &["path:datasets"], true);
    check(false, &["dataset:churn"], false);
}
