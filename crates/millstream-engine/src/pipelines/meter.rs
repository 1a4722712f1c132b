//! The figures of a pipeline at work.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use millstream_types::{AssetId, AssetVersion, TimestampMicros};
use serde::{Deserialize, Serialize};

use crate::Clock;

/// So many commits are remembered for their latency.
const COMMITS_MAX: usize = 256;

/// Rows are counted by the second, over so many of them.
const RATE_SECONDS: i64 = 10;

const SECOND: i64 = 1_000_000;

/// What a pipeline is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineState {
    /// Another process, or a run, has the asset.
    #[default]
    Waiting,
    Working,
    /// An error has ended its work, which begins again at the instant.
    Retrying {
        error: String,
        at: TimestampMicros,
    },
    /// It has failed too often in a row.
    SetAside {
        error: String,
    },
    Ended,
}

impl PipelineState {
    /// The stable word for machines.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Working => "working",
            Self::Retrying { .. } => "retrying",
            Self::SetAside { .. } => "set_aside",
            Self::Ended => "ended",
        }
    }

    /// The error that keeps it from working, if one does.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Retrying { error, .. } | Self::SetAside { error } => Some(error),
            Self::Waiting | Self::Working | Self::Ended => None,
        }
    }
}

/// How a pipeline is. Counts begin with the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineStatus {
    pub asset: AssetId,
    pub state: PipelineState,
    /// The rows of its sources that are not in what it has committed.
    pub lag_rows: u64,
    /// For how long the first of those rows has been in the log.
    pub lag: Duration,
    pub rows_in: u64,
    pub rows_out: u64,
    /// Rows taken in for each second, over the last ten seconds.
    pub rows_per_second: f64,
    /// No row with an earlier event time is expected, in microseconds since 1970 UTC; `None` before the first rows.
    pub watermark: Option<i64>,
    pub rows_late: u64,
    /// Rows that broke a check.
    pub rows_rejected: u64,
    pub commits: u64,
    /// The version of the newest commit.
    pub version: Option<AssetVersion>,
    /// How long a commit takes from its rows to a version that others see: the median, and the longest but for one in a hundred.
    pub commit_p50: Duration,
    pub commit_p99: Duration,
    pub state_bytes: u64,
    pub state_entries: u64,
    /// The errors that have ended its work.
    pub failures: u64,
}

impl PipelineStatus {
    /// The status of a pipeline that has done nothing yet.
    fn begin(asset: AssetId) -> Self {
        Self {
            asset,
            state: PipelineState::Waiting,
            lag_rows: 0,
            lag: Duration::ZERO,
            rows_in: 0,
            rows_out: 0,
            rows_per_second: 0.0,
            watermark: None,
            rows_late: 0,
            rows_rejected: 0,
            commits: 0,
            version: None,
            commit_p50: Duration::ZERO,
            commit_p99: Duration::ZERO,
            state_bytes: 0,
            state_entries: 0,
            failures: 0,
        }
    }
}

/// What a commit of a pipeline did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CommitSeen {
    pub version: Option<AssetVersion>,
    pub rows: u64,
    pub rows_rejected: u64,
    pub rows_late: u64,
    pub took: Duration,
}

/// Counts what a pipeline does. Whoever asks gets a copy.
#[derive(Debug)]
pub(crate) struct PipelineMeter {
    clock: Arc<dyn Clock>,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    status: PipelineStatus,
    /// Rows by the second in which they were taken in, since 1970.
    taken_in: VecDeque<(i64, u64)>,
    /// How long the latest commits took.
    commits: VecDeque<Duration>,
    /// When the first row that is not committed came into the log.
    behind_since: Option<TimestampMicros>,
}

impl PipelineMeter {
    pub(crate) fn new(asset: AssetId, clock: Arc<dyn Clock>) -> Self {
        let (taken_in, commits, behind_since) = Default::default();
        let status = PipelineStatus::begin(asset);
        Self { clock, counted: Mutex::new(Counted { status, taken_in, commits, behind_since }) }
    }

    /// A copy of the figures.
    pub(crate) fn status(&self) -> PipelineStatus {
        let now = self.clock.now();
        let counted = self.counted();
        let since = now.0.div_euclid(SECOND) - RATE_SECONDS;
        let recent: u64 =
            counted.taken_in.iter().filter(|(second, _)| *second > since).map(|(_, rows)| rows).sum();
        let mut sorted: Vec<Duration> = counted.commits.iter().copied().collect();
        sorted.sort_unstable();
        let lag = counted.behind_since.map_or(0, |since| now.0.saturating_sub(since.0));
        PipelineStatus {
            #[expect(clippy::cast_precision_loss, reason = "a rate is shown, not computed with")]
            rows_per_second: recent as f64 / RATE_SECONDS as f64,
            commit_p50: share_of(&sorted, 50),
            commit_p99: share_of(&sorted, 99),
            lag: Duration::from_micros(u64::try_from(lag).unwrap_or(0)),
            ..counted.status.clone()
        }
    }

    pub(crate) fn commits(&self) -> u64 {
        self.counted().status.commits
    }

    pub(crate) fn set_state(&self, state: PipelineState) {
        let mut counted = self.counted();
        if matches!(state, PipelineState::Retrying { .. } | PipelineState::SetAside { .. }) {
            counted.status.failures += 1;
        }
        counted.status.state = state;
    }

    /// Rows of sources were taken in.
    pub(crate) fn taken_in(&self, rows: u64) {
        let second = self.clock.now().0.div_euclid(SECOND);
        let mut counted = self.counted();
        counted.status.rows_in += rows;
        match counted.taken_in.back_mut() {
            Some((last, sum)) if *last == second => *sum += rows,
            _ => counted.taken_in.push_back((second, rows)),
        }
        while counted.taken_in.front().is_some_and(|(first, _)| *first <= second - RATE_SECONDS) {
            counted.taken_in.pop_front();
        }
    }

    /// So many rows wait, of which the first came into the log at that instant.
    pub(crate) fn behind(&self, rows: u64, since: Option<TimestampMicros>) {
        let mut counted = self.counted();
        counted.status.lag_rows = rows;
        counted.behind_since = since.filter(|_| rows > 0);
    }

    pub(crate) fn watermark(&self, watermark: i64) {
        self.counted().status.watermark = Some(watermark);
    }

    pub(crate) fn state_is(&self, bytes: u64, entries: u64) {
        let mut counted = self.counted();
        counted.status.state_bytes = bytes;
        counted.status.state_entries = entries;
    }

    pub(crate) fn committed(&self, commit: &CommitSeen) {
        let mut counted = self.counted();
        let status = &mut counted.status;
        status.commits += 1;
        status.rows_out += commit.rows;
        status.rows_late += commit.rows_late;
        status.rows_rejected += commit.rows_rejected;
        status.version = commit.version.or(status.version);
        counted.commits.push_back(commit.took);
        if counted.commits.len() > COMMITS_MAX {
            counted.commits.pop_front();
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The smallest of the sorted values that is not exceeded by so many of a hundred.
fn share_of(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::share_of;
    use std::time::Duration;

    #[test]
    fn ranks_of_few_and_of_many() {
        let millis = |of: &[u64]| of.iter().copied().map(Duration::from_millis).collect::<Vec<_>>();
        let hundred: Vec<u64> = (1..=100).collect();
        for (values, percent, expected) in [
            (vec![], 50, 0),
            (vec![7], 50, 7),
            (vec![7], 99, 7),
            (vec![1, 2, 3, 4], 50, 2),
            (vec![1, 2, 3, 4], 99, 4),
            (hundred.clone(), 50, 50),
            (hundred, 99, 99),
        ] {
            assert_eq!(share_of(&millis(&values), percent), Duration::from_millis(expected), "{values:?}");
        }
    }
}
