//! A shop whose runs are killed again and again, beside one that got the same files and was left alone.

use std::{
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    arrivals::arrive,
    harness::{Folder, assert_same_tables},
};

/// The number of shops, each with dice of its own.
const SHOPS: u64 = 6;
const KILLS_PER_SHOP: u32 = 20;
/// The most runs that are killed before further files come.
const KILLS_PER_ROUND: u32 = 2;

#[test]
fn runs_that_are_killed_anywhere_leave_the_tables_of_runs_that_were_not() {
    let shops = |first: u64| (first..SHOPS).step_by(2).for_each(killed_shop);
    std::thread::scope(|scope| {
        let one = scope.spawn(|| shops(0));
        shops(1);
        one.join().unwrap();
    });
}

fn killed_shop(seed: u64) {
    let mut dice = SmallRng::seed_from_u64(seed);
    let (folder, twin) = (Folder::empty(), Folder::empty());
    folder.stdout(&["init", "shop"]);
    twin.stdout(&["init", "shop"]);
    let (mut kills, mut round) = (0, 0);
    while kills < KILLS_PER_SHOP {
        if round > 0 {
            arrive(&folder, &twin, round, &mut dice);
        }
        let started = Instant::now();
        twin.stdout(&["run"]);
        let undisturbed = started.elapsed();
        for _ in 0..KILLS_PER_ROUND {
            let delay = undisturbed.mul_f64(dice.random());
            if !killed(&folder, &["run"], delay) {
                break;
            }
            kills += 1;
            // Sometimes maintenance starts between two runs, and is killed as well.
            if dice.random_bool(0.2) {
                killed(&folder, &["maintain"], Duration::from_millis(dice.random_range(0..300)));
            }
        }
        round += 1;
        assert!(round < 3 * KILLS_PER_SHOP, "seed {seed}: runs end before they are killed");
    }
    folder.stdout(&["run"]);
    let again = folder.stdout(&["run"]);
    assert!(again.contains("up to date"), "seed {seed}: {again}");
    assert_eq!(folder.tables(), twin.tables(), "seed {seed}");
    assert_same_tables(&folder, &twin, &folder.tables(), &format!("after {kills} kills, seed {seed}"));
}

/// Starts the call and kills it after `delay`. Says whether the call was still at work.
fn killed(folder: &Folder, arguments: &[&str], delay: Duration) -> bool {
    let mut call = folder.command(arguments);
    let mut child: Child = call.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(delay);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success() || status.code().is_none(), "{arguments:?} fails by itself: {status}");
    status.code().is_none()
}
