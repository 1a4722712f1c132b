//! Histories whose inputs close, reopen, go back in time and change, while the definition gains and loses columns,
//! retypes one and changes its key, against a list of periods that is kept by hand.

use std::collections::{BTreeMap, BTreeSet};

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Int64Type, TimestampMicrosecondType},
};
use datafusion::prelude::SessionContext;
use millstream_sql::incremental::{
    Change, IncrementalError, Inputs, Keep, Limits, Maintenance, Refresh, all_rows, survivors,
};
use millstream_types::TimestampMicros;

use super::world::{Cell, DAY, Dice, Kept, Row, START, World, collect, inputs, plan, runtime, session};

/// The texts of a row, by column; the time is in microseconds.
type Record = BTreeMap<String, Option<String>>;
type Key = Vec<Option<String>>;

/// A table's definition: its columns with the expression of each, and which of them are the key.
#[derive(Clone, Copy, Debug)]
struct Definition {
    columns: &'static [(&'static str, &'static str)],
    key: &'static [&'static str],
}

const ORDERS: &[Definition] = &[
    Definition { columns: &[ID, AMOUNT, STATUS, TIME], key: &["order_id"] },
    Definition { columns: &[ID, AMOUNT, STATUS, TIME, CUSTOMER], key: &["order_id"] },
    Definition {
        columns: &[ID, AMOUNT, STATUS, TIME, ("note", "CAST(NULL AS VARCHAR)")],
        key: &["order_id"],
    },
    Definition { columns: &[TIME, ID, AMOUNT], key: &["order_id"] },
    Definition { columns: &[ID, ("amount", "CAST(amount AS VARCHAR)"), STATUS, TIME], key: &["order_id"] },
    Definition {
        columns: &[("order_id", "CAST(order_id AS VARCHAR)"), AMOUNT, TIME, STATUS],
        key: &["order_id"],
    },
    Definition { columns: &[ID, AMOUNT, STATUS, TIME], key: &["order_id", "status"] },
    Definition { columns: &[ID, CUSTOMER, AMOUNT, TIME], key: &["order_id", "customer_id"] },
];
const ID: (&str, &str) = ("order_id", "order_id");
const AMOUNT: (&str, &str) = ("amount", "amount");
const STATUS: (&str, &str) = ("status", "status");
const TIME: (&str, &str) = ("ordered_at", "ordered_at");
const CUSTOMER: (&str, &str) = ("customer_id", "coalesce(customer_id, 9)");

/// Several states of a key stand side by side; `event_id` keeps their times apart.
const EVENTS: &[Definition] = &[
    Definition { columns: &[ID, KIND, AT], key: &["order_id"] },
    Definition { columns: &[ID, KIND, AT, ("size", "octet_length(kind)")], key: &["order_id"] },
    Definition { columns: &[KIND, AT, ("order_id", "CAST(order_id AS VARCHAR)")], key: &["order_id"] },
];
const KIND: (&str, &str) = ("kind", "kind");
const AT: (&str, &str) = ("at", "at + arrow_cast(event_id * 1000000, 'Duration(Microsecond)')");

impl Definition {
    fn table(self) -> &'static str {
        if self.columns.contains(&AT) { "bronze.events" } else { "bronze.orders" }
    }

    fn time(self) -> &'static str {
        if self.columns.contains(&AT) { "at" } else { "ordered_at" }
    }

    async fn maintenance(self, session: &SessionContext, time: bool) -> Maintenance {
        let columns: Vec<_> = self.columns.iter().map(|(name, sql)| format!("{sql} AS {name}")).collect();
        let present = if self.table() == "bronze.orders" { "ordered_at" } else { "order_id" };
        let sql = format!("SELECT {} FROM {} WHERE {present} IS NOT NULL", columns.join(", "), self.table());
        let key = self.key.iter().map(|name| (*name).to_owned()).collect();
        let keep = Keep::History { key, time: time.then(|| self.time().to_owned()) };
        Maintenance::new(&plan(session, &sql).await, keep).unwrap()
    }

    /// The query's result.
    fn rows(self, world: &World) -> Vec<Record> {
        let int = |cell: &Cell| if let Cell::Int(value) = cell { *value } else { None };
        let text = |cell: &Cell| if let Cell::Text(value) = cell { value.clone() } else { None };
        let time = |cell: &Cell| if let Cell::Time(value) = cell { *value } else { None };
        let of = |row: &Row, name: &str| match name {
            "order_id" => int(&row[usize::from(self.table() == "bronze.events")]).map(|id| id.to_string()),
            "customer_id" => Some(int(&row[1]).unwrap_or(9).to_string()),
            "amount" => int(&row[2]).map(|amount| amount.to_string()),
            "status" => text(&row[3]),
            "ordered_at" => time(&row[4]).map(|at| at.to_string()),
            "kind" => text(&row[2]),
            "size" => text(&row[2]).map(|kind| kind.len().to_string()),
            "at" => time(&row[3]).map(|at| (at + int(&row[0]).unwrap() * 1_000_000).to_string()),
            _ => None,
        };
        let present = if self.table() == "bronze.orders" { "ordered_at" } else { "order_id" };
        let rows = world.0[self.table()].iter().filter(|row| of(row, present).is_some());
        rows.map(|row| self.columns.iter().map(|(name, _)| ((*name).to_owned(), of(row, name))).collect())
            .collect()
    }

    fn key_of(self, record: &Record) -> Key {
        self.key.iter().map(|name| record[*name].clone()).collect()
    }
}

/// One period of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    record: Record,
    from: i64,
    to: Option<i64>,
}

/// What the table must hold after it saw the rows of `world` at `now`; `None` when recorded states of one key overlap.
fn look(known: &[Known], definition: Definition, time: bool, world: &World, now: i64) -> Option<Vec<Known>> {
    let state = |record: &Record| -> Record {
        let own = |name: &str| !(definition.key.contains(&name) || time && name == definition.time());
        record.iter().filter(|(name, _)| own(name)).map(|(name, text)| (name.clone(), text.clone())).collect()
    };
    // A state that only gains columns is the same state; the columns that the table has already say which state it is.
    let agrees = |there: &Record, given: &Record| {
        let is_stored = |name: &String| known.first().is_none_or(|known| known.record.contains_key(name));
        let stored = |record: &Record| -> Record {
            state(record).into_iter().filter(|(name, _)| is_stored(name)).collect()
        };
        stored(there) == stored(given)
    };
    let mut turns: BTreeMap<Key, BTreeMap<i64, Option<Record>>> = BTreeMap::new();
    let mut sorted: Vec<Known> = known.to_vec();
    sorted.sort_by_key(|period| period.from);
    for period in &sorted {
        let record: Record = definition
            .columns
            .iter()
            .map(|(name, _)| ((*name).to_owned(), period.record.get(*name).cloned().flatten()))
            .collect();
        let turns = turns.entry(definition.key_of(&record)).or_default();
        // The last turn of a key is the end of its period, if that has ended.
        if turns.last_key_value().is_some_and(|(at, state)| state.is_some() || *at > period.from) {
            return None;
        }
        turns.insert(period.from, Some(record));
        if let Some(to) = period.to {
            turns.insert(to, None);
        }
    }
    let mut seen: BTreeMap<Key, BTreeMap<i64, Record>> = BTreeMap::new();
    for record in definition.rows(world) {
        let at = if time { record[definition.time()].as_ref().unwrap().parse().unwrap() } else { now };
        seen.entry(definition.key_of(&record)).or_default().insert(at, record);
    }
    let keys: BTreeSet<Key> = turns.keys().chain(seen.keys()).cloned().collect();
    for key in keys {
        let turns = turns.entry(key.clone()).or_default();
        let given = seen.get(&key);
        for (at, record) in given.into_iter().flatten().filter(|_| time) {
            let there = turns.get(at).and_then(Option::as_ref);
            let before = turns.range(..at).next_back().and_then(|(_, record)| record.as_ref());
            let goes_on = before.map(&state) == there.map(&state);
            let differs = |there| state(there) != state(record);
            if there.is_none_or(|there| differs(there) && (goes_on || agrees(there, record))) {
                turns.insert(*at, Some(record.clone()));
            }
        }
        let newest = given.and_then(|given| given.last_key_value()).map(|(_, record)| record);
        let open = turns.last_key_value().and_then(|(_, record)| record.as_ref());
        if open.map(&state) != newest.map(&state) {
            let last = turns.last_key_value();
            let at = last.map_or(now, |(at, record)| now.max(*at + i64::from(record.is_some())));
            turns.insert(at, newest.cloned());
        }
        let mut previous: Option<Record> = None;
        turns.retain(|_, record| {
            let next = record.as_ref().map(&state);
            let keep = next != previous;
            previous = next;
            keep
        });
    }
    Some(periods_of(&turns))
}

fn periods_of(turns: &BTreeMap<Key, BTreeMap<i64, Option<Record>>>) -> Vec<Known> {
    let mut periods = Vec::new();
    for turns in turns.values() {
        let list: Vec<_> = turns.iter().collect();
        for (at, (from, record)) in list.iter().enumerate() {
            if let Some(record) = record {
                let to = list.get(at + 1).map(|(to, _)| **to);
                periods.push(Known { record: record.clone(), from: **from, to });
            }
        }
    }
    periods.sort();
    periods
}

fn known_of(kept: &Kept) -> Vec<Known> {
    let mut all = Vec::new();
    for batch in &kept.batches {
        let schema = batch.schema();
        let text = |at: usize, row: usize| {
            let column = batch.column(at);
            (!column.is_null(row)).then(|| match column.data_type() {
                DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
                DataType::Timestamp(..) => {
                    column.as_primitive::<TimestampMicrosecondType>().value(row).to_string()
                }
                DataType::Int32 => {
                    column.as_primitive::<arrow::datatypes::Int32Type>().value(row).to_string()
                }
                _ => column.as_string::<i32>().value(row).to_owned(),
            })
        };
        let width = schema.fields().len() - 2;
        for row in 0..batch.num_rows() {
            let record = (0..width).map(|at| (schema.field(at).name().clone(), text(at, row))).collect();
            let instant = |at| text(at, row).map(|text: String| text.parse().unwrap());
            all.push(Known { record, from: instant(width).unwrap(), to: instant(width + 1) });
        }
    }
    all.sort();
    all
}

/// One refresh of `kept` under what may be a new definition.
async fn refresh(
    session: &SessionContext,
    kept: &Kept,
    maintenance: &Maintenance,
    inputs: &Inputs,
    now: i64,
    everything: bool,
) -> Result<Option<Kept>, IncrementalError> {
    let runtime = runtime(session);
    let refresh = Refresh {
        runtime: &runtime,
        inputs,
        existing: kept.provider(),
        some_kept_out: false,
        limits: Limits { keys: 1_000, spool_bytes: 2_000 },
        now: TimestampMicros(now),
        everything,
    };
    let batches = match maintenance.refresh(&refresh).await? {
        Change::Nothing => return Ok(None),
        Change::Replace { keys, rows, .. } => {
            let mut all = collect(survivors(&runtime, maintenance, kept.provider(), &keys).await?).await?;
            all.extend(collect(rows.stream().unwrap()).await?);
            all
        }
        Change::Everything { rows } => collect(rows.stream().unwrap()).await?,
        other => panic!("a history does not change by {other:?}"),
    };
    Ok(Some(Kept { maintenance: maintenance.clone(), batches }))
}

/// What must hold whatever came before: a key that the query gives is open with its newest state, no other is.
fn newest_is_open(definition: Definition, time: bool, world: &World, known: &[Known]) {
    let plain = |record: &Record| -> Record {
        record
            .iter()
            .filter(|(name, _)| !time || *name != definition.time())
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect()
    };
    let mut newest: BTreeMap<Key, (i64, Record)> = BTreeMap::new();
    for record in definition.rows(world) {
        let at: i64 = record[definition.time()].as_ref().unwrap().parse().unwrap();
        let entry = newest.entry(definition.key_of(&record)).or_insert((at, record.clone()));
        if at >= entry.0 {
            *entry = (at, record);
        }
    }
    let expected: BTreeSet<Record> = newest.values().map(|(_, record)| plain(record)).collect();
    let open = known.iter().filter(|period| period.to.is_none());
    assert_eq!(open.map(|period| plain(&period.record)).collect::<BTreeSet<_>>(), expected);
}

async fn check(definitions: &[Definition], time: bool, seeds: u64) {
    let session = session();
    let mut overlaps = 0;
    for seed in 0..seeds {
        let mut dice = Dice::new(seed);
        let mut world = World::random(&mut dice);
        let mut now = START + 10 * DAY;
        let mut definition = definitions[0];
        let mut maintenance = definition.maintenance(&session, time).await;
        let first = inputs(&world, &world, &mut dice, false);
        let mut kept = Kept::build(&session, &maintenance, &first, now).await.unwrap();
        let mut known = look(&[], definition, time, &world, now).unwrap();
        assert_eq!(known_of(&kept), known, "seed {seed}, first");
        for step in 0..10 {
            now += dice.below(5) * DAY;
            let next = if dice.chance(80) { world.step(&mut dice, false) } else { world.clone() };
            let changes = inputs(&world, &next, &mut dice, true);
            let redefined = dice.chance(40);
            if redefined {
                definition = definitions[usize::try_from(dice.below(definitions.len() as u64)).unwrap()];
                maintenance = definition.maintenance(&session, time).await;
            }
            let place = format!("seed {seed}, step {step}, {definition:?}\nold {world:?}\nnew {next:?}");
            let refreshed = refresh(&session, &kept, &maintenance, &changes, now, redefined).await;
            match (refreshed, look(&known, definition, time, &next, now)) {
                (Ok(Some(changed)), Some(expected)) => (kept, known) = (changed, expected),
                (Ok(None), Some(expected)) => {
                    let rows = all_rows(&runtime(&session), &maintenance, kept.provider()).await.unwrap();
                    let batches = collect(rows).await.unwrap();
                    (kept, known) = (Kept { maintenance: maintenance.clone(), batches }, expected);
                }
                (Err(IncrementalError::OverlappingStates { .. }), None) => {
                    overlaps += 1;
                    kept = Kept::build(&session, &maintenance, &changes, now).await.unwrap();
                    known = look(&[], definition, time, &next, now).unwrap();
                }
                (found, expected) => {
                    panic!("{place}\n{:?}\n{expected:?}", found.map(|kept| kept.map(|kept| kept.rows())))
                }
            }
            assert_eq!(known_of(&kept), known, "{place}");
            newest_is_open(definition, time, &next, &known);
            let again = refresh(&session, &kept, &maintenance, &changes, now + DAY, redefined).await;
            assert!(again.unwrap().is_none(), "{place}");
            world = next;
        }
    }
    // Without a time, all periods of one look begin together, so the periods of several keys follow each other.
    let rekeyed = definitions.iter().any(|one| one.key.len() > 1);
    assert!(overlaps > 0 || !time || !rekeyed, "no sequence met an overlap");
}

#[tokio::test]
async fn states_with_a_time_outlive_their_definition() {
    check(ORDERS, true, 30).await;
}

#[tokio::test]
async fn states_without_a_time_outlive_their_definition() {
    check(ORDERS, false, 30).await;
}

#[tokio::test]
async fn logs_of_states_outlive_their_definition() {
    check(EVENTS, true, 30).await;
}

/// Values that the new type cannot hold are refused, and named.
#[tokio::test]
async fn recorded_values_are_never_bent() {
    let session = session();
    let mut dice = Dice::new(3);
    let mut world = World::random(&mut dice);
    world.0.insert(
        "bronze.orders",
        vec![vec![
            Cell::Int(Some(1)),
            Cell::Int(None),
            Cell::Int(Some(1)),
            Cell::Text(Some("paid".into())),
            Cell::Time(Some(START)),
        ]],
    );
    let inputs = inputs(&world, &world, &mut dice, false);
    for (before, after, expected) in [
        (
            "CAST(3.7 AS DOUBLE)",
            "CAST(3 AS INT)",
            "the recorded value `3.7` of `x` cannot become int32 without a change",
        ),
        (
            "status",
            "CAST(1 AS BIGINT)",
            "the recorded value `paid` of `x` cannot become int64 without a change",
        ),
        (
            "TIMESTAMP '2024-01-01T10:00:00Z'",
            "DATE '2024-01-01'",
            "the recorded value `2024-01-01T10:00:00` of `x` cannot become date without a change",
        ),
        ("'3.5'", "CAST(3.5 AS DOUBLE)", ""),
        ("CAST(3 AS INT)", "CAST(3 AS BIGINT)", ""),
        ("CAST(3 AS BIGINT)", "CAST(4 AS INT)", ""),
        ("CAST(3.0 AS DOUBLE)", "CAST(4 AS INT)", ""),
        ("amount", "CAST(amount AS VARCHAR)", ""),
        ("DATE '2024-01-01'", "TIMESTAMP '2024-01-01T10:00:00Z'", ""),
    ] {
        let keep = Keep::History { key: vec!["order_id".into()], time: None };
        let maintenance = async |sql: &str| {
            let sql = format!("SELECT order_id, {sql} AS x FROM bronze.orders");
            Maintenance::new(&plan(&session, &sql).await, keep.clone()).unwrap()
        };
        let kept = Kept::build(&session, &maintenance(before).await, &inputs, START).await.unwrap();
        let refreshed = refresh(&session, &kept, &maintenance(after).await, &inputs, START, true).await;
        let told = refreshed.map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(told, expected, "{before} to {after}");
    }
}
