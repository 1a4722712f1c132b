//! Stories of rows that move, wait for others and come back, and of what partitions keep over grains, deaths and lost stores.

use millstream_engine::{PARTITIONS_MAX, RunRequest};
use millstream_state::Moment;

use crate::{
    harness::{Act, Definition, Step::*, World, block_on, check},
    kills,
    partitions::{DAYS, ROWS, project},
};

#[test]
fn a_key_that_moves_to_another_partition_is_lost_in_neither() {
    check(
        &project("partition: {by: day, column: day}\nchecks:\n  - unique: id", ROWS),
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5\n2,2026-06-01T11:00:00Z,6"),
            Run,
            Put("orders/a", "id,day,size\n1,2026-06-02T10:00:00Z,5\n2,2026-06-01T11:00:00Z,6"),
            RunNamed(&["source:orders"]),
            BackfillMissing("silver.t"),
            Rows("silver.t"),
        ],
        "
        bronze.names built +1
        bronze.orders built +2
        silver.t built +2
        bronze.orders built +2 -2
        silver.t built +2 -2
        finished, 2 of 2
        silver.t:
        id: 1, day: 2026-06-02T10:00:00Z, size: 5
        id: 2, day: 2026-06-01T11:00:00Z, size: 6
        ",
    );
}

#[test]
fn a_row_that_only_a_parameter_lets_in_is_noticed() {
    let header = format!("{DAYS}\nparameters: {{least: {{type: int64, default: 10}}}}");
    check(
        &project(&header, "SELECT id, day, size FROM bronze.orders WHERE size >= $least"),
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5\n2,2026-06-02T11:00:00Z,20"),
            Run,
            BackfillWith("silver.t", "2026-06-01", "least=0"),
            Append("orders/a", "3,2026-06-01T12:00:00Z,4"),
            Run,
            Rows("silver.t"),
        ],
        "
        bronze.names built +1
        bronze.orders built +2
        silver.t built +1
        silver.t built +1
        finished, 1 of 1
        bronze.orders built +1
        silver.t built +2 -1
        silver.t:
        id: 1, day: 2026-06-01T10:00:00Z, size: 5
        id: 2, day: 2026-06-02T11:00:00Z, size: 20
        id: 3, day: 2026-06-01T12:00:00Z, size: 4
        ",
    );
}

#[test]
fn a_row_that_gave_way_to_another_comes_back_when_that_one_goes() {
    check(
        &project("partition: {by: day, column: day}\nchecks:\n  - unique: id", ROWS),
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5"),
            Put("orders/b", "id,day,size\n1,2026-06-02T10:00:00Z,6"),
            Run,
            Rows("silver.t"),
            LoseState,
            Put("orders/a", "id,day,size\n2,2026-06-01T10:00:00Z,5"),
            Run,
            Rows("silver.t"),
        ],
        "
        bronze.names built +1
        bronze.orders built +2
        silver.t built +1, 1 rejected
        silver.t:
        id: 1, day: 2026-06-01T10:00:00Z, size: 5
        bronze.orders built +1 -1
        silver.t built +2 -1
        silver.t:
        id: 1, day: 2026-06-02T10:00:00Z, size: 6
        id: 2, day: 2026-06-01T10:00:00Z, size: 5
        ",
    );
}

#[test]
fn a_backfill_under_another_grain_leaves_no_row_and_no_partition_of_the_former() {
    let part = |header: &str| project(header, ROWS);
    check(
        &part("materialize: table"),
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2023-06-01T10:00:00Z,5\n2,2026-06-02T10:00:00Z,6"),
            Run,
            Define(part("partition: {by: day, column: day, from: 2024-01-01}")),
            BackfillMissing("silver.t"),
            Rows("silver.t"),
            Partitions("silver.t"),
            Define(part("partition: {by: month, column: day}")),
            Backfill("silver.t", "2026-06", "2026-07"),
            Partitions("silver.t"),
            Run,
            Rows("silver.t"),
            Partitions("silver.t"),
        ],
        "
        bronze.names built +1
        bronze.orders built +2
        silver.t built +2
        silver.t built +1 -2
        finished, 2 of 2
        silver.t:
        id: 2, day: 2026-06-02T10:00:00Z, size: 6
        2023-06-01..2023-06-01 built
        2026-06-02..2026-06-02 built
        silver.t built +1 -1
        finished, 1 of 1
        2023-06..2023-06 missing
        2026-06..2026-06 built
        silver.t built +1
        silver.t:
        id: 1, day: 2023-06-01T10:00:00Z, size: 5
        id: 2, day: 2026-06-02T10:00:00Z, size: 6
        2023-06..2023-06 built
        2026-06..2026-06 built
        ",
    );
}

#[test]
fn a_value_that_nobody_has_seen_is_no_partition() {
    let header = "partition: {by: value, column: name}\nparameters: {rate: {type: float64, default: 1.0}}";
    check(
        &project(header, "SELECT id, name, $rate * id AS rated FROM bronze.names"),
        &[
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5"),
            Put("names/a", "id,name\n1,north\n2,south"),
            Run,
            Append("names/a", "3,east\n4,west"),
            BackfillWith("silver.t", "wset", "rate=2"),
            Run,
            BackfillWith("silver.t", "west", "rate=2"),
            Rows("silver.t"),
            Partitions("silver.t"),
        ],
        "
        bronze.names built +2
        bronze.orders built +1
        silver.t built +2
        ! `silver.t` has no such partition: no row with `wset` in `name` was seen
        bronze.names built +2
        silver.t built +2
        silver.t built +1 -1
        finished, 1 of 1
        silver.t:
        id: 1, name: north, rated: 1.0
        id: 2, name: south, rated: 2.0
        id: 3, name: east, rated: 3.0
        id: 4, name: west, rated: 8.0
        north..north built
        south..south built
        east..east built
        west..west built {\"rate\":\"2\"}
        ",
    );
}

#[test]
fn a_value_that_was_held_back_is_built_after_the_state_store_was_lost() {
    let header =
        "partition: {by: value, column: name}\nchecks:\n  - {range: {column: id, max: 100}, severity: halt}";
    check(
        &project(header, "SELECT id, name FROM bronze.names"),
        &[
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5"),
            Put("names/a", "id,name\n1,north\n200,west"),
            Run,
            Append("names/a", "3,east"),
            Run,
            LoseState,
            Put("names/a", "id,name\n1,north\n2,west\n3,east"),
            Run,
            Rows("silver.t"),
            Partitions("silver.t"),
        ],
        "
        ! bronze.names built +2
        ! bronze.orders built +1
        ! silver.t halted: 1 partition (west): check range(id) failed for 1 row +1
        ! bronze.names built +1
        ! silver.t halted: 1 partition (west): check range(id) failed for 1 row +1
        bronze.names built +3 -3
        silver.t built +3 -2
        silver.t:
        id: 1, name: north
        id: 2, name: west
        id: 3, name: east
        east..east built
        north..north built
        west..west built
        ",
    );
}

#[test]
fn a_backfill_that_dies_after_its_commit_keeps_its_parameters() {
    let header = format!(
        "{DAYS}\nparameters: {{rate: {{type: int64, default: 1}}}}\nchecks:\n  - range: {{column: size, max: 100}}"
    );
    check(
        &project(&header, "SELECT id, day, size * $rate AS size FROM bronze.orders"),
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5\n2,2026-06-01T11:00:00Z,600"),
            Run,
            DieIn(
                Box::new(BackfillWith("silver.t", "2026-06-01", "rate=2")),
                Moment::After,
                "lake: put lake/silver/t/_delta_log",
            ),
            Run,
            Rows("silver.t"),
            Rejected("silver.t"),
            Partitions("silver.t"),
        ],
        "
        bronze.names built +1
        bronze.orders built +2
        silver.t built +1, 1 rejected
        silver.t built +1 -1, 1 rejected
        silver.t:
        id: 1, day: 2026-06-01T10:00:00Z, size: 10
        range(size): 1 rows, 0 of them halted
        `size` is 1200, above the maximum 100: {\"id\":2,\"day\":\"2026-06-01T11:00:00Z\",\"size\":1200}
        2026-06-01..2026-06-01 built {\"rate\":\"2\"}
        2026-06-01: range(size) 1
        ",
    );
}

#[test]
fn a_row_whose_counterpart_was_missing_comes_in_when_that_comes() {
    check(
        &project(&format!("{DAYS}\nchecks:\n  - relationship: {{column: id, to: bronze.names.id}}"), ROWS),
        &[
            Put("names/a", "id,name\n1,one"),
            Put(
                "orders/a",
                "id,day,size\n1,2026-06-01T10:00:00Z,5\n2,2026-06-02T10:00:00Z,6\n3,2026-06-02T11:00:00Z,7",
            ),
            Run,
            Append("names/a", "4,four"),
            Run,
            Append("names/a", "2,two"),
            Run,
            Rows("silver.t"),
            Rejected("silver.t"),
            Plan,
            // Whoever built the table alone finds out afterwards.
            Append("names/a", "3,three"),
            RunNamed(&["source:names"]),
            Plan,
            BackfillMissing("silver.t"),
            Run,
            Rejected("silver.t"),
            Plan,
        ],
        "
        bronze.names built +1
        bronze.orders built +3
        silver.t built +1, 2 rejected
        bronze.names built +1
        silver.t unchanged
        bronze.names built +1
        silver.t built +1, 1 rejected
        silver.t:
        id: 1, day: 2026-06-01T10:00:00Z, size: 5
        id: 2, day: 2026-06-02T10:00:00Z, size: 6
        relationship(id): 1 rows, 0 of them halted
        `id` 3 does not occur in `bronze.names.id`: {\"id\":3,\"day\":\"2026-06-02T11:00:00Z\",\"size\":7}
        (nothing)
        bronze.names built +1
        silver.t: 1 partition to build
        silver.t built +2 -1
        finished, 1 of 1
        (nothing)
        (nothing)
        (nothing)
        ",
    );
}

#[test]
fn a_row_waits_until_the_other_one_with_its_key_has_gone() {
    check(
        &project(&format!("{DAYS}\nchecks:\n  - unique: id"), ROWS),
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5"),
            Put("orders/b", "id,day,size\n1,2026-06-02T10:00:00Z,6\n2,2026-06-03T10:00:00Z,7"),
            Run,
            Append("orders/b", "3,2026-06-03T11:00:00Z,8"),
            Run,
            Put("orders/a", "id,day,size\n4,2026-06-01T10:00:00Z,5"),
            Run,
            Rows("silver.t"),
            Plan,
            // A backfill builds what it was asked for, and the next run the partition that it let a row into.
            Put("orders/c", "id,day,size\n4,2026-06-05T10:00:00Z,9"),
            Run,
            Put("orders/a", "id,day,size\n5,2026-06-01T10:00:00Z,5"),
            RunNamed(&["source:orders"]),
            Backfill("silver.t", "2026-06-01", "2026-06-02"),
            Partitions("silver.t"),
            Run,
            Rows("silver.t"),
            Plan,
        ],
        "
        bronze.names built +1
        bronze.orders built +3
        silver.t built +2, 1 rejected
        bronze.orders built +1
        silver.t built +2 -1
        bronze.orders built +1 -1
        silver.t built +2 -1
        silver.t:
        id: 1, day: 2026-06-02T10:00:00Z, size: 6
        id: 2, day: 2026-06-03T10:00:00Z, size: 7
        id: 3, day: 2026-06-03T11:00:00Z, size: 8
        id: 4, day: 2026-06-01T10:00:00Z, size: 5
        (nothing)
        bronze.orders built +1
        silver.t built, 1 rejected
        bronze.orders built +1 -1
        silver.t built +1 -1
        finished, 1 of 1
        2026-06-01..2026-06-03 built
        2026-06-05..2026-06-05 stale
        2026-06-05: unique(id) 1
        silver.t built +1
        silver.t:
        id: 1, day: 2026-06-02T10:00:00Z, size: 6
        id: 2, day: 2026-06-03T10:00:00Z, size: 7
        id: 3, day: 2026-06-03T11:00:00Z, size: 8
        id: 4, day: 2026-06-05T10:00:00Z, size: 9
        id: 5, day: 2026-06-01T10:00:00Z, size: 5
        (nothing)
        ",
    );
}

/// Rows that wait for a key and for a counterpart come in, wherever the process dies meanwhile.
#[test]
fn a_run_that_lets_rows_in_and_is_harmed_anywhere() {
    block_on(async {
        let checks = "checks:\n  - unique: id\n  - relationship: {column: size, to: bronze.names.id}";
        let world = World::new(Definition::of(&project(&format!("{DAYS}\n{checks}"), ROWS)));
        let script = &world.definition.script;
        script.put("names", "a", "id,name\n1,one");
        script.put("orders", "a", "id,day,size\n1,2026-06-01T10:00:00Z,1\n7,2026-06-04T10:00:00Z,2");
        script.put("orders", "b", "id,day,size\n1,2026-06-02T10:00:00Z,1\n2,2026-06-03T10:00:00Z,1");
        world.run().await;
        script.append("names", "a", "2,two");
        script.put("orders", "a", "id,day,size\n7,2026-06-04T10:00:00Z,2");
        kills::check("letting rows in", world, &[], Act::Run(RunRequest::default())).await;
    });
}

#[test]
fn a_value_that_no_row_has_is_no_partition_and_a_text_may_be_null() {
    check(
        &project("partition: {by: value, column: name}", "SELECT id, name FROM bronze.names"),
        &[
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5"),
            Put("names/a", "id,name\n1,null\n2,\n3,south"),
            Run,
            Partitions("silver.t"),
            Put("names/a", "id,name\n1,null\n2,\n4,west"),
            Run,
            Rows("silver.t"),
            Partitions("silver.t"),
            BackfillOnly("silver.t", "\"null\""),
            BackfillOnly("silver.t", "null"),
            BackfillOnly("silver.t", "south"),
        ],
        "
        bronze.names built +3
        bronze.orders built +1
        silver.t built +3
        null..null built
        \"null\"..\"null\" built
        south..south built
        bronze.names built +3 -3
        silver.t built +1 -1
        silver.t:
        id: 1, name: null
        id: 2
        id: 4, name: west
        null..null built
        \"null\"..\"null\" built
        west..west built
        silver.t built +1 -1
        finished, 1 of 1
        silver.t built +1 -1
        finished, 1 of 1
        silver.t built
        finished, 1 of 1
        ",
    );
}

/// A table of so many partitions of an hour is built, of which no more than `partitions_max` are built in one go.
async fn build_hours(count: usize, partitions_max: u64) -> World {
    let mut world = World::new(Definition::of(&project("partition: {by: hour, column: day}", ROWS)));
    world.partitions_max = partitions_max;
    let script = &world.definition.script;
    script.put("names", "a", "id,name\n1,one");
    let mut rows = "id,day,size".to_owned();
    for id in 0..count {
        let (hour, days) = (id % 24, id / 24);
        let (day, month, year) = (1 + days % 28, 1 + days / 28 % 12, 2020 + days / 28 / 12);
        rows.push_str(&format!("\n{id},{year}-{month:02}-{day:02}T{hour:02}:10:00Z,1"));
    }
    script.put("orders", "a", &rows);
    world.run().await;
    assert_eq!(world.rows("silver.t").await.len(), count);
    assert!(world.plan().await.is_empty());
    world
}

/// More partitions than are built in one go are built in several, by one run, the newest first.
#[test]
fn more_partitions_than_are_built_in_one_go_are_built_in_several() {
    block_on(async {
        let world = build_hours(53, 10).await;
        assert_eq!(world.partitions("silver.t").await, ["2020-01-01T00..2020-01-03T04 built"]);
        // Each has new rows, so that each is to be built once more.
        let script = &world.definition.script;
        let mut more = "id,day,size".to_owned();
        for id in 0..53 {
            let (hour, day) = (id % 24, 1 + id / 24);
            more.push_str(&format!("\n{},2020-01-{day:02}T{hour:02}:20:00Z,1", 1_000 + id));
        }
        script.put("orders", "b", &more);
        world.run().await;
        assert_eq!(world.rows("silver.t").await.len(), 106);
        assert!(world.plan().await.is_empty());
        assert_eq!(world.partitions("silver.t").await, ["2020-01-01T00..2020-01-03T04 built"]);
    });
}

#[test]
#[ignore = "tens of thousands of files take minutes"]
fn more_partitions_than_are_usually_built_in_one_go_are_built_in_several() {
    block_on(async { drop(build_hours(20_100, PARTITIONS_MAX).await) });
}
