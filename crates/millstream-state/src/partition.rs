//! Where the partitions of assets stand: partitions in a row that stand equally are one row.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, FutureExt};
use millstream_plan::{PartitionSet, PartitionSpan, PartitionStanding, PartitionStates, PartitionStatus};
use millstream_types::{AssetId, AssetVersion, CheckId, RunId, Severity};

use crate::{
    State, StateError, backfill,
    database::{Parameter, Row, parameters},
    lease,
    store::{Work, changed},
    value,
};

/// What a step has found out of an asset's partitions, or built of them.
#[derive(Clone, Copy, Debug)]
pub struct PartitionRecord<'a> {
    pub run: &'a RunId,
    pub asset: &'a AssetId,
    pub states: &'a PartitionStates,
    /// The first and the last partition that may stand otherwise than on record; `None` for any of them.
    pub touched: Option<(i64, i64)>,
    /// The partitions whose checks were judged: earlier results of these are forgotten.
    pub judged: &'a PartitionSet,
    /// The checks that did not hold, by partition.
    pub broken: &'a [BrokenCheck],
    /// The backfill that built them, with the partitions of its own that are done and that failed.
    pub backfill: Option<(&'a str, &'a PartitionSet, &'a PartitionSet)>,
}

/// A check that does not hold in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenCheck {
    pub partition: i64,
    pub check: CheckId,
    pub severity: Severity,
    /// Rows that broke a row check; 1 for a check of the whole partition.
    pub failed: u64,
    /// The figure that was compared, as text.
    pub observed: Option<String>,
}

/// Which partition is which value of the column, of an asset that is parted by value.
pub type PartitionValues = BTreeMap<i64, String>;

impl State {
    /// Where the partitions of an asset stand; `None` for one that has none on record.
    pub fn partitions<'a>(
        &'a self,
        asset: &'a AssetId,
    ) -> BoxFuture<'a, Result<Option<PartitionStates>, StateError>> {
        async move {
            let mut work = self.reading("read the partitions").await?;
            let head =
                "SELECT fingerprint, seen, version, built, micros, settled FROM partitioned_assets WHERE asset = $1";
            let Some(mut head) = work.row(head, &parameters![asset.as_str()]).await? else {
                return Ok(None);
            };
            let spans = spans(&mut work, asset, (i64::MIN, i64::MAX)).await?;
            work.end().await?;
            let fingerprint = head.text(0)?;
            let fingerprint =
                fingerprint.parse().map_err(|_| value::unknown("a fingerprint", fingerprint.as_str()))?;
            let mut states = PartitionStates::new(fingerprint);
            (states.seen, states.settled) = (versions_out(&head.text(1)?)?, versions_out(&head.text(5)?)?);
            states.version = head.version_or_null(2)?;
            (states.built, states.micros) =
                (value::count_out(head.integer(3)?), value::count_out(head.integer(4)?));
            Ok(Some(states.with_spans(spans)))
        }
        .boxed()
    }

    /// How many partitions of each asset are missing, stale or failed; assets without such ones are left out.
    pub fn partitions_open(&self) -> BoxFuture<'_, Result<BTreeMap<AssetId, u64>, StateError>> {
        async move {
            let sql = "SELECT asset, CAST(sum(last_partition - first_partition + 1) AS BIGINT) FROM partitions \
                       WHERE status <> 'built' GROUP BY asset";
            let rows = self.rows("count the partitions", sql, &[]).await?;
            let open = |mut row: Row| Ok((AssetId::from(row.text(0)?), value::count_out(row.integer(1)?)));
            rows.into_iter().map(open).collect()
        }
        .boxed()
    }

    /// Records where an asset's partitions stand, or nothing. Errors with [`StateError::LeaseLost`] when another lease has
    /// taken the place of that of the run.
    pub fn record_partitions<'a>(
        &'a self,
        record: &'a PartitionRecord<'a>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the partitions").await?;
                lease::hold(&mut work, record.run).await?;
                head(&mut work, record).await?;
                replace(&mut work, record).await?;
                checks(&mut work, record).await?;
                if let Some((backfill, done, failed)) = record.backfill {
                    backfill::progress(&mut work, backfill, done, failed).await?;
                }
                work.commit().await
            })
        }
        .boxed()
    }

    /// The values of an asset's partitions by their numbers.
    pub fn partition_values<'a>(
        &'a self,
        asset: &'a AssetId,
    ) -> BoxFuture<'a, Result<PartitionValues, StateError>> {
        async move {
            let sql = "SELECT partition, value FROM partition_values WHERE asset = $1";
            let rows = self.rows("read the values of partitions", sql, &parameters![asset.as_str()]).await?;
            rows.into_iter().map(|mut row| Ok((row.integer(0)?, row.text(1)?))).collect()
        }
        .boxed()
    }

    /// Gives numbers to further values. Errors with [`StateError::LeaseLost`] when another lease has taken the place of that of
    /// the run.
    pub fn name_partitions<'a>(
        &'a self,
        run: &'a RunId,
        asset: &'a AssetId,
        values: &'a PartitionValues,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("name the partitions").await?;
                lease::hold(&mut work, run).await?;
                let rows: Vec<Vec<Parameter<'_>>> = values
                    .iter()
                    .map(|(number, value)| parameters![asset.as_str(), *number, value].to_vec())
                    .collect();
                let sql = "INSERT INTO partition_values (asset, partition, value) VALUES ($1, $2, $3) \
                           ON CONFLICT DO NOTHING";
                work.execute_each(sql, &rows).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// The checks of an asset that do not hold in some of its partitions, by partition and check.
    pub fn broken_checks<'a>(
        &'a self,
        asset: &'a AssetId,
    ) -> BoxFuture<'a, Result<Vec<BrokenCheck>, StateError>> {
        async move {
            let sql = "SELECT partition, check_id, severity, failed, observed FROM partition_checks \
                       WHERE asset = $1 ORDER BY partition, check_id";
            let rows = self.rows("read the checks of partitions", sql, &parameters![asset.as_str()]).await?;
            let broken = |mut row: Row| {
                Ok(BrokenCheck {
                    partition: row.integer(0)?,
                    check: CheckId::from(row.text(1)?),
                    severity: value::severity_out(&row.text(2)?)?,
                    failed: value::count_out(row.integer(3)?),
                    observed: row.text_or_null(4)?,
                })
            };
            rows.into_iter().map(broken).collect()
        }
        .boxed()
    }
}

async fn head(work: &mut Work<'_>, record: &PartitionRecord<'_>) -> Result<(), StateError> {
    let states = record.states;
    let (seen, settled) = (versions_in(&states.seen)?, versions_in(&states.settled)?);
    let fingerprint = states.fingerprint.to_string();
    let sql = "INSERT INTO partitioned_assets (asset, fingerprint, seen, version, built, micros, settled) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (asset) DO UPDATE SET \
               fingerprint = excluded.fingerprint, seen = excluded.seen, version = excluded.version, \
               built = excluded.built, micros = excluded.micros, settled = excluded.settled";
    let values = parameters![
        record.asset.as_str(),
        &fingerprint,
        &seen,
        states.version,
        value::count_in(states.built),
        value::count_in(states.micros),
        &settled,
    ];
    work.execute(sql, &values).await.map(drop)
}

fn versions_in(versions: &BTreeMap<AssetId, AssetVersion>) -> Result<String, StateError> {
    let versions: BTreeMap<&str, AssetVersion> =
        versions.iter().map(|(asset, version)| (asset.as_str(), *version)).collect();
    serde_json::to_string(&versions).map_err(|error| value::unknown("versions of assets", error.to_string()))
}

fn versions_out(text: &str) -> Result<BTreeMap<AssetId, AssetVersion>, StateError> {
    let versions: BTreeMap<String, AssetVersion> =
        serde_json::from_str(text).map_err(|_| value::unknown("versions of assets", text))?;
    Ok(versions.into_iter().map(|(asset, version)| (AssetId::from(asset), version)).collect())
}

/// Writes the spans that are new, and deletes those that are no more. A span that only touches the partitions that changed may
/// have become one with them.
async fn replace(work: &mut Work<'_>, record: &PartitionRecord<'_>) -> Result<(), StateError> {
    let asset = record.asset.as_str();
    let (first, last) = record.touched.unwrap_or((i64::MIN, i64::MAX));
    let near = (first.saturating_sub(1), last.saturating_add(1));
    let is_near = |span: &&PartitionSpan| span.last >= near.0 && span.first <= near.1;
    let known = spans(work, record.asset, near).await?;
    let key = |span: &PartitionSpan| (span.first, span.last);
    let before: BTreeMap<_, _> = known.iter().map(|span| (key(span), span)).collect();
    let is_new = |span: &&PartitionSpan| before.get(&key(span)).is_none_or(|known| *known != *span);
    let spans = || record.states.spans().iter().filter(is_near);
    let new: Vec<&PartitionSpan> = spans().filter(is_new).collect();
    let kept: BTreeSet<_> = spans().filter(|span| !is_new(span)).map(key).collect();
    let gone = known.iter().filter(|span| !kept.contains(&key(span)));
    let gone: Vec<_> = gone.map(|span| parameters![asset, span.first].to_vec()).collect();
    work.execute_each("DELETE FROM partitions WHERE asset = $1 AND first_partition = $2", &gone).await?;
    let rows: Vec<_> = new
        .iter()
        .map(|span| {
            let error = match &span.standing.status {
                PartitionStatus::Failed { error } => Some(error.as_str()),
                _ => None,
            };
            let status = span.standing.status.as_str();
            parameters![asset, span.first, span.last, status, error, &span.standing.parameters].to_vec()
        })
        .collect();
    let sql = "INSERT INTO partitions (asset, first_partition, last_partition, status, error, parameters) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    work.execute_each(sql, &rows).await
}

async fn checks(work: &mut Work<'_>, record: &PartitionRecord<'_>) -> Result<(), StateError> {
    let asset = record.asset.as_str();
    let judged = record.judged.ranges().iter();
    let judged: Vec<_> = judged.map(|(first, last)| parameters![asset, *first, *last].to_vec()).collect();
    let sql = "DELETE FROM partition_checks WHERE asset = $1 AND partition >= $2 AND partition <= $3";
    work.execute_each(sql, &judged).await?;
    let rows: Vec<_> = record
        .broken
        .iter()
        .map(|broken| {
            let (check, severity) = (broken.check.as_str(), broken.severity.as_str());
            let failed = value::count_in(broken.failed);
            parameters![asset, broken.partition, check, severity, failed, broken.observed.as_deref()].to_vec()
        })
        .collect();
    let sql = "INSERT INTO partition_checks (asset, partition, check_id, severity, failed, observed) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (asset, partition, check_id) DO UPDATE SET \
               severity = excluded.severity, failed = excluded.failed, observed = excluded.observed";
    work.execute_each(sql, &rows).await
}

/// The spans with partitions from the first to the last.
async fn spans(
    work: &mut Work<'_>,
    asset: &AssetId,
    (first, last): (i64, i64),
) -> Result<Vec<PartitionSpan>, StateError> {
    let sql = "SELECT first_partition, last_partition, status, error, parameters FROM partitions \
               WHERE asset = $1 AND last_partition >= $2 AND first_partition <= $3 ORDER BY first_partition";
    work.rows(sql, &parameters![asset.as_str(), first, last]).await?.into_iter().map(span).collect()
}

fn span(mut row: Row) -> Result<PartitionSpan, StateError> {
    let status = match row.text(2)?.as_str() {
        "built" => PartitionStatus::Built,
        "stale" => PartitionStatus::Stale,
        "missing" => PartitionStatus::Missing,
        "failed" => PartitionStatus::Failed { error: row.text_or_null(3)?.unwrap_or_default() },
        other => return Err(value::unknown("where a partition stands", other)),
    };
    Ok(PartitionSpan {
        first: row.integer(0)?,
        last: row.integer(1)?,
        standing: PartitionStanding { status, parameters: row.text(4)? },
    })
}
