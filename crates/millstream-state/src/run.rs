//! Runs: when, by which command, and how they ended.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, AssetVersion, RunId, TimestampMicros};

use crate::{
    LeaseToken, NewMessage, State, StateError,
    database::{Row, parameters},
    lease, outbox, set,
    store::changed,
    value,
};

/// A run that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStart {
    pub run: RunId,
    /// The command line, for people.
    pub command: String,
    /// Who asked a server for the run; `None` for a command.
    pub principal: Option<String>,
    /// The version of Millstream that does the run.
    pub version: String,
    /// When somebody asked for the run, or when it was due: before `started` where it had to wait for others. `None` where
    /// nobody knows.
    pub asked: Option<TimestampMicros>,
    pub started: TimestampMicros,
    /// The lease under which the run writes. Nothing is recorded for the run once another lease took its place; a run
    /// without a lease has no such protection.
    pub lease: Option<LeaseToken>,
}

/// A run that ends.
#[derive(Clone, Copy, Debug)]
pub struct RunEnd<'a> {
    pub run: &'a RunId,
    pub finished: TimestampMicros,
    pub outcome: RunOutcome,
    /// The assets that the run alone could write, if their recorded versions belong together: these are published, all at
    /// once.
    pub publishes: Option<&'a [AssetId]>,
    /// What is told of the end outside.
    pub messages: &'a [NewMessage],
}

/// A run as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    pub run: RunId,
    pub command: String,
    /// Who asked a server for the run; `None` for a command.
    pub principal: Option<String>,
    pub version: String,
    /// When somebody asked for the run, or when it was due; `None` where nobody knows.
    pub asked: Option<TimestampMicros>,
    pub started: TimestampMicros,
    pub finished: Option<TimestampMicros>,
    /// How the run ended; `None` while it goes on. One whose process is known to be gone was interrupted, also before that is on
    /// record.
    pub outcome: Option<RunOutcome>,
}

/// Which runs are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFilter {
    /// Runs with a step of this asset.
    pub asset: Option<AssetId>,
    /// Runs that ended so; `Some(None)` asks for those that go on.
    pub status: Option<Option<RunOutcome>>,
    /// Runs that started then or later.
    pub since: Option<TimestampMicros>,
    pub limit: usize,
}

/// The word for the status of a run that goes on.
const UNDER_WAY: &str = "under way";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    Succeeded,
    Failed,
    Cancelled,
    /// The process ended without a word: it was killed, or the machine stopped.
    Interrupted,
}

impl RunOutcome {
    const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::Cancelled, Self::Interrupted];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

const COLUMNS: &str = "run, command, version, started, finished, outcome, principal, asked, lease";

impl State {
    /// Records that a run begins. Earlier runs that have no end and no lease any more are marked as interrupted. Errors with
    /// [`StateError::LeaseLost`], and records nothing, when the run's own lease is no more.
    pub fn begin_run<'a>(&'a self, start: &'a RunStart) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the start of the run").await?;
                work.execute(
                    "UPDATE runs SET outcome = $1 WHERE outcome IS NULL \
                     AND (lease IS NULL OR lease NOT IN (SELECT token FROM leases))",
                    &parameters![RunOutcome::Interrupted.as_str()],
                )
                .await?;
                outbox::tell_interrupted(&mut work, start.started).await?;
                work.execute(
                    "INSERT INTO runs (run, command, version, started, lease, principal, asked) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                    &parameters![
                        start.run.as_str(),
                        &start.command,
                        &start.version,
                        start.started.0,
                        start.lease.map(|lease| lease.0),
                        start.principal.as_deref(),
                        start.asked.map(|asked| asked.0),
                    ],
                )
                .await?;
                lease::hold(&mut work, &start.run).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// Records how a run ended, and publishes what it made. Errors with [`StateError::LeaseLost`] when another lease has
    /// taken the place of the run's. Gives the versions that readers have from then on, and had not before.
    pub fn finish_run<'a>(
        &'a self,
        end: &'a RunEnd<'a>,
    ) -> BoxFuture<'a, Result<Vec<(AssetId, AssetVersion)>, StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the end of the run").await?;
                let mut published = Vec::new();
                if let Some(assets) = end.publishes {
                    lease::hold(&mut work, end.run).await?;
                    published = set::publish(&mut work, end.run, assets).await?;
                }
                work.execute(
                    "UPDATE runs SET finished = $2, outcome = $3 WHERE run = $1",
                    &parameters![end.run.as_str(), end.finished.0, end.outcome.as_str()],
                )
                .await?;
                outbox::end_run(&mut work, end.run, end.finished).await?;
                outbox::insert(&mut work, end.finished, end.messages).await?;
                work.commit().await?;
                Ok::<_, StateError>(published)
            })
        }
        .boxed()
    }

    /// The last `limit` runs, the newest first.
    pub fn runs(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RunRecord>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM runs ORDER BY started DESC, run DESC LIMIT $1");
            let rows = self.rows("read the runs", &sql, &parameters![value::count_in(limit as u64)]).await?;
            self.judged(rows).await
        }
        .boxed()
    }

    /// The newest run of another command than this.
    pub fn last_run_but<'a>(
        &'a self,
        command: &'a str,
    ) -> BoxFuture<'a, Result<Option<RunRecord>, StateError>> {
        async move {
            let sql = format!(
                "SELECT {COLUMNS} FROM runs WHERE command <> $1 ORDER BY started DESC, run DESC LIMIT 1"
            );
            let rows = self.rows("read the last run", &sql, &parameters![command]).await?;
            Ok(self.judged(rows).await?.pop())
        }
        .boxed()
    }

    /// The runs that fit `filter`, the newest first.
    pub fn runs_matching<'a>(
        &'a self,
        filter: &'a RunFilter,
    ) -> BoxFuture<'a, Result<Vec<RunRecord>, StateError>> {
        async move {
            let sql = format!(
                "SELECT {COLUMNS} FROM runs \
                 WHERE (CAST($1 AS TEXT) IS NULL OR run IN (SELECT run FROM steps WHERE asset = $1)) \
                 AND (CAST($2 AS TEXT) IS NULL OR coalesce(outcome, 'under way') = $2 \
                      OR ($2 = 'interrupted' AND outcome IS NULL)) AND started >= $3 \
                 ORDER BY started DESC, run DESC LIMIT $4"
            );
            let outcome = filter.status.map(|status| status.map_or(UNDER_WAY, RunOutcome::as_str));
            let since = filter.since.map_or(i64::MIN, |since| since.0);
            let asset = filter.asset.as_ref().map(AssetId::as_str);
            let limit = value::count_in(filter.limit as u64);
            let rows = self.rows("read the runs", &sql, &parameters![asset, outcome, since, limit]).await?;
            let mut runs = self.judged(rows).await?;
            runs.retain(|run| filter.status.is_none_or(|status| run.outcome == status));
            Ok(runs)
        }
        .boxed()
    }

    /// At most two runs whose ids begin with `prefix`, so that one that is alone is known to be.
    pub fn runs_beginning<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<RunRecord>, StateError>> {
        async move {
            // Every character of an id sorts before `~`.
            let (end, sql) = (
                format!("{prefix}~"),
                format!("SELECT {COLUMNS} FROM runs WHERE run >= $1 AND run < $2 ORDER BY run LIMIT 2"),
            );
            let rows = self.rows("read the runs", &sql, &parameters![prefix, &end]).await?;
            self.judged(rows).await
        }
        .boxed()
    }

    pub fn last_run(&self) -> BoxFuture<'_, Result<Option<RunRecord>, StateError>> {
        async move { Ok(self.runs(1).await?.pop()) }.boxed()
    }

    pub fn run<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Option<RunRecord>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM runs WHERE run = $1");
            let rows = self.rows("read the run", &sql, &parameters![run.as_str()]).await?;
            Ok(self.judged(rows).await?.pop())
        }
        .boxed()
    }

    /// The runs of the rows. Of one without an end it is looked whether its lease is there, and whether the holder of that lives: the
    /// next run that begins records that it does not.
    async fn judged(&self, rows: Vec<Row>) -> Result<Vec<RunRecord>, StateError> {
        let mut runs = rows.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let goes_on = |run: &RunRecord, lease: Option<LeaseToken>| run.outcome.is_none() && lease.is_some();
        if runs.iter().any(|(run, lease)| goes_on(run, *lease)) {
            let alive = lease::alive(self).await?;
            for (run, lease) in &mut runs {
                if goes_on(run, *lease) && !lease.is_some_and(|lease| alive.contains(&lease)) {
                    *run = self.ended_or_interrupted(run.clone()).await?;
                }
            }
        }
        Ok(runs.into_iter().map(|(run, _)| run).collect())
    }

    /// A run without an end whose lease was found to be gone: it may have ended meanwhile, which is recorded before its lease ends.
    async fn ended_or_interrupted(&self, run: RunRecord) -> Result<RunRecord, StateError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE run = $1");
        let rows = self.rows("read the run", &sql, &parameters![run.run.as_str()]).await?;
        let now = rows.into_iter().next().map(parse).transpose()?.map_or(run, |(run, _)| run);
        Ok(RunRecord { outcome: now.outcome.or(Some(RunOutcome::Interrupted)), ..now })
    }
}

/// A run, and the lease under which it writes.
fn parse(mut row: Row) -> Result<(RunRecord, Option<LeaseToken>), StateError> {
    let outcome = row
        .text_or_null(5)?
        .map(|word| value::word_out("a run's outcome", &word, &RunOutcome::ALL, RunOutcome::as_str))
        .transpose()?;
    let run = RunRecord {
        run: RunId::from(row.text(0)?),
        command: row.text(1)?,
        version: row.text(2)?,
        started: TimestampMicros(row.integer(3)?),
        finished: row.integer_or_null(4)?.map(TimestampMicros),
        outcome,
        principal: row.text_or_null(6)?,
        asked: row.integer_or_null(7)?.map(TimestampMicros),
    };
    Ok((run, row.integer_or_null(8)?.map(LeaseToken)))
}
