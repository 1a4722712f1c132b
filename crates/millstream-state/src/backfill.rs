//! Backfills: which partitions somebody asked for, and how far that has come, so that another process can go on with it.

use futures::future::{BoxFuture, FutureExt};
use millstream_plan::PartitionSet;
use millstream_types::{AssetId, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::{Work, changed},
    value,
};

/// A backfill as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillRecord {
    pub id: String,
    pub asset: AssetId,
    /// The partitions that were asked for.
    pub wanted: PartitionSet,
    /// Those of them that are built.
    pub done: PartitionSet,
    /// Those of them whose last attempt failed.
    pub failed: PartitionSet,
    /// The word for how many partitions are built together, as it was asked for; empty for one.
    pub chunk: String,
    /// JSON of the parameters that are set, by name; empty for none.
    pub parameters: String,
    /// How many chunks are computed at once.
    pub parallel: u64,
    pub status: BackfillStatus,
    pub started: TimestampMicros,
    /// When it was through or was cancelled.
    pub finished: Option<TimestampMicros>,
}

/// How far a backfill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillStatus {
    /// There is something left to do, whether or not a process does it at this moment.
    Open,
    Finished,
    /// Every partition was tried, and some failed.
    Failed,
    Cancelled,
}

impl BackfillStatus {
    const ALL: [Self; 4] = [Self::Open, Self::Finished, Self::Failed, Self::Cancelled];

    /// The stable word for machines and for the state store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

const COLUMNS: &str =
    "backfill, asset, wanted, done, failed, chunk, parameters, parallel, status, started, finished";

impl State {
    /// Records a backfill that begins. One that is recorded already stays as it is.
    pub fn begin_backfill<'a>(&'a self, record: &'a BackfillRecord) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the backfill").await?;
                let (wanted, done) = (record.wanted.to_string(), record.done.to_string());
                let failed = record.failed.to_string();
                let sql = format!(
                    "INSERT INTO backfills ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                     ON CONFLICT DO NOTHING"
                );
                let values = parameters![
                    &record.id,
                    record.asset.as_str(),
                    &wanted,
                    &done,
                    &failed,
                    &record.chunk,
                    &record.parameters,
                    value::count_in(record.parallel),
                    record.status.as_str(),
                    record.started.0,
                    record.finished.map(|at| at.0),
                ];
                work.execute(&sql, &values).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// Records which partitions a backfill asks for that began without knowing them.
    pub fn want_in_backfill<'a>(
        &'a self,
        id: &'a str,
        wanted: &'a PartitionSet,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record what the backfill asks for").await?;
                let wanted = wanted.to_string();
                let sql = "UPDATE backfills SET wanted = $2 WHERE backfill = $1";
                work.execute(sql, &parameters![id, &wanted]).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// Records that a backfill has ended, if it is open; one that ended already stays as it ended.
    pub fn end_backfill<'a>(
        &'a self,
        id: &'a str,
        status: BackfillStatus,
        at: TimestampMicros,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the end of the backfill").await?;
                let sql =
                    "UPDATE backfills SET status = $2, finished = $3 WHERE backfill = $1 AND status = 'open'";
                let ended = work.execute(sql, &parameters![id, status.as_str(), at.0]).await?;
                work.commit().await?;
                Ok::<bool, StateError>(ended > 0)
            })
        }
        .boxed()
    }

    /// Opens a failed or cancelled backfill once more.
    pub fn reopen_backfill<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("reopen the backfill").await?;
                let sql = "UPDATE backfills SET status = 'open', failed = '', finished = NULL \
                           WHERE backfill = $1 AND status IN ('failed', 'cancelled')";
                work.execute(sql, &parameters![id]).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// One backfill.
    pub fn backfill<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<BackfillRecord>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM backfills WHERE backfill = $1");
            let rows = self.rows(READING, &sql, &parameters![id]).await?;
            rows.into_iter().next().map(parse).transpose()
        }
        .boxed()
    }

    /// The last `limit` backfills, the newest first.
    pub fn backfills(&self, limit: usize) -> BoxFuture<'_, Result<Vec<BackfillRecord>, StateError>> {
        async move {
            let sql =
                format!("SELECT {COLUMNS} FROM backfills ORDER BY started DESC, backfill DESC LIMIT $1");
            let rows = self.rows(READING, &sql, &parameters![value::count_in(limit as u64)]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }
}

const READING: &str = "read the backfills";

/// Records how far an open backfill has come.
pub(crate) async fn progress(
    work: &mut Work<'_>,
    id: &str,
    done: &PartitionSet,
    failed: &PartitionSet,
) -> Result<(), StateError> {
    let (done, failed) = (done.to_string(), failed.to_string());
    let sql = "UPDATE backfills SET done = $2, failed = $3 WHERE backfill = $1";
    work.execute(sql, &parameters![id, &done, &failed]).await.map(drop)
}

fn parse(mut row: Row) -> Result<BackfillRecord, StateError> {
    let set = |text: String| {
        text.parse::<PartitionSet>().map_err(|wrong| value::unknown("a range of partitions", wrong))
    };
    Ok(BackfillRecord {
        id: row.text(0)?,
        asset: AssetId::from(row.text(1)?),
        wanted: set(row.text(2)?)?,
        done: set(row.text(3)?)?,
        failed: set(row.text(4)?)?,
        chunk: row.text(5)?,
        parameters: row.text(6)?,
        parallel: value::count_out(row.integer(7)?),
        status: value::word_out(
            "how far a backfill has come",
            &row.text(8)?,
            &BackfillStatus::ALL,
            BackfillStatus::as_str,
        )?,
        started: TimestampMicros(row.integer(9)?),
        finished: row.integer_or_null(10)?.map(TimestampMicros),
    })
}
