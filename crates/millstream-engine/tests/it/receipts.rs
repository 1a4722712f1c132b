//! Receipts: each row is counted where it goes, a naive count gives the same numbers, and a row that is lost or doubled anywhere
//! on its way stops the step before anything becomes visible.

use std::collections::BTreeMap;

use millstream_connector::Bound;
use millstream_engine::{MaterializeRequest, RunRequest};
use millstream_state::{Proof, Receipt, State, StepOutcome};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::harness::{Act, Definition, Ended, Tamper, World, block_on};

/// A source that is merged by `id`; a note has at most five characters.
const MERGED: &str = "
=== sources/a.yaml
connector: {type: scripted, place: a}
landing: merge
contract:
  key: id
  columns: {id: {type: int64}, note: {type: string, length: [0, 5]}}
";

/// A source that appends, a table that leaves rows out, and one that does so from what is new.
const APPENDED: &str = "
=== sources/a.yaml
connector: {type: scripted, place: a}
contract:
  columns: {id: {type: int64, required: true}, note: {type: string}}
  checks: [{unique: [id]}]
=== tables/silver/some.sql
SELECT id, upper(note) AS note FROM bronze.a WHERE id > 1
=== tables/silver/newer.sql
/*---
materialize: incremental
---*/
SELECT id FROM bronze.a WHERE id % 2 = 1
";

/// The receipt of the last step of an asset.
async fn receipt(world: &World, asset: &str) -> Receipt {
    let state = world.state().await;
    let run = state.last_run().await.unwrap().unwrap();
    let steps = state.steps(&run.run).await.unwrap();
    let step = steps.iter().find(|step| step.asset.as_str() == asset).unwrap();
    step.figures.clone().unwrap().receipt.unwrap_or_else(|| panic!("{step:#?}"))
}

/// What a receipt says: rows in, out, rejected, left out.
fn told(receipt: &Receipt) -> [Option<u64>; 4] {
    [receipt.rows_in, Some(receipt.rows_out), Some(receipt.rows_rejected), receipt.rows_filtered]
}

/// A row of a log and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// A row of a key, which is taken in or kept out.
    Comes {
        key: i64,
        is_fine: bool,
    },
    /// A row that cannot be read as one, or that has no key.
    Broken,
    Deletes(i64),
    /// A row that came with another key before; then as one that comes.
    Moves {
        from: i64,
        to: i64,
        is_fine: bool,
    },
    Truncates,
    /// Nothing of this source.
    Nothing,
}

impl Fate {
    fn random(dice: &mut SmallRng) -> Self {
        let key = dice.random_range(0..7);
        let is_fine = dice.random_bool(0.8);
        match dice.random_range(0..20) {
            0 => Self::Truncates,
            1 => Self::Nothing,
            2 => Self::Broken,
            3..=5 => Self::Deletes(key),
            6..=7 => Self::Moves { from: key, to: (key + 1) % 7, is_fine },
            _ => Self::Comes { key, is_fine },
        }
    }

    fn row(&self) -> String {
        let note = |is_fine: bool| if is_fine { "fine" } else { "toolong" };
        match self {
            Self::Comes { key, is_fine } => format!("u,{key},{}", note(*is_fine)),
            Self::Broken => "i,,fine".to_owned(),
            Self::Deletes(key) => format!("d,{key},"),
            Self::Moves { from, to, is_fine } => format!("u:{from},{to},{}", note(*is_fine)),
            Self::Truncates => "t,,".to_owned(),
            Self::Nothing => "-,,".to_owned(),
        }
    }
}

/// The numbers of one commit, counted row by row: each row is looked at with all that come behind it.
fn naive(rows: &[Fate]) -> [u64; 4] {
    let mut counts = [0; 4];
    let [rows_in, out, rejected, filtered] = &mut counts;
    for (at, row) in rows.iter().enumerate() {
        let is_overtaken = |key: i64| {
            rows[at + 1..].iter().any(|later| match later {
                Fate::Comes { key: other, is_fine } => *is_fine && *other == key,
                Fate::Moves { from, to, is_fine } => *from == key || (*is_fine && *to == key),
                Fate::Deletes(other) => *other == key,
                Fate::Truncates => true,
                Fate::Broken | Fate::Nothing => false,
            })
        };
        *rows_in += u64::from(*row != Fate::Nothing);
        match row {
            Fate::Nothing => {}
            Fate::Deletes(_) | Fate::Truncates => *filtered += 1,
            Fate::Broken if rows[at + 1..].contains(&Fate::Truncates) => *filtered += 1,
            Fate::Broken => *rejected += 1,
            Fate::Comes { key, .. } | Fate::Moves { to: key, .. } if is_overtaken(*key) => *filtered += 1,
            Fate::Comes { is_fine, .. } | Fate::Moves { is_fine, .. } => {
                *(if *is_fine { &mut *out } else { &mut *rejected }) += 1;
            }
        }
    }
    counts
}

/// Random operations on random keys, in several parts that share them, or in several commits of one part.
#[test]
fn receipts_of_merged_landings_are_what_a_naive_count_gives() {
    block_on(async {
        for seed in 0..40 {
            let mut dice = SmallRng::seed_from_u64(seed);
            let world = World::new(Definition::of(MERGED));
            let script = &world.definition.script;
            // A bound cuts one part at known places; several parts share a commit.
            let bound = dice.random_bool(0.4).then(|| dice.random_range(1..6));
            let parts = if bound.is_some() { 1 } else { dice.random_range(1..4) };
            script.bound("a", Bound { rows: bound, ..Bound::NONE });
            for part in 0..parts {
                script.put("a", &format!("log{part}"), "?,id,note");
            }
            for round in 0..4 {
                let mut all = Vec::new();
                for part in 0..parts {
                    let fates: Vec<_> =
                        (0..dice.random_range(1..12)).map(|_| Fate::random(&mut dice)).collect();
                    let rows: Vec<_> = fates.iter().map(Fate::row).collect();
                    script.append("a", &format!("log{part}"), &rows.join("\n"));
                    all.extend(fates);
                }
                world.run().await;
                let commits = match bound {
                    Some(rows) => all.chunks(usize::try_from(rows).unwrap()).collect(),
                    None => vec![all.as_slice()],
                };
                let expected = commits.into_iter().map(naive).fold([0; 4], |mut sum, next| {
                    sum.iter_mut().zip(next).for_each(|(sum, next)| *sum += next);
                    sum
                });
                let place = format!("seed {seed}, round {round}: {all:?}");
                // A landing in which nothing happened has nothing to prove.
                if expected[0] > 0 {
                    let receipt = receipt(&world, "bronze.a").await;
                    assert_eq!(receipt.proof, Proof::EachRow, "{place}");
                    assert_eq!(told(&receipt), expected.map(Some), "{place}");
                }
                world.clock.pass(3_600);
            }
        }
    });
}

/// Random rows of which some repeat a key, some are malformed and some lack what they must have; and the tables behind them.
#[test]
fn receipts_of_appended_rows_and_of_what_is_left_out_are_what_a_naive_count_gives() {
    block_on(async {
        for seed in 0..20 {
            let mut dice = SmallRng::seed_from_u64(seed);
            let world = World::new(Definition::of(APPENDED));
            let mut stored: BTreeMap<i64, ()> = BTreeMap::new();
            for round in 0..4 {
                let (mut rows, mut new, mut rejected) = (vec!["id,note".to_owned()], Vec::new(), 0);
                for _ in 0..dice.random_range(1..12) {
                    let id = dice.random_range(0..40);
                    rows.push(match dice.random_range(0..10) {
                        0 => format!("{id}"),
                        1 => ",x".to_owned(),
                        _ => format!("{id},x"),
                    });
                    let is_row = rows.last().unwrap().ends_with(&format!("{id},x"));
                    if is_row && stored.insert(id, ()).is_none() {
                        new.push(id);
                    } else {
                        rejected += 1;
                    }
                }
                world.definition.script.put("a", &format!("part{round}"), &rows.join("\n"));
                world.run().await;
                let place = format!("seed {seed}, round {round}: {rows:?}");
                let (read, written) = (rows.len() as u64 - 1, new.len() as u64);
                let landed = told(&receipt(&world, "bronze.a").await);
                world.clock.pass(3_600);
                assert_eq!(landed, [read, written, rejected, 0].map(Some), "{place}");
                if written == 0 {
                    continue;
                }
                let all = stored.len() as u64;
                let some = stored.keys().filter(|id| **id > 1).count() as u64;
                let told_some = told(&receipt(&world, "silver.some").await);
                assert_eq!(told_some, [all, some, 0, all - some].map(Some), "{place}");
                let odd = new.iter().filter(|id| **id % 2 == 1).count() as u64;
                // A build that adds no row changes nothing, and has nothing to prove.
                if odd > 0 {
                    let newer = told(&receipt(&world, "silver.newer").await);
                    assert_eq!(newer, [written, odd, 0, written - odd].map(Some), "{place}");
                }
            }
        }
    });
}

async fn last_outcome(state: &State, asset: &str) -> StepOutcome {
    let run = state.last_run().await.unwrap().unwrap();
    let steps = state.steps(&run.run).await.unwrap();
    steps.iter().find(|step| step.asset.as_str() == asset).unwrap().outcome.clone()
}

#[test]
fn rows_that_were_judged_and_held_back_have_a_receipt_and_those_with_a_warning_are_written() {
    let project = |check: &str| {
        format!(
            "
=== sources/a.yaml
connector: {{type: scripted, place: a}}
contract:
  columns: {{id: {{type: int64, required: true}}}}
  checks: [{check}]
"
        )
    };
    block_on(async {
        let mut world = World::new(Definition::of(&project("{row_count: {min: 9}}")));
        world.definition.script.put("a", "x", "id\n1\n2\n\n,\n");
        world.act(&Act::Run(RunRequest::default())).await;
        let state = world.state().await;
        assert!(matches!(last_outcome(&state, "bronze.a").await, StepOutcome::Halted { .. }));
        let held = receipt(&world, "bronze.a").await;
        assert!(held.holds() && held.rows_out == 2, "{held:?}");
        drop(state);
        world.define(&project("{row_count: {min: 9}, severity: warn}"));
        world.run().await;
        assert_eq!(told(&receipt(&world, "bronze.a").await)[1], Some(2));
    });
}

/// Runs what is named anew, which has to fail for a row that is not accounted for.
async fn fails(world: &World, act: Act, because: &str) {
    let Ended::Badly(text) = world.act(&act).await else { panic!("it ends well") };
    let code = "MS-0775";
    assert!(text.contains(code) && text.contains(because), "{text}");
}

fn again(selection: &str) -> Act {
    let selection = vec![selection.to_owned()];
    Act::Run(RunRequest { selection, full_refresh: true, ..RunRequest::default() })
}

#[test]
fn a_row_that_a_file_has_lost_or_doubled_fails_a_table_that_leaves_rows_out() {
    for (tamper, because) in [
        (
            Tamper::Loses,
            "`silver.some` does not account for all of its rows: 4 read, 2 written + 0 rejected + 1 left out",
        ),
        (
            Tamper::Doubles,
            "`silver.some` does not account for all of its rows: 4 read, 4 written + 0 rejected + 1 left out",
        ),
    ] {
        block_on(async {
            let world = World::new(Definition::of(APPENDED));
            world.definition.script.put("a", "x", "id,note\n1,p\n2,p\n3,q\n4,q");
            world.run().await;
            let before = world.rows("silver.some").await;
            world.shelf.tamper("lake/bronze/a/", tamper).await;
            fails(&world, again("silver.some"), because).await;
            assert_eq!(world.rows("silver.some").await, before);
        });
    }
}

#[test]
fn a_row_that_a_new_file_has_lost_fails_a_table_that_takes_in_what_is_new() {
    block_on(async {
        let world = World::new(Definition::of(APPENDED));
        world.definition.script.put("a", "x", "id,note\n1,p\n2,p");
        world.run().await;
        let before = world.rows("silver.newer").await;
        world.definition.script.put("a", "y", "id,note\n3,p\n4,p\n5,p");
        world.shelf.tamper_next("lake/bronze/a/", Tamper::Loses);
        let because = "`silver.newer` does not account for all of its rows: 3 read, 1 written + 0 rejected + 1 left out";
        fails(&world, Act::Run(RunRequest::default()), because).await;
        assert_eq!(world.rows("silver.newer").await, before);
    });
}

#[test]
fn a_row_that_is_lost_between_staging_and_merging_fails_the_landing() {
    for tamper in [Tamper::Loses, Tamper::Doubles] {
        block_on(async {
            let world = World::new(Definition::of(MERGED));
            // The first key comes twice, so that the staged file is written once more.
            world.definition.script.put("a", "x", "id,note\n1,p\n1,q\n2,r\n3,s");
            world.shelf.tamper_next("lake/bronze/a/", tamper);
            fails(&world, Act::Run(RunRequest::default()), "`bronze.a` does not account").await;
            assert!(world.plan().await.iter().any(|line| line.contains("bronze.a")));
            // What comes next has all rows.
            world.run().await;
            assert_eq!(world.rows("bronze.a").await, ["id: 1, note: q", "id: 2, note: r", "id: 3, note: s"]);
        });
    }
}

#[test]
fn a_rejected_row_that_is_lost_while_rows_are_merged_fails_the_landing() {
    block_on(async {
        let world = World::new(Definition::of(MERGED));
        world.definition.script.put("a", "x", "id,note\n1,toolong\n1,q\n2,toolong\n3,toolong");
        world.shelf.tamper_next("lake/bronze/a__rejected/", Tamper::Loses);
        fails(&world, Act::Run(RunRequest::default()), "`bronze.a` does not account").await;
        world.run().await;
        assert_eq!(told(&receipt(&world, "bronze.a").await), [4, 1, 2, 1].map(Some));
    });
}

#[test]
fn a_stored_row_that_is_lost_when_its_file_is_written_again_fails_the_landing() {
    for (tamper, because) in [
        (Tamper::Loses, "3 read, 1 written + 0 rejected + 1 left out"),
        (Tamper::Doubles, "3 read, 3 written + 0 rejected + 1 left out"),
    ] {
        block_on(async {
            let world = World::new(Definition::of(MERGED));
            world.definition.script.put("a", "x", "id,note\n1,p\n2,q\n3,r");
            world.run().await;
            world.shelf.tamper("lake/bronze/a/", tamper).await;
            world.definition.script.put("a", "y", "id,note\n1,s");
            fails(&world, Act::Run(RunRequest::default()), because).await;
        });
    }
}

#[test]
fn a_rejected_row_that_is_lost_fails_a_reprocessing_before_its_first_commit() {
    let project =
        |length: u64| MERGED.replace("landing: merge\n", "").replace("[0, 5]", &format!("[0, {length}]"));
    for tamper in [Tamper::Loses, Tamper::Doubles] {
        block_on(async {
            let mut world = World::new(Definition::of(&project(5)));
            world.definition.script.put("a", "x", "id,note\n1,p\n2,toolong\n3,muchtoolong");
            world.run().await;
            world.define(&project(7));
            let (before, sound) = (world.rows("bronze.a").await, world.fork());
            world.shelf.tamper("lake/bronze/a__rejected/", tamper).await;
            fails(&world, Act::Reprocess("bronze.a"), "`bronze.a` does not account").await;
            assert_eq!(world.rows("bronze.a").await, before);
            // Where nothing is lost, each row enters the table or stays.
            assert!(matches!(sound.act(&Act::Reprocess("bronze.a")).await, Ended::Well(_)));
            assert_eq!(told(&receipt(&sound, "bronze.a").await), [2, 1, 1, 0].map(Some));
        });
    }
}

const VIEW: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  events: {from: bronze.events, time: at, features: {events: {count: \"*\"}}}
services:
  s: [events.*]
";

#[test]
fn events_are_accounted_for_and_one_that_is_lost_fails_the_materialisation() {
    let event = |id: u64, customer: &str| format!("{id},{customer},2026-06-0{id}T00:00:00Z");
    let rows = |rows: &[String]| format!("id,customer_id,at\n{}", rows.join("\n"));
    block_on(async {
        let world = World::new(Definition::of(VIEW));
        let first = [event(1, "1"), event(2, "1"), event(3, ""), event(4, "2")];
        world.definition.script.put("events", "a", &rows(&first));
        world.run().await;
        let materialize = || Act::Materialize(MaterializeRequest::default());
        assert!(matches!(world.act(&materialize()).await, Ended::Well(_)));
        // One event has no key, so that no read can see it.
        assert_eq!(told(&receipt(&world, "view:events").await), [4, 3, 0, 1].map(Some));
        let features = world.features().await;
        world.definition.script.put("events", "b", &rows(&[event(5, "1"), event(6, "2")]));
        world.shelf.tamper_next("lake/bronze/events/", Tamper::Loses);
        world.run().await;
        let Ended::Badly(text) = world.act(&materialize()).await else { panic!("it ends well") };
        assert!(text.contains("MS-0775"), "{text}");
        assert_eq!(world.features().await, features);
    });
}

/// More partitions than one commit takes, of which some rows break the contract.
#[test]
fn the_receipt_of_a_partitioned_table_is_the_sum_of_those_of_its_chunks() {
    block_on(async {
        let text = "
=== sources/a.yaml
connector: {type: scripted, place: a}
contract: {columns: {id: {type: int64, required: true}, day: {type: timestamp, required: true}}}
=== tables/silver/days.sql
/*---
partition: {by: day, column: day}
checks: [{range: {column: id, min: 1}}]
---*/
SELECT id, day FROM bronze.a
";
        let world = World::new(Definition::of(text));
        let put = |part: &str, days: i64, ids: &[i64]| {
            let rows = (0..days).flat_map(|day| {
                let day = format!("2026-0{}-{:02}T00:00:00Z", 1 + day / 25, 1 + day % 25);
                ids.iter().map(move |id| format!("\n{id},{day}"))
            });
            world.definition.script.put("a", part, &format!("id,day{}", rows.collect::<String>()));
        };
        put("a", 100, &[0, 1]);
        world.run().await;
        let of_whole = receipt(&world, "silver.days").await;
        assert_eq!((of_whole.rows_made, of_whole.rows_out, of_whole.rows_rejected), (200, 100, 100));
        world.notes.take();
        put("b", 70, &[2]);
        world.run().await;
        let found = receipt(&world, "silver.days").await;
        assert_eq!((found.proof, found.rows_made), (Proof::RowsMade, 210));
        assert_eq!((found.rows_out, found.rows_rejected), (140, 70));
        assert!(found.holds());
        let notes = world.notes.take();
        let chunks: Vec<_> = notes.iter().filter(|note| note.contains(" rejected; ")).collect();
        assert!(chunks.len() > 1, "{notes:?}");
    });
}
