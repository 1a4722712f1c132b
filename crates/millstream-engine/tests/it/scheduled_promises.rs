//! Promises of a project that runs for days in simulated time, over a clock change and a downtime: what is recorded agrees with a naive walk over
//! what happened, minute by minute.

use std::collections::BTreeMap;

use chrono::{Duration as Span, NaiveDate, TimeZone, Utc};
use chrono_tz::Europe::Berlin;
use millstream_engine::Clock;
use millstream_schedule::{DayState, Promise, PromiseState};
use millstream_state::State;
use millstream_types::{AssetId, TimestampMicros};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    harness::{Definition, Line, World, block_on},
    scheduled::{Process, until},
    scheduled_shared::call,
};

const PROMISED: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: {webhook: arrived}
sla: {fresh_by: \"02:30 Europe/Berlin\", at_most: 7h, step_at_most: 40m}
contract: {columns: {id: {type: int64, required: true}}}
";

const MINUTE: i64 = 60_000_000;
const AT_MOST: i64 = 7 * 60 * MINUTE;
const STEP_AT_MOST: i64 = 40 * MINUTE;

/// What happened, in the order of time: each step by when it began, and by the minute in which its end came to be known.
#[derive(Default)]
struct History {
    watched_since: i64,
    steps: Vec<(i64, Option<i64>)>,
}

impl History {
    fn fresh(&self, at: i64) -> Option<i64> {
        let ended = self.steps.iter().filter(|(_, end)| end.is_some_and(|end| end <= at));
        ended.map(|(began, _)| *began).max()
    }

    fn day(at: i64) -> NaiveDate {
        Utc.timestamp_micros(at).unwrap().with_timezone(&Berlin).date_naive()
    }

    /// The first minute of the day at which the clock on the wall has come to the deadline.
    fn deadline(day: NaiveDate) -> i64 {
        let noon = Berlin.from_local_datetime(&day.and_hms_opt(12, 0, 0).unwrap()).unwrap();
        let has_come = |minutes: &i64| {
            let at = noon.with_timezone(&Utc) - Span::minutes(*minutes);
            let wall = at.with_timezone(&Berlin).naive_local();
            wall.date() == day && wall >= day.and_hms_opt(2, 30, 0).unwrap()
        };
        let first = (0..13 * 60).filter(has_come).max().unwrap();
        (noon.with_timezone(&Utc) - Span::minutes(first)).timestamp_micros()
    }

    fn is_broken(&self, promise: Promise, at: i64) -> bool {
        match promise {
            Promise::AtMost => at - self.fresh(at).unwrap_or(self.watched_since) > AT_MOST,
            Promise::StepAtMost => self.steps.iter().any(|(began, end)| {
                *began <= at && end.is_none_or(|end| at < end) && at - began > STEP_AT_MOST
            }),
            Promise::FreshBy => {
                let days = [History::day(at), History::day(at).pred_opt().unwrap()];
                let last = days.map(History::deadline).into_iter().filter(|one| *one <= at).max().unwrap();
                let is_fresh = self.fresh(at).is_some_and(|fresh| History::day(fresh) >= History::day(last));
                last > self.watched_since && !is_fresh
            }
        }
    }

    /// The stretches of broken minutes up to `end`.
    fn breaches(&self, promise: Promise, end: i64) -> Vec<(i64, Option<i64>)> {
        let mut found: Vec<(i64, Option<i64>)> = Vec::new();
        for minute in 0..=(end - self.watched_since) / MINUTE {
            let at = self.watched_since + minute * MINUTE;
            let open = found.last_mut().filter(|(_, met)| met.is_none());
            match (self.is_broken(promise, at), open) {
                (true, None) => found.push((at, None)),
                (false, Some(open)) => open.1 = Some(at),
                _ => {}
            }
        }
        found
    }
}

/// Lets so many minutes pass, and waits until the promises were looked at.
async fn pass(process: &Process, world: &World, state: &State, minutes: i64) {
    process.pass(world, minutes * 60);
    judged(world, state).await;
}

async fn judged(world: &World, state: &State) {
    let now = world.clock.now();
    until("the promises are not judged", async || {
        let promises = state.sla_promises().await.unwrap();
        promises.values().flatten().count() == 3
            && promises.values().flatten().all(|watched| watched.judged_until >= now)
    })
    .await;
}

async fn runs(state: &State) -> bool {
    state.scheduled_assets().await.unwrap().iter().any(|asset| asset.running.is_some())
}

#[test]
fn what_is_recorded_of_promises_agrees_with_a_walk_over_what_happened() {
    block_on(async {
        for seed in 0..3 {
            live(seed).await;
        }
    });
}

async fn live(seed: u64) {
    let mut dice = SmallRng::seed_from_u64(seed);
    let world = World::new(Definition::of(PROMISED));
    // A Friday, two days before the clock is set back.
    let begin = Utc.with_ymd_and_hms(2026, 10, 23, 9, 0, 0).unwrap().timestamp_micros();
    world.clock.pass((begin - world.clock.now().0) / 1_000_000);
    let script = &world.definition.script;
    script.put("events", "0", "id\n1");
    let state = world.state().await;
    let mut process = Process::start(&world, &Line::quiet()).await;
    let mut history = History { watched_since: begin, steps: vec![(begin, Some(begin + MINUTE))] };
    until("the first step does not end", async || {
        !state.scheduled_assets().await.unwrap().is_empty() && !runs(&state).await
    })
    .await;
    pass(&process, &world, &state, 1).await;
    for turn in 1..=110 {
        let now = world.clock.now().0;
        let is_running = history.steps.last().is_some_and(|(_, end)| end.is_none());
        match dice.random_range(0..10) {
            0..2 if !is_running => {
                let is_slow = dice.random_bool(0.5);
                script.silence("events", is_slow);
                script.put("events", &turn.to_string(), &format!("id\n{turn}"));
                call(std::slice::from_ref(&process)).await;
                until("the step neither runs nor has ended", async || runs(&state).await == is_slow).await;
                history.steps.push((now, (!is_slow).then_some(now + MINUTE)));
                pass(&process, &world, &state, 1).await;
            }
            2..5 if is_running => {
                script.silence("events", false);
                until("the step does not end", async || !runs(&state).await).await;
                history.steps.last_mut().unwrap().1 = Some(now + MINUTE);
                pass(&process, &world, &state, 1).await;
            }
            9 if !is_running && dice.random_bool(0.2) => {
                // Nobody is there for some hours, and what came of the promises meanwhile is found afterwards.
                process.stop().await;
                world.clock.pass(3_600 * dice.random_range(1..9));
                process = Process::start(&world, &Line::quiet()).await;
            }
            _ => {}
        }
        pass(&process, &world, &state, dice.random_range(5..90)).await;
    }
    compare(&world, &state, &process, &history, seed).await;
    world.definition.script.silence("events", false);
    process.stop().await;
}

async fn compare(world: &World, state: &State, process: &Process, history: &History, seed: u64) {
    let now = world.clock.now();
    let asset = AssetId::new("bronze.events");
    let recorded = state.sla_breaches(TimestampMicros(0)).await.unwrap().remove(&asset).unwrap_or_default();
    let told = process.engine.promises(Some(&asset), 9).await.unwrap();
    let mut met_and_missed = BTreeMap::new();
    for status in told {
        let promise = status.promise;
        let naive = history.breaches(promise, now.0);
        let mut found: Vec<(i64, Option<i64>)> = recorded
            .iter()
            .filter(|breach| breach.promise == promise)
            .map(|breach| (breach.broken_at.0, breach.met_at.map(|at| at.0)))
            .collect();
        // What was over within a minute falls between the looks of the walk; a deadline lies on one.
        found
            .retain(|(since, met)| promise == Promise::FreshBy || met.is_none_or(|met| met - since > MINUTE));
        found.sort_unstable();
        assert_eq!(found.len(), naive.len(), "{promise}, seed {seed}: {found:?} {naive:?}");
        for (found, naive) in found.iter().zip(&naive) {
            // The walk sees a breach at the first whole minute.
            assert!(
                (0..=MINUTE).contains(&(naive.0 - found.0)),
                "{promise}, seed {seed}: {found:?} {naive:?}"
            );
            assert_eq!(found.1, naive.1, "{promise}, seed {seed}");
        }
        let is_broken = matches!(status.state, Some(PromiseState::Broken { .. }));
        assert_eq!(is_broken, history.is_broken(promise, now.0), "{promise}, seed {seed}");
        for day in status.days.iter().filter(|_| promise == Promise::FreshBy) {
            let deadline = History::deadline(day.day);
            let naive = match () {
                () if deadline <= history.watched_since => DayState::Unknown,
                () if deadline > now.0 => DayState::Open,
                () if history.is_broken(promise, deadline) => DayState::Missed,
                () => DayState::Met,
            };
            assert_eq!(day.state, naive, "{} of {promise}, seed {seed}", day.day);
            *met_and_missed.entry(naive.as_str()).or_insert(0) += 1;
        }
    }
    assert!(
        met_and_missed.contains_key("met") || met_and_missed.contains_key("missed"),
        "{met_and_missed:?}"
    );
}
