//! Random operations against a map in memory, with the store closed and opened in between.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_online::{Append, Change, Load, RecordKey, Update};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

use crate::place::{Place, Store, entity};

const SPACES: u64 = 3;
const ENTITIES: usize = 12;

#[derive(Clone, Debug)]
enum Operation {
    /// Puts, appends to, keeps or deletes each record, by the number beside the entity.
    Update {
        space: u64,
        entities: Vec<(usize, u8)>,
        mark: Option<u8>,
        entries: usize,
        durable: bool,
        fails: bool,
    },
    Load {
        space: u64,
        entities: Vec<usize>,
        size: usize,
    },
    SetMark {
        space: u64,
        value: Option<u8>,
    },
    Trim {
        up_to: u64,
    },
    Drop {
        space: u64,
    },
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let space = || 0..SPACES;
    let entities = vec((0..ENTITIES, 0..4_u8), 0..6);
    prop_oneof![
        8 => (space(), entities, any::<Option<u8>>(), 0..4_usize, any::<bool>(), prop::bool::weighted(0.1)).prop_map(
            |(space, entities, mark, entries, durable, fails)| Operation::Update {
                space, entities, mark, entries, durable, fails,
            }
        ),
        2 => (space(), vec(0..ENTITIES, 0..6), prop_oneof![Just(8), Just(1_000_000)]).prop_map(
            |(space, entities, size)| Operation::Load { space, entities, size }
        ),
        1 => (space(), any::<Option<u8>>()).prop_map(|(space, value)| Operation::SetMark { space, value }),
        1 => (0..40_u64).prop_map(|up_to| Operation::Trim { up_to }),
        1 => space().prop_map(|space| Operation::Drop { space }),
        1 => Just(Operation::Reopen),
    ]
}

/// What the store should hold.
#[derive(Debug, Default, PartialEq)]
struct Model {
    records: BTreeMap<(u64, usize), Vec<u8>>,
    marks: BTreeMap<u64, u8>,
    log: BTreeMap<u64, Bytes>,
    position: u64,
    step: u64,
}

impl Model {
    fn change(present: Option<&[u8]>, how: u8, step: u64) -> Change {
        match how {
            0 => Change::Put(step.to_string().into_bytes()),
            1 => Change::Put([present.unwrap_or_default(), b"+"].concat()),
            2 => Change::Keep,
            _ => Change::Delete,
        }
    }
}

async fn apply(place: &Place, store: &mut Option<Store>, model: &mut Model, operation: &Operation) {
    model.step += 1;
    let step = model.step;
    let open = store.as_ref().unwrap();
    match operation {
        Operation::Update { space, entities, mark, entries, durable, fails } => {
            update(open, model, step, (*space, entities, *mark, *entries, *durable, *fails)).await;
        }
        Operation::Load { space, entities, size } => {
            load(open, model, step, (*space, entities, *size)).await;
        }
        Operation::SetMark { space, value } => {
            let bytes = value.map(|value| [value]);
            open.set_mark(*space, "mark", bytes.as_ref().map(|bytes| &bytes[..])).await.unwrap();
            match value {
                Some(value) => drop(model.marks.insert(*space, *value)),
                None => drop(model.marks.remove(space)),
            }
        }
        Operation::Trim { up_to } => {
            open.trim_log("log", *up_to).await.unwrap();
            model.log.retain(|position, _| position > up_to);
        }
        Operation::Drop { space } => {
            open.drop_space(*space).await.unwrap();
            model.records.retain(|(other, _), _| other != space);
            model.marks.remove(space);
        }
        Operation::Reopen => {
            drop(store.take());
            *store = Some(place.open().await);
        }
    }
}

/// What an update is made of.
type Changed<'a> = (u64, &'a [(usize, u8)], Option<u8>, usize, bool, bool);

async fn update(
    open: &Store,
    model: &mut Model,
    step: u64,
    (space, entities, mark, entries, durable, fails): Changed<'_>,
) {
    let distinct: Vec<(usize, u8)> =
        entities.iter().copied().collect::<BTreeMap<_, _>>().into_iter().collect();
    let keys: Vec<_> = distinct.iter().map(|(index, _)| entity(&index.to_string())).collect();
    let mark = mark.map(|mark| [mark]);
    let marks: Vec<(&str, &[u8])> = mark.iter().map(|mark| ("mark", &mark[..])).collect();
    let entries: Vec<Bytes> = (0..entries).map(|index| Bytes::from(format!("{step}.{index}"))).collect();
    let mut change = |index: usize, present: Option<&[u8]>| {
        if fails && index + 1 == distinct.len() {
            return Err(millstream_online::OnlineError::change("on purpose"));
        }
        Ok(Model::change(present, distinct[index].1, step))
    };
    let append = Some(Append { log: "log", entries: &entries });
    let update = Update { space, entities: &keys, change: &mut change, marks: &marks, append, durable };
    let outcome = open.update(update).await;
    if fails && !distinct.is_empty() {
        assert_eq!(outcome.unwrap_err().code(), "MS-1014");
        return;
    }
    let updated = outcome.unwrap();
    for (index, how) in distinct {
        let key = (space, index);
        match Model::change(model.records.get(&key).map(Vec::as_slice), how, step) {
            Change::Keep => {}
            Change::Put(record) => drop(model.records.insert(key, record)),
            Change::Delete => drop(model.records.remove(&key)),
        }
    }
    if let Some([mark]) = mark {
        model.marks.insert(space, mark);
    }
    for entry in &entries {
        model.position += 1;
        model.log.insert(model.position, entry.clone());
    }
    if !entries.is_empty() {
        assert_eq!(updated.positions.end, model.position + 1);
    }
}

async fn load(open: &Store, model: &mut Model, step: u64, (space, entities, size): (u64, &[usize], usize)) {
    let mut records = Vec::new();
    for index in entities {
        if model.records.get(&(space, *index)).is_some_and(|record| record.starts_with(&step.to_be_bytes())) {
            continue;
        }
        let record = [&step.to_be_bytes()[..], &vec![b'x'; size]].concat();
        model.records.insert((space, *index), record.clone());
        records.push((entity(&index.to_string()), record));
    }
    open.load(Load { space, records, marks: &[] }).await.unwrap();
}

async fn compare(store: &Store, model: &Model) {
    let keys: Vec<RecordKey> = (0..SPACES)
        .flat_map(|space| {
            (0..ENTITIES).map(move |index| RecordKey { space, entity: entity(&index.to_string()) })
        })
        .collect();
    let records = store.read(&keys).await.unwrap();
    for (place, record) in records.iter().enumerate() {
        let key = (place as u64 / ENTITIES as u64, place % ENTITIES);
        assert!(record.as_deref() == model.records.get(&key).map(Vec::as_slice), "{key:?} differs");
    }
    for space in 0..SPACES {
        let mark = store.mark(space, "mark").await.unwrap();
        assert_eq!(mark.as_deref(), model.marks.get(&space).map(std::slice::from_ref), "mark of {space}");
    }
    let log = store.log("log", 0, 1_000).await.unwrap();
    let log: BTreeMap<_, _> = log.into_iter().map(|entry| (entry.position, entry.bytes)).collect();
    assert_eq!(log, model.log);
}

fn check(cases: u32, place: impl Fn() -> Option<Place>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner =
        TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&vec(operation(), 1..40), |operations| {
            let Some(place) = place() else { return Ok(()) };
            runtime.block_on(async {
                let (mut store, mut model) = (Some(place.open().await), Model::default());
                for operation in operations.iter().chain([&Operation::Reopen]) {
                    apply(&place, &mut store, &mut model, operation).await;
                    compare(store.as_ref().unwrap(), &model).await;
                }
            });
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_embedded_store_holds_what_a_map_would() {
    check(16, || Some(Place::folder()));
}

#[cfg(feature = "redis")]
#[test]
fn a_redis_store_holds_what_a_map_would() {
    let name = "a_redis_store_holds_what_a_map_would";
    if crate::place::given("MILLSTREAM_TEST_REDIS", name, "no Redis server").is_some() {
        check(16, || Place::server(name));
    }
}
