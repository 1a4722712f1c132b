//! Thousands of small worlds in simulated time: steps fail, the process dies, the clock jumps, the project changes. Whatever
//! happens, the promises of the crate hold.
//!
//! `MILLSTREAM_SEED=17 cargo test -p millstream-schedule --test it simulation` repeats one world and tells what happened.

mod ledger;
mod places;
mod processes;
mod project;
mod promises;
mod steps;
mod world;

use world::{World, WorldKind};

/// Worlds of each kind.
const SEEDS: u64 = 600;

fn check(kind: WorldKind) {
    #[allow(
        clippy::disallowed_methods,
        reason = "a test takes its seed from where the person who runs it says"
    )]
    let named = std::env::var("MILLSTREAM_SEED").ok().and_then(|seed| seed.parse().ok());
    match named {
        Some(seed) => World::new(seed, kind, true).live(),
        None => (0..SEEDS).for_each(|seed| World::new(seed, kind, false).live()),
    }
}

#[test]
fn promises_hold_in_calm_worlds() {
    check(WorldKind::Calm);
}

#[test]
fn promises_hold_where_steps_fail_and_the_project_changes() {
    check(WorldKind::Changing);
}

#[test]
fn promises_hold_over_crashes() {
    check(WorldKind::Crashing);
}

#[test]
fn promises_hold_over_crashes_where_the_clock_jumps_too() {
    check(WorldKind::Wild);
}

#[test]
fn promises_hold_where_places_are_down_and_assets_fail_again_and_again() {
    check(WorldKind::Failing);
}

#[test]
fn promises_hold_where_several_processes_run_the_steps_and_any_of_them_dies() {
    check(WorldKind::Shared);
}

#[test]
fn equal_seeds_give_equal_decisions() {
    for seed in 0..50 {
        let told = |_| {
            let mut world = World::new(seed, WorldKind::Wild, false);
            world.live();
            world.told()
        };
        let (first, second) = (told(1), told(2));
        assert!(first.len() > 10, "seed {seed}");
        assert_eq!(first, second, "seed {seed}");
    }
}
