//! Random events and labels, every aggregation over them, and values in a form that can be compared bit by bit.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, FixedSizeListArray, Float64Array,
        Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array,
    },
    datatypes::{DataType, Decimal128Type, Float64Type, Int64Type},
};
use millstream_features::{
    aggregate::{Aggregation, Order, Value},
    window::{DAY, Events, Feature, HOUR, Labels, MINUTES_5, Measure, Operand, Window},
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

pub(crate) const INT: usize = 0;
pub(crate) const FLOAT: usize = 1;
pub(crate) const TEXT: usize = 2;
pub(crate) const FLAG: usize = 3;
pub(crate) const DECIMAL: usize = 4;
pub(crate) const VECTOR: usize = 5;
/// Floats with NaN and infinities.
pub(crate) const WILD: usize = 6;

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) entity: u32,
    pub(crate) order: Order,
    pub(crate) values: Vec<Value>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) entities: u32,
    pub(crate) events: Vec<Event>,
    pub(crate) labels: Vec<(Option<u32>, Option<i64>)>,
}

/// Times that often coincide, and often lie on a border of a hop or next to it.
fn time(random: &mut SmallRng) -> i64 {
    let unit = [MINUTES_5, HOUR, DAY][random.random_range(0..3)];
    let whole = 20_000 * DAY + random.random_range(-30..30) * unit;
    match random.random_range(0..4) {
        0 => whole,
        1 => whole + random.random_range(-1..=1),
        2 => whole + random.random_range(-MINUTES_5..MINUTES_5),
        _ => whole + random.random_range(-HOUR..HOUR),
    }
}

fn float(random: &mut SmallRng, wild: bool) -> f64 {
    match random.random_range(0..if wild { 40 } else { 8 }) {
        0 => 1e17,
        1 => -1e17,
        2 => 0.1,
        3 => -0.0,
        4..8 => random.random_range(-1000.0..1000.0),
        8 => f64::NAN,
        9 => f64::INFINITY,
        10 => f64::NEG_INFINITY,
        11 => f64::MIN_POSITIVE / 8.0,
        12 => 1e300,
        13 => -1e300,
        _ => random.random_range(-1e3..1e3),
    }
}

fn values(random: &mut SmallRng) -> Vec<Value> {
    let vector = Value::List((0..3).map(|_| Value::Float(float(random, false))).collect());
    let int = match random.random_range(0..6) {
        0 => i64::MAX - random.random_range(0..3),
        1 => (1 << 53) + random.random_range(0..5),
        2 => i64::MIN,
        _ => random.random_range(-5..5),
    };
    let values = [
        Value::Int(int),
        Value::Float(float(random, false)),
        Value::Text(["a", "b", "", "zz", "é"][random.random_range(0..5)].into()),
        Value::Bool(random.random()),
        Value::Decimal(random.random_range(-10_000_000..10_000_000)),
        vector,
        Value::Float(float(random, true)),
    ];
    values
        .into_iter()
        .map(|value| if random.random_range(0..10) == 0 { Value::Null } else { value })
        .collect()
}

impl World {
    pub(crate) fn random(seed: u64, events: usize, labels: usize) -> Self {
        let random = &mut SmallRng::seed_from_u64(seed);
        let mut world = Self { entities: 6, ..Self::default() };
        for sequence in 0..events {
            let event = time(random);
            let order = Order {
                event,
                known: event + [0, HOUR][random.random_range(0..2)],
                sequence: i64::try_from(sequence).unwrap(),
            };
            // Entity 5 has labels and no events.
            world.events.push(Event { entity: random.random_range(0..5), order, values: values(random) });
        }
        world.events.shuffle(random);
        for _ in 0..labels {
            let entity = (random.random_range(0..30) > 0).then(|| random.random_range(0..6));
            let at = match random.random_range(0..5) {
                0 => world
                    .events
                    .get(random.random_range(0..events.max(1)))
                    .map_or(0, |event| event.order.event),
                _ => time(random),
            };
            world.labels.push((entity, (random.random_range(0..30) > 0).then_some(at)));
        }
        world
    }

    pub(crate) fn columns(&self) -> Vec<ArrayRef> {
        fn column(events: &[Event], at: usize) -> impl Iterator<Item = &Value> {
            events.iter().map(move |event| &event.values[at])
        }
        let float = |at| -> ArrayRef {
            Arc::new(
                column(&self.events, at)
                    .map(|value| if let Value::Float(value) = value { Some(*value) } else { None })
                    .collect::<Float64Array>(),
            )
        };
        let ints: Int64Array = column(&self.events, INT)
            .map(|value| if let Value::Int(value) = value { Some(*value) } else { None })
            .collect();
        let texts: StringArray = column(&self.events, TEXT)
            .map(|value| if let Value::Text(value) = value { Some(value.as_ref()) } else { None })
            .collect();
        let flags: BooleanArray = column(&self.events, FLAG)
            .map(|value| if let Value::Bool(value) = value { Some(*value) } else { None })
            .collect();
        let decimals: Decimal128Array = column(&self.events, DECIMAL)
            .map(|value| if let Value::Decimal(value) = value { Some(*value) } else { None })
            .collect();
        let vectors = FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(
            column(&self.events, VECTOR).map(|value| match value {
                Value::List(items) => Some(
                    items
                        .iter()
                        .map(|item| if let Value::Float(value) = item { Some(*value) } else { None })
                        .collect::<Vec<_>>(),
                ),
                _ => None,
            }),
            3,
        );
        let decimals = decimals.with_precision_and_scale(12, 2).unwrap();
        vec![
            Arc::new(ints),
            float(FLOAT),
            Arc::new(texts),
            Arc::new(flags),
            Arc::new(decimals),
            Arc::new(vectors),
            float(WILD),
        ]
    }

    pub(crate) fn types(&self) -> Vec<DataType> {
        self.columns().iter().map(|column| column.data_type().clone()).collect()
    }

    /// The features' values, by feature and label.
    pub(crate) fn evaluate(&self, features: &[Feature], threads: usize) -> Vec<Vec<Value>> {
        let entity: UInt32Array = self.events.iter().map(|event| event.entity).collect();
        let times = |time: fn(&Order) -> i64| -> TimestampMicrosecondArray {
            self.events.iter().map(|event| time(&event.order)).collect::<Vec<_>>().into()
        };
        let (event_time, known_time) = (times(|order| order.event), times(|order| order.known));
        let sequence: Int64Array = self.events.iter().map(|event| event.order.sequence).collect();
        let label_entity: UInt32Array = self.labels.iter().map(|(entity, _)| *entity).collect();
        let label_time: TimestampMicrosecondArray = self.labels.iter().map(|(_, time)| *time).collect();
        let columns = self.columns();
        let labels = Labels { entities: self.entities, entity: &label_entity, time: &label_time };
        let events = Events {
            entity: &entity,
            event_time: &event_time,
            known_time: &known_time,
            sequence: &sequence,
            columns: &columns,
        };
        let threads = threads.try_into().unwrap();
        let found = millstream_features::window::evaluate(labels, events, features, threads).unwrap();
        let arrays = found.iter().map(|feature| &feature.values);
        arrays.map(|array| (0..array.len()).map(|row| cell(array, row)).collect()).collect()
    }
}

/// One cell of an array.
pub(crate) fn cell(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    let items = |list: ArrayRef| Value::List((0..list.len()).map(|row| cell(&list, row)).collect());
    match array.data_type() {
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => Value::Decimal(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).into()),
        DataType::List(_) => items(array.as_list::<i32>().value(row)),
        DataType::FixedSizeList(..) => items(array.as_fixed_size_list().value(row)),
        other => panic!("no cell of type {other}"),
    }
}

/// Text of a value that differs when a bit of the value does; all NaN are one.
pub(crate) fn shown(value: &Value) -> String {
    format!("{value:?}")
}

pub(crate) fn minutes(minutes: u64) -> Window {
    Window::last(millstream_types::Span::from_ms(minutes * 60_000))
}

/// Windows on both sides of every change of hop, and some that are no multiple of theirs.
pub(crate) fn windows() -> Vec<Window> {
    let mut windows: Vec<_> =
        [5, 7, 60, 719, 720, 723, 12 * 1440 - 1, 12 * 1440, 30 * 1440 + 1].map(minutes).to_vec();
    windows.push(Window::all_time());
    windows.push(Window { include_same_instant: true, ..minutes(7) });
    windows.push(Window { include_same_instant: true, ..Window::all_time() });
    windows
}

/// Every aggregation over every column that it takes.
pub(crate) fn operands() -> Vec<Operand> {
    let hour = millstream_types::Span::from_ms(3_600_000);
    let one = |aggregation: Aggregation, columns: &[usize]| {
        columns.iter().map(|column| Operand::new(aggregation.clone(), Some(*column))).collect::<Vec<_>>()
    };
    let numbers = [INT, FLOAT, DECIMAL, WILD];
    let scalars = [INT, FLOAT, TEXT, FLAG, DECIMAL, WILD];
    let all = [INT, FLOAT, TEXT, FLAG, DECIMAL, VECTOR, WILD];
    let mut operands = vec![
        Operand::new(Aggregation::Count, None),
        Operand::new(Aggregation::TimeSinceLast, None),
        Operand { filter: Some(FLAG), ..Operand::new(Aggregation::Count, None) },
        Operand { filter: Some(FLAG), ..Operand::new(Aggregation::Sum, Some(FLOAT)) },
        Operand { filter: Some(FLAG), ..Operand::new(Aggregation::Last, Some(TEXT)) },
        Operand { filter: Some(FLAG), ..Operand::new(Aggregation::Max, Some(INT)) },
    ];
    operands.extend(one(Aggregation::CountIf, &[FLAG]));
    for aggregation in [
        Aggregation::Sum,
        Aggregation::Mean,
        Aggregation::Variance,
        Aggregation::StandardDeviation,
        Aggregation::Skewness,
        Aggregation::Kurtosis,
        Aggregation::Quantile(0.3),
        Aggregation::Quantile(1.0),
        Aggregation::Trend { per: hour },
        Aggregation::DecayedSum { half_life: hour },
        Aggregation::DecayedMean { half_life: hour },
    ] {
        operands.extend(one(aggregation, &numbers));
    }
    for aggregation in [
        Aggregation::Min,
        Aggregation::Max,
        Aggregation::ApproxDistinct,
        Aggregation::TopK(3),
        Aggregation::Distinct { bound: 4 },
        Aggregation::Distinct { bound: 1000 },
        Aggregation::MostFrequent { bound: 4 },
        Aggregation::MostFrequent { bound: 1000 },
    ] {
        operands.extend(one(aggregation, &scalars));
    }
    for aggregation in [
        Aggregation::Count,
        Aggregation::First,
        Aggregation::Last,
        Aggregation::FirstK(2),
        Aggregation::LastK(3),
        Aggregation::TimeSinceLast,
    ] {
        operands.extend(one(aggregation, &all));
    }
    operands.extend(one(Aggregation::Histogram(vec![-1.0, 0.0, 2.5]), &[INT, FLOAT, WILD]));
    operands.extend(one(Aggregation::VectorSum, &[VECTOR]));
    operands.extend(one(Aggregation::VectorMean, &[VECTOR]));
    operands
}

/// Every operand over one window, a rate where there is a length, and ratios.
pub(crate) fn features(window: Window) -> Vec<Feature> {
    let one = |operand| Feature { measure: Measure::One(operand), window };
    let mut features: Vec<_> = operands().into_iter().map(one).collect();
    if window.length.is_some() {
        let per = millstream_types::Span::from_ms(86_400_000);
        features.push(Feature::new(Aggregation::Rate { per }, None, window));
        features.push(Feature::new(Aggregation::Rate { per }, Some(DECIMAL), window));
    }
    let count = Operand::new(Aggregation::Count, None);
    for numerator in [
        Operand::new(Aggregation::CountIf, Some(FLAG)),
        Operand::new(Aggregation::Sum, Some(DECIMAL)),
        Operand::new(Aggregation::Mean, Some(WILD)),
    ] {
        let measure =
            |against| Measure::Ratio { numerator: numerator.clone(), denominator: count.clone(), against };
        features.push(Feature { measure: measure(None), window });
        features.push(Feature { measure: measure(Some(against(window))), window });
    }
    if window.length.is_some() {
        features.extend(
            changing().into_iter().map(|operand| Feature { measure: Measure::Change(operand), window }),
        );
    }
    features
}

/// A window of another length, with hops of another size.
pub(crate) fn against(window: Window) -> millstream_types::Span {
    let length = window.length.map_or(DAY, |length| i64::try_from(length.ms()).unwrap() * 1_000);
    millstream_types::Span::from_ms(u64::try_from((length * 3 + 13 * HOUR) / 1_000).unwrap())
}

/// What has a change.
pub(crate) fn changing() -> Vec<Operand> {
    let mut operands = vec![
        Operand::new(Aggregation::Count, None),
        Operand::new(Aggregation::CountIf, Some(FLAG)),
        Operand { filter: Some(FLAG), ..Operand::new(Aggregation::Sum, Some(INT)) },
    ];
    operands.extend([INT, FLOAT, DECIMAL, WILD].map(|column| Operand::new(Aggregation::Sum, Some(column))));
    operands
}
