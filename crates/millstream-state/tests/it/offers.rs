//! Steps that are offered, claimed by one, and ended once.

use std::time::Duration;

use millstream_schedule::{Ending, RecordedAsset, RecordedAttempt};
use millstream_state::{
    Holder, LeaseRequest, LeaseToken, NewOffer, Offer, OfferChanges, OfferEnd, OfferId, OfferNews,
    OfferTerms, ScheduleRecord, State, StateError,
};
use millstream_types::{AssetVersion, CheckId, Fingerprint, Span, TimestampMicros};

use crate::{
    place::{Place, on_each_database},
    world::asset,
};

on_each_database! {
    an_offer_is_recorded_with_its_decision_and_found_as_it_was_made,
    one_of_two_that_claim_the_same_step_gets_it,
    the_first_end_of_a_step_is_its_end,
    a_step_that_is_handed_back_is_free_and_done_again,
    a_worker_whose_lease_is_gone_claims_nothing,
    workers_are_those_that_live,
    calls_of_webhooks_are_kept_until_they_are_taken_in,
    who_schedules_adopts_what_nobody_has_claimed,
    others_hear_of_what_is_offered_and_ended,
}

const LONG: Duration = Duration::from_secs(3_600);

fn now() -> TimestampMicros {
    TimestampMicros(1_000_000)
}

async fn lease(state: &State, name: &str) -> LeaseToken {
    let holder = Holder::this_process("serve", TimestampMicros(5));
    let assets = [asset(name)];
    let request = LeaseRequest { assets: &assets, holder: &holder, now: now(), length: LONG };
    state.take_lease(&request).await.unwrap()
}

fn offer(lease: LeaseToken, number: i64, name: &str) -> NewOffer {
    NewOffer {
        id: OfferId { lease, number },
        asset: asset(name),
        terms: terms(7),
        command: format!("serve: {name}, every 1m"),
        due: Some(TimestampMicros(9)),
        is_again: false,
        repair: Some("the values do not fit".to_owned()),
        attempt: 1,
        is_probe: true,
        at: TimestampMicros(10),
    }
}

fn terms(definition: u8) -> OfferTerms {
    OfferTerms {
        definition: Fingerprint::new([definition; 32]),
        connection: Some("crm".to_owned()),
        pools: vec!["heavy".to_owned(), "slow".to_owned()],
        is_local: true,
    }
}

/// The offers by their numbers under one lease, for the definition that all of them have.
fn known(ids: &[OfferId]) -> Vec<(OfferId, Fingerprint)> {
    ids.iter().map(|id| (*id, terms(7).definition)).collect()
}

async fn record(state: &State, lease: LeaseToken, offered: &[NewOffer], taken_in: &[OfferId]) {
    let running = Some(RecordedAttempt { attempt: 1, fresh_as_of: TimestampMicros(8) });
    let assets: Vec<RecordedAsset> = offered
        .iter()
        .map(|offer| RecordedAsset { running, ..RecordedAsset::new(offer.asset.clone()) })
        .collect();
    let record = ScheduleRecord { lease, assets: &assets, decisions: &[] };
    state.record_schedule_with(&record, OfferChanges { offered, taken_in, called: &[] }).await.unwrap();
}

async fn found(state: &State, id: OfferId) -> Offer {
    state.offers().await.unwrap().into_iter().find(|found| found.offer.id == id).unwrap()
}

fn well() -> OfferEnd {
    OfferEnd::Ended {
        ending: Ending::Well,
        took: Span::from_ms(1_500),
        versions: [(asset("bronze.a"), AssetVersion::numbered(4))].into(),
        is_doubtful: true,
        fault: Some("no place left".to_owned()),
        halted_by: vec![CheckId::new("not_null(id)")],
    }
}

async fn an_offer_is_recorded_with_its_decision_and_found_as_it_was_made(place: Place) {
    let state = place.open().await;
    let schedule = lease(&state, "schedule").await;
    let offers = [offer(schedule, 1, "bronze.b"), offer(schedule, 2, "bronze.a")];
    record(&state, schedule, &offers, &[]).await;
    // The answer got lost, and it is recorded once more.
    record(&state, schedule, &offers, &[]).await;
    let unclaimed = |offer: &NewOffer| Offer { offer: offer.clone(), worker: None, claimed: None, end: None };
    let expected: Vec<Offer> = offers.iter().map(unclaimed).collect();
    assert_eq!(state.offers().await.unwrap(), expected);
    // Its end is taken in, and the next step of the asset is offered in the same transaction.
    let next = [offer(schedule, 3, "bronze.b")];
    record(&state, schedule, &next, &[offers[0].id]).await;
    let left: Vec<i64> = state.offers().await.unwrap().iter().map(|found| found.offer.id.number).collect();
    assert_eq!(left, [2, 3]);
    state.end_lease(schedule).await.unwrap();
    let late = [offer(schedule, 4, "bronze.c")];
    let record = ScheduleRecord { lease: schedule, assets: &[], decisions: &[] };
    let refused =
        state.record_schedule_with(&record, OfferChanges { offered: &late, ..OfferChanges::default() });
    assert!(matches!(refused.await, Err(StateError::LeaseLost)));
    assert_eq!(state.offers().await.unwrap().len(), 2);
}

async fn one_of_two_that_claim_the_same_step_gets_it(place: Place) {
    let (first, second) = (place.open().await, place.open().await);
    let schedule = lease(&first, "schedule").await;
    let (one, two) = (lease(&first, "worker 1").await, lease(&second, "worker 2").await);
    let offers: Vec<NewOffer> =
        (1..=20).map(|number| offer(schedule, number, &format!("bronze.{number}"))).collect();
    let ids: Vec<OfferId> = offers.iter().map(|offer| offer.id).collect();
    record(&first, schedule, &offers, &[]).await;
    let claims = ids.iter().map(|id| {
        let id = std::slice::from_ref(id);
        let (id, first, second) = (known(id), &first, &second);
        async move {
            futures::future::join(first.claim_offers(one, &id, now()), second.claim_offers(two, &id, now()))
                .await
        }
    });
    for (id, (first, second)) in ids.iter().zip(futures::future::join_all(claims).await) {
        let claimed = [first.unwrap(), second.unwrap()].concat();
        assert_eq!(claimed, [*id]);
    }
    // Who asks again, because the answer got lost, has what it has.
    let mine: Vec<OfferId> = first
        .offers()
        .await
        .unwrap()
        .iter()
        .filter(|found| found.worker == Some(one))
        .map(|found| found.offer.id)
        .collect();
    assert_eq!(first.claim_offers(one, &known(&ids), now()).await.unwrap(), mine);
}

async fn the_first_end_of_a_step_is_its_end(place: Place) {
    let state = place.open().await;
    let schedule = lease(&state, "schedule").await;
    let (one, two) = (lease(&state, "worker 1").await, lease(&state, "worker 2").await);
    let offers = [1, 2, 3].map(|number| offer(schedule, number, &format!("bronze.{number}")));
    let ids = [1, 2, 3].map(|number| OfferId { lease: schedule, number });
    record(&state, schedule, &offers, &[]).await;
    state.claim_offers(one, &known(&ids), now()).await.unwrap();
    state.end_offer(one, ids[0], &well()).await.unwrap();
    // Nobody else ends it, and it is not lost any more.
    state.end_offer(two, ids[0], &OfferEnd::KeptAway { because: "no".into() }).await.unwrap();
    state.lose_offers(schedule, &[(ids[0], one), (ids[1], one)]).await.unwrap();
    assert_eq!(found(&state, ids[0]).await.end, Some(well()));
    // One that was lost does not end, and is claimed by nobody.
    state.end_offer(one, ids[1], &well()).await.unwrap();
    assert_eq!(found(&state, ids[1]).await.end, Some(OfferEnd::Lost));
    assert_eq!(state.claim_offers(two, &known(&ids), now()).await.unwrap(), []);
    let kept_away = OfferEnd::KeptAway { because: "`maintain` works on it".into() };
    state.end_offer(one, ids[2], &kept_away).await.unwrap();
    assert_eq!(found(&state, ids[2]).await.end, Some(kept_away));
    for ending in [Ending::Badly, Ending::Unreachable, Ending::Passing] {
        let next = [offer(schedule, 9, "bronze.9")];
        record(&state, schedule, &next, &[OfferId { lease: schedule, number: 9 }]).await;
        state.claim_offers(two, &known(&[next[0].id]), now()).await.unwrap();
        let (took, versions) = (Span::from_ms(0), [].into());
        let end = OfferEnd::Ended {
            ending,
            took,
            versions,
            is_doubtful: false,
            fault: None,
            halted_by: Vec::new(),
        };
        state.end_offer(two, next[0].id, &end).await.unwrap();
        assert_eq!(found(&state, next[0].id).await.end, Some(end));
    }
}

async fn a_step_that_is_handed_back_is_free_and_done_again(place: Place) {
    let state = place.open().await;
    let schedule = lease(&state, "schedule").await;
    let (one, two) = (lease(&state, "worker 1").await, lease(&state, "worker 2").await);
    let id = OfferId { lease: schedule, number: 1 };
    record(&state, schedule, &[offer(schedule, 1, "bronze.a")], &[]).await;
    state.claim_offers(one, &known(&[id]), now()).await.unwrap();
    state.hand_back(two, id).await.unwrap();
    assert_eq!(found(&state, id).await.worker, Some(one), "somebody else has given it back");
    state.hand_back(one, id).await.unwrap();
    let free = found(&state, id).await;
    assert_eq!((free.worker, free.claimed, free.offer.is_again, free.offer.attempt), (None, None, true, 1));
    assert_eq!(state.claim_offers(two, &known(&[id]), now()).await.unwrap(), [id]);
}

async fn a_worker_whose_lease_is_gone_claims_nothing(place: Place) {
    let state = place.open().await;
    let (schedule, one) = (lease(&state, "schedule").await, lease(&state, "worker 1").await);
    let id = OfferId { lease: schedule, number: 1 };
    record(&state, schedule, &[offer(schedule, 1, "bronze.a")], &[]).await;
    state.end_lease(one).await.unwrap();
    assert!(matches!(state.claim_offers(one, &known(&[id]), now()).await, Err(StateError::LeaseLost)));
    assert!(matches!(state.begin_worker(one, 4).await, Err(StateError::LeaseLost)));
    assert_eq!(found(&state, id).await.worker, None);
    // Nor does one write that steps were lost that schedules no more.
    state.end_lease(schedule).await.unwrap();
    let lost = state.lose_offers(schedule, &[(id, one)]).await;
    assert!(matches!(lost, Err(StateError::LeaseLost)));
}

async fn workers_are_those_that_live(place: Place) {
    let state = place.open().await;
    assert_eq!(state.workers(now()).await.unwrap(), []);
    let (one, two) = (lease(&state, "worker 1").await, lease(&state, "worker 2").await);
    state.begin_worker(one, 4).await.unwrap();
    state.begin_worker(two, 2).await.unwrap();
    state.begin_worker(two, 3).await.unwrap();
    let places = async || {
        let workers = state.workers(now()).await.unwrap();
        workers.into_iter().map(|worker| (worker.lease.token, worker.places)).collect::<Vec<_>>()
    };
    assert_eq!(places().await, [(one, 4), (two, 3)]);
    state.end_lease(one).await.unwrap();
    assert_eq!(places().await, [(two, 3)]);
}

async fn calls_of_webhooks_are_kept_until_they_are_taken_in(place: Place) {
    let state = place.open().await;
    let schedule = lease(&state, "schedule").await;
    for name in ["b", "a", "b"] {
        state.record_webhook_call(name).await.unwrap();
    }
    let called = state.webhook_calls().await.unwrap();
    let names: Vec<&str> = called.iter().map(|called| called.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    // One comes while the others are taken in.
    state.record_webhook_call("b").await.unwrap();
    let record = ScheduleRecord { lease: schedule, assets: &[], decisions: &[] };
    let changes = OfferChanges { called: &called, ..OfferChanges::default() };
    state.record_schedule_with(&record, changes).await.unwrap();
    let left = state.webhook_calls().await.unwrap();
    assert_eq!(left.iter().map(|called| called.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

async fn who_schedules_adopts_what_nobody_has_claimed(place: Place) {
    let state = place.open().await;
    let (schedule, worker) = (lease(&state, "schedule").await, lease(&state, "worker 1").await);
    let offers: Vec<NewOffer> =
        (1..=5).map(|number| offer(schedule, number, &format!("bronze.{number}"))).collect();
    let ids: Vec<OfferId> = offers.iter().map(|offer| offer.id).collect();
    record(&state, schedule, &offers, &[]).await;
    state.claim_offers(worker, &known(&ids[2..5]), now()).await.unwrap();
    state.end_offer(worker, ids[3], &well()).await.unwrap();
    // The project has other definitions of all of them, and the first, the third and the fourth no more.
    let terms_now = [2, 5].map(|number| (asset(&format!("bronze.{number}")), terms(9))).into();
    let adopted = state.adopt_offers(schedule, &terms_now).await.unwrap();
    assert_eq!(state.offers().await.unwrap(), adopted);
    let stands: Vec<_> =
        adopted.iter().map(|found| (found.offer.id.number, found.offer.terms == terms(9))).collect();
    // What was claimed goes on as it began.
    assert_eq!(stands, [(2, true), (3, false), (4, false), (5, false)]);
    // A worker that has looked before does not get what is for another definition now.
    assert_eq!(state.claim_offers(worker, &known(&ids[..2]), now()).await.unwrap(), []);
    assert_eq!(state.claim_offers(worker, &[(ids[1], terms(9).definition)], now()).await.unwrap(), [ids[1]]);
    state.end_lease(schedule).await.unwrap();
    let refused = state.adopt_offers(schedule, &terms_now).await;
    assert!(matches!(refused, Err(StateError::LeaseLost)));
    assert_eq!(state.offers().await.unwrap().len(), 4);
}

async fn others_hear_of_what_is_offered_and_ended(place: Place) {
    let (first, second) = (place.open().await, place.open().await);
    let (mut by_first, mut by_second) = (first.news_of_offers(), second.news_of_offers());
    if !first.is_shared() {
        assert!(!by_first.is_passed_on());
        return;
    }
    // News counts as passed on once it is, and what came before may have been missed.
    for news in [OfferNews::Offered, OfferNews::Ended, OfferNews::Called] {
        by_first.heard(news).await;
        by_second.heard(news).await;
    }
    assert!(by_first.is_passed_on() && by_second.is_passed_on());
    let (schedule, worker) = (lease(&first, "schedule").await, lease(&second, "worker 1").await);
    let offers = [offer(schedule, 1, "bronze.a")];
    record(&first, schedule, &offers, &[]).await;
    by_second.heard(OfferNews::Offered).await;
    let id = offers[0].id;
    second.claim_offers(worker, &known(&[id]), now()).await.unwrap();
    second.end_offer(worker, id, &well()).await.unwrap();
    by_first.heard(OfferNews::Ended).await;
    second.record_webhook_call("arrived").await.unwrap();
    by_first.heard(OfferNews::Called).await;
    // What a process has changed itself is no news to it.
    let own = by_first.heard(OfferNews::Offered);
    assert!(futures::poll!(std::pin::pin!(own)).is_pending());
}
