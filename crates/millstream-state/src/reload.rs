//! The attempt of a server to load its project again that failed, for others who ask how the project stands.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::TimestampMicros;

use crate::{
    LeaseToken, State, StateError,
    database::{Row, parameters},
    store::{Work, changed},
};

/// An attempt to load the project again that changed nothing: the server goes on with what it had loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedReload {
    pub at: TimestampMicros,
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
}

impl State {
    /// Records how the last attempt of the server failed that holds the lease, in the place of its earlier ones.
    pub fn record_failed_reload<'a>(
        &'a self,
        lease: LeaseToken,
        failed: &'a FailedReload,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the reload").await?;
                forget(&mut work, Some(lease)).await?;
                let FailedReload { at, code, message, hint } = failed;
                let sql =
                    "INSERT INTO failed_reloads (at, code, message, hint, lease) VALUES ($1, $2, $3, $4, $5)";
                let values = parameters![at.0, code, message, hint.as_ref(), lease.0];
                work.execute(sql, &values).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// Nothing is wrong any more with the server that held the `lease`. Those of others stay as they are, but for servers that are
    /// gone.
    pub fn forget_failed_reload(&self, lease: Option<LeaseToken>) -> BoxFuture<'_, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the reload").await?;
                forget(&mut work, lease).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// The latest attempt that failed among those of servers that live; `None` while nothing is wrong. `now` is the time of the
    /// caller, used where the database has no clock of its own.
    pub fn failed_reload(
        &self,
        now: TimestampMicros,
    ) -> BoxFuture<'_, Result<Option<FailedReload>, StateError>> {
        async move {
            let sql = "SELECT at, code, message, hint, lease FROM failed_reloads \
                       WHERE lease IS NOT NULL ORDER BY at DESC";
            let rows = self.rows("read the reload", sql, &[]).await?;
            if rows.is_empty() {
                return Ok(None);
            }
            let held: Vec<LeaseToken> =
                self.leases(now).await?.into_iter().map(|lease| lease.token).collect();
            for mut row in rows {
                if held.contains(&LeaseToken(row.integer(4)?)) {
                    return parse(row).map(Some);
                }
            }
            Ok(None)
        }
        .boxed()
    }
}

async fn forget(work: &mut Work<'_>, lease: Option<LeaseToken>) -> Result<(), StateError> {
    let gone = "DELETE FROM failed_reloads WHERE lease IS NULL OR lease NOT IN (SELECT token FROM leases)";
    work.execute(gone, &[]).await?;
    if let Some(lease) = lease {
        let own = "DELETE FROM failed_reloads WHERE lease = $1";
        work.execute(own, &parameters![lease.0]).await?;
    }
    Ok(())
}

fn parse(mut row: Row) -> Result<FailedReload, StateError> {
    Ok(FailedReload {
        at: TimestampMicros(row.integer(0)?),
        code: row.text(1)?,
        message: row.text(2)?,
        hint: row.text_or_null(3)?,
    })
}
