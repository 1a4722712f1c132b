//! State that is saved and restored at any point: what follows is what would have followed.

use std::collections::BTreeMap;

use millstream_stream::{Distance, JoinKind, Pipeline, StreamError};
use proptest::prelude::*;

use crate::{
    pipelines::{
        NONE, chained, deduplicated, hopping, join_definition, joined, joined_and_summed, session, tumbling,
        windowed,
    },
    world::{Row, SECOND, Step, World, arrival, row, rows, seconds},
};

type MakeWorld = Box<dyn Fn() -> World>;

fn worlds() -> Vec<(&'static str, MakeWorld)> {
    let disorder = seconds(3);
    let left = join_definition(JoinKind::Left, Distance::Earlier(seconds(4)), Distance::Later(seconds(2)));
    let inner = join_definition(JoinKind::Inner, Distance::Earlier(seconds(1)), Distance::Later(seconds(9)));
    vec![
        ("tumbling", Box::new(move || windowed(2, disorder, tumbling(7), NONE))),
        ("tumbling, late", Box::new(move || windowed(2, disorder, tumbling(7), seconds(9)))),
        ("hopping", Box::new(move || windowed(2, disorder, hopping(9, 6, 1), NONE))),
        ("hopping, late", Box::new(move || windowed(2, disorder, hopping(9, 3, 1), seconds(9)))),
        ("sessions", Box::new(move || windowed(2, disorder, session(4), NONE))),
        ("sessions, late", Box::new(move || windowed(2, disorder, session(4), seconds(9)))),
        ("once", Box::new(move || deduplicated(2, disorder, 6))),
        ("left join", Box::new(move || joined(2, disorder, &left))),
        ("inner join", Box::new(move || joined(2, disorder, &inner))),
        ("chain", Box::new(move || chained(2, disorder))),
        ("join and sum", Box::new(move || joined_and_summed(disorder))),
    ]
}

/// Rows out of order by more than the disorder, for two sources of up to two partitions.
fn feed() -> impl Strategy<Value = (Vec<Step>, Vec<bool>)> {
    rows(1..50, 60, 3)
        .prop_flat_map(|rows| {
            let count = rows.len();
            (Just(rows), arrival(count, 2, 9 * SECOND), proptest::collection::vec(0..2_usize, 120))
        })
        .prop_flat_map(|(rows, arrival, sources)| {
            let mut steps = arrival.steps(0, &rows);
            for (step, to) in steps.iter_mut().zip(sources) {
                if let Step::Push { source, .. } = step {
                    *source = to;
                }
            }
            steps.push(Step::End);
            let count = steps.len();
            (Just(steps), proptest::collection::vec(any::<bool>(), count))
        })
}

/// The steps as they are for a pipeline with fewer sources or partitions.
fn fitted(steps: &[Step], world: &World, one_partition: bool) -> Vec<Step> {
    let fit = |step: &Step| match step {
        Step::Push { source, partition, rows } => Step::Push {
            source: source % world.sources.len(),
            partition: if one_partition { 0 } else { *partition },
            rows: rows.clone(),
        },
        other => other.clone(),
    };
    steps.iter().map(fit).collect()
}

fn apply(store: &mut BTreeMap<Vec<u8>, Vec<u8>>, pipeline: &mut Pipeline) {
    for change in pipeline.changes().unwrap() {
        match change.value {
            Some(value) => store.insert(change.key, value),
            None => store.remove(&change.key),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_restored_pipeline_goes_on_as_if_nothing_had_been((steps, saves) in feed()) {
        for (name, make) in worlds() {
            let steps = fitted(&steps, &make(), name == "join and sum");
            let undisturbed = make().run(&steps);
            let (mut from_snapshots, mut from_changes, mut stored) = (make(), make(), BTreeMap::new());
            for (step, save) in steps.iter().zip(&saves) {
                for world in [&mut from_snapshots, &mut from_changes] {
                    world.step(step);
                }
                if !save {
                    continue;
                }
                let snapshot = from_snapshots.pipeline.snapshot().unwrap();
                prop_assert_eq!(&snapshot, &from_snapshots.pipeline.snapshot().unwrap(), "a look changes nothing");
                let mut next = make();
                next.pipeline.restore(&snapshot).unwrap();
                from_snapshots.pipeline = next.pipeline;
                apply(&mut stored, &mut from_changes.pipeline);
                let mut next = make();
                next.pipeline.restore_entries(stored.clone()).unwrap();
                from_changes.pipeline = next.pipeline;
            }
            prop_assert_eq!(&from_snapshots.told, &undisturbed, "{}: from snapshots", name);
            prop_assert_eq!(&from_changes.told, &undisturbed, "{}: from changes", name);
        }
    }

    /// What was saved bit by bit is what is saved at once, so that nothing stays behind in a store.
    #[test]
    fn changes_add_up_to_the_whole((steps, saves) in feed()) {
        for (name, make) in worlds() {
            let mut world = make();
            let mut stored = BTreeMap::new();
            let steps = fitted(&steps, &world, name == "join and sum");
            for (step, save) in steps.iter().zip(&saves) {
                world.step(step);
                if *save {
                    apply(&mut stored, &mut world.pipeline);
                }
            }
            apply(&mut stored, &mut world.pipeline);
            let mut whole = BTreeMap::new();
            let mut copy = make();
            copy.pipeline.restore(&world.pipeline.snapshot().unwrap()).unwrap();
            copy.pipeline.restore_entries(BTreeMap::new()).unwrap_err();
            let mut fresh = make();
            steps.iter().for_each(|step| fresh.step(step));
            apply(&mut whole, &mut fresh.pipeline);
            let kinds = |store: &BTreeMap<Vec<u8>, Vec<u8>>| store.keys().map(|key| key[..3].to_vec()).collect::<Vec<_>>();
            prop_assert_eq!(kinds(&stored), kinds(&whole), "{}", name);
        }
    }
}

#[test]
fn damaged_state_is_refused_and_never_trusted() {
    for (name, make) in worlds() {
        let mut world = make();
        let rows: Vec<Row> = (0..20).map(|number| row(number * SECOND / 2, number % 3, number)).collect();
        for source in 0..world.sources.len() {
            world.step(&Step::Push { source, partition: 0, rows: rows.clone() });
        }
        let whole = world.pipeline.snapshot().unwrap();
        make().pipeline.restore(&whole).unwrap();
        for length in 0..whole.len() {
            assert!(make().pipeline.restore(&whole[..length]).is_err(), "{name}: cut off at {length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(make().pipeline.restore(&damaged).is_err(), "{name}: a bit of byte {at} is another one");
        }
        let mut entries: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        apply(&mut entries, &mut world.pipeline);
        for key in entries.keys().cloned().collect::<Vec<_>>() {
            let mut damaged = entries.clone();
            let value = damaged.get_mut(&key).unwrap();
            let middle = value.len() / 2;
            value[middle] ^= 4;
            let error = make().pipeline.restore_entries(damaged).unwrap_err();
            assert!(matches!(error, StreamError::Damaged { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn state_of_another_definition_or_format_is_refused() {
    let mut world = windowed(1, NONE, tumbling(7), NONE);
    let snapshot = world.pipeline.snapshot().unwrap();
    let error = windowed(1, NONE, tumbling(8), NONE).pipeline.restore(&snapshot).unwrap_err();
    assert!(matches!(error, StreamError::OtherDefinition), "{error}");
    assert_eq!(error.code(), "MS-1336");
    let mut later = snapshot.clone();
    later[6] = 9;
    let error = windowed(1, NONE, tumbling(7), NONE).pipeline.restore(&later).unwrap_err();
    assert!(matches!(error, StreamError::Format { found: 9, known: 1 }), "{error}");
    let mut used = windowed(1, NONE, tumbling(7), NONE);
    used.step(&Step::Push { source: 0, partition: 0, rows: vec![row(0, 1, 1)] });
    assert!(matches!(used.pipeline.restore(&snapshot), Err(StreamError::NotFresh)));
}

#[test]
fn only_what_has_changed_is_saved() {
    let mut world = windowed(1, NONE, tumbling(1_000), NONE);
    let rows: Vec<Row> = (0..5_000).map(|key| row(0, key, 1)).collect();
    world.step(&Step::Push { source: 0, partition: 0, rows });
    assert!(world.pipeline.changes().unwrap().len() > 5_000);
    world.step(&Step::Push { source: 0, partition: 0, rows: vec![row(1, 7, 1), row(1, 8, 1)] });
    let changes = world.pipeline.changes().unwrap();
    assert!((2..6).contains(&changes.len()), "{}", changes.len());
}

#[test]
fn a_day_of_windows_leaves_nothing_behind() {
    for kind in [tumbling(60), hopping(120, 60, 0), session(30)] {
        let mut world = windowed(1, seconds(5), kind, NONE);
        let mut held = Vec::new();
        for minute in 0..1_440_i64 {
            // Keys change all the time.
            let rows: Vec<Row> =
                (0..50).map(|number| row((minute * 60 + number) * SECOND, minute * 17 + number, 1)).collect();
            world.step(&Step::Push { source: 0, partition: 0, rows });
            held.push(world.pipeline.figures().state_bytes());
            world.told.rows.clear();
            world.told.table.clear();
        }
        // Hash tables grow and shrink by chance; a leak would be sevenfold.
        let (early, late) = (held[100..200].iter().max(), held[700..].iter().max());
        assert!(late.unwrap() <= &(2 * early.unwrap()), "{kind:?}: {early:?} {late:?}");
    }
}

const SAMPLES: &str = include_str!("samples/format_1.txt");

/// Rows of which something is open in each kind of pipeline.
fn sampled(make: &MakeWorld) -> World {
    let mut world = make();
    for source in 0..world.sources.len() {
        let rows = (0..6).map(|number| Row {
            price: Some(number as f64 * 0.1),
            word: Some("ab".repeat(number as usize)),
            sequence: number,
            ..row((number * 2 - source as i64) * SECOND, number % 3, number * 10)
        });
        world.step(&Step::Push { source, partition: 0, rows: rows.collect() });
    }
    world
}

fn is_sampled(name: &str) -> bool {
    // Rows of the others are written in Arrow's own format for the exchange between processes, which has a version.
    !["once", "left join", "inner join", "chain", "join and sum"].contains(&name)
}

/// Bytes of format 1 are read by every later version.
#[test]
fn samples_of_format_1_are_still_written_and_read() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let worlds: Vec<_> = worlds().into_iter().filter(|(name, _)| is_sampled(name)).collect();
    let line = |(name, make): &(&str, MakeWorld)| {
        format!("{name}: {}\n", hex(&sampled(make).pipeline.snapshot().unwrap()))
    };
    let now: String = worlds.iter().map(line).collect();
    assert!(now == SAMPLES, "the bytes of a state changed:\n{now}");
    for (written, (name, make)) in SAMPLES.lines().zip(&worlds) {
        let written = written.rsplit(": ").next().unwrap();
        let bytes: Vec<u8> = (0..written.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&written[at..at + 2], 16).unwrap())
            .collect();
        let (mut undisturbed, mut restored) = (sampled(make), make());
        restored.pipeline.restore(&bytes).unwrap();
        let told = undisturbed.told.rows.len();
        undisturbed.step(&Step::End);
        restored.step(&Step::End);
        assert_eq!(undisturbed.told.rows[told..], restored.told.rows, "{name}");
    }
}
