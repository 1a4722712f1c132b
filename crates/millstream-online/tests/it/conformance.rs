//! What every online store does. Each case runs on every kind of store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use millstream_online::{
    Append, Change, ENTITY_BYTES_MAX, EntityKey, Load, OnlineError, RecordKey, Update, Updated,
};

use tokio::task::JoinSet;

use crate::place::{Place, Store, add_one, count, counts, entity, put, text, texts};

macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(crate::place::Place::folder()).await;
            })*
        }
        #[cfg(feature = "redis")]
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(place) = crate::place::Place::server(concat!("redis::", stringify!($case))) {
                    super::$case(place).await;
                }
            })*
        }
    };
}

conformance! {
    records_come_in_the_order_of_the_keys,
    a_change_sees_the_record_and_keeps_puts_or_deletes_it,
    an_empty_record_is_a_record,
    large_records_and_many_keys_are_read,
    requests_that_make_no_sense_are_refused,
    an_error_of_the_caller_stores_nothing,
    marks_are_stored_with_records_and_alone,
    an_update_may_have_marks_or_entries_only,
    spaces_are_apart_and_a_dropped_one_begins_anew,
    a_log_keeps_the_order_and_its_positions_when_trimmed,
    logs_are_apart,
    numbers_are_never_given_twice,
    changes_of_one_record_are_not_lost,
    a_read_sees_every_change_that_was_answered_before_it,
    a_record_that_was_read_is_read_anew_after_a_load_and_a_drop,
    a_read_keeps_nothing_of_the_bytes_that_it_was_asked_with,
    updates_of_the_same_records_in_any_order_finish,
    a_scan_returns_every_record,
    a_load_replaces_records_and_stores_marks_last,
    a_large_load_is_read_like_any,
    everything_survives_reopening,
}

async fn records_come_in_the_order_of_the_keys(place: Place) {
    let store = place.open().await;
    put(&store, 1, &[("a", "a1"), ("b", "b1")]).await;
    put(&store, 2, &[("b", "b2"), ("}{", "braces")]).await;
    let keys =
        [(2, "b"), (1, "a"), (2, "a"), (3, "a"), (1, "b"), (1, "a"), (1, "nobody"), (2, "}{"), (2, "}")];
    assert_eq!(texts(&store, &keys).await, ["b2", "a1", "-", "-", "b1", "a1", "-", "braces", "-"]);
    assert_eq!(texts(&store, &[]).await, Vec::<String>::new());
}

async fn a_change_sees_the_record_and_keeps_puts_or_deletes_it(place: Place) {
    let store = place.open().await;
    put(&store, 1, &[("keep", "k"), ("put", "p"), ("delete", "d")]).await;
    let names = ["delete", "keep", "new", "put", "nobody"];
    let entities = names.map(entity);
    let mut seen = Vec::new();
    let mut change = |index: usize, record: Option<&[u8]>| {
        seen.push(format!(
            "{} {:?}",
            names[index],
            record.map(<[u8]>::escape_ascii).map(|text| text.to_string())
        ));
        Ok(match names[index] {
            "keep" => Change::Keep,
            "delete" | "nobody" => Change::Delete,
            name => Change::Put([record.unwrap_or_default(), name.as_bytes()].concat()),
        })
    };
    let updated = store.update(update(1, &entities, &mut change)).await.unwrap();
    assert_eq!(updated, Updated { changed: 3, positions: 0..0 });
    let expected = ["delete Some(\"d\")", "keep Some(\"k\")", "new None", "put Some(\"p\")", "nobody None"];
    assert_eq!(seen, expected);
    let keys = names.map(|name| (1, name));
    assert_eq!(texts(&store, &keys).await, ["-", "k", "new", "pput", "-"]);
}

async fn an_empty_record_is_a_record(place: Place) {
    let store = place.open().await;
    put(&store, 1, &[("a", "")]).await;
    assert_eq!(texts(&store, &[(1, "a"), (1, "b")]).await, ["", "-"]);
}

async fn large_records_and_many_keys_are_read(place: Place) {
    let store = place.open().await;
    let large = "x".repeat(5_000_000);
    put(&store, 1, &[("large", &large)]).await;
    assert!(texts(&store, &[(1, "large")]).await == [large]);
    let entities: Vec<EntityKey> = (0..5_000).map(|index| entity(&format!("entity {index}"))).collect();
    let mut change = |index: usize, _: Option<&[u8]>| Ok(Change::Put(index.to_string().into_bytes()));
    let updated = store.update(update(2, &entities, &mut change)).await.unwrap();
    assert_eq!(updated.changed, 5_000);
    let keys: Vec<_> =
        entities.iter().rev().map(|entity| RecordKey { space: 2, entity: entity.clone() }).collect();
    let records = store.read(&keys).await.unwrap();
    assert!(
        records
            .iter()
            .enumerate()
            .all(|(index, record)| text(record.as_ref().unwrap()) == (4_999 - index).to_string())
    );
}

async fn requests_that_make_no_sense_are_refused(place: Place) {
    let store = place.open().await;
    let long = EntityKey::new(vec![b'x'; ENTITY_BYTES_MAX + 1]);
    let longest = EntityKey::new(vec![b'x'; ENTITY_BYTES_MAX]);
    for entities in [vec![entity("a"), entity("b"), entity("a")], vec![entity("")], vec![long]] {
        let mut change = |_: usize, _: Option<&[u8]>| Ok(Change::Put(b"stored".to_vec()));
        let error = store.update(update(1, &entities, &mut change)).await.unwrap_err();
        assert_eq!(error.code(), "MS-1013", "{error}");
        let records = entities.iter().map(|entity| (entity.clone(), b"stored".to_vec())).collect();
        let error = store.load(Load { space: 1, records, marks: &[] }).await.unwrap_err();
        assert_eq!(error.code(), "MS-1013", "{error}");
    }
    let twice: [(&str, &[u8]); 2] = [("m", b"1"), ("m", b"2")];
    let error = add_one(&store, 1, &[entity("a")], &twice, None, false).await.unwrap_err();
    assert_eq!(error.code(), "MS-1013", "{error}");
    assert_eq!(store.reserve("", 1).await.unwrap_err().code(), "MS-1013");
    assert_eq!(texts(&store, &[(1, "a"), (1, "b"), (1, "")]).await, ["-", "-", "-"]);
    add_one(&store, 1, std::slice::from_ref(&longest), &[], None, true).await.unwrap();
    assert_eq!(counts(&store, 1, &[longest]).await, [1]);
}

async fn an_error_of_the_caller_stores_nothing(place: Place) {
    let store = place.open().await;
    let entities = ["a", "b"].map(entity);
    let mut change = |index: usize, _: Option<&[u8]>| match index {
        0 => Ok(Change::Put(b"stored".to_vec())),
        _ => Err(OnlineError::change("the bytes make no sense")),
    };
    let entries = [Bytes::from_static(b"entry")];
    let mut update = update(1, &entities, &mut change);
    update.marks = &[("mark", b"set")];
    update.append = Some(Append { log: "log", entries: &entries });
    let error = store.update(update).await.unwrap_err();
    assert_eq!(error.code(), "MS-1014");
    assert_eq!(texts(&store, &[(1, "a"), (1, "b")]).await, ["-", "-"]);
    assert_eq!(store.mark(1, "mark").await.unwrap(), None);
    assert_eq!(store.log("log", 0, 10).await.unwrap(), []);
}

async fn marks_are_stored_with_records_and_alone(place: Place) {
    let store = place.open().await;
    let a = [entity("a")];
    add_one(&store, 1, &a, &[("version", b"7"), ("other", b"")], None, false).await.unwrap();
    store.set_mark(2, "version", Some(b"8")).await.unwrap();
    let mut marks = Vec::new();
    for (space, name) in [(1, "version"), (1, "other"), (2, "version"), (2, "other"), (3, "version")] {
        marks.push(store.mark(space, name).await.unwrap().map(|value| text(&value)));
    }
    assert_eq!(marks, [Some("7".into()), Some(String::new()), Some("8".into()), None, None]);
    store.set_mark(1, "version", None).await.unwrap();
    store.set_mark(1, "never there", None).await.unwrap();
    assert_eq!(store.mark(1, "version").await.unwrap(), None);
    assert_eq!(store.mark(1, "other").await.unwrap(), Some(Bytes::new()));
}

async fn an_update_may_have_marks_or_entries_only(place: Place) {
    let store = place.open().await;
    let entries = [Bytes::from_static(b"entry")];
    let append = Append { log: "log", entries: &entries };
    let updated = add_one(&store, 1, &[], &[("m", b"1")], Some(append), true).await.unwrap();
    assert_eq!(updated, Updated { changed: 0, positions: 1..2 });
    assert_eq!(store.mark(1, "m").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.log("log", 0, 10).await.unwrap().len(), 1);
    let updated =
        add_one(&store, 1, &[], &[], Some(Append { log: "log", entries: &[] }), true).await.unwrap();
    assert_eq!(updated, Updated::default());
}

async fn spaces_are_apart_and_a_dropped_one_begins_anew(place: Place) {
    let store = place.open().await;
    for space in [1, 2, u64::MAX] {
        put(&store, space, &[("a", "old"), ("b", "old")]).await;
        store.set_mark(space, "mark", Some(b"old")).await.unwrap();
    }
    assert_eq!(spaces(&store).await, [1, 2, u64::MAX]);
    store.drop_space(2).await.unwrap();
    store.drop_space(99).await.unwrap();
    assert_eq!(spaces(&store).await, [1, u64::MAX]);
    assert_eq!(
        texts(&store, &[(1, "a"), (2, "a"), (2, "b"), (u64::MAX, "a")]).await,
        ["old", "-", "-", "old"]
    );
    assert_eq!(store.mark(2, "mark").await.unwrap(), None);
    assert_eq!(store.mark(1, "mark").await.unwrap().as_deref(), Some(&b"old"[..]));
    put(&store, 2, &[("b", "new")]).await;
    drop(store);
    let store = place.open().await;
    assert_eq!(spaces(&store).await, [1, 2, u64::MAX]);
    assert_eq!(
        texts(&store, &[(1, "a"), (2, "a"), (2, "b"), (u64::MAX, "b")]).await,
        ["old", "-", "new", "old"]
    );
    assert_eq!(store.mark(2, "mark").await.unwrap(), None);
}

async fn a_log_keeps_the_order_and_its_positions_when_trimmed(place: Place) {
    let store = place.open().await;
    let mut expected = Vec::new();
    for round in 0..4_u64 {
        let entries: Vec<Bytes> = (0..3).map(|entry| Bytes::from(format!("{round}.{entry}"))).collect();
        let append = Append { log: "orders", entries: &entries };
        let updated = add_one(&store, 1, &[entity("a")], &[], Some(append), round % 2 == 0).await.unwrap();
        assert_eq!(updated.positions, round * 3 + 1..round * 3 + 4);
        expected.extend(updated.positions.zip(entries));
    }
    assert_eq!(entries(&store, "orders", 0, 100).await, expected);
    assert_eq!(entries(&store, "orders", 4, 5).await, expected[4..9]);
    assert_eq!(entries(&store, "orders", 12, 5).await, []);
    assert_eq!(entries(&store, "orders", 0, 0).await, []);
    store.trim_log("orders", 5).await.unwrap();
    assert_eq!(entries(&store, "orders", 0, 2).await, expected[5..7]);
    store.trim_log("orders", u64::MAX - 1).await.unwrap();
    store.trim_log("never there", 3).await.unwrap();
    assert_eq!(entries(&store, "orders", 0, 100).await, []);
    drop(store);
    let store = place.open().await;
    let again = [Bytes::from_static(b"again")];
    let updated =
        add_one(&store, 1, &[], &[], Some(Append { log: "orders", entries: &again }), true).await.unwrap();
    assert_eq!(updated.positions, 13..14);
    assert_eq!(entries(&store, "orders", 0, 100).await, [(13, again[0].clone())]);
}

async fn logs_are_apart(place: Place) {
    let store = place.open().await;
    let names = ["a", "ab", "b", "{a}"];
    for name in names {
        let entries = [Bytes::copy_from_slice(name.as_bytes())];
        add_one(&store, 1, &[], &[], Some(Append { log: name, entries: &entries }), true).await.unwrap();
    }
    store.trim_log("a", 1).await.unwrap();
    for (name, length) in names.into_iter().zip([0, 1, 1, 1]) {
        let entries = entries(&store, name, 0, 10).await;
        assert_eq!(entries.len(), length, "{name}");
        assert!(entries.iter().all(|(position, entry)| *position == 1 && entry == name.as_bytes()));
    }
}

async fn numbers_are_never_given_twice(place: Place) {
    let mut given = Vec::new();
    for _ in 0..3 {
        let store = place.open().await;
        let mut tasks = tokio::task::JoinSet::new();
        for count in [1, 5, 10_000] {
            let store = store.clone();
            tasks.spawn(async move {
                let mut given = Vec::new();
                for _ in 0..4 {
                    let first = store.reserve("log", count).await.unwrap();
                    given.push((first, first + count));
                }
                given
            });
        }
        given.extend(tasks.join_all().await.concat());
        assert!(store.reserve("another log", 1).await.unwrap() >= 1);
    }
    given.sort_unstable();
    assert!(given[0].0 >= 1);
    assert!(given.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{given:?}");
}

async fn changes_of_one_record_are_not_lost(place: Place) {
    let store = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..8 {
                add_one(&store, 1, &[entity("hot")], &[], None, (task + round) % 4 == 0).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(counts(&store, 1, &[entity("hot")]).await, [256]);
}

async fn updates_of_the_same_records_in_any_order_finish(place: Place) {
    let store = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16_usize {
        let store = store.clone();
        tasks.spawn(async move {
            let mut entities: Vec<_> = (0..50).map(|index| entity(&index.to_string())).collect();
            entities.rotate_left(task * 3);
            if task % 2 == 0 {
                entities.reverse();
            }
            for _ in 0..4 {
                add_one(&store, 1, &entities, &[], None, false).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let entities: Vec<_> = (0..50).map(|index| entity(&index.to_string())).collect();
    assert_eq!(counts(&store, 1, &entities).await, [64; 50]);
}

async fn a_scan_returns_every_record(place: Place) {
    let store = place.open().await;
    let entities: Vec<_> = (0..1_000).map(|index| entity(&format!("e{index}"))).collect();
    add_one(&store, 1, &entities, &[], None, false).await.unwrap();
    add_one(&store, 2, &entities[..10], &[], None, false).await.unwrap();
    for (space, expected) in [(1, &entities[..]), (2, &entities[..10]), (3, &[])] {
        for limit in [1_000_000, 64] {
            let (mut cursor, mut found) = (None, Vec::new());
            loop {
                let page = store.scan(space, cursor.as_ref(), limit).await.unwrap();
                assert!(page.records.iter().all(|(_, record)| count(Some(record)) == 1));
                found.extend(page.records.into_iter().map(|(entity, _)| entity));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            found.sort();
            found.dedup();
            let mut expected = expected.to_vec();
            expected.sort();
            assert!(found == expected, "space {space}: {} of {}", found.len(), expected.len());
        }
    }
}

async fn a_load_replaces_records_and_stores_marks_last(place: Place) {
    let store = place.open().await;
    put(&store, 1, &[("a", "old"), ("b", "old")]).await;
    let records = vec![(entity("c"), b"new".to_vec()), (entity("a"), b"new".to_vec())];
    store.load(Load { space: 1, records, marks: &[("full", b"yes")] }).await.unwrap();
    assert_eq!(texts(&store, &[(1, "a"), (1, "b"), (1, "c")]).await, ["new", "old", "new"]);
    assert_eq!(store.mark(1, "full").await.unwrap().as_deref(), Some(&b"yes"[..]));
    store.load(Load { space: 1, records: Vec::new(), marks: &[] }).await.unwrap();
    drop(store);
    assert_eq!(texts(&place.open().await, &[(1, "a"), (1, "b"), (1, "c")]).await, ["new", "old", "new"]);
}

async fn a_large_load_is_read_like_any(place: Place) {
    let store = place.open().await;
    let name = |index: usize| format!("{:05}", (index * 7_919) % 20_000);
    // Before, between and after loads, so that every layer of the store has to give way to the newer one.
    put(&store, 1, &[("00001", "before"), ("only", "before")]).await;
    for round in 0..2 {
        let value = |index: usize| format!("{round}:{}:{}", name(index), "x".repeat(500)).into_bytes();
        let records = (0..20_000).map(|index| (entity(&name(index)), value(index))).collect();
        store
            .load(Load { space: 1, records, marks: &[("round", round.to_string().as_bytes())] })
            .await
            .unwrap();
        assert_eq!(texts(&store, &[(1, "only")]).await, ["before"]);
        let found = texts(&store, &[(1, "00000"), (1, "00001"), (1, "19999"), (1, "20000")]).await;
        let starts: Vec<String> = found.iter().map(|text| text.chars().take(7).collect()).collect();
        assert_eq!(
            starts,
            [format!("{round}:00000"), format!("{round}:00001"), format!("{round}:19999"), "-".into()]
        );
        put(&store, 1, &[("00000", "after")]).await;
        assert_eq!(texts(&store, &[(1, "00000")]).await, ["after"]);
    }
    drop(store);
    let store = place.open().await;
    assert_eq!(texts(&store, &[(1, "00000"), (1, "only")]).await, ["after", "before"]);
    assert_eq!(store.mark(1, "round").await.unwrap().as_deref(), Some(&b"1"[..]));
}

async fn everything_survives_reopening(place: Place) {
    let entries = [Bytes::from_static(b"entry")];
    for round in 1..=3_u64 {
        let store = place.open().await;
        let append = Append { log: "log", entries: &entries };
        let durable = round == 2;
        let mark = round.to_string();
        add_one(&store, 1, &["a", "b"].map(entity), &[("m", mark.as_bytes())], Some(append), durable)
            .await
            .unwrap();
        drop(store);
        let store = place.open().await;
        assert_eq!(counts(&store, 1, &["a", "b", "c"].map(entity)).await, [round, round, 0]);
        assert_eq!(store.mark(1, "m").await.unwrap().as_deref(), Some(mark.as_bytes()));
        assert_eq!(self::entries(&store, "log", 0, 10).await.len() as u64, round);
        store.sync().await.unwrap();
    }
}

fn update<'a>(
    space: u64,
    entities: &'a [EntityKey],
    change: &'a mut millstream_online::Changer<'a>,
) -> Update<'a> {
    Update { space, entities, change, marks: &[], append: None, durable: false }
}

async fn entries(store: &Store, log: &str, after: u64, limit: usize) -> Vec<(u64, Bytes)> {
    let entries = store.log(log, after, limit).await.unwrap();
    entries.into_iter().map(|entry| (entry.position, entry.bytes)).collect()
}

async fn spaces(store: &Store) -> Vec<u64> {
    store.spaces().await.unwrap().into_iter().map(|info| info.space).collect()
}

/// Two change four records as fast as they can, three read them all the time.
async fn a_read_sees_every_change_that_was_answered_before_it(place: Place) {
    const CHANGES: u64 = 400;
    let store = place.open().await;
    let entities = ["a", "b", "c", "d"].map(entity);
    let answered: Arc<[AtomicU64; 4]> = Arc::default();
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (store, entities, answered) = (store.clone(), entities.clone(), answered.clone());
        readers.spawn(async move {
            let mut reads = 0;
            loop {
                let before = answered.each_ref().map(|count| count.load(Ordering::SeqCst));
                let found = counts(&store, 1, &entities).await;
                let is_seen = found.iter().zip(before).all(|(found, before)| *found >= before);
                assert!(is_seen, "{found:?} after {before:?} were answered");
                if before.iter().sum::<u64>() == 2 * CHANGES {
                    return reads;
                }
                reads += 1;
                tokio::task::yield_now().await;
            }
        });
    }
    let mut writers = JoinSet::new();
    for own in [[0, 1], [2, 3]] {
        let (store, entities, answered) = (store.clone(), entities.clone(), answered.clone());
        writers.spawn(async move {
            for change in 0..CHANGES {
                let which = own[usize::from(change % 3 == 0)];
                add_one(&store, 1, &entities[which..=which], &[], None, false).await.unwrap();
                answered[which].fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    writers.join_all().await;
    assert!(readers.join_all().await.into_iter().all(|reads: u64| reads > 0));
}

async fn a_record_that_was_read_is_read_anew_after_a_load_and_a_drop(place: Place) {
    let store = place.open().await;
    put(&store, 1, &[("a", "put")]).await;
    assert_eq!(texts(&store, &[(1, "a")]).await, ["put"]);
    for size in [3, 5_000_000] {
        let records = vec![(entity("a"), vec![b'x'; size])];
        store.load(Load { space: 1, records, marks: &[] }).await.unwrap();
        assert_eq!(texts(&store, &[(1, "a")]).await[0].len(), size);
    }
    store.drop_space(1).await.unwrap();
    assert_eq!(texts(&store, &[(1, "a")]).await, ["-"]);
    put(&store, 1, &[("b", "anew")]).await;
    assert_eq!(texts(&store, &[(1, "a"), (1, "b")]).await, ["-", "anew"]);
}

async fn a_read_keeps_nothing_of_the_bytes_that_it_was_asked_with(place: Place) {
    let store = place.open().await;
    put(&store, 1, &[("a", "a1")]).await;
    let key = entity("a").into_bytes();
    let all = Bytes::from([&key[..], &[0; 1_000]].concat());
    let asked = [RecordKey { space: 1, entity: EntityKey::new(all.slice(..key.len())) }];
    assert!(store.read(&asked).await.unwrap()[0].is_some());
    drop(asked);
    assert!(all.is_unique());
}
