//! What failures do: circuits open, are probed and close; retries have waits and budgets; assets are set aside.

use std::{num::NonZeroU32, time::Duration};

use millstream_schedule::{
    Circuit, CircuitChange, CircuitPolicy, CircuitState, Ending, RetryBudget, ScheduledAsset, full_jitter,
};
use millstream_types::{AssetId, Fingerprint, TimestampMicros};
use proptest::prelude::*;

use crate::harness::{Table, asset, check, steps, triggered};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

fn at(seconds: i64) -> TimestampMicros {
    TimestampMicros(1_790_000_000 * SECOND + seconds * SECOND)
}

fn over(circuit: &str, id: &str, triggers: &[&str]) -> ScheduledAsset {
    ScheduledAsset { circuit: Some(circuit.into()), ..triggered(id, &[], triggers) }
}

#[test]
fn a_circuit_opens_once_is_probed_further_and_further_apart_and_closes_once() {
    let (policy, mut circuit) = (CircuitPolicy::default(), Circuit::default());
    for second in 0..4 {
        assert_eq!(circuit.failed(&policy, at(second)), None);
    }
    let mut until = at(4 + 30);
    assert_eq!(circuit.failed(&policy, at(4)), Some(CircuitChange::Opened { until }));
    assert_eq!(circuit.failed(&policy, at(5)), None, "it began before");
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert_eq!(circuit.state(&policy, TimestampMicros(until.0 - 1)), CircuitState::Open { until });
        assert_eq!(circuit.state(&policy, until), CircuitState::HalfOpen);
        let Some(CircuitChange::ProbeFailed { until: next }) = circuit.failed(&policy, until) else {
            panic!()
        };
        waits.push((next.0 - until.0) / SECOND);
        until = next;
    }
    assert_eq!(waits, [60, 120, 240, 480, 600, 600, 600]);
    assert_eq!(circuit.answered(), Some(CircuitChange::Closed { since: at(4) }));
    assert_eq!(circuit.answered(), None);
    assert!(circuit.is_sound());
}

#[test]
fn an_answer_between_failures_and_failures_far_apart_open_nothing() {
    let (policy, mut circuit) = (CircuitPolicy::default(), Circuit::default());
    for second in 0..20 {
        assert_eq!(circuit.failed(&policy, at(second)), None);
        if second % 4 == 3 {
            circuit.answered();
        }
    }
    for minute in 0..20 {
        assert_eq!(circuit.failed(&policy, at(1_000 + minute * 180)), None);
    }
}

#[test]
fn a_clock_that_was_ahead_keeps_no_circuit_open() {
    let (policy, mut circuit) = (CircuitPolicy::default(), Circuit::default());
    for second in 0..5 {
        circuit.failed(&policy, at(1_000_000 + second));
    }
    assert_eq!(circuit.state(&policy, at(0)), CircuitState::HalfOpen);
    assert!(matches!(circuit.failed(&policy, at(0)), Some(CircuitChange::ProbeFailed { .. })));
    assert_eq!(circuit.state(&policy, at(61)), CircuitState::HalfOpen);
}

proptest! {
    #[test]
    fn a_wait_lies_evenly_below_its_ceiling(base in 0_u64..10_000, cap in 1_u64..1_000_000, retry in 0_u32..80, random: u64) {
        let (base, cap) = (Duration::from_millis(base), Duration::from_millis(cap));
        let doubled = u128::from(u64::try_from(base.as_nanos()).unwrap()).saturating_mul(1 << retry.min(60));
        let ceiling = doubled.min(cap.as_nanos());
        let wait = full_jitter(base, cap, retry, random);
        prop_assert!(wait.as_nanos() <= ceiling);
        // The longest random number gives all but a billionth of it, the half of it a half.
        prop_assert!(ceiling - full_jitter(base, cap, retry, u64::MAX).as_nanos() <= 1);
        let half = full_jitter(base, cap, retry, 1 << 63).as_nanos();
        prop_assert!(half.abs_diff(ceiling / 2) <= 1);
        prop_assert_eq!(full_jitter(base, cap, retry, 0), Duration::ZERO);
    }

    /// A naive account of every retry that was allowed: no hour holds more than the budget, and none is refused that fits.
    #[test]
    fn no_hour_holds_more_retries_than_its_budget(most in 0_u32..8, gaps in prop::collection::vec(0_i64..40, 1..80)) {
        let (mut budget, mut now, mut allowed) = (RetryBudget::default(), 1_790_000_000 * SECOND, Vec::new());
        for gap in gaps {
            now += gap * MINUTE;
            let minute = now / MINUTE;
            let recent = allowed.iter().filter(|at| **at > minute - 60).count();
            let may = budget.take(most, TimestampMicros(now));
            prop_assert_eq!(may, recent < most as usize);
            if may {
                allowed.push(minute);
            }
            prop_assert_eq!(budget.used(TimestampMicros(now)), allowed.iter().filter(|at| **at > minute - 60).count() as u64);
            prop_assert!(budget.minutes.len() <= 60);
        }
    }
}

#[test]
fn steps_wait_for_an_open_circuit_and_one_of_them_tries() {
    let assets = || {
        vec![
            over("shop", "a", &["webhook a"]),
            over("shop", "b", &["webhook b"]),
            over("bank", "c", &["webhook c"]),
        ]
    };
    let mut table = Table::set(assets(), &steps(4));
    check(&table.webhook("a"), "note a: webhook a\nstart a (webhook a)");
    let until = TimestampMicros(table.now.0 + 30 * SECOND);
    let now = table.now;
    let decisions = table.scheduler.circuit_opened("shop", until, now);
    assert!(decisions.is_empty());
    // What could not be reached is taken up again by itself.
    check(
        &table.end("a", Ending::Unreachable, "1s"),
        "wait a: the circuit of the connection `shop` is open until 2026-11-30 12:00:30 UTC",
    );
    check(
        &table.webhook("b"),
        "note b: webhook b
        wait b: the circuit of the connection `shop` is open until 2026-11-30 12:00:30 UTC",
    );
    // Others go on.
    check(&table.webhook("c"), "note c: webhook c\nstart c (webhook c)");
    check(&table.later("29s").tick(), "");
    assert_eq!(table.scheduler.next_wake(), Some(until));
    check(&table.wake(), "start a (what it asks could not be reached before)");
    assert_eq!(table.scheduler.next_wake(), None);
    // The probe failed: the other waits on, without a word.
    let until = TimestampMicros(table.now.0 + 60 * SECOND);
    let now = table.now;
    table.scheduler.circuit_opened("shop", until, now);
    let told = table.end("a", Ending::Unreachable, "1s");
    check(&told, "wait a: the circuit of the connection `shop` is open until 2026-11-30 12:01:30 UTC");
    check(&table.wake(), "start b (webhook b)");
    let now = table.now;
    let decisions = table.scheduler.circuit_closed("shop", now);
    check(&crate::harness::told(&decisions), "start a (what it asks could not be reached before)");
}

#[test]
fn an_end_that_says_nothing_of_the_place_lets_the_next_one_try() {
    let assets = vec![over("shop", "a", &["webhook w"]), over("shop", "b", &["webhook w"])];
    let mut table = Table::set(assets, &steps(4));
    let (now, until) = (table.now, TimestampMicros(table.now.0 + 30 * SECOND));
    table.scheduler.circuit_opened("shop", until, now);
    table.webhook("w");
    check(&table.wake(), "start a (webhook w)");
    // Nothing says that the place answers, so that the others wait as long as they have waited.
    check(&table.end("a", Ending::Passing, "1s"), "");
    let until = TimestampMicros(table.now.0 + 30 * SECOND);
    check(&table.wake(), "start b (webhook w)");
    assert_eq!(table.now, until);
    // A step that ends well without asking anything lets the next one try at once.
    table.webhook("w");
    check(&table.unchanged("b"), "start a (webhook w)");
}

#[test]
fn a_step_that_was_to_try_and_finds_somebody_else_at_work_leaves_that_to_others() {
    let assets = vec![over("shop", "a", &["webhook w"]), over("shop", "b", &["webhook w"])];
    let mut table = Table::set(assets, &steps(4));
    let (now, until) = (table.now, TimestampMicros(table.now.0 + 30 * SECOND));
    table.scheduler.circuit_opened("shop", until, now);
    table.webhook("w");
    check(&table.wake(), "start a (webhook w)");
    let told = table.kept_away("a");
    assert!(told.contains("start b (webhook w)"), "{told}");
    table.unchanged("b");
    check(&table.freed("a"), "start a (webhook w)");
}

#[test]
fn what_could_not_be_reached_waits_longer_each_time_where_no_circuit_holds_it() {
    let assets = || vec![over("shop", "a", &["webhook w"])];
    let mut table = Table::set(assets(), &steps(4));
    let waited = |table: &mut Table| {
        let ended = table.now;
        check(&table.end("a", Ending::Unreachable, "1s"), "");
        check(&table.reload(assets(), &steps(4)), "");
        check(&table.wake(), "start a (what it asks could not be reached before)");
        (table.now.0 - ended.0) / SECOND
    };
    table.webhook("w");
    let waits: Vec<i64> = (0..7).map(|_| waited(&mut table)).collect();
    assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
    // What else makes it run does not wait, and its end decides anew.
    table.end("a", Ending::Unreachable, "1s");
    check(&table.webhook("w"), "note a: webhook w\nstart a (webhook w)");
    table.unchanged("a");
    assert_eq!(table.scheduler.next_wake(), None);
    table.webhook("w");
    assert_eq!(waited(&mut table), 30);
}

#[test]
fn what_was_hindered_is_taken_up_again_and_counts_against_nobody() {
    // A table asks no place, and so has no circuit.
    let set_aside_after = NonZeroU32::new(1);
    let assets = || vec![ScheduledAsset { set_aside_after, ..triggered("t", &[], &["webhook w"]) }];
    let mut table = Table::set(assets(), &steps(4));
    check(&table.webhook("w"), "note t: webhook w\nstart t (webhook w)");
    let mut waits = Vec::new();
    for _ in 0..7 {
        let ended = table.now;
        check(&table.end("t", Ending::Hindered, "1s"), "");
        check(&table.wake(), "start t (it was hindered before by what lies outside of it)");
        waits.push((table.now.0 - ended.0) / SECOND);
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
    table.end("t", Ending::Hindered, "1s");
    // Another process takes it up at once.
    let told = table.restart(assets(), &steps(4), &[]);
    assert!(told.contains("start t"), "{told}");
    table.built("t");
    assert_eq!(table.scheduler.next_wake(), None);
}

#[test]
fn ticks_wait_with_what_was_hindered() {
    for trigger in ["every 1s", "cron * * * * *", "files 1s"] {
        let mut table = Table::set(vec![triggered("t", &[], &[trigger])], &steps(4));
        let start = |table: &mut Table| {
            for _ in 0..2_000 {
                let told = table.wake();
                if told.contains("look") {
                    table.files("t");
                    return table.now.0;
                }
                if told.contains("start t") {
                    return table.now.0;
                }
            }
            panic!("{trigger} starts nothing");
        };
        start(&mut table);
        let mut waits = Vec::new();
        for _ in 0..4 {
            let ended = table.now.0;
            table.end("t", Ending::Hindered, "1s");
            waits.push((start(&mut table) - ended) / SECOND);
        }
        assert_eq!(waits, [30, 60, 120, 240], "{trigger}");
        // Once it has ended well, ticks start it as before.
        table.built("t");
        let ended = table.now.0;
        assert!(start(&mut table) - ended <= MINUTE, "{trigger}");
    }
}

#[test]
fn what_never_reaches_a_place_that_answers_others_does_not_open_its_circuit_again_and_again() {
    let assets = vec![over("shop", "a", &["webhook a"]), over("shop", "b", &["webhook b"])];
    let mut table = Table::set(assets, &steps(4));
    let mut tried = Vec::new();
    table.webhook("a");
    for _ in 0..6 {
        tried.push(table.now.0);
        // Its attempts open the circuit, and the other asset closes it.
        let (now, until) = (table.now, TimestampMicros(table.now.0 + 30 * SECOND));
        table.scheduler.circuit_opened("shop", until, now);
        table.end("a", Ending::Unreachable, "1s");
        table.webhook("b");
        table.now = until;
        let now = table.now;
        let mut told = crate::harness::told(&table.scheduler.circuit_closed("shop", now));
        while !told.contains("start a") {
            if told.contains("start b") {
                table.unchanged("b");
            }
            told = table.wake();
        }
    }
    let waits: Vec<i64> = tried.windows(2).map(|pair| (pair[1] - pair[0]) / SECOND).collect();
    assert_eq!(waits, [30, 30, 150, 270, 510]);
}

#[test]
fn a_clock_that_was_ahead_keeps_nothing_waiting() {
    let mut table = Table::set(vec![over("shop", "a", &["webhook w"])], &steps(4));
    table.webhook("w");
    table.later("30d").end("a", Ending::Unreachable, "1s");
    table.now.0 -= 30 * 24 * 60 * MINUTE;
    table.tick();
    assert_eq!(table.scheduler.next_wake(), Some(TimestampMicros(table.now.0 + 30 * SECOND)));
}

#[test]
fn an_end_that_says_nothing_of_the_asset_does_not_count_against_it() {
    let set_aside_after = NonZeroU32::new(2);
    let bad = ScheduledAsset { set_aside_after, ..over("shop", "bad", &["webhook w"]) };
    let mut table = Table::set(vec![bad], &steps(4));
    for ending in [Ending::Badly, Ending::Passing, Ending::Hindered, Ending::Unreachable, Ending::Passing] {
        table.webhook("w");
        check(&table.end("bad", ending, "1s"), "");
    }
    table.webhook("w");
    check(&table.failed("bad"), "set aside bad: 2 failures");
}

#[test]
fn what_reads_an_asset_that_is_set_aside_is_as_old_as_it() {
    let set_aside_after = NonZeroU32::new(1);
    let assets = vec![
        ScheduledAsset { set_aside_after, ..triggered("bad", &[], &["webhook w"]) },
        triggered("good", &[], &["webhook v"]),
        ScheduledAsset { is_promised: true, ..asset("both", &["bad", "good"]) },
    ];
    let mut table = Table::set(assets, &steps(4));
    let noon = table.now;
    table.webhook("w");
    check(&table.failed("bad"), "set aside bad: 1 failures");
    table.later("1h").webhook("v");
    check(&table.built("good"), "wait both: `good` goes first\nstart both (new input: good)");
    let fresh_as_of = |table: &mut Table| table.scheduler.fresh_as_of(&AssetId::new("both"));
    assert_eq!(fresh_as_of(&mut table), Some(noon));
    table.built("both");
    assert_eq!(fresh_as_of(&mut table), Some(noon));
}

#[test]
fn a_held_step_is_held_over_a_reload_and_a_restart() {
    let assets = || vec![over("shop", "a", &["cron 0 12 1 1 *"]), over("shop", "b", &["webhook w"])];
    let mut table = Table::set(assets(), &steps(4));
    let (now, until) = (table.now, TimestampMicros(table.now.0 + 30 * SECOND));
    table.scheduler.circuit_opened("shop", until, now);
    check(
        &table.webhook("w"),
        "note b: webhook w\nwait b: the circuit of the connection `shop` is open until 2026-11-30 12:00:30 UTC",
    );
    check(&table.reload(assets(), &steps(4)), "");
    check(&table.wake(), "start b (webhook w)");
    let now = table.now;
    table.scheduler.circuit_opened("shop", TimestampMicros(now.0 + MINUTE), now);
    table.end("b", Ending::Unreachable, "1s");
    // The tick was answered by the step that failed, and what it could not reach is taken up again all the same.
    check(&table.restart(assets(), &steps(4), &[]), "start b (what it asks could not be reached before)");
}

#[test]
fn an_asset_that_fails_again_and_again_is_set_aside_and_holds_up_nothing() {
    let set_aside_after = NonZeroU32::new(2);
    let assets = || {
        vec![
            ScheduledAsset { set_aside_after, ..triggered("bad", &[], &["webhook w"]) },
            triggered("good", &[], &["webhook v"]),
            asset("both", &["bad", "good"]),
        ]
    };
    let mut table = Table::set(assets(), &steps(4));
    table.webhook("w");
    check(&table.failed("bad"), "");
    table.webhook("w");
    check(&table.failed("bad"), "set aside bad: 2 failures");
    check(&table.webhook("w"), "note bad: webhook w\nskip bad: set aside after too many failures in a row");
    table.webhook("v");
    check(&table.built("good"), "wait both: `good` goes first\nstart both (new input: good)");
    table.built("both");
    // It stays aside over a restart, and comes back when somebody asks.
    check(&table.restart(assets(), &steps(4), &["bad"]), "");
    check(&table.webhook("w"), "note bad: webhook w\nskip bad: set aside after too many failures in a row");
    let now = table.now;
    let decisions = table.scheduler.resumed(&millstream_types::AssetId::new("bad"), now);
    check(
        &crate::harness::told(&decisions),
        "resume bad: somebody asked for it\nstart bad (resumed after it was set aside)",
    );
}

#[test]
fn a_changed_definition_brings_an_asset_back_and_so_does_a_run_by_hand() {
    let bad = |definition: u8| {
        vec![ScheduledAsset {
            set_aside_after: NonZeroU32::new(1),
            definition: Fingerprint::new([definition; 32]),
            ..asset("bad", &[])
        }]
    };
    let mut table = Table::set(bad(1), &steps(4));
    let fail = |table: &mut Table| {
        let now = table.now;
        let reload = table.reload(bad(9), &steps(4));
        assert!(reload.contains("start bad"), "{reload} at {now:?}");
        table.failed("bad")
    };
    check(&fail(&mut table), "set aside bad: 1 failures");
    check(&table.reload(bad(9), &steps(4)), "");
    check(&table.restart(bad(9), &steps(4), &["bad"]), "");
    check(
        &table.restart(bad(2), &steps(4), &["bad"]),
        "resume bad: its definition has changed\nstart bad (not up to date)",
    );
    check(&table.failed("bad"), "set aside bad: 1 failures");
    let now = table.now;
    table.scheduler.began(&millstream_types::AssetId::new("bad"), now);
    check(&table.unchanged("bad"), "resume bad: a run of it ended well");
}

#[test]
fn another_definition_begins_to_count_its_failures_anew() {
    let set_aside_after = NonZeroU32::new(2);
    let bad = || ScheduledAsset { set_aside_after, ..triggered("bad", &[], &["webhook w"]) };
    let mut table = Table::set(vec![bad()], &steps(4));
    table.webhook("w");
    check(&table.failed("bad"), "");
    let mended = ScheduledAsset { definition: Fingerprint::new([9; 32]), ..bad() };
    let told = table.reload(vec![mended], &steps(4));
    assert!(told.contains("count anew bad"), "{told}");
    table.webhook("w");
    check(&table.failed("bad"), "");
    table.webhook("w");
    check(&table.failed("bad"), "set aside bad: 2 failures");
}

#[test]
fn what_is_damaged_is_made_again_whatever_its_triggers_say() {
    let mut table = Table::set(vec![triggered("table", &[], &["webhook w"])], &steps(4));
    table.webhook("w");
    table.unchanged("table");
    let now = table.now;
    let told = table.scheduler.damaged(&AssetId::new("table"), now);
    check(&crate::harness::told(&told), "start table (repair: what it holds is damaged)");
    let told = table.scheduler.damaged(&AssetId::new("gone"), now);
    check(&crate::harness::told(&told), "");
}

#[test]
fn a_clock_that_was_ahead_keeps_no_step_behind_a_circuit() {
    let mut table = Table::set(vec![over("shop", "a", &["webhook w"])], &steps(4));
    table.later("30d").tick();
    let (now, until) = (table.now, TimestampMicros(table.now.0 + 30 * SECOND));
    table.scheduler.circuit_opened("shop", until, now);
    table.now.0 -= 30 * 24 * 60 * MINUTE;
    table.webhook("w");
    let waits_until = TimestampMicros(table.now.0 + 30 * SECOND);
    assert_eq!(table.scheduler.next_wake(), Some(waits_until));
}

#[test]
fn a_step_of_somebody_else_makes_its_source_as_fresh_as_when_it_began() {
    let source = ScheduledAsset { reads_outside: true, ..triggered("source", &[], &["webhook w"]) };
    let mut table = Table::set(vec![source], &steps(4));
    table.later("5m").tick();
    let (id, now) = (AssetId::new("source"), table.now);
    table.scheduler.looked_at(&id, TimestampMicros(now.0 - MINUTE), now);
    assert_eq!(table.scheduler.fresh_as_of(&id), Some(TimestampMicros(now.0 - MINUTE)));
    table.scheduler.looked_at(&id, TimestampMicros(now.0 - 2 * MINUTE), now);
    assert_eq!(table.scheduler.fresh_as_of(&id), Some(TimestampMicros(now.0 - MINUTE)), "it was older");
    table.scheduler.looked_at(&id, TimestampMicros(now.0 + MINUTE), now);
    assert_eq!(table.scheduler.fresh_as_of(&id), Some(now), "nothing is of the future");
}

#[test]
fn a_circuit_that_a_wrong_clock_has_opened_waits_no_more() {
    let (policy, mut circuit) = (CircuitPolicy::default(), Circuit::default());
    for second in 0..5 {
        circuit.failed(&policy, at(1_000_000 + second));
    }
    assert!(circuit.rewind(&policy, at(0)));
    let open = circuit.open.unwrap();
    assert_eq!((open.since, open.until), (at(0), at(0)));
    assert!(!circuit.rewind(&policy, at(0)), "once");
    assert_eq!(circuit.state(&policy, at(0)), CircuitState::HalfOpen);
}
