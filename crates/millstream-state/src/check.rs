//! What checks found, run by run.

use std::collections::BTreeMap;

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, CheckId, RunId, Severity};

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::Work,
    value,
};

/// What one check found in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    pub check: CheckId,
    pub severity: Severity,
    pub passed: bool,
    /// Rows that broke a row check; 0 or 1 for a table check.
    pub failed: u64,
    /// The figure that was compared, as text.
    pub observed: Option<String>,
}

impl State {
    /// The latest result of each of an asset's checks, ordered by check: results of the last step that made a version, and
    /// of later steps, which left the table as it was.
    pub fn known_checks<'a>(
        &'a self,
        asset: &'a AssetId,
    ) -> BoxFuture<'a, Result<Vec<CheckResult>, StateError>> {
        async move {
            let sql = "SELECT c.check_id, c.severity, c.passed, c.failed, c.observed FROM check_results c \
                       JOIN steps s ON s.run = c.run AND s.asset = c.asset \
                       WHERE c.asset = $1 AND s.id >= coalesce((\
                         SELECT max(id) FROM steps WHERE asset = $1 AND outcome = 'built'), 0) ORDER BY s.id";
            let rows = self.rows("read the known checks", sql, &parameters![asset.as_str()]).await?;
            // The result of a later step replaces that of an earlier one.
            let mut results = BTreeMap::new();
            for row in rows {
                let result = parse(row)?;
                results.insert(result.check.clone(), result);
            }
            Ok(results.into_values().collect())
        }
        .boxed()
    }
}

fn parse(mut row: Row) -> Result<CheckResult, StateError> {
    Ok(CheckResult {
        check: CheckId::from(row.text(0)?),
        severity: value::severity_out(&row.text(1)?)?,
        passed: row.integer(2)? != 0,
        failed: value::count_out(row.integer(3)?),
        observed: row.text_or_null(4)?,
    })
}

/// Inserts the results of a step. A step that is repeated in the same run replaces its earlier results.
pub(crate) async fn insert(
    work: &mut Work<'_>,
    run: &RunId,
    asset: &AssetId,
    results: &[CheckResult],
) -> Result<(), StateError> {
    let rows: Vec<_> = results
        .iter()
        .map(|result| {
            parameters![
                run.as_str(),
                asset.as_str(),
                result.check.as_str(),
                result.severity.as_str(),
                result.passed,
                value::count_in(result.failed),
                result.observed.as_deref(),
            ]
            .to_vec()
        })
        .collect();
    work.execute_each(
        "INSERT INTO check_results (run, asset, check_id, severity, passed, failed, observed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (run, asset, check_id) DO UPDATE SET \
         severity = excluded.severity, passed = excluded.passed, failed = excluded.failed, \
         observed = excluded.observed",
        &rows,
    )
    .await
}
