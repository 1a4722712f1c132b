//! Repairs: what was found damaged or lost, what was done about it by itself, and how that ended.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::changed,
    value,
};

/// Repairs that are over are kept until there are so many newer ones.
const KEPT: i64 = 1_000;

/// What is done about something that is damaged or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RepairAction {
    /// The asset is made again as a whole of what it is made of.
    Rebuild,
    /// The source is read again from its beginning, because the position up to which it was read is gone.
    Resync,
    /// What is damaged was put away, and an empty one is there in its place, to be filled again.
    Replace,
    /// Nothing: it cannot be made again of anything else, and only a person decides about it.
    Leave,
}

/// How far a repair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RepairState {
    /// It is to be done, or under way.
    Due,
    Repaired,
    /// It did not help. Another repair may follow.
    Failed,
    /// Nothing more is done by itself until a person has seen to it.
    GivenUp,
}

/// A repair that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRepair {
    pub asset: AssetId,
    /// The stable code of the error by which the damage was found.
    pub code: String,
    /// What is damaged or lost, in words.
    pub cause: String,
    pub action: RepairAction,
    pub found: TimestampMicros,
    pub state: RepairState,
}

/// A repair as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairRecord {
    /// Grows with each repair.
    pub number: i64,
    pub asset: AssetId,
    pub code: String,
    pub cause: String,
    pub action: RepairAction,
    pub found: TimestampMicros,
    pub state: RepairState,
    /// When it was over; `None` while it is due.
    pub ended: Option<TimestampMicros>,
    /// How it ended, in words, where it did not help.
    pub message: Option<String>,
}

impl RepairAction {
    const ALL: [Self; 4] = [Self::Rebuild, Self::Resync, Self::Replace, Self::Leave];

    /// The stable word for machines and for the state store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Resync => "resync",
            Self::Replace => "replace",
            Self::Leave => "leave",
        }
    }
}

impl RepairState {
    const ALL: [Self; 4] = [Self::Due, Self::Repaired, Self::Failed, Self::GivenUp];

    /// The stable word for machines and for the state store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Repaired => "repaired",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

const COLUMNS: &str = "repair, asset, code, cause, action, found, state, ended, message";
const READING: &str = "read the repairs";

impl State {
    /// Records that something was found damaged, unless the same is on record as due or given up already. Whether it was recorded.
    pub fn begin_repair<'a>(&'a self, repair: &'a NewRepair) -> BoxFuture<'a, Result<bool, StateError>> {
        async move {
            let mut work = self.change("record a repair").await?;
            let asset = repair.asset.as_str();
            let open = "SELECT state, action FROM repairs WHERE asset = $1 ORDER BY repair DESC LIMIT 1";
            if let Some(mut last) = work.row(open, &parameters![asset]).await? {
                let (state, action) = (state_out(&last.text(0)?)?, last.text(1)?);
                let is_same = action == repair.action.as_str() || repair.state == RepairState::GivenUp;
                if state == RepairState::Due || state == RepairState::GivenUp && is_same {
                    return Ok(false);
                }
            }
            let ended = (repair.state != RepairState::Due).then_some(repair.found.0);
            let sql = "INSERT INTO repairs (asset, code, cause, action, found, state, ended) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7)";
            let (action, state) = (repair.action.as_str(), repair.state.as_str());
            let values =
                parameters![asset, &repair.code, &repair.cause, action, repair.found.0, state, ended];
            work.execute(sql, &values).await?;
            let forget = "DELETE FROM repairs WHERE state <> 'due' AND state <> 'given_up' AND repair <= \
                          (SELECT repair FROM repairs ORDER BY repair DESC LIMIT 1 OFFSET $1)";
            work.execute(forget, &parameters![KEPT]).await?;
            work.commit().await?;
            Ok(true)
        }
        .boxed()
    }

    /// Records how the repairs of the asset that are in one of the states `from` have ended; how many there were.
    pub fn end_repairs<'a>(
        &'a self,
        asset: &'a AssetId,
        from: &'a [RepairState],
        to: RepairState,
        message: Option<&'a str>,
        at: TimestampMicros,
    ) -> BoxFuture<'a, Result<u64, StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the end of a repair").await?;
                let mut ended = 0_u64;
                for state in from {
                    let sql = "UPDATE repairs SET state = $3, ended = $4, message = $5 \
                               WHERE asset = $1 AND state = $2";
                    let values = parameters![asset.as_str(), state.as_str(), to.as_str(), at.0, message];
                    ended += work.execute(sql, &values).await?;
                }
                work.commit().await.map(|()| ended)
            })
        }
        .boxed()
    }

    /// How many repairs of the asset began at this instant or later.
    pub fn repairs_since<'a>(
        &'a self,
        asset: &'a AssetId,
        since: TimestampMicros,
    ) -> BoxFuture<'a, Result<u64, StateError>> {
        async move {
            let sql = "SELECT count(*) FROM repairs WHERE asset = $1 AND found >= $2 AND action <> 'leave'";
            let rows = self.rows(READING, sql, &parameters![asset.as_str(), since.0]).await?;
            let count = rows.into_iter().next().map(|mut row| row.integer(0)).transpose()?;
            Ok(count.map(value::count_out).unwrap_or_default())
        }
        .boxed()
    }

    /// The repairs that are due or given up, the oldest first.
    pub fn open_repairs(&self) -> BoxFuture<'_, Result<Vec<RepairRecord>, StateError>> {
        async move {
            let sql =
                format!("SELECT {COLUMNS} FROM repairs WHERE state IN ('due', 'given_up') ORDER BY repair");
            self.rows(READING, &sql, &[]).await?.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// The newest repairs first.
    pub fn repairs(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RepairRecord>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM repairs ORDER BY repair DESC LIMIT $1");
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            self.rows(READING, &sql, &parameters![limit]).await?.into_iter().map(parse).collect()
        }
        .boxed()
    }
}

fn parse(mut row: Row) -> Result<RepairRecord, StateError> {
    let action = row.text(4)?;
    Ok(RepairRecord {
        number: row.integer(0)?,
        asset: AssetId::from(row.text(1)?),
        code: row.text(2)?,
        cause: row.text(3)?,
        action: value::word_out(
            "what is done about damage",
            &action,
            &RepairAction::ALL,
            RepairAction::as_str,
        )?,
        found: TimestampMicros(row.integer(5)?),
        state: state_out(&row.text(6)?)?,
        ended: row.integer_or_null(7)?.map(TimestampMicros),
        message: row.text_or_null(8)?,
    })
}

fn state_out(word: &str) -> Result<RepairState, StateError> {
    value::word_out("the state of a repair", word, &RepairState::ALL, RepairState::as_str)
}
