//! The breakers of streaming sources: which are open, why, and who closed them.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{SourceName, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::changed,
    value,
};

/// A breaker as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerRecord {
    pub source: SourceName,
    /// What the source was defined as when the breaker opened: for another definition it is closed.
    pub definition: String,
    pub opened: TimestampMicros,
    /// The events that were judged in the window, and those among them that were rejected.
    pub rows: u64,
    pub rejected: u64,
    /// The share that was allowed, as it is written.
    pub halt_above: String,
    /// Some of the reasons for which events were rejected, a line each.
    pub examples: String,
    /// When somebody closed it; events that came before do not count any more. `None` while it is open.
    pub resumed: Option<TimestampMicros>,
}

impl BreakerRecord {
    /// Whether the breaker is open for a source of this definition.
    #[must_use]
    pub fn is_open(&self, definition: &str) -> bool {
        self.resumed.is_none() && self.definition == definition
    }
}

const COLUMNS: &str = "source, definition, opened, judged, rejected, halt_above, examples, resumed";
const READING: &str = "read the breakers";

impl State {
    /// Records that a breaker opened, unless it is on record as open for the same definition already. Whether it was recorded.
    pub fn open_breaker<'a>(&'a self, breaker: &'a BreakerRecord) -> BoxFuture<'a, Result<bool, StateError>> {
        async move {
            let mut work = self.change("record a breaker").await?;
            let source = breaker.source.as_str();
            let sql = format!("SELECT {COLUMNS} FROM breakers WHERE source = $1");
            let known = work.row(&sql, &parameters![source]).await?.map(parse).transpose()?;
            if known.is_some_and(|known| known.is_open(&breaker.definition)) {
                return Ok(false);
            }
            work.execute("DELETE FROM breakers WHERE source = $1", &parameters![source]).await?;
            let sql = format!("INSERT INTO breakers ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
            let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            let values = parameters![
                source,
                &breaker.definition,
                breaker.opened.0,
                count(breaker.rows),
                count(breaker.rejected),
                &breaker.halt_above,
                &breaker.examples,
                breaker.resumed.map(|resumed| resumed.0)
            ];
            work.execute(&sql, &values).await?;
            work.commit().await?;
            Ok(true)
        }
        .boxed()
    }

    /// Records that somebody closed the breaker of a source; whether it was open.
    pub fn close_breaker<'a>(
        &'a self,
        source: &'a SourceName,
        at: TimestampMicros,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record that a breaker was closed").await?;
                let sql = "UPDATE breakers SET resumed = $2 WHERE source = $1 AND resumed IS NULL";
                let closed = work.execute(sql, &parameters![source.as_str(), at.0]).await?;
                work.commit().await.map(|()| closed > 0)
            })
        }
        .boxed()
    }

    /// The breaker of a source as it opened last; `None` if it never did.
    pub fn breaker<'a>(
        &'a self,
        source: &'a SourceName,
    ) -> BoxFuture<'a, Result<Option<BreakerRecord>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM breakers WHERE source = $1");
            let rows = self.rows(READING, &sql, &parameters![source.as_str()]).await?;
            rows.into_iter().next().map(parse).transpose()
        }
        .boxed()
    }

    /// The breakers that nobody has closed, by source.
    pub fn open_breakers(&self) -> BoxFuture<'_, Result<Vec<BreakerRecord>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM breakers WHERE resumed IS NULL ORDER BY source");
            self.rows(READING, &sql, &[]).await?.into_iter().map(parse).collect()
        }
        .boxed()
    }
}

fn parse(mut row: Row) -> Result<BreakerRecord, StateError> {
    let name = row.text(0)?;
    Ok(BreakerRecord {
        source: SourceName::new(&name).map_err(|_| value::unknown("a source", &name))?,
        definition: row.text(1)?,
        opened: TimestampMicros(row.integer(2)?),
        rows: value::count_out(row.integer(3)?),
        rejected: value::count_out(row.integer(4)?),
        halt_above: row.text(5)?,
        examples: row.text(6)?,
        resumed: row.integer_or_null(7)?.map(TimestampMicros),
    })
}
