//! Steps: one asset in one run, and all that its end leaves behind.

use std::time::Duration;

use millstream_plan::{Reason, Recorded};
use millstream_types::{AssetId, RunId, TimestampMicros};
use rusqlite::{Row, Transaction, params};

use crate::{CheckResult, Metric, State, StateError, asset, check, metric, value};

/// One step as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    pub run: RunId,
    pub asset: AssetId,
    /// [`Reason::as_str`].
    pub reason: String,
    /// The reason for people.
    pub reason_text: String,
    pub outcome: StepOutcome,
    pub rows_written: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    /// The table's version after the step.
    pub version: Option<i64>,
    pub finished: TimestampMicros,
    pub elapsed: Duration,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    Built,
    /// The inputs gave no change.
    Unchanged,
    Halted {
        reason: String,
        hint: Option<String>,
    },
    Failed {
        code: String,
        error: String,
        hint: Option<String>,
    },
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
    /// Recorded with the step's `finished` as their time.
    pub metrics: &'a [Metric],
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

const DOING: &str = "record the step";

const COLUMNS: &str = "run, asset, reason, reason_text, outcome, message, code, hint, \
                       rows_written, rows_deleted, rows_rejected, version, finished, elapsed";

impl State {
    /// Records the end of a step and all that follows from it, or nothing.
    pub fn record_step(&self, end: &StepEnd<'_>) -> Result<(), StateError> {
        self.write(DOING, |transaction| {
            insert(transaction, end.step)?;
            if let Some(recorded) = end.recorded {
                asset::record(transaction, &end.step.asset, recorded)?;
            }
            check::insert(transaction, &end.step.run, &end.step.asset, end.checks)?;
            metric::insert(transaction, &end.step.asset, end.step.finished, end.metrics)
        })
    }

    /// The steps of a run, in the order in which they ended.
    pub fn steps(&self, run: &RunId) -> Result<Vec<StepRecord>, StateError> {
        self.select(&format!("SELECT {COLUMNS} FROM steps WHERE run = ?1 ORDER BY id"), &[&run.as_str()])
    }

    /// The latest step of each asset, by asset.
    pub fn latest_steps(&self) -> Result<Vec<StepRecord>, StateError> {
        let latest = "SELECT max(id) FROM steps GROUP BY asset";
        self.select(&format!("SELECT {COLUMNS} FROM steps WHERE id IN ({latest}) ORDER BY asset"), &[])
    }

    fn select(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<StepRecord>, StateError> {
        let doing = "read the steps";
        let connection = self.read(doing)?;
        let mut statement = connection.prepare_cached(sql).map_err(StateError::query(doing))?;
        let rows = statement
            .query_map(parameters, read)
            .map_err(StateError::query(doing))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(StateError::query(doing))?;
        rows.into_iter().map(|(outcome, step)| Ok(StepRecord { outcome: outcome.parse()?, ..step })).collect()
    }
}

fn insert(transaction: &Transaction<'_>, step: &StepRecord) -> Result<(), StateError> {
    transaction
        .prepare_cached(
            "INSERT INTO steps (run, asset, reason, reason_text, outcome, message, code, hint, \
             rows_written, rows_deleted, rows_rejected, version, finished, elapsed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                step.run.as_str(),
                step.asset.as_str(),
                step.reason,
                step.reason_text,
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
            ])
        })
        .map(|_| ())
        .map_err(StateError::query(DOING))
}

/// The columns of an outcome as they stand in the store.
struct StoredOutcome {
    word: String,
    message: Option<String>,
    code: Option<String>,
    hint: Option<String>,
}

impl StoredOutcome {
    fn parse(self) -> Result<StepOutcome, StateError> {
        StepOutcome::parse(&self.word, self.message, self.code, self.hint)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<(StoredOutcome, StepRecord)> {
    let outcome =
        StoredOutcome { word: row.get(4)?, message: row.get(5)?, code: row.get(6)?, hint: row.get(7)? };
    let step = StepRecord {
        run: RunId::from(row.get::<_, String>(0)?),
        asset: AssetId::from(row.get::<_, String>(1)?),
        reason: row.get(2)?,
        reason_text: row.get(3)?,
        outcome: StepOutcome::Cancelled,
        rows_written: value::count_out(row.get(8)?),
        rows_deleted: value::count_out(row.get(9)?),
        rows_rejected: value::count_out(row.get(10)?),
        version: row.get(11)?,
        finished: TimestampMicros(row.get(12)?),
        elapsed: value::duration_out(row.get(13)?),
    };
    Ok((outcome, step))
}
