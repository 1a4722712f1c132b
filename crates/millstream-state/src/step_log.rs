//! What steps noted and logged while they ran. Whoever keeps the lines bounds them; they go with their run.

use std::{fmt, str::FromStr};

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{AssetId, RunId, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::changed,
    value,
};

/// A line of a step's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The line's place in the log of its step, from 0 on.
    pub line: u64,
    pub at: TimestampMicros,
    pub level: LogLevel,
    pub message: String,
}

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// A line of the log of a step of some run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLogLine {
    pub asset: AssetId,
    pub line: LogLine,
}

impl LogLevel {
    /// The stable word for the level.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = StateError;

    fn from_str(word: &str) -> Result<Self, StateError> {
        let all = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];
        let found = all.into_iter().find(|level| level.as_str() == word);
        found.ok_or_else(|| value::unknown("the level of a line", word))
    }
}

impl State {
    /// Keeps lines of the log of a step. A line that is kept already stays as it is, so that nothing is lost or doubled by whoever
    /// does not know whether the last call took effect.
    pub fn keep_log<'a>(
        &'a self,
        run: &'a RunId,
        asset: &'a AssetId,
        lines: &'a [LogLine],
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let rows: Vec<_> = lines
                .iter()
                .map(|line| {
                    parameters![
                        run.as_str(),
                        asset.as_str(),
                        value::count_in(line.line),
                        line.at.0,
                        line.level.as_str(),
                        &line.message,
                    ]
                    .to_vec()
                })
                .collect();
            changed!(self, async {
                let mut work = self.change("keep lines of a log").await?;
                let sql = "INSERT INTO step_log (run, asset, line, at, level, message) \
                           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (run, asset, line) DO NOTHING";
                work.execute_each(sql, &rows).await?;
                work.commit().await
            })
        }
        .boxed()
    }

    /// The lines of the logs of a run's steps, by asset and in their order; of one asset alone where one is named. At most
    /// `limit` lines.
    pub fn step_log<'a>(
        &'a self,
        run: &'a RunId,
        asset: Option<&'a AssetId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<StepLogLine>, StateError>> {
        async move {
            let sql = "SELECT asset, line, at, level, message FROM step_log \
                       WHERE run = $1 AND ($2 = '' OR asset = $2) ORDER BY asset, line LIMIT $3";
            let (asset, limit) = (asset.map_or("", AssetId::as_str), value::count_in(limit as u64));
            let rows = self.rows("read the log", sql, &parameters![run.as_str(), asset, limit]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }
}

fn parse(mut row: Row) -> Result<StepLogLine, StateError> {
    Ok(StepLogLine {
        asset: AssetId::from(row.text(0)?),
        line: LogLine {
            line: value::count_out(row.integer(1)?),
            at: TimestampMicros(row.integer(2)?),
            level: row.text(3)?.parse()?,
            message: row.text(4)?,
        },
    })
}
