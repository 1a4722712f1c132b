//! Online records: what they answer equals what a training set holds, through chunks, pushes, late events, repeated
//! chunks and restarts.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeListArray,
        Float32Array, Int8Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
        TimestampMicrosecondArray, UInt64Array,
    },
    buffer::OffsetBuffer,
    compute::cast,
    datatypes::{DataType, Field, Float32Type, TimeUnit},
};
use millstream_features::{
    aggregate::{Aggregation, Order, Value},
    asof::LabelRows,
    view::{
        Chunk, ColumnDefinition, Edit, EntityEvents, FeatureDefinition, FeatureValue, JoinOptions,
        KEY_VERSION, MARK_LAG, OnlineView, OnlineViewError, PUSHED_MAX, Position, RECENT_MAX, RECORD_VERSION,
        Reading, Status, ViewDefinition, ViewJoin, entity_keys,
    },
    window::{DAY, Feature, HOUR, MINUTES_5, Measure, Operand},
};
use millstream_types::Span;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    online_world::{NULL, applied, batch, chunk, definition, edited, key_columns, online_view, read},
    world::{Event, FLOAT, INT, TEXT, World, cell, features, minutes, shown, windows},
};

const ENTITIES: u32 = 6;

/// What training gives for each entity at one time: values, statuses, event time, as texts.
fn trained(definition: &ViewDefinition, events: &[Event], at: i64) -> Vec<String> {
    let all: Vec<usize> = (0..definition.features.len()).collect();
    let options = JoinOptions { as_known: false, threads: 1.try_into().unwrap() };
    let mut join = ViewJoin::new(definition, &all, options).unwrap();
    join.push(&batch(definition, events)).unwrap();
    let keys = key_columns(&(0..ENTITIES).collect::<Vec<_>>());
    let time: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![at; ENTITIES as usize]).with_timezone("UTC"));
    let labels = LabelRows { keys: &keys, time: &time, as_known: None };
    let found = join.build().unwrap().join(&labels).unwrap();
    let statuses: Vec<Vec<Status>> =
        found.statuses.iter().map(|statuses| statuses.iter().collect()).collect();
    answers(&found.features, &statuses, &found.event_times)
}

fn answers(
    values: &[ArrayRef],
    statuses: &[Vec<Status>],
    event_times: &TimestampMicrosecondArray,
) -> Vec<String> {
    let mut answers = Vec::new();
    for entity in 0..event_times.len() {
        let time = event_times.is_valid(entity).then(|| event_times.value(entity));
        answers.push(format!("entity {entity} at {time:?}"));
        for (feature, (values, statuses)) in values.iter().zip(statuses).enumerate() {
            answers.push(format!(
                "{entity}.{feature}: {} {:?}",
                shown(&cell(values, entity)),
                statuses[entity]
            ));
        }
    }
    answers
}

/// A small store: records by the entity's number.
#[derive(Default)]
struct Store {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Store {
    fn change(
        &mut self,
        events: &EntityEvents,
        mut change: impl FnMut(Option<&[u8]>, usize) -> Result<Edit, OnlineViewError>,
    ) {
        for (at, key) in events.entities().iter().enumerate() {
            let record = self.records.get(key.as_bytes()).cloned();
            match edited(record.as_deref(), change(record.as_deref(), at).unwrap()) {
                Some(bytes) => self.records.insert(key.as_bytes().to_vec(), bytes),
                None => self.records.remove(key.as_bytes()),
            };
        }
    }

    fn answers(&self, view: &OnlineView, at: i64) -> Vec<String> {
        let keys = view.entity_keys(&key_columns(&(0..ENTITIES).collect::<Vec<_>>())).unwrap();
        let records: Vec<Option<&Vec<u8>>> =
            keys.iter().map(|key| self.records.get(key.as_ref().unwrap().as_bytes())).collect();
        let columns = view.columns(&records, at, &view.plan_read_of_all()).unwrap();
        let mut reading = Reading::default();
        for (entity, record) in records.iter().enumerate() {
            let bytes = record.map(Vec::as_slice);
            view.read(bytes, at, &view.plan_read_of_all(), &mut reading).unwrap();
            let values: Vec<_> = columns.values.iter().map(|values| shown(&cell(values, entity))).collect();
            assert_eq!(reading.values.iter().map(shown).collect::<Vec<_>>(), values);
        }
        answers(&columns.values, &columns.statuses, &columns.event_times)
    }
}

fn equal(online: &[String], offline: &[String], context: &str) {
    for (online, offline) in online.iter().zip(offline) {
        assert_eq!(online, offline, "{context}");
    }
    assert_eq!(online.len(), offline.len());
}

/// A history in which events come in chunks, some late, some pushed first, some chunks twice, with a read here and there.
fn history(seed: u64, features: &[Feature], ttl: Option<Span>) {
    let definition = definition(features, true, ttl);
    let view = OnlineView::new(definition.clone()).unwrap();
    let random = &mut SmallRng::seed_from_u64(seed);
    let mut events = World::random(seed, 260, 0).events;
    for event in &mut events {
        if random.random_range(0..8) == 0 {
            event.order.known = NULL;
        }
        if random.random_range(0..8) == 0 {
            event.order.sequence = NULL;
        }
    }
    events.sort_by_cached_key(|event| {
        event.order.event + random.random_range(0..2) * random.random_range(0..3) * DAY
    });
    let mut store = Store::default();
    let (mut lake, mut pending): (Vec<Event>, Vec<(u64, Event)>) = (Vec::new(), Vec::new());
    let (mut sequence, mut now) = (0, i64::MIN);
    let mut events = events.into_iter().peekable();
    let mut epoch = 0;
    while events.peek().is_some() {
        let size = random.random_range(1..40);
        let arrived: Vec<Event> = events.by_ref().take(size).collect();
        let newest = arrived.iter().map(|event| event.order.event).max().unwrap();
        now = now.max(newest - random.random_range(0..2) * HOUR);
        if random.random_range(0..3) == 0 {
            let sequences: Vec<u64> = arrived
                .iter()
                .map(|_| {
                    sequence += 1;
                    sequence
                })
                .collect();
            let pushed = EntityEvents::new(&view, &batch(&definition, &arrived)).unwrap();
            for _ in 0..2 {
                store.change(&pushed, |record, at| view.push(record, &pushed, at, &sequences));
            }
            pending.extend(sequences.into_iter().zip(arrived));
        } else {
            // The lake takes up what was pushed so far, together with what came to it directly.
            let covered = pending.last().map(|(sequence, _)| *sequence);
            let mut rows = arrived;
            rows.extend(pending.drain(..).map(|(_, event)| event));
            epoch += 1;
            let chunk = Chunk { covered, ..chunk(epoch) };
            let chunk_events = EntityEvents::new(&view, &batch(&definition, &rows)).unwrap();
            for _ in 0..random.random_range(1..3) {
                // Some come as a batch of the lake, some as one of a log.
                store.change(&chunk_events, |record, at| match epoch % 3 {
                    0 => view.apply(record, &chunk_events, at, &chunk, now),
                    _ => view.feed(record, &chunk_events, at, &chunk, now),
                });
            }
            lake.extend(rows);
        }
        let known: Vec<Event> = lake.iter().chain(pending.iter().map(|(_, event)| event)).cloned().collect();
        for at in [now - MARK_LAG, now, now + 1, now + MINUTES_5 - 1, now + 3 * HOUR, now + 40 * DAY] {
            let context = format!("seed {seed}, epoch {epoch}, at {at}");
            equal(&store.answers(&view, at), &trained(&definition, &known, at), &context);
        }
    }
    let recomputed = rebuilt(&view, &lake, &pending, now);
    for at in [now, now + DAY] {
        assert_eq!(store.answers(&view, at), recomputed.answers(&view, at));
    }
}

/// The records of the same events, from nothing.
fn rebuilt(view: &OnlineView, lake: &[Event], pending: &[(u64, Event)], now: i64) -> Store {
    let mut store = Store::default();
    let events = EntityEvents::new(view, &batch(view.definition(), lake)).unwrap();
    store.change(&events, |record, at| view.replace(record, &events, at, &chunk(1), now));
    let (sequences, pushed): (Vec<u64>, Vec<Event>) = pending.iter().cloned().unzip();
    let events = EntityEvents::new(view, &batch(view.definition(), &pushed)).unwrap();
    store.change(&events, |record, at| view.push(record, &events, at, &sequences));
    store
}

#[test]
fn every_aggregation_reads_as_it_was_trained_through_any_history() {
    for (seed, window) in windows().into_iter().enumerate() {
        history(100 + seed as u64, &features(window), None);
    }
}

#[test]
fn many_windows_over_the_same_states_read_as_they_were_trained() {
    let same_instant = |wanted: bool| {
        let windows = windows().into_iter().filter(move |window| window.include_same_instant == wanted);
        windows.flat_map(features).step_by(7).collect::<Vec<_>>()
    };
    for seed in 0..4 {
        history(200 + seed, &same_instant(false), None);
        history(300 + seed, &same_instant(true), Some(Span::from_ms(86_400_000 * 5)));
        history(400 + seed, &[], Some(Span::from_ms(3_600_000)));
    }
}

const NOW: i64 = 20_000 * DAY;

fn event(time: i64, sequence: i64, value: i64) -> Event {
    let mut values = vec![Value::Null; 7];
    values[INT] = Value::Int(value);
    values[FLOAT] = Value::Float(value as f64 / 100.0);
    values[TEXT] = Value::Text(format!("text {value}").into());
    Event { entity: 0, order: Order { event: time, known: time, sequence }, values }
}

fn newest_view(ttl: Option<Span>) -> OnlineView {
    OnlineView::new(definition(&[], true, ttl)).unwrap()
}

#[test]
fn an_older_event_never_takes_the_place_of_a_newer_one() {
    let view = newest_view(None);
    let record = applied(&view, None, &[event(NOW - HOUR, 5, 1)], 1, NOW);
    let record = applied(&view, record.as_deref(), &[event(NOW - DAY, 6, 2)], 2, NOW);
    assert_eq!(read(&view, record.as_deref(), NOW).values[INT], Value::Int(1));
    let record = applied(&view, record.as_deref(), &[event(NOW - HOUR, 7, 3)], 3, NOW);
    assert_eq!(read(&view, record.as_deref(), NOW).values[INT], Value::Int(3));
}

#[test]
fn a_chunk_that_comes_again_changes_nothing() {
    let view = online_view(&[Feature::new(Aggregation::Count, None, minutes(60))]);
    let events = EntityEvents::new(&view, &batch(view.definition(), &[event(NOW - 1, 1, 1)])).unwrap();
    let first = edited(None, view.apply(None, &events, 0, &chunk(7), NOW).unwrap()).unwrap();
    for epoch in [7, 6, 0] {
        assert_eq!(view.apply(Some(&first), &events, 0, &chunk(epoch), NOW).unwrap(), Edit::Keep);
    }
    let later = Chunk { position: Position { epoch: 7, chunk: 1 }, ..Chunk::default() };
    let second = edited(Some(&first), view.apply(Some(&first), &events, 0, &later, NOW).unwrap());
    assert_eq!(read(&view, second.as_deref(), NOW).values, [Value::Int(2)]);
}

/// Of one entity, over an hour, each with the default 0: what the store says of the values is what training says, wherever the
/// events lie in the record.
#[test]
fn more_than_a_feature_can_hold_is_degraded_and_never_the_default() {
    let one = |aggregation, column| Measure::One(Operand::new(aggregation, column));
    let sum = || Operand::new(Aggregation::Sum, Some(INT));
    let measures = [
        one(Aggregation::Sum, Some(INT)),
        one(Aggregation::Distinct { bound: 1 }, Some(TEXT)),
        one(Aggregation::MostFrequent { bound: 1 }, Some(INT)),
        Measure::Ratio {
            numerator: sum(),
            denominator: Operand::new(Aggregation::Count, None),
            against: None,
        },
        one(Aggregation::Mean, Some(INT)),
    ];
    let features = measures.map(|measure| Feature { measure, window: minutes(60) });
    let mut definition = definition(&features, false, Some(Span::from_ms(4 * 3_600_000)));
    for feature in &mut definition.features {
        let is_float = feature.data_type == DataType::Float64;
        feature.default = Some(if is_float { Value::Float(0.0) } else { Value::Int(0) });
    }
    let view = OnlineView::new(definition.clone()).unwrap();
    let events = [
        event(NOW - HOUR, 1, i64::MAX),
        event(NOW - HOUR / 2, 2, i64::MAX),
        event(NOW - MINUTES_5, 3, i64::MIN),
    ];
    let texts = |number: usize, at: i64| -> String {
        let told = trained(&definition, &events[..number], at);
        told.iter().skip(1).take(5).map(String::as_str).collect::<Vec<_>>().join("; ")
    };
    let max = i64::MAX;
    let cases = [
        (1, NOW, format!("Int({max}) Present; Int(1) Present; Int({max}) Present; Float(9.223372036854776e18) Present; Float(9.223372036854776e18) Present")),
        (2, NOW, "Null Degraded; Int(1) Present; Int(9223372036854775807) Present; Null Degraded; Float(9.223372036854776e18) Present".to_owned()),
        // The sum comes back, two different values stay.
        (3, NOW, format!("Int({}) Present; Null Degraded; Null Degraded; Float(3.0744573456182584e18) Present; Float(3.0744573456182584e18) Present", max - 1)),
        // Beyond the window there is nothing, and the default stands for it.
        (3, NOW + 2 * HOUR, "Int(0) Null; Int(0) Present; Int(0) Null; Float(0.0) Null; Float(0.0) Null".to_owned()),
        (3, NOW + 9 * HOUR, "Int(0) Expired; Int(0) Expired; Int(0) Expired; Float(0.0) Expired; Float(0.0) Expired".to_owned()),
    ];
    for (number, at, expected) in cases {
        let found =
            (0..5).fold(texts(number, at), |found, feature| found.replace(&format!("0.{feature}: "), ""));
        assert_eq!(found, expected, "{number} events at {at}");
        // In hops, as recent events, and half of them pushed.
        for (now, pushed) in [(NOW + HOUR, 0), (NOW - HOUR, 0), (NOW - HOUR, number)] {
            let mut store = Store::default();
            let (lake, push) = events[..number].split_at(number - pushed);
            if !lake.is_empty() {
                let lake = EntityEvents::new(&view, &batch(&definition, lake)).unwrap();
                store.change(&lake, |record, entity| {
                    view.apply(record, &lake, entity, &chunk(1), now.min(at))
                });
            }
            let sequences: Vec<u64> = (1..=push.len() as u64).collect();
            let push = EntityEvents::new(&view, &batch(&definition, push)).unwrap();
            store.change(&push, |record, entity| view.push(record, &push, entity, &sequences));
            equal(&store.answers(&view, at), &trained(&definition, &events[..number], at), &expected);
        }
    }
}

#[test]
fn a_value_slides_out_of_its_window_with_time_alone() {
    let view = online_view(&[
        Feature::new(Aggregation::Count, None, minutes(60)),
        Feature::new(Aggregation::Sum, Some(INT), minutes(60)),
    ]);
    let record = applied(&view, None, &[event(NOW - HOUR / 2, 1, 4)], 1, NOW);
    let at = |at: i64| read(&view, record.as_deref(), at);
    assert_eq!(at(NOW).values, [Value::Int(1), Value::Int(4)]);
    assert_eq!(at(NOW + HOUR).values, [Value::Int(0), Value::Null]);
    assert_eq!(at(NOW + HOUR).statuses, [Status::Present, Status::Null]);
    let nothing = read(&view, None, NOW);
    assert_eq!(
        (nothing.values, nothing.statuses),
        (vec![Value::Int(0), Value::Null], vec![Status::Missing; 2])
    );
}

#[test]
fn exactly_as_old_as_the_time_to_live_still_counts() {
    let view = newest_view(Some(Span::from_ms(60_000)));
    let record = applied(&view, None, &[event(NOW, 1, 1)], 1, NOW + HOUR);
    let status = |at| read(&view, record.as_deref(), at).statuses[INT];
    assert_eq!(status(NOW + 60_000_000), Status::Present);
    assert_eq!(status(NOW + 60_000_001), Status::Expired);
    assert_eq!(read(&view, record.as_deref(), NOW + HOUR).values[INT], Value::Null);
}

#[test]
fn a_read_before_the_mark_says_that_it_is_degraded() {
    let feature = Feature::new(Aggregation::Count, None, minutes(60));
    let view = OnlineView::new(definition(&[feature], true, None)).unwrap();
    let record = applied(&view, None, &[event(NOW - HOUR, 1, 1), event(NOW - 60_000_000, 2, 2)], 1, NOW);
    let reading = read(&view, record.as_deref(), NOW - 30_000_000);
    assert_eq!(reading.statuses[INT], Status::Present, "the newest event was there already");
    assert_eq!(reading.statuses[7], Status::Degraded);
    let reading = read(&view, record.as_deref(), NOW - 90_000_000);
    assert_eq!(reading.statuses[INT], Status::Degraded);
    assert!(
        read(&view, record.as_deref(), NOW - MARK_LAG)
            .statuses
            .iter()
            .all(|status| *status != Status::Degraded)
    );
}

#[test]
fn too_many_events_at_once_go_into_hops_and_reads_right_after_them_are_exact() {
    let feature = Feature::new(Aggregation::Sum, Some(INT), minutes(60));
    let view = online_view(&[feature]);
    let count = i64::try_from(RECENT_MAX).unwrap() + 500;
    let events: Vec<Event> = (0..count).map(|at| event(NOW + at, at, 1)).collect();
    let record = applied(&view, None, &events, 1, NOW);
    assert_eq!(read(&view, record.as_deref(), NOW + count).values, [Value::Int(count)]);
    assert_eq!(read(&view, record.as_deref(), NOW + 100).statuses, [Status::Degraded]);
    assert_eq!(read(&view, record.as_deref(), NOW + 600).values, [Value::Int(600)]);
}

#[test]
fn pushed_events_are_bounded_and_leave_when_the_lake_has_them() {
    let view = online_view(&[Feature::new(Aggregation::Count, None, minutes(60))]);
    let most = u64::try_from(PUSHED_MAX).unwrap();
    let rows: Vec<Event> = (0..most).map(|at| event(NOW - 1, at.cast_signed(), 1)).collect();
    let events = EntityEvents::new(&view, &batch(view.definition(), &rows)).unwrap();
    let sequences: Vec<u64> = (1..=most).collect();
    let record = edited(None, view.push(None, &events, 0, &sequences).unwrap());
    assert_eq!(read(&view, record.as_deref(), NOW).values, [Value::Int(4096)]);
    let one = EntityEvents::new(&view, &batch(view.definition(), &rows[..1])).unwrap();
    let over = view.push(record.as_deref(), &one, 0, &[most + 1]);
    assert!(matches!(over, Err(OnlineViewError::TooManyPushed { .. })));
    let settled = Chunk { covered: Some(most - 1), ..chunk(1) };
    let record = edited(record.as_deref(), view.settle(record.as_deref(), &settled).unwrap());
    assert_eq!(read(&view, record.as_deref(), NOW).values, [Value::Int(1)]);
    let settled = Chunk { covered: Some(most), ..chunk(1) };
    assert_eq!(view.settle(record.as_deref(), &settled).unwrap(), Edit::Delete);
}

#[test]
fn windows_forget_provisional_events_and_the_newest_event_stays() {
    let feature = Feature::new(Aggregation::Count, None, minutes(60));
    let view = OnlineView::new(definition(&[feature], true, None)).unwrap();
    let record = applied(&view, None, &[event(NOW - HOUR / 2, 1, 1)], 1, NOW);
    let events = EntityEvents::new(&view, &batch(view.definition(), &[event(NOW - HOUR / 4, 2, 2)])).unwrap();
    let record = edited(record.as_deref(), view.provisional(record.as_deref(), &events, 0, &[1]).unwrap());
    let values = |record: &Option<Vec<u8>>| {
        let values = read(&view, record.as_deref(), NOW).values;
        (values[INT].clone(), values[7].clone())
    };
    assert_eq!(values(&record), (Value::Int(2), Value::Int(2)));
    let newest = Some(NOW - HOUR / 4);
    let passed = Chunk { watermark: newest, table_watermark: newest, ..chunk(2) };
    let record = edited(record.as_deref(), view.settle(record.as_deref(), &passed).unwrap());
    assert_eq!(values(&record), (Value::Int(2), Value::Int(1)));
    let record = applied(&view, record.as_deref(), &[event(NOW - HOUR / 3, 3, 3)], 3, NOW);
    assert_eq!(values(&record), (Value::Int(2), Value::Int(2)));
}

#[test]
fn damaged_bytes_are_an_error_and_no_panic() {
    let definition = definition(&features(minutes(7 * 1440)), true, None);
    let view = OnlineView::new(definition.clone()).unwrap();
    let mut rows = World::random(31, 120, 0).events;
    rows.iter_mut().for_each(|event| event.entity = 0);
    let events = EntityEvents::new(&view, &batch(&definition, &rows)).unwrap();
    let record = edited(None, view.apply(None, &events, 0, &chunk(1), NOW).unwrap()).unwrap();
    let pushed = EntityEvents::new(&view, &batch(&definition, &rows[..9])).unwrap();
    let sequences: Vec<u64> = (1..10).collect();
    let record = edited(None, view.push(Some(&record), &pushed, 0, &sequences).unwrap()).unwrap();
    let mut reading = Reading::default();
    let random = &mut SmallRng::seed_from_u64(1);
    let mut check = |bytes: &[u8]| {
        assert!(view.read(Some(bytes), NOW, &view.plan_read_of_all(), &mut reading).is_err());
        assert!(view.apply(Some(bytes), &events, 0, &chunk(2), NOW).is_err());
    };
    for cut in (0..record.len()).step_by(record.len() / 300 + 1) {
        check(&record[..cut]);
    }
    for _ in 0..300 {
        let mut bytes = record.clone();
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
        check(&bytes);
    }
    // Whole, but of another view: an error or some answer.
    let other = online_view(&features(minutes(30 * 1440)));
    let _ = other.read(Some(&record), NOW, &other.plan_read_of_all(), &mut reading);
}

#[test]
fn keys_of_other_widths_are_the_same_and_what_does_not_fit_is_an_error() {
    let keys = definition(&[], true, None).keys;
    let regions: ArrayRef = Arc::new(StringArray::from(vec![Some("north"), Some("south"), None]));
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(9)]));
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None, Some(9)]));
    let found = entity_keys("customer", &keys, &[wide, Arc::clone(&regions)]).unwrap();
    assert_eq!(found, entity_keys("customer", &keys, &[narrow, Arc::clone(&regions)]).unwrap());
    assert!(found[0].is_some() && found[1].is_none() && found[2].is_none());
    assert_ne!(
        found[0],
        entity_keys("merchant", &keys, &[Arc::new(Int64Array::from(vec![7])), regions.slice(0, 1)]).unwrap()
            [0]
    );
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["7", "8", "9"]));
    let error = entity_keys("customer", &keys, &[texts, Arc::clone(&regions)]).unwrap_err().to_string();
    assert_eq!(error, "key `customer` is Int64, the column is Utf8");
    let mut narrow_key = keys.clone();
    narrow_key[0].data_type = DataType::Int32;
    let large: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 1 << 40]));
    let error = entity_keys("customer", &narrow_key, &[large, Arc::clone(&regions)]).unwrap_err().to_string();
    assert_eq!(
        error,
        "key `customer` is Int32, and a value of the Int64 column does not fit it without loss"
    );
    assert!(entity_keys("customer", &keys, &[regions]).is_err());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keys and records as version 1 writes them. A change of these lines is a change of what is stored.
#[test]
fn samples_of_stored_bytes_stay_readable() {
    assert_eq!((KEY_VERSION, RECORD_VERSION), (1, 1));
    let view = OnlineView::new(definition(
        &[
            Feature::new(Aggregation::Count, None, minutes(60)),
            Feature::new(Aggregation::Sum, Some(FLOAT), minutes(30 * 1440)),
            Feature::new(Aggregation::Min, Some(INT), minutes(1440)),
        ],
        true,
        None,
    ))
    .unwrap();
    let key = view.entity_keys(&key_columns(&[3])).unwrap();
    let events = [event(NOW - 20 * DAY, 1, 1), event(NOW - HOUR, 2, 2), event(NOW - 1, 3, 3)];
    let record = applied(&view, None, &events, 9, NOW).unwrap();
    let pushed = EntityEvents::new(&view, &batch(view.definition(), &[event(NOW - 5, 4, 4)])).unwrap();
    let record = edited(None, view.push(Some(&record), &pushed, 0, &[1]).unwrap()).unwrap();
    let expected = include_str!("../data/record_v1.txt");
    let found = format!("{}\n{}\n", hex(key[0].as_ref().unwrap().as_bytes()), hex(&record));
    assert_eq!(found, expected);
    let values = read(&view, Some(&record), NOW).values;
    assert_eq!(values[7..], [Value::Int(3), Value::Float(0.1), Value::Int(2)]);
}

/// Two rows of every kind of column that can be kept, the second mostly null.
fn any_columns() -> Vec<ArrayRef> {
    let texts = StringArray::from(vec![Some("a"), None, Some("")]);
    let list = ListArray::new(
        Arc::new(Field::new("element", DataType::Utf8, true)),
        OffsetBuffer::from_lengths([3, 0]),
        Arc::new(texts),
        None,
    );
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        [Some(vec![Some(0.5), None]), Some(vec![Some(1.0), Some(-0.0)])],
        2,
    );
    let moments: ArrayRef = Arc::new(Int64Array::from(vec![Some(1_234_567_891), None]));
    let to = |data_type: DataType| cast(&moments, &data_type).unwrap();
    vec![
        Arc::new(list),
        Arc::new(vectors),
        Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
        Arc::new(Int8Array::from(vec![Some(-128), None])),
        Arc::new(Float32Array::from(vec![Some(0.1), Some(f32::NAN)])),
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(BinaryArray::from(vec![Some(&[0_u8, 255][..]), None])),
        Arc::new(Date32Array::from(vec![Some(-3), None])),
        to(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))),
        to(DataType::Timestamp(TimeUnit::Second, None)),
        Arc::new(Decimal128Array::from(vec![Some(12_345), None]).with_precision_and_scale(9, 3).unwrap()),
    ]
}

#[test]
fn newest_values_keep_their_types_and_nulls_of_every_kind() {
    let columns = any_columns();
    let mut definition = definition(&[], false, None);
    definition.columns = columns
        .iter()
        .map(|column| ColumnDefinition { sql: "c".into(), data_type: column.data_type().clone() })
        .collect();
    let feature = |(at, column): (usize, &ArrayRef)| FeatureDefinition {
        name: format!("f{at}"),
        value: FeatureValue::Newest(at),
        data_type: column.data_type().clone(),
        default: (at == 3).then_some(Value::Int(7)),
    };
    definition.features = columns.iter().enumerate().map(feature).collect();
    let instants = || -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![NOW - 2, NOW - 1]).with_timezone("UTC"))
    };
    let mut all = key_columns(&[0, 1]);
    all.extend([instants(), instants(), Arc::new(Int64Array::from(vec![1, 2]))]);
    all.extend(columns);
    let events = RecordBatch::try_new(definition.event_schema(), all).unwrap();
    let view = OnlineView::new(definition.clone()).unwrap();
    let grouped = EntityEvents::new(&view, &events).unwrap();
    for now in [NOW - HOUR, NOW + HOUR] {
        let mut store = Store::default();
        store.change(&grouped, |record, at| view.apply(record, &grouped, at, &chunk(1), now));
        let keys = view.entity_keys(&key_columns(&[0, 1, 2])).unwrap();
        let records: Vec<Option<&Vec<u8>>> =
            keys.iter().map(|key| store.records.get(key.as_ref().unwrap().as_bytes())).collect();
        let online = view.columns(&records, NOW + HOUR, &view.plan_read_of_all()).unwrap();
        let wanted: Vec<usize> = (0..definition.features.len()).collect();
        let options = JoinOptions { as_known: false, threads: 1.try_into().unwrap() };
        let mut join = ViewJoin::new(&definition, &wanted, options).unwrap();
        join.push(&events).unwrap();
        let time: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![NOW + HOUR; 3]).with_timezone("UTC"));
        let labels = LabelRows { keys: &key_columns(&[0, 1, 2]), time: &time, as_known: None };
        let offline = join.build().unwrap().join(&labels).unwrap();
        for (online, offline) in online.values.iter().zip(&offline.features) {
            assert_eq!(format!("{online:?}"), format!("{offline:?}"));
        }
        let statuses: Vec<Vec<Status>> = offline.statuses.iter().map(|one| one.iter().collect()).collect();
        assert_eq!(online.statuses, statuses);
    }
}
