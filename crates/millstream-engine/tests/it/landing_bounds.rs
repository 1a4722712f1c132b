//! Landing in portions: what waits is taken in by several commits of bounded size, and the source is told of each.

use std::collections::BTreeMap;

use millstream_connector::Bound as Bounds;
use millstream_engine::RunRequest;
use millstream_state::Moment;

use crate::{
    harness::{
        Act, Call, Definition, Ended, Harm, Injection, Line, Step, Step::*, World, block_on,
        check as check_story,
    },
    landing::{check, project},
};

#[test]
fn a_backlog_lands_in_commits_of_bounded_size() {
    let steps = [
        Bound("orders", 2),
        Put("orders/a", "id,note\n1,a\n2,b\n3,c\n4,d\n5,e"),
        Put("orders/b", "id,note\n6,f"),
        Put("orders/c", "id,note\n7,g\n8,h"),
        Run,
        Run,
        RowsAt("bronze.orders", 0),
        RowsAt("bronze.orders", 1),
        RowsAt("bronze.orders", 2),
        Acknowledged("orders"),
    ];
    check(
        "",
        &steps,
        "
        bronze.orders built +8
        (nothing)
        bronze.orders at 0:
        id: 1, note: a, _source: a, _position: 1
        id: 2, note: b, _source: a, _position: 2
        bronze.orders at 1:
        id: 1, note: a, _source: a, _position: 1
        id: 2, note: b, _source: a, _position: 2
        id: 3, note: c, _source: a, _position: 3
        id: 4, note: d, _source: a, _position: 4
        bronze.orders at 2:
        id: 1, note: a, _source: a, _position: 1
        id: 2, note: b, _source: a, _position: 2
        id: 3, note: c, _source: a, _position: 3
        id: 4, note: d, _source: a, _position: 4
        id: 5, note: e, _source: a, _position: 5
        id: 6, note: f, _source: b, _position: 1
        a is safe up to 5
        b is safe up to 1
        c is safe up to 2
        bronze.orders:
        id: 1, note: a
        id: 2, note: b
        id: 3, note: c
        id: 4, note: d
        id: 5, note: e
        id: 6, note: f
        id: 7, note: g
        id: 8, note: h
        a up to 5
        b up to 1
        c up to 2
    ",
    );
}

/// Checks of counts and of freshness wait for the last portion, and a bounded landing looks at its source once.
#[test]
fn a_backlog_is_judged_as_a_whole() {
    let contract = "columns: {id: {type: int64}, at: {type: timestamp}}\ntime: at\nfreshness: 1d\n\
                    checks: [{row_count: {min: 4}}, {mean: {column: id, max: 9}}]\non_violation: halt";
    let old = "id,at\n1,2026-01-01T00:00:00Z\n2,2026-01-02T00:00:00Z\n";
    let steps = [
        Bound("orders", 1),
        Put("orders/a", old),
        Run,
        Append("orders/a", "3,2026-03-01T00:00:00Z\n4,2026-07-01T00:00:00Z"),
        Run,
        Append("orders/a", "90,2026-07-01T00:00:00Z\n5,2026-07-01T00:00:00Z"),
        Run,
        Checks("bronze.orders"),
    ];
    check(
        contract,
        &steps,
        "
        ! bronze.orders halted: check row_count failed: the table has 2 rows: the minimum is 4 +1
        bronze.orders built +3
        ! bronze.orders halted: check mean(id) failed: the mean of `id` is 20: the maximum is 9
        built 0 s ago
        freshness(at) passed: 0s
        mean(id) failed: 20
        row_count passed: 4
        type(at) passed: 0
        type(id) passed: 0
        bronze.orders:
        id: 1, at: 2026-01-01T00:00:00Z
        id: 2, at: 2026-01-02T00:00:00Z
        id: 3, at: 2026-03-01T00:00:00Z
        id: 4, at: 2026-07-01T00:00:00Z
        a up to 4
    ",
    );
    block_on(async {
        let world = World::new(Definition::of(&project("")));
        world.definition.script.bound("orders", Bounds { rows: Some(1), ..Bounds::NONE });
        world.definition.script.put("orders", "a", "id,note\n1,a\n2,b\n3,c");
        let line = Line::quiet();
        world.act_on(&Act::Run(RunRequest::default()), &line).await;
        let looks = line.points().iter().filter(|point| point.what.starts_with("source: Discover")).count();
        assert_eq!(looks, 1);
    });
}

#[test]
fn a_transaction_lands_as_a_whole() {
    let steps = [
        Bound("orders", 2),
        Put("orders/log", "?,id,note\ni,1,a\ni+,2,b\ni+,3,c\ni,4,d\n-,,\n-,,\ni,5,e"),
        Run,
        RowsAt("bronze.orders", 0),
        RowsAt("bronze.orders", 1),
    ];
    check(
        "",
        &steps,
        "
        bronze.orders built +5
        bronze.orders at 0:
        id: 1, note: a, _source: log, _position: 1
        id: 2, note: b, _source: log, _position: 2
        id: 3, note: c, _source: log, _position: 3
        id: 4, note: d, _source: log, _position: 4
        bronze.orders at 1:
        id: 1, note: a, _source: log, _position: 1
        id: 2, note: b, _source: log, _position: 2
        id: 3, note: c, _source: log, _position: 3
        id: 4, note: d, _source: log, _position: 4
        bronze.orders:
        id: 1, note: a
        id: 2, note: b
        id: 3, note: c
        id: 4, note: d
        id: 5, note: e
        log up to 7
    ",
    );
}

/// Portions that were landed before one is refused stay, and are not landed again.
#[test]
fn a_portion_that_halts_leaves_those_before_it() {
    let contract = "columns: {id: {type: int64, range: [0, 9]}, note: {type: string}}\non_violation: halt";
    let steps = [
        Bound("orders", 2),
        Put("orders/a", "id,note\n1,a\n2,b\n30,c\n4,d"),
        Run,
        Rows("bronze.orders"),
        Positions("orders"),
        Define(project(&contract.replace("[0, 9]", "[0, 99]"))),
        Run,
    ];
    check(
        contract,
        &steps,
        "
        ! bronze.orders halted: check range(id) failed for 1 row +2
        bronze.orders:
        id: 1, note: a
        id: 2, note: b
        a up to 2
        bronze.orders built +2
        bronze.orders:
        id: 1, note: a
        id: 2, note: b
        id: 30, note: c
        id: 4, note: d
        a up to 4
    ",
    );
}

/// The old and the new rows of a replaced part leave and come in one commit.
#[test]
fn a_replaced_part_lands_as_a_whole() {
    let steps = [
        Put("orders/a", "id,note\n1,a\n2,b\n3,c"),
        Run,
        Bound("orders", 1),
        Put("orders/a", "id,note\n4,d\n5,e\n6,f"),
        Put("orders/b", "id,note\n7,g\n8,h"),
        Run,
        RowsAt("bronze.orders", 1),
        RunAnew(&["bronze.orders"]),
        RowsAt("bronze.orders", 4),
    ];
    check(
        "",
        &steps,
        "
        bronze.orders built +3
        bronze.orders built +5 -3
        bronze.orders at 1:
        id: 4, note: d, _source: a, _position: 1
        id: 5, note: e, _source: a, _position: 2
        id: 6, note: f, _source: a, _position: 3
        bronze.orders built +5 -5
        bronze.orders at 4:
        id: 4, note: d, _source: a, _position: 1
        id: 5, note: e, _source: a, _position: 2
        id: 6, note: f, _source: a, _position: 3
        id: 7, note: g, _source: b, _position: 1
        id: 8, note: h, _source: b, _position: 2
        bronze.orders:
        id: 4, note: d
        id: 5, note: e
        id: 6, note: f
        id: 7, note: g
        id: 8, note: h
        a up to 3
        b up to 2
    ",
    );
}

#[test]
fn a_process_that_dies_between_portions_is_followed_by_one_that_goes_on() {
    let steps = [
        Bound("orders", 2),
        Put("orders/a", "id,note\n1,a\n2,b\n3,c\n4,d\n5,e"),
        Die(Moment::Before, "source: Acknowledge"),
        Rows("bronze.orders"),
        Run,
    ];
    check(
        "",
        &steps,
        "
            bronze.orders:
            id: 1, note: a
            id: 2, note: b
            bronze.orders built +3
            bronze.orders:
            id: 1, note: a
            id: 2, note: b
            id: 3, note: c
            id: 4, note: d
            id: 5, note: e
            a up to 5
        ",
    );
}

#[test]
fn a_source_is_told_again_what_it_did_not_hear() {
    let told = |steps: &[Step], expected: &str| {
        let start = [Put("orders/a", "id,note\n1,a\n2,b")];
        check_story(&project(""), &[&start, steps].concat(), expected);
    };
    // The commit stands, the next run tells the source.
    told(
        &[
            Fail("orders", Call::Acknowledge, Harm::Lasting, 1),
            Run,
            Notes,
            Acknowledged("orders"),
            Run,
            Acknowledged("orders"),
        ],
        "
        bronze.orders built +2
        bronze.orders begins
        bronze.orders: what was landed is safe, but the source could not be told so, and is told again by the next run: MS-0302 source `orders` cannot be read: the script says so
        bronze.orders ends
        (nothing)
        (nothing)
        a is safe up to 2
    ",
    );
    // As long as the source cannot be told, each run says so.
    told(
        &[Run, Fail("orders", Call::Acknowledge, Harm::Passing, 2), Notes, Run, Notes, Run],
        "
        bronze.orders built +2
        bronze.orders begins
        bronze.orders ends
        bronze.orders unchanged
        bronze.orders begins
        bronze.orders: what was landed is safe, but the source could not be told so, and is told again by the next run: MS-0301 source `orders` cannot be read: cannot reach `orders`: the script says so
        bronze.orders ends
        (nothing)
    ",
    );
}

#[test]
fn a_process_that_died_before_it_told_the_source_is_followed_by_one_that_tells_it() {
    block_on(async {
        let filled = || {
            let world = World::new(Definition::of(&project("")));
            world.definition.script.put("orders", "a", "id,note\n1,a\n2,b");
            world
        };
        let (run, line) = (Act::Run(RunRequest::default()), Line::quiet());
        filled().act_on(&run, &line).await;
        let points = line.points();
        let at = points.iter().position(|point| point.what.starts_with("source: Acknowledge")).unwrap();
        let world = filled();
        let line = Line::harmed(Injection { at, moment: Moment::Before, harm: Harm::Death });
        assert_eq!(world.act_on(&run, &line).await, Ended::Died);
        let acknowledged = || world.definition.script.acknowledged("orders");
        assert_eq!(acknowledged(), BTreeMap::new());
        assert_eq!(world.run().await, "", "all is landed");
        assert_eq!(acknowledged(), BTreeMap::from([("a".to_owned(), 2)]));
    });
}
