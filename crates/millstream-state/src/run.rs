//! Runs: when, by which command, and how they ended.

use millstream_types::{RunId, TimestampMicros};
use rusqlite::{OptionalExtension, Row, params};

use crate::{State, StateError, value};

/// A run that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStart {
    pub run: RunId,
    /// The command line, for people.
    pub command: String,
    /// Version of Millstream.
    pub version: String,
    pub started: TimestampMicros,
}

/// A run as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    pub run: RunId,
    pub command: String,
    pub version: String,
    pub started: TimestampMicros,
    pub finished: Option<TimestampMicros>,
    /// `None` while it runs.
    pub outcome: Option<RunOutcome>,
}

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

const COLUMNS: &str = "run, command, version, started, finished, outcome";

impl State {
    /// Records that a run begins. The caller holds the run lock, so an earlier run without an end was
    /// interrupted, and is marked so.
    pub fn begin_run(&self, start: &RunStart) -> Result<(), StateError> {
        let doing = "record the start of the run";
        self.write(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE runs SET outcome = ?1 WHERE outcome IS NULL",
                    [RunOutcome::Interrupted.as_str()],
                )
                .map_err(StateError::query(doing))?;
            transaction
                .execute(
                    "INSERT INTO runs (run, command, version, started) VALUES (?1, ?2, ?3, ?4)",
                    params![start.run.as_str(), start.command, start.version, start.started.0],
                )
                .map_err(StateError::query(doing))?;
            Ok(())
        })
    }

    pub fn finish_run(
        &self,
        run: &RunId,
        finished: TimestampMicros,
        outcome: RunOutcome,
    ) -> Result<(), StateError> {
        let doing = "record the end of the run";
        self.write(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE runs SET finished = ?2, outcome = ?3 WHERE run = ?1",
                    params![run.as_str(), finished.0, outcome.as_str()],
                )
                .map(|_| ())
                .map_err(StateError::query(doing))
        })
    }

    /// The newest runs first.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRecord>, StateError> {
        let doing = "read the runs";
        let connection = self.read(doing)?;
        let mut statement = connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM runs ORDER BY started DESC, run DESC LIMIT ?1"))
            .map_err(StateError::query(doing))?;
        let rows = statement
            .query_map([value::count_in(limit as u64)], read)
            .map_err(StateError::query(doing))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(StateError::query(doing))?;
        rows.into_iter().map(parse).collect()
    }

    pub fn last_run(&self) -> Result<Option<RunRecord>, StateError> {
        Ok(self.runs(1)?.pop())
    }

    pub fn run(&self, run: &RunId) -> Result<Option<RunRecord>, StateError> {
        let doing = "read the run";
        self.read(doing)?
            .query_row(&format!("SELECT {COLUMNS} FROM runs WHERE run = ?1"), [run.as_str()], read)
            .optional()
            .map_err(StateError::query(doing))?
            .map(parse)
            .transpose()
    }

    /// Forgets runs that started before `before`, with their steps and check results, and older metrics.
    /// Each asset's latest step stays. Returns the number of runs that were forgotten.
    pub fn forget_runs(&self, before: TimestampMicros) -> Result<usize, StateError> {
        let doing = "forget old runs";
        self.write(doing, |transaction| {
            let old = "run IN (SELECT run FROM runs WHERE started < ?1 AND outcome IS NOT NULL)";
            let latest = "SELECT max(id) FROM steps GROUP BY asset";
            let execute = |sql: String| transaction.execute(&sql, [before.0]).map_err(StateError::query(doing));
            execute(format!(
                "DELETE FROM check_results WHERE {old} AND (run, asset) NOT IN (SELECT run, asset FROM steps WHERE id IN ({latest}))"
            ))?;
            execute(format!("DELETE FROM steps WHERE {old} AND id NOT IN ({latest})"))?;
            execute("DELETE FROM metrics WHERE at < ?1".into())?;
            execute(
                "DELETE FROM runs WHERE started < ?1 AND outcome IS NOT NULL AND run NOT IN (SELECT run FROM steps)"
                    .into(),
            )
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<(RunRecord, Option<String>)> {
    let record = RunRecord {
        run: RunId::from(row.get::<_, String>(0)?),
        command: row.get(1)?,
        version: row.get(2)?,
        started: TimestampMicros(row.get(3)?),
        finished: row.get::<_, Option<i64>>(4)?.map(TimestampMicros),
        outcome: None,
    };
    Ok((record, row.get(5)?))
}

fn parse((record, outcome): (RunRecord, Option<String>)) -> Result<RunRecord, StateError> {
    let outcome = outcome
        .map(|word| value::word_out("a run's outcome", &word, &RunOutcome::ALL, RunOutcome::as_str))
        .transpose()?;
    Ok(RunRecord { outcome, ..record })
}
