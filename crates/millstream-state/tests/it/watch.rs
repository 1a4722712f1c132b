//! A watcher sees every call, and a call that it refuses fails as on a disk that fails.

use std::sync::{Arc, Mutex};

use millstream_state::{FoundAsset, Moment, Watch};

use crate::{
    place::{Place, on_each_database},
    world::{asset, recorded},
};

on_each_database! {
    what_is_refused_before_does_not_happen_and_what_is_refused_after_did,
}

/// Refuses calls at one moment, and remembers all.
#[derive(Debug)]
struct Gate {
    refuses: Moment,
    seen: Mutex<Vec<(&'static str, Moment)>>,
}

impl Watch for Gate {
    fn allows(&self, doing: &'static str, moment: Moment) -> bool {
        self.seen.lock().unwrap().push((doing, moment));
        moment != self.refuses
    }
}

async fn what_is_refused_before_does_not_happen_and_what_is_refused_after_did(place: Place) {
    for (refuses, kept) in [(Moment::Before, 0), (Moment::After, 1)] {
        let gate = Arc::new(Gate { refuses, seen: Mutex::default() });
        let watched = place.open().await.watched(gate.clone());
        let (asset, recorded) = (asset("silver.a"), recorded(1));
        let found = FoundAsset { asset: &asset, seen: None, recorded: Some(&recorded), metrics: &[] };
        let refused = watched.record_found(&[found]).await.unwrap_err();
        assert_eq!((refused.code(), refused.is_transient()), ("MS-0605", false));
        assert_eq!(gate.seen.lock().unwrap().last(), Some(&("record the asset", refuses)));
        assert_eq!(place.open().await.recorded().await.unwrap().len(), kept, "{refuses:?}");
    }
}
