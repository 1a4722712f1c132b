//! What is recorded of each asset's last attempt, for the next plan.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, FutureExt};
use millstream_plan::{AssetStatus, Recorded};
use millstream_types::{AssetId, AssetVersion, TimestampMicros};

use crate::{
    Metric, State, StateError,
    database::{Parameter, Row, parameters},
    metric, set,
    store::{Work, changed},
    value,
};

const COLUMNS: &str = "asset, fingerprint, input_versions, version, rows, built_at, status, message, code";

/// So many assets are named in one statement.
pub(crate) const PARAMETERS_MAX: usize = 500;

/// An asset as it was found in the lake.
#[derive(Clone, Copy, Debug)]
pub struct FoundAsset<'a> {
    pub asset: &'a AssetId,
    /// What was recorded of the asset when the lake was read. A record that differs from this by now is newer, and stays.
    pub seen: Option<&'a Recorded>,
    /// What is recorded from now on; `None` when the lake has nothing of the asset, so that the next plan finds it never
    /// built.
    pub recorded: Option<&'a Recorded>,
    /// The figures of the step that built the asset, recorded with the record's `built_at` as their time.
    pub metrics: &'a [Metric],
}

impl State {
    /// Everything that is recorded of assets, in one query.
    pub fn recorded(&self) -> BoxFuture<'_, Result<BTreeMap<AssetId, Recorded>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM assets");
            let rows = self.rows("read what is recorded of the assets", &sql, &[]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// What is recorded of these assets, as far as something is.
    pub fn recorded_among<'a>(
        &'a self,
        assets: &'a BTreeSet<AssetId>,
    ) -> BoxFuture<'a, Result<BTreeMap<AssetId, Recorded>, StateError>> {
        async move {
            let mut recorded = BTreeMap::new();
            let assets: Vec<&AssetId> = assets.iter().collect();
            for assets in assets.chunks(PARAMETERS_MAX) {
                let (places, parameters) = named(assets.iter().copied());
                let sql = format!("SELECT {COLUMNS} FROM assets WHERE asset IN ({places})");
                for row in self.rows("read what is recorded of the assets", &sql, &parameters).await? {
                    recorded.extend([parse(row)?]);
                }
            }
            Ok(recorded)
        }
        .boxed()
    }

    /// What is recorded of one asset.
    pub fn recorded_of<'a>(
        &'a self,
        asset: &'a AssetId,
    ) -> BoxFuture<'a, Result<Option<Recorded>, StateError>> {
        async move {
            let doing = "read what is recorded of the asset";
            let rows = self.rows(doing, &of_one(), &parameters![asset.as_str()]).await?;
            rows.into_iter().next().map(|row| Ok(parse(row)?.1)).transpose()
        }
        .boxed()
    }

    /// Records what was found outside of a step, when the lake turned out to differ from the records: all of it, or
    /// nothing. Unlike at a step's end, each record is replaced as a whole. An asset that was put back to an earlier version
    /// has lost the later ones in every set, and one that is gone has lost all.
    pub fn record_found<'a>(&'a self, found: &'a [FoundAsset<'a>]) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                if found.is_empty() {
                    return Ok(());
                }
                let mut work = self.change("record the asset").await?;
                for FoundAsset { asset, seen, recorded, metrics } in found {
                    let present = present(&mut work, asset).await?;
                    if present.as_ref() != *seen {
                        continue;
                    }
                    let version =
                        |recorded: &Option<&Recorded>| recorded.and_then(|recorded| recorded.version);
                    if version(recorded) < version(seen) {
                        set::lose(&mut work, asset, version(recorded)).await?;
                    }
                    let bad_since = bad_since(&mut work, asset).await?;
                    // What is recorded of the asset is forgotten. Its figures stay.
                    work.execute("DELETE FROM assets WHERE asset = $1", &parameters![asset.as_str()]).await?;
                    if let Some(recorded) = recorded {
                        record(&mut work, asset, recorded).await?;
                        // What was found says nothing new of attempts that ended badly.
                        keep_bad_since(&mut work, asset, bad_since).await?;
                        metric::insert(&mut work, asset, recorded.built_at, metrics).await?;
                    }
                }
                work.commit().await
            })
        }
        .boxed()
    }
}

/// The places of these assets among the parameters of a statement, with a comma between two, and the parameters.
pub(crate) fn named<'a>(assets: impl IntoIterator<Item = &'a AssetId>) -> (String, Vec<Parameter<'a>>) {
    let parameters: Vec<_> = assets.into_iter().map(|asset| Parameter::Text(asset.as_str())).collect();
    let places: Vec<String> = (1..=parameters.len()).map(|place| format!("${place}")).collect();
    (places.join(", "), parameters)
}

fn of_one() -> String {
    format!("SELECT {COLUMNS} FROM assets WHERE asset = $1")
}

async fn present(work: &mut Work<'_>, asset: &AssetId) -> Result<Option<Recorded>, StateError> {
    let row = work.row(&of_one(), &parameters![asset.as_str()]).await?;
    row.map(|row| Ok(parse(row)?.1)).transpose()
}

/// Since when attempts at the asset have ended badly.
async fn bad_since(work: &mut Work<'_>, asset: &AssetId) -> Result<Option<i64>, StateError> {
    let sql = "SELECT bad_since FROM assets WHERE asset = $1";
    let row = work.row(sql, &parameters![asset.as_str()]).await?;
    Ok(row.map(|mut row| row.integer_or_null(0)).transpose()?.flatten())
}

/// An asset whose last attempt ended badly has done so since then, whatever was found of it.
async fn keep_bad_since(
    work: &mut Work<'_>,
    asset: &AssetId,
    bad_since: Option<i64>,
) -> Result<(), StateError> {
    let Some(since) = bad_since else { return Ok(()) };
    let sql = "UPDATE assets SET bad_since = $2 WHERE asset = $1 AND bad_since IS NOT NULL";
    work.execute(sql, &parameters![asset.as_str(), since]).await?;
    Ok(())
}

pub(crate) async fn record(
    work: &mut Work<'_>,
    asset: &AssetId,
    recorded: &Recorded,
) -> Result<(), StateError> {
    let (status, message, code) = match &recorded.status {
        AssetStatus::Built => ("built", None, None),
        AssetStatus::Halted { reason } => ("halted", Some(reason), None),
        AssetStatus::Failed { code, error } => ("failed", Some(error), Some(code)),
    };
    let inputs: BTreeMap<&str, AssetVersion> =
        recorded.input_versions.iter().map(|(asset, version)| (asset.as_str(), *version)).collect();
    let inputs = serde_json::to_string(&inputs)
        .map_err(|error| value::unknown("input versions", error.to_string()))?;
    // After a halt or a failure the last good version stays, and the plan compares with what made that one.
    let kept = match recorded.status {
        AssetStatus::Built => {
            "fingerprint = excluded.fingerprint, input_versions = excluded.input_versions, \
             version = excluded.version, rows = excluded.rows, built_at = excluded.built_at, \
             bad_since = NULL, "
        }
        AssetStatus::Halted { .. } | AssetStatus::Failed { .. } => {
            "bad_since = coalesce(assets.bad_since, excluded.bad_since), "
        }
    };
    let fingerprint = recorded.fingerprint.to_string();
    work.execute(
        &format!(
            "INSERT INTO assets \
             (asset, fingerprint, input_versions, version, rows, built_at, status, message, code, bad_since) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (asset) DO UPDATE SET {kept}\
             status = excluded.status, message = excluded.message, code = excluded.code"
        ),
        &parameters![
            asset.as_str(),
            &fingerprint,
            &inputs,
            recorded.version,
            recorded.rows.map(value::count_in),
            recorded.built_at.0,
            status,
            message,
            code,
            (recorded.status != AssetStatus::Built).then_some(recorded.built_at.0),
        ],
    )
    .await
    .map(|_| ())
}

fn parse(mut row: Row) -> Result<(AssetId, Recorded), StateError> {
    let (fingerprint, input_versions) = (row.text(1)?, row.text(2)?);
    let status = row.text(6)?;
    let message = row.text_or_null(7)?.unwrap_or_default();
    let status = match status.as_str() {
        "built" => AssetStatus::Built,
        "halted" => AssetStatus::Halted { reason: message },
        "failed" => AssetStatus::Failed { code: row.text_or_null(8)?.unwrap_or_default(), error: message },
        other => return Err(value::unknown("an asset's status", other)),
    };
    let recorded = Recorded {
        fingerprint: fingerprint
            .parse()
            .map_err(|_| value::unknown("a fingerprint", fingerprint.as_str()))?,
        input_versions: serde_json::from_str(&input_versions)
            .map_err(|_| value::unknown("input versions", input_versions.as_str()))?,
        version: row.version_or_null(3)?,
        rows: row.integer_or_null(4)?.map(value::count_out),
        built_at: TimestampMicros(row.integer(5)?),
        status,
    };
    Ok((AssetId::from(row.text(0)?), recorded))
}
