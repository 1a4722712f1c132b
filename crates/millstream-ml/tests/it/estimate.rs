//! What a build will cost, before it is started.

use arrow::datatypes::DataType;
use millstream_ml::dataset::estimate;

use crate::world::{World, batch, events, floats, ints, service, times, view};

fn world() -> World {
    let orders = view("orders", DataType::Int64);
    let nothing = events(&orders, ints([]), times([]), floats([]));
    let labels = batch(vec![("customer_id", ints([Some(1)])), ("as_of", times([Some(0)]))]);
    World::new(service(vec![orders]), labels, vec![nothing])
}

#[test]
fn rows_are_exact_and_more_rows_cost_more() {
    let world = world();
    let small = estimate(&world.plan, 1_000, &[10_000]).unwrap();
    let large = estimate(&world.plan, 100_000, &[1_000_000]).unwrap();
    assert_eq!((small.rows, large.rows), (1_000, 100_000));
    assert!(large.seconds > 50.0 * small.seconds && large.bytes > 50 * small.bytes);
    assert!(!large.will_spill && large.spilled_bytes == 0);
}

#[test]
fn rows_beyond_memory_will_spill() {
    let mut world = world();
    let events = estimate(&world.plan, 1_000, &[100_000_000]).unwrap();
    assert!(events.will_spill && events.spilled_bytes > 1 << 30);
    assert!(estimate(&world.plan, 100_000_000, &[0]).unwrap().will_spill);
    world.plan.resources.memory_bytes = 1 << 40;
    assert!(!estimate(&world.plan, 1_000, &[100_000_000]).unwrap().will_spill);
}

#[test]
fn a_plan_that_makes_no_sense_has_no_price() {
    let mut world = world();
    world.plan.labels.keys.clear();
    assert_eq!(estimate(&world.plan, 1, &[1]).unwrap_err().code(), "MS-1102");
}
