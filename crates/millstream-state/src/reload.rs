//! The attempt of a server to load its project again that failed, for others who ask how the project stands.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::TimestampMicros;

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::changed,
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
    /// Records how the last attempt failed, or that nothing is wrong any more.
    pub fn record_reload<'a>(
        &'a self,
        failed: Option<&'a FailedReload>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the reload").await?;
                work.execute("DELETE FROM failed_reloads", &[]).await?;
                if let Some(FailedReload { at, code, message, hint }) = failed {
                    let sql = "INSERT INTO failed_reloads (at, code, message, hint) VALUES ($1, $2, $3, $4)";
                    work.execute(sql, &parameters![at.0, code, message, hint.as_ref()]).await?;
                }
                work.commit().await
            })
        }
        .boxed()
    }

    /// How the last attempt failed; `None` while nothing is wrong.
    pub fn failed_reload(&self) -> BoxFuture<'_, Result<Option<FailedReload>, StateError>> {
        async move {
            let sql = "SELECT at, code, message, hint FROM failed_reloads ORDER BY at DESC LIMIT 1";
            let rows = self.rows("read the reload", sql, &[]).await?;
            rows.into_iter().next().map(parse).transpose()
        }
        .boxed()
    }
}

fn parse(mut row: Row) -> Result<FailedReload, StateError> {
    Ok(FailedReload {
        at: TimestampMicros(row.integer(0)?),
        code: row.text(1)?,
        message: row.text(2)?,
        hint: row.text_or_null(3)?,
    })
}
