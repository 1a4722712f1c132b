//! Figures of assets over time, which table checks compare with.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, TimestampMicros};

use crate::{State, StateError, database::parameters, store::Work, value};

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
    pub fn metric_history<'a>(
        &'a self,
        asset: &'a AssetId,
        name: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<MetricPoint>, StateError>> {
        async move {
            let sql =
                "SELECT at, value FROM metrics WHERE asset = $1 AND name = $2 ORDER BY at DESC LIMIT $3";
            let parameters = parameters![asset.as_str(), name, value::count_in(limit as u64)];
            let rows = self.rows("read the history of a metric", sql, &parameters).await?;
            let point = |mut row: crate::database::Row| {
                Ok(MetricPoint { at: TimestampMicros(row.integer(0)?), value: row.real(1)? })
            };
            rows.into_iter().map(point).collect()
        }
        .boxed()
    }
}

pub(crate) async fn insert(
    work: &mut Work<'_>,
    asset: &AssetId,
    at: TimestampMicros,
    metrics: &[Metric],
) -> Result<(), StateError> {
    for metric in metrics.iter().filter(|metric| !metric.value.is_nan()) {
        work.execute(
            "INSERT INTO metrics (asset, name, at, value) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (asset, name, at) DO UPDATE SET value = excluded.value",
            &parameters![asset.as_str(), &metric.name, at.0, metric.value],
        )
        .await?;
    }
    Ok(())
}
