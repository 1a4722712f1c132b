//! Finds in an error what is damaged.

use std::error::Error;

use millstream_features::{FeatureError, view::OnlineViewError};
use millstream_lake::DamagedFile;
use millstream_online::OnlineError;
use millstream_types::AssetId;

use crate::{
    EngineError,
    assets::{dataset, feature_view},
    error::told,
};

/// Something that is stored and is not what was written.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) asset: AssetId,
    /// The stable code of the error that tells of it.
    pub(super) code: &'static str,
    pub(super) cause: String,
    /// The data file of a table.
    pub(super) file: Option<DamagedFile>,
}

/// What is damaged by the word of this error; `None` where it says nothing of the kind.
pub(super) fn damage(error: &EngineError) -> Option<Damage> {
    let found = |asset, file| Some(Damage { asset, code: error.code(), cause: told(error), file });
    if let EngineError::DatasetFile { name, .. } = error {
        return found(dataset::id(name), None);
    }
    if let Some(file) = DamagedFile::behind(error) {
        // Rows that were rejected are nowhere else, and are no asset.
        let file = Some(file).filter(|file| !file.table.is_rejected())?;
        return found(file.table.asset_id(), Some(file.clone()));
    }
    let mut view = None;
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(EngineError::Materialize { view: name, .. }) = error.downcast_ref() {
            view = Some(name.clone());
        }
        if let Some(named) = record(error, view.as_deref()) {
            return found(feature_view::id(&named), None);
        }
        cause = error.source();
    }
    None
}

/// The view of which a record of the online store is damaged.
fn record(error: &(dyn Error + 'static), view: Option<&str>) -> Option<String> {
    match error.downcast_ref() {
        Some(OnlineViewError::Record { view, .. }) => return Some(view.clone()),
        Some(OnlineViewError::State { view, source: FeatureError::Bytes { .. } }) => {
            return Some(view.clone());
        }
        _ => {}
    }
    match error.downcast_ref() {
        Some(OnlineError::Damaged { .. }) => view.map(str::to_owned),
        _ => None,
    }
}
