//! History tables against a loop that keeps, per key, a list of turns.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use millstream_sql::incremental::{Change, IncrementalError, Keep, Maintenance};

use super::world::{Cell, DAY, Dice, Kept, Row, START, World, inputs, plan, session};

/// The amount and the status of a state, and without a column of the state's time also that time.
type State = (Option<i64>, Option<String>, Option<i64>);
type Turns = BTreeMap<i64, Option<State>>;

fn keep(time: bool) -> Keep {
    Keep::History { key: vec!["order_id".into()], time: time.then(|| "ordered_at".into()) }
}

/// The key, state (amount, status), begin and end of each period.
type Periods = Vec<(i64, Option<i64>, Option<String>, i64, Option<i64>)>;

fn periods_of(kept: &Kept) -> Periods {
    let mut all = Vec::new();
    for batch in &kept.batches {
        let column = |name| batch.column_by_name(name).unwrap();
        for row in 0..batch.num_rows() {
            let amount = column("amount").as_primitive::<Int64Type>();
            let status = column("status").as_string::<i32>();
            let to = column("valid_to").as_primitive::<TimestampMicrosecondType>();
            all.push((
                column("order_id").as_primitive::<Int64Type>().value(row),
                (!amount.is_null(row)).then(|| amount.value(row)),
                (!status.is_null(row)).then(|| status.value(row).to_owned()),
                column("valid_from").as_primitive::<TimestampMicrosecondType>().value(row),
                (!to.is_null(row)).then(|| to.value(row)),
            ));
        }
    }
    all.sort();
    all
}

/// Takes in the query's rows as a run at `now` sees them.
fn look(turns: &mut BTreeMap<i64, Turns>, rows: &[Row], time: bool, now: i64) {
    let int = |cell: &Cell| if let Cell::Int(v) = cell { *v } else { None };
    let mut seen: BTreeMap<i64, (Option<i64>, State)> = BTreeMap::new();
    for row in rows {
        let Cell::Text(status) = &row[3] else { panic!() };
        let Cell::Time(at) = &row[4] else { panic!() };
        if at.is_some() {
            seen.insert(
                int(&row[0]).unwrap(),
                (*at, (int(&row[2]), status.clone(), if time { None } else { *at })),
            );
        }
    }
    for key in seen.keys() {
        turns.entry(*key).or_default();
    }
    for (key, turns) in turns.iter_mut() {
        let later = |turns: &Turns| {
            turns.last_key_value().map_or(now, |(at, state)| now.max(*at + i64::from(state.is_some())))
        };
        match seen.get(key) {
            Some((at, state)) => {
                if time && turns.get(&at.unwrap()).is_none_or(Option::is_none) {
                    turns.insert(at.unwrap(), Some(state.clone()));
                }
                let last = turns.last_key_value().and_then(|(_, state)| state.clone());
                if last.as_ref() != Some(state) {
                    turns.insert(later(turns), Some(state.clone()));
                }
            }
            None => {
                if turns.last_key_value().is_some_and(|(_, state)| state.is_some()) {
                    turns.insert(later(turns), None);
                }
            }
        }
        let mut previous = None;
        turns.retain(|_, state| {
            let keep = *state != previous;
            previous.clone_from(state);
            keep
        });
    }
}

fn expected(turns: &BTreeMap<i64, Turns>) -> Periods {
    let mut all = Vec::new();
    for (key, turns) in turns {
        let list: Vec<_> = turns.iter().collect();
        for (at, (from, state)) in list.iter().enumerate() {
            if let Some((amount, status, _)) = state {
                all.push((*key, *amount, status.clone(), **from, list.get(at + 1).map(|(to, _)| **to)));
            }
        }
    }
    all.sort();
    all
}

async fn check(time: bool, everything: bool, keys: usize) {
    let session = session();
    let sql = "SELECT order_id, amount, status, ordered_at FROM bronze.orders WHERE ordered_at IS NOT NULL";
    let plan = plan(&session, sql).await;
    let maintenance = Maintenance::new(&plan, keep(time)).unwrap();
    for seed in 0..12 {
        let mut dice = Dice::new(seed);
        let mut world = World::random(&mut dice);
        let mut turns = BTreeMap::new();
        let mut now = START + 10 * DAY;
        let first = inputs(&world, &world, &mut dice, false);
        let mut kept = Kept::build(&session, &maintenance, &first, now).await.unwrap();
        look(&mut turns, &world.0["bronze.orders"], time, now);
        assert_eq!(periods_of(&kept), expected(&turns), "seed {seed}, first");
        for step in 0..8 {
            now += dice.below(5) * DAY;
            let next = world.step(&mut dice, false);
            let changes = inputs(&world, &next, &mut dice, true);
            let change = kept.limited(&session, &changes, now, everything, keys).await.unwrap();
            kept.apply(&session, change).await.unwrap();
            look(&mut turns, &next.0["bronze.orders"], time, now);
            assert_eq!(
                periods_of(&kept),
                expected(&turns),
                "seed {seed}, step {step}\nold {world:?}\nnew {next:?}"
            );
            let again = kept.limited(&session, &changes, now + DAY, everything, keys).await.unwrap();
            assert!(matches!(again, Change::Nothing), "seed {seed}, step {step}: {again:?}");
            world = next;
        }
    }
}

#[tokio::test]
async fn states_with_a_time_take_their_place() {
    check(true, false, 1_000).await;
}

#[tokio::test]
async fn states_without_a_time_begin_when_they_are_seen() {
    check(false, false, 1_000).await;
}

#[tokio::test]
async fn computing_everything_keeps_what_was_recorded() {
    check(true, true, 1_000).await;
    check(false, true, 1_000).await;
}

#[tokio::test]
async fn more_keys_than_fit_in_memory_rewrite_the_table() {
    check(true, false, 1).await;
    check(false, false, 1).await;
}

/// A run may see several states of a key at once: all events of an order.
#[tokio::test]
async fn all_states_of_a_log_become_periods() {
    let session = session();
    let sql = "SELECT order_id, kind, at FROM bronze.events";
    let plan = plan(&session, sql).await;
    let keep = Keep::History { key: vec!["order_id".into()], time: Some("at".into()) };
    let maintenance = Maintenance::new(&plan, keep).unwrap();
    let event = |id, day: i64, kind: &str| {
        vec![
            Cell::Int(Some(id)),
            Cell::Int(Some(1)),
            Cell::Text(Some(kind.into())),
            Cell::Time(Some(START + day * DAY)),
        ]
    };
    let mut dice = Dice::new(1);
    let mut world = World::random(&mut dice);
    world.0.insert("bronze.events", vec![event(1, 0, "view"), event(2, 1, "view"), event(3, 3, "buy")]);
    let first = inputs(&world, &world, &mut dice, false);
    let mut kept = Kept::build(&session, &maintenance, &first, 0).await.unwrap();
    assert_eq!(
        kept.rows(),
        [
            "1 | buy | 2024-01-04T00:00:00Z | 2024-01-04T00:00:00Z | ∅",
            "1 | view | 2024-01-01T00:00:00Z | 2024-01-01T00:00:00Z | 2024-01-04T00:00:00Z",
        ]
    );
    let mut next = world.clone();
    next.0.get_mut("bronze.events").unwrap().push(event(4, 2, "late"));
    let changes = inputs(&world, &next, &mut dice, false);
    let change = kept.change(&session, &changes, 0, false).await.unwrap();
    let Change::Replace { keys, rows, .. } = &change else { panic!("{change:?}") };
    assert_eq!((keys.len(), rows.rows()), (2, 2), "the buy stays as it is");
    kept.apply(&session, change).await.unwrap();
    assert_eq!(
        kept.rows(),
        [
            "1 | buy | 2024-01-04T00:00:00Z | 2024-01-04T00:00:00Z | ∅",
            "1 | late | 2024-01-03T00:00:00Z | 2024-01-03T00:00:00Z | 2024-01-04T00:00:00Z",
            "1 | view | 2024-01-01T00:00:00Z | 2024-01-01T00:00:00Z | 2024-01-03T00:00:00Z",
        ]
    );
    world.0.insert("bronze.events", vec![event(1, 0, "view"), event(2, 0, "buy")]);
    let first = inputs(&world, &world, &mut dice, false);
    match Kept::build(&session, &maintenance, &first, 0).await {
        Err(error @ IncrementalError::ConflictingStates { .. }) => assert_eq!(
            error.to_string(),
            "`order_id` = 1 has two different states that begin at `at` = 2024-01-01T00:00:00Z"
        ),
        other => panic!("{:?}", other.map(|kept| kept.rows())),
    }
}
