//! Random commits against a model in memory: every version, every pair of versions, a warm and a cold lake.

use std::collections::BTreeMap;

use millstream_lake::{At, DataFile, MaintainOptions, TableChange};
use millstream_types::TimestampMicros;
use proptest::prelude::*;

use crate::support::{create, ids, ids_of, latest, local, open, runtime, stage, table};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<i64>),
    /// Replaces the files chosen by the bits by one of other rows.
    Replace(u16, Vec<i64>),
    Delete(u16),
    Maintain,
}

fn step() -> impl Strategy<Value = Step> {
    let rows = || prop::collection::vec(0i64..50, 1..6);
    prop_oneof![
        4 => rows().prop_map(Step::Append),
        3 => (any::<u16>(), rows()).prop_map(|(files, rows)| Step::Replace(files, rows)),
        2 => any::<u16>().prop_map(Step::Delete),
        1 => Just(Step::Maintain),
    ]
}

fn sorted(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids
}

/// Counts of `left` minus counts of `right`, zeros left out.
fn minus(left: &[i64], right: &[i64]) -> BTreeMap<i64, i64> {
    let mut counts = BTreeMap::new();
    for id in left {
        *counts.entry(*id).or_insert(0) += 1;
    }
    for id in right {
        *counts.entry(*id).or_insert(0) -= 1;
    }
    counts.retain(|_, count| *count != 0);
    counts
}

async fn run(steps: Vec<Step>) {
    let (folder, lake) = local();
    create(&lake, &[]).await;
    // The rows of each file of the newest version, and of each version.
    let mut files: Vec<(DataFile, Vec<i64>)> = Vec::new();
    let mut versions: Vec<Vec<i64>> = vec![Vec::new()];
    for step in steps {
        let base = latest(&lake).await;
        let (chosen, rows) = match step {
            Step::Append(rows) => (0, rows),
            Step::Replace(chosen, rows) => (chosen, rows),
            Step::Delete(chosen) => (chosen, Vec::new()),
            Step::Maintain => {
                let now = TimestampMicros::from_system(std::time::SystemTime::now());
                let done = lake
                    .maintain(&runtime(&lake), &table(), &MaintainOptions::at(now))
                    .await
                    .unwrap()
                    .unwrap();
                if done.compacted.is_some() {
                    versions.push(versions.last().unwrap().clone());
                    let file = latest(&lake).await.files().to_vec();
                    let rows = files.iter().flat_map(|(_, rows)| rows.clone()).collect();
                    assert_eq!(file.len(), 1);
                    files = vec![(file[0].clone(), rows)];
                }
                continue;
            }
        };
        let add = if rows.is_empty() { Vec::new() } else { stage(&lake, &rows).await };
        let is_chosen = |index: usize| chosen >> (index % 16) & 1 == 1;
        let (mut remove, mut kept) = (Vec::new(), Vec::new());
        for (index, (file, rows)) in files.into_iter().enumerate() {
            if is_chosen(index) { remove.push(file) } else { kept.push((file, rows)) }
        }
        kept.extend(add.first().map(|staged| (DataFile::from(staged), rows)));
        files = kept;
        let change = TableChange { add, remove, ..TableChange::default() };
        let version = lake.commit(&table(), Some(&base), change).await.unwrap();
        assert_eq!(version as usize, versions.len());
        versions.push(sorted(files.iter().flat_map(|(_, rows)| rows.clone()).collect()));
    }
    let cold = open(&folder);
    for (version, expected) in versions.iter().enumerate() {
        let at = At::Version(version as i64);
        assert_eq!(&ids(&cold, at).await, expected, "cold version {version}");
        assert_eq!(&ids(&lake, at).await, expected, "warm version {version}");
    }
    for from in 0..versions.len() {
        for to in from..versions.len() {
            let changes = cold.changes(&table(), from as i64, to as i64).await.unwrap();
            let added = ids_of(&cold, changes.to_schema.clone(), &changes.added).await;
            let removed = ids_of(&cold, changes.to_schema.clone(), &changes.removed).await;
            assert_eq!(minus(&added, &removed), minus(&versions[to], &versions[from]), "from {from} to {to}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_commits_reads_as_the_model(steps in prop::collection::vec(step(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
