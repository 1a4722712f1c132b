//! The project at work, and loading it again.

use std::sync::PoisonError;

use async_trait::async_trait;
use millstream_api::project::{FailedReload, ProjectAnswer};
use millstream_engine::{Checked, Clock, SystemClock};
use millstream_project::{Level, cover};
use millstream_server::{ApiError, ErrorKind, ProjectBackend};

use super::{Backend, backend::Live, errors::api_error};
use crate::{CliError, diagnostics, human, wire::instant};

#[async_trait]
impl ProjectBackend for Backend {
    async fn project(&self) -> Result<ProjectAnswer, ApiError> {
        Ok(self.answer(&self.live()))
    }

    async fn reload(&self) -> Result<ProjectAnswer, ApiError> {
        let _alone = self.reloading.lock().await;
        match self.load_again().await {
            Ok(live) => {
                self.remember(None);
                tracing::info!(
                    assets = live.engine.project().graph.assets().len(),
                    "the project was loaded again"
                );
                Ok(self.answer(&live))
            }
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "the project was not loaded again; what was loaded before goes on");
                self.remember(Some(FailedReload {
                    at: instant(SystemClock.now()),
                    code: error.code().to_owned(),
                    message: error.to_string(),
                    hint: error.hint().map(str::to_owned),
                }));
                Err(error)
            }
        }
    }
}

impl Backend {
    async fn load_again(&self) -> Result<std::sync::Arc<Live>, ApiError> {
        let loader = self.loader.clone();
        let checked = tokio::task::spawn_blocking(move || loader.check()).await;
        let defect =
            |cause| ApiError::new(ErrorKind::Internal, "the project could not be checked").with_cause(cause);
        let mut checked = checked.map_err(defect)?;
        let Some(project) = checked.project.take() else { return Err(refused(&checked)) };
        self.replace(project.into()).await.map_err(|error| match error {
            CliError::Engine(error) => api_error(*error).with_kind(ErrorKind::NotReloaded),
            error => {
                let report = error.report();
                let error = ApiError::new(ErrorKind::NotReloaded, report.message).with_code(report.code);
                report.hint.into_iter().fold(error, ApiError::with_hint)
            }
        })
    }

    fn remember(&self, failed: Option<FailedReload>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    fn answer(&self, live: &Live) -> ProjectAnswer {
        let project = live.engine.project();
        ProjectAnswer {
            name: project.spec.name.clone(),
            environment: project.spec.environment.name.clone(),
            loaded_at: instant(live.loaded_at),
            is_whole: project.is_whole,
            assets: project.graph.assets().len(),
            failed_reload: self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
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
