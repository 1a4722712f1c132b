//! Random datasets against a double loop over labels and events, in memory and spilled.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType},
};
use millstream_features::window::Window;
use millstream_ml::dataset::AsKnown;
use proptest::prelude::*;

use crate::world::{DAY, World, batch, cut, events, floats, ints, lines, service, times, view};

#[derive(Clone, Debug)]
struct Event {
    key: Option<i64>,
    time: Option<i64>,
    known: Option<i64>,
    amount: Option<f64>,
}

#[derive(Clone, Debug)]
struct Label {
    key: Option<i64>,
    time: Option<i64>,
}

const HOUR: i64 = DAY / 24;

fn event() -> impl Strategy<Value = Event> {
    let time = prop::option::weighted(0.97, (0..2_000_i64).prop_map(|half_hours| half_hours * HOUR / 2));
    let amount = prop::option::weighted(0.9, (-50..50_i32).prop_map(f64::from));
    let late = prop::option::weighted(0.95, 0..200_i64);
    (prop::option::weighted(0.97, 0..30_i64), time, late, amount).prop_map(|(key, time, late, amount)| {
        Event { key, time, known: late.map(|late| time.unwrap_or_default() + late * HOUR), amount }
    })
}

fn label() -> impl Strategy<Value = Label> {
    let time = prop::option::weighted(0.97, (0..2_100_i64).prop_map(|half_hours| half_hours * HOUR / 2));
    (prop::option::weighted(0.97, 0..33_i64), time).prop_map(|(key, time)| Label { key, time })
}

/// Newest amount, number of events and spend of 7 days, as a label should see them.
fn expected(label: &Label, events: &[Event], as_known: bool) -> (Option<f64>, i64, Option<f64>) {
    let (Some(key), Some(time)) = (label.key, label.time) else { return (None, 0, None) };
    let mut seen: Vec<(i64, i64, usize)> = Vec::new();
    for (sequence, event) in events.iter().enumerate() {
        let is_known = !as_known || event.known.is_some_and(|known| known <= time);
        if event.key == Some(key) && event.time.is_some_and(|at| at < time) && is_known {
            seen.push((event.time.unwrap(), event.known.unwrap_or_default(), sequence));
        }
    }
    seen.sort_unstable();
    let newest = seen.last().and_then(|(.., sequence)| events[*sequence].amount);
    let start = Window::last("7d".parse().unwrap()).start(time);
    let in_window = seen.iter().filter(|(at, ..)| *at >= start);
    let amounts: Vec<f64> = in_window.filter_map(|(.., sequence)| events[*sequence].amount).collect();
    let spend = (!amounts.is_empty()).then(|| amounts.iter().sum());
    (newest, seen.len() as i64, spend)
}

fn world(labels: &[Label], rows: &[Event]) -> World {
    let orders = view("orders", DataType::Int64);
    let table = events(
        &orders,
        ints(rows.iter().map(|event| event.key)),
        times(rows.iter().map(|event| event.time)),
        floats(rows.iter().map(|event| event.amount)),
    );
    let mut columns = table.columns().to_vec();
    columns[2] = times(rows.iter().map(|event| event.known));
    let table = RecordBatch::try_new(table.schema(), columns).unwrap();
    let labels = batch(vec![
        ("row", ints((0..labels.len() as i64).map(Some))),
        ("customer_id", ints(labels.iter().map(|label| label.key))),
        ("as_of", times(labels.iter().map(|label| label.time))),
    ]);
    World::new(service(vec![orders]), labels, vec![table])
}

fn check(labels: &[Label], data: &RecordBatch, events: &[Event], as_known: bool) {
    assert_eq!(data.num_rows(), labels.len());
    let row = data.column(0).as_primitive::<Int64Type>();
    let key = data.column(1).as_primitive::<Int64Type>();
    let time = data.column(2).as_primitive::<TimestampMicrosecondType>();
    let amount = data.column(3).as_primitive::<Float64Type>();
    let orders = data.column(4).as_primitive::<Int64Type>();
    let spend = data.column(5).as_primitive::<Float64Type>();
    for (at, label) in labels.iter().enumerate() {
        assert_eq!(row.value(at), at as i64);
        assert_eq!(key.is_valid(at).then(|| key.value(at)), label.key);
        assert_eq!(time.is_valid(at).then(|| time.value(at)), label.time);
        let found = (
            amount.is_valid(at).then(|| amount.value(at)),
            orders.value(at),
            spend.is_valid(at).then(|| spend.value(at)),
        );
        assert_eq!(found, expected(label, events, as_known), "{at}: {label:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dataset_is_what_a_double_loop_says_however_it_is_computed(
        labels in prop::collection::vec(label(), 0..400),
        rows in prop::collection::vec(event(), 0..400),
        label_sizes in prop::collection::vec(1_usize..200, 1..4),
        event_sizes in prop::collection::vec(1_usize..200, 1..4),
        as_known in any::<bool>(),
    ) {
        let mut world = world(&labels, &rows);
        world.plan.labels.as_known = as_known.then_some(AsKnown::LabelTime);
        let in_memory = world.data();
        check(&labels, &in_memory, &rows, as_known);
        let bytes = std::fs::read(&world.plan.output).unwrap();

        world.labels = cut(&world.labels[0], &label_sizes);
        world.events[0] = cut(&world.events[0][0], &event_sizes);
        world.plan.resources.memory_bytes = 24 << 10;
        let built = world.build().unwrap();
        assert!(built.spilled_bytes > 0 || labels.len().min(rows.len()) < 250);
        let spilled = crate::world::read(&world.plan.output);
        check(&labels, &spilled, &rows, as_known);
        let values = |data: &RecordBatch| lines(&data.project(&[0, 1, 3, 4, 5]).unwrap());
        assert_eq!(values(&spilled), values(&in_memory));
        assert!(std::fs::read(&world.plan.output).unwrap() == bytes, "equal values in other bytes");
        assert!(world.left_over().is_empty());
    }
}

#[test]
fn parts_that_are_too_large_are_divided_again() {
    // 6,000 keys of 3 events in 64 parts are 280 events a part, which do not fit into 8 KiB.
    let rows: Vec<Event> = (0..18_000)
        .map(|at| Event {
            key: Some(at % 6_000),
            time: Some(at * HOUR / 60),
            known: Some(at * HOUR / 60),
            amount: Some((at % 97) as f64),
        })
        .collect();
    let labels: Vec<Label> =
        (0..7_000).map(|at| Label { key: Some((at * 7) % 6_100), time: Some(at * HOUR / 30) }).collect();
    let mut world = world(&labels, &rows);
    let bytes = {
        world.build().unwrap();
        std::fs::read(&world.plan.output).unwrap()
    };
    world.plan.resources.memory_bytes = 16 << 10;
    assert!(world.build().unwrap().spilled_bytes > 1 << 20);
    assert_eq!(std::fs::read(&world.plan.output).unwrap(), bytes);
}
