//! What the scheduler is told of a project.

use std::{fs, num::NonZeroUsize};

use millstream_plan::{Graph, limits, scheduled};
use millstream_project::{LoadOptions, ProjectSpec, load_project};
use millstream_schedule::{Limits, Schedule, ScheduledAsset, Scheduler, Trigger};
use millstream_types::{AssetId, TimestampMicros};

use crate::world::{id, project};

const GRAPH: &str = "
    bronze.orders: source
    silver.recent: view <- bronze.orders
    silver.orders: table <- silver.recent, bronze.orders__rejected
    gold.sales: table <- silver.recent, silver.orders
    view:spend: feature_view <- silver.orders
    service:churn: service <- =view:spend
    dataset:churn: dataset manual <- silver.recent, =service:churn
";

/// A project with a connection, a source that reads through it, and pools.
fn spec() -> ProjectSpec {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("millstream.yaml", "name: shop\npools: {heavy: 2, light: 9}\n");
    write("connections/warehouse.yaml", "type: files\nconcurrency: 3\npath: data\n");
    write("connections/other.yaml", "type: files\npath: data\n");
    write(
        "sources/orders.yaml",
        "connector: {type: files, connection: warehouse, path: a.csv}\ncontract: {columns: {id: {type: int64}}}\n",
    );
    let loaded = load_project(folder.path(), &LoadOptions { environment: None, variables: &|_| None });
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    loaded.spec.unwrap()
}

fn find<'a>(assets: &'a [ScheduledAsset], name: &str) -> &'a ScheduledAsset {
    assets.iter().find(|asset| asset.id == id(name)).unwrap()
}

#[test]
fn views_have_no_steps_and_inputs_reach_through_them() {
    let graph = Graph::build(project(GRAPH)).unwrap();
    let assets = scheduled(&graph, &spec());
    let names: Vec<_> = assets.iter().map(|asset| asset.id.to_string()).collect();
    assert_eq!(
        names,
        ["bronze.orders", "gold.sales", "silver.orders", "dataset:churn", "service:churn", "view:spend"]
    );
    let inputs = |name: &str| find(&assets, name).inputs.iter().map(AssetId::to_string).collect::<Vec<_>>();
    assert_eq!(inputs("bronze.orders"), [""; 0]);
    // Rejected rows are written by the step of the table that they belong to.
    assert_eq!(inputs("silver.orders"), ["bronze.orders"]);
    assert_eq!(inputs("gold.sales"), ["bronze.orders", "silver.orders"]);
    // What belongs to the definition is no input: a change of what it holds makes nothing run.
    assert_eq!(inputs("dataset:churn"), ["bronze.orders"]);
    assert!(find(&assets, "bronze.orders").reads_outside);
    assert_eq!(find(&assets, "bronze.orders").connection.as_deref(), Some("warehouse"));
    assert_eq!(find(&assets, "silver.orders").connection, None);
    let limits = limits(&spec(), NonZeroUsize::MIN);
    assert!(Scheduler::restore(assets, &limits, &[], TimestampMicros(0)).is_ok());
}

#[test]
fn a_schedule_is_taken_over_without_what_a_fault_left_out() {
    let mut facts = project(GRAPH);
    let sales = facts.iter_mut().find(|asset| asset.id == id("gold.sales")).unwrap();
    sales.schedule = Schedule {
        triggers: vec![
            Trigger::OnChange,
            Trigger::After(id("silver.orders")),
            Trigger::After(id("silver.gone")),
        ],
        priority: 7,
        pools: vec!["heavy".into()],
        ..Schedule::default()
    };
    let assets = scheduled(&Graph::build(facts).unwrap(), &spec());
    let sales = find(&assets, "gold.sales");
    assert_eq!(sales.triggers, [Trigger::OnChange, Trigger::After(id("silver.orders"))]);
    assert_eq!((sales.priority, sales.pools.as_slice()), (7, &["heavy".to_owned()][..]));
}

#[test]
fn limits_are_those_of_connections_and_pools() {
    let number = |count| NonZeroUsize::new(count).unwrap();
    let expected = Limits {
        steps: number(4),
        connections: [("warehouse".to_owned(), number(3))].into(),
        pools: [("heavy".to_owned(), number(2)), ("light".to_owned(), number(9))].into(),
    };
    assert_eq!(limits(&spec(), number(4)), expected);
}
