//! What a project's schedules become: the triggers of assets, and words about those that nothing could meet.

use std::num::NonZeroUsize;

use millstream_plan::{limits, scheduled};
use millstream_schedule::Scheduler;
use millstream_types::{AssetId, TimestampMicros};

use crate::harness::{Definition, diagnostics};

const PROJECT: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: {every: 15m, webhook: events}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== tables/silver/seen.sql
/*---
schedule: 0 6 * * * Europe/Berlin
---*/
SELECT customer_id, at FROM bronze.events
=== tables/silver/bare.sql
SELECT customer_id, at FROM bronze.events
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  added: {from: silver.seen, time: at, features: {events: {count: \"*\"}}, schedule: {freshness: 1h}}
services:
  s: [added.*]
=== datasets/often.yaml
labels: {from: bronze.events, entity: customer, time: at, columns: [customer_id, at, id]}
features: s
refresh: on_change
schedule: {after: [\"view:added\", \"source:events\"]}
=== datasets/seldom.yaml
labels: {from: bronze.events, entity: customer, time: at, columns: [customer_id, at, id]}
features: [added.events]
schedule: every 1w
=== datasets/by_hand.yaml
labels: {from: bronze.events, entity: customer, time: at, columns: [customer_id, at, id]}
features: [added.events]
schedule: {priority: 3}
";

#[test]
fn triggers_that_are_written_stand_beside_those_of_the_kind() {
    let project = Definition::of(PROJECT).project;
    for (asset, expected) in [
        ("bronze.events", "on change, every 15m, webhook events"),
        ("silver.seen", "on change, cron 0 6 * * * Europe/Berlin"),
        ("silver.bare", "on change"),
        ("view:added", "on change, fresher than 1h"),
        ("service:s", "on change"),
        ("dataset:often", "on change, after view:added, after bronze.events"),
        ("dataset:seldom", "every 1w"),
        ("dataset:by_hand", "by hand"),
    ] {
        let facts = project.graph.get(&AssetId::new(asset)).unwrap();
        assert_eq!(facts.schedule.to_string(), expected, "{asset}");
    }
    let assets = scheduled(&project.graph, &project.spec);
    let limits = limits(&project.spec, NonZeroUsize::MIN);
    Scheduler::restore(assets, &limits, &[], TimestampMicros(0)).unwrap();
}

#[test]
fn new_files_need_a_connector_that_lists_files() {
    let said = diagnostics(&PROJECT.replace("every: 15m", "new_files: 1m"));
    assert_eq!(said, ["MS-0160 `new_files` needs a connector that lists files, and `scripted` does not"]);
}

#[test]
fn a_circle_of_triggers_and_inputs_is_told() {
    for (written, instead, path) in [
        ("webhook: events", "after: \"dataset:often\"", "bronze.events -> dataset:often -> bronze.events"),
        ("webhook: events", "after: bronze.events", "bronze.events -> bronze.events"),
        ("every 1w", "{after: \"dataset:seldom\"}", "dataset:seldom -> dataset:seldom"),
    ] {
        let said = diagnostics(&PROJECT.replace(written, instead));
        assert_eq!(said, [format!("MS-0905 these assets set each other off in a circle: {path}")]);
    }
    // So is one of datasets that have no trigger but `after`, and that only a command would build otherwise.
    let both = PROJECT.replace("every 1w", "{after: \"dataset:by_hand\"}");
    let said = diagnostics(&both.replace("{priority: 3}", "{after: \"dataset:seldom\"}"));
    let path = "dataset:by_hand -> dataset:seldom -> dataset:by_hand";
    assert_eq!(said, [format!("MS-0905 these assets set each other off in a circle: {path}")]);
    // Each of several circles is told.
    let two = PROJECT.replace("webhook: events", "after: bronze.events");
    let said = diagnostics(&two.replace("every 1w", "{after: \"dataset:seldom\"}"));
    assert_eq!(said.len(), 2, "{said:?}");
}
