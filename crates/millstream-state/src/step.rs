//! Steps: one asset in one run, and all that its end leaves behind.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use millstream_plan::{Reason, Recorded};
use millstream_types::{AssetId, AssetVersion, RunId, TimestampMicros};

use crate::{
    CheckResult, Metric, NewMessage, State, StateError, StepFigures, asset, check,
    database::{Row, parameters},
    lease, metric, outbox, resumption, set,
    store::{Work, changed},
    value,
};

/// One step as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    pub run: RunId,
    pub asset: AssetId,
    /// The word for the reason of the step; see [`Reason::as_str`].
    pub reason: String,
    /// The reason of the step in a sentence, for people.
    pub reason_text: String,
    pub outcome: StepOutcome,
    pub rows_written: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    /// The asset's version after the step.
    pub version: Option<AssetVersion>,
    pub finished: TimestampMicros,
    pub elapsed: Duration,
    /// What was measured of the step; `None` where nothing was.
    pub figures: Option<StepFigures>,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// A new version is visible.
    Built,
    /// Nothing to do after all: the inputs gave no change.
    Unchanged,
    /// A check of severity `halt`, the breaker or a refused schema change kept the new version back.
    Halted {
        reason: String,
        hint: Option<String>,
    },
    Failed {
        code: String,
        error: String,
        hint: Option<String>,
    },
    /// An upstream asset halted or failed.
    Skipped {
        because: AssetId,
    },
    Cancelled,
}

/// The end of a step: the step itself and what follows from it, recorded in one transaction.
#[derive(Clone, Debug)]
pub struct StepEnd<'a> {
    pub step: &'a StepRecord,
    /// What the next plan will see of the asset; `None` leaves it as it was (skipped, cancelled). When its status is
    /// not `Built`, only the status is taken over where the asset is known already: the last good version stays.
    pub recorded: Option<&'a Recorded>,
    pub checks: &'a [CheckResult],
    /// The figures of the step, recorded with its `finished` as their time.
    pub metrics: &'a [Metric],
    /// What is told of the end outside.
    pub messages: &'a [NewMessage],
}

impl StepRecord {
    /// Sets both words of the reason.
    #[must_use]
    pub fn with_reason(mut self, reason: &Reason) -> Self {
        self.reason = reason.as_str().into();
        self.reason_text = reason.to_string();
        self
    }
}

impl StepOutcome {
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Unchanged => "unchanged",
            Self::Halted { .. } => "halted",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    fn message(&self) -> Option<&str> {
        match self {
            Self::Halted { reason, .. } => Some(reason),
            Self::Failed { error, .. } => Some(error),
            Self::Skipped { because } => Some(because.as_str()),
            Self::Built | Self::Unchanged | Self::Cancelled => None,
        }
    }

    fn code(&self) -> Option<&str> {
        if let Self::Failed { code, .. } = self { Some(code) } else { None }
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Self::Halted { hint, .. } | Self::Failed { hint, .. } => hint.as_deref(),
            Self::Built | Self::Unchanged | Self::Skipped { .. } | Self::Cancelled => None,
        }
    }

    fn parse(
        word: &str,
        message: Option<String>,
        code: Option<String>,
        hint: Option<String>,
    ) -> Result<Self, StateError> {
        let message = message.unwrap_or_default();
        Ok(match word {
            "built" => Self::Built,
            "unchanged" => Self::Unchanged,
            "halted" => Self::Halted { reason: message, hint },
            "failed" => Self::Failed { code: code.unwrap_or_default(), error: message, hint },
            "skipped" => Self::Skipped { because: AssetId::from(message) },
            "cancelled" => Self::Cancelled,
            other => return Err(value::unknown("a step's outcome", other)),
        })
    }
}

const COLUMNS: &str = "run, asset, reason, reason_text, outcome, message, code, hint, \
                       rows_written, rows_deleted, rows_rejected, version, finished, elapsed, figures";

impl State {
    /// Records the end of a step and all that follows from it, or nothing. Errors with [`StateError::LeaseLost`] when
    /// another lease has taken the place of that of the step's run.
    pub fn record_step<'a>(&'a self, end: &'a StepEnd<'a>) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            changed!(self, async {
                let mut work = self.change("record the step").await?;
                lease::hold(&mut work, &end.step.run).await?;
                insert(&mut work, end.step).await?;
                if let Some(recorded) = end.recorded {
                    // Only versions of tables never go back by themselves.
                    let version = recorded.version.filter(|_| end.step.asset.kind().is_none());
                    if let Some(version) = version {
                        set::lose_if_anew(&mut work, &end.step.asset, version).await?;
                    }
                    asset::record(&mut work, &end.step.asset, recorded).await?;
                }
                if matches!(end.step.outcome, StepOutcome::Built | StepOutcome::Unchanged) {
                    resumption::ask_if_aside(&mut work, &end.step.asset, end.step.finished).await?;
                }
                check::insert(&mut work, &end.step.run, &end.step.asset, end.checks).await?;
                metric::insert(&mut work, &end.step.asset, end.step.finished, end.metrics).await?;
                outbox::insert(&mut work, end.step.finished, end.messages).await?;
                if !end.messages.is_empty() {
                    outbox::forget_last_words(&mut work, &end.step.run, &end.step.asset).await?;
                }
                work.commit().await
            })
        }
        .boxed()
    }

    /// The steps of a run, in the order in which they ended.
    pub fn steps<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Vec<StepRecord>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM steps WHERE run = $1 ORDER BY id");
            let rows = self.rows(READING, &sql, &parameters![run.as_str()]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// The last `limit` steps of an asset that made a version, the newest first.
    pub fn built_steps<'a>(
        &'a self,
        asset: &'a AssetId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<StepRecord>, StateError>> {
        async move {
            let sql = format!(
                "SELECT {COLUMNS} FROM steps WHERE asset = $1 AND outcome = 'built' ORDER BY id DESC LIMIT $2"
            );
            let values = parameters![asset.as_str(), value::count_in(limit as u64)];
            let rows = self.rows(READING, &sql, &values).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// The number of the newest step.
    pub fn newest_step(&self) -> BoxFuture<'_, Result<i64, StateError>> {
        async move {
            let rows = self.rows(READING, "SELECT coalesce(max(id), 0) FROM steps", &[]).await?;
            Ok(rows.into_iter().next().map(|mut row| row.integer(0)).transpose()?.unwrap_or_default())
        }
        .boxed()
    }

    /// The steps with numbers above `after` and up to `until` that have ended well and are of commands, not of the schedule: the asset
    /// of each, and when it began.
    pub fn good_steps_of_commands(
        &self,
        after: i64,
        until: i64,
    ) -> BoxFuture<'_, Result<Vec<(AssetId, TimestampMicros)>, StateError>> {
        async move {
            let sql = "SELECT s.asset, s.finished - s.elapsed FROM steps s JOIN runs r ON r.run = s.run \
                       WHERE s.id > $1 AND s.id <= $2 AND s.outcome IN ('built', 'unchanged') \
                       AND r.command NOT LIKE 'serve: %' ORDER BY s.id";
            let rows = self.rows(READING, sql, &parameters![after, until]).await?;
            let parse = |mut row: Row| Ok((AssetId::from(row.text(0)?), TimestampMicros(row.integer(1)?)));
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// When the last step of the asset began that has ended well; `None` if none is on record.
    pub fn last_good_step<'a>(
        &'a self,
        asset: &'a AssetId,
    ) -> BoxFuture<'a, Result<Option<TimestampMicros>, StateError>> {
        async move {
            let sql = "SELECT finished - elapsed FROM steps \
                       WHERE asset = $1 AND outcome IN ('built', 'unchanged') ORDER BY id DESC LIMIT 1";
            let rows = self.rows(READING, sql, &parameters![asset.as_str()]).await?;
            Ok(rows.into_iter().next().map(|mut row| row.integer(0)).transpose()?.map(TimestampMicros))
        }
        .boxed()
    }

    /// The latest step of each asset, by asset.
    pub fn latest_steps(&self) -> BoxFuture<'_, Result<Vec<StepRecord>, StateError>> {
        async move {
            let latest = "SELECT max(id) FROM steps GROUP BY asset";
            let sql = format!("SELECT {COLUMNS} FROM steps WHERE id IN ({latest}) ORDER BY asset");
            let rows = self.rows(READING, &sql, &[]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }
}

const READING: &str = "read the steps";

/// Inserts a step. A run has one record of each of its steps, so that a step that is recorded again replaces the first
/// record.
async fn insert(work: &mut Work<'_>, step: &StepRecord) -> Result<(), StateError> {
    let known = parameters![step.run.as_str(), step.asset.as_str()];
    let figures = step.figures.as_ref().map(value::figures_in).transpose()?;
    work.execute("DELETE FROM steps WHERE run = $1 AND asset = $2", &known).await?;
    work.execute(
        "INSERT INTO steps (run, asset, reason, reason_text, outcome, message, code, hint, \
         rows_written, rows_deleted, rows_rejected, version, finished, elapsed, figures) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        &parameters![
            step.run.as_str(),
            step.asset.as_str(),
            &step.reason,
            &step.reason_text,
            step.outcome.as_str(),
            step.outcome.message(),
            step.outcome.code(),
            step.outcome.hint(),
            value::count_in(step.rows_written),
            value::count_in(step.rows_deleted),
            value::count_in(step.rows_rejected),
            step.version,
            step.finished.0,
            value::duration_in(step.elapsed),
            figures.as_deref(),
        ],
    )
    .await
    .map(|_| ())
}

fn parse(mut row: Row) -> Result<StepRecord, StateError> {
    let word = row.text(4)?;
    let (message, code, hint) = (row.text_or_null(5)?, row.text_or_null(6)?, row.text_or_null(7)?);
    Ok(StepRecord {
        run: RunId::from(row.text(0)?),
        asset: AssetId::from(row.text(1)?),
        reason: row.text(2)?,
        reason_text: row.text(3)?,
        outcome: StepOutcome::parse(&word, message, code, hint)?,
        rows_written: value::count_out(row.integer(8)?),
        rows_deleted: value::count_out(row.integer(9)?),
        rows_rejected: value::count_out(row.integer(10)?),
        version: row.version_or_null(11)?,
        finished: TimestampMicros(row.integer(12)?),
        elapsed: value::duration_out(row.integer(13)?),
        figures: row.text_or_null(14)?.map(|text| value::figures_out(&text)).transpose()?,
    })
}
