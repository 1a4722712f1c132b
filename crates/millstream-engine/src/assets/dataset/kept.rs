//! The versions of datasets that stay: where a definition says how many, housekeeping forgets those before them, with their files and the pins
//! of what they were built from, so that the lake can let go of it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use millstream_ml::dataset::Manifest;
use millstream_state::Artifact;

use super::DATASET;
use crate::{EngineError, engine::World};

/// Under this name a version pins what it was built from: that of the dataset, and the beginning of the version's hash.
pub(super) fn pinned_by(dataset: &str, hash: &str) -> String {
    format!("dataset {dataset} {}", hash.get(..12).unwrap_or_default())
}

/// Forgets the versions that no definition keeps any more, and gives their number. What a process leaves that dies in between, the next one
/// forgets.
pub(crate) async fn forget(world: &World) -> Result<u64, EngineError> {
    let specs = &world.project.spec.datasets;
    if specs.iter().all(|spec| spec.keep.is_none()) {
        return Ok(0);
    }
    let built = world.state.artifacts(DATASET).await?;
    let mut forgotten = 0;
    for spec in specs {
        let Some(keep) = spec.keep else { continue };
        let mut versions: Vec<&Artifact> = built.iter().filter(|built| built.name == spec.name).collect();
        versions.sort_by_key(|built| built.version);
        let surplus = versions.len().saturating_sub(keep.get() as usize);
        let kept = versions.split_off(surplus);
        let hashes: BTreeSet<&str> = kept.iter().map(|kept| kept.hash.as_str()).collect();
        let places: BTreeSet<PathBuf> =
            kept.iter().map(|kept| world.dataset_file(kept)).collect::<Result<_, _>>()?;
        for old in versions {
            let place = world.dataset_file(old)?;
            // What was written elsewhere belongs to whoever named the place.
            if place.starts_with(world.state_dir.join("datasets")) && !places.contains(&place) {
                remove(&place)?;
                remove(&Manifest::path_of(&place))?;
            }
            let pinned_by = pinned_by(&old.name, &old.hash);
            // A version that stays may have been built from the same.
            let unpins = (!hashes.contains(old.hash.as_str())).then_some(pinned_by.as_str());
            world.state.forget_artifact(DATASET, &old.name, old.version, unpins).await?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}

fn remove(path: &Path) -> Result<(), EngineError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(EngineError::File { verb: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
