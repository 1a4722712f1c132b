//! Versions of services and datasets.

use millstream_state::{DatasetVersion, Pin};
use millstream_types::TimestampMicros;

use crate::world::{store, table};

#[test]
fn a_service_gets_a_version_for_each_new_definition_and_finds_its_old_one_again() {
    let (_folder, state) = store();
    let record = |service: &str, hash: &str| {
        state.record_service(service, hash, &format!("definition {hash}"), TimestampMicros(1)).unwrap()
    };
    let versions = [record("a", "1"), record("a", "1"), record("a", "2"), record("b", "2"), record("a", "1")];
    assert_eq!(versions, [1, 1, 2, 1, 1]);
    let known = state.service_versions().unwrap();
    let known: Vec<_> = known.iter().map(|known| (known.service.as_str(), known.version)).collect();
    assert_eq!(known, [("a", 1), ("a", 2), ("b", 1)]);
}

#[test]
fn a_removed_version_is_kept_and_served_again_when_its_definition_comes_back() {
    let (_folder, state) = store();
    let record = || state.record_service("a", "1", "{}", TimestampMicros(1)).unwrap();
    record();
    let remove = || state.remove_service("a", 1, TimestampMicros(2)).unwrap();
    assert_eq!((remove(), remove()), (true, false));
    assert_eq!(state.service_versions().unwrap()[0].removed_at, Some(TimestampMicros(2)));
    record();
    assert_eq!(state.service_versions().unwrap()[0].removed_at, None);
}

#[test]
fn a_dataset_pins_what_it_was_built_from_and_the_same_build_is_the_same_version() {
    let (_folder, state) = store();
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
    let record = |id: &str| state.record_dataset(&built(id), std::slice::from_ref(&pin)).unwrap();
    assert_eq!(["x", "x", "y", "x", "x"].map(record), [1, 1, 2, 3, 3]);
    assert_eq!(state.dataset_versions().unwrap().len(), 3);
    assert_eq!(state.pins().unwrap(), std::slice::from_ref(&pin));
    let moved = DatasetVersion { path: "elsewhere.parquet".into(), ..built("x") };
    assert_eq!(state.record_dataset(&moved, &[]).unwrap(), 3);
    let of = |version| state.dataset_version("churn", version).unwrap().map(|found| (found.id, found.path));
    let found = |id: &str, path: &str| Some((id.to_owned(), path.to_owned()));
    assert_eq!(of(None), found("x", "elsewhere.parquet"));
    assert_eq!((of(Some(2)), of(Some(9))), (found("y", "churn.parquet"), None));
    assert_eq!(state.dataset_numbers("churn").unwrap(), [1, 2, 3]);
    assert_eq!((state.newest_dataset("churn").unwrap(), state.newest_dataset("x").unwrap()), (Some(3), None));
}
