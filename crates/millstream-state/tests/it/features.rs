//! Versions of services and datasets.

use millstream_state::{DatasetVersion, Pin};
use millstream_types::TimestampMicros;

use crate::{
    place::{Place, on_each_database},
    world::table,
};

on_each_database! {
    a_service_gets_a_version_for_each_new_definition_and_finds_its_old_one_again,
    a_removed_version_is_kept_and_served_again_when_its_definition_comes_back,
    a_dataset_pins_what_it_was_built_from_and_the_same_build_is_the_same_version,
}

async fn a_service_gets_a_version_for_each_new_definition_and_finds_its_old_one_again(place: Place) {
    let state = place.open().await;
    let record = async |service: &str, hash: &str| {
        state.record_service(service, hash, &format!("definition {hash}"), TimestampMicros(1)).await.unwrap()
    };
    let mut versions = Vec::new();
    for (service, hash) in [("a", "1"), ("a", "1"), ("a", "2"), ("b", "2"), ("a", "1")] {
        versions.push(record(service, hash).await);
    }
    assert_eq!(versions, [1, 1, 2, 1, 1]);
    let known = state.service_versions().await.unwrap();
    let known: Vec<_> = known.iter().map(|known| (known.service.as_str(), known.version)).collect();
    assert_eq!(known, [("a", 1), ("a", 2), ("b", 1)]);
}

async fn a_removed_version_is_kept_and_served_again_when_its_definition_comes_back(place: Place) {
    let state = place.open().await;
    let record = async || state.record_service("a", "1", "{}", TimestampMicros(1)).await.unwrap();
    record().await;
    let remove = async || state.remove_service("a", 1, TimestampMicros(2)).await.unwrap();
    assert_eq!((remove().await, remove().await), (true, false));
    assert_eq!(state.service_versions().await.unwrap()[0].removed_at, Some(TimestampMicros(2)));
    record().await;
    assert_eq!(state.service_versions().await.unwrap()[0].removed_at, None);
}

async fn a_dataset_pins_what_it_was_built_from_and_the_same_build_is_the_same_version(place: Place) {
    let state = place.open().await;
    let built = |id: &str| DatasetVersion {
        dataset: "churn".into(),
        version: 0,
        id: id.into(),
        path: "churn.parquet".into(),
        manifest: "{}".into(),
        service: None,
        at: TimestampMicros(3),
    };
    let pin = Pin {
        table: table("silver.orders"),
        version: 4,
        pinned_by: "dataset churn".into(),
        at: TimestampMicros(3),
    };
    let record = async |id: &str| state.record_dataset(&built(id), std::slice::from_ref(&pin)).await.unwrap();
    for (id, version) in [("x", 1), ("x", 1), ("y", 2), ("x", 3), ("x", 3)] {
        assert_eq!(record(id).await, version);
    }
    assert_eq!(state.dataset_versions().await.unwrap().len(), 3);
    assert_eq!(state.pins().await.unwrap(), std::slice::from_ref(&pin));
    let moved = DatasetVersion { path: "elsewhere.parquet".into(), ..built("x") };
    assert_eq!(state.record_dataset(&moved, &[]).await.unwrap(), 3);
    let of = async |version| {
        state.dataset_version("churn", version).await.unwrap().map(|found| (found.id, found.path))
    };
    let found = |id: &str, path: &str| Some((id.to_owned(), path.to_owned()));
    assert_eq!(of(None).await, found("x", "elsewhere.parquet"));
    assert_eq!((of(Some(2)).await, of(Some(9)).await), (found("y", "churn.parquet"), None));
    assert_eq!(state.dataset_numbers("churn").await.unwrap(), [1, 2, 3]);
    assert_eq!(
        (state.newest_dataset("churn").await.unwrap(), state.newest_dataset("x").await.unwrap()),
        (Some(3), None)
    );
}
