//! Forgetting: history that is older than a policy allows goes, in small transactions that let others write in between.
//!
//! What somebody still asks for stays whatever its age: of each asset its latest step, the last one that made a version, and
//! the steps that hold the latest results of its checks, as [`State::known_checks`] gives them; and the newest report of a
//! verification. A process that ends in the middle leaves a shorter history, and the next call goes on.
//!
//! What is bounded by the project itself is not history, and stays: where assets, partitions, promises, circuits and schedules stand.
//! Broken promises are kept for two years by whoever records them.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, FutureExt};
use millstream_types::TimestampMicros;

use crate::{
    State, StateError,
    database::{Parameter, parameters},
    set,
    store::{Work, changed},
    value,
};

/// The runs that one transaction forgets at most.
const RUNS_AT_ONCE: u64 = 200;

/// From when on history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forget {
    /// Runs that started before this are forgotten, with their steps, the results of their checks, their logs and their last words; and
    /// decisions of the scheduler and reports of verifications that are older; backfills that ended before it; messages that no
    /// receiver has taken since; and what was asked to run by itself again and nobody has seen to.
    pub runs: TimestampMicros,
    /// Figures of assets that are older than this are forgotten.
    pub metrics: TimestampMicros,
}

/// What was forgotten, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub runs: u64,
    pub steps: u64,
    pub metrics: u64,
    pub decisions: u64,
    pub verifications: u64,
}

/// A run's place in the order in which runs are forgotten.
type Place = (i64, String);

/// The steps that stay whatever their age.
struct Kept {
    steps: BTreeSet<i64>,
    /// The last step of which it was judged whether it stays. Those after it may be an asset's latest.
    last: i64,
}

impl Kept {
    fn has(&self, step: i64) -> bool {
        step > self.last || self.steps.contains(&step)
    }
}

impl State {
    /// Forgets what is older than `forget` says and nobody asks for any more. A run that has no end stays, and one of which a
    /// step stays does so too.
    pub fn forget<'a>(&'a self, forget: &'a Forget) -> BoxFuture<'a, Result<Forgotten, StateError>> {
        async move {
            let mut forgotten = Forgotten::default();
            let kept = self.kept_steps().await?;
            let mut after: Place = (i64::MIN, String::new());
            while let Some(last) = self.forget_some(forget.runs, &after, &kept, &mut forgotten).await? {
                after = last;
            }
            self.forget_metrics(forget.metrics, &mut forgotten).await?;
            self.forget_rest(forget.runs, &mut forgotten).await?;
            Ok(forgotten)
        }
        .boxed()
    }

    async fn kept_steps(&self) -> Result<Kept, StateError> {
        let mut work = self.reading("find the steps to keep").await?;
        let mut kept = BTreeSet::new();
        for mut row in work.rows("SELECT max(id) FROM steps GROUP BY asset", &[]).await? {
            kept.insert(row.integer(0)?);
        }
        let mut built = BTreeMap::new();
        let sql = "SELECT asset, max(id) FROM steps WHERE outcome = 'built' GROUP BY asset";
        for mut row in work.rows(sql, &[]).await? {
            built.insert(row.text(0)?, row.integer(1)?);
        }
        let sql = "SELECT c.asset, max(s.id) FROM check_results c \
                   JOIN steps s ON s.run = c.run AND s.asset = c.asset GROUP BY c.asset, c.check_id";
        for mut row in work.rows(sql, &[]).await? {
            let (asset, step) = (row.text(0)?, row.integer(1)?);
            // What was found before the present version was made is not known of it any more.
            if built.get(&asset).is_none_or(|built| step >= *built) {
                kept.insert(step);
            }
        }
        kept.extend(built.into_values());
        work.end().await?;
        // The last of all steps is some asset's latest.
        let last = kept.last().copied().unwrap_or(i64::MIN);
        Ok(Kept { steps: kept, last })
    }

    /// Forgets some of the runs behind the place `after`. Returns the last one's place; `None` when there is none any more.
    async fn forget_some(
        &self,
        before: TimestampMicros,
        after: &Place,
        kept: &Kept,
        forgotten: &mut Forgotten,
    ) -> Result<Option<Place>, StateError> {
        let (last, runs, steps) = changed!(self, async {
            let mut work = self.change("forget old runs").await?;
            let sql = "SELECT started, run FROM runs WHERE started < $1 AND outcome IS NOT NULL \
                       AND (started > $2 OR (started = $2 AND run > $3)) ORDER BY started, run LIMIT $4";
            let limit = value::count_in(RUNS_AT_ONCE);
            let found = work.rows(sql, &parameters![before.0, after.0, after.1.as_str(), limit]).await?;
            let mut places = Vec::new();
            for mut row in found {
                places.push((row.integer(0)?, row.text(1)?));
            }
            let (runs, steps) = forget_runs(&mut work, &places, kept).await?;
            work.commit().await?;
            Ok::<_, StateError>((places.pop(), runs, steps))
        })?;
        forgotten.runs += runs;
        forgotten.steps += steps;
        Ok(last)
    }

    async fn forget_metrics(
        &self,
        before: TimestampMicros,
        forgotten: &mut Forgotten,
    ) -> Result<(), StateError> {
        let assets = self.rows("find old metrics", "SELECT DISTINCT asset FROM metrics", &[]).await?;
        for mut row in assets {
            let asset = row.text(0)?;
            forgotten.metrics += changed!(self, async {
                let mut work = self.change("forget old metrics").await?;
                let sql = "DELETE FROM metrics WHERE asset = $1 AND at < $2";
                let gone = work.execute(sql, &parameters![asset.as_str(), before.0]).await?;
                work.commit().await?;
                Ok::<_, StateError>(gone)
            })?;
        }
        Ok(())
    }

    /// Forgets the sets of runs that are gone, and what has no run. Each of these is bounded by itself, or by the runs.
    async fn forget_rest(
        &self,
        before: TimestampMicros,
        forgotten: &mut Forgotten,
    ) -> Result<(), StateError> {
        let (decisions, verifications) = changed!(self, async {
            let mut work = self.change("forget old decisions").await?;
            set::forget(&mut work).await?;
            let before = parameters![before.0];
            let decisions = work.execute("DELETE FROM schedule_decisions WHERE at < $1", &before).await?;
            let sql =
                "DELETE FROM verify_reports WHERE at < $1 AND id <> (SELECT max(id) FROM verify_reports)";
            let verifications = work.execute(sql, &before).await?;
            let ended = "DELETE FROM backfills WHERE status <> 'open' AND finished < $1";
            for sql in [ended, "DELETE FROM outbox WHERE at < $1", "DELETE FROM resumptions WHERE at < $1"] {
                work.execute(sql, &before).await?;
            }
            work.commit().await?;
            Ok::<_, StateError>((decisions, verifications))
        })?;
        forgotten.decisions += decisions;
        forgotten.verifications += verifications;
        Ok(())
    }
}

/// Forgets the steps of these runs that are not kept, and each run of which none is left. Returns how many of both.
async fn forget_runs(work: &mut Work<'_>, places: &[Place], kept: &Kept) -> Result<(u64, u64), StateError> {
    let (mut gone, mut gone_steps) = (Vec::new(), Vec::new());
    for (_, run) in places {
        let steps =
            work.rows("SELECT id, asset FROM steps WHERE run = $1", &parameters![run.as_str()]).await?;
        let mut is_left = false;
        for mut row in steps {
            let (id, asset) = (row.integer(0)?, row.text(1)?);
            match kept.has(id) {
                true => is_left = true,
                false => gone_steps.push((run.as_str(), asset)),
            }
        }
        if !is_left {
            gone.push(vec![Parameter::Text(run.as_str())]);
        }
    }
    let steps: Vec<_> = gone_steps
        .iter()
        .map(|(run, asset)| vec![Parameter::Text(run), Parameter::Text(asset.as_str())])
        .collect();
    work.execute_each("DELETE FROM check_results WHERE run = $1 AND asset = $2", &steps).await?;
    work.execute_each("DELETE FROM steps WHERE run = $1 AND asset = $2", &steps).await?;
    work.execute_each("DELETE FROM step_log WHERE run = $1 AND asset = $2", &steps).await?;
    // They are told when a run is found to be interrupted, and these ended long ago.
    let ended: Vec<_> = places.iter().map(|(_, run)| vec![Parameter::Text(run.as_str())]).collect();
    work.execute_each("DELETE FROM last_words WHERE run = $1", &ended).await?;
    // Steps that were never recorded may have a log all the same.
    work.execute_each("DELETE FROM step_log WHERE run = $1", &gone).await?;
    work.execute_each("DELETE FROM runs WHERE run = $1", &gone).await?;
    Ok((gone.len() as u64, steps.len() as u64))
}
