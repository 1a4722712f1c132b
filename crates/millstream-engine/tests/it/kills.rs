//! Every path is harmed at each of its points, and ends afterwards with the same contents as without harm.
//!
//! `MILLSTREAM_SEED=3` takes another sample of points, `MILLSTREAM_POINTS=all` takes all of them, and `list` names them;
//! `MILLSTREAM_POINT=17:After:Death` repeats one, as a failure names it.

use std::time::{Duration, Instant};

use millstream_connector::Bound;
use millstream_engine::{MaterializeRequest, RunRequest};
use millstream_state::Moment;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::{
    harness::{Act, Contents, Definition, Ended, Harm, Injection, Line, Point, World, block_on},
    shop::{SHOP, shop},
};

/// The number of injections that are tried in one scenario, unless all are asked for.
const SAMPLE: usize = 72;
/// The number of tries after which an act that was harmed once has to succeed.
const TRIES: usize = 3;

/// The settings of the loop, from the environment.
struct Wish {
    seed: u64,
    all: bool,
    list: bool,
    only: Option<String>,
}

#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
fn wish() -> Wish {
    let variable = |name: &str| std::env::var(name).ok();
    Wish {
        seed: variable("MILLSTREAM_SEED").map_or(1, |seed| seed.parse().unwrap()),
        all: variable("MILLSTREAM_POINTS").is_some_and(|points| points == "all"),
        list: variable("MILLSTREAM_POINTS").is_some_and(|points| points == "list"),
        only: variable("MILLSTREAM_POINT"),
    }
}

/// The injections to try: of a change before and after it, of anything else before it.
fn injections(points: &[Point], wish: &Wish) -> Vec<Injection> {
    let harms = [Harm::Death, Harm::Passing, Harm::Lasting];
    let mut all = Vec::new();
    for (at, point) in points.iter().enumerate() {
        let moments: &[Moment] =
            if point.changes { &[Moment::Before, Moment::After] } else { &[Moment::Before] };
        for (moment, harm) in moments.iter().flat_map(|moment| harms.map(|harm| (*moment, harm))) {
            all.push(Injection { at, moment, harm });
        }
    }
    if let Some(only) = &wish.only {
        all.retain(|injection| injection.to_string() == *only);
    } else if !wish.all {
        // A death between two changes leaves the same world wherever it comes, so it is tried at the changes.
        let (mut deaths, mut others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|injection| injection.harm == Harm::Death && points[injection.at].changes);
        let mut dice = SmallRng::seed_from_u64(wish.seed);
        deaths.shuffle(&mut dice);
        others.shuffle(&mut dice);
        deaths.truncate(SAMPLE - SAMPLE / 3);
        others.truncate(SAMPLE - deaths.len());
        deaths.extend(others);
        all = deaths;
    }
    all
}

/// The columns that may depend on how often a process died, such as the run that wrote a row. An interrupted reprocessing is
/// completed with the rejected rows as they were before it.
fn columns_apart(act: &Act) -> &'static [&'static str] {
    match act {
        Act::Reprocess(_) => &["_run", "_reason", "_rejected_at", "_epoch", "_row"],
        // A build whose process ended before obsolete rejected rows were taken away is done once more.
        _ => &["_run", "_epoch"],
    }
}

/// Does `act` in a copy of `world`, after `warm` went by undisturbed, once for each injection.
pub(crate) async fn check(name: &str, world: World, warm: &[Act], act: Act) {
    let (wish, started) = (wish(), Instant::now());
    let undisturbed = warmed(&world, warm).await;
    let line = Line::quiet();
    let ended = undisturbed.act_on(&act, &line).await;
    assert!(matches!(ended, Ended::Well(_)), "{name}: {ended:?}");
    let left = undisturbed.plan().await;
    assert!(
        left.is_empty() || !matches!(act, Act::Run(_)),
        "{name}: there is something left to run: {left:?}"
    );
    let apart = columns_apart(&act);
    let expected = Contents::of(&undisturbed, apart).await;
    let points = line.points();
    let changes = points.iter().filter(|point| point.changes).count();
    let begin = points.iter().position(|point| point.what == "state: record the start of the run");
    if wish.list {
        for (at, point) in points.iter().enumerate() {
            println!("{name} {at}: {}{}", point.what, if point.changes { ", a change" } else { "" });
        }
    }
    let injections = injections(&points, &wish);
    let (mut missed, mut through) = (0, 0);
    for injection in &injections {
        let fork = warmed(&world, warm).await;
        let line = Line::harmed(*injection);
        let ended = fork.act_on(&act, &line).await;
        missed += usize::from(!line.struck());
        through += usize::from(matches!(ended, Ended::Well(_)));
        line.die();
        let what = &points[injection.at].what;
        let place = format!(
            "{name}, seed {}, point {injection} of {} ({what}): {ended:?}\nrepeat it with MILLSTREAM_POINT={injection}",
            wish.seed,
            points.len()
        );
        // Steps try again after a fault that may pass. A fault before the first step, or of the state store, is reported at once.
        let in_step = matches!(act, Act::Run(_) | Act::RunAll(_) | Act::Reprocess(_));
        let is_retried =
            in_step && begin.is_some_and(|begin| injection.at > begin) && !what.starts_with("state");
        if is_retried && injection.harm == Harm::Passing {
            assert!(matches!(ended, Ended::Well(_)), "{place}\na step gave up");
        }
        settle(&fork, &act, &place).await;
        assert_eq!(fork.plan().await, left, "{place}\na further run would not do what it does undisturbed");
        if let Some(difference) = expected.difference(&Contents::of(&fork, apart).await) {
            panic!("{place}\n{difference}");
        }
    }
    println!(
        "{name}: {} points, {changes} of them changes; {} injections, {through} without a trace, {missed} not \
         reached, in {:?}",
        points.len(),
        injections.len(),
        started.elapsed()
    );
    // Up to its harm a world is like the undisturbed one, so that nearly every point is reached.
    assert!(
        missed * 20 <= injections.len(),
        "{name}: {missed} of {} points were not reached",
        injections.len()
    );
}

async fn warmed(world: &World, warm: &[Act]) -> World {
    let fork = world.fork();
    for act in warm {
        let ended = fork.act(act).await;
        assert!(matches!(ended, Ended::Well(_)), "{ended:?}");
    }
    fork
}

/// Whatever happened, someone calls the command again until it succeeds.
async fn settle(world: &World, act: &Act, place: &str) {
    let mut said = Vec::new();
    for _ in 0..TRIES {
        if matches!(act, Act::KeepHouse) {
            world.clock.pass(7 * 3_600);
        }
        match world.act(act).await {
            Ended::Well(_) => return,
            ended => said.push(ended),
        }
    }
    panic!("{place}\nit does not recover: {said:#?}");
}

fn run() -> Act {
    Act::Run(RunRequest::default())
}

#[test]
fn a_first_run_that_is_harmed_anywhere() {
    block_on(async { check("first run", shop(0).await, &[], run()).await });
}

#[test]
fn a_run_over_new_grown_and_touched_parts_that_is_harmed_anywhere() {
    block_on(async { check("second run", shop(1).await, &[], run()).await });
}

#[test]
fn a_run_over_replaced_parts_that_is_harmed_anywhere() {
    block_on(async { check("third run", shop(2).await, &[], run()).await });
}

#[test]
fn a_merged_landing_in_portions_that_is_harmed_anywhere() {
    block_on(async {
        let world = World::new(Definition::of(&crate::landing_merge::with_table()));
        let script = &world.definition.script;
        script.bound("orders", Bound { rows: Some(3), ..Bound::NONE });
        script.put("orders", "a", "?,id,note\ni,1,x\ni,2,y\ni,3,z\nu,4,toolong\nd,2,");
        script.put("orders", "b", "?,id,note\ni,11,x\nu:11,12,y\nd+,x,\ni,13,z");
        world.run().await;
        script.append("orders", "a", "u,1,new\nd,3,\ni,4,good\nu,1,newer\n-,,\nd,9,\ni,5,toolong");
        script.append("orders", "b", "u,12,yy\nd,13,\ni,13,again");
        check("merged landing in portions", world, &[], run()).await;
    });
}

#[test]
fn a_reprocessing_that_is_harmed_anywhere() {
    block_on(async {
        let mut world = shop(2).await;
        world.define(&SHOP.replace("range: [0, 1000]", "range: [-6, 1000]"));
        check("reprocessing", world, &[], Act::Reprocess("bronze.orders")).await;
    });
}

#[test]
fn a_maintenance_that_is_harmed_anywhere() {
    block_on(async {
        let world = shop(3).await;
        world.clock.pass(30 * 86_400);
        check("maintenance", world, &[], Act::Maintain(Duration::from_secs(3_600))).await;
    });
}

/// After harm, housekeeping is tried again once its pause is over; the table that it failed to tidy waits for the next day.
#[test]
fn a_housekeeping_that_is_harmed_anywhere() {
    block_on(async {
        let world = worn().await;
        world.act(&Act::KeepHouse).await;
        world.clock.pass(100 * 86_400);
        check("housekeeping", world, &[], Act::KeepHouse).await;
    });
}

#[test]
fn materialisations_that_are_harmed_anywhere() {
    block_on(async {
        let all = Act::Materialize(MaterializeRequest::default());
        check("first materialisation", shop(1).await, &[], all.clone()).await;
        check("next materialisation", shop(1).await, &[all.clone(), run()], all.clone()).await;
    });
}

/// A run of every kind of asset over new parts, for the first time and for the next.
#[test]
fn a_run_of_every_kind_that_is_harmed_anywhere() {
    block_on(async {
        let all = Act::RunAll(RunRequest::default());
        check("first run of every kind", shop(0).await, &[], all.clone()).await;
        check(
            "next run of every kind",
            shop(0).await,
            &[all.clone(), Act::Maintain(Duration::from_secs(60))],
            all,
        )
        .await;
    });
}

#[test]
fn a_dataset_that_is_harmed_anywhere() {
    block_on(async { check("dataset", shop(1).await, &[], Act::Dataset("churn")).await });
}

/// A shop whose events came one by one, so that its log is long enough to be cut.
async fn worn() -> World {
    let world = shop(1).await;
    for event in 100..112 {
        let row = format!("{event},1,view,2026-06-05T09:00:00Z");
        world.definition.script.append("events", "a", &row);
        world.run().await;
        world.clock.pass(3_600);
    }
    world
}

#[test]
fn a_maintenance_that_cuts_a_log_and_is_harmed_anywhere() {
    block_on(async {
        let hour = Act::Maintain(Duration::from_secs(3_600));
        let world = worn().await;
        check("maintenance of a long log", worn().await, &[], hour.clone()).await;
        world.act(&hour).await;
        world.clock.pass(30 * 86_400);
        check("maintenance that cuts a log", world, &[], hour).await;
    });
}

#[test]
fn a_materialisation_into_an_empty_store_that_is_harmed_anywhere() {
    block_on(async {
        let alone = MaterializeRequest { alone: true, ..MaterializeRequest::default() };
        check("filling", shop(1).await, &[], Act::Materialize(alone)).await;
    });
}

/// Several acts one after the other, each harmed somewhere, against a world that was left alone.
#[test]
fn a_life_of_harm() {
    block_on(async {
        let wish = wish();
        for life in 0..3 {
            let seed = wish.seed.wrapping_mul(1_000).wrapping_add(life);
            let mut dice = SmallRng::seed_from_u64(seed);
            let (mut harmed, twin) = (shop(0).await, shop(0).await);
            // Steps that run at the same time meet their faults in any order; the contents are the same in the end.
            harmed.concurrency = harmed.concurrency.saturating_add(usize::try_from(life).unwrap());
            let (mut struck, keeping) = (0, Act::Maintain(Duration::from_secs(60)));
            for round in 1..4 {
                let (moment, harm) = ([Moment::Before, Moment::After], [Harm::Death, Harm::Lasting]);
                for act in [run(), keeping.clone()] {
                    for _ in 0..4 {
                        let at = dice.random_range(0..250);
                        let moment = moment[dice.random_range(0..2)];
                        let line =
                            Line::harmed(Injection { at, moment, harm: harm[dice.random_range(0..2)] });
                        harmed.act_on(&act, &line).await;
                        struck += usize::from(line.struck());
                        line.die();
                    }
                    settle(&harmed, &act, &format!("seed {seed}, round {round}")).await;
                    settle(&twin, &act, &format!("the twin, round {round}")).await;
                }
                for world in [&harmed, &twin] {
                    world.clock.pass(3_600);
                    crate::shop::arrive(&world.definition.script, round);
                }
            }
            assert!(struck > 2, "seed {seed}: only {struck} harms");
            let expected = Contents::of(&twin, &["_run", "_epoch"]).await;
            let difference = expected.difference(&Contents::of(&harmed, &["_run", "_epoch"]).await);
            assert!(difference.is_none(), "seed {seed}: {}", difference.unwrap_or_default());
        }
    });
}
