//! Reports of how served values compare with the lake.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::TimestampMicros;

use crate::{
    State, StateError,
    database::{Row, parameters},
    value,
};

impl State {
    /// Keeps a report, as JSON.
    pub fn record_verification<'a>(
        &'a self,
        at: TimestampMicros,
        report: &'a str,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let mut work = self.change("record the verification").await?;
            let sql = "INSERT INTO verify_reports (at, report) VALUES ($1, $2)";
            work.execute(sql, &parameters![at.0, report]).await?;
            work.commit().await
        }
        .boxed()
    }

    /// The newest reports first.
    pub fn verifications(
        &self,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(TimestampMicros, String)>, StateError>> {
        async move {
            let sql = "SELECT at, report FROM verify_reports ORDER BY id DESC LIMIT $1";
            let limit = parameters![value::count_in(limit as u64)];
            let rows = self.rows("read the verifications", sql, &limit).await?;
            let report = |mut row: Row| Ok((TimestampMicros(row.integer(0)?), row.text(1)?));
            rows.into_iter().map(report).collect()
        }
        .boxed()
    }
}
