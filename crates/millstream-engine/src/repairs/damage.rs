//! Finds in an error what is damaged: the libraries below pass on only words and causes.

use std::error::Error;

use datafusion::error::DataFusionError;
use millstream_features::{FeatureError, view::OnlineViewError};
use millstream_online::OnlineError;
use millstream_sql::SqlError;
use millstream_types::{AssetId, TableName};

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
    /// The data file, of a table.
    pub(super) file: Option<String>,
}

/// What is damaged by the word of this error; `None` where it says nothing of the kind.
pub(super) fn damage(error: &EngineError) -> Option<Damage> {
    let found = |asset, file| Some(Damage { asset, code: error.code(), cause: told(error), file });
    if let EngineError::DatasetFile { name, .. } = error {
        return found(dataset::id(name), None);
    }
    let mut view = None;
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(EngineError::Materialize { view: name, .. }) = error.downcast_ref() {
            view = Some(name.clone());
        }
        if let Some((table, file)) = table(error) {
            return found(table.asset_id(), Some(file));
        }
        if let Some(named) = record(error, view.as_deref()) {
            return found(feature_view::id(&named), None);
        }
        cause = error.source();
    }
    None
}

/// The table of which a data file is gone or damaged, and the file. Rows that were rejected are nowhere else.
fn table(error: &(dyn Error + 'static)) -> Option<(TableName, String)> {
    let sql = error.downcast_ref::<SqlError>().and_then(SqlError::damaged_file);
    let found = sql.or_else(|| SqlError::file_of_damage(error.downcast_ref::<DataFusionError>()?))?;
    Some(found).filter(|(table, _)| !table.is_rejected())
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
