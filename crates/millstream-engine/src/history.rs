//! The runs that the state store remembers.

use futures::future::BoxFuture;
use millstream_state::{RunFilter, RunRecord, StepLogLine, StepRecord};
use millstream_types::RunId;

use crate::{Engine, EngineError};

impl Engine {
    /// At most `limit` runs, the newest first.
    pub fn runs(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RunRecord>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.runs(limit).await?) })
    }

    /// The runs that fit `filter`, the newest first.
    pub fn runs_matching<'a>(
        &'a self,
        filter: &'a RunFilter,
    ) -> BoxFuture<'a, Result<Vec<RunRecord>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.runs_matching(filter).await?) })
    }

    /// At most two runs whose ids begin with `prefix`.
    pub fn runs_beginning<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<RunRecord>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.runs_beginning(prefix).await?) })
    }

    /// The steps of a run, in the order in which they ended.
    pub fn steps<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Vec<StepRecord>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.steps(run).await?) })
    }

    /// What the steps of a run noted and logged, by asset and in their order: at most `limit` lines.
    pub fn step_log<'a>(
        &'a self,
        run: &'a RunId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<StepLogLine>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.step_log(run, None, limit).await?) })
    }
}
