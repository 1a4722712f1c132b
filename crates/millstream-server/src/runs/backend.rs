//! What the runs' endpoints ask of the rest of Millstream.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use millstream_api::runs::{RunDetail, RunInfo, RunSummary};

use crate::{error::ApiError, jobs::JobReporter};

/// Runs, carried out and remembered.
#[async_trait]
pub trait RunBackend: Send + Sync + 'static {
    /// Carries a run out, telling its events, and ends soon after `job` is cancelled.
    ///
    /// # Errors
    ///
    /// What was refused before the run began; [`crate::ErrorKind::AlreadyRunning`] when others work on what is selected.
    async fn run(&self, request: RunRequest, job: JobReporter) -> Result<RunEnd, ApiError>;

    /// The newest runs first.
    async fn runs(&self, limit: usize) -> Result<Vec<RunInfo>, ApiError>;

    /// A run with its steps.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownRun`].
    async fn run_detail(&self, run: &str) -> Result<RunDetail, ApiError>;
}

/// A run that a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRequest {
    /// The terms that select the assets to run; without any, the run is of all assets.
    pub selection: Vec<String>,
    pub exclude: Vec<String>,
    pub full_refresh: bool,
    pub forget_gone: bool,
    pub force: bool,
    pub concurrency: Option<NonZeroUsize>,
    /// Whether the run waits while others work on what is selected, instead of being refused.
    pub wait_for_others: bool,
}

/// The end of a run that began.
#[derive(Debug)]
pub struct RunEnd {
    pub summary: RunSummary,
    /// Why the run did not succeed; none if it did.
    pub failure: Option<ApiError>,
}
