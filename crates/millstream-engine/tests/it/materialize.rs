//! Materialising: the online store follows the lake, from its changes where each row is an event.

use millstream_engine::MaterializeRequest;
use millstream_state::Moment::{After, Before};

use crate::{
    harness::{
        Act, Contents, Definition, Ended, Harm, Injection, Line, Step, Step::*, World, block_on,
        check as check_story,
    },
    shop::SHOP,
};

const PROJECT: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== tables/silver/keyed.sql
/*---
materialize: incremental
key: id
---*/
SELECT id, customer_id, at FROM bronze.events
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  added: {from: bronze.events, time: at, features: {events: {count: \"*\"}}}
  merged: {from: silver.keyed, time: at, features: {merged: {count: \"*\"}}}
services:
  s: [added.*, merged.*]
";

/// Materialises three events of two customers, then plays `steps`.
#[track_caller]
fn check(steps: &[Step], expected: &str) {
    let rows =
        "id,customer_id,at\n1,1,2026-06-01T00:00:00Z\n2,1,2026-06-02T00:00:00Z\n3,2,2026-06-02T00:00:00Z";
    let begin = [Put("events/a", rows), Run, Materialize];
    check_story(PROJECT, &[&begin[..], steps].concat(), expected);
}

#[test]
fn what_was_materialised_is_not_read_again() {
    check(
        &[Materialize],
        "
        bronze.events built +3
        silver.keyed built +3
        added: Full, 3 rows of 2
        merged: Full, 3 rows of 2
        added: UpToDate, 0 rows of 0
        merged: UpToDate, 0 rows of 0
    ",
    );
}

#[test]
fn of_added_rows_only_the_new_ones_are_read() {
    check(
        &[Append("events/a", "4,2,2026-06-03T00:00:00Z"), Run, Materialize, Materialize, Features],
        "
        bronze.events built +3
        silver.keyed built +3
        added: Full, 3 rows of 2
        merged: Full, 3 rows of 2
        bronze.events built +1
        silver.keyed built +1
        added: Incremental, 1 rows of 1
        merged: Incremental, 1 rows of 1
        added: UpToDate, 0 rows of 0
        merged: UpToDate, 0 rows of 0
        s.added.events: 2 Present, 2 Present, 0 Missing
        s.merged.merged: 2 Present, 2 Present, 0 Missing
    ",
    );
}

#[test]
fn rows_that_leave_are_computed_anew() {
    check(
        &[
            Features,
            Put("events/a", "id,customer_id,at\n1,1,2026-06-01T00:00:00Z"),
            Run,
            Materialize,
            Features,
        ],
        "
        bronze.events built +3
        silver.keyed built +3
        added: Full, 3 rows of 2
        merged: Full, 3 rows of 2
        s.added.events: 2 Present, 1 Present, 0 Missing
        s.merged.merged: 2 Present, 1 Present, 0 Missing
        bronze.events built +1 -3
        silver.keyed built -2
        added: Full, 1 rows of 1
        merged: Full, 1 rows of 1
        s.added.events: 1 Present, 0 Missing, 0 Missing
        s.merged.merged: 1 Present, 0 Missing, 0 Missing
    ",
    );
}

#[test]
fn everything_is_computed_anew_when_asked() {
    check(
        &[MaterializeAnew, Materialize],
        "
        bronze.events built +3
        silver.keyed built +3
        added: Full, 3 rows of 2
        merged: Full, 3 rows of 2
        added: Full, 3 rows of 2
        merged: Full, 3 rows of 2
        added: UpToDate, 0 rows of 0
        merged: UpToDate, 0 rows of 0
    ",
    );
}

#[test]
fn after_maintenance_nothing_is_lost() {
    let hour = std::time::Duration::from_secs(3_600);
    let steps = [
        Append("events/a", "4,2,2026-06-03T00:00:00Z"),
        Run,
        Maintain(hour),
        Pass(30 * 86_400),
        Maintain(hour),
        Materialize,
        Features,
    ];
    check(
        &steps,
        "
        bronze.events built +3
        silver.keyed built +3
        added: Full, 3 rows of 2
        merged: Full, 3 rows of 2
        bronze.events built +1
        silver.keyed built +1
        bronze.events: 2 put together, 0 gone
        silver.keyed: 2 put together, 0 gone
        (nothing)
        added: Incremental, 1 rows of 1
        merged: Incremental, 1 rows of 1
        s.added.events: 2 Present, 2 Present, 0 Missing
        s.merged.merged: 2 Present, 2 Present, 0 Missing
    ",
    );
}

#[test]
fn a_view_whose_table_was_never_built_is_named() {
    check_story(
        PROJECT,
        &[Materialize],
        "
        ! `added` cannot be materialised: MS-0703
        ! `merged` cannot be materialised: MS-0703
    ",
    );
}

/// Events that reached the records before the death count once.
#[test]
fn a_materialisation_whose_process_died_goes_on() {
    for (moment, point) in [
        (Before, "online: update"),
        (After, "online: update"),
        (Before, "online: set a mark"),
        (After, "online: set a mark"),
    ] {
        let rows =
            "id,customer_id,at\n1,1,2026-06-01T00:00:00Z\n2,1,2026-06-02T00:00:00Z\n3,2,2026-06-02T00:00:00Z";
        let dies = DieIn(Box::new(Materialize), moment, point);
        check_story(
            PROJECT,
            &[Put("events/a", rows), Run, dies, Materialize, Features, Materialize],
            "
            bronze.events built +3
            silver.keyed built +3
            added: Full, 3 rows of 2
            merged: Full, 3 rows of 2
            s.added.events: 2 Present, 1 Present, 0 Missing
            s.merged.merged: 2 Present, 1 Present, 0 Missing
            added: UpToDate, 0 rows of 0
            merged: UpToDate, 0 rows of 0
        ",
        );
    }
}

/// The records end at the newest rows, however often a process died on the way.
#[test]
fn a_materialisation_that_goes_on_takes_in_what_came_since() {
    let rows =
        "id,customer_id,at\n1,1,2026-06-01T00:00:00Z\n2,1,2026-06-02T00:00:00Z\n3,2,2026-06-02T00:00:00Z";
    let begin = [Put("events/a", rows), Run];
    let more = [Append("events/a", "4,3,2026-06-03T00:00:00Z"), Run];
    for (moment, point) in [(Before, "online: update"), (After, "online: update")] {
        let dies = [DieIn(Box::new(Materialize), moment, point)];
        check_story(
            PROJECT,
            &[&begin[..], &dies, &more, &[Materialize, Features, Materialize]].concat(),
            "
            bronze.events built +3
            silver.keyed built +3
            bronze.events built +1
            silver.keyed built +1
            added: Full, 4 rows of 3
            merged: Full, 4 rows of 3
            s.added.events: 2 Present, 1 Present, 1 Present
            s.merged.merged: 2 Present, 1 Present, 1 Present
            added: UpToDate, 0 rows of 0
            merged: UpToDate, 0 rows of 0
        ",
        );
        // Of a view that has no records yet, a run's step loads them.
        let dies = [DieIn(Box::new(RunAll), moment, "online: load")];
        check_story(
            PROJECT,
            &[&begin[..], &dies, &more[..1], &[RunAll, Features, PlanAll]].concat(),
            "
            bronze.events built +3
            silver.keyed built +3
            bronze.events built +1
            service:s built
            silver.keyed built +1
            view:added built +4
            view:merged built +4
            s.added.events: 2 Present, 1 Present, 1 Present
            s.merged.merged: 2 Present, 1 Present, 1 Present
            (nothing)
        ",
        );
    }
}

/// An interrupted materialisation of new rows is continued, unless everything is asked for.
#[test]
fn everything_is_computed_anew_when_asked_in_the_midst_of_a_materialisation() {
    let (new, all) = (MaterializeRequest::default(), MaterializeRequest { full: true, ..Default::default() });
    let told = [
        (new.clone(), "added: Incremental, 2 rows of 2\nmerged: Incremental, 2 rows of 1"),
        (all, "added: Full, 5 rows of 2\nmerged: Full, 5 rows of 2"),
    ];
    let materialize = Act::Materialize(new);
    let grown = async || {
        let world = World::new(Definition::of(PROJECT));
        let rows =
            "id,customer_id,at\n1,1,2026-06-01T00:00:00Z\n2,1,2026-06-02T00:00:00Z\n3,2,2026-06-02T00:00:00Z";
        world.definition.script.put("events", "a", rows);
        world.run().await;
        world.act(&materialize).await;
        world.definition.script.append("events", "a", "4,2,2026-06-03T00:00:00Z");
        world.run().await;
        world
    };
    for (request, expected) in told {
        block_on(async {
            let line = Line::quiet();
            grown().await.act_on(&materialize, &line).await;
            let at = line.points().iter().position(|point| point.what.contains("online: update")).unwrap();
            let line = Line::harmed(Injection { at, moment: Before, harm: Harm::Death });
            let world = grown().await;
            assert_eq!(world.act_on(&materialize, &line).await, Ended::Died);
            world.definition.script.append("events", "a", "5,2,2026-06-04T00:00:00Z");
            world.run().await;
            assert_eq!(world.act(&Act::Materialize(request)).await, Ended::Well(expected.to_owned()));
        });
    }
}

/// Features have the same values whether their rows come in several rounds, and from changes, or all at once.
#[test]
fn from_changes_and_at_once_the_values_are_the_same() {
    let values = |rounds: u32, each: bool| {
        block_on(async move {
            let world = World::new(Definition::of(SHOP));
            for round in 0..rounds {
                crate::shop::arrive(&world.definition.script, round);
                if each || round + 1 == rounds {
                    world.run().await;
                    world.act(&crate::harness::Act::Materialize(Default::default())).await;
                }
            }
            Contents::of(&world, &[]).await.0.remove("features").unwrap()
        })
    };
    let (each, at_once) = (values(2, true), values(2, false));
    assert!(each.iter().all(|line| line.contains("Present")), "{each:#?}");
    assert_eq!(each, at_once);
}

const ALONE: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
contract:
  evolution: widen
  columns: {customer_id: {type: int64}, key: {type: string}, n: {type: int32}, text: {type: string}, at: {type: timestamp}}
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  a_bad: {from: bronze.events, time: at, features: {sum: {sum: \"cast(text as bigint)\"}}}
  z_good: {from: bronze.events, time: at, features: {events: {count: \"*\"}}}
services:
  s: [z_good.*]
";

#[test]
fn a_view_that_fails_keeps_no_other_back_and_is_named() {
    let rows = "customer_id,key,n,text,at\n1,a,1,7,2026-06-01T00:00:00Z";
    let steps = [
        Put("events/a", rows),
        Run,
        Materialize,
        Append("events/a", "1,a,2,x,2026-06-02T00:00:00Z"),
        Run,
        Materialize,
        Features,
    ];
    check_story(
        ALONE,
        &steps,
        "
        bronze.events built +1
        a_bad: Full, 1 rows of 1
        z_good: Full, 1 rows of 1
        bronze.events built +1
        ! z_good: Incremental, 1 rows of 1
        ! `a_bad` cannot be materialised: MS-0222
        s.z_good.events: 2 Present, 0 Missing, 0 Missing
    ",
    );
}

/// Such a key may come from a shifted file; the online store cannot be read for its entity either.
#[test]
fn a_row_whose_key_is_too_long_is_left_out_and_counted() {
    let text = ALONE
        .replace("key: customer_id}", "key: key}")
        .replace("  a_bad", "  b_good")
        .replace("cast(text as bigint)", "n");
    let rows = format!(
        "customer_id,key,n,text,at\n1,a,1,7,2026-06-01T00:00:00Z\n1,{},1,7,2026-06-01T00:00:00Z",
        "k".repeat(40_000)
    );
    let steps = [
        Put("events/a", Box::leak(rows.into_boxed_str())),
        Run,
        Materialize,
        Append("events/a", "1,a,2,7,2026-06-02T00:00:00Z"),
        Run,
        Materialize,
    ];
    check_story(
        &text,
        &steps,
        "
        bronze.events built +2
        b_good: Full, 1 rows of 1, 1 left out
        z_good: Full, 1 rows of 1, 1 left out
        bronze.events built +1
        b_good: Incremental, 1 rows of 1
        z_good: Incremental, 1 rows of 1
    ",
    );
}

/// The newer version of a service is filled although the older one cannot take a value that its type does not hold.
#[test]
fn an_older_version_whose_cast_fails_does_not_keep_the_current_one_back() {
    let narrow = ALONE
        .replace("  a_bad", "  b_good")
        .replace("{sum: {sum: \"cast(text as bigint)\"}}", "{n: {column: n}}");
    let narrow = narrow.replace("[z_good.*]", "[b_good.*]");
    let wide = narrow.replace("n: {type: int32}", "n: {type: int64}");
    let steps = [
        Put("events/a", "customer_id,key,n,text,at\n1,a,1,7,2026-06-01T00:00:00Z"),
        Run,
        Materialize,
        Features,
        Define(wide),
        Append("events/a", "1,a,5000000000,7,2026-06-02T00:00:00Z"),
        Run,
        Materialize,
        Features,
    ];
    check_story(
        &narrow,
        &steps,
        "
        bronze.events built +1
        b_good: Full, 1 rows of 1
        z_good: Full, 1 rows of 1
        s.b_good.n: 1 Present, - Missing, - Missing
        bronze.events built +1
        ! b_good: Full, 2 rows of 1
        ! z_good: Full, 2 rows of 1
        ! `b_good of s@1` cannot be materialised: MS-0222
        s.b_good.n: 1 Present, - Missing, - Missing
        s.b_good.n: 5000000000 Present, - Missing, - Missing
    ",
    );
}
