//! Every kind of asset in one run: what is stale is brought up to date, in order, and nothing else.

use std::time::Duration;

use crate::harness::{Step, Step::*, check as check_story};

const PROJECT: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== tables/silver/seen.sql
/*---
materialize: view
---*/
SELECT customer_id, at FROM bronze.events
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  added: {from: bronze.events, time: at, features: {events: {count: \"*\"}}}
  seen: {from: silver.seen, time: at, features: {visits: {count: \"*\"}}}
services:
  s: [added.*, seen.*]
=== datasets/often.yaml
labels: {from: bronze.events, entity: customer, time: at, columns: [customer_id, at, id]}
features: s
refresh: on_change
=== datasets/seldom.yaml
labels: {from: bronze.events, entity: customer, time: at, columns: [customer_id, at, id]}
features: [added.events]
";

const FIRST: &str = "
    bronze.events built +3
    service:s built
    view:added built +3
    view:seen built +3
    dataset:often built +3
";

/// Runs everything once, then plays `steps`; tells what comes after the first run.
#[track_caller]
fn check(steps: &[Step], expected: &str) {
    let rows =
        "id,customer_id,at\n1,1,2026-06-01T00:00:00Z\n2,1,2026-06-02T00:00:00Z\n3,2,2026-06-02T00:00:00Z";
    let begin = [Put("events/a", rows), RunAll];
    check_story(PROJECT, &[&begin[..], steps].concat(), &format!("{}{expected}", FIRST.trim_end()));
}

#[test]
fn a_second_run_has_nothing_to_do() {
    check(
        &[PlanAll, RunAll, Features],
        "
        by hand dataset:seldom: never built
        (nothing)
        s.added.events: 2 Present, 1 Present, 0 Missing
        s.seen.visits: 2 Present, 1 Present, 0 Missing
    ",
    );
}

#[test]
fn new_rows_reach_what_is_made_of_them() {
    check(
        &[Append("events/a", "4,2,2026-06-03T00:00:00Z"), PlanAll, RunAll, PlanAll, Features],
        "
        bronze.events: new input: a
        view:added: new input: bronze.events
        view:seen: new input: bronze.events
        dataset:often: new input: bronze.events
        by hand dataset:seldom: never built
        bronze.events built +1
        view:added built +1
        view:seen built +4
        dataset:often built +4
        by hand dataset:seldom: never built
        s.added.events: 2 Present, 2 Present, 0 Missing
        s.seen.visits: 2 Present, 2 Present, 0 Missing
    ",
    );
}

#[test]
fn what_runs_by_hand_is_built_when_it_is_named() {
    check(
        &[
            RunNamed(&["dataset:seldom"]),
            PlanAll,
            Append("events/a", "4,2,2026-06-03T00:00:00Z"),
            RunNamed(&["bronze.events+"]),
            PlanAll,
        ],
        "
        dataset:seldom built +3
        (nothing)
        bronze.events built +1
        view:added built +1
        view:seen built +4
        dataset:often built +4
        by hand dataset:seldom: new input: bronze.events
    ",
    );
}

#[test]
fn a_dataset_whose_file_is_gone_is_built_again() {
    check(
        &[
            RunNamed(&["dataset:seldom"]),
            LoseDataset("often"),
            LoseDataset("seldom"),
            PlanAll,
            RunAll,
            PlanAll,
            RunNamed(&["dataset:seldom"]),
            PlanAll,
        ],
        "
        dataset:seldom built +3
        dataset:often: what was built is gone, it was version 1
        by hand dataset:seldom: what was built is gone, it was version 1
        dataset:often built +3
        by hand dataset:seldom: what was built is gone, it was version 1
        dataset:seldom built +3
        (nothing)
    ",
    );
}

/// Maintenance makes a version of a table with the rows of the version before.
#[test]
fn nothing_is_computed_again_because_small_files_were_put_together() {
    check(
        &[
            Append("events/a", "4,2,2026-06-03T00:00:00Z"),
            RunAll,
            Dataset("seldom"),
            Maintain(Duration::from_secs(3_600)),
            PlanAll,
            Dataset("seldom"),
            Dataset("often"),
            PlanAll,
            RunAll,
            Append("events/a", "5,2,2026-06-04T00:00:00Z"),
            RunAll,
            Dataset("seldom"),
            PlanAll,
        ],
        "
        bronze.events built +1
        view:added built +1
        view:seen built +4
        dataset:often built +4
        seldom v1
        bronze.events: 2 put together, 0 gone
        (nothing)
        seldom v1, unchanged
        often v2, unchanged
        (nothing)
        (nothing)
        bronze.events built +1
        view:added built +1
        view:seen built +5
        dataset:often built +5
        seldom v2
        (nothing)
    ",
    );
}

#[test]
fn a_command_of_its_own_counts_as_a_step() {
    check(
        &[
            Append("events/a", "4,2,2026-06-03T00:00:00Z"),
            Run,
            Materialize,
            Dataset("often"),
            Dataset("seldom"),
            PlanAll,
        ],
        "
        bronze.events built +1
        added: Incremental, 1 rows of 1
        seen: Full, 4 rows of 2
        often v2
        seldom v1
        (nothing)
    ",
    );
}

#[test]
fn another_definition_is_computed_anew() {
    let other = |text: &str, by: &str| PROJECT.replace(text, by);
    let filtered = other(
        "SELECT customer_id, at FROM bronze.events",
        "SELECT customer_id, at FROM bronze.events WHERE id > 1",
    );
    check(
        &[Define(filtered), PlanAll, RunAll, PlanAll, Features],
        "
        view:seen: definition changed
        dataset:often: definition changed
        by hand dataset:seldom: never built
        view:seen built +2
        dataset:often built +3
        by hand dataset:seldom: never built
        s.added.events: 2 Present, 1 Present, 0 Missing
        s.seen.visits: 1 Present, 1 Present, 0 Missing
    ",
    );
}

#[test]
fn what_comes_after_a_failed_table_is_skipped() {
    check(
        &[
            Append("events/a", "4,2,2026-06-03T00:00:00Z"),
            Define(PROJECT.replace(
                "{id: {type: int64, required: true}",
                "{id: {type: int64, required: true}, none: {type: int64}",
            )),
            RunAll,
        ],
        "
        ! bronze.events halted: schema change refused: a has no column `none`
        ! view:added skipped for bronze.events
        ! view:seen skipped for bronze.events
        ! dataset:often skipped for bronze.events
    ",
    );
}
