//! Versions of artifacts.

use millstream_plan::AssetKind;
use millstream_state::{NewArtifact, Pin, Sameness, State};
use millstream_types::TimestampMicros;

use crate::{
    place::{Place, on_each_database},
    world::{artifact, table},
};

on_each_database! {
    each_rule_says_which_version_an_artifact_is,
    kinds_are_told_apart,
    what_is_recorded_again_has_its_new_definition_and_place,
    a_removed_version_is_kept_and_used_again_when_its_definition_comes_back,
    an_artifact_pins_what_it_was_made_from,
}

const KIND: AssetKind = AssetKind::new("model");

/// Records artifacts named `name hash definition` one after the other, a microsecond apart, and compares their versions, and
/// then the times of all versions.
async fn check(place: &Place, sameness: Sameness, cases: &[(&str, i64)], times: &str) {
    let state = place.open().await;
    // Of a kind of its own, so that rules do not meet each other's artifacts.
    let kind = if sameness == Sameness::NewestAlike { KIND } else { AssetKind::new("index") };
    for (at, (case, version)) in (1..).zip(cases) {
        let [name, hash, definition] = case.split(' ').collect::<Vec<_>>()[..] else { panic!("{case}") };
        let made =
            NewArtifact { kind, hash, definition, at: TimestampMicros(at), sameness, ..artifact(name) };
        assert_eq!(state.record_artifact(&made).await.unwrap(), *version, "{case} at {at}");
    }
    let known = state.artifacts(kind).await.unwrap();
    let known: Vec<_> =
        known.iter().map(|known| format!("{}@{} {}", known.name, known.version, known.at.0)).collect();
    assert_eq!(known.join(", "), times);
    for name in ["a", "b", "c"] {
        let numbers = state.artifact_numbers(kind, name).await.unwrap();
        let of_name = known.iter().filter(|known| known.starts_with(name)).count();
        assert_eq!(numbers, (1..=i64::try_from(of_name).unwrap()).collect::<Vec<_>>());
        assert_eq!(state.newest_artifact(kind, name).await.unwrap(), numbers.last().copied());
    }
}

async fn each_rule_says_which_version_an_artifact_is(place: Place) {
    let any = [("a 1 x", 1), ("a 1 x", 1), ("a 2 x", 2), ("b 2 x", 1), ("a 1 y", 1), ("a 3 x", 3)];
    check(&place, Sameness::AnyOfItsHash, &any, "a@1 1, a@2 3, a@3 6, b@1 4").await;
    let newest =
        [("a 1 x", 1), ("a 1 x", 1), ("a 2 x", 2), ("b 2 x", 1), ("a 1 x", 3), ("a 1 y", 4), ("a 1 y", 4)];
    check(&place, Sameness::NewestAlike, &newest, "a@1 2, a@2 3, a@3 5, a@4 7, b@1 4").await;
}

async fn kinds_are_told_apart(place: Place) {
    let state = place.open().await;
    let other = AssetKind::new("index");
    let first = artifact("a");
    for (kind, hash, version) in [(KIND, "1", 1), (other, "2", 1), (KIND, "2", 2), (other, "2", 1)] {
        let made = NewArtifact { kind, hash, ..first };
        assert_eq!(state.record_artifact(&made).await.unwrap(), version, "{kind:?} {hash}");
    }
    state.remove_artifact(KIND, "a", 1, TimestampMicros(9)).await.unwrap();
    let hashes = async |kind| {
        let known = state.artifacts(kind).await.unwrap();
        assert!(known.iter().all(|known| known.kind == kind));
        known.into_iter().map(|known| (known.hash, known.removed_at)).collect::<Vec<_>>()
    };
    let removed = Some(TimestampMicros(9));
    assert_eq!(hashes(KIND).await, [("1".to_owned(), removed), ("2".to_owned(), None)]);
    assert_eq!(hashes(other).await, [("2".to_owned(), None)]);
    assert_eq!(state.artifact(AssetKind::new("dataset"), "a", None).await.unwrap(), None);
}

async fn what_is_recorded_again_has_its_new_definition_and_place(place: Place) {
    let state = place.open().await;
    let made =
        |name, hash, definition, location| NewArtifact { hash, definition, location, ..artifact(name) };
    let of = async |name, version| {
        let known = state.artifact(KIND, name, version).await.unwrap();
        known.map(|known| (known.hash, known.definition, known.location, known.made_of))
    };
    let found = |hash: &str, definition: &str, location: Option<&str>, made_of: Option<&str>| {
        Some((hash.into(), definition.into(), location.map(str::to_owned), made_of.map(str::to_owned)))
    };
    for (name, sameness) in [("churn", Sameness::NewestAlike), ("spend", Sameness::AnyOfItsHash)] {
        let record = async |made: NewArtifact<'_>| {
            state.record_artifact(&NewArtifact { sameness, ..made }).await.unwrap()
        };
        record(made(name, "x", "{}", Some("churn.bin"))).await;
        let moved = NewArtifact { made_of: Some("labels@3"), ..made(name, "x", "{}", Some("elsewhere.bin")) };
        let version = record(moved).await;
        let expected = found("x", "{}", Some("elsewhere.bin"), Some("labels@3"));
        assert_eq!(of(name, Some(version)).await, expected);
        assert_eq!(of(name, None).await, expected);
        let other = record(made(name, "y", "{}", None)).await;
        assert_eq!(
            (of(name, None).await, of(name, Some(version)).await),
            (found("y", "{}", None, None), expected)
        );
        assert_eq!(other, version + 1);
        assert_eq!(of(name, Some(other + 1)).await, None);
    }
    // The rule of hashes alone takes a new definition over.
    let told_anew =
        NewArtifact { sameness: Sameness::AnyOfItsHash, ..made("spend", "y", "{\"told\": 1}", None) };
    let version = state.record_artifact(&told_anew).await.unwrap();
    assert_eq!(of("spend", Some(version)).await, found("y", "{\"told\": 1}", None, None));
}

async fn a_removed_version_is_kept_and_used_again_when_its_definition_comes_back(place: Place) {
    let state = place.open().await;
    for sameness in [Sameness::AnyOfItsHash, Sameness::NewestAlike] {
        let made = NewArtifact { sameness, ..artifact("a") };
        assert_eq!(state.record_artifact(&made).await.unwrap(), 1);
        let remove = async || state.remove_artifact(KIND, "a", 1, TimestampMicros(2)).await.unwrap();
        assert_eq!((remove().await, remove().await), (true, false));
        let removed_at = async || state.artifact(KIND, "a", None).await.unwrap().unwrap().removed_at;
        assert_eq!(removed_at().await, Some(TimestampMicros(2)));
        assert_eq!(state.record_artifact(&made).await.unwrap(), 1);
        assert_eq!(removed_at().await, None);
    }
    assert!(!state.remove_artifact(KIND, "a", 2, TimestampMicros(2)).await.unwrap());
}

async fn an_artifact_pins_what_it_was_made_from(place: Place) {
    let state = place.open().await;
    let pin = |version| Pin {
        table: table("silver.orders"),
        version,
        pinned_by: "model churn".into(),
        at: TimestampMicros(3),
    };
    let record = async |state: &State, hash, pins: &[Pin]| {
        state.record_artifact(&NewArtifact { hash, pins, ..artifact("churn") }).await.unwrap()
    };
    record(&state, "x", &[pin(4)]).await;
    record(&state, "x", &[pin(4)]).await;
    record(&state, "y", &[pin(4), pin(5)]).await;
    record(&state, "y", &[]).await;
    assert_eq!(state.pins().await.unwrap(), [pin(4), pin(5)]);
}
