//! Tables with partitions: only what has changed is built, each partition is judged by itself, and whatever happened, the rows are
//! those of a table without partitions.

use std::num::NonZeroUsize;

use millstream_engine::{BackfillRequest, BackfillWish, PartitionGrain, RunRequest};
use millstream_state::Moment;

use crate::{
    harness::{Act, Definition, Ended, Step::*, World, block_on, check, diagnostics},
    kills,
    shop::{SHOP, arrive},
};

/// One source and one table, `silver.t`, with this header and query.
pub(crate) fn project(header: &str, sql: &str) -> String {
    format!(
        "=== sources/orders.yaml\n\
         connector: {{type: scripted, place: orders}}\n\
         contract: {{columns: {{id: {{type: int64, required: true}}, day: {{type: timestamp}}, size: {{type: int64}}}}}}\n\
         === sources/names.yaml\n\
         connector: {{type: scripted, place: names}}\n\
         contract: {{columns: {{id: {{type: int64, required: true}}, name: {{type: string}}}}}}\n\
         === tables/silver/t.sql\n\
         /*---\n{header}\n---*/\n{sql}\n"
    )
}

const DAYS: &str = "partition: {by: day, column: day}";
const ROWS: &str = "SELECT id, day, size FROM bronze.orders";

#[test]
fn a_late_row_builds_its_day_alone() {
    check(
        &project(DAYS, ROWS),
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5\n2,2026-06-02T10:00:00Z,6\n3,,7"),
            Run,
            Partitions("silver.t"),
            Append("orders/a", "4,2026-06-01T11:00:00Z,8"),
            Append("orders/a", "5,2026-06-09T11:00:00Z,9"),
            Run,
            Rows("silver.t"),
            Partitions("silver.t"),
            Run,
        ],
        "
        bronze.names built +1
        bronze.orders built +3
        silver.t built +3
        null..null built
        2026-06-01..2026-06-02 built
        bronze.orders built +2
        silver.t built +3 -1
        silver.t:
        id: 1, day: 2026-06-01T10:00:00Z, size: 5
        id: 2, day: 2026-06-02T10:00:00Z, size: 6
        id: 3, size: 7
        id: 4, day: 2026-06-01T11:00:00Z, size: 8
        id: 5, day: 2026-06-09T11:00:00Z, size: 9
        null..null built
        2026-06-01..2026-06-02 built
        2026-06-09..2026-06-09 built
        (nothing)
        ",
    );
}

#[test]
fn a_backfill_builds_its_range_and_a_run_the_rest() {
    check(
        &project(DAYS, ROWS),
        &[
            Put("names/a", "id,name\n1,one"),
            Put(
                "orders/a",
                "id,day,size\n1,2026-06-01T10:00:00Z,5\n2,2026-06-02T10:00:00Z,6\n3,2026-06-04T10:00:00Z,7",
            ),
            RunNamed(&["source:orders"]),
            Backfill("silver.t", "2026-06-01", "2026-06-03"),
            Rows("silver.t"),
            Partitions("silver.t"),
            Backfill("silver.t", "2026-06-01", "2026-06-03"),
            BackfillMissing("silver.t"),
            Partitions("silver.t"),
            Plan,
        ],
        "
        bronze.orders built +3
        silver.t built +2
        finished, 2 of 2
        silver.t:
        id: 1, day: 2026-06-01T10:00:00Z, size: 5
        id: 2, day: 2026-06-02T10:00:00Z, size: 6
        2026-06-01..2026-06-02 built
        2026-06-04..2026-06-04 missing
        silver.t unchanged
        finished, 0 of 0
        silver.t built +1
        finished, 1 of 1
        2026-06-01..2026-06-02 built
        2026-06-04..2026-06-04 built
        bronze.names: never built
        ",
    );
}

#[test]
fn a_partition_is_halted_alone() {
    check(
        &project(
            "partition: {by: day, column: day}\nchecks:\n  - range: {column: size, max: 10}\n    severity: halt",
            ROWS,
        ),
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5\n2,2026-06-02T10:00:00Z,60"),
            Run,
            Rows("silver.t"),
            Partitions("silver.t"),
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5\n2,2026-06-02T10:00:00Z,6"),
            Run,
            Partitions("silver.t"),
        ],
        "
        ! bronze.names built +1
        ! bronze.orders built +2
        ! silver.t halted: 1 partition (2026-06-02): check range(size) failed for 1 row +1
        silver.t:
        id: 1, day: 2026-06-01T10:00:00Z, size: 5
        2026-06-01..2026-06-01 built
        2026-06-02..2026-06-02 failed check range(size) failed for 1 row
        2026-06-02: range(size) 1
        bronze.orders built +2 -2
        silver.t built +1
        2026-06-01..2026-06-02 built
        ",
    );
}

#[test]
fn values_part_a_table_and_a_parameter_belongs_to_its_partition() {
    let header = "partition: {by: value, column: name}\nparameters: {rate: {type: float64, default: 1.0}}";
    check(
        &project(header, "SELECT id, name, $rate * id AS rated FROM bronze.names"),
        &[
            Put("orders/a", "id,day,size\n1,2026-06-01T10:00:00Z,5"),
            Put("names/a", "id,name\n1,north\n2,south\n3,"),
            Run,
            BackfillWith("silver.t", "south", "rate=2"),
            Append("names/a", "4,south"),
            Append("names/a", "5,west"),
            Run,
            Rows("silver.t"),
            Partitions("silver.t"),
        ],
        "
        bronze.names built +3
        bronze.orders built +1
        silver.t built +3
        silver.t built +1 -1
        finished, 1 of 1
        bronze.names built +2
        silver.t built +3 -1
        silver.t:
        id: 1, name: north, rated: 1.0
        id: 2, name: south, rated: 4.0
        id: 3, rated: 3.0
        id: 4, name: south, rated: 8.0
        id: 5, name: west, rated: 5.0
        null..null built
        north..north built
        south..south built {\"rate\":\"2\"}
        west..west built
        ",
    );
}

pub(crate) fn request(from: &str, to: &str) -> BackfillRequest {
    BackfillRequest {
        asset: "silver.t".to_owned(),
        wish: BackfillWish::Between { from: from.to_owned(), to: Some(to.to_owned()) },
        ..BackfillRequest::default()
    }
}

/// A world whose orders of ten days have landed.
async fn landed() -> World {
    let checks = "checks:\n  - unique: id\n  - range: {column: size, max: 100}";
    let world = World::new(Definition::of(&project(&format!("{DAYS}\n{checks}"), ROWS)));
    let script = &world.definition.script;
    script.put("names", "a", "id,name\n1,one");
    let mut rows = "id,day,size".to_owned();
    for id in 0..20 {
        let size = if id % 7 == 3 { 1_000 } else { id };
        rows.push_str(&format!("\n{id},2026-06-{:02}T10:00:00Z,{size}", 1 + id % 10));
    }
    script.put("orders", "a", &rows);
    world
}

#[test]
fn a_backfill_that_is_harmed_anywhere() {
    block_on(async {
        let world = landed().await;
        let sources = RunRequest {
            selection: vec!["source:orders".into(), "source:names".into()],
            ..RunRequest::default()
        };
        world.act(&Act::Run(sources)).await;
        let parallel = NonZeroUsize::new(2);
        let by = Some(PartitionGrain::Day);
        let act = Act::Backfill(BackfillRequest { parallel, by, ..request("2026-06-02", "2026-06-07") });
        kills::check("backfill", world, &[], act).await;
    });
}

#[test]
fn a_run_over_partitions_that_is_harmed_anywhere() {
    block_on(async {
        let world = landed().await;
        kills::check("first run over partitions", landed().await, &[], Act::Run(RunRequest::default())).await;
        world.run().await;
        world.definition.script.append("orders", "a", "50,2026-06-03T12:00:00Z,7");
        world.definition.script.append("orders", "a", "51,2026-06-20T12:00:00Z,7000");
        kills::check("next run over partitions", world, &[], Act::Run(RunRequest::default())).await;
    });
}

#[test]
fn what_cannot_be_parted_is_refused() {
    let refused = |header: &str, expected: &str| {
        let found = diagnostics(&project(header, ROWS)).join("\n");
        assert!(found.contains(expected), "{header}: {found}");
    };
    refused(
        "materialize: view\npartition: {by: day, column: day}",
        "MS-0271 `partition` has no meaning for a view",
    );
    refused("materialize: history\nkey: id\npartition: {by: day, column: day}", "no meaning for a history");
    refused(
        "materialize: incremental\nkey: id\npartition: {by: day, column: day}",
        "for an incremental table",
    );
    refused("partition: {by: day, column: size}", "MS-0274 `size` is int64, not a timestamp or a date");
    refused("partition: {by: value, column: day}", "MS-0274");
    refused("partition: {by: day, column: nothing}", "the result has no column `nothing`");
    refused("partition: {by: day, column: day, zone: Europe/Berln}", "`Europe/Berln` is no time zone");
    refused(
        "partition: {by: hour, column: day, zone: Europe/Berlin}",
        "`zone` has no meaning for `by: hour`",
    );
    refused("partition: {by: value, column: id, from: 2024}", "`from` has no meaning for `by: value`");
    refused(
        "partition: {by: month, column: day, from: 2024-01-15}",
        "`2024-01-15` is not where a partition begins",
    );
    refused("partition: {by: decade, column: day}", "decade");
    refused("partition: {column: day}", "`by`");
    refused("partition: 3", "expected partitions, found the number `3`");
    refused(
        "partition: {by: day, column: day}\nchecks:\n  - row_count: {change: 50%}",
        "`row_count` of a table with partitions counts the rows of each partition",
    );
    refused("parameters: {rate: {type: float64, default: much}}", "MS-0272 `much` is no float64");
    refused("parameters: {rate: {type: timestamp, default: 1}}", "a parameter cannot be a timestamp");
    refused("parameters: {Rate: {type: int64, default: 1}}", "`Rate` cannot be the name of a parameter");
    for (query, why) in [
        ("SELECT id, day FROM bronze.orders ORDER BY id LIMIT 3", "a LIMIT may keep other rows each time"),
        ("SELECT id, day, random() AS chance FROM bronze.orders", "`random` gives another value each time"),
    ] {
        let found = diagnostics(&project(DAYS, query)).join("\n");
        assert!(found.contains("MS-0274") && found.contains(why), "{query}: {found}");
    }
    let unknown = diagnostics(&project(DAYS, "SELECT id, day, $rate AS rate FROM bronze.orders")).join("\n");
    assert!(unknown.contains("MS-0273 there is no parameter `rate`"), "{unknown}");
}

/// The chain of tables behind one another: what one builds of a partition, the next one sees as a change of that partition.
#[test]
fn a_table_behind_builds_the_same_partitions() {
    let text = project(DAYS, ROWS)
        + "=== tables/gold/sums.sql\n/*---\npartition: {by: month, column: month}\n---*/\n\
           SELECT date_trunc('month', day) AS month, sum(size) AS size FROM silver.t GROUP BY 1\n";
    check(
        &text,
        &[
            Put("names/a", "id,name\n1,one"),
            Put("orders/a", "id,day,size\n1,2026-05-01T10:00:00Z,5\n2,2026-06-02T10:00:00Z,6"),
            Run,
            Append("orders/a", "3,2026-06-05T10:00:00Z,7"),
            Run,
            Rows("gold.sums"),
        ],
        "
        bronze.names built +1
        bronze.orders built +2
        silver.t built +2
        gold.sums built +2
        bronze.orders built +1
        silver.t built +1
        gold.sums built +1 -1
        gold.sums:
        month: 2026-05-01T00:00:00Z, size: 5
        month: 2026-06-01T00:00:00Z, size: 13
        ",
    );
}

/// Features, labels, datasets and rejected rows over tables with partitions are those over tables without, as parts come, grow, are
/// replaced, and a maintenance goes by.
#[test]
fn what_is_made_of_partitions_is_made_of_rows() {
    let parted = SHOP
        .replace("materialize: incremental\nkey: order_id", "partition: {by: day, column: ordered_at}")
        .replace(
            "materialize: incremental\ntime: day\npartition: day",
            "partition: {by: month, column: day}",
        );
    assert_ne!(parted, SHOP);
    block_on(async {
        let worlds = [World::new(Definition::of(SHOP)), World::new(Definition::of(&parted))];
        for round in 0..4 {
            let mut told = Vec::new();
            for world in &worlds {
                if round < 3 {
                    arrive(&world.definition.script, round);
                }
                let keeping = Act::Maintain(std::time::Duration::from_secs(60));
                for act in [Act::RunAll(RunRequest::default()), Act::Dataset("churn"), keeping] {
                    let ended = world.act(&act).await;
                    assert!(matches!(ended, Ended::Well(_)), "round {round}: {ended:?}");
                }
                let mut seen = world.features().await;
                for table in ["silver.orders", "gold.daily", "gold.labels", "silver.orders__rejected"] {
                    seen.extend(world.rows(table).await);
                }
                // A dataset has the order of its labels, and a table has none.
                let mut labelled = world.dataset("churn").await;
                labelled.sort();
                seen.extend(labelled);
                assert!(world.plan_all().await.is_empty(), "round {round}");
                told.push(seen);
                world.clock.pass(3_600);
            }
            assert_eq!(told.first(), told.last(), "round {round}");
        }
    });
}

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
