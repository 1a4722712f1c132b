//! A joined view against a plain double loop: newest rows and windows, cut-offs, time to live, ties, composite keys,
//! nulls anywhere, in any order and any batches.

use std::{cmp::Ordering, num::NonZeroUsize, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::DataType,
};
use millstream_features::{
    aggregate::{Aggregation, Value},
    asof::LabelRows,
    view::{
        ColumnDefinition, FeatureDefinition, FeatureValue, JoinOptions, KeyDefinition, Status,
        ViewDefinition, ViewJoin, ViewValues,
    },
    window::{DAY, Feature, HOUR, Layout, Measure, Operand, Window},
};
use millstream_types::Span;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::{
    naive::{Expected, expected, seen},
    world::{Event, World, cell, operands, shown, windows},
};

/// An event, and what of it is null.
#[derive(Clone, Debug)]
struct Row {
    event: Event,
    has_key: bool,
    has_time: bool,
    has_known: bool,
    has_sequence: bool,
}

#[derive(Clone, Debug)]
struct Label {
    entity: Option<u32>,
    time: Option<i64>,
    cut: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    as_known: bool,
    ttl: Option<Span>,
    include_same_instant: bool,
}

/// A view's history and the labels that ask for it.
#[derive(Debug)]
struct Case {
    definition: ViewDefinition,
    rows: Vec<Row>,
    labels: Vec<Label>,
    options: Options,
}

/// Two columns in which different entities share each part.
fn keys(entities: impl Iterator<Item = Option<u32>> + Clone) -> Vec<ArrayRef> {
    let numbers: Int64Array = entities.clone().map(|entity| Some(i64::from(entity? / 2))).collect();
    let texts: StringArray = entities.map(|entity| Some(["x", "xy"][entity? as usize % 2])).collect();
    vec![Arc::new(numbers), Arc::new(texts)]
}

fn instants(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn definition(
    types: &[DataType],
    windows: &[Window],
    options: Options,
    random: &mut SmallRng,
) -> ViewDefinition {
    let newest = (0..types.len()).map(FeatureValue::Newest);
    let mut values: Vec<FeatureValue> = newest.collect();
    for window in windows {
        for operand in operands() {
            values.push(FeatureValue::Window { measure: Measure::One(operand), window: window.length });
        }
    }
    let feature = |(at, value): (usize, FeatureValue)| {
        let data_type = match &value {
            FeatureValue::Newest(column) => types[*column].clone(),
            FeatureValue::Window { measure, .. } => {
                let one = Feature { measure: measure.clone(), window: Window::all_time() };
                Layout::new(&[one], types).unwrap().output_types()[0].clone()
            }
        };
        let default = match data_type {
            DataType::Int64 => Some(Value::Int(-7)),
            DataType::Float64 => Some(Value::Float(-0.5)),
            DataType::Utf8 => Some(Value::Text("none".into())),
            _ => None,
        };
        let default = default.filter(|_| random.random_bool(0.3));
        FeatureDefinition { name: format!("f{at}"), value, data_type, default }
    };
    let key = |(name, data_type): (&str, DataType)| KeyDefinition { name: name.into(), data_type };
    ViewDefinition {
        name: "orders".into(),
        entity: "customer".into(),
        keys: [("number", DataType::Int64), ("text", DataType::Utf8)].map(key).into(),
        query: String::new(),
        ttl: options.ttl,
        include_same_instant: options.include_same_instant,
        columns: types
            .iter()
            .map(|data_type| ColumnDefinition { sql: String::new(), data_type: data_type.clone() })
            .collect(),
        features: values.into_iter().enumerate().map(feature).collect(),
        rows: Default::default(),
    }
}

impl Case {
    fn random(seed: u64) -> Self {
        let random = &mut SmallRng::seed_from_u64(seed);
        let options = Options {
            as_known: random.random_bool(0.5),
            ttl: random.random_bool(0.4).then(|| Span::from_ms(random.random_range(1..200) * 3_600_000)),
            include_same_instant: random.random_bool(0.3),
        };
        let world = World::random(seed, [0, 5, 120, 400][seed as usize % 4], 40);
        let (is_coarse, is_late) = (random.random_bool(0.4), random.random_bool(0.7));
        let row = |mut event: Event| {
            let [has_key, has_time, has_known, has_sequence] = [(); 4].map(|()| random.random_bool(0.95));
            if is_late && random.random_bool(0.2) {
                event.order.known += random.random_range(0..5 * DAY);
            }
            if is_coarse {
                event.order.event = event.order.event.div_euclid(DAY) * DAY;
                event.order.known = event.order.known.div_euclid(DAY) * DAY;
                event.order.sequence %= 2;
            }
            event.order.known = if has_known { event.order.known } else { 0 };
            event.order.sequence = if has_sequence { event.order.sequence } else { 0 };
            Row { event, has_key, has_time, has_known, has_sequence }
        };
        let rows = world.events.iter().cloned().map(row).collect();
        // Cut-offs that go with the labels' times slide, others do not.
        let lateness = (!seed.is_multiple_of(3)).then(|| random.random_range(0..3));
        let label = |(entity, time): &(Option<u32>, Option<i64>)| {
            let time = time.map(|time| if is_coarse { time.div_euclid(DAY) * DAY } else { time });
            let late = [0, HOUR, 3 * DAY][lateness.unwrap_or_else(|| random.random_range(0..3))];
            let cut = time.filter(|_| random.random_bool(0.9)).map(|time| time - late);
            Label { entity: *entity, time, cut }
        };
        let labels = world.labels.iter().map(label).collect();
        let lengths: Vec<Window> =
            windows().into_iter().filter(|window| !window.include_same_instant).collect();
        let chosen: Vec<Window> = (0..3).map(|_| lengths[random.random_range(0..lengths.len())]).collect();
        Self { definition: definition(&world.types(), &chosen, options, random), rows, labels, options }
    }

    fn batch(&self) -> RecordBatch {
        let world =
            World { events: self.rows.iter().map(|row| row.event.clone()).collect(), ..World::default() };
        let entities = self.rows.iter().map(|row| row.has_key.then_some(row.event.entity));
        let mut columns = keys(entities);
        columns.push(instants(self.rows.iter().map(|row| row.has_time.then_some(row.event.order.event))));
        columns.push(instants(self.rows.iter().map(|row| row.has_known.then_some(row.event.order.known))));
        let sequences = self.rows.iter().map(|row| row.has_sequence.then_some(row.event.order.sequence));
        columns.push(Arc::new(sequences.collect::<Int64Array>()));
        columns.extend(world.columns());
        RecordBatch::try_new(self.definition.event_schema(), columns).unwrap()
    }

    fn join(&self, features: &[usize], batches: &[RecordBatch], threads: usize) -> ViewValues {
        let threads = NonZeroUsize::new(threads).unwrap();
        let options = JoinOptions { as_known: self.options.as_known, threads };
        let mut join = ViewJoin::new(&self.definition, features, options).unwrap();
        batches.iter().for_each(|batch| join.push(batch).unwrap());
        let cuts = instants(self.labels.iter().map(|label| label.cut));
        let labels = LabelRows {
            keys: &keys(self.labels.iter().map(|label| label.entity)),
            time: &instants(self.labels.iter().map(|label| label.time)),
            as_known: self.options.as_known.then_some(&cuts),
        };
        let values = join.build().unwrap().join(&labels).unwrap();
        assert_eq!(values.features.len(), features.len());
        assert!(values.features.iter().all(|column| column.len() == self.labels.len()));
        assert_eq!(values.event_times.len(), self.labels.len());
        values
    }

    /// The events that a label sees; none for a label that sees nothing.
    fn visible(&self, label: &Label) -> Vec<Event> {
        let (Some(entity), Some(time)) = (label.entity, label.time) else { return Vec::new() };
        let is_visible = |row: &&Row| {
            let order = row.event.order;
            let is_past = order.event < time || (self.options.include_same_instant && order.event == time);
            let is_known =
                !self.options.as_known || label.cut.is_some_and(|cut| row.has_known && order.known <= cut);
            row.has_key && row.has_time && row.event.entity == entity && is_past && is_known
        };
        self.rows.iter().filter(is_visible).map(|row| Event { entity: 0, ..row.event.clone() }).collect()
    }
}

/// Null first; floats in IEEE 754 total order.
fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Int(one), Value::Int(other)) => one.cmp(other),
        (Value::Float(one), Value::Float(other)) => one.total_cmp(other),
        (Value::Decimal(one), Value::Decimal(other)) => one.cmp(other),
        (Value::Text(one), Value::Text(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::List(one), Value::List(other)) => {
            let each = one.iter().zip(other).map(|(one, other)| compare(one, other));
            each.fold(Ordering::Equal, Ordering::then)
        }
        other => panic!("{other:?} have no order"),
    }
}

fn value_of(feature: &FeatureDefinition, events: &[Event], at: i64, same_instant: bool) -> Expected {
    match &feature.value {
        FeatureValue::Newest(column) => {
            let by_values = |one: &&Event, other: &&Event| {
                let columns = one.values.iter().zip(&other.values).map(|(one, other)| compare(one, other));
                one.order.cmp(&other.order).then_with(|| columns.fold(Ordering::Equal, Ordering::then))
            };
            let newest = events.iter().max_by(by_values);
            Expected::Exactly(newest.map_or(Value::Null, |event| event.values[*column].clone()))
        }
        FeatureValue::Window { measure: Measure::One(operand), window } => {
            let world = World { entities: 1, events: events.to_vec(), labels: Vec::new() };
            let window = Window { length: *window, include_same_instant: same_instant };
            let mut seen = seen(&world, 0, at, window);
            if let Some(column) = operand.column {
                seen.sort_by(|one, other| {
                    let values = || compare(&one.values[column], &other.values[column]);
                    one.order.cmp(&other.order).then_with(values)
                });
            }
            expected(operand, &seen, at)
        }
        FeatureValue::Window { .. } => Expected::Unknown,
    }
}

fn check(case: &Case, features: &[usize], values: &ViewValues, context: &str) {
    for (row, label) in case.labels.iter().enumerate() {
        let events = case.visible(label);
        let newest = events.iter().map(|event| event.order.event).max();
        let at = label.time.unwrap_or(0);
        assert_eq!(values.event_times.iter().nth(row).unwrap(), newest, "{context}, label {row}");
        let is_expired = case
            .options
            .ttl
            .zip(newest)
            .is_some_and(|(ttl, newest)| at - newest > i64::try_from(ttl.ms()).unwrap() * 1000);
        for (place, number) in features.iter().enumerate() {
            let feature = &case.definition.features[*number];
            let context = || format!("{:?} of label {row} {label:?}, {context}", feature.value);
            let expected = match is_expired {
                true => Expected::Exactly(Value::Null),
                false => value_of(feature, &events, at, case.options.include_same_instant),
            };
            let found = cell(&values.features[place], row);
            let status = values.statuses[place].get(row).unwrap();
            match (is_expired, newest) {
                (true, _) => assert_eq!(status, Status::Expired, "{}", context()),
                (false, None) => assert_eq!(status, Status::Missing, "{}", context()),
                _ => {
                    let is_outgrown = matches!(expected, Expected::Outgrown);
                    assert_eq!(is_outgrown, status == Status::Degraded, "{}", context());
                }
            }
            let default = feature.default.clone();
            match expected {
                Expected::Unknown => {}
                // No default stands for it.
                Expected::Outgrown => assert_eq!(found, Value::Null, "{}", context()),
                Expected::Exactly(Value::Null) => {
                    assert_ne!(status, Status::Present, "{}", context());
                    assert_eq!(shown(&found), shown(&default.unwrap_or(Value::Null)), "{}", context());
                }
                Expected::Exactly(value) => {
                    assert_ne!(status, Status::Null, "{}", context());
                    assert_eq!(shown(&found), shown(&value), "{}", context());
                }
                Expected::About(value) => {
                    let Value::Float(found) = found else {
                        panic!("{found:?} is not {value}: {}", context())
                    };
                    let is_equal = found == value || (found.is_nan() && value.is_nan());
                    let is_near = (found - value).abs() <= value.abs() * 1e-9;
                    assert!(is_equal || is_near, "{found} is not {value}: {}", context());
                }
            }
        }
    }
}

#[test]
fn equals_the_double_loop_in_any_order_and_any_batches() {
    for seed in 0..48 {
        let case = Case::random(seed);
        let random = &mut SmallRng::seed_from_u64(seed + 1000);
        let mut features: Vec<usize> = (0..case.definition.features.len()).collect();
        features.shuffle(random);
        features.truncate(random.random_range(1..=features.len()));
        let batch = case.batch();
        let whole = case.join(&features, std::slice::from_ref(&batch), 1);
        check(&case, &features, &whole, &format!("seed {seed}, {:?}", case.options));

        let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
        order.shuffle(random);
        let shuffled = take_record_batch(&batch, &UInt32Array::from(order)).unwrap();
        let cut = random.random_range(0..=shuffled.num_rows());
        let parts =
            [shuffled.slice(0, cut), shuffled.slice(0, 0), shuffled.slice(cut, shuffled.num_rows() - cut)];
        assert_same(&whole, &case.join(&features, &parts, 3), &format!("seed {seed}, shuffled and cut"));
    }
}

/// Values equal to the bit, and so their statuses.
fn assert_same(one: &ViewValues, other: &ViewValues, context: &str) {
    assert_eq!(one.event_times, other.event_times, "{context}");
    for (place, (left, right)) in one.features.iter().zip(&other.features).enumerate() {
        for row in 0..left.len() {
            assert_eq!(
                shown(&cell(left, row)),
                shown(&cell(right, row)),
                "feature {place}, label {row}, {context}"
            );
            assert_eq!(one.statuses[place].get(row), other.statuses[place].get(row), "{context}");
        }
    }
}

#[test]
fn what_is_asked_for_beside_a_feature_changes_nothing() {
    for seed in 0..8 {
        let case = Case::random(seed);
        let batches = [case.batch()];
        let all: Vec<usize> = (0..case.definition.features.len()).collect();
        let whole = case.join(&all, &batches, 2);
        for number in (0..all.len()).step_by(5) {
            let alone = case.join(&[number], &batches, 1);
            let of_whole = ViewValues {
                features: vec![whole.features[number].clone()],
                statuses: vec![whole.statuses[number].clone()],
                event_times: whole.event_times.clone(),
            };
            assert_same(&of_whole, &alone, &format!("seed {seed}, feature {number}"));
        }
    }
}

#[test]
fn events_after_the_labels_and_events_known_after_the_cut_change_nothing() {
    for seed in 0..12 {
        let mut case = Case::random(seed);
        let all: Vec<usize> = (0..case.definition.features.len()).collect();
        let before = case.join(&all, &[case.batch()], 2);
        let (first, mut later) = (case.batch(), Case::random(seed + 500).rows);
        for row in &mut later {
            if case.options.as_known {
                row.event.order.known += 1000 * DAY;
            } else {
                row.event.order.event += 1000 * DAY;
            }
        }
        case.rows = later;
        let with_later = concat_batches(&first.schema(), [&case.batch(), &first]).unwrap();
        assert_same(&before, &case.join(&all, &[with_later], 2), &format!("seed {seed}"));
    }
}

#[test]
fn many_labels_of_one_entity_slide_as_few_do() {
    let mut case = Case::random(6);
    let template = World::random(77, 500, 0).events;
    case.options = Options { as_known: false, ttl: None, include_same_instant: false };
    case.definition.ttl = None;
    case.definition.include_same_instant = false;
    let row =
        |event: Event| Row { event, has_key: true, has_time: true, has_known: true, has_sequence: true };
    case.rows = template.into_iter().map(|event| row(Event { entity: 1, ..event })).collect();
    let label = |at: i64| Label { entity: Some(1), time: Some(20_000 * DAY + at * 7 * HOUR), cut: None };
    case.labels = (-120..120).map(label).collect();
    let features: Vec<usize> = (0..case.definition.features.len()).collect();
    let batches = [case.batch()];
    let together = case.join(&features, &batches, 1);
    check(&case, &features, &together, "together");
    let labels = case.labels.clone();
    for (row, label) in labels.into_iter().enumerate().step_by(29) {
        case.labels = vec![label];
        let alone = case.join(&features, &batches, 1);
        for (place, column) in alone.features.iter().enumerate() {
            let context = format!("feature {place} of label {row}");
            assert_eq!(shown(&cell(column, 0)), shown(&cell(&together.features[place], row)), "{context}");
        }
    }
}

#[test]
fn a_ratio_and_a_rate_come_out_of_a_view_too() {
    let mut case = Case::random(2);
    let count = || Operand::new(Aggregation::Count, None);
    let spent = Operand::new(Aggregation::Sum, Some(crate::world::INT));
    let rate = Operand::new(Aggregation::Rate { per: Span::from_ms(3_600_000) }, None);
    let feature = |name: &str, measure: Measure| FeatureDefinition {
        name: name.into(),
        value: FeatureValue::Window { measure, window: Some(Span::from_ms(7 * 86_400_000)) },
        data_type: DataType::Float64,
        default: None,
    };
    case.definition.features = vec![
        feature("basket", Measure::Ratio { numerator: spent, denominator: count(), against: None }),
        feature("pace", Measure::One(rate)),
    ];
    let values = case.join(&[1, 0], &[case.batch()], 1);
    assert_eq!(values.features[0].data_type(), &DataType::Float64);
    assert!(values.features.iter().any(|column| column.null_count() < column.len()));
}
