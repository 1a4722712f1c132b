//! Windows against a plain double loop, against reads of the hop store, and against themselves with other input order
//! and partitioning.

use millstream_features::{
    aggregate::{Aggregation, Order, Value, ValueRef},
    window::{DAY, Feature, HOUR, HopStore, Layout, MINUTES_5, Measure, Window},
};
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::{
    naive::{Expected, expected, seen},
    world::{Event, FLAG, FLOAT, INT, TEXT, World, features, minutes, operands, shown, windows},
};

fn all_features() -> Vec<Feature> {
    windows().into_iter().flat_map(features).collect()
}

fn all_shown(values: &[Vec<Value>]) -> Vec<Vec<String>> {
    values.iter().map(|column| column.iter().map(shown).collect()).collect()
}

#[test]
fn every_aggregation_equals_the_double_loop() {
    let mut compared = 0;
    for (seed, events, labels) in [(1, 0, 20), (2, 3, 40), (3, 150, 60), (4, 900, 40)] {
        let world = World::random(seed, events, labels);
        let operands = operands();
        for window in windows() {
            let features: Vec<_> = operands
                .iter()
                .map(|operand| Feature { measure: Measure::One(operand.clone()), window })
                .collect();
            let found = world.evaluate(&features, 2);
            for (row, label) in world.labels.iter().enumerate() {
                let (Some(entity), Some(at)) = *label else {
                    assert!(found.iter().all(|column| column[row] == Value::Null));
                    continue;
                };
                let seen = seen(&world, entity, at, window);
                for (operand, column) in operands.iter().zip(&found) {
                    compared += 1;
                    let context = || format!("{operand:?} over {window:?} at {at}, seed {seed}");
                    check(&column[row], expected(operand, &seen, at), context);
                }
            }
        }
    }
    assert!(compared > 100_000);
}

fn check(found: &Value, expected: Expected, context: impl Fn() -> String) {
    match (found, expected) {
        (_, Expected::Unknown) => {}
        (found, Expected::Exactly(value)) => assert_eq!(shown(found), shown(&value), "{}", context()),
        (Value::Float(found), Expected::About(value)) => {
            let equal = found == &value || (found.is_nan() && value.is_nan());
            let near = (found - value).abs() <= value.abs() * 1e-9;
            assert!(equal || near, "{found} is not {value}: {}", context());
        }
        (found, expected) => panic!("{found:?} is not {expected:?}: {}", context()),
    }
}

#[test]
fn values_do_not_depend_on_order_or_partitioning() {
    let mut world = World::random(11, 600, 80);
    let features = all_features();
    let first = all_shown(&world.evaluate(&features, 1));
    for seed in 0..3 {
        world.events.shuffle(&mut SmallRng::seed_from_u64(seed));
        assert!(all_shown(&world.evaluate(&features, 1 + seed as usize * 3)) == first);
    }
}

#[test]
fn events_equal_in_the_whole_order_do_not_depend_on_order_either() {
    let mut world = World::random(12, 300, 60);
    for event in &mut world.events {
        event.order.event = event.order.event.div_euclid(DAY) * DAY;
        event.order.known = 0;
        event.order.sequence = 0;
    }
    let features = all_features();
    let first = all_shown(&world.evaluate(&features, 1));
    world.events.reverse();
    assert!(all_shown(&world.evaluate(&features, 2)) == first);
}

#[test]
fn events_after_the_labels_change_nothing() {
    let mut world = World::random(13, 300, 60);
    let features = all_features();
    let first = all_shown(&world.evaluate(&features, 2));
    let mut later = World::random(14, 300, 0).events;
    later.iter_mut().for_each(|event| event.order.event += 1000 * DAY);
    world.events.extend(later);
    assert!(all_shown(&world.evaluate(&features, 2)) == first);
}

fn update(store: &mut HopStore, layout: &Layout, event: &Event) {
    let values: Vec<ValueRef<'_>> = event.values.iter().map(Value::borrowed).collect();
    store.update(layout, event.order, &values).unwrap();
}

#[test]
fn a_read_equals_the_training_value_at_any_time() {
    let mut world = World::random(21, 500, 0);
    let features = all_features();
    let layout = Layout::new(&features, &world.types()).unwrap();
    world.events.iter_mut().for_each(|event| event.entity = 0);
    world.events.sort_by_key(|event| event.order);
    let times: Vec<i64> = world.events.iter().step_by(17).map(|event| event.order.event).collect();
    let mut store = HopStore::new(&layout);
    let mut events = world.events.iter().enumerate().peekable();
    let mut late = Vec::new();
    for at in times {
        // Every seventh event arrives one read too late and one in five comes before its time.
        late.drain(..).for_each(|event: &Event| update(&mut store, &layout, event));
        while let Some((index, event)) = events.next_if(|(_, event)| event.order.event <= at + HOUR) {
            if index % 7 == 0 {
                late.push(event);
            } else {
                update(&mut store, &layout, event);
            }
        }
        store.advance(&layout, at);
        let bytes = store.to_bytes();
        store = HopStore::from_bytes(&layout, &bytes).unwrap();
        assert_eq!(store.to_bytes(), bytes);
        let known: Vec<Event> = world
            .events
            .iter()
            .filter(|event| {
                let arrived = event.order.event <= at + HOUR;
                arrived && !late.iter().any(|late| late.order == event.order)
            })
            .cloned()
            .collect();
        for at in [at, at + 1, at + MINUTES_5 - 1, at + 3 * HOUR] {
            let now = World { entities: 1, events: known.clone(), labels: vec![(Some(0), Some(at))] };
            let reading = store.read(&layout, at).unwrap();
            assert!(reading.exact);
            for (feature, (found, trained)) in
                features.iter().zip(reading.values.iter().zip(now.evaluate(&features, 1)))
            {
                assert_eq!(shown(found), shown(&trained[0]), "{feature:?} at {at}");
            }
        }
    }
}

#[test]
fn merged_stores_read_as_one() {
    let world = World::random(22, 400, 0);
    let features = all_features();
    let layout = Layout::new(&features, &world.types()).unwrap();
    let now = 20_000 * DAY + HOUR;
    let [mut whole, mut left, mut right] = [(); 3].map(|()| HopStore::new(&layout));
    for (index, event) in world.events.iter().enumerate() {
        update(&mut whole, &layout, event);
        update(if index % 3 == 0 { &mut left } else { &mut right }, &layout, event);
        if index == 200 {
            left.advance(&layout, now - DAY);
        }
    }
    whole.advance(&layout, now);
    right.advance(&layout, now);
    let before = right.to_bytes();
    left.merge(&layout, &right).unwrap();
    assert_eq!(right.to_bytes(), before, "merging leaves the other side as it was");
    assert_eq!(left.to_bytes(), whole.to_bytes());
    assert!(left.read(&layout, now).unwrap().exact);
    assert!(!left.read(&layout, now - DAY).unwrap().exact);
}

/// A world of one entity with an event of value 1 at each time.
fn ones(times: &[i64]) -> World {
    let event = |(sequence, time): (usize, &i64)| {
        let order = Order { event: *time, known: *time, sequence: sequence as i64 };
        let mut values = vec![Value::Null; 7];
        values[INT] = Value::Int(1);
        values[FLOAT] = Value::Float(1.0);
        values[FLAG] = Value::Bool(true);
        values[TEXT] = Value::Text(sequence.to_string().into());
        Event { entity: 0, order, values }
    };
    World { entities: 1, events: times.iter().enumerate().map(event).collect(), labels: Vec::new() }
}

/// The same value offline, and online from a store whose mark is `mark`.
fn both(world: &World, feature: &Feature, mark: i64, at: i64) -> Value {
    let offline = World { labels: vec![(Some(0), Some(at))], ..world.clone() }
        .evaluate(std::slice::from_ref(feature), 1);
    let layout = Layout::new(std::slice::from_ref(feature), &world.types()).unwrap();
    let mut store = HopStore::new(&layout);
    store.advance(&layout, mark);
    world.events.iter().for_each(|event| update(&mut store, &layout, event));
    let online = store.read(&layout, at).unwrap();
    assert!(online.exact);
    assert_eq!(shown(&online.values[0]), shown(&offline[0][0]), "{feature:?}");
    offline[0][0].clone()
}

fn sum(window: Window) -> Feature {
    Feature::new(Aggregation::Sum, Some(INT), window)
}

const NOW: i64 = 20_000 * DAY;

#[test]
fn edge_1_an_event_exactly_at_the_tail_is_in() {
    let world = ones(&[NOW - 30 * DAY, NOW - 30 * DAY - 1]);
    assert_eq!(both(&world, &sum(minutes(30 * 1440)), NOW, NOW), Value::Int(1));
}

#[test]
fn edge_2_windows_that_are_no_multiple_of_their_hop_agree() {
    for at in (0..1200).map(|second| NOW + second * 1_000_000) {
        let world = ones(&(0..40).map(|half| at - half * 30_000_000).collect::<Vec<_>>());
        both(&world, &sum(minutes(7)), NOW, at);
        both(&world, &sum(minutes(7)), at, at);
    }
}

#[test]
fn edge_3_a_mark_that_lags_for_days_leaves_reads_exact() {
    let world = ones(&(0..40).map(|day| NOW - day * DAY).collect::<Vec<_>>());
    for lag in 0..9 {
        both(&world, &sum(minutes(14 * 1440)), NOW - lag * DAY, NOW);
    }
}

#[test]
fn edge_4_a_late_event_updates_its_hop_in_place() {
    let feature = sum(minutes(14 * 1440));
    let world = ones(&[NOW - 3 * DAY]);
    let layout = Layout::new(std::slice::from_ref(&feature), &world.types()).unwrap();
    let mut store = HopStore::new(&layout);
    store.advance(&layout, NOW);
    assert_eq!(store.read(&layout, NOW).unwrap().values, [Value::Null]);
    update(&mut store, &layout, &world.events[0]);
    assert_eq!(store.read(&layout, NOW).unwrap().values, [Value::Int(1)]);
}

#[test]
fn edge_5_ties_at_head_and_in_order_are_the_same_online_and_offline() {
    let world = ones(&[NOW, NOW, NOW - 1, NOW - 1]);
    assert_eq!(both(&world, &sum(minutes(5)), NOW, NOW), Value::Int(2));
    let same = Window { include_same_instant: true, ..minutes(5) };
    assert_eq!(both(&world, &sum(same), NOW, NOW), Value::Int(4));
    let last = Feature::new(Aggregation::Last, Some(TEXT), minutes(5));
    assert_eq!(both(&world, &last, NOW, NOW), Value::Text("3".into()));
}

#[test]
fn damaged_bytes_are_an_error_and_no_panic() {
    let world = World::random(31, 120, 0);
    let layout = Layout::new(&features(minutes(7 * 1440)), &world.types()).unwrap();
    let mut store = HopStore::new(&layout);
    world.events.iter().for_each(|event| update(&mut store, &layout, event));
    store.advance(&layout, NOW);
    let bytes = store.to_bytes();
    for cut in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
        assert!(HopStore::from_bytes(&layout, &bytes[..cut]).is_err());
    }
}
