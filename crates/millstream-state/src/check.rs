//! What checks found, run by run.

use millstream_types::{AssetId, CheckId, RunId, Severity};
use rusqlite::{Row, Transaction, params};

use crate::{State, StateError, value};

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
    /// What is known of an asset's checks: those of the last step that made a version, and what later steps found, which
    /// left the table as it was. By check.
    pub fn known_checks(&self, asset: &AssetId) -> Result<Vec<CheckResult>, StateError> {
        let doing = "read the known checks";
        let connection = self.read(doing)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT c.check_id, c.severity, c.passed, c.failed, c.observed, max(s.id) FROM check_results c \
                 JOIN steps s ON s.run = c.run AND s.asset = c.asset \
                 WHERE c.asset = ?1 AND s.id >= coalesce((\
                   SELECT max(id) FROM steps WHERE asset = ?1 AND outcome = 'built'), 0) \
                 GROUP BY c.check_id ORDER BY c.check_id",
            )
            .map_err(StateError::query(doing))?;
        let rows = statement
            .query_map([asset.as_str()], read)
            .map_err(StateError::query(doing))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(StateError::query(doing))?;
        rows.into_iter().map(with_severity).collect()
    }
}

/// A result, and the word for its severity.
fn read(row: &Row<'_>) -> rusqlite::Result<(CheckResult, String)> {
    let result = CheckResult {
        check: CheckId::from(row.get::<_, String>(0)?),
        severity: Severity::Warn,
        passed: row.get(2)?,
        failed: value::count_out(row.get(3)?),
        observed: row.get(4)?,
    };
    Ok((result, row.get(1)?))
}

fn with_severity((result, severity): (CheckResult, String)) -> Result<CheckResult, StateError> {
    Ok(CheckResult { severity: value::severity_out(&severity)?, ..result })
}

/// A repeated step of the same run replaces its results.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    run: &RunId,
    asset: &AssetId,
    results: &[CheckResult],
) -> Result<(), StateError> {
    let doing = "record the check results";
    let mut statement = transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO check_results (run, asset, check_id, severity, passed, failed, observed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .map_err(StateError::query(doing))?;
    for result in results {
        statement
            .execute(params![
                run.as_str(),
                asset.as_str(),
                result.check.as_str(),
                result.severity.as_str(),
                result.passed,
                value::count_in(result.failed),
                result.observed,
            ])
            .map_err(StateError::query(doing))?;
    }
    Ok(())
}
