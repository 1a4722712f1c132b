//! The same inputs give the same bytes, whatever the machine does with them.

use std::num::NonZeroUsize;

use arrow::datatypes::DataType;
use millstream_ml::dataset::{InputVersion, Shares, SplitBy, SplitPlan};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::world::{DAY, World, batch, cut, events, floats, ints, service, times, view};

/// More labels than one chunk has rows, of two views.
fn large(seed: u64) -> World {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut view_rows = |name: &str| {
        let view = view(name, DataType::Int64);
        let keys: Vec<_> = (0..60_000).map(|_| Some(random.random_range(0..3_000_i64))).collect();
        let at: Vec<_> = (0..60_000).map(|_| Some(random.random_range(0..90 * DAY))).collect();
        let amounts: Vec<_> =
            (0..60_000).map(|_| random.random_bool(0.9).then(|| random.random::<f64>() * 1e3)).collect();
        let rows = events(&view, ints(keys), times(at), floats(amounts));
        (view, rows)
    };
    let (orders, order_rows) = view_rows("orders");
    let (visits, visit_rows) = view_rows("visits");
    let rows = 70_000;
    let labels = batch(vec![
        ("customer_id", ints((0..rows).map(|_| Some(random.random_range(0..3_000))))),
        ("as_of", times((0..rows).map(|_| Some(random.random_range(0..90 * DAY))))),
        ("churned", ints((0..rows).map(|_| Some(random.random_range(0..2))))),
    ]);
    let mut world = World::new(service(vec![orders, visits]), labels, vec![order_rows, visit_rows]);
    world.plan.split = Some(SplitPlan {
        by: SplitBy::Hash { columns: vec![0], seed: 3 },
        shares: Shares { train: 0.7, validation: 0.15, test: 0.15 },
    });
    world
}

fn both(world: &World) -> (Vec<u8>, Vec<u8>) {
    let built = world.build().unwrap();
    (std::fs::read(&world.plan.output).unwrap(), std::fs::read(built.manifest_path).unwrap())
}

#[test]
fn batches_threads_and_memory_change_no_byte_of_data_and_manifest() {
    let mut world = large(1);
    let expected = both(&world);
    assert_eq!(both(&world), expected, "once more");
    world.plan.resources.threads = NonZeroUsize::new(3).unwrap();
    assert_eq!(both(&world), expected, "threads");
    world.labels = cut(&world.labels[0], &[1_000, 7, 12_345]);
    for events in &mut world.events {
        *events = cut(&events[0], &[999, 20_000]);
    }
    assert_eq!(both(&world), expected, "batches");
    world.plan.resources.memory_bytes = 1 << 20;
    assert_eq!(both(&world), expected, "memory");
    // The order of events counts only among equal times, where it comes from the sequence.
    world.events[0].shuffle(&mut SmallRng::seed_from_u64(5));
    assert_eq!(both(&world), expected, "order of events");
}

#[test]
fn another_folder_and_another_day_change_nothing() {
    let mut world = large(2);
    let expected = both(&world);
    world.plan.output = world.folder.path().join("elsewhere/other.parquet");
    world.plan.now = millstream_types::TimestampMicros(0);
    assert_eq!(both(&world), expected);
}

#[test]
fn the_version_changes_with_everything_that_defines_the_dataset() {
    let mut world = large(3);
    world.labels = vec![world.labels[0].slice(0, 10)];
    let mut versions = vec![world.build().unwrap().manifest.version];
    let mut next = |world: &World, what: &str| {
        let version = world.build().unwrap().manifest.version;
        assert!(!versions.contains(&version), "{what}");
        versions.push(version);
    };
    world.plan.inputs = vec![InputVersion { table: "silver.orders".into(), version: 1 }];
    next(&world, "inputs");
    world.plan.inputs[0].version = 2;
    next(&world, "an input's version");
    world.plan.labels.origin = "SELECT 1".into();
    next(&world, "the labels' query");
    world.plan.service.views[0].ttl = Some("1d".parse().unwrap());
    next(&world, "a view");
    world.plan.code_version = "millstream 0.2.0".into();
    next(&world, "the code");
    world.plan.split.as_mut().unwrap().by = SplitBy::Hash { columns: vec![0], seed: 4 };
    next(&world, "the seed");
    world.plan.labels.kept.pop();
    next(&world, "the columns");
}
