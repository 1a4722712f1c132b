//! Many producers at once, each with several appends on their way, when the power goes: what was written together comes through in
//! parts. Everything acknowledged is there, what is damaged never was acknowledged and is told so, and after all producers have sent
//! again what was not answered, each record is there once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use millstream_log::{Append, EmbeddedLog, EventLog, Sequenced};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    disk::SimDisk,
    place::{TestClock, numbered, numbers_around, options, place, with_topic},
};

const PRODUCERS: u64 = 6;
const IN_FLIGHT: u64 = 3;
const EACH: u64 = 30;
const ROUNDS: usize = 4;
/// Numbers of different producers never meet.
const STRIDE: u64 = 1_000;

fn append(producer: u64, sequence: u64) -> Append {
    let sequenced = Sequenced { producer: u128::from(producer), epoch: 0, sequence };
    Append::messages(&place(), vec![numbered(producer * STRIDE + sequence)]).sequenced(sequenced)
}

/// Sends a producer's records from the first unanswered one on, several at once, until an append fails, and gives the numbers that were
/// answered and their offsets.
async fn produce(log: Arc<EmbeddedLog>, producer: u64, mut sequence: u64) -> (u64, BTreeMap<u64, u64>) {
    let mut answered = BTreeMap::new();
    while sequence < EACH {
        let sent: Vec<u64> = (sequence..EACH.min(sequence + IN_FLIGHT)).collect();
        let outcomes = sent.iter().map(|sequence| log.append(append(producer, *sequence)));
        for (number, outcome) in sent.iter().zip(futures::future::join_all(outcomes).await) {
            let Ok(appended) = outcome else { return (sequence, answered) };
            if let Some(offsets) = appended.offsets {
                answered.insert(producer * STRIDE + number, offsets.start);
            }
            sequence = number + 1;
        }
    }
    (sequence, answered)
}

async fn live(seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let clock = TestClock::new();
    let mut disk = SimDisk::default();
    let mut log = with_topic(options(Arc::new(disk.clone()), &clock)).await;
    let mut next = vec![0; PRODUCERS as usize];
    let mut answered: BTreeMap<u64, u64> = BTreeMap::new();
    for round in 0..=ROUNDS {
        if round < ROUNDS {
            disk.die_after(random.random_range(0..25));
        }
        let tasks = (0..PRODUCERS)
            .map(|producer| tokio::spawn(produce(log.clone(), producer, next[producer as usize])));
        for (producer, outcome) in futures::future::join_all(tasks).await.into_iter().enumerate() {
            let (sequence, more) = outcome.unwrap();
            next[producer] = sequence;
            answered.extend(more);
        }
        if round < ROUNDS {
            disk = if random.random_bool(0.8) { disk.without_power(&mut random) } else { disk.killed() };
            log = EmbeddedLog::open(options(Arc::new(disk.clone()), &clock)).await.unwrap();
        }
        let (found, damages) = numbers_around(&*log, &place().at(0)).await;
        for damage in &damages {
            assert!(!damage.proven, "{damage} had been acknowledged");
            let hit = answered.values().find(|offset| damage.offsets.contains(offset));
            assert_eq!(hit, None, "{damage}");
        }
        let by_number: BTreeMap<u64, u64> = found.iter().map(|(offset, number)| (*number, *offset)).collect();
        assert_eq!(by_number.len(), found.len(), "a record is there twice: {found:?}");
        for (number, offset) in &answered {
            assert_eq!(by_number.get(number), Some(offset), "record {number} in round {round}");
        }
    }
    let (found, _) = numbers_around(&*log, &place().at(0)).await;
    let found: BTreeSet<u64> = found.iter().map(|(_, number)| *number).collect();
    let all = (0..PRODUCERS).flat_map(|producer| (0..EACH).map(move |sequence| producer * STRIDE + sequence));
    assert!(found.iter().copied().eq(all), "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_acknowledged_is_there_once(seed: u64) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(live(seed));
    }
}
