//! The project at work, and loading it again.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError},
};

use async_trait::async_trait;
use futures::FutureExt;
use millstream_api::project::{FailedReload as WireFailedReload, ProjectAnswer};
use millstream_engine::{Checked, Clock, EngineError, SystemClock};
use millstream_project::{Level, cover};
use millstream_server::{ApiError, ErrorKind, ProjectBackend};
use millstream_state::FailedReload;

use super::{Backend, backend::LoadedProject, errors::api_error};
use crate::{
    CliError, diagnostics, human,
    wire::{Of, instant},
};

#[async_trait]
impl ProjectBackend for Backend {
    async fn project(&self) -> Result<ProjectAnswer, ApiError> {
        Ok(self.answer(&self.live()))
    }

    async fn reload(&self) -> Result<ProjectAnswer, ApiError> {
        let _alone = self.reloading.lock().await;
        let had_none = waiting(&self.live()).await;
        let loaded = AssertUnwindSafe(self.load_again()).catch_unwind().await;
        match loaded.unwrap_or_else(|_| Err(defect())) {
            Ok(live) => {
                self.remember(None).await;
                tracing::info!(
                    assets = live.engine.project().graph.assets().len(),
                    "the project was loaded again"
                );
                tell_waiting(&live, &had_none).await;
                Ok(self.answer(&live))
            }
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "the project was not loaded again; what was loaded before goes on");
                let failed = FailedReload {
                    at: SystemClock.now(),
                    code: error.code().to_owned(),
                    message: error.to_string(),
                    hint: error.hint().map(str::to_owned),
                };
                self.remember(Some(failed)).await;
                Err(error)
            }
        }
    }
}

/// The views that have no values yet.
async fn waiting(live: &LoadedProject) -> Vec<String> {
    live.features.never_materialized().await.unwrap_or_default()
}

/// Tells the log which views have no values, apart from those that had none `before` either.
async fn tell_waiting(live: &LoadedProject, before: &[String]) {
    match live.features.never_materialized().await {
        Ok(views) => {
            for view in views.into_iter().filter(|view| !before.contains(view)) {
                tracing::warn!(
                    view,
                    "a view has no values until a run or `features materialize` brings it up to date"
                );
            }
        }
        Err(error) => {
            tracing::warn!(error = error.told(), "the online store does not say which views have values");
        }
    }
}

fn defect() -> ApiError {
    ApiError::new(ErrorKind::Internal, "loading the project met a defect and ended")
}

impl Backend {
    async fn load_again(&self) -> Result<Arc<LoadedProject>, ApiError> {
        // What changes while the files are read may not be among what is read.
        let read_at = SystemClock.now();
        let loader = self.loader.clone();
        let checked = tokio::task::spawn_blocking(move || loader.check()).await;
        let mut checked = checked.map_err(|cause| defect().with_cause(cause))?;
        let Some(project) = checked.project.take() else { return Err(refused(&checked)) };
        self.replace(project.into(), read_at).await.map_err(not_loaded)
    }

    /// The last attempt to load the project again, if it failed.
    pub(super) fn failed_reload(&self) -> Option<WireFailedReload> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().map(WireFailedReload::of)
    }

    /// Remembers how the last attempt to load the project again ended, for whoever asks this process or the state store.
    pub(crate) async fn remember(&self, failed: Option<FailedReload>) {
        if let Err(error) = self.live().engine.record_reload(failed.as_ref()).await {
            tracing::warn!(
                error = error.told(),
                "`millstream status` does not know how loading the project again ended"
            );
        }
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    fn answer(&self, live: &LoadedProject) -> ProjectAnswer {
        let project = live.engine.project();
        ProjectAnswer {
            name: project.spec.name.clone(),
            environment: project.spec.environment.name.clone(),
            loaded_at: instant(live.loaded_at),
            is_whole: project.is_whole,
            assets: project.graph.assets().len(),
            failed_reload: self.failed_reload(),
        }
    }
}

/// Why a project that is sound was not loaded. A store that does not answer is no fault of the project.
fn not_loaded(error: CliError) -> ApiError {
    match error {
        CliError::Engine(error) => {
            let is_of_project = matches!(*error, EngineError::Moved { .. } | EngineError::Source { .. });
            let error = api_error(*error);
            match error.kind() {
                ErrorKind::Unavailable | ErrorKind::Internal if !is_of_project => error,
                _ => error.with_kind(ErrorKind::NotReloaded),
            }
        }
        error => {
            let report = error.report();
            let error = ApiError::new(ErrorKind::NotReloaded, report.message).with_code(report.code);
            report.hint.into_iter().fold(error, ApiError::with_hint)
        }
    }
}

/// A project with errors, by the first of them: `the project has 2 errors: tables/silver/orders.sql:1:8: no column named …`.
fn refused(checked: &Checked) -> ApiError {
    let errors = checked.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
    let number = human::count(errors.clone().count() as u64, "error");
    let first = errors.into_iter().next().map(|first| {
        let place = first.at.and_then(|at| {
            let file = checked.files.get(at.file)?;
            let (line, column) = diagnostics::line_and_column(&file.text, at.start);
            Some(format!("{}:{line}:{column}: ", file.path.display()))
        });
        format!(": {}{}", place.unwrap_or_default(), cover(&first.message).text)
    });
    let message = format!("the project has {number}{}", first.unwrap_or_default());
    ApiError::new(ErrorKind::NotReloaded, message)
}
