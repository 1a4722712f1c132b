//! Landing by key: rows take the place of those with the same key, and rows that the source deleted leave.

use std::collections::BTreeMap;

use millstream_connector::Bound;
use millstream_engine::RunRequest;
use millstream_state::Moment;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::harness::{
    Act, Definition, Ended, Harm, Injection, Line, Script, Step, Step::*, World, block_on,
    check as check_story,
};

/// One source, `orders`, that is merged by `id`; a note has at most five characters.
fn merged() -> String {
    "=== sources/orders.yaml
connector: {type: scripted, place: orders}
landing: merge
contract:
  key: id
  columns: {id: {type: int64}, note: {type: string, length: [0, 5]}}
"
    .to_owned()
}

/// The same source with a table that is kept up to date from its changes.
pub(crate) fn with_table() -> String {
    merged()
        + "=== tables/silver/notes.sql
/*---
materialize: incremental
key: id
---*/
SELECT id, upper(note) AS note FROM bronze.orders
"
}

/// Plays the steps, then tells the rows and positions.
#[track_caller]
fn check(steps: &[Step], expected: &str) {
    let end = [Rows("bronze.orders"), Positions("orders")];
    check_story(&merged(), &[steps, &end].concat(), expected);
}

#[test]
fn the_newest_operation_on_a_key_stands() {
    let steps = [
        Put("orders/log", "?,id,note\ni,1,x\ni,2,y\nu,1,z\nd,2,\ni,3,w\ni,5,v"),
        Run,
        Append("orders/log", "u:3,4,w\nd,9,\nu,1,zz\n-,,"),
        Run,
        Run,
    ];
    check(
        &steps,
        "
        bronze.orders built +3
        bronze.orders built +2 -2
        (nothing)
        bronze.orders:
        id: 1, note: zz
        id: 4, note: w
        id: 5, note: v
        log up to 10
    ",
    );
}

#[test]
fn rows_without_operations_are_the_newest_of_their_keys() {
    let steps = [
        Put("orders/a", "id,note\n1,x\n2,y"),
        Run,
        Put("orders/b", "id,note\n2,z\n3,w\n3,v"),
        Run,
        Put("orders/b", "id,note\n3,u"),
        Run,
    ];
    check(
        &steps,
        "
        bronze.orders built +2
        bronze.orders built +2 -1
        bronze.orders built +1 -2
        bronze.orders:
        id: 1, note: x
        id: 3, note: u
        a up to 2
        b up to 1
    ",
    );
}

#[test]
fn a_key_that_was_deleted_may_come_again() {
    let steps = [
        Put("orders/log", "?,id,note\ni,1,x\nd,1,\ni,1,y\nd,2,"),
        Run,
        Append("orders/log", "d,1,"),
        Run,
        Append("orders/log", "i,1,z"),
        Run,
    ];
    check(
        &steps,
        "
        bronze.orders built +1
        bronze.orders built -1
        bronze.orders built +1
        bronze.orders:
        id: 1, note: z
        log up to 6
    ",
    );
}

#[test]
fn a_source_that_was_emptied_is_empty() {
    let steps = [
        Put("orders/log", "?,id,note\ni,1,x\ni,2,toolong"),
        Run,
        Append("orders/log", "i,3,y\ni,4,toolong\nt,,\ni,5,z"),
        Run,
        Rejected("bronze.orders"),
    ];
    check(
        &steps,
        "
        bronze.orders built +1, 1 rejected
        bronze.orders built +1 -1, 1 rejected
        (nothing)
        bronze.orders:
        id: 5, note: z
        log up to 6
    ",
    );
}

/// A row that is rejected leaves the last good one of its key, until an operation on the key is taken in.
#[test]
fn a_rejected_row_waits_for_the_next_operation_on_its_key() {
    let steps = [
        Put("orders/log", "?,id,note\ni,1,x\nu,1,toolong\ni,2,toolong\nu,2,fine\ni,3,toolong\nd,y,\ni,,z"),
        Run,
        Rejected("bronze.orders"),
        Append("orders/log", "u,1,new\nd,3,"),
        Run,
        Rejected("bronze.orders"),
        Reprocess("bronze.orders"),
    ];
    check(
        &steps,
        r#"
        bronze.orders built +2, 5 rejected
        length(note): 2 rows, 0 of them halted
        `note` `toolong` has 7 characters, more than 5: {"id":"1","note":"toolong"}
        `note` `toolong` has 7 characters, more than 5: {"id":"3","note":"toolong"}
        not_null(id): 1 rows, 0 of them halted
        `id` is missing: {"id":null,"note":"z"}
        type(id): 1 rows, 0 of them halted
        `id` is `y`, not an int64: {"id":"y","note":null}
        bronze.orders built +1 -1
        not_null(id): 1 rows, 0 of them halted
        `id` is missing: {"id":null,"note":"z"}
        type(id): 1 rows, 0 of them halted
        `id` is `y`, not an int64: {"id":"y","note":null}
        ! bronze.orders failed: MS-0705 `bronze.orders` is merged by key: a row that was rejected must not take the place of a newer one
        bronze.orders:
        id: 1, note: new
        id: 2, note: fine
        log up to 9
    "#,
    );
}

#[test]
fn a_source_that_appends_refuses_what_is_no_new_row() {
    let appended = merged().replace("landing: merge\n", "");
    let steps = [
        Put("orders/log", "?,id,note\ni,1,x\ni,2,y"),
        Run,
        Append("orders/log", "i,3,z\nd,1,"),
        Run,
        Rows("bronze.orders"),
    ];
    check_story(
        &appended,
        &steps,
        "
        bronze.orders built +2
        ! bronze.orders failed: MS-0705 `bronze.orders` appends its rows, and its source sends the operation `delete`
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
    ",
    );
}

/// Under `append`, a row that repeats a key is rejected.
#[test]
fn a_key_is_unique_where_rows_are_appended() {
    let appended = merged().replace("landing: merge\n", "");
    let steps = [Put("orders/a", "id,note\n1,x\n1,y\n,z"), Run, Rejected("bronze.orders")];
    check_story(
        &appended,
        &steps,
        r#"
        bronze.orders built +1, 2 rejected
        not_null(id): 1 rows, 0 of them halted
        `id` is missing: {"id":null,"note":"z"}
        unique(id): 1 rows, 0 of them halted
        `id` 1 is in an earlier row: {"id":"1","note":"y"}
    "#,
    );
}

#[test]
fn a_source_that_is_merged_from_now_on_tells_of_keys_that_repeat() {
    let appended = merged().replace("landing: merge\n", "").replace("  key: id\n", "");
    let steps = [
        Put("orders/a", "id,note\n1,x\n1,y\n2,z"),
        Run,
        Define(merged()),
        Put("orders/b", "id,note\n2,w"),
        Run,
        Notes,
        Put("orders/c", "id,note\n1,w"),
        Run,
        Rows("bronze.orders"),
    ];
    check_story(
        &appended,
        &steps,
        "
        bronze.orders built +3
        bronze.orders built +1 -1
        bronze.orders begins
        bronze.orders ends
        bronze.orders begins
        bronze.orders: check unique(id) failed: 1 row that came before it; it stays until `millstream run bronze.orders --full-refresh`
        bronze.orders ends
        bronze.orders built +1 -2
        bronze.orders:
        id: 1, note: w
        id: 2, note: w
    ",
    );
}

#[test]
fn tables_see_what_changed() {
    let steps = [
        Put("orders/log", "?,id,note\ni,1,x\ni,2,y\ni,3,z"),
        Run,
        Append("orders/log", "u,2,yy\nd,3,"),
        Run,
        Rows("silver.notes"),
        RunAnew(&["bronze.orders"]),
        Rows("bronze.orders"),
        Rows("silver.notes"),
    ];
    check_story(
        &with_table(),
        &steps,
        "
        bronze.orders built +3
        silver.notes built +3
        bronze.orders built +1 -2
        silver.notes built +1 -2
        silver.notes:
        id: 1, note: X
        id: 2, note: YY
        bronze.orders built +2 -2
        bronze.orders:
        id: 1, note: x
        id: 2, note: yy
        silver.notes:
        id: 1, note: X
        id: 2, note: YY
    ",
    );
}

/// The rows that the source has, and the rows that have to be landed and rejected.
#[derive(Default)]
struct Oracle {
    source: BTreeMap<i64, String>,
    landed: BTreeMap<i64, String>,
    rejected: Vec<(i64, String)>,
}

impl Oracle {
    /// Makes a random operation on a key, and returns its part and its row of the log.
    fn operation(&mut self, dice: &mut SmallRng, parts: i64) -> (i64, String) {
        let id = dice.random_range(0..9);
        let (part, other) = (id % parts, id + parts * dice.random_range(0..3));
        let goes_on = if dice.random_bool(0.3) { "+" } else { "" };
        let note = if dice.random_bool(0.2) {
            format!("long{id}")
        } else {
            format!("n{}", dice.random_range(0..99))
        };
        let is_there = self.source.contains_key(&id);
        let row = match dice.random_range(0..20) {
            0 if parts == 1 => {
                *self = Self::default();
                return (part, format!("t{goes_on},,"));
            }
            1 => return (part, format!("-{goes_on},,")),
            2..=6 if is_there => {
                self.remove(id);
                format!("d{goes_on},{id},")
            }
            7..=9 if is_there && !self.source.contains_key(&other) => {
                self.remove(id);
                self.put(other, &note);
                format!("u:{id}{goes_on},{other},{note}")
            }
            _ => {
                self.put(id, &note);
                format!("{}{goes_on},{id},{note}", if is_there { "u" } else { "i" })
            }
        };
        (part, row)
    }

    fn put(&mut self, id: i64, note: &str) {
        self.source.insert(id, note.to_owned());
        if note.len() > 5 {
            self.rejected.push((id, note.to_owned()));
        } else {
            self.rejected.retain(|(of, _)| *of != id);
            self.landed.insert(id, note.to_owned());
        }
    }

    fn remove(&mut self, id: i64) {
        self.source.remove(&id);
        self.landed.remove(&id);
        self.rejected.retain(|(of, _)| *of != id);
    }
}

/// Harms some runs at random points, and then lets runs end well.
async fn land(world: &World, dice: &mut SmallRng, place: &str) {
    let run = Act::Run(RunRequest::default());
    for _ in 0..dice.random_range(0..4) {
        let (moment, harm) = ([Moment::Before, Moment::After], [Harm::Death, Harm::Lasting, Harm::Passing]);
        let (moment, harm) = (moment[dice.random_range(0..2)], harm[dice.random_range(0..3)]);
        let line = Line::harmed(Injection { at: dice.random_range(0..160), moment, harm });
        world.act_on(&run, &line).await;
        line.die();
    }
    for _ in 0..3 {
        if matches!(world.act(&run).await, Ended::Well(_)) {
            return;
        }
    }
    panic!("{place}: it does not recover: {:#?}", world.notes.take());
}

async fn check_against_oracle(world: &World, oracle: &Oracle, place: &str) {
    let rows = |change: fn(&str) -> String| {
        let rows = oracle.landed.iter().map(|(id, note)| format!("id: {id}, note: {}", change(note)));
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        rows
    };
    assert_eq!(world.rows("bronze.orders").await, rows(str::to_owned), "{place}");
    assert_eq!(world.rows("silver.notes").await, rows(str::to_uppercase), "{place}");
    let mut rejected: Vec<_> =
        oracle.rejected.iter().map(|(id, note)| format!(r#"{{"id":"{id}","note":"{note}"}}"#)).collect();
    rejected.sort();
    let row = |line: String| line.split_once("_row: ").unwrap().1.to_owned();
    let mut kept: Vec<_> = world.rows("bronze.orders__rejected").await.into_iter().map(row).collect();
    kept.sort();
    assert_eq!(kept, rejected, "{place}");
}

/// A random stream of operations, landed in random portions by processes that die anywhere, gives the same rows as a map. The
/// source gives nothing again that it was told is durable.
#[test]
fn a_stream_of_operations_is_what_a_map_makes_of_it() {
    block_on(async {
        for seed in 0..14 {
            let mut dice = SmallRng::seed_from_u64(seed);
            let parts = 1 + i64::try_from(seed % 2).unwrap();
            let (world, mut oracle) = (World::new(Definition::of(&with_table())), Oracle::default());
            let script: Script = world.definition.script.clone();
            for part in 0..parts {
                script.put("orders", &format!("log{part}"), "?,id,note");
            }
            script.forget("orders");
            for round in 0..6 {
                let rows = dice.random_bool(0.8).then(|| dice.random_range(1..7));
                script.bound("orders", Bound { rows, ..Bound::NONE });
                for _ in 0..dice.random_range(1..16) {
                    let (part, row) = oracle.operation(&mut dice, parts);
                    script.append("orders", &format!("log{part}"), &row);
                }
                let place = format!("seed {seed}, round {round}");
                land(&world, &mut dice, &place).await;
                check_against_oracle(&world, &oracle, &place).await;
                assert!(world.plan().await.is_empty(), "{place}: {:?}", world.plan().await);
                world.clock.pass(3_600);
            }
        }
    });
}
