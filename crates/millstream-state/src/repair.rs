//! What was repaired without anybody asking, or would have been: always with its cause and what was done.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    value,
};

/// The repairs that are kept; older ones are forgotten.
const REPAIRS_MAX: i64 = 10_000;

/// One repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub at: TimestampMicros,
    pub asset: AssetId,
    /// What was found to be wrong.
    pub cause: String,
    /// What was done about it, or what would have to be done.
    pub action: String,
    pub outcome: RepairOutcome,
}

/// How a repair ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairOutcome {
    Done,
    /// The repair itself did not work.
    Failed,
    /// Nothing was done, because the asset was repaired as often as it may be, or because a person has to decide.
    Refused,
}

impl RepairOutcome {
    const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Refused];

    /// The stable word for machines and for the state store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

impl State {
    /// Records a repair.
    pub fn record_repair<'a>(&'a self, repair: &'a Repair) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let mut work = self.change("record a repair").await?;
            let sql = "INSERT INTO repairs (at, asset, cause, action, outcome) VALUES ($1, $2, $3, $4, $5)";
            let values = parameters![
                repair.at.0,
                repair.asset.as_str(),
                &repair.cause,
                &repair.action,
                repair.outcome.as_str(),
            ];
            work.execute(sql, &values).await?;
            let sql =
                "DELETE FROM repairs WHERE id <= (SELECT id FROM repairs ORDER BY id DESC LIMIT 1 OFFSET $1)";
            work.execute(sql, &parameters![REPAIRS_MAX]).await?;
            work.commit().await
        }
        .boxed()
    }

    /// The newest repairs first.
    pub fn repairs(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Repair>, StateError>> {
        async move {
            let sql = "SELECT at, asset, cause, action, outcome FROM repairs ORDER BY id DESC LIMIT $1";
            let limit = parameters![value::count_in(limit as u64)];
            self.rows("read the repairs", sql, &limit).await?.into_iter().map(repair).collect()
        }
        .boxed()
    }

    /// How many repairs of the asset were tried after this instant, whether or not they worked.
    pub fn repairs_since<'a>(
        &'a self,
        asset: &'a AssetId,
        after: TimestampMicros,
    ) -> BoxFuture<'a, Result<u64, StateError>> {
        async move {
            let sql = "SELECT count(*) FROM repairs WHERE asset = $1 AND at > $2 AND outcome <> 'refused'";
            let rows = self.rows("count repairs", sql, &parameters![asset.as_str(), after.0]).await?;
            let count = rows.into_iter().next().map(|mut row| row.integer(0)).transpose()?;
            Ok(value::count_out(count.unwrap_or(0)))
        }
        .boxed()
    }
}

fn repair(mut row: Row) -> Result<Repair, StateError> {
    let word = row.text(4)?;
    Ok(Repair {
        at: TimestampMicros(row.integer(0)?),
        asset: AssetId::from(row.text(1)?),
        cause: row.text(2)?,
        action: row.text(3)?,
        outcome: value::word_out("the end of a repair", &word, &RepairOutcome::ALL, RepairOutcome::as_str)?,
    })
}
