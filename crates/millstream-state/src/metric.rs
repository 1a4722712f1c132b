//! Figures of assets over time.

use millstream_types::{AssetId, TimestampMicros};

use crate::{StateError, database::parameters, store::Work};

/// A figure that a step measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name of the figure, such as `row_count` or `mean(amount)`.
    pub name: String,
    /// The figure itself. A NaN is not recorded.
    pub value: f64,
}

pub(crate) async fn insert(
    work: &mut Work<'_>,
    asset: &AssetId,
    at: TimestampMicros,
    metrics: &[Metric],
) -> Result<(), StateError> {
    let rows: Vec<_> = metrics
        .iter()
        .filter(|metric| !metric.value.is_nan())
        .map(|metric| parameters![asset.as_str(), &metric.name, at.0, metric.value].to_vec())
        .collect();
    work.execute_each(
        "INSERT INTO metrics (asset, name, at, value) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (asset, name, at) DO UPDATE SET value = excluded.value",
        &rows,
    )
    .await
}
