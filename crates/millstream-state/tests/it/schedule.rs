//! What a scheduler finds again, and who may record it.

use std::time::Duration;

use millstream_schedule::{Answer, Decision, Ending, RecordedAsset, Start, StartedStep, Trigger};
use millstream_state::{
    DecisionKind, FailedReload, Holder, LeaseRequest, LeaseToken, LoggedDecision, ScheduleRecord, State,
    StepOutcome,
};
use millstream_types::{AssetVersion, Span, TimestampMicros};

use crate::{
    place::{Place, on_each_database},
    world::{asset, end, recorded, run, step},
};

on_each_database! {
    what_is_recorded_of_a_scheduled_asset_is_found_again,
    every_trigger_is_read_as_it_was_written,
    nothing_is_recorded_for_a_scheduler_whose_lease_is_gone,
    decisions_are_told_newest_first_and_recorded_once,
    an_asset_that_is_due_all_the_time_leaves_room_in_the_log,
    what_is_recorded_of_assets_that_are_gone_is_forgotten,
    versions_are_those_of_all_assets_that_were_built,
    what_is_recorded_of_some_assets_is_found_among_many,
    a_reload_that_failed_is_remembered_until_one_succeeds,
}

const LONG: Duration = Duration::from_secs(3_600);

async fn lease(state: &State) -> LeaseToken {
    named_lease(state, "schedule").await
}

async fn named_lease(state: &State, name: &str) -> LeaseToken {
    let holder = Holder::this_process("serve", TimestampMicros(5));
    let assets = [asset(name)];
    let now = TimestampMicros(1_000_000);
    state.take_lease(&LeaseRequest { assets: &assets, holder: &holder, now, length: LONG }).await.unwrap()
}

fn logged(number: i64, kind: DecisionKind, because: &str) -> LoggedDecision {
    let at = TimestampMicros(number * 10);
    LoggedDecision { number, at, asset: asset("silver.a"), kind, because: because.into() }
}

fn started(triggers: &[Trigger]) -> RecordedAsset {
    let mut found = RecordedAsset::new(asset("silver.a"));
    for trigger in triggers {
        let from = TimestampMicros(7);
        found.apply(&Decision::Watch { asset: asset("silver.a"), trigger: trigger.clone(), from });
    }
    let answers = triggers.iter().take(1).map(|trigger| Answer {
        trigger: trigger.clone(),
        after: TimestampMicros(7),
        until: TimestampMicros(60),
    });
    let step = StartedStep {
        asset: asset("silver.a"),
        reasons: Vec::new(),
        priority: 0,
        answers: answers.collect(),
        is_probe: false,
        attempt: 2,
        fresh_as_of: TimestampMicros(55),
    };
    found.apply(&Decision::Start(Start { wave: 1, steps: vec![step] }));
    found
}

async fn what_is_recorded_of_a_scheduled_asset_is_found_again(place: Place) {
    let state = place.open().await;
    let lease = lease(&state).await;
    let record = async |assets: &[RecordedAsset]| {
        state.record_schedule(&ScheduleRecord { lease, assets, decisions: &[] }).await.unwrap();
        assert_eq!(place.open().await.scheduled_assets().await.unwrap(), assets);
    };
    let every = Trigger::Every(Span::from_ms(60_000));
    let mut found = started(std::slice::from_ref(&every));
    let webhook = Trigger::Webhook("hook".into());
    let at = TimestampMicros(70);
    found.apply(&Decision::Noted { asset: asset("silver.a"), trigger: webhook, at });
    record(&[found.clone()]).await;
    found.ended(Ending::Well, Span::from_ms(12));
    record(&[found.clone()]).await;
    found.apply(&Decision::Unwatch { asset: asset("silver.a"), trigger: every });
    record(&[found]).await;
}

async fn every_trigger_is_read_as_it_was_written(place: Place) {
    let state = place.open().await;
    let lease = lease(&state).await;
    let triggers = [
        Trigger::Manual,
        Trigger::OnChange,
        Trigger::Every(Span::from_ms(60_000)),
        Trigger::Cron("0 6 * * MON-FRI Europe/Berlin".parse().unwrap()),
        Trigger::Cron("@daily".parse().unwrap()),
        Trigger::After(asset("silver.b")),
        Trigger::NewFiles { poll: Span::from_ms(1) },
        Trigger::Webhook("a b".into()),
        Trigger::Freshness(Span::from_ms(3_600_000)),
    ];
    let assets = [started(&triggers)];
    state.record_schedule(&ScheduleRecord { lease, assets: &assets, decisions: &[] }).await.unwrap();
    let found = state.scheduled_assets().await.unwrap();
    let mut read: Vec<_> = found[0].triggers.iter().map(|recorded| recorded.trigger.clone()).collect();
    read.sort();
    let mut written = triggers.to_vec();
    written.sort();
    assert_eq!(read, written);
}

async fn nothing_is_recorded_for_a_scheduler_whose_lease_is_gone(place: Place) {
    let state = place.open().await;
    let gone = lease(&state).await;
    state.end_lease(gone).await.unwrap();
    let assets = [started(&[Trigger::OnChange])];
    let decisions = [logged(1, DecisionKind::Started, "on change")];
    let record = ScheduleRecord { lease: gone, assets: &assets, decisions: &decisions };
    assert_eq!(state.record_schedule(&record).await.unwrap_err().code(), "MS-0617");
    assert!(state.scheduled_assets().await.unwrap().is_empty());
    assert!(state.schedule_decisions(9).await.unwrap().is_empty());
}

async fn decisions_are_told_newest_first_and_recorded_once(place: Place) {
    let state = place.open().await;
    let lease = lease(&state).await;
    let decisions = [
        logged(1, DecisionKind::Held, "it runs already"),
        logged(2, DecisionKind::Started, "every 1m"),
        logged(3, DecisionKind::Skipped, "up to date"),
    ];
    for part in [&decisions[..2], &decisions[1..]] {
        state.record_schedule(&ScheduleRecord { lease, assets: &[], decisions: part }).await.unwrap();
    }
    let [first, second, third] = decisions;
    assert_eq!(state.schedule_decisions(2).await.unwrap(), [third.clone(), second.clone()]);
    assert_eq!(state.schedule_decisions(9).await.unwrap(), [third, second, first]);
}

async fn an_asset_that_is_due_all_the_time_leaves_room_in_the_log(place: Place) {
    let state = place.open().await;
    let lease = lease(&state).await;
    let record = async |decisions: &[LoggedDecision]| {
        state.record_schedule(&ScheduleRecord { lease, assets: &[], decisions }).await.unwrap();
        state.schedule_decisions(50_000).await.unwrap()
    };
    let of = |number: i64, id: &str| LoggedDecision {
        asset: asset(id),
        ..logged(number, DecisionKind::Started, "every 1s")
    };
    record(&[of(1, "silver.seldom")]).await;
    // So many that the places in the log go beyond what is kept in all.
    for part in 0..50 {
        let busy: Vec<_> = (0..220).map(|at| of(2 + part * 220 + at, "silver.busy")).collect();
        record(&busy).await;
    }
    let found = record(&[of(20_000, "silver.busy")]).await;
    assert_eq!(found.len(), 201);
    assert_eq!(found[0], of(20_000, "silver.busy"));
    assert_eq!(found[200], of(1, "silver.seldom"));
    // All together are bounded too.
    let many: Vec<_> = (0..10_100).map(|at| of(30_000 + at, &format!("silver.t{}", at % 101))).collect();
    let found = record(&many).await;
    assert_eq!(found.len(), 10_000);
    assert_eq!(found[0], many[10_099]);
}

async fn what_is_recorded_of_assets_that_are_gone_is_forgotten(place: Place) {
    let state = place.open().await;
    let lease = lease(&state).await;
    let stays = RecordedAsset::new(asset("silver.b"));
    // Its step runs, and would be taken for an interrupted one if the asset came back.
    let gone = started(&[Trigger::OnChange]);
    let assets = [gone, stays.clone()];
    state.record_schedule(&ScheduleRecord { lease, assets: &assets, decisions: &[] }).await.unwrap();
    let kept = [asset("silver.b"), asset("silver.c")].into();
    state.keep_scheduled(lease, &kept).await.unwrap();
    assert_eq!(state.scheduled_assets().await.unwrap(), std::slice::from_ref(&stays));
    state.end_lease(lease).await.unwrap();
    let error = state.keep_scheduled(lease, &std::collections::BTreeSet::new()).await.unwrap_err();
    assert_eq!(error.code(), "MS-0617");
    assert_eq!(state.scheduled_assets().await.unwrap(), [stays]);
}

async fn versions_are_those_of_all_assets_that_were_built(place: Place) {
    let state = place.open().await;
    assert!(state.versions().await.unwrap().is_empty());
    state.begin_run(&run(1)).await.unwrap();
    let built = step(&run(1).run, "silver.a", StepOutcome::Built);
    state.record_step(&end(&built, Some(&recorded(3)))).await.unwrap();
    let known = [(asset("silver.a"), AssetVersion::numbered(3))].into();
    assert_eq!(state.versions().await.unwrap(), known);
}

async fn what_is_recorded_of_some_assets_is_found_among_many(place: Place) {
    let state = place.open().await;
    state.begin_run(&run(1)).await.unwrap();
    for number in 0..3 {
        let built = step(&run(1).run, &format!("silver.t{number}"), StepOutcome::Built);
        state.record_step(&end(&built, Some(&recorded(number + 1)))).await.unwrap();
    }
    // More than one statement names.
    let asked = (1..1_200).map(|number| asset(&format!("silver.t{number}"))).collect();
    let found = state.recorded_among(&asked).await.unwrap();
    let expected = [(asset("silver.t1"), recorded(2)), (asset("silver.t2"), recorded(3))];
    assert_eq!(found, expected.into());
    assert!(state.recorded_among(&std::collections::BTreeSet::new()).await.unwrap().is_empty());
}

async fn a_reload_that_failed_is_remembered_until_one_succeeds(place: Place) {
    let state = place.open().await;
    let now = TimestampMicros(1_000_000);
    assert_eq!(state.failed_reload(now).await.unwrap(), None);
    let (one, two) = (named_lease(&state, "reload 1").await, named_lease(&state, "reload 2").await);
    let failed = |at, hint| FailedReload {
        at: TimestampMicros(at),
        code: "MS-1235".into(),
        message: "no".into(),
        hint,
    };
    for failed in [failed(3, None), failed(2, Some("look".to_owned()))] {
        state.record_failed_reload(one, &failed).await.unwrap();
        assert_eq!(state.failed_reload(now).await.unwrap(), Some(failed));
    }
    // Another server is sound, and then it is not.
    state.forget_failed_reload(None).await.unwrap();
    assert_eq!(state.failed_reload(now).await.unwrap().unwrap().at, TimestampMicros(2));
    state.record_failed_reload(two, &failed(9, None)).await.unwrap();
    assert_eq!(state.failed_reload(now).await.unwrap(), Some(failed(9, None)));
    // It is gone: what was wrong with it is over, and what is wrong with the other is not.
    state.end_lease(two).await.unwrap();
    assert_eq!(state.failed_reload(now).await.unwrap().unwrap().at, TimestampMicros(2));
    state.forget_failed_reload(Some(one)).await.unwrap();
    assert_eq!(state.failed_reload(now).await.unwrap(), None);
}
