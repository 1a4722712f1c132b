//! What is damaged or lost is made again where that may be, within bounds, and is always on record.

use std::time::Duration;

use futures::TryStreamExt;
use millstream_engine::{Engine, EngineError, RepairAction, RepairRecord, RepairState, RunRequest};
use millstream_sql::SqlError;
use millstream_types::AssetId;

use crate::{
    harness::{Act, Definition, Ended, Line, World, Wound, block_on},
    scheduled::{Process, until},
};

const EVENTS: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: every 1h
retry: {attempts: 1}
contract: {columns: {id: {type: int64, required: true}}}
=== tables/silver/events.sql
/*---
materialize: incremental
---*/
SELECT id FROM bronze.events
=== tables/gold/total.sql
SELECT id, row_number() OVER (ORDER BY id) AS place FROM silver.events
";

async fn world(text: &str) -> World {
    let world = World::new(Definition::of(text));
    world.definition.script.put("events", "a", "id\n1\n2");
    world.run().await;
    world
}

async fn repairs(world: &World) -> Vec<RepairRecord> {
    world.state().await.repairs(99).await.unwrap()
}

fn shown(repair: &RepairRecord) -> String {
    let RepairRecord { asset, code, action, state, .. } = repair;
    format!("{asset} {code} {} {}", action.as_str(), state.as_str())
}

#[test]
fn a_table_whose_file_is_damaged_is_made_again_by_a_step_of_its_own() {
    block_on(async {
        let world = world(EVENTS).await;
        world.shelf.spoil_rows("silver.events").await;
        world.definition.script.put("events", "b", "id\n3");
        let process = Process::start(&world, &Line::quiet()).await;
        until("it is not repaired", async || {
            let repairs = repairs(&world).await;
            repairs.first().is_some_and(|repair| repair.state == RepairState::Repaired)
        })
        .await;
        let repairs = repairs(&world).await;
        assert_eq!(repairs.len(), 1, "{repairs:?}");
        assert_eq!((repairs[0].asset.as_str(), repairs[0].action), ("silver.events", RepairAction::Rebuild));
        until("what reads it does not go on", async || world.rows("gold.total").await.len() == 3).await;
        assert_eq!(world.rows("silver.events").await.len(), 3);
        until("a step is still failed", async || {
            let steps = world.state().await.latest_steps().await.unwrap();
            steps.iter().all(|step| step.outcome.as_str() != "failed")
        })
        .await;
        until("it is still stale", async || process.engine.stale().await.unwrap().is_empty()).await;
        process.stop().await;
    });
}

/// How somebody comes to read the table.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// A table that takes in what has changed of it.
    Changes,
    /// A table that is made of all of it.
    Whole,
    Statement,
    Compaction,
}

/// The error of a statement.
async fn ask(engine: &Engine, sql: &str) -> SqlError {
    match engine.session().query(sql, None).await {
        Ok(mut rows) => loop {
            match rows.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the statement was answered"),
                Err(error) => return SqlError::from_datafusion(error),
            }
        },
        Err(error) => error,
    }
}

const READERS: &str = "
=== tables/gold/copy.sql
/*---
materialize: incremental
key: id
---*/
SELECT id FROM silver.events
";

#[test]
fn damage_of_every_kind_is_put_on_record_whoever_meets_it() {
    let run =
        |asset: &str| Act::Run(RunRequest { selection: vec![asset.to_owned()], ..RunRequest::default() });
    for wound in Wound::ALL {
        for reader in [Reader::Changes, Reader::Whole, Reader::Statement, Reader::Compaction] {
            block_on(async {
                let world = world(&format!("{EVENTS}{READERS}")).await;
                world.definition.script.put("events", "b", "id\n3");
                for asset in ["bronze.events", "silver.events"] {
                    assert!(matches!(world.act(&run(asset)).await, Ended::Well(_)));
                }
                world.shelf.wound_rows("silver.events", wound).await;
                let engine = world.engine(&Line::quiet()).await;
                match reader {
                    Reader::Changes => drop(world.act(&run("gold.copy")).await),
                    Reader::Whole => drop(world.act(&run("gold.total")).await),
                    Reader::Compaction => drop(world.act(&Act::Maintain(Duration::from_secs(60))).await),
                    Reader::Statement => {
                        let error = ask(&engine, "SELECT max(id + 1) FROM silver.events").await;
                        engine.look_for_damage(&EngineError::Query(error)).await;
                    }
                }
                let found: Vec<String> = repairs(&world).await.iter().map(shown).collect();
                assert_eq!(found, ["silver.events MS-0417 rebuild due"], "{wound:?} {reader:?}");
            });
        }
    }
}

#[test]
fn landed_rows_that_are_damaged_are_left_to_a_person() {
    block_on(async {
        let world = world(EVENTS).await;
        world.shelf.spoil_rows("bronze.events").await;
        let request = RunRequest {
            selection: vec!["silver.events".to_owned()],
            full_refresh: true,
            ..RunRequest::default()
        };
        assert!(matches!(world.act(&Act::Run(request)).await, Ended::Badly(_)));
        let found = repairs(&world).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(shown(&found[0]), "bronze.events MS-0417 leave given_up");
        // Landing the source again by hand ends it.
        let again = RunRequest {
            selection: vec!["bronze.events".to_owned()],
            full_refresh: true,
            ..RunRequest::default()
        };
        assert!(matches!(world.act(&Act::Run(again)).await, Ended::Well(_)));
        assert_eq!(repairs(&world).await[0].state, RepairState::Repaired);
        // What went with the damaged file cannot be told from it, so that what is kept up to date by changes is made again too.
        let all = RunRequest { full_refresh: true, ..RunRequest::default() };
        assert!(matches!(world.act(&Act::Run(all)).await, Ended::Well(_)));
    });
}

#[test]
fn a_table_that_is_damaged_again_and_again_is_left_after_three_repairs_of_a_day() {
    block_on(async {
        let world = world(EVENTS).await;
        let again = RunRequest {
            selection: vec!["silver.events".to_owned()],
            full_refresh: true,
            ..RunRequest::default()
        };
        let reader = RunRequest {
            selection: vec!["gold.total".to_owned()],
            full_refresh: true,
            ..RunRequest::default()
        };
        for round in 1..=4 {
            world.shelf.spoil_rows("silver.events").await;
            assert!(matches!(world.act(&Act::Run(reader.clone())).await, Ended::Badly(_)), "{round}");
            let found = repairs(&world).await;
            let state = if round <= 3 { RepairState::Due } else { RepairState::GivenUp };
            assert_eq!((found.len(), found[0].state), (round, state), "{found:?}");
            assert!(matches!(world.act(&Act::Run(again.clone())).await, Ended::Well(_)), "{round}");
            world.clock.pass(60);
        }
        world.shelf.spoil_rows("silver.events").await;
        world.clock.pass(24 * 60 * 60);
        world.act(&Act::Run(reader)).await;
        assert_eq!(repairs(&world).await[0].state, RepairState::Due, "another day");
        let engine = world.engine(&Line::quiet()).await;
        assert!(engine.clear_repairs(&AssetId::new("silver.events")).await.unwrap());
        assert!(!engine.clear_repairs(&AssetId::new("silver.events")).await.unwrap());
    });
}

#[test]
fn a_position_that_is_gone_halts_where_nothing_else_is_said() {
    block_on(async {
        let world = world(EVENTS).await;
        world.definition.script.append("events", "a", "3");
        world.definition.script.lose_position("events", "a");
        let ended = world.act(&Act::Run(RunRequest::default())).await;
        let Ended::Badly(text) = ended else { panic!("{ended:?}") };
        assert!(text.contains("MS-0307") && text.contains("is gone: the log begins behind it"), "{text}");
        assert_eq!(world.rows("bronze.events").await.len(), 2);
        assert!(repairs(&world).await.is_empty());
    });
}

#[test]
fn a_position_that_is_gone_is_made_up_for_by_reading_the_part_again_where_the_source_says_so() {
    for landing in ["", "landing: merge\n"] {
        block_on(async {
            let key = if landing.is_empty() { "" } else { "key: id, " };
            let text = EVENTS.replace(
                "retry: {attempts: 1}\ncontract: {columns",
                &format!(
                    "retry: {{attempts: 1}}\non_lost_position: resync\n{landing}contract: {{{key}columns"
                ),
            );
            let world = world(&text).await;
            world.definition.script.put("events", "other", "id\n9");
            world.run().await;
            // What came before 2 is gone from the place, and 3 is new.
            world.definition.script.put("events", "a", "id\n2\n3");
            world.definition.script.lose_position("events", "a");
            world.run().await;
            assert_eq!(world.rows("bronze.events").await.len(), 3, "{landing}");
            let found: Vec<String> = repairs(&world).await.iter().map(shown).collect();
            assert_eq!(found, ["bronze.events MS-0307 resync repaired"]);
            world.definition.script.append("events", "a", "4");
            world.run().await;
            assert_eq!(world.rows("silver.events").await.len(), 4, "it goes on from there");
        });
    }
}
