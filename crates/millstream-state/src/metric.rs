//! Figures of assets over time, which table checks compare with.

use millstream_types::{AssetId, TimestampMicros};
use rusqlite::{Transaction, params};

use crate::{State, StateError, value};

/// A figure that a step measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// `row_count`, `mean(amount)`.
    pub name: String,
    /// Not a number (NaN) is not recorded.
    pub value: f64,
}

/// A figure at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricPoint {
    pub at: TimestampMicros,
    pub value: f64,
}

impl State {
    /// The latest `limit` values of a figure, newest first.
    pub fn metric_history(
        &self,
        asset: &AssetId,
        name: &str,
        limit: usize,
    ) -> Result<Vec<MetricPoint>, StateError> {
        let doing = "read the history of a metric";
        let connection = self.read(doing)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT at, value FROM metrics WHERE asset = ?1 AND name = ?2 ORDER BY at DESC LIMIT ?3",
            )
            .map_err(StateError::query(doing))?;
        statement
            .query_map(params![asset.as_str(), name, value::count_in(limit as u64)], |row| {
                Ok(MetricPoint { at: TimestampMicros(row.get(0)?), value: row.get(1)? })
            })
            .and_then(Iterator::collect)
            .map_err(StateError::query(doing))
    }
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
