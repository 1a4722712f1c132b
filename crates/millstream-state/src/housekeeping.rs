//! How housekeeping went, of the whole of it and of each of its parts: when it was last begun and ended, and how often it failed since.
//!
//! A record is what an alarm is made of: housekeeping that does not run, or a table that it cannot tidy, says so nowhere else. It
//! also says whose turn is next.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::TimestampMicros;

use crate::{
    LeaseToken, State, StateError,
    database::{Row, parameters},
    schedule,
    store::changed,
};

/// What is remembered of housekeeping as a whole, or of one of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HousekeepingRecord {
    /// What is tidied: a table, or a name without a dot that the engine gives to something else.
    pub name: String,
    /// The time from which on this is remembered.
    pub since: TimestampMicros,
    /// The last attempt's beginning.
    pub begun: Option<TimestampMicros>,
    /// The end of the last attempt that ended well.
    pub ended: Option<TimestampMicros>,
    /// The attempts in a row that did not end well, one that is under way included.
    pub failures: u32,
    /// How the last of them failed; `None` where the process ended without a word.
    pub error: Option<String>,
    /// The stable code of the error.
    pub code: Option<String>,
}

impl HousekeepingRecord {
    /// The record of what was never tidied.
    #[must_use]
    pub fn new(name: impl Into<String>, since: TimestampMicros) -> Self {
        Self { name: name.into(), since, begun: None, ended: None, failures: 0, error: None, code: None }
    }
}

impl State {
    /// All records, by name.
    pub fn housekeeping(&self) -> BoxFuture<'_, Result<Vec<HousekeepingRecord>, StateError>> {
        async move {
            let sql =
                "SELECT name, since, begun, ended, failures, error, code FROM housekeeping ORDER BY name";
            self.rows("read how housekeeping went", sql, &[]).await?.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// Adds the record of what has none yet; leaves the one that there is.
    pub fn begin_housekeeping<'a>(
        &'a self,
        record: &'a HousekeepingRecord,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("begin to remember housekeeping").await?;
                work.execute(
                    "INSERT INTO housekeeping (name, since, failures) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING",
                    &parameters![record.name.as_str(), record.since.0],
                )
                .await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// Puts a record in the place of the one of its name. Errors with [`StateError::LeaseLost`], and records nothing, when
    /// another has taken the place of the lease.
    pub fn record_housekeeping<'a>(
        &'a self,
        lease: LeaseToken,
        record: &'a HousekeepingRecord,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record how housekeeping went").await?;
                schedule::hold(&mut work, lease).await?;
                work.execute(
                    "INSERT INTO housekeeping (name, since, begun, ended, failures, error, code) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET \
                     since = excluded.since, begun = excluded.begun, ended = excluded.ended, \
                     failures = excluded.failures, error = excluded.error, code = excluded.code",
                    &parameters![
                        record.name.as_str(),
                        record.since.0,
                        record.begun.map(|begun| begun.0),
                        record.ended.map(|ended| ended.0),
                        i64::from(record.failures),
                        record.error.as_deref(),
                        record.code.as_deref(),
                    ],
                )
                .await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// Forgets the record of this name: what it is about is well, or gone. Errors with [`StateError::LeaseLost`], and forgets
    /// nothing, when another has taken the place of the lease.
    pub fn forget_housekeeping<'a>(
        &'a self,
        lease: LeaseToken,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record how housekeeping went").await?;
                schedule::hold(&mut work, lease).await?;
                work.execute("DELETE FROM housekeeping WHERE name = $1", &parameters![name]).await?;
                work.commit().await
            })
        }
        .boxed()
    }
}

fn parse(mut row: Row) -> Result<HousekeepingRecord, StateError> {
    Ok(HousekeepingRecord {
        name: row.text(0)?,
        since: TimestampMicros(row.integer(1)?),
        begun: row.integer_or_null(2)?.map(TimestampMicros),
        ended: row.integer_or_null(3)?.map(TimestampMicros),
        failures: u32::try_from(row.integer(4)?).unwrap_or(u32::MAX),
        error: row.text_or_null(5)?,
        code: row.text_or_null(6)?,
    })
}
