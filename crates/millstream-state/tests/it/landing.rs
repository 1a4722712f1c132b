//! How far a source was landed.

use millstream_state::{KnownPart, Landing, LandingUpdate};
use millstream_types::SourceName;

use crate::place::{Place, on_each_database};

on_each_database! {
    a_source_that_was_never_landed_starts_at_epoch_zero,
    only_the_given_parts_change_and_repeating_a_landing_changes_nothing,
    a_landing_in_the_place_of_others_leaves_nothing_of_them,
    an_older_epoch_is_refused_and_leaves_everything_as_it_was,
}

fn orders() -> SourceName {
    SourceName::new("orders").unwrap()
}

fn part(id: &str, position: i64) -> KnownPart {
    KnownPart { id: id.into(), version: format!("{{\"size\":{position}}}"), position }
}

async fn a_source_that_was_never_landed_starts_at_epoch_zero(place: Place) {
    let state = place.open().await;
    assert_eq!(state.landing(&orders()).await.unwrap(), Landing::default());
}

async fn only_the_given_parts_change_and_repeating_a_landing_changes_nothing(place: Place) {
    let state = place.open().await;
    let land = async |epoch, next_sequence, parts: &[KnownPart]| {
        state.record_landing(&orders(), &LandingUpdate { epoch, next_sequence, parts }).await.unwrap();
    };
    land(1, 30, &[part("b.csv", 20), part("a.csv", 10)]).await;
    land(2, 35, &[part("b.csv", 25), part("c.csv", 0)]).await;
    let expected = Landing {
        epoch: 2,
        next_sequence: 35,
        parts: vec![part("a.csv", 10), part("b.csv", 25), part("c.csv", 0)],
    };
    assert_eq!(state.landing(&orders()).await.unwrap(), expected);
    land(2, 35, &[part("b.csv", 25), part("c.csv", 0)]).await;
    assert_eq!(state.landing(&orders()).await.unwrap(), expected);
    assert_eq!(state.landing(&SourceName::new("customers").unwrap()).await.unwrap(), Landing::default());
}

async fn a_landing_in_the_place_of_others_leaves_nothing_of_them(place: Place) {
    let state = place.open().await;
    let old = [part("a.csv", 10), part("b.csv", 20)];
    state
        .record_landing(&orders(), &LandingUpdate { epoch: 5, next_sequence: 30, parts: &old })
        .await
        .unwrap();
    let new = [part("b.csv", 2)];
    let update = LandingUpdate { epoch: 2, next_sequence: 4, parts: &new };
    state.replace_landing(&orders(), &update).await.unwrap();
    let expected = Landing { epoch: 2, next_sequence: 4, parts: new.to_vec() };
    assert_eq!(state.landing(&orders()).await.unwrap(), expected);
}

async fn an_older_epoch_is_refused_and_leaves_everything_as_it_was(place: Place) {
    let state = place.open().await;
    let update = |epoch| LandingUpdate { epoch, next_sequence: epoch, parts: &[] };
    state.record_landing(&orders(), &update(5)).await.unwrap();
    let parts = [part("late.csv", 1)];
    let error =
        state.record_landing(&orders(), &LandingUpdate { parts: &parts, ..update(4) }).await.unwrap_err();
    assert_eq!(error.code(), "MS-0607");
    assert_eq!(
        state.landing(&orders()).await.unwrap(),
        Landing { epoch: 5, next_sequence: 5, parts: vec![] }
    );
}
