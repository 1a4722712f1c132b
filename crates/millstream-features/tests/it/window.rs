//! Windows against a plain double loop, against reads of online records, and against themselves with other input order
//! and partitioning.

use millstream_features::{
    aggregate::{Aggregation, Order, Value},
    view::{MARK_LAG, Status},
    window::{DAY, Feature, HOUR, Measure, Operand, Window},
};
use millstream_types::Span;
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::{
    naive::{Expected, expected, seen},
    online_world::{applied, online_view, read},
    world::{
        DECIMAL, Event, FLAG, FLOAT, INT, TEXT, World, against, changing, features, minutes, operands, shown,
        windows,
    },
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

/// The number that the double loop gives, with its scale taken away; null where it gives none.
fn number(operand: &Operand, world: &World, at: (u32, i64), window: Window) -> Option<f64> {
    let decimal = if operand.column == Some(DECIMAL) { 100.0 } else { 1.0 };
    match expected(operand, &seen(world, at.0, at.1, window), at.1) {
        Expected::Exactly(Value::Int(value)) => Some(value as f64),
        Expected::Exactly(Value::Float(value)) => Some(value),
        Expected::Exactly(Value::Decimal(value)) => Some(value as f64 / decimal),
        Expected::Exactly(_) => None,
        Expected::About(value) => Some(value),
        Expected::Outgrown | Expected::Unknown => Some(f64::NAN),
    }
}

#[test]
fn changes_and_ratios_to_longer_windows_equal_the_double_loop() {
    let mut compared = 0;
    for (seed, events, labels) in [(5, 150, 60), (6, 900, 40)] {
        let world = World::random(seed, events, labels);
        for window in windows().into_iter().filter(|window| window.length.is_some()) {
            let twice = Span::from_ms(window.length.unwrap().ms() * 2);
            let count = Operand::new(Aggregation::Count, None);
            let mut features: Vec<Feature> = changing()
                .into_iter()
                .map(|operand| Feature { measure: Measure::Change(operand), window })
                .collect();
            let against = Some(against(window));
            features.extend(changing().into_iter().map(|numerator| Feature {
                measure: Measure::Ratio { numerator, denominator: count.clone(), against },
                window,
            }));
            let found = world.evaluate(&features, 2);
            for (row, label) in world.labels.iter().enumerate() {
                let (Some(entity), Some(at)) = *label else { continue };
                for (feature, column) in features.iter().zip(&found) {
                    let over = |operand: &Operand, length| {
                        number(operand, &world, (entity, at), Window { length, ..window })
                    };
                    let expected = match &feature.measure {
                        Measure::Change(operand) => {
                            let (later, both) = (over(operand, window.length), over(operand, Some(twice)));
                            both.map(|both| {
                                let later = later.unwrap_or(0.0);
                                later - (both - later)
                            })
                        }
                        Measure::Ratio { numerator, denominator, .. } => {
                            let below = over(denominator, against).filter(|below| *below != 0.0);
                            over(numerator, window.length).zip(below).map(|(above, below)| above / below)
                        }
                        Measure::One(_) => unreachable!("only the other two are asked for"),
                    };
                    let context = || format!("{feature:?} at {at}, seed {seed}");
                    compared += 1;
                    match (&column[row], expected) {
                        (Value::Null, None) => {}
                        // The double loop and the features tell apart what is beyond a type, and what is no number.
                        (_, Some(expected)) if expected.is_nan() => {}
                        (Value::Float(found), Some(expected)) => {
                            let near = (found - expected).abs() <= expected.abs().max(1.0) * 1e-9;
                            assert!(found == &expected || near, "{found} is not {expected}: {}", context());
                        }
                        (found, expected) => panic!("{found:?} is not {expected:?}: {}", context()),
                    }
                }
            }
        }
    }
    assert!(compared > 10_000);
}

fn check(found: &Value, expected: Expected, context: impl Fn() -> String) {
    match (found, expected) {
        (_, Expected::Unknown) | (Value::Null, Expected::Outgrown) => {}
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

/// The same value offline, and online from a record whose mark is `mark`.
fn both(world: &World, feature: &Feature, mark: i64, at: i64) -> Value {
    let offline = World { labels: vec![(Some(0), Some(at))], ..world.clone() }
        .evaluate(std::slice::from_ref(feature), 1);
    let view = online_view(std::slice::from_ref(feature));
    let record = applied(&view, None, &world.events, 1, mark + MARK_LAG);
    let online = read(&view, record.as_deref(), at);
    assert_ne!(online.statuses[0], Status::Degraded);
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
    let view = online_view(&[sum(minutes(14 * 1440))]);
    let [early, late] = [ones(&[NOW - HOUR]), ones(&[NOW - 3 * DAY])];
    let record = applied(&view, None, &early.events, 1, NOW);
    assert_eq!(read(&view, record.as_deref(), NOW).values, [Value::Int(1)]);
    let record = applied(&view, record.as_deref(), &late.events, 2, NOW);
    assert_eq!(read(&view, record.as_deref(), NOW).values, [Value::Int(2)]);
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
