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
}

/// What is damaged by the word of this error; `None` where it says nothing of the kind.
pub(super) fn damage(error: &EngineError) -> Option<Damage> {
    let found = |asset| Some(Damage { asset, code: error.code(), cause: told(error) });
    if let EngineError::DatasetFile { name, .. } = error {
        return found(dataset::id(name));
    }
    let mut view = None;
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(EngineError::Materialize { view: name, .. }) = error.downcast_ref() {
            view = Some(name.clone());
        }
        if let Some(table) = table(error) {
            return found(table.asset_id());
        }
        if let Some(named) = record(error, view.as_deref()) {
            return found(feature_view::id(&named));
        }
        cause = error.source();
    }
    None
}

/// The table of which a data file is gone or damaged. Rows that were rejected are nowhere else.
fn table(error: &(dyn Error + 'static)) -> Option<TableName> {
    let sql = error.downcast_ref::<SqlError>().and_then(SqlError::damaged_table);
    let table = sql.or_else(|| SqlError::table_of_damage(error.downcast_ref::<DataFusionError>()?))?;
    (!table.is_rejected()).then_some(table)
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
