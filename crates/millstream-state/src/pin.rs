//! Versions of tables that something needs, so that maintenance leaves them.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{TableName, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::Work,
    value,
};

/// A version that must stay readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub table: TableName,
    pub version: i64,
    /// Who needs the version, for people and for [`State::unpin`].
    pub pinned_by: String,
    pub at: TimestampMicros,
}

impl State {
    /// Pins a version. A version that is pinned twice keeps the time of the first pin.
    pub fn pin<'a>(&'a self, pin: &'a Pin) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let mut work = self.change("pin the version").await?;
            insert(&mut work, pin, &pin.pinned_by).await?;
            work.commit().await
        }
        .boxed()
    }

    /// Puts these pins in the place of all that `pinned_by` had, or leaves everything as it was.
    pub fn replace_pins<'a>(
        &'a self,
        pinned_by: &'a str,
        pins: &'a [Pin],
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let mut work = self.change("pin the versions").await?;
            work.execute("DELETE FROM pins WHERE pinned_by = $1", &parameters![pinned_by]).await?;
            for pin in pins {
                insert(&mut work, pin, pinned_by).await?;
            }
            work.commit().await
        }
        .boxed()
    }

    /// Removes a pin. Returns whether there was such a pin.
    pub fn unpin<'a>(
        &'a self,
        table: &'a TableName,
        version: i64,
        pinned_by: &'a str,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        async move {
            let table = table.to_string();
            let mut work = self.change("unpin the version").await?;
            let removed = work
                .execute(
                    "DELETE FROM pins WHERE table_name = $1 AND version = $2 AND pinned_by = $3",
                    &parameters![&table, version, pinned_by],
                )
                .await?;
            work.commit().await?;
            Ok(removed > 0)
        }
        .boxed()
    }

    /// All pins, by table and version.
    pub fn pins(&self) -> BoxFuture<'_, Result<Vec<Pin>, StateError>> {
        async move {
            let sql = "SELECT table_name, version, pinned_by, at FROM pins ORDER BY 1, 2, 3";
            let rows = self.rows("read the pins", sql, &[]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }
}

/// Inserts a pin. A pin that is there already keeps its time.
pub(crate) async fn insert(work: &mut Work<'_>, pin: &Pin, pinned_by: &str) -> Result<(), StateError> {
    let table = pin.table.to_string();
    work.execute(
        "INSERT INTO pins (table_name, version, pinned_by, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        &parameters![&table, pin.version, pinned_by, pin.at.0],
    )
    .await
    .map(|_| ())
}

fn parse(mut row: Row) -> Result<Pin, StateError> {
    let table = row.text(0)?;
    Ok(Pin {
        table: table.parse().map_err(|_| value::unknown("a table's name", table))?,
        version: row.integer(1)?,
        pinned_by: row.text(2)?,
        at: TimestampMicros(row.integer(3)?),
    })
}
