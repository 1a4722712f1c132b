//! Datasets: built from versions that stay, recorded with what they were built from, the same again byte for byte.

use millstream_plan::AssetKind;
use millstream_state::Moment::{After, Before};

use crate::harness::{Act, Definition, Step, Step::*, World, block_on, check as check_story};

const PROJECT: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  events: {from: bronze.events, time: at, features: {events: {count: \"*\"}}}
services:
  s: [events.*]
=== datasets/d.yaml
labels: {from: bronze.events, entity: customer, time: at, columns: [customer_id, at, id]}
features: s
";

#[track_caller]
fn check(steps: &[Step], expected: &str) {
    let rows =
        "id,customer_id,at\n1,1,2026-06-01T00:00:00Z\n2,1,2026-06-02T00:00:00Z\n3,2,2026-06-02T00:00:00Z";
    let begin = [Put("events/a", rows)];
    check_story(PROJECT, &[&begin[..], steps].concat(), expected);
}

#[test]
fn a_dataset_needs_its_tables() {
    check(
        &[Dataset("d"), Run, Dataset("d")],
        "
        ! `bronze.events` has never been built
        bronze.events built +3
        d v1
    ",
    );
}

#[test]
fn the_same_inputs_give_the_same_version() {
    check(
        &[Run, Dataset("d"), Pass(60), Dataset("d"), Datasets],
        "
        bronze.events built +3
        d v1
        d v1, unchanged
        d v1
        pinned: bronze.events at 0
    ",
    );
}

#[test]
fn new_rows_give_a_new_version() {
    check(
        &[Run, Dataset("d"), Append("events/a", "4,2,2026-06-03T00:00:00Z"), Run, Dataset("d"), Datasets],
        "
        bronze.events built +3
        d v1
        bronze.events built +1
        d v2
        d v1
        d v2
        pinned: bronze.events at 0
        pinned: bronze.events at 1
    ",
    );
}

#[test]
fn an_unknown_dataset_is_named() {
    check(
        &[Dataset("e")],
        "
        ! no dataset named `e`
    ",
    );
}

/// The features of a label count the events before its time, and none at that very time.
#[test]
fn each_label_has_what_was_known_before_it() {
    check(
        &[
            Run,
            Dataset("d"),
            DatasetRows("d"),
            Append("events/a", "4,2,2026-06-03T00:00:00Z"),
            Run,
            Dataset("d"),
            DatasetRows("d"),
        ],
        "
        bronze.events built +3
        d v1
        customer_id: 1, at: 2026-06-01T00:00:00Z, id: 1, events.events: 0
        customer_id: 1, at: 2026-06-02T00:00:00Z, id: 2, events.events: 1
        customer_id: 2, at: 2026-06-02T00:00:00Z, id: 3, events.events: 0
        bronze.events built +1
        d v2
        customer_id: 1, at: 2026-06-01T00:00:00Z, id: 1, events.events: 0
        customer_id: 1, at: 2026-06-02T00:00:00Z, id: 2, events.events: 1
        customer_id: 2, at: 2026-06-02T00:00:00Z, id: 3, events.events: 0
        customer_id: 2, at: 2026-06-03T00:00:00Z, id: 4, events.events: 1
    ",
    );
}

#[test]
fn a_build_whose_process_died_is_done_again_or_found() {
    for (moment, again) in [(Before, "d v1"), (After, "d v1, unchanged")] {
        let dies = DieIn(Box::new(Dataset("d")), moment, "state: record the artifact");
        let expected = format!(
            "bronze.events built +3
            {again}
            customer_id: 1, at: 2026-06-01T00:00:00Z, id: 1, events.events: 0
            customer_id: 1, at: 2026-06-02T00:00:00Z, id: 2, events.events: 1
            customer_id: 2, at: 2026-06-02T00:00:00Z, id: 3, events.events: 0
            d v1
            pinned: bronze.events at 0"
        );
        // Without a service, no other artifact is recorded before the dataset.
        let project = PROJECT.replace("features: s\n", "features: [events.*]\n");
        let rows =
            "id,customer_id,at\n1,1,2026-06-01T00:00:00Z\n2,1,2026-06-02T00:00:00Z\n3,2,2026-06-02T00:00:00Z";
        let steps = [Put("events/a", rows), Run, dies, Dataset("d"), DatasetRows("d"), Datasets];
        check_story(&project, &steps, &expected);
    }
}

/// Two amounts that an int64 holds, and their sum that it does not. The sum that comes back is exact.
#[test]
fn a_sum_beyond_its_type_ends_a_build_and_is_no_default() {
    let project = |pii: &str| {
        format!(
            "
=== sources/events.yaml
connector: {{type: scripted, place: events}}
contract:
  columns:
    customer_id: {{type: int64{pii}}}
    cents: {{type: int64}}
    at: {{type: timestamp}}
=== features/customer.yaml
entity: {{name: customer, key: customer_id}}
views:
  spent: {{from: bronze.events, time: at, features: {{cents: {{sum: cents, default: 0}}}}}}
services:
  s: [spent.*]
=== datasets/d.yaml
labels: {{from: bronze.events, entity: customer, time: at, columns: [customer_id, at]}}
features: s
"
        )
    };
    let rows = "customer_id,cents,at
1,9223372036854775807,2026-05-01T00:00:00Z
1,9223372036854775807,2026-05-02T00:00:00Z
2,5,2026-05-02T00:00:00Z";
    let refused = |key: &str| {
        format!(
            "! the dataset `d` cannot be built: the feature `spent.cents` of `customer_id` = `{key}` cannot be given: its sum is beyond int64"
        )
    };
    let third = "1,7,2026-05-03T00:00:00Z";
    let steps = [
        Put("events/a", rows),
        Run,
        Dataset("d"),
        DatasetRows("d"),
        Materialize,
        Features,
        Append("events/a", third),
        Run,
        Dataset("d"),
        Append(
            "events/a",
            "1,-9223372036854775807,2026-05-04T00:00:00Z\n1,-9223372036854775807,2026-05-05T00:00:00Z",
        ),
        Run,
        Materialize,
        Features,
    ];
    for (pii, key) in [("", "1"), (", pii: true", "***")] {
        let expected = format!(
            "bronze.events built +3
            d v1
            customer_id: 1, at: 2026-05-01T00:00:00Z, spent.cents: 0
            customer_id: 1, at: 2026-05-02T00:00:00Z, spent.cents: 9223372036854775807
            customer_id: 2, at: 2026-05-02T00:00:00Z, spent.cents: 0
            spent: Full, 3 rows of 2
            s.spent.cents: - Degraded, 5 Present, 0 Missing
            bronze.events built +1
            {}
            bronze.events built +2
            spent: Incremental, 3 rows of 1
            s.spent.cents: 7 Present, 5 Present, 0 Missing",
            refused(key)
        );
        check_story(&project(pii), &steps, &expected);
    }
}

#[test]
fn housekeeping_forgets_the_versions_that_a_definition_does_not_keep() {
    block_on(async {
        let world = World::new(Definition::of(&format!(
            "{PROJECT}keep: 2\n=== millstream.yaml\nname: test\nhousekeeping: {{files: 1h}}\n"
        )));
        world.act(&Act::KeepHouse).await;
        let build = async |id: u32| {
            let row = format!("id,customer_id,at\n{id},1,2026-06-01T00:00:0{id}Z");
            world.definition.script.put("events", &format!("p{id}"), &row);
            world.run().await;
            world.act(&Act::Dataset("d")).await;
            world.clock.pass(60);
        };
        for id in 1..=5 {
            build(id).await;
        }
        let state = world.state().await;
        let versions = async || state.artifact_numbers(AssetKind::new("dataset"), "d").await.unwrap();
        assert_eq!(versions().await, [1, 2, 3, 4, 5]);
        world.clock.pass(24 * 3_600);
        world.act(&Act::KeepHouse).await;
        assert_eq!(versions().await, [4, 5]);
        let pinned: Vec<i64> = state.pins().await.unwrap().iter().map(|pin| pin.version).collect();
        assert_eq!(pinned, [3, 4], "what the others were built from is let go");
        assert_eq!(world.dataset("d").await.len(), 5);
        // The next one has a number of its own.
        build(6).await;
        assert_eq!(versions().await, [4, 5, 6]);
    });
}
