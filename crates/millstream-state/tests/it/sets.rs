//! Sets: what readers take changes as a whole, at the end of a run that made everything it had to make.

use std::collections::BTreeMap;

use millstream_state::{FoundAsset, RunEnd, RunOutcome, State, StepOutcome};
use millstream_types::{AssetId, AssetVersion, TimestampMicros};

use crate::{
    place::{Place, on_each_database},
    world::{asset, before, end, recorded, run, step},
};

on_each_database! {
    a_set_is_published_as_a_whole,
    a_run_publishes_only_what_was_its_own,
    sets_of_forgotten_runs_go_and_the_present_one_stays,
    a_version_with_the_same_rows_takes_its_place_in_every_set,
    versions_of_an_asset_that_went_back_are_lost_in_every_set,
    versions_of_a_table_that_a_step_made_anew_are_lost_in_every_set,
}

/// A run that makes `versions`, and publishes `publishes` of them.
async fn make(state: &State, number: i64, versions: &[(&str, i64)], publishes: Option<&[&str]>) {
    let start = run(number);
    state.begin_run(&start).await.unwrap();
    for (name, version) in versions {
        let built = recorded(*version);
        let step = step(&start.run, name, StepOutcome::Built);
        state.record_step(&end(&step, Some(&built))).await.unwrap();
    }
    let assets: Option<Vec<AssetId>> = publishes.map(|names| names.iter().map(|name| asset(name)).collect());
    let outcome = if assets.is_some() { RunOutcome::Succeeded } else { RunOutcome::Failed };
    let finished = TimestampMicros(number * 1_000 + 1);
    let end = RunEnd { run: &start.run, finished, outcome, publishes: assets.as_deref(), messages: &[] };
    state.finish_run(&end).await.unwrap();
    // A run that is finished a second time changes nothing.
    state.finish_run(&end).await.unwrap();
}

fn set(versions: &[(&str, i64)]) -> BTreeMap<AssetId, AssetVersion> {
    versions.iter().map(|(name, version)| (asset(name), AssetVersion::numbered(*version))).collect()
}

async fn a_set_is_published_as_a_whole(place: Place) {
    let state = place.open().await;
    let both = ["silver.a", "gold.b"];
    make(&state, 1, &[("silver.a", 0), ("gold.b", 0)], Some(&both)).await;
    make(&state, 2, &[("silver.a", 1)], None).await;
    assert_eq!(state.published().await.unwrap(), set(&[("silver.a", 0), ("gold.b", 0)]));
    make(&state, 3, &[("gold.b", 1)], Some(&both)).await;
    assert_eq!(state.published().await.unwrap(), set(&[("silver.a", 1), ("gold.b", 1)]));
    make(&state, 4, &[], Some(&both)).await;
    let of = async |number| state.set_of(&run(number).run).await.unwrap();
    assert_eq!(of(1).await, Some(set(&[("silver.a", 0), ("gold.b", 0)])));
    assert_eq!(of(2).await, None);
    assert_eq!(of(3).await, Some(set(&[("silver.a", 1), ("gold.b", 1)])));
    assert_eq!(of(4).await, of(3).await);
    assert_eq!(of(5).await, None);
}

async fn a_run_publishes_only_what_was_its_own(place: Place) {
    let state = place.open().await;
    make(&state, 1, &[("silver.a", 0), ("gold.b", 0)], Some(&["silver.a", "gold.b"])).await;
    make(&state, 2, &[("silver.a", 1)], None).await;
    make(&state, 3, &[("gold.b", 1), ("gold.c", 0)], Some(&["gold.b", "gold.c"])).await;
    let expected = set(&[("silver.a", 0), ("gold.b", 1), ("gold.c", 0)]);
    assert_eq!(state.published().await.unwrap(), expected);
    assert_eq!(state.set_of(&run(1).run).await.unwrap(), Some(set(&[("silver.a", 0), ("gold.b", 0)])));
}

async fn sets_of_forgotten_runs_go_and_the_present_one_stays(place: Place) {
    let state = place.open().await;
    for number in 1..=4 {
        make(&state, number, &[("silver.a", number)], Some(&["silver.a"])).await;
    }
    state.forget(&before(3_000)).await.unwrap();
    assert_eq!(state.set_of(&run(2).run).await.unwrap(), None);
    assert_eq!(state.set_of(&run(3).run).await.unwrap(), Some(set(&[("silver.a", 3)])));
    assert_eq!(state.published().await.unwrap(), set(&[("silver.a", 4)]));
}

async fn a_version_with_the_same_rows_takes_its_place_in_every_set(place: Place) {
    let state = place.open().await;
    make(&state, 1, &[("silver.a", 4)], Some(&["silver.a"])).await;
    state
        .move_published(&asset("silver.a"), AssetVersion::numbered(3), AssetVersion::numbered(9))
        .await
        .unwrap();
    assert_eq!(state.published().await.unwrap(), set(&[("silver.a", 4)]));
    state
        .move_published(&asset("silver.a"), AssetVersion::numbered(4), AssetVersion::numbered(5))
        .await
        .unwrap();
    assert_eq!(state.published().await.unwrap(), set(&[("silver.a", 5)]));
    assert_eq!(state.set_of(&run(1).run).await.unwrap(), Some(set(&[("silver.a", 5)])));
}

async fn versions_of_an_asset_that_went_back_are_lost_in_every_set(place: Place) {
    let state = place.open().await;
    let both = ["silver.a", "gold.b"];
    make(&state, 1, &[("silver.a", 4), ("gold.b", 4)], Some(&both)).await;
    make(&state, 2, &[("silver.a", 5), ("gold.b", 5)], Some(&both)).await;
    let (a, b) = (asset("silver.a"), asset("gold.b"));
    let (seen, earlier, later) = (recorded(5), recorded(4), recorded(6));
    let found = |asset, recorded| FoundAsset { asset, seen: Some(&seen), recorded, metrics: &[] };
    state.record_found(&[found(&a, Some(&earlier)), found(&b, Some(&later))]).await.unwrap();
    let lost = |version| {
        let mut set = set(&[("gold.b", version)]);
        set.insert(asset("silver.a"), AssetVersion::LOST);
        set
    };
    assert_eq!(state.published().await.unwrap(), lost(5));
    // The version that it was put back to is still what it was.
    let first = Some(set(&[("silver.a", 4), ("gold.b", 4)]));
    assert_eq!(state.set_of(&run(1).run).await.unwrap(), first);
    make(&state, 3, &[("silver.a", 5)], Some(&["silver.a"])).await;
    assert_eq!(state.published().await.unwrap(), set(&[("silver.a", 5), ("gold.b", 5)]));
    let gone = FoundAsset { asset: &b, seen: Some(&later), recorded: None, metrics: &[] };
    state.record_found(&[gone]).await.unwrap();
    assert!(state.published().await.unwrap()[&b].is_lost());
}

async fn versions_of_a_table_that_a_step_made_anew_are_lost_in_every_set(place: Place) {
    let state = place.open().await;
    let both = ["silver.a", "service:s"];
    make(&state, 1, &[("silver.a", 1), ("service:s", 2)], Some(&both)).await;
    make(&state, 2, &[("silver.a", 5), ("service:s", 3)], Some(&both)).await;
    // The table was deleted in the midst of a run that fails; a service goes back to a definition that it had.
    make(&state, 3, &[("silver.a", 1), ("service:s", 2)], None).await;
    let of = async |number| state.set_of(&run(number).run).await.unwrap().unwrap();
    for (set, service) in [(state.published().await.unwrap(), 3), (of(1).await, 2), (of(2).await, 3)] {
        assert!(set[&asset("silver.a")].is_lost(), "{set:?}");
        assert_eq!(set[&asset("service:s")], AssetVersion::numbered(service));
    }
}
