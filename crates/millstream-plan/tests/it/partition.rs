//! Sets of partitions and their standings, against sets and maps of single numbers.

use std::collections::{BTreeMap, BTreeSet};

use millstream_plan::{PartitionSet, PartitionSpan, PartitionStanding, PartitionStates, PartitionStatus};
use millstream_types::Fingerprint;
use proptest::prelude::*;

fn numbers() -> impl Strategy<Value = BTreeSet<i64>> {
    prop::collection::btree_set(-20_i64..20, 0..24)
}

fn set(numbers: &BTreeSet<i64>) -> PartitionSet {
    numbers.iter().copied().collect()
}

fn standing(word: u8) -> PartitionStanding {
    let status = match word % 4 {
        0 => PartitionStatus::Built,
        1 => PartitionStatus::Stale,
        2 => PartitionStatus::Failed { error: "no".to_owned() },
        _ => PartitionStatus::Missing,
    };
    PartitionStanding { status, parameters: if word < 4 { String::new() } else { "{}".to_owned() } }
}

fn states_of(map: &BTreeMap<i64, PartitionStanding>) -> PartitionStates {
    let one = |(number, standing): (&i64, &PartitionStanding)| PartitionSpan {
        first: *number,
        last: *number,
        standing: standing.clone(),
    };
    PartitionStates::new(Fingerprint::new([0; 32])).with_spans(map.iter().map(one).collect())
}

proptest! {
    #[test]
    fn sets_are_those_of_their_numbers(one in numbers(), two in numbers(), count in 0_u64..30) {
        let (a, b) = (set(&one), set(&two));
        prop_assert_eq!(a.union(&b), set(&one.union(&two).copied().collect()));
        prop_assert_eq!(a.intersection(&b), set(&one.intersection(&two).copied().collect()));
        prop_assert_eq!(a.difference(&b), set(&one.difference(&two).copied().collect()));
        prop_assert_eq!(a.len(), one.len() as u64);
        prop_assert!((-21..21).all(|number| a.contains(number) == one.contains(&number)));
        prop_assert_eq!(a.last(count), set(&one.iter().rev().take(count as usize).copied().collect()));
        prop_assert_eq!(a.iter().collect::<BTreeSet<_>>(), one);
        prop_assert_eq!(a.to_string().parse::<PartitionSet>().unwrap(), a);
    }

    #[test]
    fn standings_are_those_of_single_partitions(
        changes in prop::collection::vec((numbers(), 0_u8..8, any::<bool>()), 0..8),
    ) {
        let mut states = PartitionStates::new(Fingerprint::new([0; 32]));
        let mut map: BTreeMap<i64, PartitionStanding> = BTreeMap::new();
        for (numbers, word, outdates) in changes {
            if outdates {
                states.outdate(&set(&numbers));
                for number in numbers {
                    let known = map.entry(number).or_insert_with(|| standing(3));
                    if known.status == PartitionStatus::Built {
                        known.status = PartitionStatus::Stale;
                    }
                }
            } else {
                states.set(&set(&numbers), &standing(word));
                map.extend(numbers.into_iter().map(|number| (number, standing(word))));
            }
            prop_assert_eq!(&states, &states_of(&map));
        }
        prop_assert!((-21..21).all(|number| states.of(number) == map.get(&number)));
        let open = map.iter().filter(|(_, standing)| standing.status != PartitionStatus::Built);
        prop_assert_eq!(states.open(), open.map(|(number, _)| *number).collect());
        let gone = set(&[-3, 0, 1, 7].into());
        states.forget(&gone);
        let left = |number: &i64| map.get(number).filter(|_| !gone.contains(*number));
        prop_assert!((-21..21).all(|number| states.of(number) == left(&number)));
    }
}

#[test]
fn a_million_partitions_in_a_row_are_one_span() {
    let mut states = PartitionStates::new(Fingerprint::new([0; 32]));
    states.set(&PartitionSet::range(0, 999_999), &standing(3));
    for chunk in 0..1_000 {
        states.set(&PartitionSet::range(chunk * 1_000, chunk * 1_000 + 999), &standing(0));
        assert!(states.spans().len() <= 2);
    }
    assert_eq!((states.known().len(), states.open().is_empty()), (1_000_000, true));
}
