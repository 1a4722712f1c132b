//! What the plan needs of each asset's last attempt.

use std::collections::BTreeMap;

use millstream_plan::{AssetStatus, Recorded};
use millstream_types::{AssetId, TimestampMicros};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::{Metric, State, StateError, metric, value};

const COLUMNS: &str = "asset, fingerprint, input_versions, version, rows, built_at, status, message, code";

/// An asset as the lake tells it.
#[derive(Clone, Copy, Debug)]
pub struct FoundAsset<'a> {
    pub asset: &'a AssetId,
    /// What is recorded from now on; `None` when the lake has nothing of the asset, so that the next plan finds it never
    /// built.
    pub recorded: Option<&'a Recorded>,
    /// Figures of the step that built it, recorded with its `built_at` as their time.
    pub metrics: &'a [Metric],
}

impl State {
    /// Everything that is recorded of assets, in one query.
    pub fn recorded(&self) -> Result<BTreeMap<AssetId, Recorded>, StateError> {
        let doing = "read what is recorded of the assets";
        let connection = self.read(doing)?;
        let mut statement = connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM assets"))
            .map_err(StateError::query(doing))?;
        let rows = statement.query_map([], read).map_err(StateError::query(doing))?;
        rows.map(|row| row.map_err(StateError::query(doing))?.parse()).collect()
    }

    /// What is recorded of one asset.
    pub fn recorded_of(&self, asset: &AssetId) -> Result<Option<Recorded>, StateError> {
        let doing = "read what is recorded of the asset";
        let connection = self.read(doing)?;
        let mut statement = connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM assets WHERE asset = ?1"))
            .map_err(StateError::query(doing))?;
        let row = statement.query_row([asset.as_str()], read).optional().map_err(StateError::query(doing))?;
        row.map(|row| Ok(row.parse()?.1)).transpose()
    }

    /// Records what was found outside of a step, when the lake turned out to be another than was recorded: all of it,
    /// or nothing. Unlike a step's end, each record is taken over as a whole.
    pub fn record_found(&self, found: &[FoundAsset<'_>]) -> Result<(), StateError> {
        if found.is_empty() {
            return Ok(());
        }
        self.write("record the asset", |transaction| {
            for FoundAsset { asset, recorded, metrics } in found {
                forget(transaction, asset)?;
                if let Some(recorded) = recorded {
                    record(transaction, asset, recorded)?;
                    metric::insert(transaction, asset, recorded.built_at, metrics)?;
                }
            }
            Ok(())
        })
    }
}

/// Forgets what is recorded of an asset. Its figures stay.
fn forget(transaction: &Transaction<'_>, asset: &AssetId) -> Result<(), StateError> {
    transaction
        .prepare_cached("DELETE FROM assets WHERE asset = ?1")
        .and_then(|mut statement| statement.execute([asset.as_str()]))
        .map(|_| ())
        .map_err(StateError::query("forget the asset"))
}

pub(crate) fn record(
    transaction: &Transaction<'_>,
    asset: &AssetId,
    recorded: &Recorded,
) -> Result<(), StateError> {
    let doing = "record the asset";
    let (status, message, code) = match &recorded.status {
        AssetStatus::Built => ("built", None, None),
        AssetStatus::Halted { reason } => ("halted", Some(reason), None),
        AssetStatus::Failed { code, error } => ("failed", Some(error), Some(code)),
    };
    let inputs: BTreeMap<&str, i64> =
        recorded.input_versions.iter().map(|(asset, version)| (asset.as_str(), *version)).collect();
    let inputs = serde_json::to_string(&inputs)
        .map_err(|error| value::unknown("input versions", error.to_string()))?;
    // After a halt or a failure the last good version stays, and the plan compares with what made that one.
    let kept = match recorded.status {
        AssetStatus::Built => {
            "fingerprint = excluded.fingerprint, input_versions = excluded.input_versions, \
             version = excluded.version, rows = excluded.rows, built_at = excluded.built_at, "
        }
        AssetStatus::Halted { .. } | AssetStatus::Failed { .. } => "",
    };
    transaction
        .prepare_cached(&format!(
            "INSERT INTO assets (asset, fingerprint, input_versions, version, rows, built_at, status, message, code) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (asset) DO UPDATE SET {kept}\
             status = excluded.status, message = excluded.message, code = excluded.code"
        ))
        .and_then(|mut statement| {
            statement.execute(params![
                asset.as_str(),
                recorded.fingerprint.to_string(),
                inputs,
                recorded.version,
                recorded.rows.map(value::count_in),
                recorded.built_at.0,
                status,
                message,
                code,
            ])
        })
        .map(|_| ())
        .map_err(StateError::query(doing))
}

/// A row of `assets` before its texts are understood.
struct Stored {
    asset: String,
    fingerprint: String,
    input_versions: String,
    version: Option<i64>,
    rows: Option<i64>,
    built_at: i64,
    status: String,
    message: Option<String>,
    code: Option<String>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        asset: row.get(0)?,
        fingerprint: row.get(1)?,
        input_versions: row.get(2)?,
        version: row.get(3)?,
        rows: row.get(4)?,
        built_at: row.get(5)?,
        status: row.get(6)?,
        message: row.get(7)?,
        code: row.get(8)?,
    })
}

impl Stored {
    fn parse(self) -> Result<(AssetId, Recorded), StateError> {
        let message = self.message.unwrap_or_default();
        let status = match self.status.as_str() {
            "built" => AssetStatus::Built,
            "halted" => AssetStatus::Halted { reason: message },
            "failed" => AssetStatus::Failed { code: self.code.unwrap_or_default(), error: message },
            other => return Err(value::unknown("an asset's status", other)),
        };
        let recorded = Recorded {
            fingerprint: self
                .fingerprint
                .parse()
                .map_err(|_| value::unknown("a fingerprint", self.fingerprint.as_str()))?,
            input_versions: serde_json::from_str(&self.input_versions)
                .map_err(|_| value::unknown("input versions", self.input_versions.as_str()))?,
            version: self.version,
            rows: self.rows.map(value::count_out),
            built_at: TimestampMicros(self.built_at),
            status,
        };
        Ok((AssetId::from(self.asset), recorded))
    }
}
