//! States on their own: algebra, exactness, bytes.

use millstream_features::aggregate::{Aggregate, Aggregation, Order, STATE_VERSION, State, Value, ValueRef};

use crate::world::{World, operands};

fn states() -> Vec<(String, State, Vec<State>)> {
    let world = World::random(41, 90, 0);
    operands()
        .into_iter()
        .map(|operand| {
            let identity = operand.aggregation.identity();
            let thirds = world.events.chunks(30).map(|events| {
                let mut state = identity.clone();
                for event in events {
                    let value =
                        operand.column.map_or(ValueRef::Bool(true), |column| event.values[column].borrowed());
                    state.add(event.order, value);
                }
                state
            });
            (format!("{operand:?}"), identity.clone(), thirds.collect())
        })
        .collect()
}

fn merged(left: &State, right: &State) -> State {
    let mut state = left.clone();
    state.merge(right).unwrap();
    state
}

#[test]
fn merging_is_associative_commutative_and_has_an_identity() {
    for (name, identity, thirds) in states() {
        let [a, b, c] = thirds.as_slice() else { panic!("three states") };
        let whole = merged(&merged(a, b), c).to_bytes();
        assert_eq!(whole, merged(a, &merged(b, c)).to_bytes(), "{name}");
        assert_eq!(whole, merged(&merged(c, a), b).to_bytes(), "{name}");
        assert_eq!(a.to_bytes(), merged(&identity, a).to_bytes(), "{name}");
        assert_eq!(a.to_bytes(), merged(a, &identity).to_bytes(), "{name}");
    }
}

#[test]
fn bytes_are_read_back_and_damage_is_an_error() {
    for (name, _, thirds) in states() {
        let bytes = thirds[0].to_bytes();
        assert_eq!(bytes[0], STATE_VERSION);
        assert_eq!(State::from_bytes(&bytes).unwrap().to_bytes(), bytes, "{name}");
        for cut in 0..bytes.len() {
            assert!(State::from_bytes(&bytes[..cut]).is_err(), "{name} cut at {cut}");
        }
    }
}

#[test]
fn states_of_different_aggregations_do_not_merge() {
    let mut count = Aggregation::Count.identity();
    assert!(count.merge(&Aggregation::Sum.identity()).is_err());
}

fn sum_of(values: &[f64]) -> Vec<u8> {
    let mut state = Aggregation::Sum.identity();
    values.iter().for_each(|value| state.add(Order::default(), ValueRef::Float(*value)));
    state.to_bytes()
}

#[test]
fn sums_do_not_lose_small_terms_beside_large_ones() {
    assert_eq!(sum_of(&[1e17, 1.0, 1.0, 3.0, -1e17, 0.0]), sum_of(&[5.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
    assert_eq!(sum_of(&[1e300, 5e-324, -1e300]), sum_of(&[5e-324, 0.0, 0.0]));
}

#[test]
fn a_parameter_out_of_range_is_refused() {
    let float = arrow::datatypes::DataType::Float64;
    for aggregation in [
        Aggregation::FirstK(0),
        Aggregation::TopK(1_000_000),
        Aggregation::Quantile(1.5),
        Aggregation::Quantile(f64::NAN),
        Aggregation::Histogram(vec![]),
        Aggregation::Histogram(vec![2.0, 1.0]),
        Aggregation::Distinct { bound: 0 },
        Aggregation::DecayedSum { half_life: millstream_types::Span::from_ms(1) },
        Aggregation::VectorSum,
        Aggregation::CountIf,
    ] {
        assert!(aggregation.output_type(Some(&float)).is_err(), "{aggregation:?}");
    }
    assert!(Aggregation::Sum.output_type(None).is_err());
}

#[test]
fn sketches_stay_within_their_errors_and_ignore_order() {
    let mut forward = [Aggregation::ApproxDistinct.identity(), Aggregation::Quantile(0.5).identity()];
    let mut backward = forward.clone();
    for number in 0..20_000_i64 {
        for state in &mut forward {
            state.add(Order::default(), ValueRef::Int(number));
        }
        for state in &mut backward {
            state.add(Order::default(), ValueRef::Int(19_999 - number));
        }
    }
    for (left, right) in forward.iter().zip(&backward) {
        assert_eq!(left.to_bytes(), right.to_bytes());
    }
    let mut world = World::random(1, 0, 1);
    world.labels = vec![(Some(0), Some(1_000_000))];
    world.events = (0..20_000)
        .map(|number| {
            let order = Order { event: number, known: 0, sequence: number };
            let mut values = vec![Value::Null; 7];
            values[0] = Value::Int(number);
            crate::world::Event { entity: 0, order, values }
        })
        .collect();
    let features = [Aggregation::ApproxDistinct, Aggregation::Quantile(0.5)].map(|aggregation| {
        millstream_features::window::Feature::new(
            aggregation,
            Some(0),
            millstream_features::window::Window::all_time(),
        )
    });
    let found = world.evaluate(&features, 1);
    let Value::Int(distinct) = found[0][0] else { panic!("a count") };
    assert!((19_000..21_000).contains(&distinct), "{distinct}");
    let Value::Float(median) = found[1][0] else { panic!("a median") };
    assert!((median / 9_999.5 - 1.0).abs() < 0.004, "{median}");
}

/// One line for each aggregation: its state of a few events, as version 1 wrote it. A line never changes; a new
/// version gets a new file.
const SAMPLES: &str = include_str!("../data/states_v1.txt");

fn sampled() -> Vec<(String, State)> {
    let order = |event| Order { event, known: event + 5, sequence: event % 3 };
    let values = |column: usize| -> [Value; 3] {
        match column {
            0 => [Value::Int(7), Value::Int(-3), Value::Int(i64::MAX)],
            2 => ["b", "a", "b"].map(|text| Value::Text(text.into())),
            3 => [true, false, true].map(Value::Bool),
            4 => [1999, -5, 100_000_000_000_000_000_000_000_000_000_000].map(Value::Decimal),
            5 => [0.5, 1.0, -2.0].map(|value| Value::List(vec![Value::Float(value); 3])),
            6 => [f64::NAN, f64::INFINITY, 2.5].map(Value::Float),
            _ => [0.1, -4.0, 1e300].map(Value::Float),
        }
    };
    let state = |operand: millstream_features::window::Operand| {
        let mut state = operand.aggregation.identity();
        for (at, value) in values(operand.column.unwrap_or(3)).iter().enumerate() {
            state.add(order(1_700_000_000_000_000 + at as i64 * 60_000_000), value.borrowed());
        }
        (format!("{} {:?} {:?}", operand.aggregation.name(), operand.aggregation, operand.column), state)
    };
    operands().into_iter().filter(|operand| operand.filter.is_none()).map(state).collect()
}

fn line(name: &str, state: &State) -> String {
    let bytes: String = state.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}: {bytes}\n")
}

#[test]
fn samples_of_version_1_are_still_written_and_read() {
    let now: String = sampled().iter().map(|(name, state)| line(name, state)).collect();
    assert!(now == SAMPLES, "the bytes of a state changed:\n{now}");
    for (written, (name, state)) in SAMPLES.lines().zip(sampled()) {
        let hex = written.rsplit(": ").next().unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        assert_eq!(line(&name, &State::from_bytes(&bytes).unwrap()), line(&name, &state));
    }
}
