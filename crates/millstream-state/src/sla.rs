//! Promises about assets: how each stands, and when it was broken.

use std::collections::BTreeMap;

use futures::future::{BoxFuture, FutureExt};
use millstream_schedule::{Breach, Promise, PromiseState, SlaChange, WatchedPromise};
use millstream_types::{AssetId, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::changed,
    value,
};

/// Breaches are kept for so long, in microseconds: two years.
const KEPT: i64 = 2 * 366 * 24 * 60 * 60 * 1_000_000;

/// What became of the promises of one asset.
#[derive(Clone, Debug)]
pub struct SlaRecord<'a> {
    pub asset: &'a AssetId,
    /// All promises that are made, as they stand. Of others nothing is kept but their breaches.
    pub promises: &'a [WatchedPromise],
    pub changes: &'a [SlaChange],
}

impl State {
    /// Records how promises stand and what became of them. What is recorded twice is there once.
    pub fn record_sla<'a>(&'a self, records: &'a [SlaRecord<'a>]) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record promises").await?;
                for record in records {
                    let asset = record.asset.as_str();
                    work.execute("DELETE FROM sla_promises WHERE asset = $1", &parameters![asset]).await?;
                    for watched in record.promises {
                        let (state, broken_since) = state_in(watched.state);
                        let sql = "INSERT INTO sla_promises \
                                   (asset, promise, since, judged_until, state, broken_since) \
                                   VALUES ($1, $2, $3, $4, $5, $6)";
                        let (since, until) = (watched.since.0, watched.judged_until.0);
                        let promise = watched.promise.as_str();
                        let values = parameters![asset, promise, since, until, state, broken_since];
                        work.execute(sql, &values).await?;
                    }
                    for change in record.changes {
                        breach(&mut work, asset, change).await?;
                    }
                }
                work.commit().await
            })
        }
        .boxed()
    }

    /// Forgets how promises stand that are made no more; a breach of one that was not over is over at `at`. So a promise that is made
    /// again later begins anew.
    pub fn keep_promises<'a>(
        &'a self,
        made: &'a BTreeMap<AssetId, Vec<Promise>>,
        at: TimestampMicros,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("forget promises").await?;
                let open = "SELECT asset, promise FROM sla_promises \
                            UNION SELECT asset, promise FROM sla_breaches WHERE met_at IS NULL";
                for mut row in work.rows(open, &[]).await? {
                    let (asset, word) = (row.text(0)?, row.text(1)?);
                    let promise = promise_out(&word)?;
                    let is_made = made.get(&AssetId::new(&asset)).is_some_and(|made| made.contains(&promise));
                    if is_made {
                        continue;
                    }
                    let which = parameters![&asset, &word];
                    work.execute("DELETE FROM sla_promises WHERE asset = $1 AND promise = $2", &which)
                        .await?;
                    let sql = "UPDATE sla_breaches SET met_at = $3 \
                               WHERE asset = $1 AND promise = $2 AND met_at IS NULL";
                    work.execute(sql, &parameters![&asset, &word, at.0]).await?;
                }
                work.commit().await
            })
        }
        .boxed()
    }

    /// How the promises of each asset stand.
    pub fn sla_promises(&self) -> BoxFuture<'_, Result<BTreeMap<AssetId, Vec<WatchedPromise>>, StateError>> {
        async move {
            let sql = "SELECT asset, promise, since, judged_until, state, broken_since FROM sla_promises \
                       ORDER BY asset, promise";
            let mut found: BTreeMap<AssetId, Vec<WatchedPromise>> = BTreeMap::new();
            for mut row in self.rows("read the promises", sql, &[]).await? {
                let asset = AssetId::from(row.text(0)?);
                found.entry(asset).or_default().push(WatchedPromise {
                    promise: promise_out(&row.text(1)?)?,
                    since: TimestampMicros(row.integer(2)?),
                    judged_until: TimestampMicros(row.integer(3)?),
                    state: state_out(&row.text(4)?, row.integer_or_null(5)?)?,
                });
            }
            Ok(found)
        }
        .boxed()
    }

    /// The breaches that were not over at this instant or began later, of each asset, the oldest first.
    pub fn sla_breaches(
        &self,
        since: TimestampMicros,
    ) -> BoxFuture<'_, Result<BTreeMap<AssetId, Vec<Breach>>, StateError>> {
        async move {
            let sql = "SELECT asset, promise, broken_at, met_at FROM sla_breaches \
                       WHERE met_at IS NULL OR met_at > $1 ORDER BY asset, broken_at, promise";
            let mut found: BTreeMap<AssetId, Vec<Breach>> = BTreeMap::new();
            for mut row in self.rows("read broken promises", sql, &parameters![since.0]).await? {
                let asset = AssetId::from(row.text(0)?);
                found.entry(asset).or_default().push(breach_out(row)?);
            }
            Ok(found)
        }
        .boxed()
    }
}

async fn breach(
    work: &mut crate::store::Work<'_>,
    asset: &str,
    change: &SlaChange,
) -> Result<(), StateError> {
    match change {
        SlaChange::AtRisk { .. } => {}
        SlaChange::Broken { promise, at } => {
            let sql = "INSERT INTO sla_breaches (asset, promise, broken_at) VALUES ($1, $2, $3) \
                       ON CONFLICT DO NOTHING";
            work.execute(sql, &parameters![asset, promise.as_str(), at.0]).await?;
            let sql = "DELETE FROM sla_breaches WHERE met_at < $1";
            work.execute(sql, &parameters![at.0.saturating_sub(KEPT)]).await?;
        }
        SlaChange::MetAgain { promise, at, broken_at } => {
            let sql = "UPDATE sla_breaches SET met_at = $4 \
                       WHERE asset = $1 AND promise = $2 AND broken_at = $3 AND met_at IS NULL";
            work.execute(sql, &parameters![asset, promise.as_str(), broken_at.0, at.0]).await?;
        }
    }
    Ok(())
}

fn breach_out(mut row: Row) -> Result<Breach, StateError> {
    Ok(Breach {
        promise: promise_out(&row.text(1)?)?,
        broken_at: TimestampMicros(row.integer(2)?),
        met_at: row.integer_or_null(3)?.map(TimestampMicros),
    })
}

fn promise_out(word: &str) -> Result<Promise, StateError> {
    value::word_out("a promise", word, &Promise::ALL, Promise::as_str)
}

fn state_in(state: PromiseState) -> (&'static str, Option<i64>) {
    match state {
        PromiseState::Kept => ("kept", None),
        PromiseState::AtRisk => ("at_risk", None),
        PromiseState::Broken { since } => ("broken", Some(since.0)),
    }
}

fn state_out(word: &str, broken_since: Option<i64>) -> Result<PromiseState, StateError> {
    match (word, broken_since) {
        ("kept", None) => Ok(PromiseState::Kept),
        ("at_risk", None) => Ok(PromiseState::AtRisk),
        ("broken", Some(since)) => Ok(PromiseState::Broken { since: TimestampMicros(since) }),
        _ => Err(value::unknown("the state of a promise", word)),
    }
}
