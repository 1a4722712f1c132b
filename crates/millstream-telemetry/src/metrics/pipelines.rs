//! Pipelines, each by its asset. They are looked at now and then, so that all of them are levels, of which rates can be taken all the same.

use prometheus::IntGaugeVec;

use super::Declare;

/// The figures of all pipelines.
#[derive(Debug)]
pub(super) struct PipelineFigures {
    figures: [IntGaugeVec; 9],
}

/// How a pipeline is.
#[derive(Clone, Copy, Debug)]
pub struct PipelineSeen<'a> {
    pub asset: &'a str,
    pub lag_rows: u64,
    pub lag_ms: u64,
    pub rows_in: u64,
    pub rows_out: u64,
    pub rows_late: u64,
    pub rows_rejected: u64,
    /// The longest time that a commit took, but for one in a hundred.
    pub commit_us: u64,
    pub state_bytes: u64,
    pub failures: u64,
}

impl PipelineFigures {
    pub(super) fn declare(of: &Declare<'_>) -> Result<Self, prometheus::Error> {
        let by_asset = |name, help| of.gauges(name, help, &["asset"]);
        let figures = [
            by_asset("millstream_pipeline_lag_rows", "Rows that a pipeline has yet to take in and commit.")?,
            by_asset(
                "millstream_pipeline_lag_milliseconds",
                "For how long the first of those rows has waited.",
            )?,
            by_asset("millstream_pipeline_rows_in", "Rows taken in since the process began.")?,
            by_asset("millstream_pipeline_rows_out", "Rows that became visible since the process began.")?,
            by_asset("millstream_pipeline_rows_late", "Rows that took no part since the process began.")?,
            by_asset(
                "millstream_pipeline_rows_rejected",
                "Rows that broke a contract since the process began.",
            )?,
            by_asset(
                "millstream_pipeline_commit_microseconds",
                "How long the latest commits took, but for the longest one in a hundred.",
            )?,
            by_asset("millstream_pipeline_state_bytes", "The memory that a pipeline's state takes.")?,
            by_asset(
                "millstream_pipeline_failures",
                "Errors that ended a pipeline's work since the process began.",
            )?,
        ];
        Ok(Self { figures })
    }

    pub(super) fn seen(&self, seen: &PipelineSeen<'_>) {
        let values = [
            seen.lag_rows,
            seen.lag_ms,
            seen.rows_in,
            seen.rows_out,
            seen.rows_late,
            seen.rows_rejected,
            seen.commit_us,
            seen.state_bytes,
            seen.failures,
        ];
        for (figure, value) in self.figures.iter().zip(values) {
            figure.with_label_values(&[seen.asset]).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}
