//! Figures of assets over time.

use millstream_types::{AssetId, TimestampMicros};
use rusqlite::{Transaction, params};

use crate::StateError;

/// A figure that a step measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// `row_count`, `mean(amount)`.
    pub name: String,
    /// Not a number (NaN) is not recorded.
    pub value: f64,
}

pub(crate) fn insert(
    transaction: &Transaction<'_>,
    asset: &AssetId,
    at: TimestampMicros,
    metrics: &[Metric],
) -> Result<(), StateError> {
    let doing = "record the metrics";
    let mut statement = transaction
        .prepare_cached("INSERT OR REPLACE INTO metrics (asset, name, at, value) VALUES (?1, ?2, ?3, ?4)")
        .map_err(StateError::query(doing))?;
    for metric in metrics.iter().filter(|metric| !metric.value.is_nan()) {
        statement
            .execute(params![asset.as_str(), metric.name, at.0, metric.value])
            .map_err(StateError::query(doing))?;
    }
    Ok(())
}
